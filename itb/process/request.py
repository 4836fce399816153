"""A request to run a command: one frozen object, made once and passed down.

Each layer replaces the fields that it knows more about
(:func:`dataclasses.replace`): a host turns the command into arguments of the
engine, the engine adds its program and its environment, the runner starts it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

# Writes the input of a command piece by piece, as the command reads it; in a thread of its own.
Writer = Callable[[IO[bytes]], None]


@dataclass(frozen=True)
class Request:
    """A command to run, its time limit and the use of its output.

    The command: ``argv`` is run as ``user`` (of a host; root if empty) in the
    folder ``cwd`` (default: ``/``, since itb's own may have a candidate's
    files).  ``env`` is added to the environment, or replaces it with
    ``clean_env``.  ``input`` is bytes, a file, or what writes it.

    Its end: ``timeout`` is in seconds; without it, a default limit applies.
    When the time is up, ``at_limit`` is called before anything is killed, and
    returns a list of what was running (default: the command's processes).
    ``mark`` is an entry of ``env`` that no other command has (NAME=VALUE): it
    finds processes that have left the command's session, which are killed at
    its end.  An ``uninterruptible`` command is not ended by an interruption
    or by itb's own death, since an interrupted removal leaves resources that
    nothing finds any more.  With ``check``, another status than 0 is an error.

    Its output: ``log`` receives both streams at once, ``on_line`` each last
    line; ``stdout_to`` receives standard output as it is (binary data, not
    redacted).  A command with more than ``stdout_limit`` bytes of that is
    ended there.  ``file_limit`` is how many bytes a file may have that the
    command writes itself, or a program that it starts, ``memory_limit`` how
    many bytes of memory each of them may have for itself.

    Its description: ``host`` and ``alias`` (instead of ``argv``) stand in
    ``commands.log``, ``about`` in error messages.
    """

    argv: Sequence[str] = ()
    user: str = ""
    cwd: str | Path = ""
    env: Mapping[str, str] = field(default_factory=dict)
    clean_env: bool = False
    input: bytes | Path | Writer | None = None

    timeout: float | None = None
    at_limit: Callable[[], str] | None = None
    mark: str = ""
    uninterruptible: bool = False
    check: bool = True

    log: Path | None = None
    stdout_to: Path | None = None
    stdout_limit: int | None = None
    file_limit: int | None = None
    memory_limit: int | None = None
    on_line: Callable[[str], None] | None = None

    host: str = "local"
    alias: Sequence[str] = ()
    about: str = ""

    def __post_init__(self) -> None:
        """Copy the arguments, so that a later change of the caller's list has no effect."""
        object.__setattr__(self, "argv", tuple(self.argv))
        object.__setattr__(self, "alias", tuple(self.alias))

    @property
    def logged_argv(self) -> Sequence[str]:
        """Return the command line for logs and messages: ``alias``, or ``argv`` itself."""
        return self.alias or self.argv
