"""The prompts: versioned files, into which the material goes as data only."""

from functools import cache
from pathlib import Path
from typing import NamedTuple

from disposal.answer import request_json
from disposal.request import DraftRequest

VERSION = "draft-1"
PICTURE = "picture-1"
BLURRED = "blurred-1"
"""The prompt beside a picture, and beside one in which every head was covered."""
_FOLDER = Path(__file__).with_name("prompts")
_SLOT = "{{material}}"


class Prompt(NamedTuple):
    """What is sent to a model, and which file it was made from."""

    text: str
    version: str


def prompt_for(request: DraftRequest, *, picture: str = "") -> Prompt:
    """The prompt for a request, in its language; its fixed part stands first.

    ``picture``: PICTURE or BLURRED where one goes with it.
    """
    before, _, after = _template(request.language).partition(_SLOT)
    text, version = before + request_json(request) + after, f"{VERSION}.{request.language}"
    if not picture:
        return Prompt(text, version)
    return Prompt(text + _of_file(f"{picture}.{request.language}"), f"{version}+{picture}")


@cache
def _template(language: str) -> str:
    return _of_file(f"{VERSION}.{language}")


@cache
def _of_file(name: str) -> str:
    return (_FOLDER / f"{name}.md").read_text(encoding="utf-8")
