"""Does the same work for several keys at the same time, where one need not wait for another."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Sequence
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
    if len(order) < 2:
        return {key: work(key) for key in order}
    with ThreadPoolExecutor(max_workers=len(order)) as pool:
        futures = {key: pool.submit(work, key) for key in order}
    errors = [error for future in futures.values() if (error := future.exception()) is not None]
    for error in errors:
        if isinstance(error, InterruptedRunError):
            raise error
    if errors:
        raise errors[0]
    return {key: future.result() for key, future in futures.items()}


def side_by_side(items: Sequence[K], needs: Callable[[K], Collection[str]], work: Callable[[K], object]) -> None:
    """Call ``work`` with each item, in order where two need the same, else at the same time.

    After an error no other begins; all that have begun end before it is raised.
    """
    ended = [threading.Event() for _ in items]
    stop = threading.Event()

    def call(number: int) -> None:
        try:
            for other in range(number):
                if set(needs(items[other])) & set(needs(items[number])):
                    ended[other].wait()
            if not stop.is_set():
                work(items[number])
        except BaseException:
            stop.set()
            raise
        finally:
            ended[number].set()

    if len(items) == 1:
        work(items[0])
    else:
        in_parallel(range(len(items)), call)
