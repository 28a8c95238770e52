"""Pictures of a worksheet by the row that they stand in: anchored to a cell, or within one as WPS keeps them."""

import io
import posixpath
import re
import zipfile
from collections.abc import Iterator
from typing import Any

from lxml import etree

from rules.formula import local_name
from rules.pictures import Pictures

_RELATIONSHIPS = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_WITHIN = re.compile(r'DISPIMG\(\s*"([^"]{1,120})"')
"""How WPS writes a picture that lies within a cell; the file ``cellimages.xml`` says which one it is."""
_CELL_IMAGES = "xl/cellimages.xml"
_MEDIA = "xl/media/"


class SheetPictures:
    """The marks of one worksheet's pictures. ``rows``: by the number of the row, the first being 1."""

    def __init__(self, data: bytes, sheet: str, pictures: Pictures) -> None:
        self.rows: dict[int, str] = {}
        self._pictures = pictures
        self._seen: set[str] = set()
        with zipfile.ZipFile(io.BytesIO(data)) as self._packed:
            self._parts = set(self._packed.namelist())
            pictures.said = any(part.startswith(_MEDIA) for part in self._parts)
            for kind, drawing in self._related(sheet).values():
                if kind == "drawing":
                    self._anchored(drawing)
            self._within = dict(self._in_cells())

    def take(self, row: int, cell: Any) -> Any:
        """The cell without the formula that stands for a picture within it; the picture goes to its row."""
        found = _WITHIN.search(cell) if isinstance(cell, str) else None
        if found is None:
            return cell
        self._put(row, self._within.get(found[1]) or self._pictures.refuse(found[1], "it cannot be read"))
        return None

    def close(self) -> None:
        """Count what stands in no row of the sheet, so that the report tells of it."""
        for part in sorted(p for p in self._parts - self._seen if p.startswith(_MEDIA)):
            self._pictures.refuse(posixpath.basename(part), "it stands in no row")

    def _anchored(self, drawing: str) -> None:
        related = self._related(drawing)
        for anchor in self._read(drawing):
            row = next((int(e.text) + 1 for e in anchor.iter() if local_name(e) == "row" and _is_number(e.text)), 0)
            for node in anchor.iter():
                if local_name(node) == "blip":
                    self._put(row, self._mark(node, anchor, related))
                elif local_name(node) == "graphicFrame":
                    self._put(row, self._pictures.refuse("of a chart", "a chart is none: save it as one"))

    def _in_cells(self) -> Iterator[tuple[str, str]]:
        related = self._related(_CELL_IMAGES)
        for image in self._read(_CELL_IMAGES):
            blip = next((n for n in image.iter() if local_name(n) == "blip"), None)
            named = next((n for n in image.iter() if local_name(n) == "cNvPr"), None)
            if blip is not None and named is not None:
                yield str(named.get("name")), self._mark(blip, image, related)

    def _mark(self, blip: Any, anchor: Any, related: dict[str, tuple[str, str]]) -> str:
        _, part = related.get(blip.get(f"{_RELATIONSHIPS}embed", ""), ("", ""))
        if part not in self._parts:
            return self._pictures.refuse("that is only linked", "it lies elsewhere, and nothing is fetched")
        self._seen.add(part)
        if (mark := self._pictures.again(part)) is not None:
            return mark
        caption = next((str(n.get("descr") or "") for n in anchor.iter() if local_name(n) == "cNvPr"), "")
        return self._pictures.add(self._packed.read(part), posixpath.basename(part), caption, part)

    def _put(self, row: int, mark: str) -> None:
        self.rows[row] = self.rows.get(row, "") + mark

    def _related(self, part: str) -> dict[str, tuple[str, str]]:
        """Kind and path of what ``part`` names, by the name it uses; what lies elsewhere has no path."""
        folder, name = posixpath.split(part)
        found = {}
        for one in self._read(f"{folder}/_rels/{name}.rels"):
            inside = one.get("TargetMode") != "External"
            path = posixpath.normpath(posixpath.join("/", folder, one.get("Target", ""))).lstrip("/") if inside else ""
            found[one.get("Id", "")] = (one.get("Type", "").rpartition("/")[2], path)
        return found

    def _read(self, part: str) -> Any:
        """The elements of a part; none where it is not there, or is no XML."""
        if part not in self._parts:
            return ()
        parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
        try:
            return [node for node in etree.fromstring(self._packed.read(part), parser) if local_name(node)]
        except etree.LxmlError:
            return ()


def _is_number(text: str | None) -> bool:
    return bool(text and text.isascii() and text.isdigit() and len(text) <= 7)
