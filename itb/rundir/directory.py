"""The run directory, which holds everything that is known of a run.

Each value is written atomically once it is there, so that a run can be
reported or continued however it ended.
"""

from __future__ import annotations

import difflib
import json
import shlex
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ConfigDict, Field, ValidationError

from itb.errors import LogLine, UsageError
from itb.model import END_OF_TIME, Case, Moment, Quote, Record, RunTrust
from itb.process.result import CommandRecord
from itb.rundir import case_history, links
from itb.rundir import lock as rundir_lock
from itb.rundir.case_history import Attempt, CaseHistory, CaseStart
from itb.rundir.values import ValueKey
from itb.util import files, ownership, when
from itb.util.files import write_atomically
from itb.util.redact import redact
from itb.util.text import one_line
from itb.version import VERSION

R = TypeVar("R", bound=Record)

PREVIOUS = "previous"  # the folder of the version that scenarios upgrade from
JOURNAL = Path("journal.txt")  # a host's systemd journal, among its logs
CASES = "cases.jsonl"  # every case as it began and as it ended
_TRACES = (CASES, "commands.log", "state/commit.json")  # of one that has lost its run.json


class RunResult(Record):
    """The result of a run that has ended, so that a list of many runs need not read their cases.

    ``kind`` is the verdict's kind, ``where`` the exit code's label or the last
    phase that was reached, ``cause`` the decisive case in one line.
    """

    model_config = ConfigDict(populate_by_name=True)

    kind: str
    where: str = Field("", alias="at")  # the key in the file
    cause: str = ""

    @property
    def text(self) -> str:
        """Return the result as lists show it: ``passed``, ``failed (install)``, ``partial (build)``."""
        kind = "nothing ran" if self.kind == "nothing" else self.kind
        return f"{kind} ({self.where})" if self.where else kind


class RunState(Record):
    """The content of ``run.json``: what a run tests and how far it got; times are seconds since the epoch.

    Aliases are the keys in the file.
    """

    model_config = ConfigDict(populate_by_name=True)

    id: str
    short_id: str = Field(alias="short")  # part of the names of its containers
    product: str
    platform: str
    ref: str
    scenarios: tuple[str, ...] = ()
    started: Moment
    finished: Moment | None = None
    phases: tuple[str, ...] = ()
    exit_code: int | None = None
    kept: bool = False
    is_stepwise: bool = Field(False, alias="open")  # single commands do its phases; more may come until itb down
    ended: RunResult | None = None
    pid: int = 0
    tool_version: str = ""
    settings: dict[str, Any] = {}
    environment: tuple[str, ...] = ()  # settings that variables gave
    has_tools: bool = False  # its hosts run programs that itb provides; hosts of older versions do not
    cwd: str = ""  # what relative paths in the settings are relative to
    trust: RunTrust | None = None  # None in a run of an older version
    definitions: dict[str, str] = {}  # checksums of product, platform and testbed as the run began


class HostLogin(Record):
    """Somebody opened a shell on a host of the run, at a time (epoch)."""

    role: str
    at: Moment


def _why_invalid(path: Path, error: ValidationError) -> str:
    """Return why a ``run.json`` cannot be read: another version of itb wrote it, or it is damaged."""
    first = error.errors()[0]
    reason = ": ".join([*map(str, first["loc"]), first["msg"]])
    with suppress(ValueError, OSError, RecursionError):
        content = json.loads(files.read(path))
        version = content.get("tool_version") if isinstance(content, dict) else None
        if version and version != VERSION:
            return f"written by itb {version}, this is itb {VERSION}: {reason}"
    return f"not written by this version of itb: {reason}"


class RunDir:
    """Paths and state of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()

    @classmethod
    def create(cls, runs: Path, label: str) -> RunDir:
        """Make ``runs/<UTC time>-<label>`` (mode 0700: it holds logs of root's); the name is unique.

        Names sort by age also where the clock went back: then the time is
        that of the newest run and a second.
        """
        if not runs.is_dir():
            runs.mkdir(0o755, parents=True, exist_ok=True)
            ownership.give_to_caller(runs)
        ownership.check(runs)  # a user who can write there could replace the run's directory
        stamp = _next_stamp(runs)
        for number in range(1, 1000):
            suffix = "" if number == 1 else f"-{number}"
            path = runs / f"{stamp}-{label}{suffix}"
            try:
                path.mkdir(mode=0o700)
            except FileExistsError:
                continue
            ownership.give_to_caller(path)  # so that the caller can look into it while the run goes on
            return cls(path)
        raise UsageError(f"{runs}: no free run name for {label}")

    @classmethod
    def find(cls, runs: Path, name: str = "") -> RunDir:
        """Return the run with this name, unique part of a name, or path; the newest if ``name`` is empty.

        A directory whose ``run.json`` is gone is found by its path or whole
        name.  Raises UsageError when none or several match, and for a
        directory of somebody else's or with links in it.
        """
        found = cls._find(runs, name)
        ownership.check(found.path)
        links.check(found.path)
        return found

    @classmethod
    def _find(cls, runs: Path, name: str) -> RunDir:
        path = Path(name)
        if name and (path / "run.json").is_file():
            return cls(path.resolve() if ".." in path.parts else path)  # its name is the run's
        all_runs = list(runs_of(runs))
        if name and (damaged := cls._damaged(runs, path)):
            return cls(damaged)
        if not all_runs:
            raise UsageError(f"no run in {runs.absolute()}", hint="itb run makes one; --runs DIR looks elsewhere")
        if not name:
            return all_runs[0]
        matching = [run for run in all_runs if run.id == name] or [run for run in all_runs if name in run.id]
        if len(matching) != 1:
            names = ", ".join(run.id for run in matching[:5]) or f"none in {runs.absolute()}"
            raise UsageError(
                f"{name[:200]!r} must name one run; it names {names}{nearest_run(name, all_runs)}",
                hint="itb list shows them",
            )
        return matching[0]

    @staticmethod
    def _damaged(runs: Path, path: Path) -> Path | None:
        """Return the directory of a run that has lost its ``run.json``; None if there is none."""
        for folder in (path, runs / path.name) if len(path.parts) == 1 else (path,):
            place = folder.absolute()
            has_traces = any((place / name).is_file() for name in _TRACES)
            if place.name != ".." and has_traces and not (place / "run.json").is_file():
                return place
        return None

    @property
    def is_run(self) -> bool:
        """Return whether this is a run's directory, which may have lost its run.json, and no link to a folder."""
        return not self.path.is_symlink() and any((self.path / name).is_file() for name in ("run.json", *_TRACES))

    @property
    def id(self) -> str:
        """Return the run's name, which is the directory's."""
        return self.path.name

    @property
    def build(self) -> Path:
        """Return the folder of ReleaseManager's log and the RPMs."""
        return self.path / "build"

    @property
    def repo(self) -> Path:
        """Return the folder of what the repository served: metadata, public key, signed packages' list."""
        return self.path / "repo"

    @property
    def results(self) -> Path:
        """Return the folder of results: a folder per scenario, a log per step."""
        return self.path / "results"

    @property
    def tokens(self) -> Path:
        """Return the folder of tokens and keys: private (0700), emptied at teardown."""
        return self.path / "tokens"

    @property
    def junit(self) -> Path:
        """Return the path of the JUnit report."""
        return self.path / "junit.xml"

    @property
    def html(self) -> Path:
        """Return the path of the HTML report."""
        return self.path / "report.html"

    @property
    def verdict(self) -> Path:
        """Return the path of the verdict for programs: what ``--json`` prints of the run."""
        return self.path / "verdict.json"

    @property
    def previous(self) -> RunDir:
        """Return the run directory of the version to upgrade from, with its values, logs and RPMs."""
        return RunDir(self.path / PREVIOUS)

    def host(self, role: str) -> Path:
        """Return the folder of evidence of one host, which itself names the files: logs, journal, package list."""
        return self.path / "hosts" / role

    def setup_logs(self, role: str) -> Path:
        """Return the folder of itb's logs of installing and configuring one host, and of starting its services."""
        return self.path / "setup" / role

    def forget_secrets(self) -> None:
        """Empty the private directory: keys and tokens do not outlive the hosts they were for."""
        ownership.check(self.tokens)  # a user who can write above it could put another folder in its place
        if self.tokens.is_symlink():
            return  # what it leads to is not the run's
        for path in sorted(self.tokens.rglob("*"), reverse=True):
            # Another process may be removing the same files.
            with suppress(FileNotFoundError):
                path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()

    def relative(self, path: Path | None) -> str:
        """Return a path as reports show it: relative to the run directory if it is inside."""
        if path is None:
            return ""
        return str(path.relative_to(self.path)) if path.is_relative_to(self.path) else str(path)

    def quote(self, line: LogLine) -> Quote:
        """Return the quote of a log line, with the log's path in the run directory once logs are collected."""
        log = self.host(line.role) / str(line.log).lstrip("/") if line.log and line.role else line.log
        return Quote(file=self.relative(log), line=line.number, text=one_line(line.text), also=line.also)

    def save(self, key: ValueKey[R], value: R) -> None:
        """Write a value, redacted, to ``state/NAME.json``."""
        (self.path / "state").mkdir(exist_ok=True)  # not its parents: a deleted run must not reappear
        write_atomically(self.path / "state" / f"{key.name}.json", redact(value.model_dump_json(indent=1)))

    def load(self, key: ValueKey[R]) -> R | None:
        """Return a saved value; None if it was not saved yet."""
        path = self.path / "state" / f"{key.name}.json"
        try:
            return key.type.model_validate_json(files.read(path))
        except FileNotFoundError:
            return None
        except ValidationError as error:
            raise UsageError(f"{path}: not written by this version of itb: {error.errors()[0]['msg']}") from None

    def load_if_readable(self, key: ValueKey[R]) -> R | None:
        """Return a saved value; None also if it cannot be read, so that its work is done again."""
        try:
            return self.load(key)
        except (UsageError, OSError):
            return None

    @property
    def state(self) -> RunState:
        """Return the content of ``run.json``."""
        path = self.path / "run.json"
        try:
            ownership.check(self.path)  # a user who can write there could replace what it holds
            return RunState.model_validate_json(ownership.read(path))
        except FileNotFoundError:
            raise UsageError(f"{self.path}: not a run directory (no run.json)") from None
        except OSError as error:
            raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
        except ValidationError as error:
            raise UsageError(
                f"{path}: {_why_invalid(path, error)}", hint="itb report makes a report of what is there"
            ) from None

    def update(self, **changes: Any) -> RunState:
        """Change ``run.json`` atomically and return its new content."""
        state = self.state.model_copy(update=changes)
        self.write_state(state)
        return state

    def write_state(self, state: RunState) -> None:
        """Write ``run.json`` whole, redacted."""
        write_atomically(self.path / "run.json", redact(state.model_dump_json(indent=1, by_alias=True)))

    def append_case(self, case: Case) -> None:
        """Add a case that has ended to ``cases.jsonl``; a line is written before this returns."""
        self._append(CASES, case.model_dump_json())

    def append_case_start(self, start: CaseStart) -> None:
        """Add that a case begins, so that a case that is cut off is known."""
        self._append(CASES, case_history.StartLine(begun=start).model_dump_json(exclude_none=True))

    def append_attempt(self, attempt: Attempt) -> None:
        """Add that an attempt at the run begins; a line that was cut off before is ended first."""
        path = self.path / CASES
        torn = path.exists() and not files.read(path).endswith(b"\n")
        line = case_history.StartLine(process=attempt).model_dump_json(exclude_none=True)
        self._append(CASES, f"\n{line}" if torn else line)

    def case_history(self) -> CaseHistory:
        """Return every case so far, over all attempts; a line that a crash cut off is left out."""
        try:
            return case_history.read(files.read(self.path / CASES))
        except FileNotFoundError:
            return CaseHistory()

    def cases(self) -> list[Case]:
        """Return every case that counts, in the order it ended."""
        return list(self.case_history().cases)

    def append_login(self, role: str) -> None:
        """Add to ``entered.jsonl`` that somebody opens a shell on a host now: later cases may depend on it."""
        self._append("entered.jsonl", HostLogin(role=role, at=time.time()).model_dump_json())

    def logins(self) -> list[HostLogin]:
        """Return the hosts on which somebody opened a shell, and when; a line that cannot be read is left out."""
        try:
            lines = files.read(self.path / "entered.jsonl").split(b"\n")
        except FileNotFoundError:
            return []
        logins = []
        for line in lines:
            with suppress(ValidationError):
                logins.append(HostLogin.model_validate_json(line))
        return logins

    def record_command(self, command: CommandRecord) -> None:
        """Add a line to ``commands.log``: time, host, exit code, seconds, redacted command."""
        text = redact(shlex.join(map(redact, command.argv))).replace("\n", "\\n")
        ended = f"exit={command.returncode} {command.seconds:.2f}s"
        line = f"{when.iso(command.started)} {command.host} {ended} {text[:2000]}"
        # A log that cannot be written must not keep a command from removing things; the journal reports it.
        with suppress(OSError):
            self._append("commands.log", line)

    def _append(self, name: str, line: str) -> None:
        files.append(self.path / name, f"{line}\n")

    def is_locked(self, *, may_be_removed: bool = True) -> bool:
        """Return whether a process, also this one, holds the lock of this run.

        A lock whose file was removed is looked for among all processes; a
        caller that knows that the file is there, or asks for many runs, sets
        ``may_be_removed`` to False, which is quicker.
        """
        if may_be_removed:
            return rundir_lock.holder(self.path) is not None
        return rundir_lock.is_locked(self.path)

    def lock(self) -> AbstractContextManager[rundir_lock.LockOwner | None]:
        """Hold the lock of the run for this process; see :func:`itb.rundir.lock.hold`."""
        return rundir_lock.hold(self.path)


def _next_stamp(runs: Path) -> str:
    """Return the time for the name of a new run: now, or a second after the newest run's name if that is later."""
    stamps = [path.name.partition("-")[0] for path in runs.iterdir()]
    newest = max((moment for stamp in stamps if (moment := when.of_stamp(stamp)) < END_OF_TIME), default=0.0)
    return when.stamp(max(time.time(), newest + 1 if newest > time.time() else 0.0))


def nearest_run(name: str, runs: Iterable[RunDir]) -> str:
    """Return ``; did you mean ...?`` with the run whose name, or a part of it, is similar; empty if none is."""
    parts = {part: run.id for run in reversed([*runs]) for part in (*run.id.split("-"), run.id)}
    close = difflib.get_close_matches(name, parts, n=1, cutoff=0.75)
    is_part = any(name in run for run in parts.values())
    return f"; did you mean {parts[close[0]]!r}?" if close and not is_part else ""


def runs_of(folder: Path) -> Iterator[RunDir]:
    """Yield all runs of a folder, newest first; a link to a run of the same folder does not count."""
    for path in sorted((file.parent for file in folder.glob("*/run.json")), reverse=True):
        if not (path.is_symlink() and path.resolve().parent == folder.resolve()):
            yield RunDir(path)
