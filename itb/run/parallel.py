"""Work at the same time, and the error that was the cause."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

from itb.errors import InterruptedRunError

K = TypeVar("K")
V = TypeVar("V")


def in_parallel(keys: Iterable[K], work: Callable[[K], V]) -> dict[K, V]:
    """Do the same for all keys at once; return the results by key.

    All calls end before the first error is raised; an interruption goes before other errors.
    """
    order = list(keys)
    if not order:
        return {}
    with ThreadPoolExecutor(max_workers=len(order)) as pool:
        futures = {key: pool.submit(work, key) for key in order}
    errors = [error for future in futures.values() if (error := future.exception()) is not None]
    for error in errors:
        if isinstance(error, InterruptedRunError):
            raise error
    if errors:
        raise errors[0]
    return {key: future.result() for key, future in futures.items()}


def wait_for_all(futures: Sequence[Future[Any]]) -> None:
    """Wait for all; raise the interruption if there was one, else the first error."""
    wait(futures, return_when=FIRST_EXCEPTION)
    wait(futures)
    errors = [error for future in futures if (error := future.exception()) is not None]
    for error in errors:
        if isinstance(error, InterruptedRunError):
            raise error
    if errors:
        raise errors[0]
