"""The phases one by one, each in a process of its own, and a user's own scenario."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from itb.config.settings import Settings
from itb.model import PlatformImages

MINE = """title: A scenario of the user's own
needs: {roles: [frontend, ce], token: true}
env: {GREETING: "it's \\"quoted\\"; $(no command)"}
steps:
  - name: environment is there
    role: frontend
    run: test "$ITB_ROLE" = frontend && echo "$GREETING" && getent hosts "$ITB_HOST_CE"
  - name: hosts are known while no name server answers
    role: frontend
    run: |
      getent --service hosts:files hosts "$ITB_HOST_CE" repo.glideinwms.org
      getent --service hosts:files hosts "$ITB_HOST_FRONTEND"
  - name: script with an odd name
    role: ce
    script: an odd; name $(x).sh
  - name: three results one by one
    role: frontend
    run: |
      echo 1..3
      echo ok 1 - first
      echo ok 2 - second '#' SKIP not here
      echo ok 3 - third
  - name: cannot be tried here
    role: frontend
    run: echo no such thing here; exit 77
  - name: user is nobody special
    role: frontend
    user: testuser
    run: test "$(id -un)" = testuser && test "$HOME" = /home/testuser
always:
  - name: evidence in any case
    role: ce
    run: hostname
"""


def test_phase_by_phase(
    itb: Callable[..., Any],
    images: PlatformImages,
    read_run: Callable[..., Any],
    run_dirs: Callable[[Path], list[Path]],
    tmp_path: Path,
) -> None:
    """build, serve, up, install, token, test, report, down: each goes on where the one before ended."""
    build_run = itb("build", "--product", "pocketwms", "--platform", "deb13", "--progress", "plain")
    assert build_run.code == 0, build_run.err
    (folder,) = run_dirs(tmp_path)
    assert list((folder / "build" / "rpms").glob("pocketwms-factory-*.rpm"))

    early = itb("install")
    assert early.code == 1
    assert "has to come first" in early.err

    scenario = own_scenario(tmp_path)
    try:
        for task in (["serve"], ["up"], ["install"], ["token", "acquire"], ["test", "--scenario", str(scenario)]):
            ended = itb(*task, "--progress", "plain")
            assert ended.code == 0, f"{task}: {ended.err}\n{ended.out}"
        shown = itb("show", "--json")
        assert shown.code == 0, shown.err
        assert json.loads(shown.out)["exit_code"] == 0
    finally:
        down = itb("down")
    assert down.code == 0, down.err
    reported = itb("report")
    assert reported.code == 0, reported.err
    run = read_run(reported, folder)
    assert not run.of_kind("failure", "error"), run.story
    own = {case.name: case for case in run.cases if case.phase == "test" and "mine" in case.name}
    assert any("second" in name and case.kind == "skipped" for name, case in own.items()), own
    assert any("cannot be tried" in name and case.kind == "skipped" for name, case in own.items()), own
    assert not list((folder / "tokens").iterdir())


def own_scenario(folder: Path) -> Path:
    """A scenario whose files have names a shell would stumble over, in a folder with a space."""
    mine = folder / "my scenarios" / "mine"
    mine.mkdir(parents=True)
    (mine / "scenario.yaml").write_text(MINE)
    (mine / "an odd; name $(x).sh").write_text("ls \"$ITB_SCENARIO_DIR\" | grep -F 'ünï code'\n")
    (mine / "ünï code\n-x").write_text("data\n")
    return mine


def test_worktree_with_odd_names(
    itb: Callable[..., Any], images: PlatformImages, run_dirs: Callable[[Path], list[Path]], tmp_path: Path
) -> None:
    """Uncommitted files of a local source, with odd names, in a folder with an odd name, are what is built."""
    source = tmp_path / "a folder; $(touch touched) 'x'"
    history = itb("refs", "--product", "pocketwms", "--json")
    assert history.code == 0, history.err
    newest = max((Settings().cache_dir / "history").glob("pocketwms-*.git"), key=lambda path: path.stat().st_mtime)
    subprocess.run(["git", "clone", "--quiet", str(newest), str(source)], check=True)
    (source / "-rf; $(touch touched) ünï\ncode").write_text("odd\n")
    readme = source / "README.md"
    readme.write_text(readme.read_text() + "changed, not committed\n")
    build_run = itb(
        "build", "--product", "pocketwms", "--source", str(source), "--ref", "worktree", "--progress", "plain"
    )
    try:
        assert build_run.code == 0, build_run.err + build_run.out
        (folder,) = run_dirs(tmp_path)
        commit = json.loads((folder / "state" / "commit.json").read_text())
        assert commit["kind"] == "worktree"
        assert "dirty" in commit["rpm_release"]
        assert not list(tmp_path.rglob("touched"))
    finally:
        itb("down")
