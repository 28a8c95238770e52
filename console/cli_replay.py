"""The command that analyses a risk's evidence again."""

from typing import Annotated

import typer
from sqlalchemy import Engine
from sqlmodel import col, or_, select

from console.cli_keeping import settings_at_hand
from console.installation import at_hand
from console.options import DATA, Config, Data, Json, out, show
from disposal.alert import AlertRisk
from stream.database import reading
from stream.errors import MinewatchError
from stream.messages import Risk


def register(app: typer.Typer) -> None:
    """Add the command to ``minewatch vision``."""
    app.command(name="replay")(replay)


def replay(
    context: typer.Context,
    risk_id: Annotated[str, typer.Argument(help="The risk's id, or its alert's, which stands in the alert's address.")],
    *,
    config: Config = None,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Find a risk again from its evidence alone. Exit code 1 where it comes out otherwise, or cannot be tried."""
    from vision.replay import replay as again

    settings = settings_at_hand(context, config, data)
    installation = at_hand(settings, data)
    found = again(raised_risk(installation.engine, settings.mine, risk_id), installation.evidence)
    if as_json:
        show(found.as_dict(), as_json=True)
    else:
        out.print(f"{found.type} in {found.zone or 'the whole picture'}: {found.outcome}", highlight=False)
        for line in (*found.reasons, *found.notes):
            out.print(f"  {line}", highlight=False, markup=False, soft_wrap=True)
    if found.outcome != "same":
        raise typer.Exit(1)


def raised_risk(engine: Engine, mine: str, identity: str) -> Risk:
    """The event that raised the risk with that id, or the last risk behind the alert with that id.

    Raises MinewatchError where there is none.
    """
    with reading(engine) as session:
        row = session.exec(
            select(AlertRisk)
            .where(AlertRisk.mine == mine, AlertRisk.state == "raised")
            .where(or_(col(AlertRisk.risk_id) == identity, col(AlertRisk.alert_id) == identity))
            .order_by(col(AlertRisk.published_at).desc())
        ).first()
    if row is None:
        raise MinewatchError(f"Mine {mine} has no risk {identity!r}: give its id, or that of its alert.")
    return row.risk
