"""The run directory: whole at any moment, and one process's at a time."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from itb.errors import UsageError
from itb.model import Case, Outcome, Token
from itb.process.result import CommandRecord
from itb.rundir import values
from itb.rundir.directory import RunDir, RunState
from itb.rundir.values import ValueKey
from itb.util import known_secrets
from itb.util.files import write_atomically
from itb.util.redact import MARK

CASE = Case(phase="p", role="r", name="n", outcome=Outcome.PASSED, started=1, seconds=2)


def state(rundir: RunDir) -> RunState:
    return RunState(id=rundir.id, short_id="ab", product="p", platform="deb13", ref="main", started=1)


@pytest.fixture
def rundir(tmp_path: Path) -> RunDir:
    new_rundir = RunDir.create(tmp_path / "runs", "p-1234-deb13")
    new_rundir.write_state(state(new_rundir))
    return new_rundir


def test_names_are_unique_and_private(tmp_path: Path) -> None:
    names = {RunDir.create(tmp_path, "x").id for _ in range(5)}
    assert len(names) == 5
    assert all((tmp_path / name).stat().st_mode & 0o777 == 0o700 for name in names)


def test_a_run_is_the_newest_after_the_clock_went_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine whose clock was set right; other names, and times of no clock, count for nothing."""
    for name in ("0-x", "20261399T000000Z-x", "99991231T235959Z-x", "a folder"):
        (tmp_path / name).mkdir()
    made = []
    for moment in (2e9, 1.9e9, 1.9e9 + 1, 2e9, 2e9 + 60):
        monkeypatch.setattr("itb.rundir.directory.time.time", lambda moment=moment: moment)
        made.append(RunDir.create(tmp_path, "x"))
        made[-1].write_state(state(made[-1]))
        assert RunDir.find(tmp_path).id == made[-1].id
    assert [run.id for run in made] == sorted(run.id for run in made)
    assert made[-1].id == "20330518T033420Z-x", "the clock has caught up"


def test_write_is_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "deep" / "f"
    write_atomically(path, "old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert [item.name for item in path.parent.iterdir()] == ["f"], "no temporary file stays"


def test_writers_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "f"
    texts = [letter * 200_000 for letter in "abcd"]
    threads = [threading.Thread(target=write_atomically, args=(path, text)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text() in texts


def test_mode_from_the_start(tmp_path: Path) -> None:
    write_atomically(tmp_path / "key", b"x", mode=0o600)
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


def test_state_changes_whole(rundir: RunDir) -> None:
    assert rundir.update(exit_code=0, finished=2.5).exit_code == 0
    assert rundir.state.finished == 2.5
    for text in ('{"id": "cut', "[" * 100_000):  # Python's own parser of JSON cannot recurse so deep
        (rundir.path / "run.json").write_text(text)
        with pytest.raises(UsageError, match=r"run\.json: not written by this version"):
            _ = rundir.state
    with pytest.raises(UsageError, match=r"not a run directory \(no run\.json\)"):
        _ = RunDir(rundir.path.parent).state


def test_values_come_back(rundir: RunDir) -> None:
    token = Token(
        provider="local", issuer="i", subject="s", audience=("a",), scopes=("b",),
        issued=1, expires=2, jti="j", verified=True,
    )  # fmt: skip
    assert rundir.load(values.TOKEN) is None
    rundir.save(values.TOKEN, token)
    assert rundir.load(values.TOKEN) == token
    other = ValueKey(values.TOKEN.name, Case)
    with pytest.raises(UsageError, match="not written by this version"):
        rundir.load(other)
    assert rundir.load_if_readable(other) is None


def test_cases_survive_a_crash_in_the_middle_of_a_line(rundir: RunDir) -> None:
    assert rundir.cases() == []
    odd = CASE.model_copy(update={"message": "\u2028 \x85 \x00 \n ü"})
    rundir.append_case(CASE)
    rundir.append_case(odd)
    with (rundir.path / "cases.jsonl").open("a") as file:
        file.write('{"phase": "p", "ro')
    assert rundir.cases() == [CASE, odd]


def test_commands_log_is_one_redacted_line_each(rundir: RunDir) -> None:
    jwt = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJpdGIifQ.MEUCIQDxabcdefgh"
    rundir.record_command(CommandRecord(0, "ce", ("bash", "-c", f"echo {jwt}\nid", "x" * 9000), 3, 1.234))
    text = (rundir.path / "commands.log").read_text()
    assert text.startswith(f"1970-01-01T00:00:00Z ce exit=3 1.23s bash -c 'echo {MARK}\\nid'")
    assert text.count("\n") == 1
    assert len(text) < 2200
    known_secrets.remember("it's-4711-secret")
    rundir.record_command(CommandRecord(0, "ce", ("hook", "it's-4711-secret", "--password=xyz47"), 0, 1))
    assert (rundir.path / "commands.log").read_text().endswith(f"hook '{MARK}' '--password={MARK}'\n")


def test_find(rundir: RunDir, tmp_path: Path) -> None:
    runs = rundir.path.parent
    other = runs / "29990101T000000Z-q-1234-deb13"
    other.mkdir()
    RunDir(other).write_state(state(RunDir(other)))
    assert RunDir.find(runs).id == other.name, "the newest"
    assert RunDir.find(runs, "p-1234").id == rundir.id
    assert RunDir.find(runs, str(rundir.path)).id == rundir.id
    with pytest.raises(UsageError, match=r"'1234' must name one run; it names .*, .*"):
        RunDir.find(runs, "1234")
    with pytest.raises(UsageError, match="it names none"):
        RunDir.find(runs, "nothing")
    with pytest.raises(UsageError, match="no run in"):
        RunDir.find(tmp_path / "elsewhere")


def test_only_a_run_is_found_by_its_path(rundir: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs, folder = rundir.path.parent, tmp_path / "mine"
    for place in (folder, runs / "stray"):
        place.mkdir()
    monkeypatch.chdir(folder)
    for wanted in (".", "..", "../mine", str(folder), str(runs / "stray"), "stray", str(runs)):
        with pytest.raises(UsageError, match="must name one run"):
            RunDir.find(runs, wanted)
    (rundir.path / "hosts").mkdir()
    monkeypatch.chdir(rundir.path / "hosts")
    assert RunDir.find(runs, "..").id == rundir.id, "its name, not the word"
    (rundir.path / "cases.jsonl").touch()
    (rundir.path / "run.json").unlink()
    assert RunDir.find(runs, rundir.id).path == rundir.path, "one that has lost its run.json"
    assert RunDir.find(tmp_path, str(rundir.path)).path == rundir.path


def test_lock_is_one_process_at_a_time(rundir: RunDir) -> None:
    with rundir.lock():
        owner = json.loads((rundir.path / ".lock").read_text())
        with pytest.raises(UsageError, match=f"is being worked on by process {owner['pid']} on"), rundir.lock():
            pass
    with rundir.lock():
        pass


def test_secrets_are_forgotten_whatever_they_are(rundir: RunDir, tmp_path: Path) -> None:
    deep = rundir.tokens / "a" / "b"
    deep.mkdir(parents=True)
    (deep / "key").write_text("x")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "f").touch()
    (rundir.tokens / "link").symlink_to(tmp_path / "mine")
    rundir.forget_secrets()
    assert list(rundir.tokens.iterdir()) == []
    assert (tmp_path / "mine" / "f").exists(), "a link is not followed"
    rundir.tokens.rmdir()
    rundir.forget_secrets()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
def test_secrets_in_a_folder_that_somebody_else_may_replace(rundir: RunDir, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "f").touch()
    rundir.tokens.symlink_to(tmp_path / "mine")
    rundir.forget_secrets()
    assert (tmp_path / "mine" / "f").exists(), "not even one's own link is followed"
    rundir.tokens.unlink()
    rundir.tokens.mkdir()
    os.chown(rundir.path, 54321, 54321)
    for look in (rundir.forget_secrets, lambda: rundir.state):
        with pytest.raises(UsageError, match="belongs to user 54321"):
            look()


def test_paths_as_reports_show_them(rundir: RunDir) -> None:
    assert rundir.relative(rundir.results / "x") == "results/x"
    assert rundir.relative(Path("/etc/x")) == "/etc/x"
    assert rundir.relative(None) == ""


def test_what_is_written_is_redacted(rundir: RunDir) -> None:
    rundir.update(settings={"source": "https://me:hunter2hunter2@host/x.git"})
    case = CASE.model_copy(update={"message": "hvs.CAESIJ2b7c0d9e8f7a6b5c4d3e2f1a0b"})
    rundir.save(ValueKey("case", Case), case)
    written = "".join(path.read_text() for path in rundir.path.rglob("*.json"))
    assert "hunter2" not in written
    assert "hvs." not in written
    assert rundir.state.settings == {"source": f"https://me:{MARK}@host/x.git"}
    kept = rundir.load(ValueKey("case", Case))
    assert kept is not None
    assert kept.message == MARK
