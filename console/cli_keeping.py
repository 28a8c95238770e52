"""Commands that keep an installation in order: accounts, the audit chain, the database's schema, and its health."""

from pathlib import Path
from typing import Annotated

import typer

from console.installation import at_hand
from console.options import DATA, Config, Data, Json, err, out, show
from console.settings import Settings, load
from stream.database import open_database
from stream.errors import ConfigurationError, MinewatchError

_audit = typer.Typer(help="The audit chain.", no_args_is_help=True)
_user = typer.Typer(help="Accounts of the console.", no_args_is_help=True)
_database = typer.Typer(help="The database's schema.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.add_typer(_audit, name="audit")
    app.add_typer(_user, name="user")
    app.add_typer(_database, name="database")
    app.command(name="doctor")(doctor)
    app.command(name="bench")(bench)
    app.command(name="backup")(backup)
    app.command(name="restore")(restore)


def settings_at_hand(context: typer.Context, config: Path | None, data: Path) -> Settings:
    """The settings for a command beside a running installation; a demonstration and a watch bring their own mine."""
    from console.demo import SAMPLES
    from console.installation import kind_of

    kind = kind_of(data)
    if config is None and kind == "demo":
        config = SAMPLES / "minewatch.toml"
    settings = load(config, context.obj, data)
    return settings.model_copy(update={"mine": "watch"}) if kind == "watch" else settings


@_audit.command("verify")
def verify(
    context: typer.Context,
    *,
    heads: Annotated[
        Path | None,
        typer.Option("--heads", help="File of exported heads to hold the chain against; else the configured one."),
    ] = None,
    digest: Annotated[
        str | None,
        typer.Option(
            "--digest", help="The SHA-256 printed on a document, or what its QR code says: was it written here?"
        ),
    ] = None,
    config: Config = None,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Is the audit chain whole, and does it tell of the document with that digest? Exit code 1 where not."""
    from disposal import audit
    from disposal.stamp import find_printed

    settings = settings_at_hand(context, config, data)
    installation = at_hand(settings, data)
    exported = heads or settings.disposal.audit.heads
    head = audit.read_head(settings.mine, exported) if exported and exported.exists() else None
    found = audit.verify(installation.engine, settings.mine, head)
    result: dict[str, object] = {
        "whole": found.whole,
        "lines": found.lines,
        "broken": found.broken,
        "reason": found.reason,
    }
    line = find_printed(installation.engine, settings.mine, digest) if digest is not None else None
    if digest is not None:
        told = {"subject": line.subject, "sequence": line.sequence, "at": line.at.isoformat()} if line else None
        result |= {"document": told}
    show(result, as_json=as_json)
    if not found.whole or (digest is not None and line is None):
        raise typer.Exit(1)


@_user.command("add")
def add_user(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Name to sign in with.")],
    role: Annotated[str, typer.Option("--role", help="dispatcher, officer, auditor or administrator.")],
    *,
    config: Config = None,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Make an account; its one-time password is printed once and must be changed at the first sign-in."""
    from console import accounts

    settings = settings_at_hand(context, config, data)
    password = accounts.add_user(at_hand(settings, data).engine, settings.mine, name, role)
    show({"mine": settings.mine, "name": name, "role": role, "one_time_password": password}, as_json=as_json)


@_database.command("upgrade")
def upgrade(context: typer.Context, *, config: Config = None, data: Data = DATA) -> None:
    """Bring an older database to this release's schema. Make a copy of it first."""
    from console import schema

    settings = settings_at_hand(context, config, data)
    schema.upgrade(open_database(settings.database.url))
    err.print("The database is at this release's schema.")


def doctor(context: typer.Context, *, config: Config = None, data: Data = DATA, as_json: Json = False) -> None:
    """Say what is missing or wrong and what to do about it. Exit code 1 where something is."""
    from console.doctor import examine

    settings = settings_at_hand(context, config, data)
    findings = examine(settings, data)
    if as_json:
        show({"well": all(f.well for f in findings), "findings": [f._asdict() for f in findings]}, as_json=True)
    else:
        for finding in findings:
            out.print(
                f"{'[green]ok[/green]  ' if finding.well else '[red]look[/red]'} {finding.subject}: {finding.text}",
                highlight=False,
            )
    if not all(f.well for f in findings):
        raise typer.Exit(1)


def bench(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What to measure.")],
    *,
    short: Annotated[bool, typer.Option("--short", help="A short form, for a quick look.")] = False,
    material: Annotated[
        Path | None, typer.Option("--material", envvar="MINEWATCH_TEST_DATA", help="Folder of pictures and codes.")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", help="Draw the figures into this file (.svg or .png), where it can.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure this machine."""
    del context
    from console.bench import BENCHES, PICTURES, draw, measure

    if name not in BENCHES:
        raise MinewatchError(f"There is no benchmark {name!r}: choose one of {', '.join(sorted(BENCHES))}.")
    if picture and (name not in PICTURES or picture.suffix not in {".svg", ".png"}):
        raise MinewatchError(f"--picture takes a .svg or .png file, with one of {', '.join(sorted(PICTURES))}.")
    figures = measure(name, material=material, short=short)
    if picture:
        draw(name, figures, picture)
    show(figures, as_json=as_json)


def backup(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The archive to write; none that exists is replaced.")],
    *,
    config: Config = None,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Put database, configuration and evidence into one archive, while the system runs."""
    from console.backup import back_up
    from console.installation import is_known

    settings = settings_at_hand(context, config, data)
    if not is_known(data):
        raise ConfigurationError(f"Nothing was set up in {data}: name the data folder with --data.")
    made = back_up(at_hand(settings, data), config, file)
    if made.missing:
        err.print(
            f"{made.missing} pieces of evidence that the database names are gone from {settings.evidence.url}.",
            highlight=False,
        )
    show(
        {
            "file": str(file),
            "mine": settings.mine,
            "bytes": file.stat().st_size,
            "files": len(made.manifest.files),
            "evidence": made.evidence,
            "evidence_missing": made.missing,
        },
        as_json=as_json,
    )


def restore(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="An archive that 'minewatch backup' made.")],
    *,
    config: Annotated[
        Path | None,
        typer.Option("--config", help="Says where database and evidence go; else the archived configuration does."),
    ] = None,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Make an installation out of a backup, in a folder that holds nothing yet."""
    from console import restore as restoring

    done = restoring.restore(file, data, config, context.obj)
    show(
        {
            "data": str(data),
            **done.manifest.about,
            "files": len(done.manifest.files),
            "configuration": str(done.configuration or ""),
        },
        as_json=as_json,
    )
