"""The console's two languages: every phrase that it says, in Chinese and English."""

from typing import Literal

from console.book_phrases import BOOK_PHRASES
from console.escalation_phrases import ESCALATION_PHRASES
from console.office_phrases import OFFICE_PHRASES
from console.phrases import PHRASES
from console.terms import TERMS
from console.work_phrases import WORK_PHRASES

Language = Literal["zh", "en"]
LANGUAGES: tuple[Language, ...] = ("zh", "en")
_ALL = BOOK_PHRASES | ESCALATION_PHRASES | OFFICE_PHRASES | PHRASES | TERMS | WORK_PHRASES


def text(language: str, key: str, **values: object) -> str:
    """The phrase for ``key``, with ``{name}`` filled in from ``values``. Raises KeyError for a key that is none."""
    zh, en = _ALL[key]
    return (zh if language == "zh" else en).format(**values)


def said_as(language: str, words: str, kind: str) -> list[str]:
    """The keys beginning with ``kind`` whose phrase holds the words, whatever their case."""
    wanted, place = words.casefold(), 0 if language == "zh" else 1
    return [key for key, said in _ALL.items() if key.startswith(kind) and wanted in said[place].casefold()]


class Phrases:
    """The phrases of one page."""

    def __init__(self, language: str) -> None:
        self._language = language

    def __call__(self, key: str, **values: object) -> str:
        """The phrase for ``key``."""
        return text(self._language, key, **values)

    def known(self, key: str, otherwise: str) -> str:
        """The phrase for ``key`` where there is one; what comes from other packages may be newer than this list."""
        return text(self._language, key) if key in _ALL else otherwise
