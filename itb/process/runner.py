"""Starting processes and waiting for their end; no other module starts any.

Every process gets its own session, so that it can be killed together with all
processes that it has started.  Its output is read to the end, redacted, written
to a log at once and kept in memory only in part.
"""

from __future__ import annotations

import functools
import os
import resource
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TypeVar

from itb.errors import TestbedError
from itb.process import orphans
from itb.process.limits import Limits, name_of_limit
from itb.process.output import Sink
from itb.process.request import Request
from itb.process.result import CommandError, CommandRecord, Completed
from itb.process.retry import DEFAULT_RETRIES, retry_while
from itb.process.stop import GRACE, Stop, signal_group
from itb.process.streams import Streams, cannot_write
from itb.util.known_secrets import is_known, remember_token
from itb.util.redact import redact

T = TypeVar("T")

_TOKENS = ("BEARER_TOKEN", "VAULT_TOKEN")  # variables that hold secrets

_TICK, _LATE = 1.0, 0.5  # a limit is counted in ticks (seconds); during one that ends this late, itb was stopped
MARK = "ITB_COMMAND"  # environment variable that marks all processes of a command
_MAX_LISTING = 3_000  # characters kept of the list of processes at a time limit


def inherited() -> dict[str, str]:
    """Return the environment that processes inherit: without tokens and settings that hold a password.

    No process needs these, and other users of the machine may see its environment.
    """
    for name in _TOKENS:
        remember_token(os.environ.get(name, ""))
    return {name: value for name, value in os.environ.items() if not _is_private(name, value)}


def _is_private(name: str, value: str) -> bool:
    return name in _TOKENS or is_known(value) or (name.startswith("ITB_") and redact(value) != value)


@dataclass
class Runner:
    """Starts processes, passes a record of each to ``record``, and ends them when ``stop`` requests it."""

    record: Callable[[CommandRecord], None] | None = None
    stop: Stop = field(default_factory=Stop)
    env: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    retries: int = DEFAULT_RETRIES

    def retry(self, work: Callable[[], T], cause_of: Callable[[T], str]) -> T:
        """Do some work and repeat it while ``cause_of(result)`` is not empty, as often as the settings allow."""
        return retry_while(work, cause_of, times=self.retries, wait=self.stop.event.wait)

    def run(self, request: Request) -> Completed:
        """Run a command to its end; without a timeout it gets the limit ``command``.

        Raises CommandError if the request has ``check`` and the status is not
        0, TestbedError if the command cannot be started, its input cannot be
        made or its output cannot be written, InterruptedRunError if the run was interrupted.
        """
        assert not request.user, "only hosts have other users"
        if self.stop.event.is_set():
            raise self.stop.error()
        started = time.time()
        sink = Sink(request.log, request.on_line)
        try:
            process = self._start(request)
            failure, completed = self._wait(process, sink, request)
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
            failure = cannot_write(sink.failure.filename or request.log, sink.failure)
        if failure:
            raise failure
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
            if isinstance(request.input, Path):
                stdin = request.input.open("rb")
                handles.append(stdin)
            elif request.input is not None:
                stdin = subprocess.PIPE
            if request.stdout_to is not None and request.stdout_limit is None:
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
        except ValueError as error:  # a command line cannot have a NUL or half a character
            raise TestbedError(f"{program}: cannot be started: {error}") from None
        finally:
            for handle in handles:
                handle.close()
        _limit(process.pid, resource.RLIMIT_FSIZE, request.file_limit)
        _limit(process.pid, resource.RLIMIT_DATA, request.memory_limit)
        return process

    def _wait(
        self, process: subprocess.Popen[bytes], sink: Sink, request: Request
    ) -> tuple[TestbedError | None, Completed]:
        """Wait for the end of a process; return why its streams failed, if they did, and its result."""
        timeout = self.limits("command") if request.timeout is None else request.timeout
        if not request.uninterruptible:
            self.stop.add(process.pid)
        clock, processes = time.monotonic(), ""
        try:
            pipes = (process.stdin, process.stdout, process.stderr)
            streams = Streams(process.pid, pipes, sink, request)
            if self.stop.event.is_set() and not request.uninterruptible:
                signal_group(process.pid, signal.SIGTERM)
            timed_out = not _has_ended(process, timeout)
            if timed_out:
                processes = _list_processes(process, sink, request, timeout)
                _end(process)
            streams.drain()
            if streams.is_cut and request.at_limit:
                request.at_limit()  # what was ended here may only have been the client of what goes on elsewhere
        except BaseException:  # Ctrl-C may come at any line, and the process must not outlive this call
            _end(process)
            raise
        finally:
            signal_group(process.pid, signal.SIGKILL)
            if not request.uninterruptible:
                self.stop.discard(process.pid)
        return streams.failure, Completed(
            argv=tuple(request.logged_argv),
            returncode=process.returncode,
            stdout=streams.stdout,
            stderr=streams.stderr,
            seconds=time.monotonic() - clock,
            timed_out=timed_out,
            log=sink.path,
            log_begins=sink.begins,
            limit=timeout,
            processes=processes,
            left_out=streams.left_out,
            log_is_cut=sink.is_cut,
            cut_at=streams.cut_at,
        )


def _limit(pid: int, kind: int, most: int | None) -> None:
    """Limit what a process, and each that it starts from now on, may have; None is no limit."""
    if most is None:
        return
    with suppress(OSError, AttributeError):  # it has ended; a system without prlimit(2)
        hard = resource.prlimit(pid, kind)[1]
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.prlimit(pid, kind, (least, least))


def _list_processes(process: subprocess.Popen[bytes], sink: Sink, request: Request, timeout: float) -> str:
    """Return a list of what still runs when the time is up, and write it to the log."""
    describe = request.at_limit or functools.partial(orphans.list_processes, process.pid, request.mark)
    processes = redact(describe())[:_MAX_LISTING]
    message = f"[itb] no end within {timeout:.0f} s{name_of_limit(timeout)}"
    sink.write(f"\n{message}\n{processes}\n".encode())
    return processes


def _has_ended(process: subprocess.Popen[bytes], timeout: float) -> bool:
    """Wait for a process and return whether it has ended in time; unlike Popen.wait(timeout), do not poll.

    Time in which itb itself is stopped (Ctrl-Z, a frozen control group) does not count.
    """
    waiter = threading.Thread(target=process.wait, daemon=True)
    waiter.start()
    seconds_left = min(timeout, threading.TIMEOUT_MAX)
    while seconds_left > 0 and waiter.is_alive():
        tick, began = min(seconds_left, _TICK), time.monotonic()
        waiter.join(tick)
        seconds_left -= tick if time.monotonic() - began < tick + _LATE else 0
    waiter.join(_LATE)  # the process may have ended while its waiter has not run yet
    return not waiter.is_alive()


def _end(process: subprocess.Popen[bytes]) -> None:
    signal_group(process.pid, signal.SIGTERM)
    if not _has_ended(process, GRACE):
        signal_group(process.pid, signal.SIGKILL)
        process.wait()
