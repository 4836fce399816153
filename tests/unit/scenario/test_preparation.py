"""Steps that only prepare what is tried: what they cannot do is nobody's failure."""

from __future__ import annotations

from pathlib import Path

import pytest

from itb.errors import UsageError
from tests.unit.scenario.test_execution import ScenarioBench, brief, steps

PREPARED = steps(
    "name: a, role: ce, run: x, preparation: true", "name: b, role: ce, run: y",
    more="independent: true\nalways: [{name: c, role: ce, run: z}]\n",
)  # fmt: skip


@pytest.mark.parametrize(
    ("code", "why"), [(1, "cannot be prepared: no"), (99, "cannot be prepared: no"), (77, "no")]
)
def test_what_cannot_be_prepared_is_not_held_against_the_candidate(
    code: int, why: str, tmp_path: Path
) -> None:
    cases = ScenarioBench(tmp_path).perform(PREPARED, {"x": (code, "", "no")})
    assert brief(cases) == [("a", "skipped"), ("b", "skipped"), ("c", "passed")]
    assert [case.message for case in cases[:2]] == [why, f"a: {why}"]


def test_a_preparation_that_succeeds_lets_the_rest_be_tried(tmp_path: Path) -> None:
    cases = ScenarioBench(tmp_path).perform(PREPARED, {"y": (1, "", "no")})
    assert brief(cases) == [("a", "passed"), ("b", "failed"), ("c", "passed")]


def test_a_preparation_declares_no_results(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a preparation has no results"):
        ScenarioBench(tmp_path).load(steps("name: a, role: ce, run: x, preparation: true, results: [b]"))
