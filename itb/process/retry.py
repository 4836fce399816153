"""Trying again after a failure of the infrastructure that may pass; every such retry is reported.

Retries are counted for the code that collects them in the same thread: the
journal does so for the case that is running.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

T = TypeVar("T")

DEFAULT_RETRIES = 2  # default of the setting ``retries``
_FIRST_PAUSE = 0.5  # seconds; each further one is twice as long

_collector: ContextVar[list[str] | None] = ContextVar("retries", default=None)


@contextmanager
def collect_causes() -> Iterator[list[str]]:
    """Collect the causes of the retries of this thread while the block runs."""
    causes: list[str] = []
    before = _collector.set(causes)
    try:
        yield causes
    finally:
        _collector.reset(before)


def describe_retries(causes: list[str]) -> str:
    """Return the number of retries and the cause of the last one, for a report; empty if there were none."""
    if not causes:
        return ""
    return f"{len(causes)} {'retry' if len(causes) == 1 else 'retries'}: {causes[-1]}"


def retry_while(
    work: Callable[[], T], cause_of: Callable[[T], str], *, times: int, wait: Callable[[float], object]
) -> T:
    """Do some work and return its result; repeat it up to ``times`` times while ``cause_of(result)`` is not empty.

    ``cause_of`` returns the cause of a failure that may pass.  ``wait`` waits
    for a number of seconds, or less.
    """
    pause = _FIRST_PAUSE
    for _ in range(times):
        result = work()
        cause = cause_of(result)
        if not cause:
            return result
        if (causes := _collector.get()) is not None:
            causes.append(cause)
        wait(pause)
        pause *= 2
    return work()
