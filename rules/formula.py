"""Formulas in a line of text: MathML, and what Word keeps of them (OMML), as a person would type them.

``h = (v²)/(2·g)`` stays readable to people, to search and to the language model, and needs no picture.
"""

import re
from typing import Any

DEEPEST = 40
"""Levels of a formula that are read for their shape; below them only the letters are."""
_SIMPLE = re.compile(r"[\w.%°′Α-ω]*|\([^()]*\)|√\([^()]*\)")
_SUPERSCRIPT = str.maketrans("0123456789+-−n", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻ⁿ")
_SUBSCRIPT = str.maketrans("0123456789+-−", "₀₁₂₃₄₅₆₇₈₉₊₋₋")
_TEXTS = frozenset({"t", "mi", "mn", "mo", "mtext", "ms"})
_UNSEEN = frozenset({"annotation", "annotation-xml", "mphantom", "rPr", "ctrlPr", "instrText", "delText"})
_FRACTIONS, _ROOTS, _POWERS = {"f", "mfrac"}, {"rad", "msqrt", "mroot"}, {"sSup", "msup"}
_INDICES, _BOTH = {"sSub", "msub"}, {"sSubSup", "msubsup", "munderover"}
_ABOVE, _BELOW = {"limUpp", "mover"}, {"limLow", "munder"}
_TABLES, _ROWS = {"m", "eqArr", "mtable"}, {"mr", "mtr", "mlabeledtr"}


def local_name(node: Any) -> str:
    """The name of an element without its namespace; empty for comments and the like."""
    return re.split(r"[}:]", node.tag)[-1] if isinstance(node.tag, str) else ""


def linear(node: Any) -> str:
    """The formula below ``node``, an element of MathML or OMML, in one line."""
    return re.sub(r"\s+", " ", _told(node, 0)).strip()


def _told(node: Any, depth: int) -> str:
    name = local_name(node)
    if depth > DEEPEST:
        return "".join(node.itertext())
    if name in _TEXTS:
        return _spaced(name, "".join(node.itertext()))
    if not name or name in _UNSEEN or name.endswith("Pr"):
        return ""
    inner = [(local_name(child), _told(child, depth + 1)) for child in node]
    parts = [text for kind, text in inner if kind and not kind.endswith("Pr")]
    if name in _FRACTIONS and len(parts) == 2:
        return f"{_grouped(parts[0])}/{_grouped(parts[1])}"
    if name in _ROOTS:
        return _root(name, inner, parts)
    if name in _TABLES:
        return "; ".join(parts)
    if name in _ROWS:
        return ", ".join(parts)
    if name in ("d", "mfenced"):
        return _fenced(node, parts)
    return _scripts(name, node, dict(inner), parts)


def _scripts(name: str, node: Any, inner: dict[str, str], parts: list[str]) -> str:
    if name in _POWERS and len(parts) == 2:
        return _grouped(parts[0]) + _raised(parts[1])
    if name in _INDICES and len(parts) == 2:
        return parts[0] + _lowered(parts[1])
    if name in _BOTH and len(parts) == 3:
        return parts[0] + _lowered(parts[1]) + _raised(parts[2])
    if name in _ABOVE and len(parts) == 2:
        return parts[0] + _raised(parts[1]) if len(parts[1]) > 1 else parts[0] + parts[1]
    if name in _BELOW and len(parts) == 2:
        return parts[0] + _lowered(parts[1])
    if name == "nary":
        sign = _property(node, "naryPr", "chr") or "∫"
        return sign + _lowered(inner.get("sub", "")) + _raised(inner.get("sup", "")) + f" {inner.get('e', '')}"
    if name == "func" and len(parts) == 2:
        return f"{parts[0]} {_grouped(parts[1])}"
    return "".join(parts)


def _root(name: str, inner: list[tuple[str, str]], parts: list[str]) -> str:
    if name == "mroot" and len(parts) == 2:
        body, degree = parts
    elif name == "rad":
        told = dict(inner)
        body, degree = told.get("e", ""), told.get("deg", "")
    else:
        body, degree = "".join(parts), ""
    return f"{degree.translate(_SUPERSCRIPT)}√({body})"


def _fenced(node: Any, parts: list[str]) -> str:
    if local_name(node) == "d":
        begin, end = _property(node, "dPr", "begChr"), _property(node, "dPr", "endChr")
        between = _property(node, "dPr", "sepChr") or "|"
    else:
        begin, end, between = node.get("open"), node.get("close"), node.get("separators", ",")[:1]
    return f"{'(' if begin is None else begin}{between.join(parts)}{')' if end is None else end}"


def _property(node: Any, properties: str, name: str) -> str | None:
    """A sign that Word keeps in an element's properties; None where it keeps none."""
    for held in node:
        if local_name(held) == properties:
            for child in held:
                if local_name(child) == name:
                    return next((value for key, value in child.attrib.items() if key.endswith("val")), "")
    return None


def _spaced(name: str, text: str) -> str:
    """Signs of comparison stand between blanks, as they do in print."""
    text = text.replace("\u2062", "").replace("\u2061", "").replace("\u2063", "")
    return f" {text.strip()} " if name == "mo" and text.strip() in ("=", "≤", "≥", "<", ">", "≠", "≈") else text


def _grouped(text: str) -> str:
    text = text.strip()
    return text if _SIMPLE.fullmatch(text) else f"({text})"


def _raised(text: str) -> str:
    text = text.strip()
    if not text:
        return ""
    short = text.translate(_SUPERSCRIPT)
    return short if re.fullmatch(r"[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ]+", short) else f"^{_grouped(text)}"


def _lowered(text: str) -> str:
    text = text.strip()
    if not text:
        return ""
    short = text.translate(_SUBSCRIPT)
    return short if re.fullmatch(r"[₀₁₂₃₄₅₆₇₈₉₊₋]+", short) else f"_{_grouped(text)}"
