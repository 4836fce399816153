"""Interrupting a run: stopping its processes on a signal or when its time is up."""

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

GRACE = 5.0  # seconds between TERM and KILL


class Ending:
    """Receives signals and the run's time limit, and requests all stops that it has given out."""

    def __init__(self) -> None:
        self.reason = ""
        self.signals = 0
        self._stops: list[Stop] = []

    def stop(self) -> Stop:
        """Return a new stop; each cell has its own, since cells end at different times."""
        stop = Stop()
        self._stops.append(stop)
        if self.reason:
            stop.request()
        return stop

    def on_signal(self, number: int, _frame: FrameType | None) -> None:
        """Interrupt the run; a second signal also ends the collection of evidence, but never the removal."""
        self.signals += 1
        self._end(f"interrupted by {signal.Signals(number).name}")

    def on_timeout(self, seconds: float) -> None:
        """End the run because its time limit is over."""
        reason = f"the run did not end within {seconds:.0f} s (run_timeout)"
        self._end(reason, TimeIsUpError(reason))

    def _end(self, reason: str, why: InterruptedRunError | None = None) -> None:
        self.reason = self.reason or reason
        for stop in list(self._stops):
            stop.request(why)

    def shield(self, stop: Stop) -> None:
        """Ignore signals for a stop from now on: they must not end the removal of containers and files."""
        if stop in self._stops:
            self._stops.remove(stop)
        stop.clear()

    @contextmanager
    def listening(self, limit: float) -> Iterator[None]:
        """Handle signals and the time limit while the block runs."""
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        # A user who starts itb with nohup wants it to continue without its terminal.
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


class EndedRunError(InterruptedRunError):
    """itb itself ended the run: its time is up, or its directory is gone."""

    exit_code = TestbedError.exit_code


class TimeIsUpError(EndedRunError):
    """itb ended the run because it, or a phase of it, takes too long."""


class AbandonedError(InterruptedRunError):
    """Work was ended because other work that needs its result cannot be done any more."""


class Stop:
    """Ends the processes of one cell on request, and tells its runners that it was requested."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self._cause: InterruptedRunError | None = None
        self._live: set[int] = set()
        # Reentrant: request() is called by signal handlers, whatever they interrupt.
        self._lock = threading.RLock()

    def request(self, why: InterruptedRunError | None = None) -> None:
        """End every live process, by SIGKILL after a grace period; commands that start later raise at once.

        ``why`` is the exception that they raise; that of the first request counts.
        """
        self._cause = self._cause or why
        self.event.set()
        groups = self._signal(self._live, signal.SIGTERM)
        if groups:
            timer = threading.Timer(GRACE, self._signal, [groups, signal.SIGKILL])
            timer.daemon = True
            timer.start()

    def _signal(self, groups: set[int], number: int) -> set[int]:
        """Signal the groups that still live; return them."""
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
    """Signal a process group; one that has ended already is no error."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return
