"""Ends what goes on for no good: a phase over its limit, a run whose container engine has stopped answering."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from itb.engine import Engine
from itb.errors import TestbedError
from itb.journal import Trial
from itb.limits import DEFAULTS, Limits, called
from itb.model import Case
from itb.runners import EndedRunError, Stop

_PATIENCE = 2  # times in a row an engine may fail that answers at all


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


@contextmanager
def pulse(engine: Engine, stop: Stop) -> Iterator[None]:
    """Ask the engine now and then whether it is still there; stop the run if it is not.

    A command on a host may take many minutes: whether it still gets anywhere
    cannot be told from its silence.
    """
    ended = threading.Event()
    every = engine.runner.limits("engine-pulse")

    def feel() -> None:
        failed = 0
        while not ended.wait(every):
            try:
                seen = engine.deaf.call("ps", "--quiet", "--last", "1", check=False)
            except TestbedError as error:
                why = error.message
                failed = _PATIENCE
            else:
                why = f"container engine {engine.program!r} fails: {seen.reason}"
                failed = 0 if seen.ok else failed + 1
            if failed >= _PATIENCE and not ended.is_set():
                stop.request(EndedRunError(why, hint="itb doctor explains"))
                return

    thread = threading.Thread(target=feel, name="pulse", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
