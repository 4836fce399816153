"""Ends a phase that takes longer than its limit, however its single commands are limited."""

from __future__ import annotations

import threading
import time

from itb.journal import Trial
from itb.limits import DEFAULTS, Limits, called
from itb.model import Case
from itb.runners import EndedRunError, Stop


class Watchman:
    """A listener of the journal that knows how long something of each phase has been going on.

    A phase that waits for another one, such as install for build, does not
    use up its time.
    """

    def __init__(self, limits: Limits, stop: Stop) -> None:
        self._limits, self._stop = limits, stop
        self._lock = threading.Lock()
        self._going_on: dict[str, set[tuple[str, str]]] = {}
        self._used: dict[str, float] = {}
        self._since: dict[str, float] = {}
        self._timers: dict[str, threading.Timer] = {}

    def started(self, trial: Trial) -> None:
        """Start a phase's clock with the first of its cases."""
        phase = trial.phase
        if f"phase-{phase}" not in DEFAULTS:
            return
        with self._lock:
            cases = self._going_on.setdefault(phase, set())
            if not cases:
                left = self._limits(f"phase-{phase}") - self._used.get(phase, 0.0)
                timer = threading.Timer(max(0.0, min(left, threading.TIMEOUT_MAX)), self._over, [phase])
                timer.daemon = True
                timer.start()
                self._timers[phase], self._since[phase] = timer, time.monotonic()
            cases.add((trial.role, trial.name))

    def noted(self, trial: Trial, text: str) -> None:
        """Nothing: talk takes no time."""

    def finished(self, case: Case) -> None:
        """Stop a phase's clock with the last of its cases that go on."""
        with self._lock:
            cases = self._going_on.get(case.phase, set())
            if (case.role, case.name) not in cases:
                return  # one of a step's results
            cases.discard((case.role, case.name))
            if not cases:
                self._timers.pop(case.phase).cancel()
                spent = time.monotonic() - self._since.pop(case.phase)
                self._used[case.phase] = self._used.get(case.phase, 0.0) + spent

    def _over(self, phase: str) -> None:
        limit = self._limits(f"phase-{phase}")
        self._stop.request(EndedRunError(f"phase {phase} did not end within {limit:.0f} s{called(limit)}"))
