"""Renewing the token of a long run before it expires, and reporting a failure at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from itb.errors import InterruptedRunError, ItbError, TokenError
from itb.model import Record, Token
from itb.util import when

MARGIN = 1200.0  # seconds that a token has left when it is renewed
RETRY_INTERVAL = 60.0  # seconds between tries when a renewal fails


class Renewal(Record):
    """One try to renew a token: the new token, or the problem.

    ``left`` is the lifetime left of the old token, in seconds; ``failed`` is
    the number of tries that failed, and ``problem`` is of the last of them.
    """

    token: Token | None = None
    problem: str = ""
    left: float
    failed: int = 0

    @property
    def gap(self) -> bool:
        """Return whether the old token expired while renewals failed."""
        return self.failed > 0 and self.left <= 0

    @property
    def message(self) -> str:
        """Return the sentence for the report."""
        if self.token is not None:
            before = f", at try {self.failed + 1}: before, {self.problem}" if self.failed else ""
            if self.left <= 0:
                return f"renewed after the old one had expired{before}"
            return f"renewed with {self.left:.0f} s left on the old one{before}"
        if self.left > 0:
            until = when.clock(time.time() + self.left)
            return f"{self.problem}; the old token serves until {until} ({self.left:.0f} s more)"
        return f"{self.problem}; the old token has expired"


def renewal_time(token: Token) -> float:
    """Return the time at which to renew a token, in seconds since the epoch.

    That is when 20 minutes or a third of its lifetime are left, whichever is
    more, but never in the first half of it: a token of ten minutes would be
    renewed without end.
    """
    life = token.expires - token.issued
    return token.expires - min(max(MARGIN, life / 3), life / 2)


def require_lifetime(token: Token, seconds: float, what: str, *, now: float | None = None) -> None:
    """Raise TokenError if a token expires before ``seconds`` are over; ``what`` would take so long."""
    left = token.expires - (time.time() if now is None else now)
    if left < seconds:
        raise TokenError(
            f"{what} may take {seconds:.0f} s, and the token lives {max(left, 0):.0f} s more",
            hint="renew it first: itb token acquire --run ID",
        )


class RenewalThread:
    """Renews the token of a run in a thread; :attr:`token` is the newest, to be read from any thread."""

    def __init__(
        self,
        token: Token,
        renew: Callable[[], Token],
        report: Callable[[Renewal], None],
        *,
        retry_interval: float = RETRY_INTERVAL,
    ) -> None:
        self.token = token
        self._renew = renew
        self._report = report
        self._retry_interval = retry_interval
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._renew_when_due, name="token renewal", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread; wait for a renewal that has begun, so that no delivery is left half done."""
        self._stopped.set()
        self._thread.join()

    def _renew_when_due(self) -> None:
        pause = renewal_time(self.token) - time.time()
        while not self._stopped.wait(max(0.0, pause)):
            left = self.token.expires - time.time()
            try:
                self.token = self._renew()
            except InterruptedRunError:
                return
            except ItbError as error:
                self._report(Renewal(problem=error.message, left=left))
                # More often near the end, so that a token with a short lifetime gets several tries too.
                pause = min(self._retry_interval, max(1.0, left / 5)) if left > 0 else self._retry_interval
            else:
                self._report(Renewal(token=self.token, left=left))
                pause = max(1.0, renewal_time(self.token) - time.time())


@contextmanager
def keep_renewed(
    token: Token, renew: Callable[[], Token], report: Callable[[Renewal], None]
) -> Iterator[RenewalThread]:
    """Renew a token in the background while the block runs.

    ``renew`` acquires and delivers a new token and returns its record.  Its
    errors go to ``report`` at once; the old token stays until it expires.
    """
    thread = RenewalThread(token, renew, report)
    thread.start()
    try:
        yield thread
    finally:
        thread.stop()
