"""Trying again what trouble of the infrastructure kept from working, a few times, and never silently.

What was tried again is told to whoever collects it in the same thread: the
journal does, for the case that is going on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

T = TypeVar("T")

TIMES = 2  # default of the setting ``retries``
_FIRST_PAUSE = 0.5  # seconds; each further one is twice as long

_collector: ContextVar[list[str] | None] = ContextVar("retries", default=None)


@contextmanager
def collecting() -> Iterator[list[str]]:
    """Collect the causes of what is tried again while the block runs."""
    causes: list[str] = []
    before = _collector.set(causes)
    try:
        yield causes
    finally:
        _collector.reset(before)


def shown(causes: list[str]) -> str:
    """Say how often something was tried again and why; the empty string if it was not."""
    if not causes:
        return ""
    return f"{len(causes)} {'retry' if len(causes) == 1 else 'retries'}: {causes[-1]}"


def retrying(
    work: Callable[[], T], cause_of: Callable[[T], str], *, times: int, wait: Callable[[float], object]
) -> T:
    """Do some work again, up to ``times`` times, as long as ``cause_of`` its result names passing trouble.

    ``wait`` waits so many seconds, or less.
    """
    pause = _FIRST_PAUSE
    for _ in range(times):
        done = work()
        cause = cause_of(done)
        if not cause:
            return done
        if (causes := _collector.get()) is not None:
            causes.append(cause)
        wait(pause)
        pause *= 2
    return work()
