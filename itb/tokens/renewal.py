"""A token that outlives a long run: renewed before it is needed, and said at once when that fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from itb.errors import InterruptedRunError, ItbError, TokenError
from itb.model import Record, Token

MARGIN = 1200.0  # seconds
AGAIN = 60.0  # seconds between tries when a renewal fails


class Renewal(Record):
    """One try to renew: the new token, or the problem.

    ``left`` is what the old one still had, in seconds; ``failed`` the number
    of tries that failed, of which ``problem`` is the last one's.
    """

    token: Token | None = None
    problem: str = ""
    left: float
    failed: int = 0

    @property
    def gap(self) -> bool:
        """True if, for its failures, there was a time without a token."""
        return self.failed > 0 and self.left <= 0

    @property
    def message(self) -> str:
        """What a report says of it."""
        if self.token is not None:
            before = f", at try {self.failed + 1}: before, {self.problem}" if self.failed else ""
            if self.left <= 0:
                return f"renewed after the old one had expired{before}"
            return f"renewed with {self.left:.0f} s left on the old one{before}"
        if self.left > 0:
            until = time.strftime("%H:%M:%S UTC", time.gmtime(time.time() + self.left))
            return f"{self.problem}; the old token serves until {until} ({self.left:.0f} s more)"
        return f"{self.problem}; the old token has expired"


def due(token: Token) -> float:
    """Return when a token is to be renewed, in seconds since the epoch.

    That is with 20 minutes or a third of its life left, whichever is more,
    but never in the first half of its life: a token of ten minutes would be
    renewed without end.
    """
    life = token.expires - token.issued
    return token.expires - min(max(MARGIN, life / 3), life / 2)


def require(token: Token, seconds: float, what: str, *, now: float | None = None) -> None:
    """Refuse to start what would outlive its token; TokenError says by how much."""
    left = token.expires - (time.time() if now is None else now)
    if left < seconds:
        raise TokenError(
            f"{what} may take {seconds:.0f} s, and the token lives {max(left, 0):.0f} s more",
            hint="renew it first: itb token --run ID",
        )


class Keeper:
    """Holds the newest token of a run; :attr:`token` may be read from any thread."""

    def __init__(
        self,
        token: Token,
        renew: Callable[[], Token],
        report: Callable[[Renewal], None],
        *,
        again: float = AGAIN,
    ) -> None:
        self.token = token
        self._renew = renew
        self._report = report
        self._again = again
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="token renewal", daemon=True)

    def start(self) -> None:
        """Begin to watch the clock."""
        self._thread.start()

    def stop(self) -> None:
        """End; a renewal that is under way is waited for, so that nothing is left half done."""
        self._ended.set()
        self._thread.join()

    def _keep(self) -> None:
        pause = due(self.token) - time.time()
        while not self._ended.wait(max(0.0, pause)):
            left = self.token.expires - time.time()
            try:
                self.token = self._renew()
            except InterruptedRunError:
                return
            except ItbError as error:
                self._report(Renewal(problem=error.message, left=left))
                # More often as the end comes near, so that a short life gets its tries as well.
                pause = min(self._again, max(1.0, left / 5)) if left > 0 else self._again
            else:
                self._report(Renewal(token=self.token, left=left))
                pause = max(1.0, due(self.token) - time.time())


@contextmanager
def kept_fresh(
    token: Token, renew: Callable[[], Token], report: Callable[[Renewal], None]
) -> Iterator[Keeper]:
    """Renew a token in the background while the block runs.

    ``renew`` acquires and delivers a new one and returns its record; its
    errors go to ``report`` at once, and the old token serves while it lives.
    """
    keeper = Keeper(token, renew, report)
    keeper.start()
    try:
        yield keeper
    finally:
        keeper.stop()
