"""Texts for the tests of what leaves the site: secrets planted in many forms, and texts with none, made by code."""

import base64
import json
import random
import string
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import NamedTuple

from rules.codebook import read_codebook
from stream.catalogue import RISK_TYPES

_CODEBOOKS = Path(__file__).parents[2] / "samples" / "codebook"
ROSTER = ("赵建国", "欧阳明月", "买买提·艾力", "孙磊", "Jianguo Li", "Maria del Carmen", "O'Brien Sean", "Zhang Wei")
_FULL = {ord(sign): ord(sign) + 0xFEE0 for sign in string.digits + string.ascii_letters + "@:.-+()"}
_SPOKEN = str.maketrans("0123456789", "零幺二三四五六七八九")
_REGIONS = ("110101", "140202", "370481", "610125", "150402", "220381", "520121", "650102")
_CARRIERS = (
    "二采区皮带机头发现未戴安全帽人员，{}，请尽快处理。",
    "现场情况：{}",
    "{}，瓦斯浓度1.2%，已停工。",
    "Belt 3 stopped at 14:05. {} Please send somebody.",
    "note: {}; see clause 172 for what has to be done within 24 h",
    "上报备注（{}）。运输区长已到场",
)


class Planted(NamedTuple):
    """A text with a secret in it; ``core`` is what must not leave: none of it as a whole, in any width."""

    text: str
    core: str
    kind: str


def identity_number(random_: random.Random) -> str:
    """A resident identity number with its check digit (GB 11643)."""
    body = (
        random_.choice(_REGIONS)
        + f"{random_.randint(1955, 2005)}{random_.randint(1, 12):02}{random_.randint(1, 28):02}"
    )
    body += f"{random_.randint(0, 999):03}"
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return body + "10X98765432"[sum(int(d) * w for d, w in zip(body, weights, strict=True)) % 11]


def mobile_number(random_: random.Random) -> str:
    """A mobile number of mainland China."""
    return f"1{random_.randint(3, 9)}{random_.randint(0, 999_999_999):09}"


def _words(random_: random.Random, letters: str, size: int) -> str:
    return "".join(random_.choice(letters) for _ in range(size))


def _mobiles(random_: random.Random) -> list[str]:
    number = mobile_number(random_)
    a, b, c = number[:3], number[3:7], number[7:]
    return [
        number, f"{a}-{b}-{c}", f"{a} {b} {c}", f"{a}.{b}.{c}", f"+86 {number}", f"+86-{a}-{b}-{c}", f"(+86){a} {b} {c}",
        f"0086{number}", number.translate(_FULL), f"{a}-{b}-{c}".translate(_FULL), f"{a} - {b} - {c}", f"{a}·{b}·{c}",
        " ".join(number), "-".join(number), number.translate(_SPOKEN), f"{number[:4]} {number[4:7]} {number[7:]}",
        f"{a}\u200b{b}\u200b{c}", f"{a}—{b}—{c}", f"{number[:5]} {number[5:]}", f"{number[:7]} {number[7:]}",
    ]  # fmt: skip


def _landlines(random_: random.Random) -> list[str]:
    local = f"{random_.randint(2, 8)}{random_.randint(0, 9_999_999):07}"
    return [
        f"0351-{local[:7]}", f"010-{local}", f"(0351){local[:7]}", f"010 {local[:4]} {local[4:]}",
        f"0351-{local[:7]} 转 812", f"010-{local}".translate(_FULL), f"+44 20 7946 {local[:4]}", f"400-{local[:3]}-{local[3:7]}",
    ]  # fmt: skip


def _identities(random_: random.Random) -> list[str]:
    number = identity_number(random_)
    old = number[:6] + number[8:17]
    return [
        number, number.lower(), number.translate(_FULL), f"{number[:6]} {number[6:14]} {number[14:]}",
        f"{number[:6]}-{number[6:14]}-{number[14:]}", f"{number[:4]} {number[4:8]} {number[8:12]} {number[12:16]} {number[16:]}",
        " ".join(number), old, f"{number[:3]} {number[3:6]} {number[6:10]} {number[10:14]} {number[14:]}",
    ]  # fmt: skip


def _names() -> list[tuple[str, str]]:
    said: list[tuple[str, str]] = []
    for name in ROSTER:
        said += [(name, name), (f"{name}到场", name)]
        if name.isascii():
            first, *rest = name.split(" ")
            turned = " ".join((*rest, first))
            said += [(name.upper(), name.upper()), (turned, turned), (f"{turned.replace(' ', ', ')}", rest[-1])]
        else:
            said += [(" ".join(name), " ".join(name)), (name.replace("·", ""), name.replace("·", ""))]
    said += [
        ("联系人：钱学勤", "钱学勤"),
        ("伤者 谭小燕", "谭小燕"),
        ("Injured: Petra Novak", "Novak"),
        ("郑师傅", "郑师傅"),
    ]
    return said


def _secrets(random_: random.Random) -> list[tuple[str, str]]:
    mixed = (
        _words(random_, string.ascii_letters, 12) + "7a9" + _words(random_, string.ascii_letters + string.digits, 20)
    )
    word = _words(random_, string.ascii_lowercase, 5) + "@" + _words(random_, string.digits, 4)
    jwt = ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
        for part in ({"alg": "HS256"}, {"sub": word})
    ) + "." + mixed  # fmt: skip
    return [
        (f"密码：{word}", word), (f"口令为{word}", word), (f"密码是 {word}", word), (f"password={word}", word),
        (f"passwd: '{word}'", word), (f'"password": "{word}"', word), (f"PASSWORD IS {word}", word),
        (f"密码：{word.translate(_FULL)}", word.translate(_FULL)), (f"api_key = {mixed}", mixed), (f"API-KEY：{mixed}", mixed),
        (f"Authorization: Bearer {mixed}", mixed), (jwt, jwt), (f"sk-{mixed}", mixed), (f"ghp_{mixed}", mixed),
        (f"AKIA{mixed.upper()[:16]}", mixed.upper()[:16]), (mixed, mixed), (f"rtsp://admin:{word.replace('@', '_')}@10.0.0.9/1", word.replace("@", "_")),
        (f"token: {mixed}", mixed), (f"令牌={mixed}", mixed), (f"验证码：{word[-4:]}{word[:2]}", word[-4:] + word[:2]),
    ]  # fmt: skip


def _addresses(random_: random.Random) -> list[str]:
    user = _words(random_, string.ascii_lowercase, 7)
    return [
        f"{user}@example.com", f"{user} (at) mine.example.cn", f"{user}@example.com".translate(_FULL),
        f"微信：{user}_88", f"QQ号 {random_.randint(10**7, 10**9)}", f"护照 E{random_.randint(10**7, 10**8 - 1)}",
    ]  # fmt: skip


def planted(count: int, seed: int) -> list[Planted]:
    """So many texts with a secret each: every form of every kind in turn, in carriers that vary."""
    random_ = random.Random(seed)
    makers: dict[str, Callable[[], list[tuple[str, str]]]] = {
        "mobile": lambda: [(form, form) for form in _mobiles(random_)],
        "identity": lambda: [(form, form) for form in _identities(random_)],
        "secret": lambda: _secrets(random_),
        "name": _names,
        "landline": lambda: [(form, form) for form in _landlines(random_)],
        "address": lambda: [(form, form.partition("：")[2] or form) for form in _addresses(random_)],
    }
    made: list[Planted] = []
    while len(made) < count:
        for kind, maker in makers.items():
            made += [Planted(random_.choice(_CARRIERS).format(said), core, kind) for said, core in maker()]
    return made[:count] if count <= 60 else random_.sample(made, count)


def clean(count: int, seed: int) -> list[str]:
    """So many texts of the trade with no secret: clauses of the sample code book, readings, orders, numbers."""
    random_ = random.Random(seed)
    texts = [text for path in sorted(_CODEBOOKS.glob("*.toml")) for text in _clauses(path)]
    assert len(texts) > count // 2
    texts = random_.sample(texts, min(len(texts), count // 2))
    kinds = list(RISK_TYPES.values())
    for n, (kind, form) in enumerate(product(kinds, range(6))):
        at = f"2026-{n % 12 + 1:02}-{n % 28 + 1:02} {n % 24:02}:{n * 7 % 60:02}:{n * 11 % 60:02}"
        value = random_.uniform(0, 900)
        texts.append(
            (
                f"{at} UTC {kind.zh}，地点：{n % 9 + 1}采区{n % 5 + 1}号带式输送机巷，置信度0.{n % 90 + 10}，重复{n % 7}次。",
                f"{kind.en} at belt roadway {n % 9 + 1}, {value:.1f} ppm (limit 24 ppm), frames {n * 1000}-{n * 1000 + 250}",
                f"依据 cn-coal-safety:{n}@{n % 4 + 1} 第{n}条，标准 GB/T {10000 + n}-2019、AQ {1000 + n}-2014、MT/T {700 + n}-1997，设备 KJ{n}X 编号 2026{n:06}。",
                f"风速 {value / 100:.2f} m/s，断面 12.5 m2，供电 660 V、1140 V、3300 V，电缆 3×70+1×25，长度 {n * 13 % 1900 + 100} m。",
                f"由机电区长负责，{n % 23 + 1} h 内更换托辊 {n % 40 + 1} 个；瓦斯检查员复查后恢复生产，密码箱钥匙由值班室保管。",
                f"pump 2 ran 12.5 13.0 13.5 14.0 14.5 15.0 15.5 16.0 16.5 kW; {random_.getrandbits(128):032x}-1; 39.{n:04}",
            )[form]
        )
    return random_.sample(texts, count)


def _clauses(path: Path) -> list[str]:
    clauses = read_codebook(path, "north").clauses.values()
    return [text for clause in clauses for text in (clause.text_zh, clause.text_en) if text]
