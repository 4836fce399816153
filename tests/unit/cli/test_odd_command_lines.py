"""Odd command lines, files and variables: one message, the right exit code, nothing started and nothing changed.

Each goes through the function that the program is; this folder's tests cannot start a process.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import NoReturn

import pytest

from itb import __main__
from itb.cli.commands import existing_run, new_run, token  # noqa: F401 - urllib3 opens a socket when imported
from itb.cli.declaration import CliCommand
from itb.cli.tasks import collection
from itb.config import options
from itb.model import Case, Outcome
from itb.process import orphans
from itb.rundir.directory import RunDir, RunState

EVERY = collection.namespace().all_commands
OLDER, NEWEST = "20261101T000000Z-pocketwms-aaaa-deb13", "20261102T000000Z-pocketwms-bbbb-deb13"
LONG = "a" * 5000
WAIT = 20  # seconds after which a command line waits for somebody
# What is in the place of a file that itb reads, and what is said of it.
NO_FILE = {
    "fifo": "not a regular file",
    "dir": "is a directory",
    "binary": "not UTF-8 text",
    "huge": "it has more than 16384 KiB",
    "nowhere": "No such file or directory",
    "loop": "Too many levels of symbolic links",
    "device": "not a regular file",
}
DEFINITIONS = {"product": "product.yaml", "platform": "platform.yaml", "scenario": "scenario.yaml"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that can be in the place of a file, of definitions and of a configuration, and runs."""
    top = tmp_path_factory.mktemp("odd")
    os.mkfifo(top / "fifo")
    (top / "dir").mkdir()
    (top / "empty").write_text("")
    (top / "text").write_text("hello\n")
    (top / "binary").write_bytes(bytes(range(256)))
    with (top / "huge").open("wb") as file:
        file.truncate(3 << 30)  # takes no room
    for name, target in (("nowhere", "gone"), ("loop", "loop"), ("device", "/dev/zero")):
        (top / name).symlink_to(target)
    for kind, file_name in {**DEFINITIONS, "conf": "itb.yaml"}.items():
        for what in (*NO_FILE, "list", "scalar"):
            place = top / f"{kind}-{what}"
            place.mkdir()
            if what in NO_FILE:
                (place / file_name).symlink_to(top / what)
            else:
                (place / file_name).write_text({"list": "- a\n", "scalar": "hello\n"}[what])
    for name, code in ((OLDER, 0), (NEWEST, 7)):
        rundir = RunDir(top / "runs" / name)
        rundir.path.mkdir(parents=True)
        state = RunState(id=name, short_id="ab12", product="pocketwms", platform="deb13", ref="main", started=1e9)
        rundir.write_state(state.model_copy(update={"finished": 1e9 + 5, "exit_code": code}))
        rundir.append_case(Case(phase="test", role="ce", name="n", outcome=Outcome.PASSED, started=1e9, seconds=1))
    return top


@pytest.fixture(autouse=True)
def _in_time() -> Iterator[None]:
    """Fail what waits: for a writer of a FIFO, for an answer."""

    def fail(_number: int, _frame: object) -> NoReturn:
        raise AssertionError(f"it waits for more than {WAIT} s")

    before = signal.signal(signal.SIGALRM, fail)
    signal.setitimer(signal.ITIMER_REAL, WAIT)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


class Program:
    """Runs command lines in a folder, as the program does."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._patch, self._capsys = folder, monkeypatch, capsys
        for name in [name for name in os.environ if name.startswith("ITB_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "no-config"))
        monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "no-cache"))
        monkeypatch.setattr(__main__, "handle_signals", lambda: None)
        monkeypatch.setattr(orphans, "guard", nullcontext)  # a process of itb's own
        monkeypatch.chdir(folder)
        self.before = self._state()

    def _state(self) -> dict[str, tuple[int, int]]:
        found = ((path, path.lstat()) for path in self.folder.rglob("*"))
        return {str(path): (stat.st_size, stat.st_mtime_ns) for path, stat in found}

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        """Return exit code, standard output and standard error."""
        self._patch.setattr("sys.argv", ["itb", *arguments])
        with pytest.raises(SystemExit) as ended:
            __main__.main()
        captured = self._capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, captured.out, captured.err

    def refuses(self, *arguments: str, code: int = 1, said: str = "") -> None:
        """Assert that a command line is refused with one message, which says ``said``, and changes nothing."""
        ended, out, err = self(*arguments)
        line = f"itb {shlex.join(arguments)[:200]}: {ended}\n{err}"
        assert (ended, out) == (code, ""), line
        lines = err.splitlines()
        assert lines, line
        assert lines[0].startswith("itb: "), line
        assert len(lines) <= 2, line
        assert len(lines) == 1 or lines[1].startswith("     "), line
        assert len(err) < 1000, line
        assert "\x1b" not in err, line
        assert said in lines[0], line

    def unchanged(self) -> None:
        """Assert that nothing was made, changed or removed."""
        assert self._state() == self.before


@pytest.fixture
def program(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Program]:
    runner = Program(folder, monkeypatch, capsys)
    yield runner
    runner.unchanged()


def shown(command: CliCommand) -> list[str]:
    return command.full_name.split()


@pytest.mark.parametrize("command", EVERY, ids=lambda command: command.full_name)
def test_arguments_of_every_command(command: CliCommand, program: Program) -> None:
    name = command.full_name
    for flag in ("-p", "-R", "-e", "-w", "-d", "-pRewd", "--dry", "--echo", "--debug", "--hide", "-", "--", "--="):
        if flag not in ("--", "--="):
            program.refuses(*shown(command), flag, said=f"{name}: unknown option '{flag}'")
        program.refuses(flag, *shown(command))
    for option in command.options:
        about = f"{name}: option {option.flag}"
        if isinstance(option.default, bool):
            program.refuses(*shown(command), f"{option.flag}=yes", said=f"{about} takes no value")
            continue
        for value in ("", " ", "\t\n"):
            program.refuses(*shown(command), option.flag, value, said=f"{about} is empty")
        program.refuses(*shown(command), f"{option.flag}=", said=f"{about} is empty")
        if not option.value_optional:
            program.refuses(*shown(command), option.flag, said=f"{about} needs a value")
            program.refuses(*shown(command), option.flag, option.flag, "x", said=f"{about} needs a value")
        program.refuses(*shown(command), option.flag, "x", f"{option.flag}=y", said=f"{about} is given twice")
        if len(option.flag) > 6 and option.flag[-1] != option.flag[-2]:
            typo = f"{option.flag[:-2]}{option.flag[-1]}{option.flag[-2]}"
            program.refuses(*shown(command), typo, "x", said=f"{name}: unknown option '{typo}'; did you mean '--")


# All further arguments of shell belong to what it runs.
@pytest.mark.parametrize(
    "command",
    [command for command in EVERY if command.full_name != "shell"],
    ids=lambda command: command.full_name,
)
def test_more_arguments_than_a_command_takes(command: CliCommand, program: Program) -> None:
    taken = sum(option.positional or option.name == "run" for option in command.options)
    line, name = [*shown(command), *["x"] * taken], command.full_name
    program.refuses(*line, "doctor", said=f"{name}: 'doctor' is a command of its own")
    takes_more = any(option.multiple for option in command.options)
    if not takes_more:
        program.refuses(*line, "x y", said=f"{name}: 'x y' is not expected here")
    said = "RUN is empty" if takes_more else "'' is not expected here"
    program.refuses(*line, "", said=f"{name}: {said}")
    program.refuses(*line, "--", "x", said="'--' is not expected here")


LINES = [
    ("''", 1, "the command is empty"),
    ("' '", 1, "unknown command ' '"),
    ("-", 1, "unknown option '-'"),
    ("---", 1, "unknown option '---'"),
    ("..", 1, "unknown command '..'"),
    ("/", 1, "unknown command '/'"),
    ("*", 1, "unknown command '*'"),
    ("%s", 1, "unknown command '%s'"),
    ("ünïcode", 1, "unknown command 'ünïcode'"),
    ("'\x1b[31mred'", 1, "unknown command"),
    (LONG, 1, "unknown command 'aaaa"),
    ("token ''", 1, "token: no command is given; it has: acquire, check, get, hooks, try"),
    ("token nosuch", 1, "unknown command 'token nosuch'; itb token has: acquire"),
    ("token --run x", 1, "token: no command is given"),
    ("platform --engine x", 1, "platform: no command is given"),
    ("show ''", 1, "show run: RUN is empty"),
    ("report ''", 1, "report: RUN is empty"),
    ("list doctor", 1, "list: 'doctor' is a command of its own"),
    ("version version", 1, "version: 'version' is a command of its own"),
    ("help zzzzz", 1, "no help on 'zzzzz'"),
    ("help topics x", 1, "help topics: 'x' is not expected here"),
    ("--list nosuch", 1, "unknown command 'nosuch'"),
    ("--print-completion-script", 1, "option --print-completion-script needs a value"),
    ("--print-completion-script ''", 1, "'' is none of bash, zsh, fish"),
    ("run", 1, "no product named"),
    ("run --product pocketwm", 1, "unknown product 'pocketwm'; did you mean 'pocketwms'?"),
    ("run --product /dev/null", 1, "product '/dev/null': no product.yaml"),
    ("run --product ./loop", 1, "product './loop': no product.yaml"),
    (f"run --product {LONG}", 1, "unknown product 'aaaa"),
    ("run --product pocketwms --platform nosuch", 1, "unknown platform 'nosuch'"),
    ("run --product pocketwms --platform deb13,", 1, "flag --platform: one of 'deb13,' is empty"),
    ("run --product pocketwms --scenario smoke,,tokens", 1, "flag --scenario: one of 'smoke,,tokens' is empty"),
    ("run --product pocketwms --scenario smoke,smoke", 1, "scenario smoke is named twice"),
    ("run --product pocketwms --scenario ./fifo", 1, "scenario './fifo': no scenario.yaml"),
    ("run --product pocketwms --variant nosuch", 1, "nosuch"),
    ("run --product pocketwms --builder x", 1, "flag --builder: must be 'rpmbuild' or 'mock' (got 'x')"),
    ("run --product pocketwms --builder moc", 1, "(got 'moc'); did you mean 'mock'?"),
    ("run --product pocketwms --jobs 0", 1, "flag --jobs"),
    ("run --product pocketwms --jobs=-1", 1, "flag --jobs"),
    ("run --product pocketwms --jobs 1e9", 1, "flag --jobs: '1e9' is not a whole number"),
    ("run --product pocketwms --keep Always", 1, "(got 'Always'); did you mean 'always'?"),
    ("RUN", 1, "unknown command 'RUN'; did you mean 'run'?"),
    ("list --outcome PASSED", 1, "--outcome: unknown outcome 'PASSED'; did you mean 'passed'?"),
    ("run --product pocketwms --token-hook nosuch", 1, "unknown token hook 'nosuch'"),
    ("run --product pocketwms --token-hook ./fifo", 1, "is not a file"),
    ("run --product pocketwms --token-hook ./dir", 1, "is not a file"),
    ("run --product pocketwms --token-hook ./gone", 1, "does not exist"),
    ("run --product pocketwms --token-hook ./text", 1, "is not executable"),
    ("run --product pocketwms --token-hook ./loop", 1, "its links lead in a circle"),
    ("run --product pocketwms --token-hook /dev/null", 1, "is not a file"),
    ("run --product pocketwms --runs text", 1, "runs is"),
    ("run --product pocketwms --runs fifo", 1, "runs is"),
    ("run --product pocketwms --cache ./text", 1, "cache is"),
    (f"run --product pocketwms --cache {LONG}", 1, "File name too long"),
    ("run --resume nosuch", 1, "'nosuch' must name one run"),
    ("run --resume 2026", 1, "'2026' must name one run"),
    (f"run --resume {NEWEST} --ref x", 1, "--ref: a resumed run goes on with its own settings"),
    ("show nosuch", 1, "'nosuch' must name one run"),
    ("show pocketvms", 1, "'pocketvms' must name one run; it names none in "),
    ("show deb31", 1, f"; did you mean '{NEWEST}'?"),
    ("show configs", 1, "unknown command 'show configs'; did you mean 'show config'?"),
    ("show producs x", 1, "unknown command 'show producs'; did you mean 'show product'?"),
    ("report x ''", 1, "report: RUN is empty"),
    ("report --run x --run y", 1, "report: option --run is given twice"),
    ("list --outcome ,", 1, "list: --outcome: one of ',' is empty"),
    ("list --outcome passed,,failed", 1, "list: --outcome: one of 'passed,,failed' is empty"),
    ("list --product ,", 1, "list: --product: one of ',' is empty"),
    ("list --platform deb13,", 1, "list: --platform: one of 'deb13,' is empty"),
    (f"show {LONG}", 1, "File name too long"),
    ("show product nosuch", 1, "unknown product 'nosuch'"),
    ("show product ''", 1, "show product: NAME is empty"),
    ("shell x ''", 1, "shell: ROLE is empty"),
    ("clean --dry-run", 1, "clean: which old runs?"),
    ("list --since soon", 1, "neither an age nor a date"),
    ("logs --tail 0", 1, "logs: --tail: '0' is not a whole number of at least 1"),
    ("report --run nosuch", 1, "'nosuch' must name one run"),
    ("report --runs text", 1, "runs is"),
    ("report --runs dir", 1, "no run in"),
    ("report --runs nowhere", 1, "no run in"),
    ("serve --runs dir", 1, "no run in"),
    ("down --run nosuch", 1, "'nosuch' must name one run"),
    ("down --run 2026", 1, "'2026' must name one run"),
    ("test --scenario , --run x", 1, "flag --scenario: one of ',' is empty"),
    ("token acquire --runs dir", 1, "no run in"),
    ("token check", 1, "token check: not given: FILE, --audience"),
    ("token check text", 1, "token check: not given: --audience"),
    ("token check fifo --audience x:1", 1, "fifo: cannot be read: not a regular file"),
    ("token check dir --audience x:1", 1, "dir: cannot be read: is a directory"),
    ("token check huge --audience x:1", 1, "huge: cannot be read: it has more than 64 KiB"),
    ("token check nowhere --audience x:1", 1, "nowhere: cannot be read: No such file"),
    ("token check loop --audience x:1", 1, "loop: cannot be read: Too many levels"),
    ("token check device --audience x:1", 1, "device: cannot be read: not a regular file"),
    (f"token check {LONG} --audience x:1", 1, "cannot be read: File name too long"),
    ("token get", 1, "token get: not given: HOST:PORT"),
    ("token get x:1 --output nosuch/file", 1, "nosuch/file: cannot be written: No such file or directory"),
    ("token get x:1 --output /proc/file", 1, "/proc/file: cannot be written: "),
    ("token get x:1 --output fifo", 1, "fifo: not a regular file"),
    ("token get x:1 --output dir", 1, "dir: not a regular file"),
    ("token get x:1 --output device", 1, "device: not a regular file"),
    ("token get x:1 --output nowhere", 1, "nowhere: not a regular file"),
    ("token get x:1 --output /dev/stdout", 1, "/dev/stdout: not a regular file"),
    ("token get x:1 --output /dev/null", 1, "/dev/null: not a regular file"),
    ("token get x:1 --token-hook nosuch", 1, "unknown token hook 'nosuch'"),
    ("token try nosuch", 1, "unknown token hook 'nosuch'"),
    ("token try ./fifo", 1, "is not a file"),
    ("clean --runs nowhere", 1, "there is no folder"),
    ("clean --runs nowhere --keep 3", 1, "there is no folder"),
    ("token try ./text", 1, "text is not executable (chmod +x)"),
    ("token try ./nosuch", 1, "nosuch does not exist"),
    ("token get x:1 --token-hook ./text", 1, "text is not executable (chmod +x)"),
    ("publish", 1, "publish where?"),
    (f"publish {OLDER} --to x", 1, "was not made here by you"),
    ("publish --to x --run nosuch", 1, "'nosuch' must name one run"),
    ("platform show nosuch", 1, "unknown platform 'nosuch'"),
    ("platform show ./loop", 1, "platform './loop': no platform.yaml"),
]


@pytest.mark.parametrize(("line", "code", "said"), LINES, ids=lambda value: ascii(value)[:40])
def test_a_line(line: str, code: int, said: str, program: Program) -> None:
    program.refuses(*shlex.split(line), code=code, said=said)


@pytest.mark.parametrize("kind", DEFINITIONS)
def test_definitions_that_are_none(kind: str, program: Program) -> None:
    base = ["run", *([] if kind == "product" else ["--product", "pocketwms"]), f"--{kind}"]
    for what, problem in NO_FILE.items():
        is_missing = what in ("fifo", "dir", "nowhere", "loop", "device")
        said = f"no {DEFINITIONS[kind]} in" if is_missing else f"{DEFINITIONS[kind]}: "
        program.refuses(*base, f"./{kind}-{what}", said=said)
        if not is_missing:
            program.refuses(*base, f"./{kind}-{what}", said=problem)
    for what in ("list", "scalar"):
        program.refuses(*base, f"./{kind}-{what}", said="a mapping of keys to values is expected")


@pytest.mark.parametrize("what", [*NO_FILE, "list", "scalar"])
def test_configurations_that_are_none(what: str, program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(program.folder / f"conf-{what}")
    said = NO_FILE.get(what, "a mapping of keys to values is expected")
    for line in ("list", "show config", "run --product pocketwms", "token hooks", "report", "doctor", "down"):
        program.refuses(*line.split(), said=said)


@pytest.mark.parametrize("name", options.settings())
def test_variables_that_are_empty(name: str, program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    variable = f"ITB_{name.upper()}"
    for value in ("", " ", "\n"):
        monkeypatch.setenv(variable, value)
        for line in ("list", "show config", "run --product pocketwms", "down"):
            program.refuses(*line.split(), said=f"environment {variable} is empty")


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("ITB_JOBS", "x", "environment ITB_JOBS: 'x' is not a whole number"),
        ("ITB_JOBS", "0", "environment ITB_JOBS"),
        ("ITB_TIMEOUT_FACTOR", "nan", "environment ITB_TIMEOUT_FACTOR"),
        ("ITB_TIMEOUT_FACTOR", "-1", "environment ITB_TIMEOUT_FACTOR"),
        ("ITB_KEEP", "x", "environment ITB_KEEP"),
        ("ITB_PLATFORM", "deb13,", "environment ITB_PLATFORM: one of 'deb13,' is empty"),
        ("ITB_ALLOW_UNSIGNED", "maybe", "environment ITB_ALLOW_UNSIGNED"),
        ("ITB_RUNS", "/dev/null", "runs is /dev/null (environment ITB_RUNS), but /dev/null is not a directory"),
        ("ITB_RUNS", LONG, "File name too long"),
        ("ITB_CACHE", "text", "cache is"),
        ("ITB_RUNS", "~nobody-here/x", "no home folder of this user here"),
    ],
)
def test_variables_that_are_wrong(
    variable: str, value: str, said: str, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    for line in ("list", "run --product pocketwms", "report"):
        program.refuses(*line.split(), said=said)


@pytest.mark.parametrize(
    ("variable", "lines"),
    [
        ("ITB_PRODUCTS", ("list products", "run --product mine", "show product mine", "refs --product mine")),
        ("ITB_PLATFORMS", ("list platforms", "run --product pocketwms --platform mine", "platform show mine")),
        ("ITB_SCENARIOS", ("list scenarios", "run --product pocketwms --scenario mine")),
        ("ITB_HOOKS", ("list hooks", "token hooks", "token try mine", "run --product pocketwms --token-hook me")),
    ],
)
def test_folders_of_definitions_that_are_none(
    variable: str, lines: tuple[str, ...], program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is looked up there would be unknown, and nobody would know why."""
    for folder in ("gone", "text", "dir,gone"):
        monkeypatch.setenv(variable, folder)
        for line in lines:
            place = program.folder / folder.rpartition(",")[2]
            program.refuses(*line.split(), said=f"{variable[4:].lower()}: {place} is not a folder")


@pytest.mark.parametrize(
    "line", ["list --runs text", "show nosuch", "report nosuch", "refs", "run --product x", "list doctor"]
)
def test_with_json_there_is_one_document(line: str, program: Program) -> None:
    code, out, err = program(*line.split(), "--json")
    error = json.loads(out)["error"]
    assert (code, error["exit_code"]) == (1, 1)
    assert err.startswith(f"itb: {error['message']}\n")


@pytest.mark.parametrize("line", ["{}", "help {}", "{} --help", "--help {}", "{} -h"])
@pytest.mark.parametrize("group", ["token", "platform", "show"])
def test_a_group_alone_prints_its_help(group: str, line: str, program: Program) -> None:
    code, out, err = program(*line.format(group).split())
    assert (code, err) == (0, "")
    assert out.startswith(f"Usage: itb {group} COMMAND [OPTIONS]\n")


def test_a_bare_word_is_told_which_options_say_what_is_tested(program: Program) -> None:
    for command in ("run", "build"):
        _, _, err = program(command, "v1_0_0")
        assert f"itb {command} --product NAME --ref REF says what is tested" in err
