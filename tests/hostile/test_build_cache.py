"""A candidate whose ReleaseManager, root in the build workspace, changes what is built there next."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from itb.config.settings import Settings
from itb.data import shipped
from itb.platforms.images import PlatformImages
from itb.source import embedded

MANAGER = "build/ReleaseManager/release.py"
FOREIGN = b"foreign-scriptlet"  # in a header, which is not compressed
# Before /usr/bin on the path of every build; what itb brings into a workspace it puts there anew.
# The source RPM is made before, since itb compares it with the commit.
WRAPPER = f"""\
import os
wrapper = "/usr/local/sbin/rpmbuild"
with open(wrapper, "w") as file:
    file.write('''#!/bin/sh
/usr/bin/rpmbuild "$@" || exit
for word; do
    shift
    case $word in
    -ba) word=-bb ;;
    *.spec) printf '\\\\n%%posttrans factory\\\\n: {FOREIGN.decode()}\\\\n' >>"$word" ;;
    esac
    set -- "$@" "$word"
done
exec /usr/bin/rpmbuild "$@"
''')
os.chmod(wrapper, 0o755)
"""
BUILD = ("build", "--product", "pocketwms", "--platform", "deb13", "--progress", "plain")


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A clone of the product's repository with the branch ``hostile``."""
    history = shipped.folder("build_ws") / "products" / "pocketwms" / "history.yaml"
    made = embedded.make_repository(history, tmp_path / "h")
    clone = tmp_path / "source"
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@t"]
    subprocess.run([*git, "clone", "--quiet", "--branch", "main", str(made), str(clone)], check=True)
    manager = clone / MANAGER
    before = "\nimport argparse\n"
    assert before in manager.read_text()
    manager.write_text(manager.read_text().replace(before, f"\n{WRAPPER}{before}"))
    subprocess.run([*git, "-C", str(clone), "checkout", "--quiet", "-b", "hostile"], check=True)
    subprocess.run([*git, "-C", str(clone), "commit", "--quiet", "--all", "--message", "x"], check=True)
    return clone


@pytest.fixture
def own_cache(tmp_path: Path, cache: Path, images: PlatformImages) -> Path:
    """A cache without builds that knows which images there are; the settings of the test's directory name it."""
    own = tmp_path / "cache"
    memos = Settings(cache=str(own)).cache_dir / "platforms"
    memos.mkdir(parents=True)
    for memo in (cache / "platforms").glob("*.json"):
        shutil.copy(memo, memos)
    (tmp_path / "itb.yaml").write_text(yaml.safe_dump({"cache": str(own)}))
    return own


def runs(folder: Path) -> list[Path]:
    """Return the run directories that a test has made."""
    return [path.parent for path in (folder / "runs").glob("*/run.json")]


def foreign(folder: Path) -> set[str]:
    """Names of the factory's RPMs in a folder, which must have some, that carry the foreign scriptlet."""
    found = list(folder.rglob("pocketwms-factory-*.noarch.rpm"))
    assert found, f"no RPM below {folder}"
    return {path.name for path in found if FOREIGN in path.read_bytes()}


@pytest.mark.whole
def test_a_candidate_does_not_reach_the_next_builds(
    itb: Callable[..., Any], hostile: Path, own_cache: Path, tmp_path: Path
) -> None:
    """Neither the version upgraded from, built after it in one run, nor a later run of that version."""
    source = ("--source", str(hostile))
    (tmp_path / "itb.yaml").write_text(yaml.safe_dump({"cache": str(own_cache), "scenario": ["smoke", "upgrade"]}))
    first = itb(*BUILD, *source, "--ref", "hostile", "--upgrade-from", "v1_1_0")
    itb("down")
    assert first.code == 0, first.err
    (run,) = runs(tmp_path)
    assert foreign(run / "build" / "rpms"), "the candidate does not do what it is for"
    assert not foreign(run / "previous" / "build" / "rpms")

    (tmp_path / "itb.yaml").write_text(yaml.safe_dump({"cache": str(own_cache)}))
    second = itb(*BUILD, *source, "--ref", "v1_1_0")
    itb("down")
    assert second.code == 0, second.err
    (later,) = set(runs(tmp_path)) - {run}
    assert json.loads((later / "state" / "build.json").read_text())["cached"], "there was nothing to take"
    assert f"by run {run.name} as release" in (later / "cases.jsonl").read_text()
    assert not foreign(later / "build" / "rpms")

    refused = itb("publish", later.name, "--to", str(tmp_path / "repo"), "--force")
    assert refused.code == 1
    assert "took its RPMs from the cache" in refused.err
    assert "--fresh-build" in refused.err

    third = itb(*BUILD, *source, "--ref", "v1_1_0", "--fresh-build")
    itb("down")
    assert third.code == 0, third.err
    (anew,) = set(runs(tmp_path)) - {run, later}
    assert not json.loads((anew / "state" / "build.json").read_text())["cached"]
    assert not foreign(anew / "build" / "rpms")
