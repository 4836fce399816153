"""What the candidate's packages have brought to this host, file by file."""

import fnmatch
import os
import re
import shutil
import sys
from pathlib import Path

_DOCUMENTATION = ("/usr/share/doc/", "/usr/share/man/", "/usr/share/licenses/")
_TEMPLATES = (
    ".in", ".j2", ".jinja", ".jinja2", ".template", "_template", "-template", ".tmpl", ".tpl", ".erb",
    ".mustache", ".tt",
)  # fmt: skip
_PLACEHOLDER = re.compile(rb"\{%.*?%\}|\{\{ *\w.*?\}\}|@[A-Z][A-Z0-9_]+@")
_ENV = re.compile(r"(?:.*/)?env$")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"


class BroughtFile:
    """A regular file of a package, other than its documentation."""

    def __init__(self, path, package=""):
        self.path, self.package = path, package
        self.name = Path(path).name
        self.mode = os.lstat(path).st_mode
        with Path(path).open("rb") as file:
            self._head = file.read(4096)

    def content(self):
        """Return all of it."""
        return Path(self.path).read_bytes()

    @property
    def is_executable(self):
        """True if somebody may run it."""
        return bool(self.mode & 0o111)

    @property
    def shebang(self):
        """Return the words of its first line after "#!"; none if there is no such line."""
        if not self._head.startswith(b"#!"):
            return []
        return self._head.split(b"\n", 1)[0][2:].decode("utf-8", "replace").strip(" \t").split(" ")

    @property
    def interpreter(self):
        """Return what its first line says has to run it, a path or a name to be looked up; empty if nothing."""
        words = [word for word in self.shebang if word]
        if words and _ENV.match(words[0]):
            words = [word for word in words[1:] if not word.startswith("-") and "=" not in word]
        return words[0] if words else ""

    @property
    def found_interpreter(self):
        """Return the path of its interpreter; empty if it is not on this host."""
        return shutil.which(self.interpreter, path=PATH) or "" if self.interpreter else ""

    @property
    def is_template(self):
        """True if something is to be put in before anybody reads it as what it is."""
        return bool(_PLACEHOLDER.search(self.content()))


def is_left_out(path, exceptions):
    """True for documentation, a template, and what a pattern matches."""
    if path.startswith(_DOCUMENTATION) or path.endswith(_TEMPLATES):
        return True
    return any(fnmatch.fnmatchcase(path, pattern) for pattern in exceptions)


def report(number, name, findings):
    """Print a result in TAP whose cause is all findings, as long as that is a line; each of them follows."""
    print("not ok" if findings else "ok", number, "-", name)
    findings = [" ".join(finding.split()) for finding in findings]
    shown, length = 0, 0
    while shown < len(findings) and (not shown or length + len(findings[shown]) < 500):
        length += len(findings[shown])
        shown += 1
    if shown:
        left = len(findings) - shown
        print("#", "; ".join(findings[:shown]) + (f" (and {left} more)" if left else ""))
    for finding in findings[:200] if len(findings) > 1 else ():
        print("#  ", finding)
    sys.stdout.flush()
