"""Word documents: paragraphs and rows of tables as lines, with the pictures and formulas that stand in them."""

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rules.errors import ImportRefusedError
from rules.formula import linear, local_name
from rules.pictures import Pictures

if TYPE_CHECKING:
    from docx.text.paragraph import Paragraph

_BREAKS = frozenset({"br", "cr"})
_ALIKE = {"tab": " ", "noBreakHyphen": "-"}
_HIDDEN = frozenset({"del", "moveFrom", "Fallback", "txbxContent", "pPr", "rPr"})
"""What was deleted, stands there twice, or floats beside the text."""
_PICTURES = frozenset({"blip", "imagedata"})
_EMBED = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_OFFICE = "{urn:schemas-microsoft-com:office:office}"


def docx_lines(name: str, data: bytes, pictures: Pictures) -> str:
    """The lines of a Word document. Raises ImportRefusedError where it cannot be read."""
    import docx
    from docx.table import Table

    try:
        document = docx.Document(io.BytesIO(data))
        blocks: list[str] = []
        for block in document.iter_inner_content():
            if isinstance(block, Table):
                rows = ([_cell(cell, pictures) for cell in _once(row.cells)] for row in block.rows)
                blocks += [" | ".join(dict.fromkeys(cells)) for cells in rows]
            else:
                blocks.append(_paragraph(block, pictures))
    except Exception as error:
        raise ImportRefusedError(f"{name} cannot be read as a Word document: {error}.") from error
    return "\n".join(blocks)


def _once(cells: Any) -> Iterator[Any]:
    """The cells of a row; one that spans several columns comes once."""
    seen: set[int] = set()
    for cell in cells:
        element = id(cell._tc)  # noqa: SLF001  # python-docx hands out its XML in no other way
        if element not in seen:
            seen.add(element)
            yield cell


def _cell(cell: Any, pictures: Pictures) -> str:
    return "\n".join(_paragraph(paragraph, pictures) for paragraph in cell.paragraphs).strip()


def _paragraph(paragraph: "Paragraph", pictures: Pictures) -> str:
    return "".join(_parts(paragraph._p, paragraph, pictures))  # noqa: SLF001  # as above


def _parts(root: Any, paragraph: "Paragraph", pictures: Pictures) -> Iterator[str]:
    """Texts, formulas and the marks of pictures in their order; without recursion, as documents may nest deeply."""
    waiting = [root]
    caption = ""
    while waiting:
        node = waiting.pop()
        name = local_name(node)
        if name in _HIDDEN:
            continue
        if name == "oMath":
            yield linear(node)
            continue
        if name == "t":
            yield node.text or ""
        elif name in _BREAKS:
            yield "\n"
        elif name in _ALIKE and local_name(node.getparent()) == "r":
            yield _ALIKE[name]
        elif name == "docPr":
            caption = node.get("descr") or node.get("title") or ""
        elif name in _PICTURES:
            yield _mark(node, paragraph, pictures, caption or str(node.get(f"{_OFFICE}title") or ""))
        waiting.extend(reversed(node))


def _mark(node: Any, paragraph: "Paragraph", pictures: Pictures, caption: str) -> str:
    identity = node.get(f"{_EMBED}embed") or node.get(f"{_EMBED}id")
    if identity is None:
        return pictures.refuse("that is only linked", "it lies elsewhere, and nothing is fetched")
    part = paragraph.part.related_parts.get(identity)
    if part is None:
        return pictures.refuse("that is only linked", "it lies elsewhere, and nothing is fetched")
    name = str(part.partname)
    return pictures.again(name) or pictures.add(part.blob, name.rpartition("/")[2], caption, name)
