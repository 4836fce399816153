#!/usr/bin/python3
"""Reads what dnf printed: why it refused, which of the packages' scripts failed.

A Python script takes it in from the folder in ITB_LIB; for others:

  dnf_log.py refused FILE      the line that says why, causes before what follows from them
  dnf_log.py scriptlets FILE   one line for each script that failed, with what it printed last
"""

import re
import sys
from pathlib import Path

# In this order: whoever requires what nobody provides is at fault, whatever else could not be had then.
_REASONS = (
    r"nothing provides",
    r"obsoletes .* provided by",
    r"conflicts with .* provided by",
    r"conflicts (between attempted installs|with file from)",
    r"none of the providers can be installed",
    r"but it is not (going to be )?install",
    r"requires .*, but",
    r"cannot install both",
    r"filtered out by exclude",
    r"more space needed|No space left",
    r"No match for argument|Unable to find a match",
    r"Problem( \d+)?: (?!conflicting requests)",
)
# At the end of its line: before it may stand what the script has printed, in these words, too.
_SCRIPTLET = re.compile(r".*%(\w+)\(([^()\s]+)\) scriptlet failed, (exit status \d+|signal \d+)")
_IN_PACKAGE = re.compile(r"Error in (\w+) scriptlet in rpm package (\S+)")
_PROGRESS = re.compile(
    r"\s*(Running scriptlet|Installing|Preparing|Upgrading|Downgrading|Reinstalling|Verifying|Cleanup|Erasing"
    r"|Obsoleting|Removing|Error in|error:|warning: Unable to reset nice)"
)


def refused(text):
    """Return the line that says why dnf did not do what it was asked for; empty if there is none."""
    lines = [re.sub(r"^[\s-]+|^Error: +", "", line).strip() for line in text.splitlines()]
    for reason in _REASONS:
        for line in lines:
            if re.search(reason, line) and "conflicting requests" not in line:
                return re.sub(r"^Problem( \d+)?: ", "", line)
    for line in lines:
        if line.startswith(("error:", "Error:")) and not line.startswith("Error: Transaction"):
            return line
    return ""


def scriptlets(text):
    """Return (kind, package, status, what it printed last) of each script that failed, in order."""
    found, lines = [], text.splitlines()
    for number, line in enumerate(lines):
        match = _SCRIPTLET.search(line)
        if match:
            printed = [item.strip() for item in lines[max(0, number - 3) : number] if item.strip()]
            printed = [item for item in printed if not _PROGRESS.match(item)]
            found.append((match.group(1), match.group(2), match.group(3), printed[-1] if printed else ""))
    named = {package for _, package, _, _ in found}
    for match in _IN_PACKAGE.finditer(text):
        kind, package = match.groups()
        if not any(item == package or item.startswith(package + "-") for item in named):
            found.append((kind.lower(), package, "", ""))
    return found


def describe(scriptlet):
    """Return a script that failed in one line."""
    kind, package, status, printed = scriptlet
    kind = {"prein": "pre", "postin": "post"}.get(kind, kind)
    return f"%{kind} of {package} failed" + (status and f", {status}") + (printed and f": {printed}")


def main():
    """Print what is asked for."""
    what, file = sys.argv[1:]
    text = Path(file).read_text(encoding="utf-8", errors="replace")
    found = [refused(text)] if what == "refused" else [describe(item) for item in scriptlets(text)]
    for line in found:
        if line:
            print(line)


if __name__ == "__main__":
    main()
