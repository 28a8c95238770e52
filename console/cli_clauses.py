"""Commands of the code book."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress
from sqlalchemy import Engine

from console.cli_keeping import settings_at_hand
from console.cli_search import register
from console.installation import Installation, at_hand
from console.options import DATA, Config, Data, Json, err, out, show
from disposal.book import recorded
from rules import clause, codebook, revision
from stream.messages import utc_now

app = typer.Typer(help="The code book: import, read, search, evaluate and export clauses.", no_args_is_help=True)

SAMPLES = Path(__file__).resolve().parent.parent / "samples" / "codebook"
AUTHOR, APPROVER = "code book", "release"
"""Who wrote and who approved the sample code book: two parties, none of them a person."""

Code = Annotated[str, typer.Option("--code", help="The code's id, for instance CMSR.")]
Edition = Annotated[str, typer.Option("--edition", help="The edition, for instance 2016.")]
By = Annotated[str, typer.Option("--by", help="Who does it; reviewer and publisher differ.")]
Day = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"])]


def publish_samples(engine: Engine, mine: str, *, supplement: bool) -> None:
    """Publish the sample code book for ``mine``, with the site supplement of the rendered mine where asked."""
    for name in ("national", "supplement") if supplement else ("national",):
        codebook.load_codebook(engine, SAMPLES / f"{name}.toml", mine, AUTHOR, APPROVER, recorded(mine))


@app.command("import")
def import_(
    context: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(
            help="A code as .txt, .md, .docx, .pdf, .html, .xml, .json, .csv or .xlsx, or a code book as .toml."
        ),
    ],
    *,
    code: Annotated[str, typer.Option("--code", help="The code's id; a .toml file says it itself.")] = "",
    edition: Annotated[str, typer.Option("--edition", help="The edition; a .toml file says it itself.")] = "",
    effective_from: Day = None,
    by: By = "import",
    replaces: Annotated[
        bool, typer.Option("--replace", help="The file is the whole code: what it does not have is repealed.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the report and write nothing.")] = False,
    config: Config = None,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Import a whole code as drafts, to be reviewed and published."""
    from rules.importer import import_code

    installation = _open(context, config, data)
    start = None if effective_from is None else effective_from.replace(tzinfo=UTC)
    mine = installation.settings.mine
    with page_bar() as progress:
        report = import_code(
            installation.engine, file, code, edition, start, by, mine=mine, replaces=replaces, dry_run=dry_run,
            progress=progress, record=recorded(mine),
        ).as_dict()  # fmt: skip
    if as_json:
        show(report, as_json=True)
        return
    changes: list[dict[str, str]] = report.pop("changes")  # type: ignore[assignment]
    show({name: value for name, value in report.items() if value != ()}, as_json=False)
    for change in changes:
        print_change(change)
    if absent := sum(change["kind"] == "absent" for change in changes):
        out.print(f"{absent} clauses are not in the file and stay as they are (--replace would repeal them).")


@app.command("list")
def list_(
    context: typer.Context,
    *,
    code: Annotated[str, typer.Option("--code", help="Only this code's clauses.")] = "",
    as_of: Day = None,
    config: Config = None,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """List the clauses, each in its newest version; with --as-of those that were in force on that day."""
    installation = _open(context, config, data)
    at = _moment(as_of)
    codes = (
        [code] if code else sorted({e.code for e in clause.editions(installation.engine, installation.settings.mine)})
    )
    if as_of is None:
        found = [p for c in codes for p in clause.listing(installation.engine, c, at)]
    else:
        found = [p for p in clause.in_force(installation.engine, installation.settings.mine, at) if p.code in codes]
    if as_json:
        show({"clauses": [_brief(p) for p in found]}, as_json=True)
        return
    for provision in found:
        out.print(
            f"{provision.code} {provision.number}  {provision.state}  {provision.title('zh')}  {provision.title('en')}",
            highlight=False,
        )


@app.command("show")
def show_(
    context: typer.Context,
    number: Annotated[str, typer.Argument(help="The clause's number.")],
    *,
    code: Code,
    as_of: Day = None,
    config: Config = None,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Show every version of one clause."""
    installation = _open(context, config, data)
    versions = clause.history(installation.engine, clause.clause_id(code, number), _moment(as_of))
    show({"versions": [_whole(p) for p in versions]}, as_json=as_json)


register(app)


@app.command()
def export(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="Where to write: .csv or .json.")],
    *,
    code: Code,
    as_of: Day = None,
    config: Config = None,
    data: Data = DATA,
) -> None:
    """Write a code's clauses to a file."""
    from rules.export import export_code

    count = export_code(_open(context, config, data).engine, code, file, _moment(as_of))
    err.print(f"{count} clauses written to {file}.", highlight=False)


@app.command()
def review(
    context: typer.Context,
    *,
    code: Code,
    edition: Edition,
    by: By,
    reason: Annotated[
        str, typer.Option("--reason", help="Why what a supplement tightens by words alone loosens nothing.")
    ] = "",
    config: Config = None,
    data: Data = DATA,
) -> None:
    """Mark all drafts of an edition as reviewed."""
    ours = _open(context, config, data)
    count = revision.review_edition(ours.engine, code, edition, by, recorded(ours.settings.mine), reason)
    err.print(f"{count} drafts reviewed by {by}.", highlight=False)


@app.command()
def publish(
    context: typer.Context, *, code: Code, edition: Edition, by: By, config: Config = None, data: Data = DATA
) -> None:
    """Publish all reviewed drafts of an edition; by somebody else than their author."""
    ours = _open(context, config, data)
    count = revision.publish_edition(ours.engine, code, edition, by, record=recorded(ours.settings.mine))
    err.print(f"{count} clauses published by {by}.", highlight=False)


@app.command("what-if")
def what_if_(
    context: typer.Context,
    *,
    code: Code,
    edition: Edition,
    number: Annotated[
        list[str] | None, typer.Option("--number", help="Only this draft's number; may be given again.")
    ] = None,
    days: Annotated[int, typer.Option("--days", min=1, max=3660, help="How many days of alerts to replay.")] = 30,
    config: Config = None,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Tell which alerts of the last days the drafts of an edition would change, before they are published."""
    from disposal.what_if import what_if
    from rules.matcher import Matcher
    from rules.what_if import drafts_of

    installation = _open(context, config, data)
    at = utc_now()
    mine = installation.settings.mine
    drafts = drafts_of(installation.engine, code, edition, number or (), at)
    matcher = Matcher(installation.engine, mine, installation.settings.rules.matcher)
    replay = what_if(installation.engine, mine, drafts, matcher.over, days=days, at=at)
    result = {"drafts": len(drafts), "since": replay.since, "alerts": replay.alerts, "left_out": replay.left_out}
    if as_json:
        show(result | {"effects": [effect.as_dict() for effect in replay.effects]}, as_json=True)
        return
    show(result | {"would_change": len(replay.effects)}, as_json=False)
    for effect in replay.effects:
        out.print(f"{effect.raised_at:%Y-%m-%d %H:%M}  {effect.type}  {effect.place}  {effect.alert}", highlight=False)
        for line in (*(f"cited in a new version: {la.en}" for la in effect.reworded), *(r.en for r in effect.reasons)):
            out.print(f"    {line}", highlight=False, markup=False)


_SIGNS = {"added": "+", "changed": "~", "repealed": "-"}


def print_change(change: Mapping[str, str]) -> None:
    """One article of the diff that an import shows: what became of it, and its words before and after."""
    if change["kind"] not in _SIGNS:
        return
    out.print(f"{_SIGNS[change['kind']]} {change['number']}  {change['kind']}", highlight=False, markup=False)
    for sign, words in (("-", change["before"]), ("+", change["after"])):
        if words and change["kind"] == "changed":
            out.print(f"    {sign} {words}", highlight=False, markup=False, soft_wrap=True)


@contextmanager
def page_bar() -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr of the pages read, once there is a second page; none where nobody looks."""
    with Progress(console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("Reading pages", total=None, visible=False)
        yield lambda done, total: bar.update(task, completed=done, total=total, visible=total > 1)


def _open(context: typer.Context, config: Path | None, data: Path) -> Installation:
    return at_hand(settings_at_hand(context, config, data), data)


def _moment(day: datetime | None) -> datetime:
    return utc_now() if day is None else day.replace(tzinfo=UTC)


def _brief(provision: clause.Provision) -> dict[str, Any]:
    return {
        "clause": provision.clause_id,
        "code": provision.code,
        "edition": provision.edition,
        "number": provision.number,
        "state": provision.state,
        "title_zh": provision.title("zh"),
        "title_en": provision.title("en"),
    }


def _whole(provision: clause.Provision) -> dict[str, Any]:
    content = provision.content
    return _brief(provision) | {
        "version": provision.version,
        "text_zh": content.text_zh,
        "text_en": content.text_en,
        "effective_from": content.effective_from,
        "effective_to": content.effective_to,
        "author": provision.author,
        "reviewer": provision.reviewer,
        "reviewed_at": provision.reviewed_at,
        "review_reason": provision.review_reason,
        "approver": provision.approver,
    }
