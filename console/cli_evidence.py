"""Commands about evidence that somebody wants kept beyond its time."""

from typing import Annotated

import typer

from console.cli_keeping import settings_at_hand
from console.installation import at_hand
from console.options import DATA, Config, Data, Json, show
from stream.messages import utc_now

app = typer.Typer(help="Evidence that is kept for ever.", no_args_is_help=True)

AlertId = Annotated[
    str, typer.Argument(metavar="ALERT", help="The alert's number, as it stands in its page's address.")
]
By = Annotated[str, typer.Option("--by", help="Who decided this; it stands in the audit.")]


@app.command("hold")
def hold(
    context: typer.Context,
    alert_id: AlertId,
    by: By,
    reason: Annotated[str, typer.Option("--reason", help="Who asked for it, and why.")],
    *,
    config: Config = None,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Keep an alert's evidence until it is released, however old it gets."""
    from disposal.retention import place_hold

    settings = settings_at_hand(context, config, data)
    place_hold(at_hand(settings, data).engine, settings.mine, alert_id, by, reason, utc_now())
    show({"alert": alert_id, "held": True, "reason": reason}, as_json=as_json)


@app.command("release")
def release(
    context: typer.Context,
    alert_id: AlertId,
    by: By,
    *,
    config: Config = None,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Let an alert's evidence go when its time has come."""
    from disposal.retention import lift_hold

    settings = settings_at_hand(context, config, data)
    lift_hold(at_hand(settings, data).engine, settings.mine, alert_id, by)
    show({"alert": alert_id, "held": False}, as_json=as_json)


@app.command("held")
def held(context: typer.Context, *, config: Config = None, data: Data = DATA, as_json: Json = False) -> None:
    """List what is on hold, and why."""
    from disposal.retention import holds

    settings = settings_at_hand(context, config, data)
    found = holds(at_hand(settings, data).engine, settings.mine)
    if as_json:
        rows = [{"alert": h.alert_id, "by": h.placed_by, "reason": h.reason, "at": h.placed_at} for h in found]
        show({"holds": rows}, as_json=True)
    else:
        show({h.alert_id: f"{h.placed_at:%Y-%m-%d} {h.placed_by}: {h.reason}" for h in found}, as_json=False)
