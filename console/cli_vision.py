"""Commands of the detector: look at pictures with it, train it, score it."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.options import DATA, Config, Data, Json, Weights, err, out, show
from console.progress import bar
from console.settings import load
from stream.errors import ConfigurationError

if TYPE_CHECKING:
    from vision.detect import Seen
    from vision.settings import DetectorSettings

Renamed = Annotated[
    str,
    typer.Option("--map", help="Classes of the set renamed: 'Hardhat=helmet,dump truck='; an empty name drops one."),
]

app = typer.Typer(help="The detector: detect, train and evaluate.", no_args_is_help=True)


@app.command()
def detect(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(help="A picture, or a folder of pictures.")],
    *,
    weights: Weights = None,
    config: Config = None,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Say what the detector sees in pictures."""
    from vision.detect import detect_pictures
    from vision.detector import open_detectors

    detectors = open_detectors(load(config, context.obj, data).vision.for_watch(weights).detectors)
    seen = [(name, picture) for name, detector in detectors.items() for picture in detect_pictures(detector, source)]
    if as_json:
        show({"pictures": [_shown(name, picture) for name, picture in seen]}, as_json=True)
        return
    for name, picture in seen:
        labels = ", ".join(f"{d.label} {d.confidence:.2f}" for d in picture.detections) or picture.error or "nothing"
        out.print(f"{picture.picture.name} ({name}): {labels}", highlight=False)


def _shown(detector: str, picture: "Seen") -> dict[str, Any]:
    boxes = [{"label": d.label, "confidence": round(d.confidence, 4), "box": d.box} for d in picture.detections]
    return {"picture": str(picture.picture), "detector": detector, "detections": boxes, "error": picture.error}


@app.command()
def annotate(
    context: typer.Context,
    source: Annotated[str, typer.Argument(help="A video file, or a folder of pictures.")],
    target: Annotated[Path, typer.Option("--out", help="The clip to write, a .webm file.")],
    *,
    weights: Weights = None,
    only: Annotated[
        list[str] | None, typer.Option("--detector", help="Ask this detector alone; may be given several times.")
    ] = None,
    every: Annotated[int, typer.Option("--every", min=1, help="Look at every so-many-th picture.")] = 1,
    config: Config = None,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Draw what the detectors see on a video: look at it before weights watch anything."""
    from vision.annotated_clip import annotate_clip
    from vision.detector import open_detectors

    chosen = open_detectors(named(load(config, context.obj, data).vision.for_watch(weights).detectors, only or ()))
    with bar("Drawing") as progress:
        seen = annotate_clip(list(chosen.values()), source, target, every=every, progress=progress)
    if as_json:
        show(seen.as_dict(), as_json=True)
        return
    for label, count in sorted(seen.labels.items()):
        out.print(f"{label}: in {count} of {seen.frames} frames", highlight=False)
    out.print(f"{seen.frames} frames are drawn in {seen.clip}.", highlight=False, soft_wrap=True)


def named(detectors: "Mapping[str, DetectorSettings]", only: Collection[str]) -> "dict[str, DetectorSettings]":
    """The detectors with these names, all where there are none. Raises ConfigurationError for a name that none has."""
    if unknown := sorted(set(only) - set(detectors)):
        raise ConfigurationError(f"There is no detector {unknown[0]!r}: there are {', '.join(sorted(detectors))}.")
    return {name: one for name, one in detectors.items() if not only or name in only}


@app.command()
def train(
    data_yaml: Annotated[Path, typer.Argument(help="The set's data.yaml, in YOLO's layout.")],
    folder: Annotated[
        Path, typer.Option("--out", help="Where checkpoints and weights go; run again, it goes on from there.")
    ],
    *,
    model: Annotated[
        str, typer.Option("--model", help="A YOLO architecture (.yaml) or weights (.pt) to start from.")
    ] = "yolo11n.yaml",
    epochs: Annotated[int, typer.Option("--epochs", min=1)] = 40,
    hours: Annotated[
        float | None, typer.Option("--hours", min=0.01, help="Train by the clock instead of by epochs.")
    ] = None,
    image_size: Annotated[int, typer.Option("--image-size", min=64, help="Long side in pixels.")] = 320,
    batch: Annotated[int, typer.Option("--batch", min=1)] = 16,
    seed: Annotated[int, typer.Option("--seed")] = 7,
    threads: Annotated[int, typer.Option("--threads", min=0, help="Processor threads; 0: all.")] = 0,
    as_json: Json = False,
) -> None:
    """Train a detector on a mine's own pictures; a training that was killed goes on from its checkpoint."""
    from vision.train import train as learn

    best = learn(
        data_yaml,
        folder,
        model=model,
        epochs=epochs,
        hours=hours,
        image_size=image_size,
        batch=batch,
        seed=seed,
        threads=threads or None,
    )
    show({"weights": str(best)}, as_json=as_json)
    err.print("Score it with 'minewatch vision evaluate' before it watches anything.")


@app.command()
def export(
    weights: Annotated[Path, typer.Argument(help="Trained YOLO weights, a .pt file.", exists=True, dir_okay=False)],
    folder: Annotated[Path, typer.Option("--out", help="Where the export folder goes.")],
    *,
    calibration: Annotated[
        Path | None,
        typer.Option(
            "--calibrate",
            help="Eight-bit integers, with ranges from the pictures of this labelled set's data.yaml, if it shows that "
            "they cost no more than 0.5 points of mAP50; else half precision.",
        ),
    ] = None,
    renamed: Renamed = "",
    image_size: Annotated[int, typer.Option("--image-size", min=64, help="Long side in pixels.")] = 320,
    as_json: Json = False,
) -> None:
    """Bring weights into the form that runs fastest on a processor, and say the digest to pin them with."""
    from vision.precision import export_fastest
    from vision.train import export as bring
    from vision.weights_file import folder_digest

    told: dict[str, object] = {"precision": "fp16"}
    if calibration is None:
        made = bring(weights, folder, image_size=image_size)
    else:
        made, choice = export_fastest(weights, folder, calibration, image_size=image_size, class_map=class_map(renamed))
        told = choice._asdict()
    show({"weights": str(made), "sha256": folder_digest(made), **told}, as_json=as_json)


@app.command()
def evaluate(
    weights: Annotated[Path, typer.Option("--weights", help="YOLO weights: a .pt file or an OpenVINO folder.")],
    data_yaml: Annotated[Path, typer.Option("--data", help="The set's data.yaml, in YOLO's layout.")],
    *,
    renamed: Renamed = "",
    image_size: Annotated[int | None, typer.Option("--image-size", min=64)] = None,
    sheet: Annotated[
        Path | None, typer.Option("--mistakes", help="Draw the pictures with most mistakes into this JPEG file.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Score a detector on labelled pictures."""
    from vision.evaluate import evaluate as score
    from vision.mistakes import draw_sheet, find_mistakes

    renames = class_map(renamed)
    show(score(weights, data_yaml, class_map=renames, image_size=image_size).as_dict(), as_json=as_json)
    if sheet is not None:
        draw_sheet(find_mistakes(weights, data_yaml, class_map=renames, image_size=image_size), sheet)
        err.print(f"Green: found, yellow: missed, red: seen where nothing is labelled. See {sheet}.")


def class_map(text: str) -> dict[str, str]:
    """``a=b,c=`` as {a: b, c: ""}. Raises ConfigurationError for a part without an equals sign."""
    renames: dict[str, str] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        old, equals, new = part.partition("=")
        if not equals:
            raise ConfigurationError(f"--map has {part!r}: write OLD=NEW, or OLD= to leave a class out.")
        renames[old.strip()] = new.strip()
    return renames
