"""How processes of a run are told to end."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from itb.errors import InterruptedRunError, TestbedError
from itb.process import orphans
from itb.process.result import Completed


class Ending:
    """How a run is told to end: by a signal or because its time is up."""

    def __init__(self) -> None:
        self.reason = ""
        self.signals = 0
        self._stops: list[Stop] = []

    def stop(self) -> Stop:
        """Return a stop for one cell, or for what happens before there is one: cells do not end together."""
        stop = Stop()
        self._stops.append(stop)
        if self.reason:
            stop.request()
        return stop

    def on_signal(self, number: int, _frame: FrameType | None) -> None:
        """End the running steps; collect no evidence after a second signal.  The removal always runs."""
        self.signals += 1
        self._end(f"interrupted by {signal.Signals(number).name}")

    def on_timeout(self, seconds: float) -> None:
        """End the run, whose own time limit is over."""
        reason = f"the run did not end within {seconds:.0f} s (run_timeout)"
        self._end(reason, EndedRunError(reason))

    def _end(self, reason: str, why: InterruptedRunError | None = None) -> None:
        self.reason = self.reason or reason
        for stop in list(self._stops):
            stop.request(why)

    def shield(self, stop: Stop) -> None:
        """Only count signals from now on: they must not end the removal of containers and files."""
        if stop in self._stops:
            self._stops.remove(stop)
        stop.clear()

    @contextmanager
    def listening(self, limit: float) -> Iterator[None]:
        """Handle signals and the time limit while the block runs."""
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        # A user who starts itb with nohup wants it to go on without its terminal.
        handled = [n for n in numbers if n != signal.SIGHUP or signal.getsignal(n) != signal.SIG_IGN]
        before = {number: signal.signal(number, self.on_signal) for number in handled}
        timer = threading.Timer(min(limit, threading.TIMEOUT_MAX), self.on_timeout, [limit])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            for number, handler in before.items():
                signal.signal(number, handler)

GRACE = 5.0  # seconds between TERM and KILL


class EndedRunError(InterruptedRunError):
    """A run ends as if interrupted, but nobody did that: its time is up, or its directory is lost."""

    exit_code = TestbedError.exit_code


class AbandonedError(InterruptedRunError):
    """Work is ended of which nothing could come any more: what needs it cannot be done."""


class Stop:
    """Whether a run has been told to end; shared by all runners of a process."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self._cause: InterruptedRunError | None = None
        self._live: set[int] = set()
        # Reentrant: request() is called by signal handlers, whatever they interrupt.
        self._lock = threading.RLock()

    def request(self, why: InterruptedRunError | None = None) -> None:
        """End every live process, the hard way after a grace period; those that start later raise at once.

        ``why`` is what they raise; the first one counts.
        """
        self._cause = self._cause or why
        self.event.set()
        groups = self._signal(self._live, signal.SIGTERM)
        if groups:
            timer = threading.Timer(GRACE, self._signal, [groups, signal.SIGKILL])
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
        self._cause = None

    def error(self, ended: Completed | None = None) -> InterruptedRunError:
        """Return the exception that a stopped command raises, with the output of the process that was ended."""
        kind = type(self._cause) if self._cause else InterruptedRunError
        message, hint = (self._cause.message, self._cause.hint) if self._cause else ("interrupted", "")
        output, log = (ended.output, ended.log) if ended else ("", None)
        return kind(message, hint=hint, evidence=output, log=log)

    def add(self, group: int) -> None:
        """Register a process group that :meth:`request` must end."""
        orphans.register(group)
        with self._lock:
            self._live.add(group)

    def discard(self, group: int) -> None:
        """Forget a process group that has ended."""
        orphans.unregister(group)
        with self._lock:
            self._live.discard(group)


def signal_group(group: int, number: int) -> None:
    """Signal a process group; one that is gone already is no error."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return
