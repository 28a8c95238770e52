"""Commands of the drafting model that ships."""

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from console.cli_keeping import settings_at_hand
from console.installation import at_hand
from console.options import DATA, Config, Data, Json, err, out, show
from console.progress import bar
from stream.errors import ConfigurationError

app = typer.Typer(help="The models that draft documents.", no_args_is_help=True)


@app.callback()
def _draft() -> None:
    """Keep the commands below this name, also while there is one alone."""


@app.command()
def train(
    context: typer.Context,
    codes: Annotated[
        Path | None,
        typer.Argument(help="A folder with texts of codes, so that the clerk learns to read such.", exists=True),
    ] = None,
    *,
    folder: Annotated[
        Path | None,
        typer.Option("--out", help="Where checkpoints and model go; run again, it goes on from there."),
    ] = None,
    from_feedback: Annotated[
        bool, typer.Option("--from-feedback", help="Teach the clerk in use further, on what people approved.")
    ] = False,
    minutes: Annotated[float, typer.Option("--minutes", min=0.01, help="Minutes of training anew, in all.")] = 44.0,
    steps: Annotated[int, typer.Option("--steps", min=1, help="Steps of training from feedback, in all.")] = 400,
    held_back: Annotated[
        float, typer.Option("--held-back", min=0.05, max=0.5, help="Share of approved documents to compare on.")
    ] = 0.2,
    seed: Annotated[int, typer.Option("--seed", help="Seed of weights, lessons, and of what is held back.")] = 7,
    config: Config = None,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Teach the clerk, a small language model that drafts: anew from codes, or further on what people approved.

    From feedback, the new clerk may replace the old one only where its drafts of held-back documents need less editing.
    """
    if from_feedback is (codes is not None):
        raise ConfigurationError("Name a folder with texts of codes to teach a clerk anew, or give --from-feedback.")
    if from_feedback:
        _train_further(context, folder or data / "clerk", (steps, held_back, seed), config, data, as_json=as_json)
    elif codes is not None and folder is not None:
        _train_anew(codes, folder, minutes, seed, as_json=as_json)
    else:
        raise ConfigurationError("--out is missing: name a folder for checkpoints and model.")


def _train_anew(codes: Path, folder: Path, minutes: float, seed: int, *, as_json: bool) -> None:
    from disposal.clerk import pin
    from disposal.clerk_texts import read_texts
    from disposal.clerk_train import ClerkTraining
    from disposal.clerk_train import Progress as Done
    from disposal.clerk_train import train as teach

    texts = read_texts(codes)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True) as shown:
        task = shown.add_task("starting", total=minutes)

        def tell(done: Done) -> None:
            shown.update(task, completed=done.minutes, description=f"step {done.step}, loss {done.loss:.3f}")

        done = teach(folder, texts, ClerkTraining(minutes=minutes, seed=seed), tell)
    pin(folder / "model")
    result = {"model": str(folder / "model"), "steps": done.step, "loss": round(done.loss, 4), "minutes": done.of}
    show(result, as_json=as_json)


def _train_further(
    context: typer.Context,
    folder: Path,
    how: tuple[int, float, int],
    config: Path | None,
    data: Path,
    *,
    as_json: bool,
) -> None:
    from disposal.clerk import FOLDER
    from disposal.clerk_feedback import FeedbackTraining, train_from_feedback
    from disposal.triple import triples

    installation = at_hand(settings_at_hand(context, config, data), data)
    settings = installation.settings.disposal
    steps, held_back, seed = how
    wanted = FeedbackTraining(steps=steps, held_back=held_back, seed=seed)
    found = triples(installation.engine, installation.settings.mine, settings.drafter.language, settings.privacy)
    with bar("Training") as tell:
        outcome = train_from_feedback(found, settings.drafter.clerk or FOLDER, folder.resolve(), wanted, tell)
    if as_json:
        show(outcome.as_dict(), as_json=True)
        return
    out.print(outcome.said, highlight=False, markup=False, soft_wrap=True)
    if outcome.replaces:
        err.print(
            f"It serves once disposal.drafter.clerk is set to {outcome.model}; set to what it was before, the old one "
            "serves again.",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )


@app.command()
def compare(
    context: typer.Context,
    *,
    models: Annotated[
        str, typer.Option("--models", help="openai, transformers, clerk, composer, or folders; with commas between.")
    ],
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="So many of the newest requests.")] = 50,
    as_written: Annotated[
        bool, typer.Option("--as-written", help="Show what models of this machine write, while they write it.")
    ] = False,
    config: Config = None,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Have models draft stored requests anew, and score them side by side; nothing is stored."""
    from disposal.compare import compare as side_by_side
    from disposal.hearing import hearing

    installation = at_hand(settings_at_hand(context, config, data), data)
    settings, names = installation.settings, [m.strip() for m in models.split(",") if m.strip()]
    asked = (installation.engine, settings.mine, settings.disposal, names, limit)
    if as_written:
        with hearing(lambda text: err.print(text, end="", highlight=False, markup=False, soft_wrap=True)):
            found = side_by_side(*asked, lambda _: err.print())
    else:
        columns = (TextColumn("drafting"), BarColumn(), TimeRemainingColumn())
        with Progress(*columns, console=err, transient=True) as shown:
            task = shown.add_task("", total=limit * len(names))
            found = side_by_side(*asked, lambda n: shown.advance(task, n))
    if as_json:
        show(found, as_json=True)
        return
    show({"requests": found["requests"], "approved by people": found["approved"]}, as_json=False)
    for name, score in found["models"].items():
        said = ", ".join(f"{what.replace('_', ' ')} {value}" for what, value in score.items())
        out.print(f"{name}: {said}", highlight=False, markup=False)
