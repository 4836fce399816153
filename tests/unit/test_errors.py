"""The exit codes: a class for each but 0 and 3, the worst of several stands for all."""

from __future__ import annotations

from pathlib import Path

import pytest

from itb import errors
from itb.data import shipped


@pytest.mark.parametrize(
    ("codes", "worst"),
    [
        ([], 0),
        ([0, 0], 0),
        ([2, 0, 3], 2),
        ([3, 1], 3),
        ([2, 6], 6),
        ([6, 7], 7),
        ([7, 4], 4),
        ([4, 5], 5),
        ([5, 130, 4, 7, 6, 2, 3, 1], 130),
        ([2, 99], 99),  # what nobody knows is worse than anything
    ],
)
def test_worst(codes: list[int], worst: int) -> None:
    assert errors.worst(codes) == worst


def test_one_class_per_exit_code() -> None:
    classes = [
        item for item in vars(errors).values() if isinstance(item, type) and item is not errors.ItbError
    ]
    codes = [item.exit_code for item in classes if issubclass(item, errors.ItbError)]
    # That nothing was tried is found out as a run ends: no exception says so.
    assert sorted(codes) == sorted(set(errors.SEVERITY) - {errors.ExitCode.NOTHING_RAN})


def test_every_exit_code_says_what_it_means() -> None:
    assert set(errors.SEVERITY) == set(errors.ExitCode) - {errors.ExitCode.PASSED}
    for code in errors.ExitCode:
        assert code.meaning
        assert errors.ExitCode.find(int(code)) is code
        assert f"{code}" == str(int(code)), "reports and messages print the number"
    assert [code.label for code in errors.ExitCode] == [
        "passed", "usage", "scenario", "nothing-ran", "build", "testbed", "token", "install", "interrupted",
    ]  # fmt: skip
    assert errors.ExitCode.find(99) is None
    assert set(errors.PRODUCT_CODES) == {kind.exit_code for kind in errors.PRODUCT_ERRORS}


def test_blame() -> None:
    assert errors.InstallError in errors.PRODUCT_ERRORS
    assert errors.TestbedError not in errors.PRODUCT_ERRORS
    assert errors.InterruptedRunError not in errors.PRODUCT_ERRORS


def test_what_an_error_carries() -> None:
    error = errors.BuildError("no RPMs", hint="look", evidence="text")
    assert (str(error), error.message, error.hint, error.evidence, error.log) == (
        "no RPMs",
        "no RPMs",
        "look",
        "text",
        None,
    )


def test_documentation_has_every_exit_code() -> None:
    """The table is made from the enum: paste what errors.exit_code_table() returns."""
    text = Path(shipped.folder("reports") / "README.md").read_text()
    assert text.split("<!-- exit codes -->\n")[1] == f"{errors.exit_code_table()}\n"
    order = ", ".join(f"{code:d}" for code in errors.SEVERITY if code != errors.ExitCode.USAGE)
    assert f"the worst counts, in the order {order}." in text
