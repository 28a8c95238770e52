"""Commands of the drafting model that ships."""

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from console.cli_keeping import settings_at_hand
from console.installation import at_hand
from console.options import DATA, Config, Data, Json, err, out, show

app = typer.Typer(help="The models that draft documents.", no_args_is_help=True)


@app.callback()
def _draft() -> None:
    """Keep the commands below this name, also while there is one alone."""


@app.command()
def train(
    codes: Annotated[
        Path, typer.Argument(help="A folder with texts of codes, so that the clerk learns to read such.", exists=True)
    ],
    folder: Annotated[
        Path, typer.Option("--out", help="Where checkpoints and model go; run again, it goes on from there.")
    ],
    *,
    minutes: Annotated[float, typer.Option("--minutes", min=0.01, help="Minutes of training in all.")] = 44.0,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the weights and the lessons.")] = 7,
    as_json: Json = False,
) -> None:
    """Teach the clerk anew: a small language model that drafts measures from the product's own wording."""
    from disposal.clerk import pin
    from disposal.clerk_texts import read_texts
    from disposal.clerk_train import ClerkTraining
    from disposal.clerk_train import Progress as Done
    from disposal.clerk_train import train as teach

    texts = read_texts(codes)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task("starting", total=minutes)

        def tell(done: Done) -> None:
            bar.update(task, completed=done.minutes, description=f"step {done.step}, loss {done.loss:.3f}")

        done = teach(folder, texts, ClerkTraining(minutes=minutes, seed=seed), tell)
    pin(folder / "model")
    result = {"model": str(folder / "model"), "steps": done.step, "loss": round(done.loss, 4), "minutes": done.of}
    show(result, as_json=as_json)


@app.command()
def compare(
    context: typer.Context,
    *,
    models: Annotated[
        str, typer.Option("--models", help="openai, transformers, clerk, composer, or folders; with commas between.")
    ],
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="So many of the newest requests.")] = 50,
    config: Config = None,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Have models draft stored requests anew, and score them side by side; nothing is stored."""
    from disposal.compare import compare as side_by_side

    installation = at_hand(settings_at_hand(context, config, data), data)
    settings, names = installation.settings, [m.strip() for m in models.split(",") if m.strip()]
    columns = (TextColumn("drafting"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task("", total=limit * len(names))
        found = side_by_side(
            installation.engine, settings.mine, settings.disposal, names, limit, lambda n: bar.advance(task, n)
        )
    if as_json:
        show(found, as_json=True)
        return
    show({"requests": found["requests"], "approved by people": found["approved"]}, as_json=False)
    for name, score in found["models"].items():
        said = ", ".join(f"{what.replace('_', ' ')} {value}" for what, value in score.items())
        out.print(f"{name}: {said}", highlight=False, markup=False)
