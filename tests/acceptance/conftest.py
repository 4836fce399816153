"""Whole runs as a user starts them, and what a release manager reads of them afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from itb.data import shipped
from itb.model import PlatformImages

RUN = ("run", "--platform", "deb13", "--progress", "plain")


@dataclass(frozen=True)
class JunitCase:
    """A test case as JUnit has it; ``kind`` is passed, failure, error or skipped; ``message`` is its one line."""

    phase: str
    role: str
    name: str
    kind: str
    message: str
    body: str


class Finished:
    """A run that has ended: how its command ended and what is in its directory."""

    def __init__(self, ended: Any, folder: Path) -> None:
        self.code: int = ended.code
        self.out: str = ended.out
        self.err: str = ended.err
        self.seconds: float = ended.seconds
        self.folder = folder
        schema = etree.XMLSchema(etree.parse(shipped.folder("reports") / "junit.xsd"))
        self.junit = etree.parse(folder / "junit.xml").getroot()
        schema.assertValid(self.junit)
        names = {(case.phase, case.role, case.name) for case in self.cases}
        assert self.planned <= names, "a run has all cases that were planned, however it went"

    @property
    def planned(self) -> set[tuple[str, str, str]]:
        """The cases that the run would have if it got to its end."""
        planned = json.loads((self.folder / "state" / "planned_cases.json").read_text())["cases"]
        return {tuple(key) for key in planned}

    @property
    def state(self) -> dict[str, Any]:
        """Content of run.json."""
        return dict(json.loads((self.folder / "run.json").read_text()))

    @property
    def properties(self) -> dict[str, str]:
        """Properties of the suite."""
        return {item.get("name"): item.get("value") for item in self.junit.iter("property")}

    @property
    def cases(self) -> list[JunitCase]:
        """Every test case, in the order of the file."""
        return [_case(item) for item in self.junit.iter("testcase")]

    def of_kind(self, *kinds: str) -> list[JunitCase]:
        """The cases of these kinds."""
        return [case for case in self.cases if case.kind in kinds]

    @property
    def story(self) -> str:
        """What a test that fails shows."""
        bad = "\n".join(f"{case.kind} {case.phase}.{case.role} {case.name}: {case.message}" for case in self.cases
                        if case.kind != "passed")  # fmt: skip
        return f"exit {self.code} after {self.seconds:.0f} s\n{bad}\n{self.out[-3000:]}\n{self.err[-3000:]}"


def _case(item: Any) -> JunitCase:
    parts = item.get("classname").split(".")
    result = next((child for child in item if child.tag in ("failure", "error", "skipped")), None)
    kind = "passed" if result is None else result.tag
    message = item.findtext("system-out") or "" if result is None else result.get("message") or ""
    body = "" if result is None else result.text or ""
    return JunitCase(parts[2], parts[3], item.get("name"), kind, message, body)


@pytest.fixture
def itb_run(itb: Callable[..., Any], images: PlatformImages, tmp_path: Path) -> Callable[..., Finished]:
    """Run ``itb run`` of a product on deb13 with these arguments more; its images are there before."""

    def call(
        *args: str, product: str = "pocketwms", env: Mapping[str, str] | None = None, timeout: float = 600
    ) -> Finished:
        before = runs_in(tmp_path)
        ended = itb(*RUN, "--product", product, *args, env=env, timeout=timeout)
        new_runs = sorted(runs_in(tmp_path) - before)
        assert len(new_runs) == 1, f"one run was to be made, not {new_runs}\n{ended.out}\n{ended.err}"
        return Finished(ended, new_runs[0])

    return call


@pytest.fixture
def read_run() -> Callable[[Any, Path], Finished]:
    """Read a run directory, with how its command ended: anything with code, out, err and seconds."""
    return Finished


@pytest.fixture
def run_dirs() -> Callable[[Path], list[Path]]:
    """List the run directories a test has made below a folder, oldest first."""
    return lambda folder: sorted(runs_in(folder))


def runs_in(folder: Path) -> set[Path]:
    """Run directories below ``folder/runs``."""
    return {path.parent for path in (folder / "runs").glob("*/run.json")}
