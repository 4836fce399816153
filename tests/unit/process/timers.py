"""A timer that runs out when a test says so, on a machine however busy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


class ManualTimer:
    """Stands in for threading.Timer; ``seconds`` is the interval it was made with."""

    def __init__(self, seconds: float, function: Callable[..., Any], args: Sequence[Any] = ()) -> None:
        self.seconds, self._function, self._args = seconds, function, args
        self.daemon = False
        self.is_started = self.is_cancelled = False

    def start(self) -> None:
        self.is_started = True

    def cancel(self) -> None:
        self.is_cancelled = True

    def run_out(self) -> None:
        """Call the function, as the timer's thread would."""
        assert self.is_started
        assert not self.is_cancelled
        self._function(*self._args)
