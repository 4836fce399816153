"""Words and environments of commands, as YAML gives them: within what the kernel takes."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, StringConstraints

_LONGEST = 127 << 10  # bytes; the kernel takes no longer word than 128 KiB, NAME= included
_TOGETHER = 512 << 10  # bytes; all words together may have some 2 MiB, and several environments add up


def _word(text: str) -> str:
    if "\0" in text:
        raise ValueError("a NUL cannot be part of a command")
    if len(text.encode("utf-8", "surrogatepass")) > _LONGEST:
        raise ValueError(f"longer than {_LONGEST >> 10} KiB, more than a command may be; a script file may")
    return text


def _together(environment: dict[str, str]) -> dict[str, str]:
    if sum(len(name) + len(value.encode()) for name, value in environment.items()) > _TOGETHER:
        raise ValueError(f"more than {_TOGETHER >> 10} KiB in all, more than a command may have")
    return environment


# A word of a command line; the name of a variable that is none would be taken for something else there.
Word = Annotated[str, AfterValidator(_word)]
Environment = Annotated[
    dict[Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,255}$")], Word],
    AfterValidator(_together),
]
