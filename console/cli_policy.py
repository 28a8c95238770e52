"""Commands of the closure policy."""

from datetime import timedelta
from typing import Annotated

import typer

from console.cli_keeping import settings_at_hand
from console.installation import at_hand
from console.options import DATA, Config, Data, Json, out, show
from stream.messages import utc_now

app = typer.Typer(help="The closure policy.", no_args_is_help=True)

_SHOWN = 20


@app.callback()
def _policy() -> None:
    """Keep the commands below this name, also while there is one alone."""


@app.command()
def backtest(
    context: typer.Context,
    *,
    policy: Annotated[str, typer.Option("--policy", help="The policy as NAME@VERSION, or NAME for its newest.")],
    days: Annotated[float, typer.Option("--days", min=0.001, max=36_500, help="So many days up to now.")] = 30,
    by: Annotated[str, typer.Option("--by", help="Who does it, for the audit.")] = "backtest",
    config: Config = None,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Replay history: what the policy would close, why it would not close the rest, and what people had decided."""
    from disposal import backtest as past

    installation = at_hand(settings_at_hand(context, config, data), data)
    mine, now = installation.settings.mine, utc_now()
    row = past.find_policy(installation.engine, mine, policy)
    found = past.report(past.replay(installation.engine, mine, row.read(), now - timedelta(days=days), now))
    past.mark_backtested(installation.engine, row, by, found)
    result = {"mine": mine, "policy": row.id, "days": days, **found}
    if as_json:
        show(result, as_json=True)
        return
    show({name: value for name, value in result.items() if name not in ("closing", "staying")}, as_json=False)
    for verdict, alerts in (("would close", found["closing"]), ("stays", found["staying"])):
        for one in alerts[:_SHOWN]:
            said = ", ".join(f"{p['decision']} by {p['by']}" for p in one["people"]) or "nobody decided"
            why = "; ".join(f"{name}: {figures}" for name, figures in one["why_not"].items())
            out.print(f"{one['alert'][:12]}  {one['type']}  {verdict}  {why}  [{said}]", highlight=False, markup=False)
        if len(alerts) > _SHOWN:
            out.print(f"... and {len(alerts) - _SHOWN} more that {verdict}: see --json.", highlight=False)
