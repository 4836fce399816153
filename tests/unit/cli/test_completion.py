"""What shells are offered while a command line is typed."""

from __future__ import annotations

from pathlib import Path

import pytest

from itb.cli import completion, documents, program
from itb.cli.tasks import collection
from itb.rundir.directory import RunDir, RunState

COMMANDS = collection.namespace()


def make_run(folder: Path, name: str) -> RunDir:
    rundir = RunDir(folder / name)
    rundir.path.mkdir(parents=True)
    rundir.write_state(RunState(id=name, short_id="x", product="p", platform="deb13", ref="main", started=1))
    return rundir


@pytest.fixture(autouse=True)
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Runs in the current directory, the first of which has a log."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "no-config"))
    for name in ("2026-p-1-deb13", "2026-p-2-deb13"):
        rundir = make_run(tmp_path / "runs", name)
    journal = RunDir(tmp_path / "runs" / "2026-p-1-deb13").host("factory") / "journal.txt"
    journal.parent.mkdir(parents=True)
    journal.write_text("line\n")
    return rundir.path.parent


def offered(line: str) -> list[str]:
    """What a line is completed with; a blank at its end begins another argument."""
    return completion.complete(line.split(" "), COMMANDS)


def test_commands_as_people_write_them() -> None:
    assert {"run", "platform", "help"} <= set(offered(""))
    assert not [name for name in offered("") if "." in name]
    assert completion.complete([], COMMANDS) == offered("")


@pytest.mark.parametrize(
    ("line", "candidates"),
    [
        ("platform ", ["build", "list", "remove", "show"]),
        ("platform b", ["build"]),
        ("help platform ", ["build", "list", "remove", "show"]),
        ("platform build --", ["--cache", "--engine", "--help", "--progress"]),
        ("show config --", ["--help", "--json"]),
        ("platform --", []),
        ("show --", ["--failed", "--help", "--json", "--run", "--runs"]),
        ("version --", ["--help", "--json"]),
        ("run --ref ", []),
        ("run --keep ", ["never", "failed", "always"]),
        ("run --keep f", ["failed"]),
        ("run --keep=a", ["--keep=always"]),
        ("run --keep =", ["never", "failed", "always"]),
        ("run --keep = f", ["failed"]),
        ("run --engine do", ["docker"]),
        ("run --jobs ", []),
        ("run --platform deb13,el1", ["deb13,el10"]),
        ("run --platform=d", ["--platform=deb13"]),
        ("run --product po", ["pocketwms"]),
        ("run --product glideinwms --variant de", ["decisionengine"]),
        ("run --product=glideinwms --variant logserver,de", ["logserver,decisionengine"]),
        ("run --product nosuch --variant ", []),
        ("run --token-hook ht", ["htgettoken"]),
        ("run --resume 2026", ["2026-p-2-deb13", "2026-p-1-deb13"]),
        ("run --runs nosuch --resume 2026", []),
        ("down --run 2026-p-1", ["2026-p-1-deb13"]),
        ("down 2026-p-1", ["2026-p-1-deb13"]),
        ("show product po", ["pocketwms"]),
        ("show run 2026-p-1", ["2026-p-1-deb13"]),
        ("show 2026-p-1", ["2026-p-1-deb13"]),
        ("platform build d", ["deb13"]),
        ("list pl", ["platforms"]),
        ("list --outcome passed,fa", ["passed,failed"]),
        ("list --json pl", ["platforms"]),
        ("logs 2026-p-1-deb13 fac", ["factory"]),
        ("logs 2026-p-1-deb13 --tail 3 factory ", ["journal.txt"]),
        ("logs --run 2026-p-1-deb13 fac", ["factory"]),
        ("shell 2026-p-1-deb13 ", ["factory"]),
        ("shell 2026-p-1-deb13 factory ", []),
        ("clean --runs --ke", ["--keep", "--kept"]),
        ("clean --keep ", []),
        ("nosuch --", []),
        ("help run --", []),
        ("help --", []),
        ("--", list(completion.STANDALONE_OPTIONS)),
        ('run "', []),
    ],
)
def test_what_may_follow(line: str, candidates: list[str]) -> None:
    assert offered(line) == candidates


def test_switches_as_help_shows_them() -> None:
    assert "--no-scratch" in offered("publish --")
    assert "--scratch" not in offered("publish --")


def test_topics_follow_help() -> None:
    assert {*documents.TOPICS, "topics", "run"} <= set(offered("help "))


def test_names_that_are_more_than_a_word_are_not_offered(runs: Path) -> None:
    """A shell may expand what it is offered, and anybody can name a folder."""
    for name in ("$(touch evil)", "a b", "x;y", "`id`", "2026*"):
        make_run(runs, name)
    assert offered("down ") == ["2026-p-2-deb13", "2026-p-1-deb13"]


@pytest.mark.parametrize("words", [["--complete"], ["--complete", "--", "itb"]])
def test_the_program_offers(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    itb_program = program.ItbProgram(name="itb", binary="itb", version="1", namespace=COMMANDS)
    with pytest.raises(SystemExit) as ended:
        itb_program.run(["itb", *words])
    assert ended.value.code == 0
    assert "\nplatform\n" in capsys.readouterr().out
