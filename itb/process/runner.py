"""The only place of itb that starts processes.

Every process gets a session of its own, so that it and all it started can be
killed together; its output is read whole, redacted, written to a log as it
comes and kept in memory only in part.
"""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import IO, TypeVar

from itb.errors import TestbedError
from itb.process import orphans
from itb.process.limits import Limits, name_of_limit
from itb.process.output import Reader, Sink
from itb.process.request import Request
from itb.process.result import CommandError, CommandRecord, Completed
from itb.process.retry import DEFAULT_RETRIES, retry_while
from itb.process.stop import GRACE, Stop, signal_group
from itb.util.redact import is_known, redact

T = TypeVar("T")

_TOKENS = ("BEARER_TOKEN", "VAULT_TOKEN")  # variables that are secrets

_DRAIN = 0.5  # seconds what is left of an output may take once its process has ended
_PIECE, _LATE = 1.0, 0.5  # seconds of a limit counted at once; more than so much late, itb itself was stopped
MARK = "ITB_COMMAND"  # environment variable by which all a command has started is found
_MAX_DOING = 3_000  # characters kept of what a command was doing when its time was up


def inherited() -> dict[str, str]:
    """Return the environment processes inherit: without tokens, and without settings that hold a password.

    Other users of the machine may see the environment of a process, and no process needs these.
    """
    return {name: value for name, value in os.environ.items() if not _is_private(name, value)}


def _is_private(name: str, value: str) -> bool:
    return name in _TOKENS or is_known(value) or (name.startswith("ITB_") and redact(value) != value)


@dataclass
class Runner:
    """Starts processes, remembers them in ``record`` and ends them when ``stop`` says so."""

    record: Callable[[CommandRecord], None] | None = None
    stop: Stop = field(default_factory=Stop)
    env: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    retries: int = DEFAULT_RETRIES

    def retry(self, work: Callable[[], T], cause_of: Callable[[T], str]) -> T:
        """Do some work again as often as settings allow while ``cause_of`` its result names passing trouble."""
        return retry_while(work, cause_of, times=self.retries, wait=self.stop.event.wait)

    def run(self, request: Request) -> Completed:
        """Run a command to its end (default of its time: the limit ``command``).

        Raises CommandError if the request says ``check`` and it did not end
        with status 0, TestbedError if it cannot be started or ``log`` not be
        written, InterruptedRunError when the run was told to stop.
        """
        assert not request.user, "another user is the matter of a host"
        if self.stop.event.is_set():
            raise self.stop.error()
        started = time.time()
        sink = Sink(request.log, request.on_line)
        try:
            process = self._start(request)
            completed = self._wait(process, sink, request)
            if request.mark:
                orphans.kill_processes(process.pid, request.mark)
        finally:
            sink.close()
        if self.record:
            command = CommandRecord(started, request.host, completed.argv, completed.returncode, completed.seconds)
            self.record(command)
        if self.stop.event.is_set() and not completed.ok:
            raise self.stop.error(completed)
        if sink.failure:
            raise TestbedError(
                f"{sink.failure.filename or request.log}: cannot be written: {sink.failure.strerror}",
                hint="itb clean --unused makes room where the disk is full",
            )
        if request.check and not completed.ok:
            raise CommandError(completed, about=request.about)
        return completed

    def _start(self, request: Request) -> subprocess.Popen[bytes]:
        program = request.argv[0]
        inherited_env = {} if request.clean_env else {**inherited(), **self.env}
        stdin: int | IO[bytes] = subprocess.DEVNULL
        stdout: int | IO[bytes] = subprocess.PIPE
        handles: list[IO[bytes]] = []
        try:
            if isinstance(request.input, bytes):
                stdin = subprocess.PIPE
            elif request.input is not None:
                stdin = request.input.open("rb")
                handles.append(stdin)
            if request.stdout_to is not None:
                stdout = request.stdout_to.open("wb")
                handles.append(stdout)
            process = subprocess.Popen(
                list(request.argv),
                stdin=stdin,
                stdout=stdout,
                stderr=subprocess.PIPE,
                env={**inherited_env, **request.env},
                cwd=request.cwd or "/",
                start_new_session=True,
            )
        except FileNotFoundError as error:
            missing = error.filename or program
            raise TestbedError(f"{missing}: not found", hint="itb doctor says what to install") from None
        except OSError as error:
            raise TestbedError(f"{error.filename or program}: {error.strerror}") from None
        except ValueError as error:  # a NUL or half a character cannot be part of a command line
            raise TestbedError(f"{program}: cannot be started: {error}") from None
        finally:
            for handle in handles:
                handle.close()
        return process

    def _wait(self, process: subprocess.Popen[bytes], sink: Sink, request: Request) -> Completed:
        timeout = self.limits("command") if request.timeout is None else request.timeout
        if not request.uninterruptible:
            self.stop.add(process.pid)
        readers = [Reader(stream) for stream in (process.stdout, process.stderr) if stream]
        clock = time.monotonic()
        timed_out, doing = False, ""
        try:
            for reader in readers:
                reader.start(sink)
            if isinstance(request.input, bytes):
                threading.Thread(target=_feed, args=(process, request.input), daemon=True).start()
            if self.stop.event.is_set() and not request.uninterruptible:
                signal_group(process.pid, signal.SIGTERM)
            if not _has_ended(process, timeout):
                timed_out = True
                describe = request.at_limit or functools.partial(orphans.list_processes, process.pid, request.mark)
                doing = redact(describe())[:_MAX_DOING]
                sink.write(f"\n[itb] no end within {timeout:.0f} s{name_of_limit(timeout)}\n{doing}\n".encode())
                _end(process)
            _drain(process, readers)
        except BaseException:  # Ctrl-C may come at any line; no process of ours outlives what waits for it
            _end(process)
            raise
        finally:
            signal_group(process.pid, signal.SIGKILL)
            if not request.uninterruptible:
                self.stop.discard(process.pid)
        texts = [reader.text() for reader in readers]
        left_out = readers[0].lost if len(readers) > 1 else 0
        stderr = texts.pop() if texts else ""
        return Completed(
            argv=tuple(request.name),
            returncode=process.returncode,
            stdout=texts[0] if texts else "",
            stderr=stderr,
            seconds=time.monotonic() - clock,
            timed_out=timed_out,
            log=sink.path,
            log_begins=sink.begins,
            limit=timeout,
            doing=doing,
            left_out=left_out,
        )


def _feed(process: subprocess.Popen[bytes], data: bytes) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(data)
        process.stdin.close()
    except BrokenPipeError:
        return  # the program did not want all of its input: its status tells


def _has_ended(process: subprocess.Popen[bytes], timeout: float) -> bool:
    """Wait for a process without polling: Popen.wait(timeout) notices an end up to 50 ms late.

    Time in which itb is stopped (Ctrl-Z, a frozen control group) does not count; the monotonic clock has it.
    """
    waiter = threading.Thread(target=process.wait, daemon=True)
    waiter.start()
    left = min(timeout, threading.TIMEOUT_MAX)
    while left > 0 and waiter.is_alive():
        piece, began = min(left, _PIECE), time.monotonic()
        waiter.join(piece)
        left -= piece if time.monotonic() - began < piece + _LATE else 0
    waiter.join(_LATE)  # the process may have ended, and its waiter not have had its turn yet
    return not waiter.is_alive()


def _end(process: subprocess.Popen[bytes]) -> None:
    signal_group(process.pid, signal.SIGTERM)
    if not _has_ended(process, GRACE):
        signal_group(process.pid, signal.SIGKILL)
        process.wait()


def _drain(process: subprocess.Popen[bytes], readers: list[Reader]) -> None:
    """Read what is left, but not for as long as a child that outlives its parent holds the pipe open."""
    deadline = time.monotonic() + _DRAIN
    for reader in readers:
        reader.join(max(0.0, deadline - time.monotonic()))
    signal_group(process.pid, signal.SIGKILL)
    deadline = time.monotonic() + GRACE
    for reader in readers:
        reader.join(max(0.0, deadline - time.monotonic()))
