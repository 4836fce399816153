from __future__ import annotations

import queue
import time

import pytest

from itb.errors import InterruptedRunError, TestbedError, TokenError
from itb.model import Token
from itb.tokens.renewal import Renewal, RenewalThread, keep_renewed, renewal_time, require_lifetime


def token(issued: float, expires: float) -> Token:
    return Token(
        provider="p", issuer="https://i/x", subject="s", audience=("a:1",), scopes=("condor:/READ",),
        issued=int(issued), expires=int(expires), jti="", verified=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("life", "left"),
    [(3600, 1200), (7200, 2400), (86400, 28800), (2400, 1200), (1200, 600), (60, 30)],
)
def test_due_with_twenty_minutes_or_a_third_left(life: int, left: float) -> None:
    assert renewal_time(token(1000, 1000 + life)) == 1000 + life - left


def test_what_would_outlive_the_token_does_not_start() -> None:
    require_lifetime(token(0, 1000), 100, "scenario x", now=900)
    with pytest.raises(TokenError, match="scenario x may take 101 s, and the token lives 100 s more"):
        require_lifetime(token(0, 1000), 101, "scenario x", now=900)


def test_a_token_is_renewed_before_it_is_needed() -> None:
    now = time.time()
    reports: queue.Queue[Renewal] = queue.Queue()
    fresh = token(now, now + 3600)
    with keep_renewed(token(now - 3000, now + 600), lambda: fresh, reports.put) as thread:
        renewal = reports.get(timeout=60)
        assert renewal.token == fresh
        assert "renewed with" in renewal.message
        assert thread.token == fresh
    assert reports.empty()


def test_a_fresh_token_is_left_alone() -> None:
    now = time.time()
    reports: queue.Queue[Renewal] = queue.Queue()
    with keep_renewed(token(now, now + 3600), lambda: pytest.fail("too early"), reports.put):
        pass
    assert reports.empty()


def test_a_failure_is_said_at_once_and_the_old_token_serves() -> None:
    now = time.time()
    reports: queue.Queue[Renewal] = queue.Queue()
    old, fresh = token(now - 3000, now + 600), token(now, now + 3600)
    answers = iter([TokenError("hook x: no"), TestbedError("host ce: gone"), fresh])

    def renew() -> Token:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    thread = RenewalThread(old, renew, reports.put, retry_interval=0.01)
    thread.start()
    try:
        first = reports.get(timeout=60)
        assert first.message.startswith("hook x: no; the old token serves until ")
        assert reports.get(timeout=60).problem == "host ce: gone"
        assert reports.get(timeout=60).token == fresh
    finally:
        thread.stop()


def test_an_expired_token_is_called_so() -> None:
    assert Renewal(problem="no", left=-3).message == "no; the old token has expired"


def test_an_interruption_ends_it_quietly() -> None:
    now = time.time()
    reports: queue.Queue[Renewal] = queue.Queue()

    def renew() -> Token:
        raise InterruptedRunError("interrupted")

    with keep_renewed(token(now - 3000, now + 600), renew, reports.put):
        pass
    assert reports.empty()
