"""What an import warns of, in the reader's language: the importer writes it down once, in English."""

import re

_WARNINGS: tuple[tuple[str, str], ...] = (
    (r"(\d+) lines belong to no clause\.", "{0}行不属于任何条款。"),
    (
        r"Read from a scan with little confidence, to be compared by a person: pages (.+)\.",
        "扫描件识别把握不大，请人工核对以下各页：{0}。",
    ),
    (r"(.+) missing between the numbers at hand\.", "现有编号之间缺：{0}。"),
    (r"(.+) more than once, with the same text\.", "编号重复但文本相同：{0}。"),
    (r"hazard (.+) is left without its clause (\S+)\.", "风险“{0}”失去其条款{1}。"),
    (r"limit (.+) is left without its clause (\S+)\.", "限值“{0}”失去其条款{1}。"),
    (r"tightened by (.+) is left without its clause (\S+)\.", "{0}所收紧的条款{1}不再存在。"),
    (r"Clause (\S+): the picture (.+) is not kept: (.+)\.", "第{0}条：插图“{1}”未保留：{2}。"),
    (r"(\d+) pictures stand in no clause and are not kept\.", "{0}幅插图不属于任何条款，未保留。"),
    (r"(\d+) more are not kept\.", "另有{0}处未保留。"),
)
_WHYS: tuple[tuple[str, str], ...] = (
    (r"it lies elsewhere, and nothing is fetched", "图不在文件内，系统不从外部取图"),
    (r"it lies outside of the file's folder", "图在文件所在文件夹之外"),
    (r"it does not lie beside the file", "文件旁没有这幅图"),
    (r"it cannot be read.*", "无法读取"),
    (r"it is damaged", "已损坏"),
    (r"a chart is none: save it as one", "图表不是图片，请另存为图片"),
    (r"it has more than (\d+) MiB", "超过{0} MiB"),
    (r"it has (\d+) MiB, more than (\d+)", "有{0} MiB，超过{1} MiB"),
    (r"it has (\d+) x (\d+) pixels, too many", "{0}×{1}像素，太大"),
    (r"it (?:claims to have|has) .*pixels.*", "像素太多"),
    (r"it covers the page, as a scan does", "覆盖整页，像是扫描件"),
    (r"no more than (\d+) pictures of a file are kept, nor more than (\d+) MiB", "每个文件最多保留{0}幅、{1} MiB"),
    (r"an SVG drawing can hold programs: save it as PNG", "SVG图形可能含有程序，请另存为PNG"),
    (r"a Windows metafile cannot be shown: save it as PNG", "Windows图元文件无法显示，请另存为PNG"),
    (r"it is no PNG, JPEG, GIF, BMP, TIFF or WebP, or it is damaged", "不是PNG、JPEG、GIF、BMP、TIFF或WebP，或已损坏"),
)
_COMPILED = tuple((re.compile(pattern, re.DOTALL), zh) for pattern, zh in (*_WARNINGS, *_WHYS))


def warning_in(warning: str, language: str) -> str:
    """The warning in ``language``; numbers, names and whatever is not known here stay as they were written."""
    if language != "zh":
        return warning
    for pattern, zh in _COMPILED:
        if found := pattern.fullmatch(warning):
            return zh.format(*(_listed(warning_in(part, language)) for part in found.groups()))
    return warning


def _listed(part: str) -> str:
    return re.sub(r" and (\d+) more$", r"等，另有\1个", part)
