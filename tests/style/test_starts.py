"""No start of an interpreter or of git takes code or configuration from the directory itb was started in."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from itb import errors
from itb.config import lookup, settings
from itb.config.settings import KojiSettings
from itb.process import runner
from itb.process.request import Request
from itb.process.runner import Runner
from itb.repository import export
from itb.util import files

TOP = Path(__file__).resolve().parents[2] / "itb"
MODULES = sorted(TOP.rglob("*.py"))
APART = ("-I", "-P")  # Python's options that keep the current directory off its path
# Inside a container, a product's own program, by its path: such a start puts the program's folder on the path.
PRODUCTS = {("builder_command.py", "manager")}


def starts(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line and words of every list or tuple of a module that begins a Python interpreter."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.List | ast.Tuple):
            words = [item.value if isinstance(item, ast.Constant) else ast.unparse(item) for item in node.elts]
            for place, word in enumerate(words):
                if word in ("sys.executable", "python", "python3"):
                    yield node.lineno, [str(word) for word in words[place:]]


def test_itb_that_starts_itself_again_does_not_import_from_here() -> None:
    lines = [line for line in (TOP / "__main__.py").read_text().splitlines() if "os.exec" in line]
    assert len(lines) == 1
    assert '"-P"' in lines[0]


def is_apart(path: Path, words: list[str]) -> bool:
    following = words[1] if len(words) > 1 else ""
    program = following.startswith(("/", "f'/", 'f"/', "f'{_")) or (path.name, following) in PRODUCTS
    return following in APART or program


def test_every_start_of_python_keeps_the_current_directory_off_its_path() -> None:
    started = [(path, line, words) for path in MODULES for line, words in starts(path)]
    assert len(started) >= 4, "the starts are not where this test looks for them"
    assert not [f"{path.name}:{line}: {words[:3]}" for path, line, words in started if not is_apart(path, words)]


def test_interpreter_is_named_only_where_it_is_started() -> None:
    """A name that is handed on (``python = sys.executable``) would be one the test above does not see."""
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Assign | ast.AnnAssign | ast.Return | ast.IfExp):
                handed = [node.body, node.orelse] if isinstance(node, ast.IfExp) else [node.value]
                assert "sys.executable" not in [ast.unparse(value) for value in handed if value], path.name


def test_commands_start_in_the_root_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[object] = []

    def note(argv: object, **options: object) -> None:
        seen.append(options["cwd"])
        raise FileNotFoundError

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runner.subprocess, "Popen", note)
    for given in ("", tmp_path):
        with pytest.raises(errors.TestbedError):
            Runner().run(Request(["true"], cwd=given))
    assert seen == ["/", tmp_path]


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ("/usr/bin:/bin", "/usr/bin:/bin"),
        (":/usr/bin", "/usr/bin"),
        ("/usr/bin:", "/usr/bin"),
        ("/usr/bin:.:/bin::bin:../x", "/usr/bin:/bin"),
    ],
)
def test_search_path_has_absolute_folders_only(given: str, left: str) -> None:
    environ = {"PATH": given, "PYTHONPATH": given, "OTHER": given}
    files.settle_search_paths(environ)
    assert environ == {"PATH": f"{left}:/usr/sbin:/sbin", "PYTHONPATH": left, "OTHER": given}


@pytest.mark.parametrize("given", [".", "relative/home", ""])
def test_a_home_of_the_current_directory_is_none(given: str) -> None:
    """A candidate may have .config/itb/itb.yaml, which names programs."""
    environ = {"HOME": given}
    files.settle_search_paths(environ)
    assert Path(environ["HOME"]).is_absolute()
    files.settle_search_paths(absolute := {"HOME": "/srv/home"})
    assert absolute["HOME"] == "/srv/home"


def test_search_path_of_here_alone_is_no_search_path() -> None:
    """An empty PATH means the current directory to some, the system's own to others."""
    environ = {"PATH": ".", "PYTHONPATH": ""}
    files.settle_search_paths(environ)
    assert environ == {"PATH": f"{os.defpath}:/usr/sbin:/sbin"}


@pytest.mark.parametrize("given", ["/usr/bin:/bin", "/sbin:/usr/bin:/usr/sbin:/bin", ""])
def test_system_programs_are_found_by_the_path_of_cron(given: str) -> None:
    """A container engine starts iptables; folders that are there keep their place, and none is there twice."""
    environ = {"PATH": given} if given else {}
    files.settle_search_paths(environ)
    folders = environ["PATH"].split(":")
    assert {"/usr/sbin", "/sbin"} <= set(folders)
    assert len(folders) == len(set(folders))
    assert ":".join(folders).startswith(given or os.defpath)


def test_program_by_its_path_is_found_from_anywhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert files.program("podman") == "podman"
    assert files.program("./podman") == str(tmp_path / "podman")
    assert files.program("/usr/bin/podman") == "/usr/bin/podman"


def test_folders_of_definitions_are_found_from_anywhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "mine" / "p").mkdir(parents=True)
    (tmp_path / "mine" / "p" / "product.yaml").write_text("")
    monkeypatch.chdir(tmp_path)
    for name in ("p", "./mine/p"):
        assert lookup.find("product", name, [Path("mine")], "product.yaml") == tmp_path / "mine" / "p"


def test_paths_among_options_of_koji_are_found_from_anywhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    koji = KojiSettings(program="./koji", target="t", options=("--config=./koji.conf", "-p", "../x", "--wait"))
    (line,) = export.koji_commands(koji, Path("/x.src.rpm"), "p", tmp_path)
    here = str(tmp_path)
    assert line[:5] == [f"{here}/koji", f"--config={here}/koji.conf", "-p", f"{here}/../x", "--wait"]


@pytest.mark.parametrize("named", [".", "", "relative"])
def test_users_folders_are_never_in_the_current_directory(monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    """XDG base directory specification: a relative path is to be ignored."""
    for variable in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(variable, named)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert settings.user_file() == Path("/home/somebody/.config/itb/itb.yaml")
    assert settings.Settings().cache_dir.parent == Path("/home/somebody/.cache/itb")
