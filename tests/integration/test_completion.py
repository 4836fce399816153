"""Completion in real shells, by the scripts that itb prints."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from itb.rundir.directory import RunDir, RunState

RUN = "20261128T205244Z-p-db662936-deb13"
EVIL = "$(touch evil)"  # a name that a shell must not take for a command
# What bash calls for a line whose last word is being typed, as readline does.
TYPE = """\
source <(itb --print-completion-script bash)
complete -p itb >&2
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
_complete_itb itb "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""
STARTS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], "source <(itb --print-completion-script bash)"),
    "zsh": (["zsh", "-f", "-i"], "source <(itb --print-completion-script zsh)"),
    "fish": (["fish", "--no-config", "-i"], "itb --print-completion-script fish | source"),
}
LINES = [  # what is typed, with a tab at its end, and a part of what itb then prints
    ("itb plat\tlis\t--he\t", "itb platform list"),
    ("itb help sce\t", "Scenarios"),
    ("itb list --outcome inter\t--js\t", '"kind": "interrupted"'),
    ("itb show 2026\t", "db662936"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a run, one of an evil name, and files."""
    for name in (RUN, EVIL):
        rundir = RunDir(tmp_path / "runs" / name)
        rundir.host("factory").mkdir(parents=True)
        (rundir.host("factory") / "journal.txt").write_text("line\n")
        rundir.write_state(RunState(id=name, short_id="x", product="p", platform="deb13", ref="main", started=1))
    (tmp_path / "a b").touch()  # what a wildcard on a line would stand for
    return tmp_path


def environment(home: Path) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ITB_")}
    return {
        **inherited,
        "PATH": path,
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home),
        "TERM": "dumb",
        "PS1": "> ",
    }


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("itb platform ", ["build", "list", "remove", "show"]),
        ("itb run --ref * --ke", ["--keep"]),
        ("itb run --keep = f", ["failed"]),
        ("itb run --product pocketwms --scenario rel", ["release"]),
        ("itb logs ", [RUN]),
        ('itb run "', []),
    ],
)
def test_words_are_completed(line: str, words: list[str], folder: Path) -> None:
    done = subprocess.run(
        [shutil.which("bash") or "bash", "-c", TYPE, "bash", *line.split(" ")],
        cwd=folder, env=environment(folder), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert sorted(done.stdout.split()) == words
    assert done.stderr == "complete -o default -F _complete_itb itb\n"
    assert not (folder / "evil").exists()


class Typist:
    """A person at a terminal with an interactive shell."""

    def __init__(self, argv: list[str], folder: Path) -> None:
        self.terminal, theirs = pty.openpty()
        command = ["setsid", "--ctty", *argv]  # it becomes the shell, whose own terminal this is
        self.shell = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder, env=environment(folder)
        )
        os.close(theirs)

    def read_until(self, wanted: str, within: float = 60) -> str:
        """Read until a text was printed; what was read."""
        text = ""
        deadline = time.monotonic() + within
        while wanted not in text:
            left = deadline - time.monotonic()
            assert left > 0, f"{wanted!r} did not come: {text!r}"
            if select.select([self.terminal], [], [], left)[0]:
                text += os.read(self.terminal, 1 << 16).decode("utf-8", "replace")
        return text

    def type(self, text: str) -> None:
        os.write(self.terminal, text.encode())

    def leave(self) -> None:
        os.close(self.terminal)
        self.shell.kill()
        self.shell.wait()


@pytest.mark.parametrize("shell", STARTS)
def test_a_person_presses_the_tab_key(shell: str, folder: Path) -> None:
    """Only words that were completed make lines that itb understands."""
    argv, source = STARTS[shell]
    if not shutil.which(argv[0]):
        pytest.skip(f"{shell} is not installed here")
    typist = Typist(argv, folder)
    try:
        typist.type(f"{source}; echo is''there\n")
        typist.read_until("isthere")
        for number, (line, printed) in enumerate(LINES):
            for piece in re.findall(r"[^\t]+\t?", line):
                typist.type(piece)
            typist.type(f"; echo en''ded{number}\n")
            assert printed in typist.read_until(f"ended{number}"), line
    finally:
        typist.leave()
    assert not (folder / "evil").exists()
