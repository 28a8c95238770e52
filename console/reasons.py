"""Why a risk was raised or has ended, in the reader's language: the stages write it down once, in English."""

import re

from console.translations import text

_PATTERNS: tuple[tuple[str, str], ...] = (
    (r"Seen in (\d+) of (\d+) frames, for ([\d.]+) s\.", "{1}帧中{0}帧看到，持续{2}秒。"),
    (r"The seconds around it were recorded\.", "前后几秒已录像。"),
    (r"Now (\d+) persons in the zone\.", "区域内现有{0}人。"),
    (r"Confidence rose to ([\d.]+)\.", "置信度升至{0}。"),
    (
        r"Not seen in (\d+) full scans over ([\d.]+) s, with the camera unmoved\.",
        "{1}秒内{0}次全面检测均未看到，摄像机未移位。",
    ),
    (
        r"Not seen in (\d+) full scans over ([\d.]+) s, but nothing steady shows whether the camera moved\.",
        "{1}秒内{0}次全面检测均未看到，但画面中没有固定物可判断摄像机是否移位。",
    ),
    (r"No longer seen, but the camera has moved\.", "已看不到，但摄像机已移位。"),
    (
        r"No longer seen, but the person was well inside the zone and was not seen to leave it\.",
        "已看不到，但此人原在区域深处，未见其离开。",
    ),
    (r"The camera has moved, so the zone is no longer in view\.", "摄像机已移位，该区域不再在视野内。"),
    (
        r"The zone changed, or no detector of the camera looks for this any more\.",
        "区域已改动，或该摄像机不再检测这一类型。",
    ),
    (r"Nothing was seen for ([\d.]+) s\.", "{0}秒没有任何画面。"),
    (r"The camera's time line began anew\.", "摄像机的时间线重新开始。"),
    (r"The camera gives no more pictures: (.+)", "摄像机不再给出画面：{0}"),
    (r"The camera was taken off the site\.", "该摄像机已从系统中移除。"),
    (r"The camera gives no usable picture\.", "摄像机给不出可用的画面。"),
    (r"It gives no pictures\.", "没有画面。"),
    (r"It gave no picture for ([\d.]+) s\.", "{0}秒没有画面。"),
    (r"Pictures have come again for ([\d.]+) s\.", "画面已恢复{0}秒。"),
    (r"Its process ended without a word\.", "取流进程中断，原因不明。"),
    (r"The file is at its end\.", "文件已播放完毕。"),
    (r"(\S+) is no address of a camera\. .+", "{0}不是摄像机地址。请写成 rtsp://主机:端口/路径。"),
    (r"(\S+) cannot be reached: (.+)\. Check .+", "{0}连接不上（{1}）。请检查地址、摄像机电源和网络。"),
    (r"(\S+) refuses the user name and password\. .+", "{0}拒绝了用户名和密码。请检查摄像机地址中的用户名和密码。"),
    (r"(\S+) answers that it has no such stream\. .+", "{0}没有这一路视频流。请检查主机后面的路径。"),
    (
        r"(\S+) sends on to another address, which is not followed\. .+",
        "{0}转向另一个地址，系统不跟随。如果那是摄像机的地址，请直接填写它。",
    ),
    (r"(\S+) is a page and no video\. .+", "{0}是网页而不是视频。请填写视频流的地址。"),
    (r"(\S+) takes the connection and says nothing\. .+", "{0}接受连接但没有应答。请检查端口和视频服务。"),
    (
        r"(\S+) answers, but with nothing that can be read as video\. .+",
        "{0}有应答，但不是可读的视频。请检查路径和编码。",
    ),
    (r"(.+) gives no more pictures\. Check .+", "{0}不再给出画面。请检查摄像机和网络。"),
    (r"(.+) holds no picture that can be read\. .+", "{0}没有可读的画面。请检查它是否为视频。"),
    (r"(.+) gives pictures that cannot be decoded: .+", "{0}的画面无法解码。"),
    (
        r"early warning: (\S+) at (\S+) (.+) has not broken (.+) yet; on the trend it would in about (\d+) min, at (.+)",
        "预警：{q0} {1} {2}，尚未超过“{3}”的限值；按趋势约{4}分钟后（{5}）超过",
    ),
    (r"(\S+) at (\S+) (.+) breaks (.+)", "{q0} {1} {2}，超过“{3}”的限值"),
    (
        r"(\d+) readings over (\S+) s lay inside every limit, the last (\S+) at (\S+) (.+)",
        "{1}秒内{0}次读数均在限值以内，最近一次{q2} {3} {4}",
    ),
    (r"no limit in force applies to this sensor any more", "已没有现行限值适用于该传感器"),
    (r"the sensor gives plausible readings again", "传感器读数恢复正常"),
    (
        r"the sensor gives nonsense: (\S+) comes in '?(.*?)'? instead of '?(.*?)'?",
        "传感器读数无效：{q0}的单位为“{1}”，应为“{2}”",
    ),
    (
        r"the sensor gives nonsense: (\S+) (\S*) is outside what (\S+) can be \((\S+) to (\S+)\)",
        "传感器读数无效：{q2}为{0} {1}，不在可能范围{3}至{4}之内",
    ),
    (
        r"the sensor is stuck: it has given exactly (\S+) (\S*) since (.+)",
        "传感器读数不变：自{2}起一直为{0} {1}",
    ),
    (r"nothing was heard from it for more than (\S+) s", "超过{0}秒没有收到该传感器的数据"),
)
_COMPILED = tuple((re.compile(pattern, re.DOTALL), zh) for pattern, zh in _PATTERNS)


def reason_in(reason: str, language: str) -> str:
    """The reason in ``language``; figures, names and whatever is not known here stay as they were written."""
    if language != "zh":
        return reason
    for pattern, zh in _COMPILED:
        if found := pattern.fullmatch(reason):
            parts = found.groups()
            quantities = {f"q{n}": _quantity(part) for n, part in enumerate(parts)}
            return zh.format(*(_within(part) for part in parts), **quantities)
    return reason


def _within(part: str) -> str:
    """A part that is a sentence of its own, as where one stage passes on what another said."""
    return reason_in(part, "zh") if part.endswith(".") else part


def _quantity(name: str) -> str:
    try:
        return text("zh", f"quantity.{name}")
    except KeyError:
        return name
