"""Each file of this folder is a defect as people report them, or a harmless change: a run tells them apart.

Defects of which none hides another share a run, which has to find all of them, each where it is.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from itb.errors import ExitCode
from itb.source.embedded import ExpectedFailure
from tests.defects import catalogue
from tests.defects.conftest import SCORE

ENTRIES = catalogue.load()
MARKS = [pytest.mark.long, pytest.mark.defects]


GLIDEINWMS = catalogue.load(catalogue.FOLDER / "glideinwms")


@pytest.mark.skipif("ITB_GLIDEINWMS" not in os.environ, reason="ITB_GLIDEINWMS=/path/to/clone is not set")
@pytest.mark.parametrize("scenario", [pytest.param(name, marks=MARKS) for name in ("packages", "upgrade")])
def test_entries_of_glideinwms(
    scenario: str, itb_run: Callable[..., Any], tmp_path: Path, record_property: Callable[[str, str], None]
) -> None:
    """What is wrong with v3_10_17 itself is found beside them, and is none of theirs."""
    entries = {name: entry for name, entry in GLIDEINWMS.items() if entry.scenario == scenario}
    clone = catalogue.make_clone_of(os.environ["ITB_GLIDEINWMS"], "v3_10_17", entries, tmp_path)
    upgrades = ("--upgrade-from", "v3_10_16") if scenario != "packages" else ()
    run = itb_run(
        *("--source", str(clone), "--ref", "defect", *upgrades, "--scenario", scenario),
        product="glideinwms", timeout=3000,
    )  # fmt: skip
    found = {name: finds(run, entry) for name, entry in entries.items()}
    named = {f"glideinwms: {name}": entry for name, entry in entries.items()}
    record(run, named, {f"glideinwms: {name}": value for name, value in found.items()}, record_property)
    assert not run.of_kind("error"), run.story
    assert set(found.values()) == {"true"}, f"{found}\n{run.story}"


@pytest.mark.parametrize(
    "names", [pytest.param(names, id="+".join(names), marks=MARKS) for names in catalogue.groups()]
)
def test_entry(
    names: tuple[str, ...],
    itb_run: Callable[..., Any],
    tmp_path: Path,
    record_property: Callable[[str, str], None],
) -> None:
    entries = {name: ENTRIES[name] for name in names}
    clone, before = catalogue.make_clone(names, tmp_path)
    scenarios = dict.fromkeys(part for entry in entries.values() for part in entry.scenario.split(","))
    upgrades = ("--upgrade-from", before) if {"upgrade", "used", "skew"} & set(scenarios) else ()
    run = itb_run(
        *("--source", str(clone), "--ref", "defect", *upgrades),
        *("--scenario", ",".join(scenarios)), timeout=1800,
    )  # fmt: skip
    found = {name: finds(run, entry) for name, entry in entries.items()}
    record(run, entries, found, record_property)
    assert not run.of_kind("error"), run.story
    if any(entry.harmless for entry in entries.values()):
        assert run.code == ExitCode.PASSED, run.story
        return
    assert set(found.values()) == {"true"}, f"{found}\n{run.story}"
    wanted = [expect for entry in entries.values() for expect in entry.expected]
    assert run.code in {expect.exit_code for expect in wanted}, run.story
    expected = [case for case in run.of_kind("failure") if any(matches(case, expect) for expect in wanted)]
    assert run.of_kind("failure") == expected, run.story


def record(
    run: Any,
    entries: Mapping[str, catalogue.Entry],
    found: Mapping[str, str],
    record_property: Callable[..., None],
) -> None:
    """Hand what a run found of entries to the table of the session."""
    for name, entry in entries.items():
        caught = run.code != ExitCode.PASSED if entry.harmless else found[name] != "no"
        line = {"name": name, "harmless": entry.harmless, "caught": caught, "true": found[name] == "true"}
        record_property(SCORE, json.dumps({**line, "seconds": run.seconds / len(entries)}))


def finds(run: Any, entry: catalogue.Entry) -> str:
    """Return "true" if the run names the true cause where the defect is, "where" if it is red there, else "no"."""
    if entry.expect is None:
        return "true"
    failures = run.of_kind("failure")
    named = [case for case in failures if matches(case, entry.expect)]
    if any("\n" not in case.message and len(case.message) < 600 for case in named):
        return "true"
    return "where" if any(re.search(entry.expect.case, case.name) for case in failures) else "no"


def matches(case: Any, expect: ExpectedFailure) -> bool:
    """Return whether a case is the one that has to fail, or one with the same cause."""
    return (
        case.phase == expect.phase
        and case.role == (expect.role or case.role)
        and re.search(expect.case, case.name) is not None
        and re.search(expect.message, case.message) is not None
    )
