"""One filter for every call out: what is private stays on the site, and no name or secret leaves it, with its audit."""

import hashlib
import ipaddress
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple, Protocol
from urllib.parse import urlsplit

import structlog
from sqlalchemy import Engine

from disposal.audit import append
from disposal.errors import StaysOnSiteError
from disposal.mask import Masked, mask
from disposal.roster import roster
from stream.database import writing

Purpose = Literal["draft", "picture", "embedding", "webhook"]
Where = Literal["auto", "on-site", "off-site"]
_ACTOR = "disposal"
_logger = structlog.get_logger()


class Destination(NamedTuple):
    """Who is called: what for, its name in the audit (never a key), and whether it stands outside the site."""

    purpose: Purpose
    name: str
    off_site: bool


class Cleared(NamedTuple):
    """What may leave, with the way back for what comes in answer."""

    text: str
    masked: Masked

    def restore(self, answer: str) -> str:
        """The answer with what the placeholders stand for."""
        return self.masked.restore(answer)


class Guard(Protocol):
    """Lets a text out, or not."""

    def clear(self, to: Destination, text: str, *, subject: str, private: bool, names: Iterable[str] = ()) -> Cleared:
        """The text as it may leave. Raises StaysOnSiteError for what is private and would leave the site."""
        ...

    def withhold(self, to: Destination, why: str, *, subject: str, private: bool) -> None:
        """Something was not sent, for the reason ``why``: it is written down as a refused call."""
        ...


def is_off_site(url: str, where: Where = "auto") -> bool:
    """Whether an address counts as outside the site: as set, else unless it is this host or a private network address.

    A name that is not localhost may be resolved to anywhere, and so counts as outside.
    """
    if where != "auto":
        return where == "off-site"
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return True
    if host == "localhost":
        return False
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return True
    return not (address.is_private or address.is_loopback or address.is_link_local) or address.is_unspecified


def clear(to: Destination, text: str, *, private: bool, names: Iterable[str]) -> Cleared:
    """The decision alone, pure: on the site everything goes as it is, outside nothing private and nothing unmasked."""
    if not to.off_site:
        return Cleared(text, Masked(text, ()))
    if private:
        raise StaysOnSiteError(
            f"{to.name} stands outside the site, and this is marked private: it was not asked. Use one on the site."
        )
    masked = mask(text, names)
    return Cleared(masked.text, masked)


class CallOuts:
    """The filter with its audit: a line before each call, also for one that was refused. Safe to use from threads."""

    def __init__(self, engine: Engine, mine: str, people: Callable[[], Iterable[str]] | None = None) -> None:
        """``people``: names to mask beside those of the duty roster."""
        self._engine = engine
        self._mine = mine
        self._people = people or (lambda: ())

    def clear(self, to: Destination, text: str, *, subject: str, private: bool, names: Iterable[str] = ()) -> Cleared:
        """The text as it may leave, once its audit line is durable. Raises StaysOnSiteError for what stays."""
        return self.clear_all(to, [text], subject=subject, private=private, names=names)[0]

    def clear_all(
        self, to: Destination, texts: Sequence[str], *, subject: str, private: bool, names: Iterable[str] = ()
    ) -> list[Cleared]:
        """As ``clear``, for the texts of one message, with one audit line."""
        known = {*names, *self._people(), *self._on_duty()} if to.off_site else set()
        said: dict[str, object] = {"purpose": to.purpose, "to": to.name, "off_site": to.off_site, "private": private}
        try:
            cleared = [clear(to, text, private=private, names=sorted(known)) for text in texts]
        except StaysOnSiteError:
            self._tell("call-out-refused", subject, said)
            raise
        left = hashlib.sha256("\n".join(one.text for one in cleared).encode(errors="surrogatepass")).hexdigest()
        counts = sum((Counter(one.masked.counts) for one in cleared), Counter())
        self._tell("call-out", subject, said | {"masked": dict(counts), "sha256": left})
        return cleared

    def withhold(self, to: Destination, why: str, *, subject: str, private: bool) -> None:
        """Something was not sent, for the reason ``why``; its audit line is durable on return."""
        said: dict[str, object] = {"purpose": to.purpose, "to": to.name, "off_site": to.off_site, "private": private}
        self._tell("call-out-refused", subject, said | {"why": why})

    def _on_duty(self) -> set[str]:
        return {name for duty in roster(self._engine, self._mine) for name in (duty.person, duty.deputy) if name}

    def _tell(self, action: str, subject: str, said: dict[str, object]) -> None:
        with writing(self._engine) as session:
            append(session, self._mine, _ACTOR, action, subject, None, said)


class Unlogged:
    """The filter where there is no audit to write: for benches and tools beside an installation."""

    def clear(self, to: Destination, text: str, *, subject: str, private: bool, names: Iterable[str] = ()) -> Cleared:
        """As ``CallOuts.clear``, with nothing written down."""
        _logger.debug("call out", to=to.name, subject=subject)
        return clear(to, text, private=private, names=names)

    def withhold(self, to: Destination, why: str, *, subject: str, private: bool) -> None:
        """Nothing is written down."""
        _logger.debug("call out refused", to=to.name, subject=subject, why=why, private=private)
