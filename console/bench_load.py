"""The load of the console's benchmark: browsers that listen, alerts that come, decisions that are taken meanwhile."""

import asyncio
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import httpx2

from disposal.alert import alert_identity
from disposal.intake import take_all
from disposal.settings import DisposalSettings
from stream.catalogue import RISK_TYPES
from stream.database import open_database, writing
from stream.messages import Risk, risk_identity, utc_now
from stream.site import Site

AGENT = "bench"
_LINE = re.compile(r'"r-([0-9a-f]{32})')
_TOKEN = re.compile(r'name="form_token" value="([^"]+)"')


def flood(url: str, site: Site, per_minute: int, seconds: float, began: "SimpleQueue[tuple[str, float]]") -> None:
    """Take risks in as disposal's first thread does, one after the other; telling its id and when it was begun."""
    engine = open_database(url)
    kinds = [kind.id for kind in RISK_TYPES.values() if kind.id not in ("camera-offline", "sensor-stale")]
    start = time.time()
    for number in range(int(per_minute * seconds / 60)):
        time.sleep(max(0.0, start + number * 60 / per_minute - time.time()))
        camera = site.cameras[number % len(site.cameras)]
        risk = _risk(site.mine, camera.id, camera.place, kinds[number % len(kinds)], number)
        moment = time.time()
        with writing(engine) as session:
            take_all(session, [risk], site, DisposalSettings(), utc_now())
        began.put((alert_identity(site.mine, risk.risk_id), moment))
    engine.dispose()


def _risk(mine: str, source: str, place: str, kind: str, number: int) -> Risk:
    now = utc_now()
    return Risk(
        mine=mine, risk_id=risk_identity(source, kind, None, f"bench/{number}"), sequence=0, state="raised", type=kind,
        source=source, source_kind="camera", place=place, zone=f"zone-{number}", confidence=0.9, started_at=now,
        observed_at=now, read_at=now, published_at=now, reason="bench", detector="bench",
    )  # fmt: skip


class Browsers:
    """So many browsers' streams; ``seen`` holds, for each, when each alert's line first came."""

    def __init__(self, port: int, cookie: str, count: int) -> None:
        self.seen: list[dict[str, float]] = [{} for _ in range(count)]
        self._port = port
        self._cookie = cookie

    async def listen(self, stop: Callable[[], bool]) -> None:
        """Listen with all of them until told to stop."""
        listening = [asyncio.create_task(self._one(seen)) for seen in self.seen]
        while not stop():
            await asyncio.sleep(0.2)
            for task in listening:
                if task.done():
                    task.result()
        for task in listening:
            task.cancel()
        await asyncio.gather(*listening, return_exceptions=True)

    async def _one(self, seen: dict[str, float]) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=4 * 1024**2)
        try:
            await self._follow(reader, writer, seen)
        finally:
            writer.close()

    async def _follow(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: dict[str, float]) -> None:
        request = (
            "GET /events?after=1&tab=open HTTP/1.1",
            f"Host: 127.0.0.1:{self._port}",
            f"Cookie: {self._cookie}",
            f"User-Agent: {AGENT}",
        )
        writer.write("\r\n".join((*request, "", "")).encode())
        if b" 200 " not in await reader.readline():
            raise ConnectionError("the console does not let the benchmark's browsers listen")
        async for line in reader:
            if line.startswith(b'data: {"strip"'):
                now = time.time()
                for identity in _LINE.findall(line.decode().replace('\\"', '"')):
                    seen.setdefault(identity, now)


class Dispatcher:
    """One person at the console over HTTP; each answer is timed, in milliseconds."""

    def __init__(self, port: int, cookie: str) -> None:
        headers = {"User-Agent": AGENT, "Cookie": cookie, "Accept-Encoding": "gzip"}
        self._client = httpx2.Client(
            base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False, timeout=30.0
        )
        found = _TOKEN.search(self._client.get("/password").text)
        assert found is not None
        self._token = found[1]

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()

    def get(self, address: str) -> float:
        """How long the whole answer takes."""
        began = time.perf_counter()
        self._client.get(address).raise_for_status()
        return (time.perf_counter() - began) * 1000

    def acknowledge(self, alert_id: str) -> float:
        """How long a durable decision takes."""
        began = time.perf_counter()
        answer = self._client.post(
            f"/alerts/{alert_id}/acknowledge",
            data={"form_token": self._token},
            headers={"X-Requested-With": "console"},
        )
        answer.raise_for_status()
        return (time.perf_counter() - began) * 1000

    def weight(self, addresses: Sequence[str]) -> int:
        """Bytes of these answers as they travel."""
        total = 0
        for address in addresses:
            with self._client.stream("GET", address) as answer:
                total += sum(len(part) for part in answer.iter_raw())
        return total

    def decide_all(self, alerts: Iterator[str], pause: float, stop: Event) -> list[float]:
        """Acknowledge one alert after the other until told to stop."""
        taken = []
        for alert_id in alerts:
            if stop.wait(pause):
                break
            taken.append(self.acknowledge(alert_id))
        return taken


def first_paints(chromium: Path, port: int, cookies: Mapping[str, str], times: int) -> list[float]:
    """Milliseconds until a fresh browser has painted the queue; playwright drives it, which only tests install."""
    found = []
    with import_module("playwright.sync_api").sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for _ in range(times):
            with _page(browser, port, cookies) as page:
                page.goto(f"http://127.0.0.1:{port}/")
                page.wait_for_selector("html[data-ready]")
                found.append(
                    float(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
                )
        browser.close()
    return found


@contextmanager
def _page(browser: Any, port: int, cookies: Mapping[str, str]) -> Iterator[Any]:
    with browser.new_context(user_agent=AGENT, viewport={"width": 1920, "height": 1080}) as context:
        context.add_cookies(
            [{"name": name, "value": value, "url": f"http://127.0.0.1:{port}"} for name, value in cookies.items()]
        )
        yield context.new_page()
