"""The mine's own form: a Word document with fields, which an alert's document is filled into instead of our layout.

Fields are written as docxtpl takes them. A form may name fields, go through lists and leave parts out, nothing else:
what it says is parsed, and every word of it that is none of these is refused before anything runs.
"""

import base64
import io
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

import docx
import jinja2
from docx.shared import Mm
from docxtpl import DocxTemplate, InlineImage
from jinja2 import nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment
from sqlalchemy import Engine

from disposal.document import Bilingual
from disposal.errors import FormError
from disposal.own_form_fields import FIELDS, LISTS, PICTURES, sample
from rules import knowledge

KIND = "form"
LANGUAGES = ("zh", "en")
"""A form is written in one language and used for copies in it: its key among what the mine knows."""
LARGEST = 1024**2
"""Bytes of a form; a page with a drawn crest has some 100,000."""
_UNPACKED, _MOST_TEXT, _MOST_PARTS = 8 * 1024**2, 2 * 1024**2, 500
"""Bytes of the whole unpacked, and of one part that is text; and how many parts there may be."""
_CONTAINERS = (nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.Not, nodes.And, nodes.Or)
_OF_LOOPS = frozenset({"index", "first", "last", "length"})


class _Environment(ImmutableSandboxedEnvironment):
    """Jinja's sandbox, with everything refused that a form has no use for, whatever part of the file it stands in."""

    def __init__(self) -> None:
        super().__init__(undefined=jinja2.StrictUndefined, autoescape=True)
        self.globals.clear()

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        unknown = sorted(set(_unknown(tree, {})))
        if unknown:
            fields = ", ".join([*FIELDS, *PICTURES, *(f"{one} ({', '.join(of) or '…'})" for one, of in LISTS.items())])
            _refuse(
                f"模板中有未知字段：{'、'.join(unknown)}。可用字段：{fields}。",
                f"The form names what is no field: {', '.join(unknown)}. Fields are: {fields}.",
            )
        return tree


def check_form(data: bytes) -> None:
    """Look at a form that somebody has sent, and fill it in once for a try. Raises FormError, in both languages."""
    _check_file(data)
    fill(data, sample())


def fill(data: bytes, values: Mapping[str, Any]) -> bytes:
    """The form with these values; PICTURES are (bytes, millimetres). Raises FormError where it cannot be filled in."""
    try:
        form = DocxTemplate(io.BytesIO(data))
        form.init_docx()
        pictures = {name: _placed(form, values.get(name)) for name in PICTURES}
        drawings = [{**one, "picture": _placed(form, one["picture"])} for one in values["drawings"]]
        form.render({**values, **pictures, "drawings": drawings}, _Environment(), autoescape=True)
        out = io.BytesIO()
        form.save(out)
        docx.Document(io.BytesIO(out.getvalue()))
    except FormError:
        raise
    except jinja2.TemplateError as error:
        _refuse(
            f"模板的标记有误：{error.message}。字段写成 {{{{ number }}}}，列表写成 {{%p for one in clauses %}} … {{%p endfor %}}。",
            f"The form's marks cannot be read: {error.message}. Fields are written as {{{{ number }}}}, lists as "
            "{%p for one in clauses %} … {%p endfor %}.",
        )
    except Exception as error:  # noqa: BLE001  # a file from outside may break the readers below in any way
        _refuse(
            f"文件不是可用的Word文档（{type(error).__name__}）：请用Word另存为docx。",
            f"The file is no Word document that can be used ({type(error).__name__}): save it as docx in Word anew.",
        )
    return out.getvalue()


def _placed(form: DocxTemplate, picture: Any) -> Any:
    """A picture, (bytes, millimetres), as the form takes it in; words that stand for one stay."""
    if isinstance(picture, tuple):
        return InlineImage(form, io.BytesIO(picture[0]), width=Mm(picture[1]))
    return picture or ""


def current_form(engine: Engine, mine: str, language: str) -> bytes | None:
    """The mine's form for that language as it is published; None where there is none, and our own layout is used."""
    texts = knowledge.current(engine, mine, KIND).get(language)
    return content_of(texts) if texts else None


def content_of(texts: Mapping[str, str]) -> bytes | None:
    """The file of a stored version; None where the version says that our own layout is to be used again."""
    return base64.b64decode(texts["docx"]) if texts.get("docx") else None


def texts_of(data: bytes, name: str) -> dict[str, str]:
    """What is stored of a form: the file, and how it was called."""
    return {"name": name, "docx": base64.b64encode(data).decode()}


def _check_file(data: bytes) -> None:
    if len(data) > LARGEST:
        _refuse(
            f"文件有{len(data) // 1024}KB，超过{LARGEST // 1024}KB：请缩小其中的图片。",
            f"The file has {len(data) // 1024} KiB, more than {LARGEST // 1024}: make its pictures smaller.",
        )
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            parts = packed.infolist()
            total = sum(part.file_size for part in parts)
            texts = [p for p in parts if p.filename.lower().endswith((".xml", ".rels"))]
            large = total > _UNPACKED or len(parts) > _MOST_PARTS or any(p.file_size > _MOST_TEXT for p in texts)
            # What is larger than it says is cut off by zipfile itself, with an error.
            bad = "" if large else next((p.filename for p in texts if _hostile(packed.read(p))), "")
            bad = bad or next((p.filename for p in parts if "vbaproject" in p.filename.lower()), "")
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, OSError, ValueError) as error:
        raise FormError(
            Bilingual(
                "文件不是可用的Word文档，或有密码：请用Word另存为docx。",
                "The file is no Word document, or has a password: save it as docx in Word.",
            )
        ) from error
    if large:
        _refuse(
            f"文件解压后超过{_UNPACKED // 1024**2}MB或部件过多，不予接收。",
            f"The file unpacks to more than {_UNPACKED // 1024**2} MiB, or into too many parts: it is refused.",
        )
    if bad:
        _refuse(
            f"文件的{bad}含有宏、外部引用或实体声明，不予接收：请只保留文字、表格和图片。",
            f"{bad} in the file holds macros, declares entities or fetches from elsewhere: leave only text, tables and pictures.",
        )


def _hostile(part: bytes) -> bool:
    """Whether a part declares entities, or names what lies outside the file besides links that a reader follows."""
    if b"<!DOCTYPE" in part or b"<!ENTITY" in part or part[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return True
    return any(b"/hyperlink" not in one for one in part.split(b"<Relationship ")[1:] if b'"External"' in one)


def _unknown(node: nodes.Node, loops: Mapping[str, str]) -> Iterator[str]:
    """What a form may not say; ``loops``: the names that stand for one of a list, with the list."""
    match node:
        case nodes.Name(name=name):
            if name not in loops and name not in FIELDS and name not in PICTURES and name not in LISTS:
                yield name
            return
        case nodes.Getattr(node=nodes.Name(name=name), attr=attr) if name in loops:
            known = _OF_LOOPS if name == "loop" else LISTS[loops[name]]
            if attr not in known:
                yield f"{name}.{attr}"
            return
        case nodes.For(target=nodes.Name(name=target), iter=nodes.Name(name=of), test=None, recursive=False) if (
            of in LISTS and not loops and not node.else_
        ):
            for inner in node.body:
                yield from _unknown(inner, {target: of, "loop": ""})
            return
        case nodes.For(iter=nodes.Name(name=of)) if of not in LISTS and not loops:
            yield of
            return
    if not isinstance(node, _CONTAINERS):
        yield f"{{{type(node).__name__.lower()}}}"
        return
    if isinstance(node, nodes.Output):
        yield from (one.name for one in node.nodes if isinstance(one, nodes.Name) and _is_list(one.name, loops))
    for inner in node.iter_child_nodes():
        yield from _unknown(inner, loops)


def _is_list(name: str, loops: Mapping[str, str]) -> bool:
    """Whether the name stands for several things, which cannot be printed as one."""
    return (name in LISTS and name not in loops) or bool(name in loops and (name == "loop" or LISTS[loops[name]]))


def _refuse(chinese: str, english: str) -> NoReturn:
    raise FormError(Bilingual(chinese, english))
