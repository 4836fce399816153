"""Arguments of the command line, as Invoke wants them."""

from __future__ import annotations

import io
import json
import shlex
import sys
from pathlib import Path

import pytest

from itb import __main__, errors
from itb.cli import arguments as cli_arguments
from itb.cli import program
from itb.cli.commands import common
from itb.cli.tasks import collection
from itb.config.settings import Settings
from itb.rundir.directory import RunDir
from itb.rundir.journal import Journal
from itb.source import itb_commit


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["run"], ["run"]),
        (["platform", "build", "deb13"], ["platform.build", "deb13"]),
        (["show", "config"], ["show.config"]),
        (["token"], ["--help", "token"]),
        (["platform"], ["--help", "platform"]),
        (["show"], ["--help", "show"]),
        (["help", "token"], ["--help", "token"]),
        (["token", "--run", "x"], ["token", "--run", "x"]),
        (["token", ""], ["token", ""]),
        (["run", "--help"], ["--help", "run"]),
        (["platform", "show", "--help"], ["--help", "platform.show"]),
        (["shell", "-h"], ["--help", "shell"]),
        (["--help"], ["--help"]),
        (["--version"], ["--version"]),
        ([], []),
        (["show", "RUN"], ["show.run", "RUN"]),
        (["show", "product", "pocketwms"], ["show.product", "pocketwms"]),
        (["show", "--json"], ["show.run", "--json"]),
        (["show", "--runs", "DIR", "RUN"], ["show.run", "--runs", "DIR", "RUN"]),
        (["show", "run", "RUN"], ["show.run", "RUN"]),
        (["show", "--help"], ["--help", "show"]),
        (["help"], ["--help"]),
        (["help", "run"], ["--help", "run"]),
        (["help", "platform", "build"], ["--help", "platform.build"]),
        (["--help", "platform", "build"], ["--help", "platform.build"]),
        (["-h", "run"], ["--help", "run"]),
    ],
)
def test_groups(arguments: list[str], expected: list[str]) -> None:
    assert cli_arguments.join_groups(arguments) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("report RUN", "--run=RUN"),
        ("publish RUN --koji", "--koji --run=RUN"),
        ("report --json RUN", "--json --run=RUN"),
        ("report --json", "--json"),
        ("report --runs DIR RUN", "--runs=DIR --run=RUN"),
        ("report --runs=DIR", "--runs=DIR"),
        ("report --json --json", "--json"),
        ("token.acquire RUN", "--run=RUN"),
        ("shell RUN ce", "--run=RUN --role=ce"),
        ("shell --run RUN ce", "--run=RUN --role=ce"),
        ("shell --role ce RUN", "--role=ce --run=RUN"),
        ("run --ref=--odd", "--ref=--odd"),
        ("run --ref -odd", "--ref=-odd"),
        ("run --ref a=b", "--ref=a=b"),
        ("run --ref list", "--ref=list"),
        ("run --ref x --ref x", "--ref=x"),
        ("publish --no-scratch", "--no-scratch"),
    ],
)
def test_arguments_behind_a_command(line: str, expected: str) -> None:
    name, *arguments = line.split()
    assert cli_arguments.normalize(collection.namespace()[name], arguments) == expected.split()


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
        (
            "list nosuch",
            "list: WHAT 'nosuch' is none of those it may be; known: runs, products, platforms, scenarios, hooks",
            "itb list --help",
        ),
        ("list prodcts", "list: WHAT 'prodcts' is none of those it may be; did you mean 'products'?", ""),
        ("logs a b c d", "logs: 'd' is not expected here", ""),
        ("logs -g", "logs: unknown option '-g'", ""),
        ("clean --keep --unused", "clean: option --keep needs a value", ""),
        ("token x", "unknown command 'token x'; itb token has: acquire, check, get, hooks, try", "itb token"),
        ("help platform x", "unknown command 'platform x'; itb platform has: build, list, remove, show", ""),
        ("overview", "unknown command 'overview'", "itb help overview shows"),
        ("token --run x", "token: no command is given; it has: acquire, check, get, hooks, try", "itb token"),
        ("platform --json", "platform: no command is given; it has: build, list, remove, show", "itb platform"),
        ("help run list", "help run: 'list' is not expected here", "itb help run explains one command"),
        ("-h platform build x", "help platform build: 'x' is not expected here", "itb help platform build"),
        ("help show RUN", "help show run: 'RUN' is not expected here", "itb help show run"),
        ("list doctor", "list: 'doctor' is a command of its own", "one at a time: itb list && itb doctor"),
        ("list token", "list: 'token' is a command of its own", "one at a time: itb list && itb token"),
        ("run list", "run: 'list' is a command of its own", "one at a time: itb run && itb list"),
        ("list --json doctor", "list: 'doctor' is a command of its own", "one at a time"),
        ("report R list", "report: 'list' is a command of its own", "one at a time"),
        ("report --run R x", "report: 'x' is not expected here", "itb report --help explains it"),
        ("run --ref a --ref b", "run: option --ref is given twice", "leave one out"),
        ("run --ref a --ref list", "run: option --ref is given twice", "leave one out"),
        ("run --scenario a --scenario=b", "run: option --scenario is given twice", "several in one"),
        ("publish --scratch --no-scratch", "publish: option --scratch is given twice", "leave one out"),
        ("list --json=yes", "list: option --json takes no value", "itb list --help explains it"),
        ("run --ref --platform x", "run: option --ref needs a value", "itb run --help explains it"),
        ("run --ref --jsn", "run: option --ref needs a value", "itb run --help explains it"),
        ("run --ref", "run: option --ref needs a value", "itb run --help explains it"),
        ("run --ref=", "run: option --ref is empty", "a variable that is not set, perhaps"),
        ("run -p", "run: unknown option '-p'", "itb run --help explains it"),
        ("run -pRewd", "run: unknown option '-pRewd'", "itb run --help explains it"),
        ("run -p=3", "run: unknown option '-p'", "itb run --help explains it"),
        ("-p run", "unknown option '-p'", "itb --help lists the commands"),
        ("--dry run", "unknown option '--dry'", "itb --help lists the commands"),
        ("down --dry", "down: unknown option '--dry'", "itb down --help explains it"),
        ("-", "unknown option '-'", "itb --help lists the commands"),
        ("list -", "list: unknown option '-'", "itb list --help explains it"),
        ("--print-completion-script", "option --print-completion-script needs a value", ""),
        ("--list run", "--list: run is no group; itb run --help explains it", ""),
        ("-- run", "'--' is not expected here; what follows it is 'run'", ""),
        ("refs -- x", "'--' is not expected here; what follows it is 'x'", ""),
        ("run --hide x", "run: unknown option '--hide'", "itb run --help"),
        ("run -p", "run: unknown option '-p'", "itb run --help"),
        (
            "--print-completion-script tcsh",
            "--print-completion-script: 'tcsh' is none of bash, zsh, fish",
            "",
        ),
    ],
)
def test_unknown_arguments(line: str, message: str, hint: str) -> None:
    parser = program.ItbProgram(name="itb", binary="itb", version="1", namespace=collection.namespace())
    with pytest.raises(errors.UsageError) as caught:
        parser.run(["itb", *cli_arguments.join_groups(line.split())])
    assert caught.value.message == message
    assert caught.value.hint.startswith(hint)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["token.check", "", "--audience", "x:1"], "token check: FILE is empty"),
        (["token.check", "f", "--audience", ""], "token check: option --audience is empty"),
        (["run", "--ref", ""], "run: option --ref is empty"),
        (["run", "--ref", "  "], "run: option --ref is empty"),
        (["run", "--platform="], "run: option --platform is empty"),
        (["down", "--run", ""], "down: option --run is empty"),
        (["down", ""], "down: RUN is empty"),
        (["run", "--resume", ""], "run: option --resume is empty"),
        (["token.get", "x:1", "--output", ""], "token get: option --output is empty"),
        (["publish", "--to", ""], "publish: option --to is empty"),
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
    assert caught.value.hint.startswith("a variable that is not set, perhaps")


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
    monkeypatch.setattr(itb_commit.shutil, "which", lambda _: None)
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
    ("arguments", "message"),
    [
        (["run", "--ref", "a\udcff"], "flag --ref: 'a?' is not valid"),
        (["run", "--ref=a\udcff"], "flag --ref: '--ref=a?' is not valid"),
        (["\udcff"], "the command line: '?' is not valid"),
    ],
)
def test_arguments_that_are_no_text(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["itb", *arguments])
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
        command.full_name for command in collection.namespace().all_commands
        if "json" not in {option.name for option in command.options}
    }  # fmt: skip
    assert not without - others


def test_every_task_of_the_contract_is_there_and_says_what_it_does() -> None:
    top = collection.namespace()
    names = set(top.task_names)
    wanted = {"run", "build", "serve", "up", "down", "install", "test", "report", "refs", "shell", "logs", "list"}
    assert wanted | {"token.acquire", "status", "doctor", "clean"} <= names
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


@pytest.mark.parametrize(
    ("typed", "hint", "left"),
    [
        ("doctor", "itb doctor explains; itb clean removes what is left", "itb clean removes what is left"),
        ("clean", "itb clean", ""),
        ("clean", "itb clean --unused makes room", "itb clean --unused makes room"),
        ("run --x", "itb doctor looks at the network", "itb doctor looks at the network"),
        ("token hooks", "itb token hooks lists what there is; a hook is a file", "a hook is a file"),
        ("token try ./x", "itb token hooks lists what there is", "itb token hooks lists what there is"),
        ("logs x", "itb logs 2026-x --follow waits", "itb logs 2026-x --follow waits"),
        ("list --x", "itb list --help explains it", "itb list --help explains it"),
        ("", "itb list shows them", "itb list shows them"),
    ],
)
def test_no_next_step_is_the_command_just_typed(typed: str, hint: str, left: str) -> None:
    assert cli_arguments.useful_hint(hint, typed.split()) == left


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("shell", ["shell"]),
        ("shell r", ["shell", "r"]),
        ("shell r ce condor_q -all --json", ["shell", "r", "ce", "--command=condor_q -all --json"]),
        ("shell r ce ls --help", ["shell", "r", "ce", "--command=ls --help"]),
        ("shell --runs d r ce -x", ["shell", "--runs", "d", "r", "ce", "--command=-x"]),
        ("shell --run=r --role ce id", ["shell", "--run=r", "--role", "ce", "--command=id"]),
        ("shell r ce git log -- file", ["shell", "r", "ce", "--command=git log -- file"]),
        ("shell r ce -- ls", ["shell", "r", "ce", "--command=ls"]),
        ("shell ce -- ls -l", ["shell", "ce", "--command=ls -l"]),
        ("shell r ce sh -c 'a  b'", ["shell", "r", "ce", "--command=sh -c 'a  b'"]),
        ("shell --help", ["--help", "shell"]),
        ("shell r --help", ["--help", "shell"]),
        ("shell -h", ["--help", "shell"]),
    ],
)
def test_what_stands_behind_a_role_belongs_to_the_command(typed: str, read: list[str]) -> None:
    assert cli_arguments.join_groups(shlex.split(typed)) == read
