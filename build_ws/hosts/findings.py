"""Look through logs for what went wrong.

usage: findings.py [-x REGEX]... [-w GLOB] GLOB...

Prints the errors found, likeliest cause first, one line each, a JSON list:
message, file, number of the line there (from 1, 0 of a file that is not read
from its start), that line.  The end of a Python traceback weighs more than a line that says
ERROR, unless it came once and the line again and again; what is repeated
weighs more than what happened once; what a log has gone on from for long,
less than what it has not; of equals the earliest is the cause of the others.
Messages that match a REGEX do not count.  Where there is no error, what logs
end with is printed if that warns of something that did not go well, or else what
the files of -w say last: output of programs that have ended.
Runs on any host (Python 3.6 or later); "-" reads standard input.
"""

import glob
import json
import re
import sys
from pathlib import Path

LIMIT = 4 << 20  # bytes of a file, from its end
TRACEBACK = "Traceback (most recent call last):"
# What begins a line of a log: date, time, level, module; "[...]" of those that quote another process.
PREFIX = re.compile(r"^\W*(\d{2,4}[-/]\d\d[-/]\d\d[ T])?\d\d:\d\d:\d\d[,.\d]*[]:\s]*(\[\d+\]\s*)?(\(\S+\)\s*)*")
# As date(1) prints it.
DATE = re.compile(r"^[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d [\d:]{8} ([AP]M )?\w+ \d{4} ")
ERROR = re.compile(
    r"\b(ERROR|CRITICAL|FATAL|EXCEPTION|Error running|[Vv]alidation (failed|error)|No module named)\b"
    r"|_job_submit\(\) failed: "  # HTCondor's GridManager, of a CE
    r"|failed to (?:send|receive) file\(s\) "  # HTCondor, of a job; why is what the other side says
)
TRANSFER = re.compile(
    r"^(?:.*?\s)??(\S+ at \S+ failed to (?:send|receive) file)\(s\) .*?\|Error: ([^;|]+)(?:[;|].*)?"
)
JUDGED = re.compile(r"alidation error in|Error running '")
FINE = re.compile(r": OK$|\bOK for |validation OK")
MODULE = re.compile(r"^(ERROR|CRITICAL|EXCEPTION): \S+:\d+: ")
# What a shell says of a script it cannot read; other things it cannot do, scripts may have foreseen.
SYNTAX = re.compile(r"^(?:\S*/)?([^/\s]+: line \d+: (?:syntax error|unexpected EOF|bad substitution)\b.*)")
# Exceptions that say nothing without the place, which is in a file that was about to run.
UNREADABLE = ("SyntaxError", "IndentationError", "TabError")
PLACE = re.compile(r'^\s+File "([^"]+)", line (\d+)')
WARNING = re.compile(
    r"\bWARN(ING)?\b.*\b([Cc]annot|could not|[Ff]ailed|refused|denied|errmsg|[Ee]rror"
    r"|not \w+ed|[Uu]nknown|[Mm]issing|[Ii]nvalid|[Uu]nsupported|[Rr]eject\w*|KeyError)\b"
)
MOST = 5
LONGEST = 4000  # characters of a line that are read: patterns that have .* twice take the square of that
NEAR = 20  # lines
LONG = 50  # lines
NEWEST = 40  # files
WORDS = re.compile(r"^(?!\s*(?:===|<))(?=.*\w \w).*\w")
OFTEN = 5  # times: a program that goes on after a traceback may have met a file half written


def expand(text):
    """Lines of a log; a child's output that was logged in one line, as Python shows bytes, becomes several.

    Each with the number (from 0) of the line of the log that it is of.
    """
    for number, line in enumerate(text.splitlines()):
        if TRACEBACK in line and "\\n" in line:
            # As bytes, or as a list of lines.
            pieces = line.replace("\\'", "'").split("\\n")
            yield from ((number, re.sub(r"""^['"], ?['"]""", "", piece)[:LONGEST]) for piece in pieces)
        else:
            yield number, line[:LONGEST]


def tracebacks(lines):
    """Line number and last line of the tracebacks, exception and message, and syntax errors of shell scripts."""
    inside, place = False, ""
    for number, line in enumerate(lines):
        at = PLACE.match(line)
        if line.rstrip().endswith(TRACEBACK):
            inside = True
        elif at:
            place = " ({} line {})".format(at.group(1).rpartition("/")[2], at.group(2))
        elif line.strip() and not line.startswith((" ", "\t")):
            unreadable = place if line.startswith(UNREADABLE) else ""
            if inside or unreadable:  # a program that cannot itself be read leaves no traceback
                yield number, line.strip() + unreadable
            inside, place = False, ""
        match = SYNTAX.match(line)
        if match:
            yield number, match.group(1)


def errors(lines):
    """Line number and text of lines that call themselves errors, without time and place."""
    for number, line in enumerate(lines):
        if ERROR.search(line) and not line.lstrip().startswith("<"):  # results of others, as XML
            message = TRANSFER.sub(r"\1s: \2", MODULE.sub("", PREFIX.sub("", DATE.sub("", line)))).strip(" =")
            why = reason(lines, number) if JUDGED.search(line) else ""
            yield number, f"{message}: {why}" if why else message


def reason(lines, number):
    """Why a script failed that a line calls failed: indented below, else what the script itself said last."""
    after = [line for line in lines[number + 1 : number + NEAR] if not JUDGED.search(line)]
    if after and after[0].startswith((" ", "\t")):
        return after[0].strip()
    said = [line.strip() for line in lines[max(0, number - NEAR) : number] if not JUDGED.search(line)]
    before = [line for line in said if line]
    return before[-1] if before and not FINE.search(before[-1]) else ""


def findings(texts, ignored):
    """Return (message, name, number from 0, line) of the errors in named texts, likeliest first."""
    seen = {}
    for name, text in texts:
        expanded, written = list(expand(text)), text.splitlines()
        lines = [line for _, line in expanded]
        for rank, found in enumerate((tracebacks(lines), errors(lines))):
            for number, message in found:
                if any(item.search(message) for item in ignored):
                    continue
                key = (rank, re.sub(r"/\S*/|[0-9a-f]{8,}|\d+", "#", message))
                place = expanded[number][0]
                entry = seen.setdefault(key, [True, rank, 0, len(seen), message, name, place, written[place]])
                entry[2] -= 1
                # The log may have gone on for long without it.
                entry[0] = entry[0] and len(lines) - number > max(LONG, len(lines) // 10)
    found = sorted(seen.values(), key=lambda entry: entry[:4])
    often = [entry for entry in found if -entry[2] >= OFTEN and not entry[0]]
    if often and found[0][2] == -1:
        found = often + [entry for entry in found if entry not in often]
    return [tuple(entry[4:]) for entry in found]


def read(path):
    """The end of a file; nothing of one that was rotated away or may not be read."""
    if path == "-":
        return sys.stdin.read()
    try:
        with Path(path).open("rb") as file:
            file.seek(max(0, size(path) - LIMIT))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""


def size(path):
    """Bytes of a file; 0 of one that was rotated away."""
    try:
        return Path(path).stat().st_size
    except OSError:
        return 0


def expand_globs(patterns):
    """Paths of the files that match, standard input first."""
    paths = set()
    for pattern in patterns:
        found = glob.glob(pattern, recursive=True)  # noqa: PTH207  absolute patterns
        paths.update(path for path in found if Path(path).is_file())
    return ["-"] * ("-" in patterns) + sorted(paths)


def last_warnings(texts, ignored):
    """Return what texts end with where that is a warning, as findings() does: nothing has gone well since."""
    found = []
    for name, text in texts:
        lines = text.rstrip().splitlines()
        message = PREFIX.sub("", lines[-1]).strip() if lines and WARNING.search(lines[-1][:LONGEST]) else ""
        if message and not any(item.search(message) for item in ignored):
            found.append((message, name, len(lines) - 1, lines[-1]))
    return found


def last_words(texts):
    """Return what most of the texts end with, as findings() does: lines of words, no marks and no encoded ones."""
    last = {}
    for name, text in texts:
        for number, line in enumerate(text.splitlines()):
            if WORDS.search(line):
                last[name] = (line.strip(), name, number, line)
    lines = [line for line, *_ in last.values()]
    return sorted(last.values(), key=lambda item: -lines.count(item[0]))[:1]


def shown(value):
    """Return a text without bytes that are no UTF-8, of a file's name: JSON cannot have them."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace") if isinstance(value, str) else value


def main(arguments):
    """Print the findings of the files."""
    ignored, ended = [], []
    while arguments[:1] in (["-x"], ["-w"]):
        if arguments[0] == "-x":
            ignored.append(re.compile(arguments[1]))
        else:
            ended.append(arguments[1])
        arguments = arguments[2:]
    texts = [(path, read(path)) for path in expand_globs(arguments)]
    found = (findings(texts, ignored) or last_warnings(texts, ignored))[:MOST]
    if not found:
        words = last_words([(path, read(path)) for path in expand_globs(ended)[-NEWEST:]])
        found = [("what has ended there said last: " + line, *place) for line, *place in words]
    for message, name, number, line in found:
        is_whole = name == "-" or size(name) <= LIMIT
        row = [message[:400], name, number + 1 if is_whole else 0, line[:2000]]
        print(json.dumps([shown(item) for item in row]))


if __name__ == "__main__":
    main(sys.argv[1:])
