"""Files of a neighbour, a candidate and a copied run directory name programs: none of them is started."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

NEIGHBOUR = 54321
COMMIT = {
    "product": "pocketwms", "source": "/x", "ref": "main", "kind": "branch", "id": "1" * 40, "tree": "1" * 40,
    "date": "2026-11-20T00:00:00Z", "subject": "s", "version": "1.0",
}  # fmt: skip
ITB = str(Path(sys.executable).with_name("itb"))


class Place:
    """A folder with a program ``evil`` that leaves ``ran`` when it is started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mark = folder.parent / "ran"
        self.evil = folder / "evil"
        self.evil.write_text(f"#!/bin/sh\n: > '{self.mark}'\nexit 1\n")
        self.evil.chmod(0o755)

    def itb(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run itb in the folder; what the person who runs the tests has set does not count."""
        environ = {key: value for key, value in os.environ.items() if not key.startswith(("ITB_", "SUDO_"))}
        environ["XDG_CONFIG_HOME"] = str(self.folder.parent / "no-config")
        return subprocess.run(
            [ITB, *words], cwd=self.folder, env=environ, check=False, capture_output=True, text=True,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "place").mkdir()
    return Place(tmp_path / "place")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
@pytest.mark.parametrize("words", [("status",), ("logs",), ("doctor",), ("show", "config"), ("list",)])
def test_neighbours_file_in_a_folder_of_everybody(place: Place, words: tuple[str, ...]) -> None:
    """Another user's itb.yaml in a 1777 folder made root's `itb status` start its engine."""
    place.folder.chmod(0o1777)
    file = place.folder / "itb.yaml"
    file.write_text(f"engine: {place.evil}\n")
    os.chown(file, NEIGHBOUR, NEIGHBOUR)
    done = place.itb(*words)
    assert not place.mark.exists()
    assert done.returncode == 1
    assert f"itb: {file} belongs to user {NEIGHBOUR}" in done.stderr
    assert f"chown 0 {file}" in done.stderr


@pytest.mark.parametrize("words", [("status",), ("doctor",)])
def test_engine_of_a_clone(place: Place, words: tuple[str, ...]) -> None:
    """The clone's files are the user's own: their owner tells nothing."""
    (place.folder / ".git").mkdir()
    (place.folder / "itb.yaml").write_text("engine: ./evil\n")
    done = place.itb(*words)
    assert not place.mark.exists()
    assert "engine" in done.stderr
    assert "--engine" in done.stderr


def test_hook_of_a_candidates_clone(place: Place) -> None:
    (place.folder / "build" / "ReleaseManager").mkdir(parents=True)
    (place.folder / "itb.yaml").write_text("token_hook: ./evil\nhooks: [.]\n")
    done = place.itb("token", "get", "https://ce.example.org")
    assert not place.mark.exists()
    assert "token_hook" in done.stderr


@pytest.mark.parametrize("words", [("down",), ("run", "--resume"), ("install",), ("shell",), ("report",)])
def test_engine_of_a_copied_run_directory(place: Place, words: tuple[str, ...]) -> None:
    there = place.folder / "20260101T000000Z-p-12345678-deb13"
    there.mkdir()
    settings = {"engine": str(place.evil), "product": "pocketwms"}
    state = {
        "id": there.name, "short": "12345678", "product": "pocketwms", "platform": "deb13", "ref": "main",
        "started": 1.0, "kept": True, "settings": settings, "cwd": str(place.folder),
    }  # fmt: skip
    (there / "run.json").write_text(json.dumps(state))
    (there / "state").mkdir()
    (there / "state" / "commit.json").write_text(json.dumps(COMMIT))  # without it nothing is resumed
    copied = place.folder / "copied" / there.name
    shutil.copytree(there, copied)
    place.itb(*words, f"./copied/{there.name}", *(["ce"] if words == ("shell",) else []))
    assert not place.mark.exists()


def test_attack_is_one(place: Place) -> None:
    """Named by the user, the same program is started."""
    place.itb("status", "--engine", "./evil")
    assert place.mark.exists()
