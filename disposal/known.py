"""What a mine knows about disposal and search, kind by kind: how each reads what people write, and what ships.

The versions themselves, with review, publication and roll-back, are rules.knowledge's; this says what their texts mean.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from sqlalchemy import Engine
from sqlmodel import Session

from disposal import library, own_form, template
from disposal.audit import append
from disposal.document import Bilingual
from disposal.errors import KnownError
from disposal.library import Usual
from disposal.template import Template
from rules import knowledge, synonyms
from rules.errors import KnowledgeError
from stream.catalogue import RISK_TYPES

LONGEST_NOTE = 1000
"""Characters of a note in one language."""
Texts = dict[str, str]


class Kind(NamedTuple):
    """One kind of entry: its fields, what ships by key, and the check of what somebody wrote.

    ``open``: people may add keys of their own. ``key_of_risk``: keys are risk types.
    """

    fields: tuple[str, ...]
    shipped: Callable[[], Mapping[str, Texts]]
    check: Callable[[str, Texts], object]
    open: bool = False
    key_of_risk: bool = False


class Known(NamedTuple):
    """What a document of one risk type is drafted with."""

    usual: Usual
    note: Bilingual
    template: Template


def known_for(engine: Engine, mine: str, kind: str) -> Known:
    """The usual measures, the note and the template for that risk type, as published now or else as they ship."""
    measures = knowledge.current(engine, mine, library.KIND).get(kind)
    note = knowledge.current(engine, mine, NOTES).get(kind, {})
    form = knowledge.current(engine, mine, template.KIND).get(template.KEY)
    return Known(
        library.usual_of(measures) if measures else library.library()[kind],
        Bilingual(note.get("note_zh", ""), note.get("note_en", "")),
        template.template_of(form) if form else Template(),
    )


def write(engine: Engine, mine: str, kind: str, key: str, texts: Texts, author: str) -> str:
    """A draft of that entry, checked; answers the version's id.

    Raises KnownError or KnowledgeError where there is no such entry, or it cannot be as it was written.
    """
    shape = KINDS.get(kind)
    if shape is None or not (shape.open or key in shape.shipped()):
        raise KnownError(f"There is no entry {key!r} of the kind {kind!r}.")
    clean = {field: _clean(texts.get(field, "")) for field in shape.fields}
    shape.check(key, clean)
    if kind == synonyms.KIND:
        _check_implied(engine, mine, synonyms.concept_of(key, clean))
    return knowledge.write(engine, mine, kind, key, clean, author, _recorded(mine))


def write_form(engine: Engine, mine: str, language: str, texts: Texts, author: str) -> str:
    """A draft of the mine's own form in that language, or without a file, of going back to our own layout.

    Answers the version's id. Raises FormError where the form cannot be used, KnownError for another language.
    """
    if language not in own_form.LANGUAGES:
        raise KnownError(f"There is no form in {language[:12]!r}: choose zh or en.")
    data = own_form.content_of(texts)
    if data is not None:
        own_form.check_form(data)
    return knowledge.write(engine, mine, own_form.KIND, language, texts, author, _recorded(mine))


def review(engine: Engine, mine: str, identity: str, by: str) -> None:
    """``rules.knowledge.review`` with its audit line."""
    knowledge.review(engine, identity, by, _recorded(mine))


def publish(engine: Engine, mine: str, identity: str, by: str) -> None:
    """``rules.knowledge.publish`` with its audit line."""
    knowledge.publish(engine, identity, by, _recorded(mine))


def _recorded(mine: str) -> knowledge.Record:
    def record(session: Session, who: str, what: str, version: str) -> None:
        append(session, mine, who, f"{what}-knowledge", f"knowledge/{version}", None, {"version": version})

    return record


def _check_implied(engine: Engine, mine: str, concept: synonyms.Concept) -> None:
    known = set(synonyms.current_synonyms(engine, mine)) - {concept.id}
    if unknown := [i for i in concept.implies if i not in known]:
        raise KnowledgeError(
            f"{concept.id} implies {', '.join(unknown)}, which is no other concept: publish that one first."
        )


def _check_note(texts: Texts) -> None:
    if any(len(text) > LONGEST_NOTE for text in texts.values()):
        raise KnownError(f"A note has at most {LONGEST_NOTE} characters in a language: shorten it.")


def _clean(text: str) -> str:
    lines = ("".join(c for c in line if c.isprintable()).strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line)


NOTES = "notes"
KINDS: dict[str, Kind] = {
    library.KIND: Kind(
        library.FIELDS,
        lambda: {key: library.texts_of(usual) for key, usual in library.library().items()},
        lambda _, texts: library.usual_of(texts),
        key_of_risk=True,
    ),
    synonyms.KIND: Kind(synonyms.FIELDS, synonyms.shipped_texts, synonyms.concept_of, open=True),
    NOTES: Kind(
        ("note_zh", "note_en"),
        lambda: {key: {"note_zh": "", "note_en": ""} for key in RISK_TYPES},
        lambda _, texts: _check_note(texts),
        key_of_risk=True,
    ),
    template.KIND: Kind(
        template.FIELDS,
        lambda: {template.KEY: template.texts_of(Template())},
        lambda _, texts: template.template_of(texts),
    ),
}
"""Every kind that the console lets people edit, in its order."""
