"""Stops a run that cannot succeed: a phase takes too long, the engine does not answer, a host has stopped."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from itb.containers.engine import Engine
from itb.errors import TestbedError
from itb.model import Case
from itb.process.limits import DEFAULTS, Limits, name_of_limit
from itb.process.result import CommandError
from itb.process.stop import EndedRunError, Stop, TimeIsUpError
from itb.rundir.journal import RunningCase

_MAX_FAILURES = 2  # times in a row that an engine may answer with an error
_REBOOT = 10.0  # seconds in which a container that is restarted runs again


class Watchdog:
    """A listener of the journal that stops the run when cases of a phase have run for longer than its limit.

    While a phase waits for another one, such as install for build, its time
    does not run.
    """

    def __init__(self, limits: Limits, stop: Stop) -> None:
        self._limits, self._stop = limits, stop
        self._lock = threading.Lock()
        self._running_cases: dict[str, set[tuple[str, str]]] = {}
        self._seconds_used: dict[str, float] = {}
        self._running_since: dict[str, float] = {}
        self._timers: dict[str, threading.Timer] = {}

    def started(self, case: RunningCase) -> None:
        """Start a phase's clock with the first of its cases."""
        phase = case.phase
        if f"phase-{phase}" not in DEFAULTS:
            return
        with self._lock:
            cases = self._running_cases.setdefault(phase, set())
            if not cases:
                seconds_left = self._limits(f"phase-{phase}") - self._seconds_used.get(phase, 0.0)
                seconds = max(0.0, min(seconds_left, threading.TIMEOUT_MAX))
                timer = threading.Timer(seconds, self._stop_run, [phase])
                timer.daemon = True
                timer.start()
                self._timers[phase], self._running_since[phase] = timer, time.monotonic()
            cases.add((case.role, case.name))

    def noted(self, case: RunningCase, text: str) -> None:
        """Do nothing: notes do not count."""

    def finished(self, case: Case) -> None:
        """Stop a phase's clock with the last of its cases that go on."""
        with self._lock:
            cases = self._running_cases.get(case.phase, set())
            if (case.role, case.name) not in cases:
                return  # a result of a step: it was never started
            cases.discard((case.role, case.name))
            if not cases:
                self._timers.pop(case.phase).cancel()
                seconds = time.monotonic() - self._running_since.pop(case.phase)
                self._seconds_used[case.phase] = self._seconds_used.get(case.phase, 0.0) + seconds

    def _stop_run(self, phase: str) -> None:
        limit = self._limits(f"phase-{phase}")
        self._stop.request(TimeIsUpError(f"phase {phase} did not end within {limit:.0f} s{name_of_limit(limit)}"))


@contextmanager
def monitor(engine: Engine, stop: Stop, find_stopped_host: Callable[[], str]) -> Iterator[None]:
    """Check at intervals that the engine answers and every host runs; stop the run if not.

    Without this, a command that waits for a host that has stopped would wait
    for many minutes.  ``find_stopped_host`` returns which
    host has stopped, or the empty string; it asks the engine and raises
    TestbedError if that cannot tell.
    """
    ended = threading.Event()
    every = engine.runner.limits("engine-pulse")

    def check() -> None:
        failures = 0
        while not ended.wait(every):
            try:
                reason, failures = find_stopped_host(), 0
                hint = "itb run --resume RUN goes on with hosts made anew"
                if reason and not ended.wait(_REBOOT):
                    reason = find_stopped_host()
            except TestbedError as error:
                # An engine that does not answer was waited for already.
                failures += 1 if isinstance(error, CommandError) else _MAX_FAILURES
                reason, hint = error.message if failures >= _MAX_FAILURES else "", "itb doctor explains"
            if reason and not ended.is_set():
                stop.request(EndedRunError(reason, hint=hint))
                return

    thread = threading.Thread(target=check, name="pulse", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
