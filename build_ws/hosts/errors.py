"""Count the errors that logs have again and again while a product works.

usage: errors.py count|keep|skip [-x REGEX]... [-u UNIT]... GLOB...

``count`` prints the kinds of errors that came since the last ``count``, one line each, a JSON list: kind, times,
message, file, number of its line (from 1, 0 where it is not known), that line.  What came between ``keep`` and
``skip`` is left out: meanwhile a scenario broke things on purpose, and the logs that tell of it are right.

An error is a line whose level is ERROR or above, an entry of a unit's journal of such a priority, or a traceback.
A kind is a message without what is different each time: numbers, times, ids.  What several logs have counts once,
as often as that which has it most.  Messages that match a REGEX do not count.
Runs on any host (Python 3.6 or later).
"""

import glob
import json
import re
import subprocess
import sys
from pathlib import Path

STATE = Path("/var/lib/itb/errors.json")
LIMIT = 32 << 20  # bytes of a log that are read; of more, the newest
JOURNAL = "journal.txt"  # as itb calls a host's journal
MOST = 40  # kinds
REPEATED = 3  # times
LOOSE = 3  # first words that are the same in errors of which no two are the same
HEAD = 160  # characters of a line in which its level is looked for
BAD = "EMERG(?:ENCY)?|ALERT|PANIC|FATAL|CRIT(?:ICAL)?|SEVERE|EXCEPTION|ERROR|ERR"
FINE = "WARN(?:ING)?|NOTICE|INFO|DEBUG|TRACE|VERBOSE|FINE"
QUICK = re.compile(r"(?i)err|crit|fatal|emerg|alert|panic|severe|exception|traceback|line \d|segm|^[EF]\d{4} ")
# A level in capitals; in small letters where nothing else stands: [core:error], level=error, "level": "error".
LEVEL = re.compile(
    rf"(?<![\w/.])(?:(?P<bad>{BAD})|(?:{FINE}))(?![\w/])"
    rf"|(?:[\[(<:|]|\b(?:level|severity)\W{{1,4}})(?:(?P<small>(?i:{BAD}))|(?i:{FINE}))(?=[\])>|\"',\s]|$)"
)
# What programs say of themselves without a level: "tool: error: ...", a shell, PHP, Python of a thread.
SAID = re.compile(
    r"^(?:\S+: )?(?:error|fatal|panic): "
    r"|^(?:\S*/)?[^/\s]+: line \d+: .*(?:command not found|No such file or directory|Permission denied"
    r"|syntax error|unbound variable|unexpected EOF)"
    r"|\bPHP (?:Fatal|Parse) error: |^Exception in thread |^Segmentation fault\b"
)
MODULE = re.compile(r"^[\w./-]+:\d+: ")
GLOG = re.compile(r"^[EF]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ \S+:\d+\] ")
TRACEBACK = "Traceback (most recent call last):"
CHAINED = ("During handling of the above exception", "The above exception was the direct cause")
# What stands before a level: dates, what is in brackets, names of modules; and, as words, a host and a program.
DAY, MONTH = "Mon|Tue|Wed|Thu|Fri|Sat|Sun", "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
DATE = re.compile(rf"^\W*(?:(?:{DAY})\b,? )?(?:{MONTH})\b")
HEADER = re.compile(r"\[[^\]]*\]?|\([^)]*\)|<[^>]*>|\S*\d\S*|\S*[.:=|/{\"]\S*|[-|*]")
WORDS_BEFORE = 2
VARIABLE = re.compile(r"(?<!\S)\S*\d\S*|\b[0-9a-f]{8,}\b")


def error_message(line):
    """Return what a line says if its level is ERROR or above, else None."""
    found = GLOG.match(line)
    if found:
        return line[found.end() :].strip()
    level = LEVEL.search(line, 0, HEAD)
    before = HEADER.sub(" ", DATE.sub("", line[: level.start()])).split() if level else ()
    if level and len(before) <= WORDS_BEFORE:
        is_bad = level.group("bad") or level.group("small")
        said = MODULE.sub("", line[level.end() :].strip(" \t:]|)>-,\"'"))
        return (said or line.strip()) if is_bad else None
    return line.strip() if SAID.search(line) else None


def errors(lines):
    """Yield (number from 0, message) of each error; a traceback is one with the line that introduces it."""
    number, said = 0, None
    while number < len(lines):
        line = lines[number]
        message = error_message(line) if QUICK.search(line) else None
        if TRACEBACK in line:
            start, introduced = said if said else (number, None)
            message = introduced or (without_marks(message.partition(TRACEBACK)[0]) if message else "")
            number, exception = end_of_traceback(lines, number)
            yield start, f"{message.rstrip(':')}: {exception}" if message else exception
            said = None
            continue
        if said:
            yield said
        said = (number, message) if message is not None else None
        number += 1
    if said:
        yield said


def without_marks(text):
    """Return a text without the marks at its end, and without the b of bytes between them."""
    marks = re.match(r"\W*b?\W*", text[::-1])  # one that ends with $ would be tried from each place on
    return text[: len(text) - marks.end()]


def end_of_traceback(lines, number):
    """Return the number of the line after a traceback and its exception, that of the last one if it is a chain."""
    line = lines[number]
    if "\\n" in line:  # a child's output that was logged in one line
        pieces = [piece.strip(" '\",]") for piece in line.split("\\n")]
        return number + 1, next((piece for piece in reversed(pieces) if piece), line.strip())
    number += 1
    while number < len(lines) and (lines[number][:1] in (" ", "\t") or not lines[number].strip()):
        number += 1
    exception = lines[number].strip() if number < len(lines) else "a traceback without its end"
    for further in range(number + 1, min(number + 5, len(lines))):
        if lines[further].startswith(CHAINED):
            following = range(further, min(further + 4, len(lines)))
            begin = next((index for index in following if TRACEBACK in lines[index]), 0)
            return end_of_traceback(lines, begin) if begin else (further + 1, exception)
        if lines[further].strip():
            break
    return number + 1, exception


def kind_of(message):
    """Return a message without what is different each time."""
    return " ".join(VARIABLE.sub("#", message).split())[:200]


def tally(lines, name, first, ignored):
    """Return the errors of a log by kind: times, message, name, number of the first one's line, that line."""
    kinds = {}
    for number, message in errors(lines):
        if not any(item.search(message) or item.search(lines[number]) for item in ignored):
            line = first + number if first else 0
            found = kinds.setdefault(kind_of(message), [0, message[:400], name, line, lines[number][:2000]])
            found[0] += 1
    return kinds


def merge(kinds, more):
    """Take the kinds of one more log: an error that another log has, too, is the same one."""
    for kind, found in more.items():
        known = kinds.setdefault(kind, found)
        place = found if found[3] and not known[3] else known  # a file is easier to look into than a journal
        kinds[kind] = [max(known[0], found[0]), *place[1:]]


def loosened(kinds):
    """Return the kinds; those that came once or twice and begin alike are one: a word is different each time."""
    result, heads = {}, {}
    for kind, found in kinds.items():
        words = kind.split()
        if found[0] < REPEATED and len(words) > LOOSE:
            heads.setdefault((found[2], " ".join([*words[:LOOSE], "..."])), {})[kind] = found
        else:
            result[kind] = found
    for (_, head), same in heads.items():
        times = sum(found[0] for found in same.values())
        first = next(iter(same.values()))
        result.update({head: [times, *first[1:]]} if len(same) > 1 and times >= REPEATED else same)
    return result


def read_journal(units, cursor):
    """Return the lines of the units' own entries after a cursor, and the last one's; bad ones begin with ERROR."""
    argv = ["journalctl", "--no-pager", "--output=json", "--output-fields=MESSAGE,PRIORITY"]
    # A name may be an alias.
    names = (run(["systemctl", "show", "--value", "--property=Id", *units]) or "").split() if units else []
    matches = ["_SYSTEMD_UNIT=" + name for name in names]
    text = run([*argv, "--after-cursor=" + cursor, *matches]) if cursor else None
    lines = []
    for row in (text if text is not None else run([*argv, *matches]) or "").splitlines() if names else ():
        entry = json.loads(row)
        cursor, message = entry["__CURSOR"], entry.get("MESSAGE") or ""
        if not isinstance(message, str):
            message = "\n".join(texts(message))
        is_bad = entry.get("PRIORITY", "6") in "0123" and message.strip() and error_message(message) is None
        lines += [("ERROR: " if is_bad else "") + line for line in message.splitlines()]
    return lines, cursor


def texts(message):
    """Return the messages of an entry whose message is bytes or, as any program may log, several."""
    if message and all(isinstance(item, int) for item in message):
        return [bytes(message).decode("utf-8", "replace")]
    found = []
    for item in message:
        found += [item] if isinstance(item, str) else texts(item) if isinstance(item, list) else []
    return found


def run(argv):
    """Return the output of a program; None if it fails."""
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    return None if done.returncode else done.stdout.decode("utf-8", "replace")


def read_log(path, mark):
    """Return the lines of a log after a mark (offset, line), the number of the first, and the mark of its end."""
    with Path(path).open("rb") as file:
        size = file.seek(0, 2)
        offset, number = mark if mark[0] <= size else (0, 0)  # it was truncated
        is_cut = size - offset > LIMIT
        file.seek(max(offset, size - LIMIT))
        data = file.read(LIMIT)
    if b"\0" in data[:4096] or path.endswith((".gz", ".xz", ".bz2", ".zst")):
        return [], 0, [size, 0]
    end = data.rfind(b"\n") + 1  # what is half written counts next time
    lines = data[:end].decode("utf-8", "replace").split("\n")[:-1]
    known = not is_cut and (number or not offset)
    return lines, number + 1 if known else 0, [size - len(data) + end, number + len(lines) if known else 0]


def look(state, arguments, units, ignored):
    """Return the kinds of errors since the state's marks, and move these."""
    kinds = {}
    lines, state["cursor"] = read_journal(units, state.get("cursor", ""))
    merge(kinds, tally(lines, JOURNAL, 0, ignored))
    marks, state["marks"] = state.get("marks", {}), {}
    paths = {path for pattern in arguments for path in glob.glob(pattern, recursive=True)}  # noqa: PTH207  absolute
    for path in sorted(path for path in paths if Path(path).is_file()):
        try:
            inode = str(Path(path).stat().st_ino)  # of a log that was rotated, too
            lines, first, state["marks"][inode] = read_log(path, marks.get(inode, (0, 0)))
        except OSError:
            continue
        merge(kinds, tally(lines, path, first, ignored))
    return kinds


def shown(value):
    """Return a text without bytes that are no UTF-8, of a file's name: JSON cannot have them."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace") if isinstance(value, str) else value


def main(arguments):
    """Print the kinds of errors."""
    verb, options = arguments[0], {"-x": [], "-u": []}
    arguments = arguments[1:]
    while arguments[:1] and arguments[0] in options:
        options[arguments[0]].append(arguments[1])
        arguments = arguments[2:]
    state = json.loads(STATE.read_text()) if STATE.is_file() else {}
    kept = state.get("kept", {})
    found = look(state, arguments, options["-u"], [re.compile(item) for item in options["-x"]])
    if verb != "skip":
        for kind, item in kept.items():
            found[kind] = [found.get(kind, [0])[0] + item[0], *item[1:]]
    state["kept"] = {"count": {}, "keep": found, "skip": kept}[verb]
    STATE.parent.mkdir(parents=True, exist_ok=True)
    STATE.write_text(json.dumps(state))
    ordered = sorted(loosened(found).items(), key=lambda item: -item[1][0])[:MOST]
    for kind, rest in ordered if verb == "count" else ():
        print(json.dumps([shown(item) for item in (kind, *rest)]))


if __name__ == "__main__":
    main(sys.argv[1:])
