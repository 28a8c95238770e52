"""Why a change of the code book or of the mine's knowledge is refused, in the reader's language.

The rules and the disposal say it once, in English. What is not known here stays as it was written: names, numbers and
what a library says of a broken file.
"""

import re

from console.translations import text
from rules.errors import LoosenedLimitError

_CLAUSES: tuple[tuple[str, str], ...] = (
    (
        r"(.+) differs from (.+) in words alone: its reviewer decides .+",
        "{0}与{1}仅文字不同，是否放宽由审核人判断，请写明理由签字。",
    ),
    (r"(.+) is (draft|reviewed|published): only a draft can be reviewed\.", "{0}是{1}：只有草稿可以审核。"),
    (r"(.+) is (draft|reviewed|published): only a reviewed version .+", "{0}是{1}：只有已审核的版本可以发布。"),
    (r"(.+) wrote or reviewed (.+): somebody else has to publish it\.", "{1}由{0}起草或审核，须由他人发布。"),
    (r"(.+) wrote (.+): somebody else has to repeal it\.", "{1}由{0}起草，须由他人废止。"),
    (r"Nothing of clause (.+) is in force at (.+) or later\.", "条款{0}在{1}及以后没有生效内容。"),
    (r"(.+) has no text in either language\.", "{0}中英文正文都为空。"),
    (r"(.+) is tagged with (.+), which the catalogue of risk types has not\.", "{0}标注的“{1}”不在风险类型目录中。"),
    (r"(.+) would end on (.+), before it takes effect on (.+)\.", "{0}的失效日期{1}早于生效日期{2}。"),
    (r"Nothing of (.+) is a (draft|reviewed) version\.", "{0}没有{1}版本。"),
    (r"Nothing of (.+) is a draft: .+", "{0}没有草稿：请先导入或起草。"),
    (r"There is no edition '(.+)' of code '(.+)': .+", "没有规程{1}的{0}版：请先导入或添加。"),
    (r"There is no (?:clause|clause version|version) '(.+)'\.", "没有条款或版本{0}。"),
    (
        r"(.+): a supplement belongs to one mine, a national code to none\.",
        "{0}：补充规定属于一个矿，国家规程不属于任何矿。",
    ),
    (r"(.+) is a (.+) code of (.+) already: choose another id\.", "{0}已是{2}的{1}：请换一个代号。"),
    (r"'(.+)' cannot name a code: .+", "“{0}”不能作规程代号：用字母、数字、连字符和点，最多63个。"),
    (r"'(.+)' cannot number a clause of (.+): .+", "“{0}”不能作{1}的条号：如374、374-1、5.2.1、172(2)。"),
    (r"(\w+) is '(.*)': write a (?:day|date) as .+", "{0}写成了“{1}”：日期写成2026-03-01。"),
    (r"Limit (.+) has a figure that is no number: .+", "第{0}个限值中有一处不是数字。"),
    (r"Limit (.+) cannot be: (.+)\.", "第{0}个限值不成立：{1}。"),
    (r"there is no quantity '(.+)': .+", "没有监测量“{0}”"),
    (r"(.+) is given in '(.*)': write '(.+)'", "{0}的单位应为{2}"),
    (r"a limit of (.+) lies outside what (.+) can be", "{1}不可能达到{0}"),
    (r"hold_seconds is below zero", "持续秒数小于零"),
    (r"warn_minutes is (.+): write 0 to (.+)", "预警分钟数是{0}，应在0至{1}之间"),
    (r"no risk type stands for (\S+) (.+)", "没有与“{0} {1}”对应的风险类型"),
    (r"places are (.+): write some of .+", "地点类别“{0}”不成立"),
)
_FILES: tuple[tuple[str, str], ...] = (
    (r"(.+) does not say which code it is: .+", "{0}没有说明是哪部规程：请填写代号和版次。"),
    (r"(.+) has no numbered clause .+", "{0}中没有编号的条款（第N条、5.2.1、§ 75.1722或编号列）：这是规程吗？"),
    (r"(.+) gives (.+) two different texts: .+", "{0}中{1}各有两种不同文字：请各留一种，再导入。"),
    (r"(.+) has the columns (.+): name one 'number' and one 'text'\.", "{0}的列是{1}：请有一列“条号”和一列“内容”。"),
    (r"(.+), clause (.+?): (.+)\.", "{0}第{1}条：{2}。"),
    (r"(.+), page (\d+) cannot be read: (.+)\.", "{0}第{1}页无法读取：{2}。"),
    (r"(.+), page (\d+): (.+)", "{0}第{1}页：{2}"),
    (r"its picture has (.+) pixels, too many to be read\.", "页面图像{0}像素，太大。"),
    (r"Tesseract did not read it within (.+) s\.", "Tesseract在{0}秒内没有读完。"),
    (r"Tesseract cannot read it: (.+)\.", "Tesseract无法识别：{0}。"),
    (r"limits are written as a JSON list of objects", "限值应写成JSON对象列表"),
    (r"(\w+) is no JSON list: .+", "{0}不是JSON列表"),
    (
        r"(.+) is no kind of file that a code is imported from: give one of (.+)\.",
        "{0}不是可以导入的文件类型：支持{1}。",
    ),
    (r"(.+) has (\S+) MiB: more than (\S+) are not read\.", "{0}有{1} MiB，超过{2} MiB。"),
    (r"(.+) is empty\.", "{0}是空文件。"),
    (r"(.+) holds no text\.", "{0}没有文字。"),
    (r"(.+) is no text in UTF-8, .+", "{0}不是UTF-8、UTF-16或GB 18030文本：请另存为UTF-8。"),
    (r"(.+) is damaged: save it anew .+", "{0}已损坏：请另存一份。"),
    (r"(.+) is protected by a password.*", "{0}有密码保护：请另存为无密码的文件。"),
    (r"(.+) unpacks to (\S+) MiB, more than the (\S+) that are read: .+", "{0}解压后有{1} MiB，超过{2} MiB：已拒收。"),
    (r"(.+) unpacks to more than (.+) times its size: .+", "{0}解压后超过原大小的{1}倍：已拒收。"),
    (r"(.+) has more than (\S+) rows: .+", "{0}超过{1}行：不是规程。"),
    (r"(.+) has (\S+) pages: more than (\S+) are not read\.", "{0}有{1}页，超过{2}页。"),
    (
        r"(.+) has (\S+) pages and hardly any text: .+",
        "{0}有{1}页而几乎没有文字，像是扫描件，且本机没有安装Tesseract。",
    ),
    (
        r"(.+) has (\S+) scanned pages on which nothing can be read: .+",
        "{0}有{1}页扫描件，无法识别：请以300 dpi正向重扫。",
    ),
    (r"(.+) cannot be read as (?:an? )?(.+?): (.+)\.", "{0}无法按{1}读取：{2}。"),
    (r"(.+) is no well-formed XML: (.+)\.", "{0}不是合格的XML：{1}。"),
    (r"(.+) declares entities of its own: .+", "{0}自行定义了实体，系统不解析：请去掉后另存。"),
    (r"(.+) is no JSON: (.+)\.", "{0}不是JSON：{1}。"),
    (r"(.+) is JSON of another kind: .+", "{0}不是所需的JSON：应为对象列表，各有编号和正文。"),
    (r"The code book (.+) cannot be read: (.+)\.", "规程文件{0}无法读取：{1}。"),
    (r"The code book (.+) does not fit: (.+)\. Compare it with .+", "规程文件{0}不合格式：{1}。"),
    (r"(.+) cannot be read: (.+)\.", "{0}无法读取：{1}。"),
)
_KNOWLEDGE: tuple[tuple[str, str], ...] = (
    (r"'(.*)' cannot name a concept: .+", "“{0}”不能作概念代号：用小写字母、数字和连字符。"),
    (r"'(.*)' is too short for a word that is searched for\.", "“{0}”太短，不能用于检索。"),
    (r"(.+) implies (.+), which is no other concept: .+", "{0}所意味的{1}不是其他概念：请先发布它。"),
    (r"There is no entry '(.*)' of the kind '(.*)'\.", "没有这个条目：{0}。"),
    (r"There is no form in '(.*)': choose zh or en\.", "没有“{0}”格式：请选中文或英文。"),
    (r"A note has at most (\S+) characters in a language: .+", "说明每种语言最多{0}字：请缩短。"),
    (r"The usual deadline is a number of hours above 0 and at most (.+)\.", "通常时限应为大于0、不超过{0}的小时数。"),
    (
        r"The (.+) have (\S+) lines in Chinese and (\S+) in English: .+",
        "{0}中文{1}行、英文{2}行：至少一行，且中英文行数相同。",
    ),
    (r"The (.+) may have (\S+) lines of (\S+) characters: .+", "{0}最多{1}行，每行{2}字：请缩短。"),
    (r"The (.+) has (\S+) lines: write one\.", "{0}有{1}行：只写一行。"),
    (r"The title has to name the hazard in both languages: .+", "标题的中英文都须写{{hazard}}，地点写{{place}}。"),
    (r"A part of the template has more than (\S+) characters: .+", "模板的一部分超过{0}字：请缩短。"),
)
_MODELS: tuple[tuple[str, str], ...] = (
    (r"The Chinese embedder in .+ has the sha256 .+", "中文检索模型的文件与发布时不同：请重新安装本版本。"),
    (
        r"The (?:English embedding model|embedding model|Chinese embedder).* cannot be (?:loaded|read): .+",
        "检索模型无法载入：请重新安装，或检查设置 rules.matcher.model。",
    ),
    (r".+ holds no vocabulary of the Chinese embedder: .+", "中文检索模型缺少词表：请重新安装本版本。"),
)
_WORDS = {
    "draft": "草稿", "reviewed": "已审核版本", "published": "已发布版本", "national": "国家规程", "supplement": "补充规定",
    "all mines": "所有矿", "none": "无", "measures": "措施", "resources": "资源", "contingency": "预案",
    "acceptance": "验收标准", "effective_from": "生效日期", "effective_to": "失效日期", "hazards": "适用风险",
    "limits": "限值", "Word document": "Word文档", "Excel file": "Excel文件",
}  # fmt: skip
_COMPILED = tuple((re.compile(pattern, re.DOTALL), zh) for pattern, zh in (*_KNOWLEDGE, *_CLAUSES, *_MODELS, *_FILES))


def why_in(error: Exception, language: str) -> str:
    """The refusal in ``language``; a loosened limit shows both limits in the reader's words."""
    if language != "zh":
        return str(error)
    if isinstance(error, LoosenedLimitError):
        quantity = text("zh", f"quantity.{error.limit.quantity}")
        return (
            f"{error.clause}将放宽国家规程：本条规定{quantity}{error.limit.text('zh')}，"
            f"而{error.national}规定{quantity}{error.rival.text('zh')}。"
        )
    return _said(str(error))


def _said(sentence: str) -> str:
    if sentence in _WORDS:
        return _WORDS[sentence]
    for pattern, zh in _COMPILED:
        if found := pattern.fullmatch(sentence):
            return zh.format(*(_said(part) for part in found.groups())).replace("。。", "。")
    return sentence
