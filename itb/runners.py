"""The only place of itb that starts processes.

Every process gets a session of its own, so that it and all it started can be
killed together; its output is read whole, redacted, written to a log as it
comes and kept in memory only in part.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from itb.errors import InterruptedRunError, TestbedError
from itb.redact import Stream, redact

GRACE = 5.0  # seconds between TERM and KILL
_DRAIN = 0.5  # seconds what is left of an output may take once its process has ended
CAPTURE_HEAD = 1 << 20  # bytes of an output kept from its start ...
CAPTURE_TAIL = 3 << 20  # ... and from its end; the log has everything


@dataclass(frozen=True)
class Completed:
    """A process that has ended.

    ``returncode`` is negative for a signal; ``stdout`` and ``stderr`` are
    redacted text, cut in the middle when longer than 4 MiB.
    """

    argv: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str
    seconds: float
    timed_out: bool = False
    log: Path | None = None

    @property
    def ok(self) -> bool:
        """True if it ended by itself with status 0."""
        return self.returncode == 0 and not self.timed_out

    @property
    def output(self) -> str:
        """Both streams; stdout first."""
        return "\n".join(part for part in (self.stdout.strip("\n"), self.stderr.strip("\n")) if part)

    @property
    def reason(self) -> str:
        """One line that says how it ended: the last line of its output, else its status."""
        if self.timed_out:
            return f"no end within {self.seconds:.0f} s"
        lines = [line.strip() for line in (self.stderr or self.stdout).splitlines() if line.strip()]
        return lines[-1] if lines else f"exit status {self.returncode} without a word"


class CommandError(TestbedError):
    """A command itb itself depends on failed; ``completed`` has the details."""

    def __init__(self, completed: Completed, *, about: str = "") -> None:
        shown = about or shlex.join(completed.argv)
        super().__init__(f"{redact(shown)}: {completed.reason}", evidence=completed.output, log=completed.log)
        self.completed = completed


class Stop:
    """Whether a run has been told to end; shared by all runners of a process."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self._live: set[int] = set()
        # Reentrant: request() is called by signal handlers, whatever they interrupt.
        self._lock = threading.RLock()

    def request(self) -> None:
        """End every live process, the hard way after a grace period; those that start later raise at once."""
        self.event.set()
        asked = self._signal(self._live, signal.SIGTERM)
        if asked:
            timer = threading.Timer(GRACE, self._signal, [asked, signal.SIGKILL])
            timer.daemon = True
            timer.start()

    def _signal(self, groups: set[int], number: int) -> set[int]:
        """Signal those of the groups that still live; return them."""
        with self._lock:
            live = groups & self._live
            for group in live:
                signal_group(group, number)
        return live

    def clear(self) -> None:
        """Allow new processes again: teardown runs after an interruption too."""
        self.event.clear()

    def add(self, group: int) -> None:
        """Register a process group that :meth:`request` must end."""
        with self._lock:
            self._live.add(group)

    def discard(self, group: int) -> None:
        """Forget a process group that has ended."""
        with self._lock:
            self._live.discard(group)


def signal_group(group: int, number: int) -> None:
    """Signal a process group; one that is gone already is no error."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return


@dataclass(frozen=True)
class Command:
    """A line of ``commands.log``."""

    started: float
    host: str
    argv: tuple[str, ...]
    returncode: int
    seconds: float


@dataclass
class Runner:
    """Starts processes, remembers them in ``record`` and ends them when ``stop`` says so."""

    record: Callable[[Command], None] | None = None
    stop: Stop = field(default_factory=Stop)
    env: Mapping[str, str] = field(default_factory=dict)

    def run(
        self,
        argv: Sequence[str],
        *,
        input: bytes | Path | None = None,
        env: Mapping[str, str] | None = None,
        clean_env: bool = False,
        cwd: Path | None = None,
        timeout: float = 600,
        check: bool = True,
        log: Path | None = None,
        stdout_to: Path | None = None,
        on_line: Callable[[str], None] | None = None,
        host: str = "local",
        shown: Sequence[str] | None = None,
        about: str = "",
    ) -> Completed:
        """Run a command to its end.

        ``input`` is bytes or a file; ``env`` adds to the environment
        (``clean_env``: replaces it); ``timeout`` is in seconds; ``log``
        receives both streams as they come; ``stdout_to`` receives standard
        output unread (binary data, not redacted); ``host`` and ``shown`` are
        what ``commands.log`` says.

        Raises CommandError if ``check`` and it did not end with status 0,
        TestbedError if it cannot be started or ``log`` not be written,
        InterruptedRunError when the run was told to stop.
        """
        if self.stop.event.is_set():
            raise InterruptedRunError("interrupted")
        started = time.time()
        environment = {} if clean_env else {**os.environ, **self.env}
        environment.update(env or {})
        sink = _Sink(log, on_line)
        try:
            process = self._start(argv, input=input, env=environment, cwd=cwd, stdout_to=stdout_to)
            completed = self._wait(process, sink, input=input, timeout=timeout, argv=shown or argv)
        finally:
            sink.close()
        if self.record:
            self.record(Command(started, host, tuple(shown or argv), completed.returncode, completed.seconds))
        if self.stop.event.is_set() and not completed.ok:
            raise InterruptedRunError("interrupted")
        if sink.failure:
            raise TestbedError(
                f"{sink.failure.filename or log}: cannot be written: {sink.failure.strerror}",
                hint="itb clean --cache makes room where the disk is full",
            )
        if check and not completed.ok:
            raise CommandError(completed, about=about)
        return completed

    def _start(
        self,
        argv: Sequence[str],
        *,
        input: bytes | Path | None,
        env: Mapping[str, str],
        cwd: Path | None,
        stdout_to: Path | None,
    ) -> subprocess.Popen[bytes]:
        stdin: int | IO[bytes] = subprocess.DEVNULL
        stdout: int | IO[bytes] = subprocess.PIPE
        opened: list[IO[bytes]] = []
        try:
            if isinstance(input, bytes):
                stdin = subprocess.PIPE
            elif input is not None:
                stdin = input.open("rb")
                opened.append(stdin)
            if stdout_to is not None:
                stdout = stdout_to.open("wb")
                opened.append(stdout)
            process = subprocess.Popen(
                list(argv),
                stdin=stdin,
                stdout=stdout,
                stderr=subprocess.PIPE,
                env=env,
                cwd=cwd,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            missing = error.filename or argv[0]
            raise TestbedError(f"{missing}: not found", hint="itb doctor says what to install") from None
        except OSError as error:
            raise TestbedError(f"{error.filename or argv[0]}: {error.strerror}") from None
        except ValueError as error:  # a NUL or half a character cannot be part of a command line
            raise TestbedError(f"{argv[0]}: cannot be started: {error}") from None
        finally:
            for handle in opened:
                handle.close()
        return process

    def _wait(
        self,
        process: subprocess.Popen[bytes],
        sink: _Sink,
        *,
        input: bytes | Path | None,
        timeout: float,
        argv: Sequence[str],
    ) -> Completed:
        self.stop.add(process.pid)
        readers = [_Reader(stream) for stream in (process.stdout, process.stderr) if stream]
        clock = time.monotonic()
        timed_out = False
        try:
            for reader in readers:
                reader.start(sink)
            if isinstance(input, bytes):
                threading.Thread(target=_feed, args=(process, input), daemon=True).start()
            if self.stop.event.is_set():
                signal_group(process.pid, signal.SIGTERM)
            if not _has_ended(process, timeout):
                timed_out = True
                _end(process)
            _drain(process, readers)
        except BaseException:
            _end(process)
            raise
        finally:
            signal_group(process.pid, signal.SIGKILL)
            self.stop.discard(process.pid)
        texts = [reader.text() for reader in readers]
        stderr = texts.pop() if texts else ""
        return Completed(
            argv=tuple(argv),
            returncode=process.returncode,
            stdout=texts[0] if texts else "",
            stderr=stderr,
            seconds=time.monotonic() - clock,
            timed_out=timed_out,
            log=sink.path,
        )


def _feed(process: subprocess.Popen[bytes], data: bytes) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(data)
        process.stdin.close()
    except BrokenPipeError:
        return  # the program did not want all of its input: its status tells


def _has_ended(process: subprocess.Popen[bytes], timeout: float) -> bool:
    """Wait for a process without polling: Popen.wait(timeout) notices an end up to 50 ms late."""
    waiter = threading.Thread(target=process.wait, daemon=True)
    waiter.start()
    waiter.join(min(timeout, threading.TIMEOUT_MAX))
    return not waiter.is_alive()


def _end(process: subprocess.Popen[bytes]) -> None:
    signal_group(process.pid, signal.SIGTERM)
    if not _has_ended(process, GRACE):
        signal_group(process.pid, signal.SIGKILL)
        process.wait()


def _drain(process: subprocess.Popen[bytes], readers: list[_Reader]) -> None:
    """Read what is left, but not for as long as a child that outlives its parent holds the pipe open."""
    deadline = time.monotonic() + _DRAIN
    for reader in readers:
        reader.join(max(0.0, deadline - time.monotonic()))
    signal_group(process.pid, signal.SIGKILL)
    deadline = time.monotonic() + GRACE
    for reader in readers:
        reader.join(max(0.0, deadline - time.monotonic()))


class _Sink:
    """Where the lines of both streams go: the log file and the listener."""

    def __init__(self, path: Path | None, on_line: Callable[[str], None] | None) -> None:
        self.path = path
        self._on_line = on_line
        self._lock = threading.Lock()
        self._file: IO[bytes] | None = None
        self.failure: OSError | None = None
        if path is not None:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._file = path.open("ab", buffering=0)
            except OSError as error:
                raise TestbedError(f"{error.filename or path}: cannot be written: {error.strerror}") from None

    def write(self, data: bytes) -> None:
        with self._lock:
            if self._file is not None:
                self._log(self._file, data)
            if self._on_line is not None:
                lines = data[-4096:].decode("utf-8", "replace").splitlines()
                if lines and lines[-1].strip():
                    self._on_line(lines[-1].strip())

    def _log(self, file: IO[bytes], data: bytes) -> None:
        # A full disk must not keep the output from being read, or its process never ends.
        try:
            while data:
                data = data[file.write(data) :]
        except OSError as error:
            self.failure = self.failure or error

    def close(self) -> None:
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None
            self._on_line = None


class _Reader:
    """Reads one stream to its end in a thread of its own, so that neither stream can block the other."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._head = bytearray()
        self._tail = bytearray()
        self._lost = 0
        self._thread: threading.Thread | None = None

    def start(self, sink: _Sink) -> None:
        self._thread = threading.Thread(target=self._read, args=(sink,), daemon=True)
        self._thread.start()

    def join(self, timeout: float) -> None:
        if self._thread is not None:
            self._thread.join(timeout)

    def _read(self, sink: _Sink) -> None:
        redactor = Stream()
        with self._stream:
            while piece := os.read(self._stream.fileno(), 1 << 16):
                self._keep(sink, redactor.feed(piece))
        self._keep(sink, redactor.close())

    def _keep(self, sink: _Sink, data: bytes) -> None:
        if not data:
            return
        sink.write(data)
        room = CAPTURE_HEAD - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        self._tail += data
        if len(self._tail) > 2 * CAPTURE_TAIL:
            self._lost += len(self._tail) - CAPTURE_TAIL
            del self._tail[:-CAPTURE_TAIL]

    def text(self) -> str:
        middle = f"\n[... {self._lost} bytes left out ...]\n".encode() if self._lost else b""
        return bytes(self._head + middle + self._tail).decode("utf-8", "replace")
