"""Codes in HTML and XML: the lines that a reader would see, or the sections that the markup itself tells apart."""

import re
from collections.abc import Iterator
from typing import Any

from lxml import etree, html

from rules.errors import ImportRefusedError
from rules.formula import linear, local_name
from rules.pictures import Pictures

Rows = tuple[tuple[int, dict[str, Any]], ...]
_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")
_INLINE = frozenset(
    {"a", "abbr", "b", "bdi", "bdo", "cite", "code", "data", "del", "dfn", "em", "font", "i", "img", "ins", "kbd"}
) | {
    "label",
    "mark",
    "q",
    "rp",
    "rt",
    "ruby",
    "s",
    "samp",
    "small",
    "span",
    "strike",
    "strong",
    "sub",
    "sup",
    "time",
    "td",
    "th",
    "tt",
    "u",
    "var",
    "wbr",
}
"""Elements of HTML within a line; every other one begins a line of its own."""
_UNREAD = frozenset({"script", "style", "noscript", "template", "nav", "head", "iframe", "svg", "object", "select"})
_DRAWN = frozenset({"img", "image", "graphic", "object", "embed", "svg", "gph"})
_HIDDEN = _UNREAD - _DRAWN
_ADDRESSES = ("src", "data", "href", "{http://www.w3.org/1999/xlink}href", "xlink:href")
_LEVELS = {"PART": "part", "SUBCHAP": "chapter", "SUBPART": "subpart", "SUBJGRP": "subject"}
_NOTES = frozenset({"CITA", "SECAUTH", "AUTH", "SOURCE", "HEAD"})
"""What the eCFR prints in small type below a section: where it was published, by what authority."""


def html_text(name: str, text: str, pictures: Pictures) -> str:
    """The lines of an HTML page: a paragraph or a row of a table a line; scripts, styles and navigation left out.

    Formulas stand in the lines, and the marks of ``pictures``.
    """
    try:
        root = html.document_fromstring(_DECLARATION.sub("", text), parser=html.HTMLParser(huge_tree=False))
    except (etree.LxmlError, ValueError) as error:
        raise ImportRefusedError(f"{name} cannot be read as HTML: {error}.") from error
    _put_in_line(root, pictures)
    return "\n".join(_lines(root))


def xml_content(name: str, text: str, pictures: Pictures) -> tuple[str, Rows]:
    """The text of an XML file by lines, and no rows; or, of the eCFR's XML, its sections as rows and no text.

    Raises ImportRefusedError for XML that is damaged or declares entities: they could grow without bound, or name
    files of this machine.
    """
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(_DECLARATION.sub("", text).strip(), parser)
    except (etree.LxmlError, ValueError) as error:
        raise ImportRefusedError(f"{name} is no well-formed XML: {error}.") from error
    declared = root.getroottree().docinfo.internalDTD
    if declared is not None and any(True for _ in declared.iterentities()):
        raise ImportRefusedError(f"{name} declares entities of its own: they are not resolved. Save it without them.")
    _put_in_line(root, pictures)
    sections = [node for node in root.iter() if isinstance(node.tag, str) and _is_section(node)]
    if sections:
        return "", tuple((node.sourceline or 0, _section(node)) for node in sections)
    return "\n".join(_xml_lines(root)), ()


def _put_in_line(root: Any, pictures: Pictures) -> None:
    """Put, in the place of each formula and each picture, its words or its mark."""
    for node in [n for n in root.iter() if (name := local_name(n).lower()) in _DRAWN or name == "math"]:
        above = {local_name(a).lower() for a in node.iterancestors()}
        if not above & (_DRAWN | _HIDDEN | {"math"}) and node.getparent() is not None:
            _replace(node, linear(node) if local_name(node).lower() == "math" else _picture(node, pictures))


def _picture(node: Any, pictures: Pictures) -> str:
    if local_name(node).lower() == "svg":
        return pictures.refuse("within the page", "an SVG drawing can hold programs: save it as PNG")
    address = next((value for key in _ADDRESSES if (value := node.get(key))), "")
    if not address:
        return pictures.refuse(_clean("".join(node.itertext())) or "without a name", "it does not lie beside the file")
    return pictures.from_address(address, node.get("alt") or node.get("title") or "")


def _replace(node: Any, text: str) -> None:
    text += node.tail or ""
    before, parent = node.getprevious(), node.getparent()
    if before is not None:
        before.tail = (before.tail or "") + text
    else:
        parent.text = (parent.text or "") + text
    parent.remove(node)


def _lines(root: Any) -> Iterator[str]:
    """Texts between the borders of blocks."""
    line: list[str] = []
    for kind, value in _walk(root):
        if kind == "text":
            line.append(value)
        elif text := _clean("".join(line)):
            yield text
            line = []
        else:
            line = []
    if text := _clean("".join(line)):
        yield text


def _walk(root: Any) -> Iterator[tuple[str, str]]:
    """Texts and borders in their order, without recursion: hostile pages nest deeply."""
    for event, node in etree.iterwalk(root, events=("start", "end", "comment", "pi")):
        if event in ("comment", "pi"):
            yield "text", node.tail or ""
            continue
        tag = str(node.tag).lower()
        hidden = tag in _UNREAD or any(str(a.tag).lower() in _UNREAD for a in node.iterancestors())
        block = tag not in _INLINE
        if event == "start":
            if block:
                yield "border", ""
            if not hidden:
                yield "text", node.text or ""
            continue
        if block:
            yield "border", ""
        elif tag in ("td", "th") and node.getnext() is not None:
            # A number in the first cell stands before its text as it does in running text.
            yield "text", " " if node.getprevious() is None else " | "
        if not any(str(a.tag).lower() in _UNREAD for a in node.iterancestors()):
            yield "text", node.tail or ""


def _xml_lines(root: Any) -> Iterator[str]:
    """A line for every element that holds text of its own."""
    for node in root.iter():
        if not isinstance(node.tag, str) or any(_own_text(a) for a in node.iterancestors()):
            continue
        if _own_text(node):
            yield from filter(None, map(_clean, "".join(node.itertext()).splitlines()))


def _own_text(node: Any) -> bool:
    return bool((node.text or "").strip()) or any((child.tail or "").strip() for child in node)


def _is_section(node: Any) -> bool:
    return node.get("TYPE") == "SECTION" or (node.tag == "SECTION" and node.find("SECTNO") is not None)


def _section(node: Any) -> dict[str, Any]:
    """A section of the eCFR (DIV8 with HEAD and P) or of the printed edition's XML (SECTNO, SUBJECT and P)."""
    head = _clean("".join(node.find("HEAD").itertext())) if node.find("HEAD") is not None else ""
    number = str(node.get("N") or "") or _inner(node, "SECTNO")
    number = number.replace("§", "").strip()
    title = _inner(node, "SUBJECT") or head.replace("§", "").strip().removeprefix(number).strip(" .")
    row: dict[str, Any] = {"section": number, "title": title.rstrip("."), "text": "\n".join(_paragraphs(node))}
    for above in node.iterancestors():
        level = _LEVELS.get(str(above.get("TYPE") or above.tag))
        if level and above.find("HEAD") is not None and (text := _inner(above, "HEAD")):
            row.setdefault(level, _capital(text))
    return row


def _paragraphs(node: Any) -> Iterator[str]:
    for child in node:
        if isinstance(child.tag, str) and child.tag in ("P", "FP"):
            yield _clean("".join(child.itertext()))
        elif isinstance(child.tag, str) and child.tag not in {*_NOTES, "SECTNO", "SUBJECT"}:
            yield from _lines(child)
        if behind := _clean(child.tail or ""):
            yield behind


def _inner(node: Any, tag: str) -> str:
    found = node.find(tag)
    return _clean("".join(found.itertext())) if found is not None else ""


def _capital(text: str) -> str:
    """PART 75—MANDATORY SAFETY STANDARDS as Part 75—mandatory safety standards: words are found by their letters."""
    return text.capitalize() if text.isupper() else text


def _clean(text: str) -> str:
    """One line; where the source breaks between two Chinese characters there is no space."""
    text = re.sub(r"(?<=[⺀-鿿，、；])[ \t]*\n\s*(?=[⺀-鿿（])", "", text)
    return re.sub(r"\s+", " ", text).strip()
