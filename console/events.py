"""Live changes for the pages: the audit lines as server-sent events, told again from where a browser left off."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from functools import partial
from typing import TypeVar

import structlog
from sqlalchemy import Engine, func
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col, select
from starlette.concurrency import run_in_threadpool

from console.live_queue import Change, LiveQueue, News, View, change_event
from disposal.audit import AuditLine
from stream.database import reading
from stream.heartbeat import StageHeartbeat
from stream.messages import utc_now

POLL = 0.15
"""Seconds between two looks at the audit; what a dispatcher waits for an alert at most, beside drawing it."""
PULSE = 2.0
"""Seconds between two signs of life. A page that hears nothing for 5 s says so across its whole width."""
SILENT = timedelta(seconds=15)
"""A stage whose heartbeat is older than this is named on every page."""
_RECHECK = 30.0
_REPLAY = 500
"""With more lines than this to tell again, a page is better told to load itself anew."""
_AT_ONCE = 2000
_QUEUE = 300
_logger = structlog.get_logger()
Said = TypeVar("Said")


class Announcer:
    """Reads the audit once for all browsers and hands each its changes. Belongs to one event loop."""

    def __init__(self, engine: Engine, mine: str, queue: LiveQueue) -> None:
        self._engine = engine
        self._mine = mine
        self._live_queue = queue
        self._subscribers: dict[asyncio.Queue[News | None], View] = {}
        self._last = 0
        self._heard = utc_now()
        self._silent: list[str] = []
        self._closed = False

    async def run(self) -> None:
        """Follow the audit until cancelled."""
        loop = asyncio.get_running_loop()
        looked_at_stages = -PULSE
        self._last = await self._patiently(self.newest)
        while True:
            try:
                changes = await run_in_threadpool(self.read_after, self._last, _AT_ONCE)
                if loop.time() - looked_at_stages >= PULSE:
                    self._silent = await run_in_threadpool(silent_stages, self._engine, self._mine)
                    looked_at_stages = loop.time()
                scopes = {view.sources for view in self._subscribers.values() if view.sources is not None}
                news = await run_in_threadpool(self._live_queue.look, changes, scopes)
                self._heard = utc_now()
                if news is not None:
                    self._last = max(self._last, news.last)
                    self._tell(news)
            except SQLAlchemyError as error:
                _logger.warning("the audit cannot be read", reason=str(error))
                await asyncio.sleep(1)
            await asyncio.sleep(POLL)

    def close(self) -> None:
        """End every stream, so that the server can stop. To be called in the event loop."""
        self._closed = True
        for queue in list(self._subscribers):
            _end(queue)

    async def stream(self, after: int, view: View, opened: Callable[[], bool]) -> AsyncIterator[str]:
        """Server-sent events for one browser: every change behind ``after``, and a pulse at least every 2 s.

        What it missed is told as changes, with the advice to load the page anew (that alone where the view is limited
        to some sources); what comes from then on is told with what it means for the ``view``, which is asked and drawn
        once for all browsers that look the same way.

        The pulse stops while the database does not answer: a page must not look alive when it is not. The stream
        ends when ``opened`` says that the session is over.
        """
        queue: asyncio.Queue[News | None] = asyncio.Queue(_QUEUE)
        self._subscribers[queue] = view
        # Spread out: fifty browsers that came together would all look at once, and everybody else would wait for them.
        checked = asyncio.get_running_loop().time() - random.uniform(0, _RECHECK)  # noqa: S311  # no secret
        try:
            yield "retry: 1000\n\n" + self._pulse(after)
            backlog = await self._patiently(partial(self.read_after, after, _REPLAY + 1))
            if backlog:
                told = backlog if len(backlog) <= _REPLAY else []
                after = told[-1].sequence if told else await self._patiently(self.newest)
                missed = "".join(change_event(c, self._heard) for c in told) if view.sources is None else ""
                yield f"{missed}event: reload\nid: {after}\ndata: {{}}\n\n"
            while not self._closed:
                now = asyncio.get_running_loop().time()
                if now - checked > _RECHECK:
                    if not await run_in_threadpool(opened):
                        return
                    checked = now
                try:
                    async with asyncio.timeout(PULSE):
                        news = await queue.get()
                except TimeoutError:
                    if utc_now() - self._heard < timedelta(seconds=2 * PULSE):
                        yield self._pulse(after)
                    continue
                if news is None:
                    return
                if not news.changes or news.last > after:
                    told_text = news.text(view, after)
                    after = max(after, news.last)
                    yield told_text
        finally:
            self._subscribers.pop(queue, None)

    def read_after(self, sequence: int, limit: int) -> list[Change]:
        """The changes behind ``sequence``, oldest first. No page shows who signs in, so that it reloads none."""
        with reading(self._engine) as session:
            rows = session.exec(
                select(AuditLine.sequence, AuditLine.action, AuditLine.subject)
                .where(
                    AuditLine.mine == self._mine,
                    col(AuditLine.sequence) > sequence,
                    col(AuditLine.subject).not_like("account/%"),
                )
                .order_by(col(AuditLine.sequence))
                .limit(limit)
            ).all()
        return [Change(*row) for row in rows]

    def newest(self) -> int:
        """The sequence of the newest change, 0 where there is none."""
        with reading(self._engine) as session:
            return session.exec(select(func.max(AuditLine.sequence)).where(AuditLine.mine == self._mine)).one() or 0

    async def _patiently(self, ask: Callable[[], Said]) -> Said:
        """What the database says, once it answers: a page that waits hears nothing, and says so itself."""
        while True:
            try:
                return await run_in_threadpool(ask)
            except SQLAlchemyError as error:
                if self._closed:
                    raise
                _logger.warning("the audit cannot be read", reason=str(error))
                await asyncio.sleep(1)

    def _tell(self, news: News) -> None:
        for queue in list(self._subscribers):
            try:
                queue.put_nowait(news)
            except asyncio.QueueFull:
                # Too slow to follow: it connects again and is told from where it was.
                self._subscribers.pop(queue, None)
                _end(queue)

    def _pulse(self, after: int) -> str:
        said = {"now": self._heard.isoformat(), "silent": self._silent}
        return f"event: pulse\nid: {after}\ndata: {json.dumps(said)}\n\n"


def _end(queue: asyncio.Queue[News | None]) -> None:
    """Put the end where the stream's reader will find it, whatever else waits there."""
    while queue.full():
        queue.get_nowait()
    queue.put_nowait(None)


def silent_stages(engine: Engine, mine: str) -> list[str]:
    """Stages that have not said for a while that they live, nor that they ended."""
    now = utc_now()
    latest: dict[str, StageHeartbeat] = {}
    with reading(engine) as session:
        rows = session.exec(
            select(StageHeartbeat).where(
                StageHeartbeat.mine == mine, col(StageHeartbeat.beat_at) > now - timedelta(days=1)
            )
        )
        for row in rows:
            if row.stage not in latest or row.beat_at > latest[row.stage].beat_at:
                latest[row.stage] = row
    return sorted(name for name, row in latest.items() if not row.ended and now - row.beat_at > SILENT)
