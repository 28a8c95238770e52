"""The command that makes a set of pictures out of what dispatchers have decided."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from console.cli_keeping import settings_at_hand
from console.installation import at_hand
from console.options import DATA, Config, Data, Json, err, out, show
from console.progress import bar
from disposal.judgement import judged
from stream.errors import ConfigurationError
from stream.messages import utc_now


def register(app: typer.Typer) -> None:
    """Add the command to ``minewatch vision``."""
    app.command(name="export-feedback")(export_feedback)


def export_feedback(
    context: typer.Context,
    *,
    folder: Annotated[
        Path | None, typer.Option("--out", help="A folder below the data folder; DATA/feedback unless given.")
    ] = None,
    days: Annotated[int, typer.Option("--days", min=1, help="Take what was decided in the last so many days.")] = 365,
    drop_rejected: Annotated[
        bool, typer.Option("--drop-rejected", help="Leave out the boxes that raised a false alarm.")
    ] = False,
    config: Config = None,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Make a YOLO set of the pictures that dispatchers rejected as false alarms or confirmed, for correction.

    The pictures are links into the evidence; label files that exist, with corrections in them, are kept.
    """
    from vision.detector import open_detectors
    from vision.feedback import Judged
    from vision.feedback import export_feedback as export

    place = within_site(folder, data)
    settings = settings_at_hand(context, config, data)
    installation = at_hand(settings, data)
    decided = [Judged(*one) for one in judged(installation.engine, settings.mine, utc_now() - timedelta(days=days))]
    detectors = open_detectors(settings.vision.detectors)
    with bar("Exporting") as progress:
        done = export(decided, installation.evidence, detectors, place, drop_rejected=drop_rejected, progress=progress)
    if as_json:
        show(done.as_dict(), as_json=True)
        return
    for _, reason in done.left_out:
        out.print(f"Left out: {reason}", highlight=False, markup=False, soft_wrap=True)
    out.print(
        f"{done.pictures} pictures of {done.risks['false-alarm']} false alarms and {done.risks['confirmed']} confirmed "
        f"risks: {done.written} labelled with {done.boxes} boxes, {done.kept} label files kept. The set is {done.data_yaml}.",
        highlight=False,
        soft_wrap=True,
    )
    err.print(
        "The boxes are the detector's, also those that were rejected unless left out: correct them, then part them with 'minewatch vision split'."
    )


def within_site(folder: Path | None, data: Path) -> Path:
    """Where the set goes. Raises ConfigurationError for a folder outside the site's own: people are in the pictures."""
    place = (folder or data / "feedback").resolve()
    if not place.is_relative_to(data.resolve()) or place == data.resolve():
        raise ConfigurationError(
            f"--out is {place}, outside the data folder: pictures of people stay with the site. "
            f"Name a folder below {data.resolve()}, or leave --out away."
        )
    return place
