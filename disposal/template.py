"""The template of a document: how its title reads, what stands above it and below its text."""

import msgspec

from disposal.document import Bilingual
from disposal.errors import KnownError

KIND, KEY = "template", "document"
FIELDS = ("title_zh", "title_en", "heading_zh", "heading_en", "closing_zh", "closing_en")
LONGEST = 500
"""Characters that a part of the template may have."""


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """``title`` names the ``{hazard}`` and the ``{place}``; ``heading`` and ``closing`` may be empty."""

    title: Bilingual = Bilingual("{hazard}处置单（{place}）", "Disposal of hazard: {hazard} ({place})")
    heading: Bilingual = Bilingual()
    closing: Bilingual = Bilingual()

    def title_of(self, hazard: Bilingual, place: Bilingual) -> Bilingual:
        """The title with both filled in; whatever else stands in braces stays as it is."""
        return Bilingual(_filled(self.title.zh, hazard.zh, place.zh), _filled(self.title.en, hazard.en, place.en))


def template_of(texts: dict[str, str]) -> Template:
    """The template that a person has written. Raises KnownError where a title does not say of which hazard it is."""
    parts = {
        name: Bilingual(texts.get(f"{name}_zh", "").strip(), texts.get(f"{name}_en", "").strip())
        for name in ("title", "heading", "closing")
    }
    for text in (parts["title"].zh, parts["title"].en):
        if "{hazard}" not in text:
            raise KnownError(
                "The title has to name the hazard in both languages: write {hazard}, and {place} for where."
            )
    if any(len(t) > LONGEST for b in parts.values() for t in (b.zh, b.en)):
        raise KnownError(f"A part of the template has more than {LONGEST} characters: shorten it.")
    return Template(**parts)


def texts_of(template: Template) -> dict[str, str]:
    """The template as a person edits it; ``template_of`` reads it back."""
    return {
        f"{name}_{language}": getattr(getattr(template, name), language)
        for name in ("title", "heading", "closing")
        for language in ("zh", "en")
    }


def _filled(text: str, hazard: str, place: str) -> str:
    # One pass, so that a place whose name holds a brace is not filled in again.
    before, hazards, behind = text.partition("{hazard}")
    return before.replace("{place}", place) + hazard * bool(hazards) + behind.replace("{place}", place)
