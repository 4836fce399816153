"""A candidate's tree is the current directory: none of its files is run by what itb starts on this machine."""

from __future__ import annotations

import os
import secrets
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from itb.config.product import BuildDefinition, Product, RoleDefinition, Source
from itb.containers.engine import Engine
from itb.platforms.images import PlatformImages
from itb.process.request import Request
from itb.process.runner import Runner
from itb.repository import export
from itb.repository.export import Target
from itb.source import git, resolve
from itb.source.origin import locate
from itb.testbed.testbed import Testbed
from itb.testbed.topology import find_topology
from itb.util import files

# Modules that the standard library or podman-compose imports as it starts, whatever it is to do.
IMPORTED = ("argparse", "json", "yaml", "subprocess", "tarfile", "hashlib", "dotenv", "podman_compose")
PROGRAMS = ("git", "podman", "env")

COMPOSE = """
services:
  bare:
    image: ${ITB_IMAGE_BARE}
    command: ["/usr/lib/systemd/systemd"]
    container_name: ${ITB_PROJECT}-bare
    hostname: bare.example.org
    labels: {itb.run: "${ITB_RUN}", itb.runs: "${ITB_RUNS}", itb.role: bare}
    networks: [testbed]
networks:
  testbed: {name: "${ITB_NETWORK}", external: true}
"""


class Hostile:
    """A folder of modules and programs, each of which leaves its name in ``ran`` when it runs."""

    def __init__(self, folder: Path, marks: Path) -> None:
        self.folder, self.marks = folder, marks
        for name in IMPORTED:
            (folder / f"{name}.py").write_text(f"open({str(marks / name)!r}, 'w').close()\n")
        for name in PROGRAMS:
            (folder / name).write_text(self.script(name))
            (folder / name).chmod(0o755)

    def script(self, name: str) -> str:
        return f"#!/bin/sh\n: > '{self.marks / name}'\n"

    @property
    def ran(self) -> list[str]:
        return sorted(path.name for path in self.marks.iterdir())


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hostile:
    """The current directory, hostile."""
    for name in ("clone", "marks"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "clone")
    return Hostile(tmp_path / "clone", tmp_path / "marks")


def test_attack_is_one(hostile: Hostile) -> None:
    """What the tests below look for does happen where an interpreter is started without care."""
    subprocess.run([sys.executable, "-c", "import json"], check=False, capture_output=True)
    assert hostile.ran == ["json"]


def test_compose_program(hostile: Hostile, engine: Engine, images: PlatformImages, tmp_path: Path) -> None:
    """`cd clone; itb run --source .` ran the candidate's argparse.py as the user."""
    file = tmp_path / "one.compose.yaml"
    file.write_text(COMPOSE)
    (hostile.folder / ".env").write_text("ITB_IMAGE_BARE=localhost/of/the/candidate\n")
    short = secrets.token_hex(4)
    hand = Testbed(engine, find_topology(str(file)), run=f"hostile-{short}", short_id=short, runs=tmp_path)
    try:
        prefix = hand.create_network()
        hand.up(["bare"], {"bare": images.references["bare"]}, prefix, None)
        assert hand.find_running_roles() == {"bare"}
    finally:
        hand.down()
    assert hostile.ran == []


def test_what_takes_published_packages(hostile: Hostile, tmp_path: Path) -> None:
    key = tmp_path / "RPM-GPG-KEY-x"
    key.write_text("a key\n")
    index = 'mkdir "$0/repodata"; echo "<repomd/>" > "$0/repodata/repomd.xml"'
    done = export.copy([key], Target(str(tmp_path / "there")), Runner(), indexer=["sh", "-c", index, "{new}"])
    assert done.packages == 0
    assert (tmp_path / "there" / "repodata" / "repomd.xml").is_file()
    assert hostile.ran == []


@pytest.mark.parametrize("first", ["", ".", "bin/.."])
def test_programs_of_a_relative_search_path(
    hostile: Hostile, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (hostile.folder / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{first}:{os.environ['PATH']}")
    files.settle_search_paths(os.environ)
    Runner().run(Request(["git", "--version"]))
    assert hostile.ran == []


def test_itb_itself_settles_its_search_path(hostile: Hostile, tmp_path: Path) -> None:
    """`itb refs` starts git; who has "." in PATH got the candidate's."""
    (hostile.folder / "product").mkdir()
    environ = {**os.environ, "PATH": f".:{os.environ['PATH']}", "PYTHONPATH": "", "XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run(
        [str(Path(sys.executable).with_name("itb")), "refs", "--product", "pocketwms"],
        env=environ, check=False, capture_output=True, text=True, cwd=hostile.folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "v2" in done.stdout or "v1" in done.stdout
    assert hostile.ran == []


def _git(folder: Path, *words: str) -> None:
    settled = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    identity = ["-c", "user.name=t", "-c", "user.email=t@t", "-c", "protocol.file.allow=always"]
    argv = ["/usr/bin/env", "git", *identity, "-C", str(folder), *words]
    subprocess.run(argv, check=True, capture_output=True, env=settled)


@pytest.fixture
def repository(hostile: Hostile) -> Path:
    """The hostile folder as a repository, with a submodule."""
    folder = hostile.folder
    inner = folder.parent / "inner"
    inner.mkdir()
    for where in (inner, folder):
        _git(where, "init", "--quiet", "--initial-branch=main")
        (where / "release.py").write_text("")
        _git(where, "add", "release.py")
        _git(where, "commit", "--quiet", "--message", "first")
    _git(folder, "submodule", "--quiet", "add", str(inner), "inner")
    _git(folder, "commit", "--quiet", "--message", "second")
    return folder


def _arm(hostile: Hostile, directory: Path) -> None:
    """Have a git directory name programs wherever its configuration and its hooks may."""
    script = directory / "armed"
    script.write_text(hostile.script("git-config"))
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    for key in ("core.fsmonitor", "core.sshCommand", "core.pager", "core.editor", "core.askPass",
                "uploadpack.packObjectsHook", "diff.external", "credential.helper"):  # fmt: skip
        _git(directory, "--git-dir", str(directory), "config", key, str(script))
    _git(directory, "--git-dir", str(directory), "config", "filter.x.clean", str(script))
    for hook in ("post-index-change", "reference-transaction", "post-checkout", "pre-commit"):
        (directory / "hooks").mkdir(exist_ok=True)
        (directory / "hooks" / hook).write_text(hostile.script(f"hook-{hook}"))
        (directory / "hooks" / hook).chmod(0o755)


@pytest.mark.parametrize("ref", ["main", "worktree"])
def test_git_in_the_tree_of_a_candidate(hostile: Hostile, repository: Path, tmp_path: Path, ref: str) -> None:
    """A tree that comes as an archive brings its .git along, and those of its submodules."""
    for folder in (repository, repository / "inner"):
        (folder / ".gitattributes").write_text("* filter=x diff=x\n")
    (repository / "inner" / "release.py").write_text("1\n")
    for directory in (repository / ".git", repository / ".git" / "modules" / "inner"):
        _arm(hostile, directory)
    product = Product(
        title="p", name="p", source=Source(url="https://host/p"), packages=("p*",),
        build=BuildDefinition(checkout_name="p", release_manager="release.py"), roles={"r": RoleDefinition()},
    )  # fmt: skip
    commit = resolve.resolve(product, ref=ref, source=".", cache=tmp_path / "cache", runner=Runner())
    assert commit.kind == ("branch" if ref == "main" else "worktree")
    assert hostile.ran == []


def test_git_asks_a_url_without_the_configuration_of_this_directory(hostile: Hostile, repository: Path) -> None:
    """The repository in the current directory said where URLs lead to (url.X.insteadOf) and how to log in."""
    _arm(hostile, repository / ".git")
    elsewhere = repository.parent / "inner"
    _git(repository, "config", f"url.{repository.as_uri()}.insteadOf", elsewhere.as_uri())
    (told, _), mine = git._list_remote(locate(elsewhere.as_uri()), Runner()), git.Git(Runner())
    assert told["HEAD"] == mine.text("-C", str(elsewhere), "rev-parse", "HEAD")
    assert hostile.ran == []
