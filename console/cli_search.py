"""Commands that search the code book: for a hazard, over a judged set, and the training of the Chinese embedder."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from console.cli_keeping import settings_at_hand
from console.installation import at_hand
from console.options import DATA, Config, Data, Json, err, out, show
from console.progress import bar

Language = Literal["zh", "en"]

_POLL_SECONDS = 0.2


def search(
    context: typer.Context,
    text: Annotated[str, typer.Argument(help="A hazard in plain words.")],
    *,
    lang: Annotated[Language | None, typer.Option("--lang", help="zh or en; else as the text is written.")] = None,
    top: Annotated[int, typer.Option("--top", min=1, max=50)] = 8,
    config: Config = None,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Find the clauses in force that apply to a hazard; by words alone while clauses are still embedded."""
    from rules.embedding import open_embedders
    from rules.matcher import Matcher, language_of

    installation = at_hand(settings_at_hand(context, config, data), data)
    language = lang or language_of(text)
    settings = installation.settings.rules.matcher
    embedders = {la: e for la, e in open_embedders(settings.model).items() if la == language}
    matcher = Matcher(installation.engine, installation.settings.mine, settings, embedders=embedders, urgent=True)
    done, total = matcher.progress()
    if done == total:
        matcher.wait()
    else:
        err.print(f"Searched by words alone: {total - done} clauses are not embedded yet.")
    matches = matcher.search(text, language=language, top=top)
    if as_json:
        show({"matches": [m.as_dict() for m in matches]}, as_json=True)
    else:
        for match in matches:
            out.print(
                f"{match.score:.2f}  {match.code} {match.number}  {match.title(lang or 'zh')}\n      {match.reason}",
                highlight=False,
            )
        if not matches:
            err.print("No clause in force applies.")
    if done < total:
        with bar("Embedding clauses") as tell:
            while not matcher.wait(_POLL_SECONDS):
                tell(*matcher.progress())


def evaluate(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="Hazards with the articles that govern them, one JSON object a line.")],
    *,
    code: Annotated[str, typer.Option("--code", help="The code to score over; else every code.")] = "",
    lang: Annotated[Language, typer.Option("--lang", help="zh or en.")] = "zh",
    config: Config = None,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Score the search against a set of judged hazards, once every clause is embedded."""
    from rules.evaluate import evaluate as score

    installation = at_hand(settings_at_hand(context, config, data), data)
    with bar("Embedding clauses") as tell:
        figures = score(
            installation.engine, file, installation.settings.rules.matcher, code=code, language=lang,
            mine=installation.settings.mine, progress=tell,
        )  # fmt: skip
    show(figures, as_json=as_json)


def export_feedback(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The file to write, one JSON object a line; what is there is replaced.")],
    *,
    code: Annotated[str, typer.Option("--code", help="Clauses of that code alone; else of every code.")] = "",
    config: Config = None,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Make a judged set for 'clauses evaluate' of the documents in which people changed which clauses are cited."""
    from disposal.citing import export_corrections
    from disposal.triple import triples

    installation = at_hand(settings_at_hand(context, config, data), data)
    found = triples(installation.engine, installation.settings.mine, installation.settings.disposal.drafter.language)
    show({"file": str(file), "hazards": export_corrections(found, file, code)}, as_json=as_json)


def train_embedder(
    files: Annotated[list[Path], typer.Argument(help="Codes in Chinese, in any kind of file that can be imported.")],
    *,
    out_folder: Annotated[Path, typer.Option("--out", help="Where the model and, meanwhile, its checkpoint lie.")],
    steps: Annotated[
        int, typer.Option("--steps", min=1, help="Batches to learn from; 2,000 take some minutes.")
    ] = 2000,
    size: Annotated[int, typer.Option("--size", min=2, max=1024, help="Numbers in a vector.")] = 128,
    seed: Annotated[int, typer.Option("--seed", help="Another one gives another model of the same kind.")] = 7,
    as_json: Json = False,
) -> None:
    """Train a small Chinese embedder from codes, their headings and the trade's synonyms; resumes if cut short."""
    from rules.model_files import folder_digest
    from rules.train_embedder import Plan, train_embedder

    with bar("Training") as tell:
        model = train_embedder(files, out_folder, plan=Plan(steps=steps, size=size, seed=seed), progress=tell)
    show({"model": model, "sha256": folder_digest(model)}, as_json=as_json)


def register(app: typer.Typer) -> None:
    """Make them subcommands of ``app``."""
    app.command()(search)
    app.command()(evaluate)
    app.command("export-feedback")(export_feedback)
    app.command("train-embedder")(train_embedder)
