"""What a candidate prints takes no time to read, however long a line: every pattern and reader is linear in it."""

from __future__ import annotations

import base64
import functools
import importlib
import pkgutil
import re
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

import itb
from itb.build import log as build_log
from itb.data import shipped
from itb.install import dnf, services
from itb.process import downloads
from itb.process.result import Completed
from itb.scenario import check_results
from itb.util import causes, encodings, key_text, text
from itb.util.redact import MARK, redact_bytes
from itb.util.redact_stream import Stream

TOKEN = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJpdGIifQ.MEUCIQDx-_9abcDEF0123456789"
SIZE = 1 << 16  # characters
SECONDS = 0.5  # of CPU time; what is read once from each of its places takes minutes for as long a line
LETTERS = (
    "A", "a", "e", "7", " ", "\t", "\r", "\n", "\\", "/", ".", ":", "-", "_", "=", "%", "&", "*", "\x1b", "'", "(",
    "[", "é",
)  # fmt: skip
WORDS = (
    "eyJ", "://a", "a://b:", "&#46;", "%2F", "\\u00", "\\x", "aa:", "07 ", "1, ", "a.b.", "x@y", "-----BEGIN ",
    "M", "MIG", "-----END PRIVATE KEY-----\n", "-----BEGIN PRIVATE KEY-----\n", "priv:\n    aa:",
    "A" * 40 + "\n", "A" * 40 + "!", "eyJabcde.", "s.", "hvs.", "bearer ", "bearer a", "authorization: ",
    "_token", "_token='", "--token ", "(d #", '"d": "', "\x1b[", "##", "::a ", "warning: %", "error: %post(",
    "Error in ", "obsoletes ", "requires , but ", "requires ", "conflicts with ", "needs ", "Curl error (1): ",
    "Curl error (1): x for ", "E: Failed to fetch ", "Status code: ", "Failed to add  watch",
    "Failed to set a watch", "Error", "Excepti", "ERROR ", ": line 1: ", "Executing(", "* Executing ",
    "error: Bad exit status from ", "error: File not found: /a/BUILD/", "  is needed by ", ":1", "ok 1 - ",
    "not ok 1", "1..1 # ", "a: b: ", "Problem", "x at y failed to send file(s) ", "WARN ", "failed ", "(a)",
    "Dec ", "[", "<a", 'File "', "# ", "1.1.",
)  # fmt: skip


def cpu_seconds(action: Callable[[], object]) -> float:
    began = time.thread_time()
    action()
    return time.thread_time() - began


def long_line(word: str, size: int = SIZE) -> str:
    """Return a word again and again, and an end that no pattern expects."""
    return (word * (size // len(word) + 1))[:size] + "!\n"


def patterns() -> Iterator[tuple[str, re.Pattern[str] | re.Pattern[bytes]]]:
    """Yield the patterns that modules of itb look for anywhere in a text, with their names."""
    for info in pkgutil.walk_packages(itb.__path__, "itb."):
        if info.name.endswith("__main__"):
            continue
        module = importlib.import_module(info.name)
        source = Path(str(module.__file__)).read_text(encoding="utf-8")
        for name, value in vars(module).items():
            if isinstance(value, encodings.Encoding):
                yield from ((f"{name}: {part.pattern!r}", part) for part in (value.words, value.code) if part)
            if isinstance(value, re.Pattern) and re.search(rf"\b{name}\.(search|sub|split|find\w+)\(", source):
                yield f"{info.name}.{name}", value


PATTERNS = dict(patterns())  # before any test: some modules open a socket when they are imported


def test_every_pattern_is_linear() -> None:
    """One that is tried from each place to the end takes 20 ms at 8 KiB, minutes at 1 MiB; a linear one 1 ms."""
    slow = {}
    for word in (*LETTERS, *WORDS):
        line = long_line(word, 1 << 13)
        data = line.encode()
        for name, pattern in PATTERNS.items():
            find = functools.partial(_find_all, pattern, line if isinstance(pattern.pattern, str) else data)
            if cpu_seconds(find) > 0.012 and min(cpu_seconds(find) for _ in range(3)) > 0.012:
                slow[name] = word
    assert not slow


def _find_all(pattern: re.Pattern[Any], text: str | bytes) -> None:
    for _ in pattern.finditer(text):
        pass


def packed_words(size: int) -> str:
    """Return many short words of base64, each of which is a lot of text that is packed."""
    words, number = [], 0
    while sum(map(len, words)) < size:
        number += 1
        words.append(base64.b64encode(zlib.compress(f"{number} ".encode() + b"\0" * (1 << 17), 9)).decode())
    return " ".join(words)


READERS: dict[str, Callable[[str], object]] = {
    "redact": lambda line: redact_bytes(line.encode()),
    "a stream": lambda line: Stream().feed(line.encode()),
    "may go on": lambda line: key_text.may_go_on(line.encode(), 0, len(line)),
    "clean": text.clean,
    "a scriptlet": dnf.failed_scriptlet,
    "dnf's reason": dnf.dnf_reason,
    "a verified file": dnf.explain_verify,
    "dnf of repositories": lambda line: dnf._text_about_repositories(
        cast(Completed, SimpleNamespace(stdout=line, stderr=line))
    ),
    "a transient error": lambda line: downloads.find_transient_error(line[: SIZE // 2]),
    "a failed download": downloads.find_failed_download,
    "a line of dnf": lambda line: downloads.find_line(downloads.REPOSITORY, line),
    "a build's failure": lambda line: build_log.find_failure(f"error: Failed build dependencies:\n{line}"),
    "unpackaged files": lambda line: build_log.find_failure(f"Installed (but unpackaged) file(s) found:\n{line}"),
    "a section": lambda line: build_log.find_failure(
        f"Executing(%build)\n{line}error: Bad exit status from /x (%build)\n"
    ),
    "a milestone": build_log.milestone,
    "a service's cause": services.find_cause,
    "a cause": services.names_cause,
    "a missing file": causes.further_trouble,
    "TAP": lambda line: check_results.parse_tap(f"1..2\nok 1 - {line}not ok 2 # {line}"),
}


@pytest.mark.parametrize("reader", READERS)
def test_a_long_line_is_read_at_once(reader: str) -> None:
    for word in (*LETTERS, *WORDS):
        line = long_line(word)
        assert cpu_seconds(functools.partial(READERS[reader], line)) < SECONDS, word


@pytest.mark.parametrize("name", ["errors", "findings"])
def test_a_host_reads_long_lines_of_logs_at_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the search for errors ends at its limit of time, which is no fault of a candidate."""
    monkeypatch.syspath_prepend(shipped.folder("build_ws") / "hosts")
    script = importlib.import_module(name)
    for word in (*LETTERS, *WORDS):
        line = f"ERROR {long_line(word, 1 << 14)[:-1]}"
        lines = [line, f"{line} b'Traceback (most recent call last):", " a", "b"]
        lines.append(f"{line} failed to send file(s) ")
        if name == "errors":
            seconds = cpu_seconds(lambda lines=lines: script.tally(lines, "a.log", 1, []))
        else:
            seconds = cpu_seconds(lambda lines=lines: script.findings([("a.log", "\n".join(lines))], []))
        assert seconds < SECONDS, word
    sys.modules.pop(name)


def test_packed_words_are_unpacked_within_bounds_and_hide_nothing() -> None:
    token = base64.b64encode(zlib.compress(TOKEN.encode())).decode()
    data = f"{packed_words(SIZE)} {token}\n".encode()
    shown: list[bytes] = []
    assert cpu_seconds(lambda: shown.append(redact_bytes(data))) < SECONDS
    assert token.encode() not in shown[0]
    assert shown[0].endswith(f"{MARK}\n".encode())


def test_an_innocent_packed_word_stays() -> None:
    words = [base64.b64encode(zlib.compress(f"{number} is no secret".encode())).decode() for number in range(100)]
    text = " ".join(words)
    assert redact_bytes(text.encode()).decode() == text
