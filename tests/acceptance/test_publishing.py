"""From a build to a repository, and from that repository to hosts again; each step as a user would take it.

``ITB_LONG=1`` makes the last step a whole run and asks for a version that is not there (a minute more).
"""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from itb.model import PlatformImages
from itb.repository.keys import KEY_NAME

KOJI = "#!/bin/sh\nprintf '%s\\n' \"$0\" \"$@\" > \"$0-was-told\"\necho Created task: 4711\n"


def test_published_and_taken_back(
    itb: Callable[..., Any],
    images: PlatformImages,
    read_run: Callable[..., Any],
    run_dirs: Callable[[Path], list[Path]],
    tmp_path: Path,
) -> None:
    """What a run signed is a repository others can be tested from; what is not it is refused."""
    candidate = ("--product", "pocketwms", "--ref", "v1_1_0", "--fresh-build")
    build_run = itb("build", *candidate, "--platform", "deb13", "--progress", "plain")
    assert build_run.code == 0, build_run.err
    (folder,) = run_dirs(tmp_path)
    try:
        served = itb("serve", "--progress", "plain")
        assert served.code == 0, served.err
    finally:
        itb("down")
    check_copies(itb, folder, tmp_path / "repo")
    check_koji(itb, folder, tmp_path)

    repository = tmp_path / "repo"
    long = bool(os.environ.get("ITB_LONG"))
    task = ("run", "--scenario", "smoke") if long else ("build",)
    common = (*task, "--product", "pocketwms", "--platform", "deb13", "--progress", "plain", "--from-repo")
    taken = itb(*common, str(repository), "--nevra", "pocketwms-factory-1.1.0")
    try:
        check_taken(read_run(taken, run_dirs(tmp_path)[-1]), repository)
    finally:
        itb("down")
    if not long:
        return
    other = itb(*common, str(repository), "--nevra", "1.1.1")
    itb("down")
    assert other.code == 7, other.err
    assert "has no 1.1.1; nearest: 1.1.0-1.deb13" in other.out + other.err


def check_copies(itb: Callable[..., Any], folder: Path, repository: Path) -> None:
    """Only by force, since nothing was tried; once; never over something else."""
    refused = itb("publish", folder.name, "--to", str(repository))
    assert refused.code == 1
    assert "is not green" in refused.err
    done = itb("publish", folder.name, "--to", str(repository), "--force")
    assert done.code == 0, done.err
    names = {path.name for path in repository.glob("*.rpm")}
    assert names == {path.name for path in (folder / "build" / "rpms").iterdir()}
    assert any(name.endswith(".src.rpm") for name in names)
    assert "BEGIN PGP PUBLIC KEY" in (repository / KEY_NAME).read_text()
    index = (repository / "repodata" / "repomd.xml").read_bytes()
    again = itb("publish", folder.name, "--to", str(repository), "--force")
    assert again.code == 0, again.err
    assert again.out.count("there already") == len(names)

    broken = repository.with_name("other")
    shutil.copytree(repository, broken)
    victim = next(broken.glob("pocketwms-libs-*.rpm"))
    victim.write_bytes(victim.read_bytes()[:-4] + b"none")
    clash = itb("publish", folder.name, "--to", str(broken), "--force")
    assert clash.code == 1
    assert f"{victim.name} is there already, with another content" in clash.err
    assert (broken / "repodata" / "repomd.xml").read_bytes() == index
    assert victim.read_bytes().endswith(b"none")


def check_koji(itb: Callable[..., Any], folder: Path, where: Path) -> None:
    """Koji is told what --dry-run says; a program that records it stands for the service."""
    koji = {"program": "koji", "target": "osg-el9"}
    (where / "itb.yaml").write_text(yaml.safe_dump({"publish": {"koji": koji}}))
    programs = where / "bin"
    programs.mkdir()
    path = {"PATH": f"{programs}:{os.environ['PATH']}"}
    (built,) = (folder / "build" / "rpms").glob("*.src.rpm")
    srpm = folder / "publish" / built.name
    dry = itb("publish", folder.name, "--koji", "--force", "--dry-run", env=path)
    assert dry.code == 0, dry.err
    assert dry.out.split() == ["koji", "build", "--scratch", "osg-el9", str(srpm)]
    assert not (programs / "koji-was-told").exists()
    (programs / "koji").write_text(KOJI)
    (programs / "koji").chmod(stat.S_IRWXU)
    done = itb("publish", folder.name, "--koji", "--force", "--no-scratch", env=path)
    assert done.code == 0, done.err
    assert "4711" in done.out
    assert (programs / "koji-was-told").read_text().split()[1:] == ["build", "osg-el9", str(srpm)]
    assert srpm.read_bytes() == built.read_bytes()
    (where / "itb.yaml").unlink()


def check_taken(run: Any, repository: Path) -> None:
    """The version that was asked for, its signatures and where it comes from are in the report."""
    assert run.code == 0, run.story
    assert not run.of_kind("failure", "error"), run.story
    (candidate,) = [case.message for case in run.cases if case.phase == "resolve"]
    assert f"pocketwms-factory-1.1.0 of {repository} is 1.1.0-" in candidate
    serving = [case.message for case in run.cases if case.phase == "serve" and case.kind == "passed"]
    assert any("packages signed with the key" in message for message in serving), serving
    assert {case.kind for case in run.cases if case.phase == "build"} == {"skipped"}
    assert run.properties["published.version"] == "1.1.0-1.deb13"
    built = json.loads((run.folder / "state" / "build.json").read_text())
    assert {rpm["name"] for rpm in built["rpms"]} == {
        "pocketwms-factory", "pocketwms-frontend", "pocketwms-httpd", "pocketwms-libs"
    }  # fmt: skip
    assert all(len(rpm["header"]) == 64 for rpm in built["rpms"])
    if run.folder.joinpath("lock.yaml").exists():
        lock = yaml.safe_load((run.folder / "lock.yaml").read_text())
        assert lock["published"]["version"] == "1.1.0-1.deb13"
        assert lock["commit"] is None
