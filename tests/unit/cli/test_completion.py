"""What shells are offered while a command line is typed."""

from __future__ import annotations

import pytest

from itb.cli import completion, documents, program
from itb.cli.tasks import collection

COMMANDS = collection.namespace()


def offered(line: str) -> list[str]:
    """What a line is completed with; a blank at its end begins another word."""
    return completion.candidates(line.split(" "), COMMANDS)


def test_commands_as_people_write_them() -> None:
    assert {"run", "platform", "help"} <= set(offered(""))
    assert not [word for word in offered("") if "." in word]
    assert completion.candidates([], COMMANDS) == offered("")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("platform ", ["build", "list", "remove", "show"]),
        ("platform b", ["build", "list", "remove", "show"]),
        ("help platform ", ["build", "list", "remove", "show"]),
        ("platform build --", ["--cache", "--engine", "--help", "--progress"]),
        ("show config --", ["--help", "--json"]),
        ("platform --", []),
        ("show --", ["--failed", "--help", "--json", "--run", "--runs"]),
        ("version --", ["--help", "--json"]),
        ("run --platform ", []),
        ("nosuch --", []),
        ("help run --", []),
        ("help --", []),
        ("--", list(completion.ALONE)),
        ('run "', []),
    ],
)
def test_what_may_follow(line: str, words: list[str]) -> None:
    assert offered(line) == words


def test_switches_as_help_shows_them() -> None:
    assert "--no-scratch" in offered("publish --")
    assert "--scratch" not in offered("publish --")


def test_topics_follow_help() -> None:
    assert {*documents.TOPICS, "topics", "run"} <= set(offered("help "))


def test_scripts_that_lose_the_blank_behind_a_group() -> None:
    assert {"platform", "build", "remove"} <= set(offered("platform"))


@pytest.mark.parametrize("words", [["--complete"], ["--complete", "--", "itb"]])
def test_the_program_offers(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    itb_program = program.ItbProgram(name="itb", binary="itb", version="1", namespace=COMMANDS)
    with pytest.raises(SystemExit) as ended:
        itb_program.run(["itb", *words])
    assert ended.value.code == 0
    assert "\nplatform\n" in capsys.readouterr().out
