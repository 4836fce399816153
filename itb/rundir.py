"""The run directory: the only truth about a run.

State is written atomically as each phase ends, so that a run can be
reported or continued from whatever is there after any end.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shlex
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from itb.errors import UsageError
from itb.model import Case, Record, settle
from itb.redact import redact
from itb.runners import Command

R = TypeVar("R", bound=BaseModel)


class RunState(Record):
    """``run.json``: what a run is and how far it got; times are seconds since the epoch."""

    id: str
    short: str
    product: str
    platform: str
    ref: str
    scenarios: tuple[str, ...] = ()
    started: float
    finished: float | None = None
    phases: tuple[str, ...] = ()
    exit_code: int | None = None
    kept: bool = False
    pid: int = 0
    tool_version: str = ""
    settings: dict[str, Any] = {}


def write_atomically(path: Path, data: str | bytes, *, mode: int = 0o644) -> None:
    """Replace ``path`` as a whole: readers see the old content or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


class RunDir:
    """Paths and state of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()

    @classmethod
    def create(cls, runs: Path, label: str) -> RunDir:
        """Make ``runs/<UTC time>-<label>`` (mode 0700: it holds logs of root's); the name is unique."""
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        runs.mkdir(parents=True, exist_ok=True)
        for number in range(1, 1000):
            suffix = "" if number == 1 else f"-{number}"
            path = runs / f"{stamp}-{label}{suffix}"
            try:
                path.mkdir(mode=0o700)
            except FileExistsError:
                continue
            return cls(path)
        raise UsageError(f"{runs}: no free run name for {label}")

    @classmethod
    def find(cls, runs: Path, wanted: str = "") -> RunDir:
        """Return the run of this name, unique part of a name or path; the newest if empty.

        Raises UsageError when none or several match.
        """
        if wanted and (Path(wanted) / "run.json").is_file():
            return cls(Path(wanted))
        every = sorted(path.parent for path in runs.glob("*/run.json")) if runs.is_dir() else []
        if not every:
            raise UsageError(
                f"no run in {runs.absolute()}", hint="itb run makes one; --runs DIR looks elsewhere"
            )
        if not wanted:
            return cls(every[-1])
        matching = [path for path in every if path.name == wanted] or [
            path for path in every if wanted in path.name
        ]
        if len(matching) != 1:
            found = ", ".join(path.name for path in matching[:5]) or "none"
            raise UsageError(f"--run {wanted!r} must name one run; it names {found}", hint="itb list shows them")
        return cls(matching[0])

    @property
    def id(self) -> str:
        """The run's name: the directory's."""
        return self.path.name

    @property
    def build(self) -> Path:
        """ReleaseManager's log and the RPMs."""
        return self.path / "build"

    @property
    def repo(self) -> Path:
        """What the repository served: metadata, public key, signed packages' list."""
        return self.path / "repo"

    @property
    def results(self) -> Path:
        """One folder per scenario, one log per step."""
        return self.path / "results"

    @property
    def tokens(self) -> Path:
        """Private (0700), emptied at teardown."""
        return self.path / "tokens"

    @property
    def junit(self) -> Path:
        """The JUnit report."""
        return self.path / "junit.xml"

    @property
    def html(self) -> Path:
        """The HTML report."""
        return self.path / "report.html"

    def host(self, role: str) -> Path:
        """Evidence of one host: logs, journal, configuration, package list."""
        return self.path / "hosts" / role

    def forget_secrets(self) -> None:
        """Empty the private directory: keys and tokens do not outlive the hosts they were for."""
        for path in sorted(self.tokens.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()

    def relative(self, path: Path | None) -> str:
        """Return a path as reports show it: relative to the run directory where it is inside."""
        if path is None:
            return ""
        return str(path.relative_to(self.path)) if path.is_relative_to(self.path) else str(path)

    def save(self, name: str, value: BaseModel) -> None:
        """Write a phase's value, redacted, to ``state/NAME.json``."""
        (self.path / "state").mkdir(exist_ok=True)  # not its parents: a deleted run does not come back
        write_atomically(self.path / "state" / f"{name}.json", redact(value.model_dump_json(indent=1)))

    def saved(self, name: str, kind: type[R]) -> R | None:
        """Read a phase's value back; None if that phase has not ended."""
        path = self.path / "state" / f"{name}.json"
        try:
            return kind.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError as error:
            raise UsageError(f"{path}: not written by this version of itb: {error.errors()[0]['msg']}") from None

    @property
    def state(self) -> RunState:
        """The content of ``run.json``."""
        path = self.path / "run.json"
        try:
            return RunState.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            raise UsageError(f"{self.path}: not a run directory (no run.json)") from None
        except ValidationError as error:
            raise UsageError(f"{path}: not written by this version of itb: {error.errors()[0]['msg']}") from None

    def update(self, **changes: Any) -> RunState:
        """Change ``run.json`` atomically and return its new content."""
        state = self.state.model_copy(update=changes)
        self.write_state(state)
        return state

    def write_state(self, state: RunState) -> None:
        """Write ``run.json`` whole, redacted."""
        write_atomically(self.path / "run.json", redact(state.model_dump_json(indent=1)))

    def append_case(self, case: Case) -> None:
        """Add a case to ``cases.jsonl``; a line is on disk before this returns."""
        self._append("cases.jsonl", case.model_dump_json())

    def cases(self) -> list[Case]:
        """Every case that still stands, in the order it ended; a line cut by a crash is left out."""
        path = self.path / "cases.jsonl"
        if not path.exists():
            return []
        found = []
        # not splitlines(): JSON leaves U+0085 and U+2028 as they are, and they end no line here
        for line in path.read_bytes().split(b"\n"):
            try:
                found.append(Case.model_validate_json(line))
            except ValidationError:
                continue
        return settle(found)

    def record_command(self, command: Command) -> None:
        """Add a line to ``commands.log``: time, host, exit code, seconds, redacted command."""
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(command.started))
        shown = redact(shlex.join(command.argv)).replace("\n", "\\n")
        # A line less is not worth a run; where nothing can be written at all, the next case finds out.
        with suppress(OSError):
            self._append(
                "commands.log",
                f"{when} {command.host} exit={command.returncode} {command.seconds:.2f}s {shown[:2000]}",
            )

    def _append(self, name: str, line: str) -> None:
        with (self.path / name).open("a", encoding="utf-8", errors="replace") as file:
            file.write(line + "\n")

    def is_held(self) -> bool:
        """True while a process holds the lock of this run."""
        path = self.path / ".lock"
        if not path.exists():
            return False
        with path.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the run for this process; UsageError naming the owner if another one works on it."""
        with (self.path / ".lock").open("a+", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                owner = json.loads(file.read() or "{}")
                since = time.strftime("%H:%M:%S", time.localtime(owner.get("since", 0)))
                raise UsageError(
                    f"run {self.id} is being worked on by process {owner.get('pid', '?')} "
                    f"on {owner.get('host', '?')} since {since}"
                ) from None
            file.truncate(0)
            file.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": time.time()}))
            file.flush()
            yield
