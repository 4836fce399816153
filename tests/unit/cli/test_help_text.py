"""What the command line offers and explains: every option, one screen, nothing that is not itb's."""

from __future__ import annotations

import ast
import inspect
import shlex
from pathlib import Path

import invoke
import pytest

from itb import errors
from itb.cli import arguments as cli_arguments
from itb.cli import help_text
from itb.cli import program as cli_program
from itb.cli.declaration import CliCommand, CommandGroup
from itb.cli.tasks import collection
from itb.config import options

TOP = Path(__file__).resolve().parents[3] / "itb"
EVERY = collection.namespace().all_commands
SECTIONS = collection.namespace().sections
GROUPS = [member for section in SECTIONS for member in section.members if isinstance(member, CommandGroup)]
# What itb honours; all else that Invoke offers is not there.
OWN = {"--help", "-h", "--version", "-V", "--list", "-l", "--print-completion-script", "--complete"}
INVOKES = [
    f"{'-' if len(name) == 1 else '--'}{name}"
    for argument in invoke.Program().core_args()
    for name in argument.names
]


def program() -> cli_program.ItbProgram:
    return cli_program.ItbProgram(name="itb", binary="itb", version="1", namespace=collection.namespace())


def parse(line: list[str]) -> cli_program.ItbProgram:
    """Read a command line without doing it; UsageError where it cannot be read."""
    parser = program()
    parser.create_config()
    words = cli_arguments.join_groups(line[1:])
    parser.parse_core(["itb", *words])
    parser.parse_collection()
    parser.parse_tasks()
    return parser


@pytest.mark.parametrize("width", [80, 60, 40])
@pytest.mark.parametrize("command", EVERY, ids=lambda command: command.full_name)
def test_every_option_has_a_word(command: CliCommand, width: int) -> None:
    lines = help_text.describe_command(command, width)
    text = " ".join(" ".join(lines).split())
    for option in command.options:
        assert option.help
        assert option.help_with_default in text, "words are not broken"
        typed = option.value if option.positional else option.flag.replace("--scratch", "--no-scratch")
        assert typed in text
    assert command.example in text
    assert not [line for line in lines if len(line) > width and " " in line.strip()]


@pytest.mark.parametrize("width", [80, 60, 40])
@pytest.mark.parametrize("group", GROUPS, ids=lambda group: str(group.name))
def test_a_group_shows_its_commands(group: CommandGroup, width: int) -> None:
    text = " ".join(" ".join(help_text.describe_group(group, width)).split())
    assert all(command.full_name in text and command.summary in text for command in group.commands)
    assert not group.default_command or f"is itb {group.default_command.full_name} RUN" in text


def test_help_is_printed_with_its_texts_and_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    """As typed: what reads the options first must not take their texts away."""
    words = cli_arguments.join_groups(["run", "--help"])
    with pytest.raises(SystemExit) as ended:
        program().run(["itb", *words])
    output = capsys.readouterr().out
    assert ended.value.code == 0
    assert "container engine: podman or docker [default: podman]" in output
    assert output.index("What is tested:") < output.index("--product NAME") < output.index("--ref REF")
    assert output.index("--scenario A,B") < output.index("Where:") < output.index("Tokens:")
    assert output.index("Tokens:") < output.index("Output:")


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_commands_fit_one_screen(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        program().run(["itb", *words])
    assert ended.value.code == 0
    output = capsys.readouterr().out
    lines = output.splitlines()
    assert len(lines) < 24, "the prompt wants a line, too"
    assert max(map(len, lines)) <= 80
    assert "itb COMMAND --help" in lines[-1]
    assert "itb help topics" in lines[-1]
    for name in [*collection.namespace().task_names, *collection.namespace().collections]:
        assert name.partition(".")[0] in output.split()


def test_list_has_every_command_on_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    for group, listed in (([], EVERY), (["token"], [command for command in EVERY if command.group == "token"])):
        with pytest.raises(SystemExit):
            program().run(["itb", "--list", *group])
        lines = capsys.readouterr().out.splitlines()
        commands = [line[2:].split("  ")[0] for line in lines if line[2] != " "]
        assert commands == [command.full_name for command in listed]
    with pytest.raises(errors.UsageError, match="unknown command 'tokn'; did you mean 'token'"):
        program().run(["itb", "--list", "tokn"])


@pytest.mark.parametrize("flag", sorted({*INVOKES} - OWN))
@pytest.mark.parametrize("form", ["{}", "{} run", "run {}", "list {}"])
def test_what_invoke_offers_and_itb_does_not_honour_is_unknown(flag: str, form: str) -> None:
    words = form.format(flag).split()
    with pytest.raises(errors.UsageError, match=f"unknown option '{flag}'"):
        parse(["itb", *words])


@pytest.mark.parametrize("flag", ["--version", "-V", "--list", "--complete", "--print-completion-script"])
def test_options_of_itb_itself_mean_nothing_behind_a_command(flag: str) -> None:
    """``itb run --version`` started a run."""
    with pytest.raises(errors.UsageError, match=f"run: unknown option '{flag}'"):
        parse(["itb", "run", flag])


@pytest.mark.parametrize(
    ("words", "nearest"), [("--hepl", "--help"), ("--vesion", "--version"), ("--plaform x run", "--platform")]
)
def test_the_nearest_option_is_named(words: str, nearest: str) -> None:
    with pytest.raises(errors.UsageError, match=f"did you mean '{nearest}'"):
        parse(["itb", *words.split()])


def completed(line: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    with pytest.raises(SystemExit):
        program().run(["itb", "--complete", "--", *line.split()])
    return capsys.readouterr().out.split()


def test_completion_offers_what_is_meant_to_be_used(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(completed("itb --", capsys)) == {"--help", "--list", "--version", "--print-completion-script"}
    run = next(command for command in EVERY if command.full_name == "run")
    assert set(completed("itb run --", capsys)) == {"--help", *(option.flag for option in run.options)}
    assert {"run", "list", "platform"} <= set(completed("itb ", capsys))


@pytest.mark.parametrize("command", EVERY, ids=lambda command: command.full_name)
def test_examples_are_command_lines(command: CliCommand) -> None:
    line = shlex.split(command.example)
    assert line[0] == "itb"
    (context,) = parse(line).tasks
    assert collection.namespace()[context.name] is command


@pytest.mark.parametrize("command", EVERY, ids=lambda command: command.full_name)
def test_a_function_takes_what_is_declared(command: CliCommand) -> None:
    """Its own options by name, settings in one mapping."""
    flags, *own = inspect.signature(command.body).parameters.values()
    declared = {option.name for option in command.options if not option.setting}
    named = {parameter.name for parameter in own if parameter.kind is parameter.KEYWORD_ONLY}
    assert named == declared or (named < declared and own[-1].kind is own[-1].VAR_KEYWORD)
    assert flags.kind is flags.POSITIONAL_OR_KEYWORD


def test_a_setting_has_an_option_where_a_command_takes_it() -> None:
    taken = {option.name for command in EVERY for option in command.options if option.setting}
    assert taken == {name for name, option in options.settings().items() if option.heading}


def test_what_is_required_is_asked_for() -> None:
    with pytest.raises(errors.UsageError, match="token check: not given: --audience"):
        parse(["itb", "token", "check", "x"])


def test_help_needs_no_library_that_takes_time() -> None:
    """What is imported before a command is known: Invoke, and nothing of pydantic, rich, jinja or YAML."""
    read, waiting = set(), ["itb.__main__"]
    while waiting:
        name = waiting.pop()
        path = TOP.parent / (name.replace(".", "/") + ".py")
        path = path if path.is_file() else path.with_suffix("") / "__init__.py"
        if name in read or not path.is_file():
            read.add(name)
            continue
        read.add(name)
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Import):
                waiting += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                waiting += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    outside = {name.partition(".")[0] for name in read}
    assert "itb.config.options" in read
    assert not outside & {"pydantic", "rich", "jinja2", "yaml", "requests", "fabric", "cryptography", "asyncio"}


@pytest.mark.parametrize(("columns", "width"), [("40", 40), ("60", 60), ("none", 80)])
def test_help_is_as_wide_as_the_terminal_says(
    columns: str, width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr("os.get_terminal_size", lambda *_: (_ for _ in ()).throw(OSError("no terminal")))
    with pytest.raises(SystemExit):
        program().run(["itb", "--help", "run"])
    lines = [line for line in capsys.readouterr().out.splitlines() if len(line.split()) > 1]
    longest = max(map(len, lines))
    assert width - 12 <= longest <= width
