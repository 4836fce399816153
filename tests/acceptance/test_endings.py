"""However a run ends, nothing of it is left, nothing it found is lost, and it never passes by accident."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from itb.containers import naming
from itb.containers.engine import Engine
from itb.model import PlatformImages

RUN = ("run", "--product", "pocketwms", "--platform", "deb13", "--progress", "plain")


def wait_for(folder: Path, text: str, *, within: float = 240) -> None:
    """Until the progress of the command says ``text``."""
    deadline = time.monotonic() + within
    while text not in (folder / "err.txt").read_text():
        assert time.monotonic() < deadline, (folder / "err.txt").read_text()
        time.sleep(0.2)


def left(engine: Engine, folder: Path) -> list[Any]:
    """Containers and networks of runs below a folder."""
    label = naming.runs_labels(folder / "runs")
    return engine.all_resources(label)


# Different commits: tests that run at the same time would otherwise give two runs the same name.
@pytest.mark.parametrize(
    ("ref", "moment"),
    [pytest.param("v1_1_0", "the RPMs are built", marks=pytest.mark.whole), ("v1_0_0", "install.f")],
)
def test_ctrl_c(
    ref: str,
    moment: str,
    started: Callable[..., Any],
    engine: Engine,
    images: PlatformImages,
    read_run: Callable[..., Any],
    run_dirs: Callable[[Path], list[Path]],
    tmp_path: Path,
) -> None:
    """Interrupted: 130, the interrupted case is an error and no pass, reports are there, nothing is left."""
    # A commit that nobody has built before, so that there is something to interrupt.
    args = ["--cache", str(own_cache(tmp_path))] if moment.endswith("built") else []
    with started(*RUN, "--ref", ref, *args) as process:
        wait_for(tmp_path, moment)
        os.killpg(process.pid, signal.SIGINT)
        out, _ = process.communicate(timeout=240)
    assert process.returncode == 130, out
    (folder,) = run_dirs(tmp_path)
    run = read_run(SimpleNamespace(code=130, out=out, err="", seconds=0), folder)
    assert run.state["exit_code"] == 130
    assert not run.of_kind("failure"), run.story
    assert any("interrupted" in case.message for case in run.of_kind("error")), run.story
    assert "INTERRUPTED" in out.upper()
    assert not list((folder / "tokens").iterdir())
    assert not left(engine, tmp_path)
    assert not processes_of(folder.name)


def own_cache(folder: Path) -> Path:
    """A cache without any build."""
    return folder / "cache"


def processes_of(run: str) -> list[str]:
    """Command lines that name a run."""
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if run in line and "ps -eo" not in line]


def test_kill_then_clean(
    itb: Callable[..., Any],
    started: Callable[..., Any],
    engine: Engine,
    images: PlatformImages,
    read_run: Callable[..., Any],
    run_dirs: Callable[[Path], list[Path]],
    only_one_cleans: Callable[[], AbstractContextManager[None]],
    tmp_path: Path,
) -> None:
    """Killed outright: the directory tells, ``itb clean`` removes what is left and only that."""
    bystander = f"itb-bystander-{secrets.token_hex(4)}"
    image = images.references["bare"]
    engine.call("run", "--detach", "--name", bystander, "--label", "itb.bystander=1", image, "sleep", "600")
    try:
        with started(*RUN) as process:
            wait_for(tmp_path, "boots")
            with only_one_cleans():
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                assert left(engine, tmp_path)
                (folder,) = run_dirs(tmp_path)
                reported = itb("report", "--run", folder.name)
                assert "interrupted" in reported.out.lower(), reported.out + reported.err
                read_run(reported, folder)
                cleaned = itb("clean")
        assert cleaned.code == 0, cleaned.err
        assert folder.name in cleaned.out
        assert not left(engine, tmp_path)
        assert not list((folder / "tokens").iterdir())
        assert engine.inspect(bystander)["State"]["Running"]
        assert itb("clean").code == 0
    finally:
        engine.call("rm", "--force", "--time", "0", bystander)
