"""How runs are told to end: each cell by itself, and never what removes it."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from itb.process.stop import Ending


def test_every_stop_hears_a_signal_but_those_that_remove() -> None:
    ending = Ending()
    running, removing = ending.stop(), ending.stop()
    ending.on_signal(signal.SIGINT, None)
    assert running.event.is_set()
    assert ending.reason == "interrupted by SIGINT"
    ending.shield(removing)
    ending.on_signal(signal.SIGTERM, None)
    assert not removing.event.is_set()
    assert (ending.signals, ending.reason) == (2, "interrupted by SIGINT")


def test_what_comes_after_the_signal_stops_too() -> None:
    ending = Ending()
    ending.on_timeout(3)
    assert ending.stop().event.is_set()
    assert "within 3 s" in ending.reason
    assert ending.signals == 0


def test_handlers_are_there_while_it_listens_only() -> None:
    before = signal.getsignal(signal.SIGTERM)
    ending = Ending()
    with ending.listening(600):
        stop = ending.stop()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.event.wait(60)
        assert "SIGTERM" in ending.reason
    assert signal.getsignal(signal.SIGTERM) is before


def test_limit() -> None:
    ending = Ending()
    with ending.listening(0.05):
        assert ending.stop().event.wait(60)


def test_limit_of_what_ended_before() -> None:
    others, ending = set(threading.enumerate()), Ending()
    with ending.listening(600):
        (timer,) = set(threading.enumerate()) - others
    timer.join(60)
    assert not timer.is_alive()
    assert ending.reason == ""


@pytest.mark.parametrize("limit", [float("inf"), 1e12])
def test_limit_beyond_all_clocks(limit: float) -> None:
    with Ending().listening(limit):
        pass
