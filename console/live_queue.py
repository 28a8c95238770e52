"""What changes mean for the queue: asked of the database once for all browsers, drawn once for each way to look."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Engine
from sqlmodel import Session

from console.names import Names, SiteNames
from console.painter import Painter
from console.queue_rows import Row, Wanted, count_tabs, counted, fits, rows_of
from console.scope import Sources, narrowed
from console.urgent import Urgent, find_urgent
from stream.database import reading
from stream.messages import utc_now

MOST = 100
"""Alerts that may change in one look and still be told line by line; with more, pages load themselves anew."""
_COUNTING = timedelta(seconds=1)


class Change(NamedTuple):
    """One audit line, as far as a page needs it to know what to load again."""

    sequence: int
    action: str
    subject: str


class View(NamedTuple):
    """How a page looks at the queue: its language, and what it lists; None for a page that shows the strip alone.

    ``sources``: those whose alerts the visitor may see; None for the whole mine.
    """

    language: str
    wanted: Wanted | None
    sources: Sources | None = None


class Standing(NamedTuple):
    """The unacknowledged alerts in short, and how many wait behind each tab where that was counted."""

    urgent: Urgent
    counts: dict[str, int] | None


class News:
    """A batch of changes with what has become of their alerts. The text for a view is made once, when first asked."""

    def __init__(
        self,
        changes: Sequence[Change],
        rows: dict[str, Row] | None,
        standings: Mapping[Sources | None, Standing],
        painter: Painter,
        names: SiteNames,
    ) -> None:
        self.changes = tuple(changes)
        self._rows = rows
        self._standings = standings
        self._painter = painter
        self._site_names = names
        self._at = utc_now()
        self._texts: dict[View, str] = {}
        self._told = "".join(change_event(change, self._at) for change in self.changes)

    @property
    def last(self) -> int:
        """The sequence of the newest change; 0 where there is none, only counts."""
        return self.changes[-1].sequence if self.changes else 0

    def text(self, view: View, after: int) -> str:
        """Server-sent events: each change behind ``after``, then what they mean for the view."""
        if view not in self._texts:
            self._texts[view] = self._event(view, max(self.last, after))
        if view.sources is None and (not self.changes or after < self.changes[0].sequence):
            return self._told + self._texts[view]
        told = (c for c in self.changes if c.sequence > after and self._concerns(view, alerts_in([c])))
        return "".join(change_event(c, self._at) for c in told) + self._texts[view]

    def _concerns(self, view: View, alerts: Iterable[str]) -> bool:
        """Of what a page that is limited to some sources is told: nothing but their alerts."""
        rows = self._rows or {}
        return view.sources is None or any(i in rows and rows[i].alert.source in view.sources for i in alerts)

    def _event(self, view: View, identity: int) -> str:
        standing = self._standings.get(view.sources)
        if standing is None or (self._rows is None and not (view.wanted is None and view.sources is None)):
            return f"event: reload\nid: {identity}\ndata: {{}}\n\n"
        names = Names(self._site_names.site(), view.language)
        said = {
            "strip": self._painter.strip(standing.urgent, view.language, names),
            "counts": {tab: counted(number) for tab, number in (standing.counts or {}).items()},
            "lines": [] if view.wanted is None else self._lines(view, view.wanted, names),
            "now": self._at.isoformat(),
        }
        return f"event: queue\nid: {identity}\ndata: {json.dumps(said, ensure_ascii=False)}\n\n"

    def _lines(self, view: View, wanted: Wanted, names: Names) -> list[tuple[str, str, str]]:
        """Each changed alert with its key and its line; both empty where it does not belong to what is wanted."""
        lines = []
        for identity, row in (self._rows or {}).items():
            if not self._concerns(view, (identity,)):
                continue
            if fits(row, wanted, self._at):
                line = self._painter.line(row, wanted.tab, view.language, names, told=True)
                lines.append((identity, row.key(wanted.tab), line))
            else:
                lines.append((identity, "", ""))
        return lines


class LiveQueue:
    """Looks up what changed. To be asked from one thread at a time."""

    def __init__(self, engine: Engine, mine: str, names: SiteNames, painter: Painter) -> None:
        self._engine = engine
        self._mine = mine
        self._names = names
        self._painter = painter
        self._counted_at: datetime | None = None
        self._uncounted = False

    def look(self, changes: Sequence[Change], scopes: Iterable[Sources] = ()) -> News | None:
        """What to tell of these changes; None where there is nothing to tell. Counts are told once a second at most.

        ``scopes``: the sources to which some page that listens is limited.
        """
        due = self._counted_at is None or utc_now() - self._counted_at >= _COUNTING
        self._uncounted |= bool(changes)
        if not changes and not (due and self._uncounted):
            return None
        ids = alerts_in(changes)
        with reading(self._engine) as session:
            rows = (
                None if len(ids) > MOST else {r.alert.id: r for r in rows_of(session, self._mine, ids)} if ids else {}
            )
            standings: dict[Sources | None, Standing] = {None: self._standing(session, due=due)}
        for scope in scopes:
            with reading(narrowed(self._engine, scope)) as session:
                standings[scope] = self._standing(session, due=due)
        if due:
            self._counted_at, self._uncounted = utc_now(), False
        return News(changes, rows, standings, self._painter, self._names)

    def _standing(self, session: Session, *, due: bool) -> Standing:
        return Standing(find_urgent(session, self._mine), count_tabs(session, self._mine) if due else None)


def alerts_in(changes: Iterable[Change]) -> set[str]:
    """The ids of the alerts that the changes, or their documents, tell of."""
    found = set()
    for change in changes:
        kind, _, identity = change.subject.partition("/")
        if kind == "alert":
            found.add(identity)
        elif kind == "document":
            found.add(identity.partition("-")[0])
    return found


def change_event(change: Change, now: datetime) -> str:
    """The change as a server-sent event."""
    said = {"action": change.action, "subject": change.subject, "now": now.isoformat()}
    return f"event: change\nid: {change.sequence}\ndata: {json.dumps(said)}\n\n"
