"""A request to run something: one frozen object, made once and handed down.

A layer that knows more replaces what it knows (:func:`dataclasses.replace`):
a host makes the engine's command line of a request, the engine adds its
program and its environment, the runner starts what it gets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Request:
    """What is to be run, how long it may take and what becomes of its output.

    What runs: ``argv`` as ``user`` (of a host; root if empty) in the folder
    ``cwd`` (default: ``/``, since a candidate's files may lie in itb's own);
    ``env`` adds to the environment (``clean_env``: replaces it); ``input`` is
    bytes or a file.

    How it ends: ``timeout`` is in seconds (default: the limit of whoever runs
    it).  When the time is up, ``at_limit`` is called before anything is killed
    and says what went on (default: the command's processes are listed).
    ``mark`` is an entry of ``env`` no other command has (NAME=VALUE), by which
    processes are found that have left the command's session; all of them are
    killed as it ends.  If it is ``uninterruptible``, neither an interruption nor itb's own
    death ends it: a removal that is cut off loses track of what it removes.
    With ``check`` another status than 0 is an error.

    What becomes of its output: ``log`` receives both streams as they come,
    ``on_line`` each last line; ``stdout_to`` receives standard output unread
    (binary data, not redacted).

    What is said of it: ``host`` and ``shown`` in ``commands.log``, ``about``
    in an error.
    """

    argv: Sequence[str] = ()
    user: str = ""
    cwd: str | Path = ""
    env: Mapping[str, str] = field(default_factory=dict)
    clean_env: bool = False
    input: bytes | Path | None = None

    timeout: float | None = None
    at_limit: Callable[[], str] | None = None
    mark: str = ""
    uninterruptible: bool = False
    check: bool = True

    log: Path | None = None
    stdout_to: Path | None = None
    on_line: Callable[[str], None] | None = None

    host: str = "local"
    shown: Sequence[str] = ()
    about: str = ""

    def __post_init__(self) -> None:
        """Keep the words as they are now, whatever becomes of the list they came in."""
        object.__setattr__(self, "argv", tuple(self.argv))
        object.__setattr__(self, "shown", tuple(self.shown))

    @property
    def name(self) -> Sequence[str]:
        """Return the command line that is shown: ``shown``, or ``argv`` itself."""
        return self.shown or self.argv
