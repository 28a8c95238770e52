"""Lines of the queue and the strip of the most urgent alert, drawn once for everybody who reads that language."""

import threading
from datetime import tzinfo
from pathlib import Path
from types import SimpleNamespace

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from console.figures import Figures
from console.names import Names
from console.queue_rows import Row, Tab
from console.translations import Phrases
from console.urgent import Urgent
from stream.messages import utc_now

_KEPT = 2500
"""Lines: what eight full pages show."""
_TOLD = 200
"""Lines that were told and stood on no page yet: of a flood's most never do, and they would push out those that do."""
_AGE = "\x00"


class Painter:
    """Draws with the pages' own templates. A line is kept until it would look different; only its age is filled in."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        folder = Path(__file__).parent / "templates"
        templates = Environment(
            loader=FileSystemLoader(folder),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=StrictUndefined,
        )
        self._line, self._strip = templates.get_template("queue_row.html"), templates.get_template("strip.html")
        self._drawn: dict[tuple[str, ...], str] = {}
        self._told: dict[tuple[str, ...], str] = {}
        self._lock = threading.Lock()

    def line(self, row: Row, tab: Tab, language: str, names: Names, *, told: bool = False) -> str:
        """One alert as a line of the table; ``told``: to those who listen, while on a page it may never stand."""
        alert = row.alert
        figures = Figures(language, self._zone)
        today = utc_now().astimezone(self._zone)
        called = (names.type(alert.type), names.place(alert.place), names.source(alert.source))
        version = row.version
        mark = (alert.id, version, tab, language, *called, f"{today:%Y-%m-%d %z}")
        with self._lock:
            known = self._drawn if mark in self._drawn else self._told
            found = known.pop(mark, None)
        if found is None:
            known = self._told
            found = self._line.render(
                a=SimpleNamespace(**vars(alert), state=alert.state),  # a plain object answers much faster
                version=version,
                key=row.key(tab),
                document_state=row.document_state,
                names=names,
                figures=figures,
                t=Phrases(language),
                language=language,
                age_here=_AGE,
            ).strip()
        if not told:
            known = self._drawn
        with self._lock:
            while len(known) >= (_TOLD if known is self._told else _KEPT):
                del known[next(iter(known))]  # the one that was asked for longest ago
            known[mark] = found
        return found.replace(_AGE, figures.age(alert.committed_at), 1)

    def strip(self, urgent: Urgent, language: str, names: Names) -> str:
        """What every page says of the most urgent alert."""
        return self._strip.render(urgent=urgent, names=names, t=Phrases(language)).strip()
