"""Run directories somebody or something has damaged: told, never waited for, never a traceback."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from itb.cli.commands import runs
from itb.errors import TestbedError, UsageError
from itb.model import Case, Outcome
from itb.report import run_report
from itb.rundir import checkpoints
from itb.rundir.checkpoints import Checkpoints
from itb.rundir.directory import RunDir, RunState
from itb.util import files

CASE = Case(phase="p", role="r", name="n", outcome=Outcome.PASSED, started=1, seconds=2)


@pytest.fixture
def rundir(tmp_path: Path) -> RunDir:
    new_rundir = RunDir(tmp_path / "runs" / "r")
    new_rundir.path.mkdir(parents=True)
    new_rundir.write_state(
        RunState(id="r", short_id="x", product="p", platform="d", ref="r", started=1, exit_code=0)
    )
    new_rundir.append_case(CASE)
    return new_rundir


def fifo(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def in_time(work: Callable[[], object]) -> None:
    """Do something that must not wait for anybody, nor raise."""
    done = threading.Event()
    thread = threading.Thread(target=lambda: (work(), done.set()), daemon=True)
    thread.start()
    thread.join(60)
    assert done.is_set(), "it waits, or raised"


def look(rundir: RunDir) -> None:
    """What list, show and report do."""
    console = Console(file=io.StringIO(), width=200)
    runs.table(list(runs.matching_runs(rundir.path.parent, runs.RunFilter()))).lines()
    run_report.write(rundir)
    run_report.show(rundir, console)


@pytest.mark.parametrize("put", [fifo, device])
@pytest.mark.parametrize("name", ["cases.jsonl", ".lock", "run.json", "state/commit.json", "state/work.jsonl"])
def test_what_is_no_file_is_not_read(name: str, put: Callable[[Path], None], rundir: RunDir) -> None:
    path = rundir.path / name
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    put(path)
    in_time(lambda: look(rundir))
    if name in ("run.json", "state/commit.json"):
        assert f"{path.name.removesuffix('.json')}" in rundir.html.read_text()


@pytest.mark.parametrize("put", [fifo, device])
def test_what_is_no_file_is_not_written(put: Callable[[Path], None], rundir: RunDir) -> None:
    (rundir.path / "cases.jsonl").unlink()
    for name in ("cases.jsonl", ".lock"):
        put(rundir.path / name)
    (rundir.path / "state").mkdir()
    put(rundir.path / "state" / "work.jsonl")

    def hold() -> None:
        with rundir.lock():
            pass

    with pytest.raises(TestbedError, match=r"\.lock: not a regular file"):
        hold()
    key = checkpoints.SIGNING_KEY_CREATED
    for work in (lambda: rundir.append_case(CASE), lambda: Checkpoints(rundir).begin(key, {})):
        with pytest.raises(OSError, match=r"not a regular file|No such device"):
            work()


def test_files_are_read_through_links(tmp_path: Path) -> None:
    files.append(tmp_path / "f", "a\udcff")
    files.append(tmp_path / "f", "b")
    (tmp_path / "link").symlink_to("f")
    assert files.read(tmp_path / "link") == b"a?b"
    with pytest.raises(OSError, match="is a directory"):
        files.read(tmp_path)


@pytest.mark.parametrize("time", ["1e300", "-1e300", "1e12", "1e11", "-1"])
@pytest.mark.parametrize("field", ['"started":1.0', '"seconds":2.0'])
def test_times_no_clock_has_said(time: str, field: str, rundir: RunDir) -> None:
    for name in ("cases.jsonl", "run.json"):
        text = (rundir.path / name).read_text().replace('"started": 1.0', '"started":1.0')
        (rundir.path / name).write_text(text.replace(field, f"{field.partition(':')[0]}:{time}"))
    begun = '{"begun":{"phase":"p","role":"r","name":"b","started":0}}\n'
    taken = '{"process":{"pid":1,"at":%s,"resumed":true}}\n' % time  # noqa: UP031 - of braces there are enough
    with (rundir.path / "cases.jsonl").open("a") as file:
        file.write(begun + taken)
    (rundir.path / ".lock").write_text('{"pid": 1, "host": "h", "since": %s}' % time)  # noqa: UP031
    look(rundir)


def test_a_time_of_run_json_is_named(rundir: RunDir) -> None:
    path = rundir.path / "run.json"
    path.write_text(path.read_text().replace('"started": 1.0', '"started": 1e300'))
    with pytest.raises(UsageError, match=r"run\.json: .*: started: .*less than or equal to"):
        _ = rundir.state
