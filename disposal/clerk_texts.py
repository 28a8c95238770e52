"""Texts of codes to teach the clerk with: paragraphs out of a folder's files, by language."""

import json
import re
from pathlib import Path

from disposal.errors import TrainingError

_HAN = re.compile(r"[\u3400-\u9fff]")
_SHORTEST = {"zh": 10, "en": 30}
_LARGEST = 20_000_000


def read_texts(folder: Path) -> dict[str, tuple[str, ...]]:
    """The paragraphs of all .txt and .md files below the folder, and the ``text`` of each object in its .json lists.

    Raises TrainingError where a file cannot be read, or nothing is found.
    """
    found: dict[str, list[str]] = {"zh": [], "en": []}
    for path in sorted(p for p in folder.rglob("*") if p.suffix in (".txt", ".md", ".json") and p.is_file()):
        for text in _paragraphs(path):
            language = "zh" if _HAN.search(text) else "en"
            if len(text) > _SHORTEST[language] and not text.startswith("#"):
                found[language].append(text)
    if not any(found.values()):
        raise TrainingError(f"{folder} holds no texts of codes (.txt, .md, or .json with a list of texts).")
    return {language: tuple(texts) for language, texts in found.items()}


def _paragraphs(path: Path) -> list[str]:
    try:
        if path.stat().st_size > _LARGEST:
            raise TrainingError(f"{path} is larger than {_LARGEST} bytes: that is no text of a code.")
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix == ".json":
            return [str(one["text"]) for one in json.loads(text)]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"{path} cannot be read as texts: {type(error).__name__} {error}.") from error
    return [part.strip() for part in re.split(r"\n\s*\n" if path.suffix == ".md" else r"\n", text) if part.strip()]
