"""Words of the command line, as Invoke wants them."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from itb import __main__, errors
from itb.cli import program
from itb.cli.commands import common, inspect
from itb.cli.tasks import collection
from itb.config.settings import Settings
from itb.rundir.directory import RunDir
from itb.rundir.journal import Journal


@pytest.mark.parametrize(
    ("words", "expected"),
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
        (["report", "A", "B", "--report-dir", "d", "C"], ["report", "--run", "A,B,C", "--report-dir", "d"]),
        (["report", "--runs", "DIR", "RUN"], ["report", "--run", "RUN", "--runs", "DIR"]),
        (["report", "--json", "RUN"], ["report", "--run", "RUN", "--json"]),
        (["report", "--runs=DIR", "RUN"], ["report", "--run", "RUN", "--runs=DIR"]),
        (["report", "--runs", "DIR"], ["report", "--runs", "DIR"]),
        (["show", "--runs", "DIR", "RUN"], ["show.run", "--run", "RUN", "--runs", "DIR"]),
        (["show", "run", "RUN"], ["show.run", "--run", "RUN"]),
        (["report", "--run", "RUN", "x"], ["report", "--run", "RUN", "x"]),
        (["show", "--help"], ["--help", "show"]),
        (["help"], ["--help"]),
        (["help", "run"], ["--help", "run"]),
        (["help", "platform", "build"], ["--help", "platform.build"]),
        (["--help", "platform", "build"], ["--help", "platform.build"]),
        (["-h", "run"], ["--help", "run"]),
    ],
)
def test_groups(words: list[str], expected: list[str]) -> None:
    assert program.join_groups(words, program.without_value(collection.namespace())) == expected


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("rnu", "unknown command 'rnu'; did you mean 'run'?", "itb --help lists the commands"),
        ("platform lst", "unknown command 'platform lst'; did you mean 'platform list'?", "itb platform --help"),
        ("help rnu", "unknown command 'rnu'; did you mean 'run'?", "itb --help lists the commands"),
        ("run --platfrom=x", "run: unknown option '--platfrom'; did you mean '--platform'?", "itb run --help"),
        ("platform show x --engin y", "platform show: unknown option '--engin'; did you mean '--engine'?", ""),
        ("status x", "status: 'x' is not expected here", "itb status --help explains it"),
        ("--runs x list", "option '--runs' stands before the command", "itb list --runs x"),
        ("--json list", "option '--json' stands before the command", "itb list --json"),
        ("--runs", "unknown option '--runs'", "itb --help lists the commands"),
        ("refs --source", "refs: option --source needs a value", "itb refs --help explains it"),
        ("shell x", "shell: not given: ROLE", "itb shell --help explains it"),
        ("token x", "unknown command 'token x'; itb token has: acquire, check, get, hooks, try", "itb token"),
        ("help platform x", "unknown command 'platform x'; itb platform has: build, list, remove, show", ""),
        ("overview", "unknown command 'overview'", "itb help overview shows"),
        ("--list run", "--list: run is no group; itb run --help explains it", ""),
        ("-- run", "'--' is not expected here; what follows it is 'run'", ""),
        ("refs -- x", "'--' is not expected here; what follows it is 'x'", ""),
        ("run --hide x", "run: unknown option '--hide'", "itb run --help"),
        ("run -p", "run: unknown option '-p'", "itb run --help"),
        (
            "--print-completion-script tcsh",
            'Completion for shell "tcsh" not supported (options are: bash, fish, zsh).',
            "",
        ),
    ],
)
def test_words_nobody_knows(line: str, message: str, hint: str) -> None:
    parser = program.ItbProgram(name="itb", binary="itb", version="1", namespace=collection.namespace())
    with pytest.raises(errors.UsageError) as caught:
        parser.run(["itb", *program.join_groups(line.split())])
    assert caught.value.message == message
    assert caught.value.hint.startswith(hint)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["token.check", "", "--audience", "x:1"], "token check: FILE is empty"),
        (["token.check", "f", "--audience", ""], "token check: HOST:PORT is empty"),
        (["token.get", ""], "token get: HOST:PORT is empty"),
        (["shell", "x", ""], "shell: ROLE is empty"),
        (["platform.build", ""], "platform build: NAME is empty"),
        (["show.product", ""], "show product: NAME is empty"),
    ],
)
def test_an_argument_that_is_empty(given: list[str], said: str) -> None:
    """An unset variable in a script, most likely."""
    itb_program = program.ItbProgram(name="itb", binary="itb", version="1", namespace=collection.namespace())
    with pytest.raises(errors.UsageError) as caught:
        itb_program.run(["itb", *given])
    assert caught.value.message == said
    assert "--help explains it" in caught.value.hint


@pytest.mark.parametrize("variable", [{"INVOKE_RUN_ENV": "x"}, {"HOME": "/dev/null"}])
def test_configuration_of_invoke_means_nothing(
    variable: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _invoke_with(variable, monkeypatch)
    assert json.loads(capsys.readouterr().out)["version"]


@pytest.mark.parametrize(("name", "text"), [(".invoke.yaml", "["), (".invoke.py", "import sys\nsys.exit(9)\n")])
def test_a_file_of_invoke_is_not_read(
    name: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_text(text)
    _invoke_with({"HOME": str(tmp_path)}, monkeypatch)
    assert json.loads(capsys.readouterr().out)["version"]


def _invoke_with(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Have itb print its version with these variables; no git is asked for a commit."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(inspect.shutil, "which", lambda _: None)
    itb_program = program.ItbProgram(name="itb", binary="itb", version="1", namespace=collection.namespace())
    itb_program.run(["itb", "version", "--json"])


def test_characters_the_locale_lacks_are_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", stream)
    monkeypatch.setattr("sys.argv", ["itb", "help", "deb13"])
    __main__.main()
    stream.seek(0)
    assert r"base \u2500" in stream.read()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "--ref", "a\udcff"], "flag --ref: 'a?' is not valid"),
        (["run", "--ref=a\udcff"], "flag --ref: '--ref=a?' is not valid"),
        (["\udcff"], "the command line: '?' is not valid"),
    ],
)
def test_arguments_that_are_no_text(
    words: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["itb", *words])
    with pytest.raises(SystemExit) as ended:
        __main__.main()
    assert ended.value.code == 1
    assert capsys.readouterr().err.startswith(f"itb: {message} {sys.getfilesystemencoding().upper()}\n")


@pytest.mark.parametrize("value", ["abc", "9999", "-1"])
def test_a_pipe_of_arguments_that_is_none(
    value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ITB_ARGUMENTS_FD", value)
    with pytest.raises(SystemExit) as ended:
        __main__.main()
    assert ended.value.code == 1
    assert "ITB_ARGUMENTS_FD" in capsys.readouterr().err


def test_json_is_one_document_where_nothing_ran(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["itb", "list", "--json", "--nosuch"])
    with pytest.raises(SystemExit):
        __main__.main()
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["message"], error["exit_code"]) == ("list: unknown option '--nosuch'", 1)
    assert error["hint"] == "itb list --help explains it"


def test_json_is_one_document_however_many_cells(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journals = []
    for name in "ab":
        folder = tmp_path / name
        folder.mkdir()
        journals.append(Journal(RunDir(folder)))
    settings = Settings()
    common.conclude(settings, (journals[0], None), as_json=True)
    assert [run["run"] for run in json.loads(capsys.readouterr().out)["runs"]] == ["a"]
    common.conclude(settings, *((journal, None) for journal in journals), as_json=True)
    document = json.loads(capsys.readouterr().out)
    assert [run["run"] for run in document["runs"]] == ["a", "b"]
    assert Path(document["junit"]) == tmp_path / "a-and-others" / "junit.xml"
    assert json.loads(Path(document["junit"]).with_name("verdict.json").read_text()) == document
    journals[1].lost = "its directory is gone"
    with pytest.raises(errors.TestbedError, match="its directory is gone"):
        common.conclude(settings, *((journal, None) for journal in journals), as_json=True)
    assert not capsys.readouterr().out, "the document is the error's"


def test_every_command_that_shows_data_has_json() -> None:
    """What a command does beyond showing (removing, building an image, a shell) has no result to print."""
    others = {"serve", "up", "install", "test", "down", "publish", "logs", "shell", "clean", "platform build"}
    others |= {"platform remove", "token", "token get", "token check", "token try", "token acquire"}
    others |= {"new product", "new platform", "new scenario", "new hook"}
    others |= {"schema"}  # which is JSON
    without = {
        command.words for command in collection.namespace().every
        if "json" not in {option.name for option in command.options}
    }  # fmt: skip
    assert not without - others


def test_every_task_of_the_contract_is_there_and_says_what_it_does() -> None:
    top = collection.namespace()
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
        __main__.main()
    assert ended.value.code == 7
    assert capsys.readouterr().err == "itb: no luck, Authorization: [redacted]\n     try again\n"


def test_a_full_disk_is_the_machines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device", "/runs/x")

    monkeypatch.setattr("invoke.Program.run", fail)
    with pytest.raises(SystemExit) as ended:
        __main__.main()
    assert ended.value.code == 5
    assert "No space left" in capsys.readouterr().err
