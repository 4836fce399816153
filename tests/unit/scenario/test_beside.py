"""Steps that are tried at the same time as the step before them, on another host."""

from __future__ import annotations

import threading

import pytest

from itb.errors import UsageError
from itb.model import Outcome
from tests.unit.scenario.test_execution import FINE, Answer, ScenarioBench, bench, brief, steps

__all__ = ["bench"]

BOTH = (
    "name: one, role: ce, run: one",
    "name: other, role: factory, run: other, beside: true",
    "name: next, role: ce, run: next",
)


def test_both_are_tried_at_once_and_the_next_one_after_both(bench: ScenarioBench) -> None:
    together, ended = threading.Barrier(2, timeout=20), set[str]()

    def answer(line: str) -> Answer:
        if line == "next":
            assert ended == {"one", "other"}
        else:
            together.wait()  # breaks where the other is not tried meanwhile
            ended.add(line)
        return FINE

    cases = bench.perform(steps(*BOTH), answer)
    assert brief(sorted(cases, key=lambda case: case.name)) == [
        ("next", "passed"), ("one", "passed"), ("other", "passed"),
    ]  # fmt: skip
    assert sorted(str(case.log) for case in cases) == [
        "results/play/01-one.log", "results/play/02-other.log", "results/play/03-next.log",
    ]  # fmt: skip


@pytest.mark.parametrize("bad", ["one", "other"])
def test_where_one_fails_the_other_is_tried_and_the_next_one_is_not(bench: ScenarioBench, bad: str) -> None:
    cases = {case.name: case for case in bench.perform(steps(*BOTH), {bad: (1, "", "broken\n")})}
    failed = {name for name, case in cases.items() if case.outcome is Outcome.FAILED}
    assert failed == {f"play: {bad}"}
    assert sum(case.outcome is Outcome.PASSED for case in cases.values()) == 1
    assert (cases["play: next"].outcome, cases["play: next"].message) == (
        Outcome.SKIPPED, f"step '{bad}' failed before",
    )  # fmt: skip


def test_of_two_that_fail_the_first_is_named(bench: ScenarioBench) -> None:
    cases = {case.name: case for case in bench.perform(steps(*BOTH), lambda _: (1, "", "broken\n"))}
    assert cases["play: next"].message == "step 'one' failed before"


def test_both_are_skipped_where_one_before_them_has_failed(bench: ScenarioBench) -> None:
    cases = bench.perform(steps("name: first, role: ce, run: first", *BOTH[:2]), {"first": (1, "", "broken\n")})
    assert brief(cases) == [("first", "failed"), ("one", "skipped"), ("other", "skipped")]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["name: one, role: ce, run: x, beside: true"], "'one': there is no step before it"),
        ([BOTH[0], "name: other, role: ce, run: x, beside: true"], "'one', 'other' are both on ce"),
        ([*BOTH[:2], "name: more, role: ce, run: x, beside: true"], "'one', 'more' are both on ce"),
        (["name: one, role: ce, action: token", BOTH[1]], "'other': nothing is beside an action token"),
        ([BOTH[0], "name: other, role: factory, action: token, beside: true"], "token is not beside another"),
    ],
)  # fmt: skip
def test_steps_that_cannot_be_beside_others_are_refused(
    bench: ScenarioBench, lines: list[str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        bench.load(steps(*lines))


@pytest.mark.parametrize(
    ("one", "other", "reason"),
    [
        ((0, "", ""), (77, "no such file here\n", ""), ""),
        ((77, "no file\n", ""), (77, "none here\n", ""), "one: no file"),
        ((0, "", ""), (1, "", "broken\n"), "other: cannot be prepared: broken"),
        ((77, "no file\n", ""), (1, "", "broken\n"), "other: cannot be prepared: broken"),
    ],
)
def test_what_two_prepare_is_tried_unless_one_failed_or_both_have_nothing(
    bench: ScenarioBench, one: Answer, other: Answer, reason: str
) -> None:
    prepared = [f"{line}, preparation: true" for line in BOTH[:2]]
    *_, last = bench.perform(steps(*prepared, BOTH[2]), {"one": one, "other": other})
    assert (last.outcome, last.message) == ((Outcome.SKIPPED, reason) if reason else (Outcome.PASSED, ""))
