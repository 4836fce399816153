"""The streams of one process: its input is written and its output read, each in a thread of its own."""

from __future__ import annotations

import functools
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from itb.errors import TestbedError
from itb.process.output import Copier, Reader, Sink
from itb.process.request import Request, Writer
from itb.process.stop import GRACE, signal_group

_REST = 0.5  # seconds to read the rest of an output after its process has ended
Pipes = tuple[IO[bytes] | None, IO[bytes] | None, IO[bytes] | None]  # standard input, output and error


class Streams:
    """Writes the input of a process and reads its output, from now on; ends it where one of both fails."""

    def __init__(self, pid: int, pipes: Pipes, sink: Sink, request: Request) -> None:
        """Raise TestbedError if the file for standard output cannot be written."""
        self._pid, self._request = pid, request
        stdin, stdout, stderr = pipes
        end = functools.partial(signal_group, pid, signal.SIGTERM)
        self._copier = _copier(stdout, request, end)
        outputs = (stderr,) if self._copier else (stdout, stderr)
        self._readers = [Reader(stream) for stream in outputs if stream]
        for reader in self._readers:
            reader.start(sink)
        self._feeder: _Feeder | None = None
        if stdin and not isinstance(request.input, Path | None):
            self._feeder = _Feeder(stdin, request.input, end)

    def drain(self) -> None:
        """Read the rest of the output, without waiting for children that live on and hold the pipe open."""
        others = [thread for thread in (self._copier, self._feeder) if thread]
        threads: list[Reader | Copier | _Feeder] = [*self._readers, *others]
        for seconds in (_REST, GRACE):
            deadline = time.monotonic() + seconds
            for thread in threads:
                thread.join(max(0.0, deadline - time.monotonic()))
            signal_group(self._pid, signal.SIGKILL)

    @property
    def is_cut(self) -> bool:
        """Return whether the process was ended for its output or for its input."""
        return bool(self.cut_at or (self._feeder and self._feeder.failure))

    @property
    def cut_at(self) -> int:
        """Return the number of bytes at which standard output was cut; 0 if it was not."""
        return self._request.stdout_limit or 0 if self._copier and self._copier.is_cut else 0

    @functools.cached_property
    def _texts(self) -> list[str]:
        return [reader.text() for reader in self._readers]

    @property
    def stderr(self) -> str:
        """Return the text that is kept of standard error."""
        return self._texts[-1] if self._texts else ""

    @property
    def stdout(self) -> str:
        """Return the text that is kept of standard output; empty if it goes to a file."""
        return self._texts[0] if len(self._texts) > 1 else ""

    @property
    def left_out(self) -> int:
        """Return the number of bytes that are not kept of standard output."""
        return self._readers[0].lost if len(self._readers) > 1 else 0

    @property
    def failure(self) -> TestbedError | None:
        """Return why the input could not be made, or the file of the output not be written; None if they were."""
        if self._copier and (failure := self._copier.failure):
            return cannot_write(self._request.stdout_to, failure)
        if self._feeder and (cause := self._feeder.failure):
            name = getattr(cause, "filename", None) or self._request.about or self._request.logged_argv[0]
            return TestbedError(f"{name}: cannot be read: {getattr(cause, 'strerror', None) or cause}")
        return None


def cannot_write(path: object, failure: OSError) -> TestbedError:
    """Return the error of a file that a command's output cannot be written to."""
    hint = "itb clean --unused makes room where the disk is full"
    return TestbedError(f"{path}: cannot be written: {failure.strerror}", hint=hint)


def _copier(stdout: IO[bytes] | None, request: Request, end: Callable[[], object]) -> Copier | None:
    """Return what copies standard output to the file of a request that limits it; None without a limit."""
    if request.stdout_limit is None or request.stdout_to is None or stdout is None:
        return None
    try:
        copier = Copier(stdout, request.stdout_to, request.stdout_limit, end)
    except OSError as error:
        raise cannot_write(request.stdout_to, error) from None
    copier.start()
    return copier


class _Feeder:
    """Writes the input of a process; where it cannot be made, ``end`` is called, which has to end the process."""

    def __init__(self, stream: IO[bytes], data: bytes | Writer, end: Callable[[], object]) -> None:
        self.failure: Exception | None = None
        self._stream, self._data, self._end = stream, data, end
        self._thread = threading.Thread(target=self._feed, daemon=True)
        self._thread.start()

    def join(self, timeout: float) -> None:
        self._thread.join(timeout)

    def _feed(self) -> None:
        try:
            with self._stream:
                if isinstance(self._data, bytes):
                    self._stream.write(self._data)
                else:
                    self._data(self._stream)
        except BrokenPipeError:
            return  # the program has not read all of its input; its status says whether that is an error
        except Exception as error:  # noqa: BLE001 - else lost with the thread, and an incomplete input taken for whole
            self.failure = error
            self._end()
