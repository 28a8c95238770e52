"""Commands for a mine's own pictures: check and split labelled sets, label new pictures for correction."""

from pathlib import Path
from typing import Annotated

import typer

from console.cli_vision import Renamed, class_map
from console.options import DATA, Config, Data, Json, Weights, err, out, show
from console.progress import bar
from console.settings import load


def register(app: typer.Typer) -> None:
    """Add these commands to ``minewatch vision``."""
    app.command(name="check")(check)
    app.command(name="label")(label)
    app.command(name="split")(split)


def check(
    data_yaml: Annotated[Path, typer.Argument(help="The set's data.yaml, in YOLO's layout.")],
    *,
    as_json: Json = False,
) -> None:
    """List near-duplicates across splits, missing or odd boxes and unreadable files of a labelled set."""
    from vision.check import check_set

    with bar("Checking") as progress:
        found = check_set(data_yaml, progress)
    if as_json:
        show(found.as_dict(), as_json=True)
        return
    for finding in found.findings:
        out.print(f"{finding.path}: {finding.reason}", highlight=False, markup=False, soft_wrap=True)
    counts = ", ".join(f"{kind}: {amount}" for kind, amount in found.as_dict()["counts"].items()) or "nothing"
    listed = ", ".join(f"{split} {amount}" for split, amount in found.splits.items())
    out.print(f"Pictures: {listed}; boxes: {found.boxes}. Found: {counts}.", highlight=False)


def label(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(help="A folder of pictures.")],
    *,
    weights: Weights = None,
    folder: Annotated[
        Path | None, typer.Option("--out", help="Make the set here, of links; else beside the pictures.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Label anew what has a label file, corrections included.")
    ] = False,
    config: Config = None,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Label pictures with the detectors at hand, for correction in any YOLO tool; label files that exist are kept."""
    from vision.detector import open_detectors
    from vision.label import label_pictures

    detectors = open_detectors(load(config, context.obj, data).vision.for_watch(weights).detectors)
    with bar("Labelling") as progress:
        done = label_pictures(list(detectors.values()), source, folder, replace=replace, progress=progress)
    if as_json:
        show(done.as_dict(), as_json=True)
        return
    for path, reason in done.left_out:
        out.print(f"{path}: {reason}", highlight=False, markup=False, soft_wrap=True)
    out.print(
        f"Labelled {done.written} pictures with {done.boxes} boxes; kept {done.kept} label files. The set is {done.data_yaml}.",
        highlight=False,
        soft_wrap=True,
    )
    err.print("These are the detector's guesses: correct them before anything is trained or scored on them.")


def split(
    sets: Annotated[list[Path], typer.Argument(help="The data.yaml of each set to take pictures from.")],
    folder: Annotated[Path, typer.Option("--out", help="A new folder for the split set, of links.")],
    *,
    share: Annotated[float, typer.Option("--share", min=0.01, max=0.5, help="Share of pictures held back.")] = 0.15,
    seed: Annotated[int, typer.Option("--seed")] = 7,
    renamed: Renamed = "",
    as_json: Json = False,
) -> None:
    """Split labelled pictures for training and scoring, so that near-duplicates are never on both sides."""
    from vision.split import split_sets

    done = split_sets(sets, folder, share=share, seed=seed, class_map=class_map(renamed))
    if as_json:
        show(done.as_dict(), as_json=True)
        return
    for name, count in done.pictures.items():
        boxes = ", ".join(f"{label} {amount}" for label, amount in sorted(done.boxes[name].items())) or "none"
        out.print(f"{name}: {count} pictures, boxes: {boxes}", highlight=False)
    out.print(f"The set is {done.data_yaml}.", highlight=False, soft_wrap=True)
