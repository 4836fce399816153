"""Does the same work for several keys at the same time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from itb.errors import InterruptedRunError

K = TypeVar("K")
V = TypeVar("V")


def in_parallel(keys: Iterable[K], work: Callable[[K], V]) -> dict[K, V]:
    """Call ``work`` with each key at the same time; return the results by key.

    All calls end before an error is raised: an interruption if there was one, else the first error.
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
