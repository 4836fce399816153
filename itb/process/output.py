"""The output of a process: reading it at once, redacting it, writing it to a log, keeping a part in memory."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO

from itb.errors import TestbedError
from itb.util.redact_stream import Stream

CAPTURE_HEAD = 1 << 20  # bytes of an output kept from its start ...
CAPTURE_TAIL = 3 << 20  # ... and from its end; the log has everything, up to:
LOG_LIMIT = 1 << 30  # bytes of a log, to which each try of a step adds


def make_folder(path: Path) -> None:
    """Make the folder of a log and its parent; FileNotFoundError if the parent's folder does not exist.

    So a run directory that was deleted is not made again, incomplete and readable for everybody.
    """
    path.parent.parent.stat()
    path.mkdir(parents=True, exist_ok=True)


class Sink:
    """Writes both streams to the log file, and passes their lines to the listener."""

    def __init__(self, path: Path | None, on_line: Callable[[str], None] | None) -> None:
        self.path = path
        self._on_line = on_line
        self._lock = threading.Lock()
        self._file: IO[bytes] | None = None
        self.begins = 0  # size of the log before, in bytes
        self.failure: OSError | None = None
        self.is_cut = False  # the log does not have everything
        self._room = LOG_LIMIT
        if path is not None:
            try:
                make_folder(path.parent)
                self._file = path.open("ab", buffering=0)
                self.begins = self._file.tell()
                self._room = max(0, LOG_LIMIT - self.begins)
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
        if self.is_cut:
            return
        self.is_cut = len(data) > self._room
        if self.is_cut:
            data = data[: self._room] + f"\n[itb] more than {LOG_LIMIT >> 20} MiB: the rest is left out\n".encode()
        self._room -= len(data)
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


class Reader:
    """Reads one stream to its end in its own thread, so that neither stream can block the other."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._head = bytearray()
        self._tail = bytearray()
        self._lost = 0
        self._thread: threading.Thread | None = None

    def start(self, sink: Sink) -> None:
        self._thread = threading.Thread(target=self._read, args=(sink,), daemon=True)
        self._thread.start()

    def join(self, timeout: float) -> None:
        if self._thread is not None:
            self._thread.join(timeout)

    def _read(self, sink: Sink) -> None:
        redactor = Stream()
        with self._stream:
            while chunk := os.read(self._stream.fileno(), 1 << 16):
                self._keep(sink, redactor.feed(chunk))
        self._keep(sink, redactor.close())

    def _keep(self, sink: Sink, data: bytes) -> None:
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

    @property
    def lost(self) -> int:
        """Return the number of bytes that are not kept, between the start and the end."""
        return self._lost

    def text(self) -> str:
        """Return the text that is kept of the output."""
        middle = f"\n[... {self._lost} bytes left out ...]\n".encode() if self._lost else b""
        return bytes(self._head + middle + self._tail).decode("utf-8", "replace")


class Copier:
    """Copies one stream, as it is, to a file in a thread of its own, up to a limit of bytes.

    What is over the limit is not read: ``end`` is called, which has to end the process.
    """

    def __init__(self, stream: IO[bytes], path: Path, limit: int, end: Callable[[], object]) -> None:
        self.is_cut = False
        self.failure: OSError | None = None
        self._stream, self._limit, self._end = stream, limit, end
        self._file = path.open("wb")
        self._thread = threading.Thread(target=self._copy, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self, timeout: float) -> None:
        self._thread.join(timeout)

    def _copy(self) -> None:
        room = self._limit
        with self._stream, self._file:
            try:
                while piece := os.read(self._stream.fileno(), 1 << 16):
                    self._file.write(piece[:room])
                    self.is_cut = len(piece) > room
                    if self.is_cut:
                        break
                    room -= len(piece)
                self._file.flush()
            except OSError as error:  # a full disk
                self.failure = error
        if self.is_cut or self.failure:
            self._end()
