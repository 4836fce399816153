"""Whole runs as a user starts them, and what a release manager reads of them afterwards."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from itb.data import shipped
from itb.model import PlatformImages

# A hook that borrows the key of the run's own issuer.
HOOK = """\
#!{python}
import json, pathlib, sys
from itb.tokens.issuer import Issuer
asked = json.load(sys.stdin)
run = pathlib.Path({runs!r}) / asked["run_id"]
{body}
print(json.dumps({{"version": 1, "token": token}}))
"""

RUN = ("run", "--platform", "deb13", "--progress", "plain")


@pytest.fixture
def only_one_cleans(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], AbstractContextManager[None]]:
    """Hold off tests that clean, of this session: ``itb clean`` removes what any run has left."""

    @contextlib.contextmanager
    def hold() -> Iterator[None]:
        with (tmp_path_factory.getbasetemp().parent / "cleaning").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    return hold


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


@pytest.fixture
def write_hook(tmp_path: Path) -> Callable[..., None]:
    """Write a hook, ``(its name, body)``, for runs below ``folder``, to the folder ``hooks`` there."""

    def write(name: str, body: str, folder: Path = tmp_path) -> None:
        (folder / "hooks").mkdir(exist_ok=True)
        text = HOOK.format(python=sys.executable, runs=str(folder / "runs"), body=textwrap.dedent(body).strip())
        (folder / "hooks" / name).write_text(text)
        (folder / "hooks" / name).chmod(0o755)

    return write


@pytest.fixture
def started(tmp_path: Path) -> Callable[..., AbstractContextManager[subprocess.Popen[str]]]:
    """Start ``itb ARGS`` in the background, in a session of its own as a terminal would give it.

    What it says on standard error is in ``err.txt``.
    """

    @contextlib.contextmanager
    def start(*args: str) -> Iterator[subprocess.Popen[str]]:
        env = {key: value for key, value in os.environ.items() if not key.startswith("ITB_")}
        with (tmp_path / "err.txt").open("w") as err:
            process = subprocess.Popen(
                [str(Path(sys.executable).with_name("itb")), *args],
                cwd=tmp_path, env={**env, "XDG_CONFIG_HOME": str(tmp_path / "no-config")},
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=err, text=True, start_new_session=True,
            )  # fmt: skip
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    return start


def runs_in(folder: Path) -> set[Path]:
    """Run directories below ``folder/runs``."""
    return {path.parent for path in (folder / "runs").glob("*/run.json")}
