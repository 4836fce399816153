"""Looking at runs that ended well, badly or never, whatever their names are made of."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from itb.cli.commands import inspect
from itb.errors import UsageError
from itb.rundir.directory import RunDir, RunState


def make(runs: Path, name: str, **changes: Any) -> RunDir:
    rundir = RunDir(runs / name)
    rundir.path.mkdir(parents=True)
    state = RunState(id=name, short="ab12", product="p", platform="deb13", ref="main", started=1.7e9)
    rundir.write_state(state.model_copy(update=changes))
    return rundir


def shown(runs: Path) -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(inspect.table(inspect.every(runs)))
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_newest_first_with_how_they_ended(tmp_path: Path) -> None:
    make(tmp_path, "1-a", exit_code=0, finished=1.7e9 + 61, ref="[/odd] [red]ref")
    make(tmp_path, "2-b", exit_code=7, finished=1.7e9 + 5, kept=True)
    make(tmp_path, "3-c", pid=os.getpid())
    (tmp_path / "4-d").mkdir()
    (tmp_path / "4-d" / "run.json").write_text("{")
    held = make(tmp_path, "5-e")
    with held.lock():
        lines = [" ".join(line.split()) for line in shown(tmp_path).splitlines()[1:]]
    assert lines == [
        "5-e main 2023-11-14 22:13 running",
        "4-d run.json cannot be read",
        "3-c main 2023-11-14 22:13 ended without a word",
        "2-b main 2023-11-14 22:13 5 s exit 7 kept",
        "1-a [/odd] [red]ref 2023-11-14 22:13 61 s passed",
    ]
    assert [rundir.id for rundir, _ in inspect.readable(tmp_path)] == ["5-e", "3-c", "2-b", "1-a"]


def test_what_others_wrote_commands_no_terminal(tmp_path: Path) -> None:
    make(tmp_path, "1-a", ref="\x1b[31mred\x1b[0m \x07bell\u202eturned\ttab")
    text = shown(tmp_path)
    assert "red \ufffdbell\ufffdturned" in text
    assert not {char for char in text if not char.isprintable()} - {"\n"}


def test_logs_with_their_sizes(tmp_path: Path) -> None:
    rundir = make(tmp_path, "1-a")
    for name in ("hosts/ce/var/log/x [bold].log", "hosts/factory/y", "commands.log", "build/b"):
        (rundir.path / name).parent.mkdir(parents=True, exist_ok=True)
        (rundir.path / name).write_text("12345")
    console = Console(file=io.StringIO(), width=20)
    inspect.print_logs(console, rundir, "")
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert [line.split(None, 1)[1].removeprefix(f"{rundir.path}/") for line in text.splitlines()] == [
        "commands.log", "build/b", "hosts/ce/var/log/x [bold].log", "hosts/factory/y"
    ]  # fmt: skip
    with pytest.raises(UsageError, match="has no logs of 'factry'; did you mean 'factory'"):
        inspect.print_logs(console, rundir, "factry")


class Machine:
    """An engine that has these containers."""

    program = "podman"

    def __init__(self, *names: str) -> None:
        self.names = names

    def containers(self, filters: dict[str, str]) -> list[dict[str, Any]]:
        assert set(filters) == {"itb.run", "itb.runs"}
        return [{"Names": [name]} for name in self.names]


def test_logs_where_there_are_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no logs of 'ce'; it has: none of any host"):
        inspect.print_logs(Console(file=io.StringIO()), make(tmp_path, "1-a"), "ce")


def test_shell_where_there_is_none(tmp_path: Path) -> None:
    rundir = make(tmp_path, "1-a")
    with pytest.raises(UsageError, match="run 1-a has no hosts any more") as caught:
        inspect.enter_host(Machine(), rundir, "ce")  # type: ignore[arg-type]
    assert "--keep" in caught.value.hint
    with pytest.raises(UsageError, match="run 1-a has no host 'cee'; did you mean 'ce'"):
        inspect.enter_host(Machine("itb-ab12-ce", "itb-ab12-factory"), rundir, "cee")  # type: ignore[arg-type]
