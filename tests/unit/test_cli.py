"""Words of the command line, as Invoke wants them."""

from __future__ import annotations

import pytest

from itb import __main__ as program
from itb import errors, tasks


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (["run"], ["run"]),
        (["platform", "build", "deb13"], ["platform.build", "deb13"]),
        (["show", "config"], ["show.config"]),
        (["token"], ["token"]),
        (["token", "--run", "x"], ["token", "--run", "x"]),
        (["run", "--help"], ["--help", "run"]),
        (["platform", "show", "--help"], ["--help", "platform.show"]),
        (["shell", "-h"], ["--help", "shell"]),
        (["--help"], ["--help"]),
        (["--version"], ["--version"]),
        ([], []),
        (["report", "RUN"], ["report", "--run", "RUN"]),
        (["show", "RUN"], ["show.run", "--run", "RUN"]),
        (["show", "product", "pocketwms"], ["show.product", "pocketwms"]),
        (["publish", "RUN", "--koji"], ["publish", "--run", "RUN", "--koji"]),
        (["report", "RUN", "--json"], ["report", "--run", "RUN", "--json"]),
        (["report", "--json"], ["report", "--json"]),
    ],
)
def test_groups(given: list[str], taken: list[str]) -> None:
    assert program.join_groups(given) == taken


def test_every_task_of_the_contract_is_there_and_says_what_it_does() -> None:
    top = tasks.namespace()
    names = set(top.task_names)
    wanted = {"run", "build", "serve", "up", "down", "install", "test", "report", "refs", "shell", "logs", "list"}
    assert wanted | {"status", "doctor", "clean"} <= names
    for name in names:
        assert (top[name].__doc__ or "").strip(), f"{name} has no description"
    for group in ("token", "platform", "show"):
        assert group in top.collections


def test_an_error_is_its_message_its_hint_and_its_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise errors.InstallError("no luck, Authorization: Bearer abc", hint="try again")

    monkeypatch.setattr("invoke.Program.run", fail)
    with pytest.raises(SystemExit) as ended:
        program.main()
    assert ended.value.code == 7
    assert capsys.readouterr().err == "itb: no luck, Authorization: [redacted]\n     try again\n"


def test_a_full_disk_is_the_machines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device", "/runs/x")

    monkeypatch.setattr("invoke.Program.run", fail)
    with pytest.raises(SystemExit) as ended:
        program.main()
    assert ended.value.code == 5
    assert "No space left" in capsys.readouterr().err
