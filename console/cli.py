"""The command line: the one place that reads the environment and turns refusals into a line and an exit code."""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from typer.exceptions import TyperException

from console import (
    cli_clauses,
    cli_draft,
    cli_evidence,
    cli_feedback,
    cli_keeping,
    cli_policy,
    cli_replay,
    cli_sets,
    cli_vision,
)
from console.demo import SAMPLES, demo_installation
from console.doctor import check_endpoint
from console.installation import FILE, Installation, is_known, open_installation, site_in_force
from console.logs import set_up
from console.operation import Operation, Plan, wanted
from console.options import DATA, Config, Data, Json, Seconds, Weights, err, show, stoppable
from console.settings import Settings, load
from console.sources import faults
from console.stages import STAGES
from console.watch import chosen, watched_site
from console.web_settings import check_port
from stream.errors import ConfigurationError, MinewatchError
from stream.site import Site, store_site

app = typer.Typer(
    name="minewatch",
    help="The safety lamp of a mine's control room.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(cli_clauses.app, name="clauses")
app.add_typer(cli_evidence.app, name="evidence")
app.add_typer(cli_vision.app, name="vision")
app.add_typer(cli_policy.app, name="policy")
app.add_typer(cli_draft.app, name="draft")
cli_sets.register(cli_vision.app)
cli_replay.register(cli_vision.app)
cli_feedback.register(cli_vision.app)
cli_keeping.register(app)

LogLevel = Annotated[
    str, typer.Option("--log-level", envvar="MINEWATCH_LOG_LEVEL", help="debug, info, warning or error.")
]
_ENVIRONMENT_OF_OTHERS = ("MINEWATCH_DATA", "MINEWATCH_CONFIG", "MINEWATCH_LOG_LEVEL")


@app.callback()
def _begin(context: typer.Context, log_level: LogLevel = "warning") -> None:
    if log_level not in ("debug", "info", "warning", "error"):
        raise ConfigurationError(f"--log-level is {log_level!r}: write debug, info, warning or error.")
    set_up(log_level)
    context.obj = {name: value for name, value in os.environ.items() if name not in _ENVIRONMENT_OF_OTHERS}


@app.command()
def demo(
    context: typer.Context,
    *,
    headless: Annotated[bool, typer.Option("--headless", help="Serve no console.")] = False,
    seconds: Seconds = None,
    as_json: Json = False,
    data: Data = DATA,
) -> None:
    """Play the rendered mine through the whole house."""
    if not headless:
        check_port(load(SAMPLES / "minewatch.toml", context.obj, data).console)
    with demo_installation(data, context.obj) as installation:
        site = installation.settings.site()
        if not headless:
            _welcome(installation)
        result = _operate(installation, site, Plan(wanted(None, headless=headless, site=site), seconds), context)
    show(result, as_json=as_json)


@app.command()
def run(
    context: typer.Context,
    *,
    config: Config = None,
    only: Annotated[str | None, typer.Option("--only", help=f"Stages, parted by commas: {', '.join(STAGES)}.")] = None,
    seconds: Seconds = None,
    take_site: Annotated[
        bool, typer.Option("--take-site", help="Take places, cameras, sensors and zones from the file again.")
    ] = False,
    as_json: Json = False,
    data: Data = DATA,
) -> None:
    """Run a mine as its configuration says; once its site was edited at the console, as that says."""
    if config is None:
        raise ConfigurationError(
            f"There is no configuration: name one with --config, for instance a copy of {SAMPLES / 'minewatch.toml'}."
        )
    settings = load(config, context.obj, data)
    site = settings.site()
    known = open_installation(settings, data, "site", _say) if is_known(data) else None
    if known is not None:
        site = _in_force(known, site, take=take_site)
    stages = wanted(_stages(only), headless=False, site=site)
    if "console" in stages:
        check_port(settings.console)
    if "disposal" in stages:
        _check_model(settings, data)
    bad = _check_sources(site, stages, settings)
    installation = known or open_installation(settings, data, "site", _say)
    if known is None:
        site = _in_force(installation, site, take=False)
    if "console" in stages:
        _welcome(installation)
    result = _operate(installation, site, Plan(stages, seconds), context)
    show(result, as_json=as_json)
    if bad:
        raise typer.Exit(1)


@app.command()
def watch(
    context: typer.Context,
    sources: Annotated[list[str], typer.Argument(help="Video files, folders of pictures or camera URLs.")],
    *,
    zones: Annotated[Path | None, typer.Option("--zones", help="TOML file of [[zones]].")] = None,
    weights: Weights = None,
    detectors: Annotated[
        str, typer.Option("--detectors", help="Which of the set-up detectors look, with commas: ppe,fire.")
    ] = "ppe",
    seconds: Seconds = None,
    as_json: Json = False,
    config: Config = None,
    data: Data = DATA,
) -> None:
    """Take any video, folder or URL through the whole pipeline with no configuration."""
    folder = data / "watch" / f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}"
    settings = load(config, context.obj, folder)
    vision = settings.vision.for_watch(weights)
    site = watched_site(sources, zones, chosen(detectors, vision.detectors))
    settings = settings.model_copy(update={"mine": site.mine, "vision": vision})
    stages = wanted(None, headless=True, site=site)
    bad = _check_sources(site, stages, settings)
    installation = open_installation(settings, folder, "watch")
    store_site(installation.engine, site, "watch")
    cli_clauses.publish_samples(installation.engine, site.mine, supplement=False)
    result = _operate(installation, site, Plan(stages, seconds, until_drained=True), context)
    show(result, as_json=as_json)
    if not as_json:
        err.print(f"Documents and evidence lie in {folder}.", highlight=False)
    if bad:
        raise typer.Exit(1)


def main() -> None:
    """Run the command line; a refusal is one line on stderr and exit code 2."""
    try:
        code = app(standalone_mode=False)
    except MinewatchError as error:
        sys.stderr.write(f"minewatch: {error}\n")
        code = 2
    except TyperException as error:
        if said := error.format_message():  # empty where the help was shown instead
            sys.stderr.write(f"minewatch: {said}\n")
        code = 2
    except typer.Abort:
        code = 130
    sys.exit(code if isinstance(code, int) else 0)


def _in_force(installation: Installation, site: Site, *, take: bool) -> Site:
    """The site as the tables have it; says so where the file holds another one."""
    if take:
        store_site(installation.engine, site, FILE)
    found, left_out = site_in_force(installation, site)
    if left_out:
        sys.stderr.write(
            "minewatch: The site was edited at the console, and the configuration holds another one: "
            "the console's is in force. Start once with --take-site to take the file's instead.\n"
        )
    return found


def _say(line: str) -> None:
    sys.stderr.write(f"minewatch: {line}\n")


def _stages(only: str | None) -> tuple[str, ...] | None:
    if only is None:
        return None
    names = tuple(name.strip() for name in only.split(",") if name.strip())
    for name in names:
        if name not in STAGES:
            raise ConfigurationError(f"There is no stage {name!r}: the stages are {', '.join(STAGES)}.")
    return names


def _check_sources(site: Site, stages: tuple[str, ...], settings: Settings) -> list[str]:
    """Open every source that will be read; say the bad ones. Raises ConfigurationError where none opens."""
    cameras = site.cameras if "capture" in stages else ()
    sensors = site.sensors if "sensing" in stages else ()
    bad = faults(cameras, sensors, settings.mqtt)
    if bad and len(bad) == len(cameras) + len(sensors):
        raise ConfigurationError(" ".join(bad))
    for line in bad:
        sys.stderr.write(f"minewatch: {line}\n")
    return bad


def _check_model(settings: Settings, data: Path) -> None:
    """Set up no new site on a dead model endpoint; a known one starts all the same: alarms never wait for a model."""
    url = settings.disposal.drafter.endpoint.url
    try:
        if url:
            check_endpoint(url)
    except ConfigurationError as error:
        if not is_known(data):
            raise
        sys.stderr.write(f"minewatch: {error}\n")


def _welcome(installation: Installation) -> None:
    from console.accounts import ensure_first_admin

    web = installation.settings.console
    first = ensure_first_admin(installation.engine, installation.settings.mine)
    address = f"{'https' if web.tls_certificate else 'http'}://{web.host}:{web.port}/"
    err.print(f"The console is at [bold]{address}[/bold]", highlight=False)
    if first is not None:
        err.print(
            f"Sign in as [bold]{first[0]}[/bold] with the one-time password [bold]{first[1]}[/bold]", highlight=False
        )


def _operate(installation: Installation, site: Site, plan: Plan, context: typer.Context) -> dict[str, object]:
    level = context.parent.params["log_level"] if context.parent else "warning"
    with stoppable() as stop:
        return Operation(installation, site, plan, level).run(stop)
