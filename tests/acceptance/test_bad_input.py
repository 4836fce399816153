"""What a user can get wrong: one clear message, its exit code, nothing made or left behind.

A hundred commands, which need not import itb a hundred times: see ``forking.py``.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from itb.config.settings import Settings
from itb.containers.engine import Engine

SCENARIO = """title: One step
steps:
  - name: say hello
    role: {role}
    {how}: echo hello
"""


@pytest.fixture(scope="module")
def server() -> Iterator[subprocess.Popen[bytes]]:
    """The process that commands are forked from."""
    argv = [sys.executable, str(Path(__file__).with_name("forking.py"))]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield process


@pytest.fixture(autouse=True)
def _nothing_left() -> None:
    """No run begins, which each test looks at; what there is nevertheless the session's end finds."""


@pytest.fixture
def itb(server: subprocess.Popen[bytes], engine: Engine, tmp_path: Path) -> Callable[..., Any]:
    """Run ``itb ARGS`` as the fixture of this name does everywhere, but in a process that has itb's modules."""

    def call(*args: str, env: Mapping[str, str] | None = None) -> Any:
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("ITB_")}
        settled = {**inherited, "XDG_CONFIG_HOME": str(tmp_path / "no-config"), "ITB_ENGINE": engine.program}
        out, err = tmp_path.with_suffix(".out"), tmp_path.with_suffix(".err")
        request = {
            "argv": [str(Path(sys.executable).with_name("itb")), *args], "cwd": str(tmp_path),
            "env": {**settled, **(env or {})}, "out": str(out), "err": str(err),
        }  # fmt: skip
        assert server.stdin
        assert server.stdout
        server.stdin.write(json.dumps(request).encode() + b"\n")
        server.stdin.flush()
        if not select.select([server.stdout], [], [], 600)[0]:
            server.kill()
            pytest.fail(f"itb {args} does not end")
        code = int(server.stdout.readline())
        texts = [path.read_text(errors="replace") for path in (out, err)]
        for path in (out, err):
            path.unlink()
        return SimpleNamespace(code=code, out=texts[0], err=texts[1])

    return call


def refuse(ended: Any, code: int, *words: str, folder: Path) -> None:
    """A refusal: the code, the words, no traceback, no run directory, no file by accident."""
    assert ended.code == code, ended.err + ended.out
    assert ended.err.startswith("itb: "), ended.err
    assert len(ended.err.splitlines()) <= 4, ended.err
    assert "Traceback" not in ended.err
    for word in words:
        assert word in ended.err, ended.err
    assert not list((folder / "runs").glob("*"))
    assert not (folder / "touched").exists()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--product", "pocketwm"], ["unknown product 'pocketwm'", "pocketwms"]),
        (["--product", "pocketwms", "--platform", "deb31"], ["unknown platform 'deb31'", "deb13"]),
        (["--product", "pocketwms", "--scenario", "smoek"], ["unknown scenario 'smoek'", "smoke"]),
        (["--product", "pocketwms", "--ref", "v1_2_0_rc3"], ["v1_2_0_rc3", "v1_2_0_rc2"]),
        (["--product", "pocketwms", "--ref", "brokn/unit-dies"], ["brokn/unit-dies", "broken/unit-dies"]),
        (["--product", "pocketwms", "--ref", "0123456789abcdef0123456789abcdef01234567"], ["0123456789ab"]),
        (["--product", "pocketwms", "--ref", "pr/77"], ["77"]),
        (["--product", "pocketwms", "--ref", "worktree"], ["worktree"]),
        (["--product", "pocketwms", "--keep", "sometimes"], ["keep", "sometimes"]),
        (["--product", "pocketwms", "--jobs", "many"], ["jobs", "many"]),
        (["--product", "pocketwms", "--token-hook", "vualt"], ["vualt"]),
        (["--product", "pocketwms", "--upgrade-from", "v1_1_0", "--scenario", "smoke"], ["upgrade"]),
        (["--product", "pocketwms", "--upgrade-from", "v9", "--scenario", "upgrade"], ["v9"]),
        (["--product", "pocketwms", "--ref", ""], ["option --ref is empty"]),
        (["--product", "pocketwms", "--ref", "main", "--ref=v1_1_0"], ["option --ref is given twice"]),
        (["--product", "pocketwms", "doctor"], ["'doctor' is a command of its own"]),
        (["--product", "pocketwms", "--dry"], ["unknown option '--dry'"]),
        (["--product", "pocketwms", "--token-hook", "/no/such/hook"], ["/no/such/hook does not exist"]),
        ([], ["product"]),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else None,
)
def test_wrong_name(args: list[str], words: list[str], itb: Callable[..., Any], tmp_path: Path) -> None:
    refuse(itb("run", *args), 1, *words, folder=tmp_path)


def test_variable_that_is_empty(itb: Callable[..., Any], tmp_path: Path) -> None:
    ended = itb("run", "--product", "pocketwms", env={"ITB_REF": ""})
    refuse(ended, 1, "environment ITB_REF is empty", folder=tmp_path)


def test_pipe_instead_of_a_file(itb: Callable[..., Any], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    refuse(itb("token", "check", "fifo", "--audience", "x:1"), 1, "fifo: cannot be read", folder=tmp_path)
    refuse(itb("token", "get", "x:1", "--output", "fifo"), 1, "fifo: not a regular file", folder=tmp_path)


@pytest.mark.parametrize("flag", ["--prodcut=pocketwms", "--ref"])
def test_wrong_flag(flag: str, itb: Callable[..., Any], tmp_path: Path) -> None:
    ended = itb("run", flag)
    assert ended.code == 1
    assert "Traceback" not in ended.err
    assert flag.partition("=")[0].strip("-") in ended.err + ended.out


@pytest.mark.parametrize(
    "ref",
    [
        "two words", "it's", 'a "quote"', "x; touch touched", "$(touch touched)", "`touch touched`", "-x",
        "--upload-pack=touch touched", "a\nb", "bränch-ünïcode", "..", "HEAD@{1}", "refs/heads/", "main:",
        "a" * 5000, "\x1b[31mred", "^main", "main^{tree}", "*",
    ],
    ids=lambda ref: ascii(ref)[:30],
)  # fmt: skip
def test_nasty_reference(ref: str, itb: Callable[..., Any], tmp_path: Path) -> None:
    ended = itb("run", "--product", "pocketwms", f"--ref={ref}")
    refuse(ended, 1, folder=tmp_path)
    assert "\x1b" not in ended.err
    assert len(ended.err) < 1000


def test_source_that_does_not_answer(itb: Callable[..., Any], tmp_path: Path) -> None:
    ended = itb("run", "--product", "pocketwms", "--source", "https://127.0.0.1:9/pocketwms.git")
    refuse(ended, 5, "127.0.0.1:9", folder=tmp_path)


def test_source_that_is_no_repository(itb: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "not a repo").mkdir()
    refuse(itb("run", "--product", "pocketwms", "--source", "not a repo"), 1, "not a repo", folder=tmp_path)
    refuse(itb("run", "--product", "pocketwms", "--source", "nowhere"), 1, "nowhere", folder=tmp_path)


def test_ambiguous_reference(itb: Callable[..., Any], tmp_path: Path) -> None:
    """A tag and a branch of one name, of different commits: refused with both."""
    source = tmp_path / "source"
    subprocess.run(["git", "clone", "--quiet", str(newest_history()), str(source)], check=True)
    for command in (("branch", "twice", "v1_0_0"), ("tag", "twice", "v1_1_0")):
        subprocess.run(["git", "-C", str(source), *command], check=True, stderr=subprocess.DEVNULL)
    ended = itb("run", "--product", "pocketwms", "--source", str(source), "--ref", "twice")
    refuse(ended, 1, "twice", "branch", "tag", folder=tmp_path)


def newest_history() -> Path:
    """The repository of pocketwms as itb keeps it (an earlier test or run has made it)."""
    repositories = sorted(
        (Settings().cache_dir / "history").glob("pocketwms-*.git"), key=lambda path: path.stat().st_mtime
    )
    assert repositories
    return repositories[-1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("prodct: pocketwms\n", ["itb.yaml", ".yaml:1:", "prodct", "product"]),
        ("product: pocketwms\njobs: three\n", ["itb.yaml", ".yaml:2:", "jobs"]),
        ("product: [pocketwms\n", ["itb.yaml"]),
        ("product: pocketwms\nplatform: {a: b}\n", ["itb.yaml", ".yaml:2:", "platform"]),
        ("- product\n", ["itb.yaml"]),
        ("product: pocketwms\nproduct: glideinwms\n", ["itb.yaml", "product"]),
    ],
)
def test_wrong_configuration(text: str, words: list[str], itb: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "itb.yaml").write_text(text)
    refuse(itb("run"), 1, *words, folder=tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (SCENARIO.format(role="frontned", how="run"), ["frontned", "frontend"]),
        (SCENARIO.format(role="frontend", how="rnu"), ["scenario.yaml", ".yaml:5:", "rnu", "run"]),
        (SCENARIO.format(role="frontend", how="script"), ["scenario.yaml", "say hello", "echo hello"]),
        ("title: Nothing to do\nsteps: []\n", ["scenario.yaml", ".yaml:2:", "steps"]),
        (SCENARIO.format(role="frontend", how="timeout: 5 minutes\n    run"), [".yaml:5:", "timeout"]),
    ],
)
def test_wrong_scenario(text: str, words: list[str], itb: Callable[..., Any], tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "scenario.yaml").write_text(text)
    refuse(itb("run", "--product", "pocketwms", "--scenario", "./mine"), 1, *words, folder=tmp_path)


def test_engine_that_is_missing(itb: Callable[..., Any], tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    git = shutil.which("git")
    assert git
    (tools / "git").symlink_to(git)
    ended = itb("run", "--product", "pocketwms", env={"PATH": str(tools)})
    refuse(ended, 5, "is not installed", "itb doctor", folder=tmp_path)


def test_engine_that_does_not_work(itb: Callable[..., Any], tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "podman").write_text("#!/bin/sh\necho 'Error: cannot re-exec process' >&2\nexit 125\n")
    (tools / "podman").chmod(0o755)
    ended = itb("run", "--product", "pocketwms", env={"PATH": f"{tools}:{os.environ['PATH']}"})
    refuse(ended, 5, "cannot re-exec process", "itb doctor", folder=tmp_path)


def test_disk_that_is_full(itb: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "itb.yaml").write_text("product: pocketwms\nmin_free_gb: 1.0e+9\n")
    refuse(itb("run"), 5, "GB free", "itb clean", folder=tmp_path)


def test_runs_folder_that_is_a_file(itb: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    ended = itb("run", "--product", "pocketwms", "--runs", "taken")
    assert ended.code in (1, 5)
    assert "taken" in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("task", ["serve", "up", "install", "test", "down", "report", "token acquire"])
def test_phase_without_a_run(task: str, itb: Callable[..., Any], tmp_path: Path) -> None:
    refuse(itb(*task.split()), 1, "no run in", folder=tmp_path)


@pytest.mark.parametrize("closed", ["0", "1", "2", "1 2", "0 1 2"])
def test_streams_that_are_closed(closed: str, tmp_path: Path, engine: object) -> None:
    """Who closes a stream does not want to read it; the exit code stands, and nothing is written into files."""
    itb = Path(sys.executable).with_name("itb")
    redirections = " ".join(f"{number}>&-" for number in closed.split())
    commands = [("show config", 0), ("run --product nothing", 1)]
    if closed == "0 1 2":
        commands += [("list", 0), ("report", 1)]
    for args, code in commands:
        done = subprocess.run(
            ["bash", "-c", f"{itb} {args} {redirections}"], cwd=tmp_path, capture_output=True, text=True,
            check=False, env={**os.environ, "XDG_CONFIG_HOME": str(tmp_path / "no-config")},
        )  # fmt: skip
        assert done.returncode == code, done
        assert "Traceback" not in done.stdout + done.stderr
        assert "itb: " in done.stderr or code == 0 or "2" in closed
        assert not list(tmp_path.iterdir())


def test_directory_that_is_gone(tmp_path: Path, engine: object) -> None:
    itb = Path(sys.executable).with_name("itb")
    command = f"mkdir d && cd d && rmdir ../d && {itb} list"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("itb: the current directory does not exist any more\n")
