"""The dead man's switch: tells somebody outside when a stage falls silent, and that all is well while it is.

It stands in the process that starts the stages, beside them: whatever dies, hangs or loses its database, this speaks.
Should the whole machine die, the sign of life stops, and whoever receives it raises the alarm.
"""

import threading
import time
from collections.abc import Collection
from urllib.parse import urlsplit

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from console.events import silent_stages
from disposal.callout import CallOuts, Destination, is_off_site
from disposal.settings import DeadManSettings, NotifySettings
from disposal.webhook import call
from stream.messages import utc_now

LOOK = 2.0
"""Seconds between two looks at the heartbeats."""
_FIRST_PAUSE, _LONGEST_PAUSE = 2.0, 60.0
DATABASE = "database"
_logger = structlog.get_logger()


class DeadMan:
    """Looks at the heartbeats of ``stages`` in a thread of its own. Does nothing where no address is set."""

    def __init__(
        self, engine: Engine, mine: str, stages: Collection[str], settings: DeadManSettings, notify: NotifySettings
    ) -> None:
        self._engine = engine
        self._mine = mine
        self._stages = frozenset(stages)
        self._settings = settings
        self._notify = notify
        self._guard = CallOuts(engine, mine)
        self._told: tuple[str, ...] = ()
        self._since = utc_now()
        self._failures = 0
        self._next_try = 0.0
        self._alive_at = -settings.alive_seconds
        self._number = 0

    def run(self, stop: threading.Event) -> None:
        """Look again and again until told to stop."""
        if not (self._notify.url or self._settings.alive_url):
            return
        while not stop.wait(LOOK):
            self.look(time.monotonic())

    def look(self, now: float) -> None:
        """Tell what has changed since it was last told, again and again until it was taken; else that all is well."""
        silent = self._silent()
        if silent != self._told:
            if self._notify.url and now >= self._next_try:
                self._tell(silent, now)
            elif not self._notify.url:
                self._told = silent
        if not silent and self._settings.alive_url and now - self._alive_at >= self._settings.alive_seconds:
            self._alive_at = now
            self._send(self._settings.alive_url, "alive", {"stages": sorted(self._stages)})

    def _silent(self) -> tuple[str, ...]:
        try:
            return tuple(name for name in silent_stages(self._engine, self._mine) if name in self._stages)
        except SQLAlchemyError:
            return (DATABASE,)

    def _tell(self, silent: tuple[str, ...], now: float) -> None:
        kind = "silent" if silent else "heard-again"
        if self._send(self._notify.url, kind, {"silent": list(silent), "before": list(self._told)}):
            self._told, self._failures = silent, 0
            return
        self._next_try = now + min(_FIRST_PAUSE * 2**self._failures, _LONGEST_PAUSE)
        self._failures += 1

    def _send(self, url: str, kind: str, body: dict[str, list[str]]) -> bool:
        """Whether it was taken. What is told are names of stages alone, so a database that is away stops no call."""
        self._number += 1
        identity = f"deadman/{self._since:%Y%m%dT%H%M%S}/{self._number}"
        to = Destination("webhook", urlsplit(url).hostname or "none", is_off_site(url, self._notify.where))
        if kind != "alive" and DATABASE not in body.get("silent", ()):
            try:
                self._guard.clear(to, " ".join(body["silent"]), subject=f"house/{self._mine}", private=False)
            except SQLAlchemyError as error:
                _logger.warning("call out without its audit line", reason=str(error))
        said = {"id": identity, "mine": self._mine, "kind": kind, "subject": f"house/{self._mine}", "body": body}
        failure = call(url, self._notify.secret.get_secret_value(), said, self._notify.seconds)
        if failure:
            _logger.error("dead man's call failed", kind=kind, reason=failure)
        return not failure
