"""Text for reports and terminals: removing control characters and secrets, shortening, formatting durations."""

from __future__ import annotations

import re

from itb.util.redact import redact

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-~])")
# All but what XML 1.0 allows, and the marks that reverse the direction of
# text: with those, a report could read differently from what it says.
_UNSHOWABLE = re.compile(
    "[^\t\n\x20-\x7e\xa0-\u2029\u202f-\u2065\u206a-\ud7ff\ue000-\ufdcf\ufdf0-\ufffd\U00010000-\U0010ffff]"
)
# What nobody sees: marks without width that tell names apart which look the same, or change the direction of
# what is beside them; blank letters; and tags, in which a text for machines may hide.
_INVISIBLE = re.compile(
    "[\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2060-\u2064\u3164\uffa0\U000e0000-\U000e007f]"
)
# What CI systems take for an order to them in the output of a job: GitHub at the begin of a line, and in its older
# form, like Azure Pipelines and TeamCity theirs, anywhere in one.
_CI_LINE = re.compile(r"^([^\S\n]*:)(?=:[\w-]+(?:[^\S\n][^\n]*?)?::)", re.MULTILINE)
_CI_WORD = re.compile(r"#(?=#(?:vso|teamcity)?\[)", re.IGNORECASE)
_USERINFO = re.compile(r"(\b[a-z][a-z0-9+.-]{0,20}://)[^\s/@:]*:[^\s/@]+@", re.IGNORECASE)


def clean(text: str) -> str:
    """Return text without terminal escapes, secrets and characters that XML forbids or that mislead a reader.

    Nor does it order anything of a CI system whose job prints it.
    """
    text = _ESCAPES.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    text = redact(_UNSHOWABLE.sub("\ufffd", text))
    text = text if text.isascii() else _INVISIBLE.sub("\ufffd", text)  # redaction looks for secrets behind these
    return without_orders(_USERINFO.sub(r"\1[redacted]@", text))


def without_orders(text: str) -> str:
    """Return text with a blank in what CI systems take for an order: set a variable, change PATH, end a mask."""
    text = _CI_LINE.sub(r"\1 ", text) if "::" in text else text
    return _CI_WORD.sub("# ", text) if "##" in text else text


def json_without_orders(document: str) -> str:
    """Return a JSON document with the same values, in which CI systems find no order."""
    return _CI_WORD.sub(r"\\u0023", document)


def lines_of(text: str) -> list[str]:
    """Return the lines of what a program wrote for programs: nothing but a newline ends one.

    For ``str.splitlines`` U+2028 ends one, too, which may be in names that somebody
    else chose: what follows would be a line, a reference or a result of their own.
    """
    return text.removesuffix("\n").split("\n") if text else []


def one_line(text: str, limit: int = 400) -> str:
    """Return text as a single line of at most ``limit`` characters."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def count(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun: ``1 kind``, ``2 kinds``."""
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"


def duration(seconds: float) -> str:
    """Return a number of seconds in the units people use: 0.42 s, 4.1 s, 1 min 42 s, 1 h 02 min."""
    if seconds < 1:
        return f"{max(0.0, seconds):.2f} s"
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


EVIDENCE_LIMIT = 6000  # characters; the rest is in the log


def cut(text: str, limit: int = EVIDENCE_LIMIT, *, around: str = "") -> str:
    """Shorten a long text to ``limit`` characters: its begin (a quarter of them) and its end, where causes stand.

    If that leaves out the last occurrence of ``around``, keep that and the text
    after it instead, with a quarter of the limit before it.
    """
    if len(text) <= limit:
        return text
    head, tail = limit // 4, limit - limit // 4
    place = text.rfind(around) if around else -1
    if 0 <= place < len(text) - tail and place + len(around) > head:
        begin = max(0, place - head)
        end = begin + limit
        before = f"[... {begin} characters left out ...]\n" if begin else ""
        return f"{before}{text[begin:end]}\n[... {len(text) - end} characters left out ...]"
    return f"{text[:head]}\n[... {len(text) - limit} characters left out ...]\n{text[-tail:]}"


def slug(text: str) -> str:
    """Return a text as a file name: lower-case words joined by hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60] or "unnamed"
