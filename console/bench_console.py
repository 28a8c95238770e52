"""What the console bears: fifty browsers, a flood of alerts, a database of a million, and how soon a person sees."""

import asyncio
import multiprocessing
import shutil
import socket
import statistics
import tempfile
import threading
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from sqlmodel import SQLModel, select

from console import tables
from console.accounts import Account, add_user
from console.auth import cookie_name
from console.bench_fill import fill
from console.bench_load import AGENT, Browsers, Dispatcher, first_paints, flood
from console.sessions import log_in
from console.settings import Settings
from console.web_settings import WebSettings
from stream.database import open_database, writing
from stream.errors import ConfigurationError
from stream.site import Site, store_site

_SAMPLE = Path(__file__).parents[1] / "samples" / "minewatch.toml"
_STATIC = Path(__file__).parent / "static"
_PER_MINUTE = 1000
_BROWSERS = 50
_DECISIONS_PAUSE = 0.4
_PATIENCE = 60.0
_SETTLE = 2.0


class Size(NamedTuple):
    """How much is measured: alerts in the database before, seconds of the flood, pages asked for and painted."""

    closed: int
    opened: int
    seconds: float
    asked: int
    painted: int


_WHOLE, _SHORT = Size(1_000_000, 10_000, 300.0, 40, 5), Size(20_000, 2_000, 4.0, 6, 1)


class House(NamedTuple):
    """A running console, with who is signed in at it."""

    site: Site
    url: str
    port: int
    cookies: dict[str, str]
    pid: int

    @property
    def cookie(self) -> str:
        """The cookies as a header says them."""
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())


def measure(material: Path, *, short: bool) -> Mapping[str, Any]:
    """The console in a process of its own on a filled SQLite database, browsers and dispatchers over HTTP beside it.

    An alert is visible when its line has reached a browser; it counts from when the risk was taken in hand, with the
    commit in it. First paint is a fresh Chromium's, where Chromium and playwright are installed, else null.
    ``material`` is not looked at.
    """
    del material
    size = _SHORT if short else _WHOLE
    with (
        tempfile.TemporaryDirectory(prefix="minewatch-bench-") as name,
        _running(Path(name), size) as house,
        closing(Dispatcher(house.port, house.cookie)) as dispatcher,
    ):
        dispatcher.get("/")
        calm = _calm(dispatcher, size)
        paints = _paints(house, size)
        return {
            "closed_alerts": size.closed,
            "open_alerts": size.opened,
            **calm,
            "first_paint_ms": _round(statistics.median(paints)) if paints else None,
            **_under_load(house, size, dispatcher),
        }


def _calm(dispatcher: Dispatcher, size: Size) -> dict[str, Any]:
    """What filtering, moving on and the page's weight come to while nothing else happens."""
    filters = ("/?priority=high", "/?tab=waiting", "/?state=ACKED", "/?tab=closed", "/?words=belt", "/?priority=low")
    filtered = [dispatcher.get(filters[n % len(filters)]) for n in range(size.asked)]
    chosen = [dispatcher.get(f"/card?selected=o{n + 1:031x}") for n in range(size.asked)]
    files = [f"/static/{name}" for name in ("console.css", "lamp.svg", *(p.name for p in _STATIC.glob("*.js")))]
    return {
        "filter_p95_ms": _round(_quantile(filtered, 0.95)),
        "scroll_p95_ms": _round(_quantile(chosen, 0.95)),
        "queue_kb": _round(dispatcher.weight(("/", *files)) / 1000),
    }


def _paints(house: House, size: Size) -> list[float]:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None or find_spec("playwright") is None:
        return []
    return first_paints(Path(chromium), house.port, house.cookies, size.painted)


def _under_load(house: House, size: Size, dispatcher: Dispatcher) -> dict[str, Any]:
    context = multiprocessing.get_context("spawn")
    began, stop, ended = context.SimpleQueue(), context.Event(), threading.Event()
    source = context.Process(target=flood, args=(house.url, house.site, _PER_MINUTE, size.seconds, began), daemon=True)
    browsers = Browsers(house.port, house.cookie, _BROWSERS)
    decisions: list[float] = []
    memory: list[tuple[float, float]] = []
    work: tuple[Callable[[], object], ...] = (
        lambda: asyncio.run(browsers.listen(ended.is_set)),
        lambda: decisions.extend(
            dispatcher.decide_all((f"o{n:031x}" for n in count(1)), _DECISIONS_PAUSE, stop)  # the filled ones
        ),
        lambda: memory.extend(_watch_memory(house.pid, ended)),
    )
    threads = [threading.Thread(target=one, daemon=True) for one in work]
    for thread in threads:
        thread.start()
    time.sleep(_SETTLE)
    source.start()
    raised: dict[str, float] = {}
    while source.is_alive() or not began.empty():
        if began.empty():
            time.sleep(0.05)
        else:
            identity, moment = began.get()
            raised[identity] = moment
    time.sleep(_SETTLE)
    stop.set()
    ended.set()
    for thread in threads:
        thread.join(_PATIENCE)
    waits = [(s[i] - at) * 1000 for s in browsers.seen for i, at in raised.items() if i in s]
    return {
        "browsers": _BROWSERS,
        "alerts_per_minute": _PER_MINUTE,
        "seconds": size.seconds,
        "alerts": len(raised),
        "missed": len(raised) * _BROWSERS - len(waits),
        "visible_p50_ms": _round(_quantile(waits, 0.5)),
        "visible_p99_ms": _round(_quantile(waits, 0.99)),
        "decisions": len(decisions),
        "decision_p50_ms": _round(_quantile(decisions, 0.5)),
        "decision_p99_ms": _round(_quantile(decisions, 0.99)),
        "memory_slope": _round(slope(memory[len(memory) // 3 :])),
    }


def slope(points: Sequence[tuple[float, float]]) -> float:
    """By how much the second figure grows while the first grows by one: the line of least squares."""
    if len(points) < 2:
        return 0.0
    return statistics.linear_regression([x for x, _ in points], [y for _, y in points]).slope


def _watch_memory(pid: int, ended: threading.Event) -> list[tuple[float, float]]:
    """Minutes and megabytes of the process, once a second."""
    found = []
    while not ended.wait(1.0):
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        found.append((time.monotonic() / 60, pages * 4096 / 1e6))
    return found


@contextmanager
def _running(folder: Path, size: Size) -> Iterator[House]:
    site, url = _site(), f"sqlite:///{folder / 'bench.db'}"
    settings = WebSettings(port=_free_port(), language="en")
    cookies = _fill(url, site, size, settings)
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    server = context.Process(target=_serve, args=(stop, url, site.mine, folder, settings), daemon=True)
    server.start()
    try:
        _await(settings.port)
        assert server.pid is not None
        yield House(site, url, settings.port, cookies, server.pid)
    finally:
        stop.set()
        server.join(10)
        if server.is_alive():
            server.kill()


def _serve(stop: Any, url: str, mine: str, folder: Path, settings: WebSettings) -> None:
    from console.app import serve
    from stream.evidence import EvidenceStore
    from stream.log import open_log
    from stream.settings import LogSettings

    log = open_log(LogSettings(folder=folder / "log", frames_bytes=16 * 1024**2))
    serve(
        stop, engine=open_database(url), mine=mine, evidence=EvidenceStore(folder / "evidence"), log=log,
        settings=settings,
    )  # fmt: skip


def _fill(url: str, site: Site, size: Size, settings: WebSettings) -> dict[str, str]:
    """Make the database; answers the cookies of a dispatcher who is signed in."""
    engine = open_database(url)
    assert tables.__all__
    SQLModel.metadata.create_all(engine)
    store_site(engine, site, "bench")
    fill(engine, site, closed=size.closed, opened=size.opened)
    password = add_user(engine, site.mine, "bench", "dispatcher")
    with writing(engine) as session:
        account = session.exec(select(Account).where(Account.name == "bench")).one()
        account.must_change = False
        session.add(account)
    token = log_in(engine, site.mine, settings, name="bench", password=password, address="127.0.0.1", browser=AGENT)
    engine.dispose()
    return {cookie_name(settings): token}


def _site() -> Site:
    with _SAMPLE.open("rb") as file:
        return Settings(**tomllib.load(file)).site()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await(port: int) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise ConfigurationError("The console did not start within a minute: see its own lines above.")


def _quantile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


def _round(value: float) -> float:
    return round(value, 1)
