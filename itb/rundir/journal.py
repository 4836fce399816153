"""The journal of a run, which records every test case.

It writes each case to the run directory as it ends, and tells its listeners
(the terminal, the watchdog) which cases run.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from itb.errors import (
    HELD_UP,
    PRODUCT_CODES,
    PRODUCT_ERRORS,
    UNDECIDED,
    ExitCode,
    InterruptedRunError,
    ItbError,
    LogLine,
    TestbedError,
    UsageError,
    as_itb_error,
    worst,
)
from itb.model import Case, CaseKey, Outcome, Remark, Try
from itb.process import retry
from itb.process.stop import AbandonedError, TimeIsUpError
from itb.rundir.case_history import RUN_END, Attempt, CaseStart, append_case
from itb.rundir.directory import RunDir
from itb.util import causes, loglines
from itb.util.redact import redact
from itb.util.text import EVIDENCE_LIMIT, cut

_DELETED = "it was deleted while the run went on"


def _evidence(text: str, quoted: str) -> str:
    """Return evidence, redacted and cut to the size that a report shows, with the quoted line in it."""
    # Cut first to save memory: the edges of this cut are outside of what the second one keeps.
    return cut(redact(cut(text, 40 * EVIDENCE_LIMIT, around=quoted)), around=redact(quoted))


def _further_trouble(case: RunningCase) -> list[LogLine]:
    """Return a further problem that the evidence of a bad case shows, unless the message has it."""
    is_bad = case.outcome in (Outcome.FAILED, Outcome.ERROR)
    text = causes.further_trouble(case.evidence) if is_bad else ""
    if not text or text in case.message:
        return []
    if case.log and (number := loglines.number_of(case.log, text)):
        return [LogLine(text, case.log, number, also=True)]
    source = case.quotes[0] if case.quotes else LogLine("")
    return [LogLine(text, source.log, role=source.role, also=True)]


class Listener(Protocol):
    """Receives the cases of a run as they begin and end; its methods are called from any thread."""

    def started(self, case: RunningCase) -> None:
        """Receive a case that begins."""

    def noted(self, case: RunningCase, text: str) -> None:
        """Receive what a case is doing now."""

    def finished(self, case: Case) -> None:
        """Receive a case that has ended."""


class CaseRecorder(Protocol):
    """Records the cases of a run: a journal, or an object that passes them on to one."""

    def case(self, phase: str, role: str, name: str) -> AbstractContextManager[RunningCase]:
        """Begin a case; the exception that leaves the block, if any, decides its outcome and is raised again."""


class RunningCase:
    """A case whose work goes on.

    Unless its methods are called, it passes when its block ends, and fails or
    is an error by the class of the exception that leaves the block.
    """

    def __init__(self, journal: Journal, phase: str, role: str, name: str) -> None:
        self.phase, self.role, self.name = phase, role, redact(name)
        self.began = time.time()
        self.clock = time.monotonic()
        self.outcome = Outcome.PASSED
        self.message = ""
        self.evidence = ""
        self.log: Path | None = None
        self.quotes: Sequence[LogLine] = ()
        self.exit_code: int = ExitCode.PASSED
        self.supersedes = False
        self.remark: Remark | None = None
        self.retry_causes: list[str] = []  # why commands were tried again
        self.tries: list[Try] = []  # earlier tries that failed or were errors
        self._journal = journal

    def note(self, text: str) -> None:
        """Tell the listeners what is being done; this is not recorded."""
        for listener in self._journal.listeners:
            listener.noted(self, redact(text))

    def fail(self, message: str, *, exit_code: int, evidence: str = "") -> None:
        """Record that the product is at fault."""
        self._set(Outcome.FAILED, message, exit_code, evidence)

    def error(self, message: str, *, exit_code: int = ExitCode.TESTBED, evidence: str = "") -> None:
        """Record that the testbed, the tool or an interruption is at fault."""
        self._set(Outcome.ERROR, message, exit_code, evidence)

    def skip(self, reason: str) -> None:
        """Record that the case could not be tried, and that nothing is at fault."""
        self._set(Outcome.SKIPPED, reason, ExitCode.PASSED)

    def passed(self, message: str = "", *, evidence: str = "") -> None:
        """Record that the case passed; ``message`` says what was observed."""
        self._set(Outcome.PASSED, message, ExitCode.PASSED, evidence)

    def _set(self, outcome: Outcome, message: str, code: int, evidence: str = "") -> None:
        self.outcome, self.message, self.exit_code = outcome, message, code
        self.evidence, self.quotes = evidence, ()

    def set_from_error(self, error: BaseException) -> None:
        """Take outcome, message and evidence from an exception."""
        if isinstance(error, AbandonedError):
            self.skip(error.message)
        elif isinstance(error, ItbError):
            outcome = Outcome.FAILED if isinstance(error, PRODUCT_ERRORS) else Outcome.ERROR
            message = f"{error.message} ({error.hint})" if error.hint else error.message
            self._set(outcome, message, error.exit_code, error.evidence)
            self.log, self.quotes = error.log or self.log, error.quotes
        elif isinstance(error, KeyboardInterrupt):
            self._set(Outcome.ERROR, "interrupted", InterruptedRunError.exit_code)
        else:
            crash = as_itb_error(error) if isinstance(error, Exception) else TestbedError(f"ended by {error!r}")
            self._set(Outcome.ERROR, crash.message, crash.exit_code, crash.evidence)


def _redacted(record: Case | Try) -> dict[str, str]:
    """Return the texts of a record without secrets, by field."""
    return {key: redact(value) for key, value in record if type(value) is str}


class Journal:
    """Records the cases of one run."""

    def __init__(self, rundir: RunDir, listeners: list[Listener] | None = None) -> None:
        self.rundir = rundir
        self.listeners = listeners or []
        self.cases: list[Case] = rundir.cases()
        self.began = (time.time(), time.monotonic())
        # Returns what is wrong with the testbed when something fails on a role's host; empty if nothing is.
        self.find_testbed_fault: Callable[[str, str], str] = lambda _role, _output: ""
        # Returns whether code of the candidate may have run, as root, on a role's host.
        self.may_have_candidate: Callable[[str], bool] = lambda _role: False
        # Returns whether code of the candidate may have run on any host.
        self.has_run_candidate: Callable[[], bool] = lambda: False
        self.lost = ""  # why the run directory cannot be written any more
        self.on_lost: Callable[[str], None] = lambda _why: None
        self._inode = rundir.path.stat().st_ino if rundir.path.is_dir() else None
        self._lock = threading.Lock()

    def diagnose(self, role: str, error: ItbError) -> ItbError:
        """Return the error, or a TestbedError with the cause if the testbed is at fault.

        Of a case of itb's own the error itself says on which role's host it happened.
        """
        role = error.role or role if role == RUN_END.role else role
        if error.conclusive or isinstance(error, InterruptedRunError | UsageError):
            return self._diagnose_end(error) if isinstance(error, TimeIsUpError) else error
        cause = self.find_testbed_fault(role, f"{error.message}\n{error.evidence}")
        engine = "container engine "  # an error of the engine names its cause itself
        if error.message.startswith(engine) and (not cause or cause.startswith(engine)):
            return self._undecide(role, error) if "does not answer" in error.message else error
        if not cause:
            return self._undecide(role, error)
        if cause in error.message:
            return error
        if cause.removeprefix(f"{UNDECIDED}: ") in error.message:
            return error.turned_into(TestbedError, f"{UNDECIDED}: {error.message}")
        message = f"{cause}; seen of it: {error.message}"
        return TestbedError(message, evidence=error.evidence, log=error.log, quotes=error.quotes)

    def _diagnose_end(self, error: TimeIsUpError) -> ItbError:
        """Return the error of a run whose time is up as undecided, once the candidate has run and may use it up.

        What it did wrong before stays the run's exit code: using up the time must not make it the testbed's.
        """
        if error.message.startswith(UNDECIDED) or not self.has_run_candidate():
            return error
        held_up = error.turned_into(TimeIsUpError, f"{HELD_UP}: {error.message}")
        blamed = [case.exit_code for case in self.cases if case.is_bad and case.exit_code in PRODUCT_CODES]
        held_up.exit_code = ExitCode.find(worst(blamed)) or error.exit_code
        return held_up

    def _undecide(self, role: str, error: ItbError) -> ItbError:
        """Return an error of the testbed as undecided where the candidate is root, and can break any program."""
        is_testbeds = isinstance(error, TestbedError) and not error.apart_from_candidate
        if not is_testbeds or error.message.startswith(UNDECIDED):
            return error
        if not any(self.may_have_candidate(each) for each in {role, error.role or role}):
            return error
        return error.turned_into(TestbedError, f"{UNDECIDED}: {error.message}")

    def reopen(self, *, resume: bool = False, again: Sequence[str] = ()) -> None:
        """Record that an attempt begins, and load the cases of earlier ones.

        With ``resume`` it repeats all bad cases, else those of the phases ``again``.
        """
        attempt = Attempt(pid=os.getpid(), at=time.time(), resumed=resume, again=tuple(again))
        self.rundir.append_attempt(attempt)
        self.cases = list(self.rundir.case_history().cases)

    @contextmanager
    def case(self, phase: str, role: str, name: str, *, supersedes: bool = False) -> Iterator[RunningCase]:
        """Begin a case; the exception that leaves the block, if any, decides its outcome and is raised again.

        With ``supersedes`` it is one more try of the last case of this key, and replaces it.
        """
        case = RunningCase(self, phase, role, name)
        case.supersedes = supersedes
        start = CaseStart(phase=redact(phase), role=redact(role), name=redact(case.name), started=case.began)
        with self._lock:
            problem = "" if self.lost else self._write(lambda: self.rundir.append_case_start(start))
        if problem:
            self.mark_lost(problem)
        for listener in self.listeners:
            listener.started(case)
        try:
            with retry.collect_causes() as case.retry_causes:
                yield case
        except ItbError as error:
            case.set_from_error(error)  # before what a host says of itself is read: that may fail, too
            diagnosed = self.diagnose(role, error)
            case.set_from_error(diagnosed)
            diagnosed.is_reported = True
            if diagnosed is not error:
                raise diagnosed from None
            raise
        except BaseException as error:  # a case that Ctrl-C or a bug cut off must not pass
            case.set_from_error(error)
            if isinstance(error, Exception) and not isinstance(error, OSError):  # by what a host answered, perhaps
                case.set_from_error(self._undecide(role, as_itb_error(error)))
            raise
        finally:
            self.add(self._finish(case))

    def _finish(self, case: RunningCase) -> Case:
        message = case.message
        if again := retry.describe_retries(case.retry_causes):
            passed = case.outcome is Outcome.PASSED
            parts = [f"passed after {again}", message] if passed else [message, f"(after {again})"]
            message = ("; " if passed else " ").join(filter(None, parts))
            case.remark = Remark.FLAKY if passed else case.remark
        quotes = tuple(self.rundir.quote(line) for line in [*case.quotes, *_further_trouble(case)])
        return Case(
            phase=case.phase,
            role=case.role,
            name=case.name,
            outcome=case.outcome,
            message=message,
            evidence=_evidence(case.evidence, quotes[0].text if quotes else ""),
            log=self.rundir.relative(case.log),
            quotes=quotes,
            started=case.began,
            seconds=time.monotonic() - case.clock,
            exit_code=case.exit_code,
            supersedes=case.supersedes,
            tries=tuple(case.tries),
            remark=case.remark,
        )

    def add(self, case: Case) -> None:
        """Record a case that has ended, without secrets."""
        tries = tuple(each.model_copy(update=_redacted(each)) for each in case.tries)
        quotes = tuple(item.model_copy(update={"text": redact(item.text)}) for item in case.quotes)
        case = case.model_copy(update={**_redacted(case), "tries": tries, "quotes": quotes})
        with self._lock:
            append_case(self.cases, case)
            problem = "" if self.lost else self._write(lambda: self.rundir.append_case(case))
        for listener in self.listeners:
            listener.finished(case)
        if problem:
            self.mark_lost(problem)

    def has(self, key: CaseKey) -> bool:
        """Return whether a case has ended, in this attempt at the run or an earlier one."""
        return any(case.key == key for case in self.cases)

    def leave_out(self, keys: Iterable[CaseKey], reason: str) -> None:
        """Record cases that this run does not need as skipped, unless they have ended."""
        for key in keys:
            if not self.has(key):
                with self.case(*key) as case:
                    case.skip(reason)

    def _write(self, write: Callable[[], None]) -> str:
        """Write to the run directory; return why it cannot be written any more, empty if it can."""
        try:
            if self._inode is not None and self.rundir.path.stat().st_ino != self._inode:
                return _DELETED
            write()
        except OSError as error:
            is_deleted = isinstance(error, FileNotFoundError)
            return _DELETED if is_deleted else f"cannot be written: {error.strerror}"
        return ""

    def mark_lost(self, problem: str) -> None:
        """Record why the run directory cannot be written any more, a fault of the machine, and end the run."""
        if self.lost:
            return  # the first reason is the cause
        self.lost = f"run directory {self.rundir.path}: {problem}"
        running_case = RunningCase(self, *RUN_END)
        running_case.error(self.lost)
        case = self._finish(running_case)
        self.cases.append(case)
        for listener in self.listeners:
            listener.finished(case)
        self.on_lost(self.lost)
