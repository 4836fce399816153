"""Changes the text of a spec file: its scripts, its installation, and single lines of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

_SECTION = re.compile(
    r"%(package|description|prep|generate_buildrequires|build|install|check|clean|files|changelog"
    r"|pre|post|preun|postun|pretrans|posttrans|verifyscript|trigger\w*|filetrigger\w*|transfiletrigger\w*)\b(.*)"
)
_NAME = re.compile(r"(?im)^Name:\s*(\S+)")


@dataclass(frozen=True)
class SpecText:
    """The text of a spec file; a change makes another one."""

    text: str

    @property
    def name(self) -> str:
        """Return the name of its main package."""
        match = _NAME.search(self.text)
        return match[1] if match else ""

    def _sections(self) -> Iterator[tuple[int, str, str]]:
        """Yield the line number, the kind and the arguments of each section."""
        for number, line in enumerate(self.text.splitlines()):
            if match := _SECTION.match(line):
                yield number, match[1], match[2].strip()

    def _package_of(self, arguments: str) -> str:
        words = arguments.split()
        while words and words[0].startswith("-"):
            if words[0] == "-n" and len(words) > 1:
                return words[1].replace("%{name}", self.name)
            words = words[2:] if words[0] in ("-f", "-p") else words[1:]
        return f"{self.name}-{words[0]}" if words else self.name

    def _with_lines(self, number: int, *lines: str) -> Self:
        old = self.text.splitlines()
        return type(self)("\n".join([*old[:number], *lines, *old[number:]]) + "\n")

    def package_at(self, position: int) -> str:
        """Return the name of the package whose section has this place of the text."""
        line = self.text.count("\n", 0, position)
        before = [self._package_of(arguments) for number, _, arguments in self._sections() if number <= line]
        return before[-1] if before else self.name

    def in_script(self, kind: str, package: str, *lines: str) -> Self | None:
        """Return the spec with lines at the beginning of a package's script; None if it is not one of the shell.

        A package without such a script gets one, before the first list of files.
        """
        first_files = None
        for number, section, arguments in self._sections():
            if section == kind and self._package_of(arguments) == package:
                return None if re.search(r"(^|\s)-p\b", arguments) else self._with_lines(number + 1, *lines)
            if section == "files" and first_files is None:
                first_files = number
        return None if first_files is None else self._with_lines(first_files, f"%{kind} -n {package}", *lines, "")

    def after_install(self, *commands: str) -> Self | None:
        """Return the spec with commands that run when all is installed and rpm's own scripts have seen it."""
        for number, section, _ in self._sections():
            if section == "install":
                lines = ["itb_defect() {", *commands, "}", "trap itb_defect EXIT"]
                return self._with_lines(number + 1, *lines)
        return None

    def replaced(self, pattern: str, new: str, *, count: int = 0) -> Self | None:
        """Return the spec with what a pattern matches replaced; None if it matches nothing."""
        text, number = re.subn(pattern, new, self.text, count=count, flags=re.MULTILINE)
        return type(self)(text) if number else None
