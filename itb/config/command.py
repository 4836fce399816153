"""Arguments and environments of commands in YAML files, within the limits of the kernel."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, StringConstraints

_ARGUMENT_LIMIT = 127 << 10  # bytes; the kernel's limit of an argument is 128 KiB, NAME= of a variable included
_ENVIRONMENT_LIMIT = 512 << 10  # bytes; the kernel's is some 2 MiB in all, and several environments add up


def _check_argument(text: str) -> str:
    if "\0" in text:
        raise ValueError("a NUL cannot be part of a command")
    if len(text.encode("utf-8", "surrogatepass")) > _ARGUMENT_LIMIT:
        raise ValueError(f"longer than {_ARGUMENT_LIMIT >> 10} KiB, more than a command may be; a script file may")
    return text


def _check_size(environment: dict[str, str]) -> dict[str, str]:
    if sum(len(name) + len(value.encode()) for name, value in environment.items()) > _ENVIRONMENT_LIMIT:
        raise ValueError(f"more than {_ENVIRONMENT_LIMIT >> 10} KiB in all, more than a command may have")
    return environment


# A name that no variable can have would be an argument of its own on a command line.
ArgumentText = Annotated[str, AfterValidator(_check_argument)]
Environment = Annotated[
    dict[Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,255}$")], ArgumentText],
    AfterValidator(_check_size),
]
