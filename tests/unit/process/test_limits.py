"""Time limits by name, and the watch over a whole phase."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from itb import errors
from itb.config import settings as config_settings
from itb.errors import InterruptedRunError, TestbedError, UsageError
from itb.process.limits import DEFAULTS, Limits, name_of_limit
from itb.process.output import make_folder
from itb.process.result import CommandError, Completed
from itb.process.retry import retry_while
from itb.process.runner import Runner
from itb.process.stop import Stop
from itb.run import watchdog
from itb.run.watchdog import Watchdog, monitor
from itb.rundir.directory import RunDir
from itb.rundir.journal import Journal
from tests.unit.process.timers import ManualTimer


def test_a_limit_has_a_name_a_default_and_the_common_factor() -> None:
    limits = Limits(2.0, {"boot": 10})
    assert limits("boot") == 20
    assert limits("engine") == 2 * DEFAULTS["engine"]
    assert limits.of(7, "timeout of role ce") == 14
    assert name_of_limit(limits("boot")) == " (limit 'boot')"
    assert name_of_limit(5.0) == ""


def test_every_limit_limits_something() -> None:
    code = "".join(path.read_text() for path in Path(errors.__file__).parent.rglob("*.py"))
    names = [name for name in DEFAULTS if not name.startswith("phase-")]
    assert [name for name in names if not re.search(rf'limits\([^)]*"{name}"', code)] == []


def test_what_is_over_its_limit_is_said_by_its_name_with_what_it_was_doing() -> None:
    ended = Completed(("x",), 137, "last words\n", "", 21.3, True, None, Limits()("boot"), "  17  1 S sleep 99")
    assert ended.reason == "no end within 60 s (limit 'boot')"
    assert ended.output == "last words\n  17  1 S sleep 99"


def test_settings_know_the_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    (tmp_path / "itb.yaml").write_text("timeout_factor: 3\nlimits: {boot: 10}\n")
    settings = config_settings.load(cwd=tmp_path)[0]
    assert settings.time_limits("boot") == 30
    (tmp_path / "itb.yaml").write_text("limits: {bot: 10}\n")
    with pytest.raises(UsageError, match="unknown limit 'bot'; did you mean 'boot'"):
        config_settings.load(cwd=tmp_path)
    (tmp_path / "itb.yaml").write_text("limits: {boot: 0}\n")
    with pytest.raises(UsageError, match="boot: must be greater than 0"):
        config_settings.load(cwd=tmp_path)


def test_a_phase_over_its_limit_stops_the_run_and_is_no_interruption(tmp_path: Path) -> None:
    stop = Stop()
    journal = Journal(RunDir(tmp_path), [Watchdog(Limits(overrides={"phase-install": 0.05}), stop)])
    with pytest.raises(InterruptedRunError), journal.case("install", "ce", "dnf install x"):
        raise stop.error() if stop.event.wait(10) else AssertionError
    case = journal.cases[-1]
    assert (case.outcome, case.exit_code) == ("error", 5)
    assert case.message == "phase install did not end within 0 s (limit 'phase-install')"


def test_a_phase_that_waits_for_another_does_not_use_up_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, timers: list[ManualTimer]
) -> None:
    now = 1000.0
    monkeypatch.setattr(watchdog.time, "monotonic", lambda: now)
    stop = Stop()
    journal = Journal(RunDir(tmp_path), [Watchdog(Limits(overrides={"phase-up": 10}), stop)])
    for _ in range(3):
        with journal.case("up", "ce", "boots"), journal.case("up", "factory", "boots"):
            now += 3
        now += 60  # the phase waits for another one
    with journal.case("up", "ce", "boots slowly"):
        assert [timer.seconds for timer in timers] == [10, 7, 4, 1]
        assert [timer.is_cancelled for timer in timers] == [True, True, True, False]
        timers[-1].run_out()
    assert stop.event.is_set()


def test_what_was_tried_again_is_said_with_its_cause(tmp_path: Path) -> None:
    journal = Journal(RunDir(tmp_path))
    answers = ["Status code: 503", "Status code: 502", ""]
    waited: list[float] = []

    def work() -> str:
        return answers.pop(0)

    with journal.case("install", "ce", "dnf install x") as case:
        assert retry_while(work, lambda said: said, times=2, wait=waited.append) == ""
        case.passed("3 packages")
    assert journal.cases[-1].message == "passed after 2 retries: Status code: 502; 3 packages"
    assert waited == [0.5, 1.0]
    answers[:] = ["first", "second", "third"]
    assert retry_while(work, lambda said: said, times=1, wait=waited.append) == "second"


def test_a_run_whose_directory_is_lost_ends_as_the_machines_fault(tmp_path: Path) -> None:
    place = tmp_path / "run"
    place.mkdir()
    journal = Journal(RunDir(place))
    told: list[str] = []
    journal.on_lost = told.append
    with journal.case("up", "ce", "boots"):
        shutil.rmtree(place)
    with journal.case("up", "factory", "boots"):
        place.mkdir()  # somebody else's
    assert told == [journal.lost] == [f"run directory {place}: it was deleted while the run went on"]
    assert [(case.name, case.exit_code) for case in journal.cases] == [
        ("boots", 0), ("the run goes on to its end", 5), ("boots", 0)
    ]  # fmt: skip
    assert not list(place.iterdir())
    with pytest.raises(FileNotFoundError):
        make_folder(tmp_path / "gone" / "hosts" / "ce")


class _Engine:
    """Stands in for an engine, or whoever asks it for hosts, that answers as it is told."""

    def __init__(self, *answers: str | TestbedError) -> None:
        self.runner = Runner(limits=Limits(overrides={"engine-pulse": 0.01}))
        self.answers = list(answers)

    def lost(self) -> str:
        answer = self.answers.pop(0) if self.answers else ""
        if isinstance(answer, TestbedError):
            raise answer
        return answer


_FAILS = CommandError(Completed(("podman",), 125, "", "cannot connect\n", 0.1), about="podman fails")
_DEAD = "host ce: container itb-1-ce is not running"


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        (("", TestbedError("does not answer")), "does not answer"),
        ((_FAILS, "", _FAILS, _FAILS), "podman fails: cannot connect"),
        ((_DEAD, "", _DEAD, _DEAD), _DEAD),  # the first time it rebooted
    ],
)
def test_a_run_ends_without_an_engine_or_a_host(
    answers: tuple[str | TestbedError, ...], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "_REBOOT", 0.01)
    stop, engine = Stop(), _Engine(*answers)
    with monitor(engine, stop, engine.lost):  # type: ignore[arg-type]
        assert stop.event.wait(10)
    assert not engine.answers
    assert (stop.error().message, stop.error().exit_code) == (why, 5)
