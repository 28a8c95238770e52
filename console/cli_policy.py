"""Commands of the closure policy."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from console.cli_keeping import settings_at_hand
from console.installation import at_hand
from console.options import DATA, Config, Data, Json, out, show
from stream.messages import utc_now

app = typer.Typer(help="The closure policy.", no_args_is_help=True)

_SHOWN = 20


_By = Annotated[str, typer.Option("--by", help="Who does it, for the audit; never the author of the policy.")]
_Policy = Annotated[str, typer.Argument(help="The policy as NAME@VERSION.")]


@app.command("list")
def list_(context: typer.Context, *, config: Config = None, data: Data = DATA, as_json: Json = False) -> None:
    """Every version with its state, what people have judged of it, and what still bars its activation."""
    from disposal.activation import standings

    installation = at_hand(settings_at_hand(context, config, data), data)
    found = [
        {
            "policy": one.row.id,
            "state": one.row.state,
            "author": one.row.author,
            "approver": one.row.approver,
            "judged": one.tally.judged,
            "wrong": one.tally.wrong,
            "barred_by": one.obstacle,
        }
        for one in standings(installation.engine, installation.settings.mine)
    ]
    if as_json:
        show({"mine": installation.settings.mine, "policies": found}, as_json=True)
        return
    for one in found:
        out.print("  ".join(str(value) for value in one.values()), highlight=False, markup=False)


@app.command()
def draft(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The policy as TOML: types, bounds, caps, sample and target.")],
    *,
    by: Annotated[str, typer.Option("--by", help="Its author, for the audit.")],
    name: Annotated[str, typer.Option("--name", help="What the policy is called.")] = "routine",
    config: Config = None,
    data: Data = DATA,
) -> None:
    """Store a new version as a draft."""
    from disposal.activation import read_policy, store

    installation = at_hand(settings_at_hand(context, config, data), data)
    out.print(store(installation.engine, installation.settings.mine, read_policy(file), by, name), highlight=False)


@app.command()
def approve(context: typer.Context, policy: _Policy, *, by: _By, config: Config = None, data: Data = DATA) -> None:
    """Let a draft judge in shadow, without closing anything."""
    from disposal import activation

    installation = at_hand(settings_at_hand(context, config, data), data)
    activation.approve(installation.engine, installation.settings.mine, policy, by)
    out.print(f"{policy} judges in shadow", highlight=False)


@app.command()
def activate(context: typer.Context, policy: _Policy, *, by: _By, config: Config = None, data: Data = DATA) -> None:
    """Let a policy in shadow close, once enough of its closures were judged by people."""
    from disposal import activation

    installation = at_hand(settings_at_hand(context, config, data), data)
    activation.activate(installation.engine, installation.settings.mine, policy, by)
    out.print(f"{policy} is active", highlight=False)


@app.command()
def stop(
    context: typer.Context,
    *,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the audit.")],
    by: _By,
    config: Config = None,
    data: Data = DATA,
) -> None:
    """The kill switch: nothing closes automatically any more, at once."""
    from disposal.activation import stop_closing

    installation = at_hand(settings_at_hand(context, config, data), data)
    stopped = stop_closing(installation.engine, installation.settings.mine, by, reason)
    out.print(f"suspended: {', '.join(stopped) or 'no policy was active'}", highlight=False)


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
