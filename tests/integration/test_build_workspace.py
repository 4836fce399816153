"""Builds in a real build workspace, and every way they go wrong.

The product is a small one whose ReleaseManager has the manners of
GlideinWMS's: it reads a child's standard output to its end before standard
error, rewrites tracked files, and ends with 0 where it skipped the RPMs.
"""

from __future__ import annotations

import dataclasses
import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from itb.build import release_manager
from itb.build.workspace import Workspace
from itb.config.product import BuildDefinition, Product, RoleDefinition, Source
from itb.containers.engine import Engine
from itb.containers.host import FileSpec, Host
from itb.errors import BuildError, TestbedError
from itb.model import Build, Commit, CommitKind, Outcome, PlatformImages, Trust
from itb.process.runner import Runner
from itb.rundir.directory import RunDir
from itb.rundir.journal import Journal
from itb.source import checkout, resolve
from itb.util import files

MANAGER = "build/ReleaseManager/release.py"
SPEC = "build/mini.spec"
RELEASE_PY = """\
import argparse, os, subprocess, sys

parser = argparse.ArgumentParser()
for option in ("--release-version", "--source-dir", "--release-dir", "--rc", "--rpm-release"):
    parser.add_argument(option)
parser.add_argument("--no-mock", action="store_true")
options = parser.parse_args()


def run(command):
    child = subprocess.Popen(command, shell=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = child.stdout.readlines(), child.stderr.readlines()
    if child.wait():
        print(f"Error running '{command}'\\nStdout:{out}\\nStderr:{err}\\nException Error: {child.returncode}")
        raise RuntimeError(command)


top = os.path.join(options.release_dir, options.release_version, "rpmbuild")
os.makedirs(top)
with open("tracked", "w") as file:
    file.write("rewritten")
release = f"0.{options.rc}.rc{options.rc}" if options.rc else "1"
if options.rpm_release:
    release = f"{release}.{options.rpm_release}" if options.rc else options.rpm_release
with open(os.path.join(options.source_dir, "build/mini.spec")) as file:
    text = file.read().replace("__VERSION__", options.release_version.replace("_", "."))
spec = os.path.join(top, "mini.spec")
with open(spec, "w") as file:
    file.write(text.replace("__RELEASE__", release))
run("git archive HEAD README >/dev/null")
run(f"rpmbuild -bb --define '_topdir {top}' {spec}")
"""
MINI_SPEC = """\
Name: mini
Version: __VERSION__
Release: __RELEASE__%{?dist}
Summary: A product for tests
License: Apache-2.0
BuildArch: noarch
BuildRequires: python3
%description
x
%package lib
Summary: Its library
%description lib
x
%install
mkdir -p %{buildroot}/usr/share/mini
date +%%s%%N > %{buildroot}/usr/share/mini/lib
touch --date=@${SOURCE_DATE_EPOCH} %{buildroot}/usr/share/mini/tool
echo constant > %{buildroot}/usr/share/mini/lib
%files
/usr/share/mini/tool
%files lib
/usr/share/mini/lib
"""
PRODUCT = Product(
    title="Mini",
    name="mini",
    source=Source(url="https://host/mini"),
    packages=("mini*",),
    build=BuildDefinition(checkout_name="mini", timeout=60),
    roles={"factory": RoleDefinition(packages=("mini", "mini-lib", "condor"))},
)


@pytest.fixture(scope="module")
def workspace(engine: Engine, images: PlatformImages, own_label: str) -> Iterator[Workspace]:
    """A workspace without a network; its only repository is an empty folder."""
    name = f"itb-test-{secrets.token_hex(4)}"
    started = ("run", "--detach", "--name", name, "--label", own_label, "--network", "none")
    engine.call(*started, images.build.id, "sleep", "infinity")
    host = Host(engine, name, "workspace")
    host.script("mkdir /srv/none; createrepo_c --quiet /srv/none; rm -f /etc/yum.repos.d/*")
    local = b"[none]\nname=none\nbaseurl=file:///srv/none\ngpgcheck=0\n"
    host.put(FileSpec("/etc/yum.repos.d/none.repo", local))
    # Fresh it is not after the first test, but what these candidates leave there is known.
    yield Workspace(
        platform="deb13", image_id=images.build.id, env={"LANG": "C.UTF-8"}, host=host, run="r", fresh=True
    )
    engine.call("rm", "--force", "--time", "0", name)


@dataclass
class Try:
    """One attempt at a build: edits, then everything from the reference to the RPMs."""

    folder: Path
    workspace: Workspace

    def commit(self, **edits: tuple[str, str]) -> Commit:
        """Commit the product with edits, ``spec`` or ``manager`` = (old, new), tagged v1_2_0."""
        sources = {"spec": (SPEC, MINI_SPEC), "manager": (MANAGER, RELEASE_PY)}
        repository = self.folder / "source"
        for key, (name, text) in sources.items():
            old, new = edits.get(key, ("", ""))
            assert old in text
            path = repository / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text.replace(old, new) if old else text)
        (repository / "README").write_text("x\n")
        git = ["git", "-C", str(repository), "-c", "user.name=t", "-c", "user.email=t@t"]
        subprocess.run(["git", "init", "--quiet", "--initial-branch=main", str(repository)], check=True)
        dates = {"GIT_AUTHOR_DATE": "1700000000 +0000", "GIT_COMMITTER_DATE": "1700000000 +0000"}
        for command in (["add", "--all"], ["commit", "--quiet", "--message", "x"], ["tag", "--force", "v1_2_0"]):
            subprocess.run(
                [*git, *command], check=True, env={**dates, "PATH": "/usr/bin:/bin"}, stdout=subprocess.DEVNULL
            )
        return resolve.resolve(
            PRODUCT, ref="v1_2_0", source=str(repository), cache=self.folder / "cache", runner=Runner()
        )

    def rundir(self) -> tuple[RunDir, Journal]:
        new_build = RunDir.create(self.folder / "runs", "mini")
        return new_build, Journal(new_build)

    def build(self, commit: Commit, *, of: Product = PRODUCT) -> tuple[Build, Journal]:
        rundir, journal = self.rundir()
        clone = checkout.checkout(
            commit, rundir.path / "clone" / "mini", cache=self.folder / "cache", runner=Runner()
        )
        new_build = release_manager.build(
            commit, of, clone=clone, workspace=self.workspace, cache=self.folder / "cache", rundir=rundir,
            journal=journal,
        )  # fmt: skip
        return new_build, journal


@pytest.fixture
def attempt(tmp_path: Path, workspace: Workspace) -> Try:
    return Try(tmp_path, workspace)


def test_good_build_then_the_same_from_the_cache(attempt: Try) -> None:
    commit = attempt.commit()
    new_build, journal = attempt.build(commit)
    assert [rpm.name for rpm in new_build.rpms] == ["mini", "mini-lib"]
    assert {rpm.version for rpm in new_build.rpms} == {"1.2.0"}
    assert new_build.rpms[0].release.startswith("1")
    assert new_build.arguments == (
        *("--release-version", "1_2_0", "--source-dir", "/var/lib/itb/source/mini"),
        *("--release-dir", "/var/lib/itb/release", "--no-mock"),
    )
    for rpm in new_build.rpms:
        assert files.sha256(Path(new_build.directory) / rpm.file) == rpm.sha256
    assert [case.outcome for case in journal.cases] == [Outcome.PASSED] * 3 + [Outcome.SKIPPED]
    assert {(case.phase, case.role) for case in journal.cases} == {("build", "workspace")}
    log = (journal.rundir.build / release_manager.LOG).read_text()
    assert "Wrote: " in log

    rundir, journal = attempt.rundir()
    again = release_manager.take_cached(
        commit,
        PRODUCT,
        workspace=attempt.workspace,
        cache=attempt.folder / "cache",
        rundir=rundir,
        journal=journal,
    )
    assert again
    assert again.cached
    assert again.rpms == new_build.rpms
    assert "taken from the cache" in journal.cases[1].message
    assert (rundir.build / release_manager.LOG).read_text() == log


COMMAND = """
mkdir -p "$ITB_RPM_DIR/made"
sed -e "s/__VERSION__/$ITB_PRODUCT_VERSION/" -e "s/__RELEASE__/$ITB_RPM_RELEASE/" build/mini.spec >mini.spec
rpmbuild -ba --define "_topdir $ITB_RPM_DIR/made" mini.spec
"""


def with_command(command: str) -> Product:
    return PRODUCT.model_copy(
        update={"build": BuildDefinition(command=command, checkout_name="mini", spec=SPEC, timeout=60)}
    )


def test_build_by_a_command(attempt: Try) -> None:
    """It needs no ReleaseManager; what it makes is looked at as closely."""
    commit = attempt.commit()
    made, journal = attempt.build(commit, of=with_command(COMMAND))
    assert [rpm.name for rpm in made.rpms] == ["mini", "mini-lib"]
    assert {(rpm.version, rpm.release.partition(".")[0]) for rpm in made.rpms} == {("1.2.0", "1")}
    assert made.source_rpm
    assert made.arguments == (COMMAND,)
    assert [case.outcome for case in journal.cases] == [Outcome.PASSED] * 3 + [Outcome.SKIPPED]


def test_build_that_replaces_itbs_tools(attempt: Try) -> None:
    """It is root beside them; the list of its RPMs is made by itb's own all the same."""
    spoil = "echo exit 1 >/var/lib/itb/tools/packages.sh"
    made, _ = attempt.build(attempt.commit(), of=with_command(f"{COMMAND}{spoil}\n"))
    assert [rpm.name for rpm in made.rpms] == ["mini", "mini-lib"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("$ITB_RPM_RELEASE", "7",
         "mini-1.2.0-7.deb13.noarch is stale or misnamed: its release is not 1 (and 1 more)"),
        ('--define "_topdir $ITB_RPM_DIR/made" ', "",
         "build command ended with status 0 but left no RPM in $ITB_RPM_DIR (/var/lib/itb/release): "
         "there is /root/rpmbuild/"),
        ("-ba", "-bz", "-bz: unknown option"),
        ("mkdir", "no-such-program; mkdir", "bash: line 1: no-such-program: command not found"),
    ],
)  # fmt: skip
def test_build_commands_that_fail(attempt: Try, old: str, new: str, message: str) -> None:
    attempt.workspace.host.call("rm", "-rf", "/root/rpmbuild")  # type: ignore[union-attr]
    commit = attempt.commit()
    command = COMMAND.replace(old, new).lstrip()
    with pytest.raises(BuildError) as caught:
        attempt.build(commit, of=with_command(command))
    assert message in caught.value.message


def test_the_cache_is_not_asked_for_another_build(attempt: Try) -> None:
    commit = attempt.commit()
    attempt.build(commit)
    rundir, journal = attempt.rundir()
    other = Workspace(platform="deb13", image_id="other image", env=attempt.workspace.env)
    longer = PRODUCT.model_copy(update={"build": PRODUCT.build.model_copy(update={"env": {"A": "b"}})})
    for product, workspace in ((PRODUCT, other), (longer, attempt.workspace)):
        assert not release_manager.take_cached(
            commit, product, workspace=workspace, cache=attempt.folder / "cache", rundir=rundir, journal=journal
        )
    assert journal.cases == []


def test_nothing_is_kept_of_a_workspace_that_is_not_fresh(attempt: Try) -> None:
    used = dataclasses.replace(attempt.workspace, fresh=False)
    new_build, _ = dataclasses.replace(attempt, workspace=used).build(attempt.commit())
    assert len(new_build.rpms) == 2
    assert not (attempt.folder / "cache" / "builds").exists()


def test_a_release_is_not_taken_from_what_was_built_as_something_else(attempt: Try) -> None:
    commit, workspace = attempt.commit(), dataclasses.replace(attempt.workspace, trust=Trust.RELEASE)
    attempt.build(commit)
    release = dataclasses.replace(attempt, workspace=workspace)
    new_build, journal = release.build(commit)
    assert not new_build.cached
    again, journal = release.build(commit)
    assert again.cached
    assert "by run r as release" in journal.cases[1].message


def test_files_of_a_worktree_are_for_worktrees_only(attempt: Try) -> None:
    commit = attempt.commit()
    worktree = commit.model_copy(update={"kind": CommitKind.WORKTREE})
    attempt.build(worktree)
    assert not attempt.build(commit)[0].cached
    assert attempt.build(worktree)[0].cached


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")
def test_full_disk_of_the_cache_is_a_note(attempt: Try) -> None:
    """The run has its RPMs: that no later one can take them is no fault of this build."""
    builds = attempt.folder / "cache" / "builds"
    commit = attempt.commit()
    builds.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k,mode=0700", "tmpfs", str(builds)], check=True)
    try:
        new_build, journal = attempt.build(commit)
        assert list(builds.iterdir()) == []
    finally:
        subprocess.run(["umount", str(builds)], check=True)
    assert [case.outcome for case in journal.cases] == [Outcome.PASSED] * 3 + [Outcome.SKIPPED]
    assert re.search(r"; not kept for later runs: .*No space left on device", journal.cases[3].message)
    assert all(files.sha256(Path(new_build.directory) / rpm.file) == rpm.sha256 for rpm in new_build.rpms)


def test_two_builds_of_a_commit_are_the_same_bytes(attempt: Try) -> None:
    commit = attempt.commit()
    first, _ = attempt.build(commit)
    shutil.rmtree(attempt.folder / "cache" / "builds")
    second, _ = attempt.build(commit)
    assert not second.cached
    assert [rpm.sha256 for rpm in first.rpms] == [rpm.sha256 for rpm in second.rpms]


def test_much_on_standard_error_blocks_nobody(attempt: Try) -> None:
    """More than the 64 KiB a pipe holds, through a ReleaseManager that reads the other pipe first."""
    noise = "%install\nset +x; yes 'a line of complaint' | head --bytes=300000 >&2\n"
    new_build, journal = attempt.build(attempt.commit(spec=("%install\n", noise)))
    assert len(new_build.rpms) == 2
    assert (journal.rundir.build / release_manager.LOG).read_text().count("a line of complaint") > 10_000


CAUSES: dict[str, tuple[dict[str, tuple[str, str]], str]] = {
    "unpackaged file": (
        {"spec": ("%files\n", "touch %{buildroot}/usr/share/mini/more\n%files\n")},
        r"Installed \(but unpackaged\) file\(s\) found: /usr/share/mini/more",
    ),
    "file not installed": (
        {"spec": ("%files lib\n", "%files lib\n/usr/share/mini/absent\n")},
        "in %files but not installed: /usr/share/mini/absent",
    ),
    "bad line": (
        {"spec": ("License: Apache-2.0", "License: Apache-2.0\nLicence: x")},
        "line 6 of the spec: Unknown tag: Licence: x",
    ),
    "failing section": (
        {"spec": ("%install\n", "%install\ncp /nothing/here %{buildroot}\n")},
        "%install of the spec failed: cp: cannot stat '/nothing/here': No such file or directory",
    ),
    "unknown BuildRequires": (
        {"spec": ("BuildRequires: python3", "BuildRequires: python3\nBuildRequires: no-such-thing > 2")},
        "BuildRequires no repository of deb13 provides: no-such-thing > 2",
    ),
    "BuildRequires too new": (
        {"spec": ("BuildRequires: python3", "BuildRequires: python3 >= 99")},
        "missing BuildRequires: python3 >= 99",
    ),
    "exception": (
        {"manager": ("os.makedirs(top)", "os.makedir(top)")},
        "ReleaseManager stopped: AttributeError: module 'os' has no attribute 'makedir'",
    ),
    "syntax error": (
        {"manager": ("def run(command):", "def run(command)")},
        "ReleaseManager does not say what its arguments are: SyntaxError: expected ':'",
    ),
    "failing command": (
        {"manager": ("HEAD README", "HEAD ABSENT")},
        "git: fatal: pathspec 'ABSENT' did not match any files",
    ),
    "argument gone": (
        {"manager": ('"--source-dir"', '"--sources"')},
        "ReleaseManager offers no --source-dir",
    ),
    "skipped": (
        {"manager": ("top = os", "sys.exit(print('RPMs will not be build for this platform'))\ntop = os")},
        "ended with status 0 but made no RPM: ReleaseManager skipped the RPMs: .*operating system",
    ),
    "another version": (
        {"manager": ('options.release_version.replace("_", ".")', '"1.1.9"')},
        r"mini-1\.1\.9-1\S* is stale or misnamed: its version is not 1\.2\.0",
    ),
    "package missing": (
        {"spec": ("%files lib\n", "#\n")},
        "(unpackaged|no RPM of mini-lib was made)",
    ),
    "broken file": (
        {"manager": ("run(f\"rpmbuild", "open(os.path.join(top, 'x.rpm'), 'w').write('x')\nrun(f\"rpmbuild")},
        r"x\.rpm cannot be used",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", list(CAUSES))
def test_failure_says_its_cause_in_one_line(attempt: Try, name: str) -> None:
    edits, cause = CAUSES[name]
    commit = attempt.commit(**edits)
    with pytest.raises(BuildError, match=cause) as caught:
        attempt.build(commit)
    assert caught.value.exit_code == 4
    assert "\n" not in caught.value.message
    assert not list((attempt.folder / "cache").glob("builds/*"))


def test_failure_is_the_products_and_its_log_whole(attempt: Try) -> None:
    edits, _ = CAUSES["failing section"]
    rundir, journal = attempt.rundir()
    commit = attempt.commit(**edits)
    clone = checkout.checkout(commit, rundir.path / "mini", cache=attempt.folder / "cache", runner=Runner())
    with pytest.raises(BuildError):
        release_manager.build(
            commit, PRODUCT, clone=clone, workspace=attempt.workspace, cache=attempt.folder / "cache",
            rundir=rundir, journal=journal,
        )  # fmt: skip
    assert [case.outcome for case in journal.cases] == [Outcome.PASSED, Outcome.FAILED]
    assert journal.cases[1].log == f"build/{release_manager.LOG}"
    assert "Executing(%install)" in (rundir.build / release_manager.LOG).read_text()
    assert "cannot stat" in journal.cases[1].evidence


def test_hanging_build_is_ended_to_its_last_child(
    attempt: Try, limits_start_when: Callable[..., None], is_running: Callable[[str], bool]
) -> None:
    """The child left the session, ignores TERM and closed its pipes: it must go all the same."""
    one, two = (f"sleep {seconds + secrets.randbelow(1_000_000)}" for seconds in (1_000_000, 2_000_000))
    limits_start_when(lambda: is_running(one) and is_running(two))
    hang = f"%install\nsetsid bash -c 'trap \"\" TERM; {one}' </dev/null >/dev/null 2>&1 &\n{two}\n"
    commit = attempt.commit(spec=("%install\n", hang))
    soon = PRODUCT.model_copy(update={"build": PRODUCT.build.model_copy(update={"timeout": 1})})
    with pytest.raises(
        BuildError, match=rf"did not end within its time limit of 1 s; what ran last: .*({one}|{two})"
    ) as caught:
        attempt.build(commit, of=soon)
    assert "still running: python3" in caught.value.evidence
    assert attempt.workspace.host
    left = attempt.workspace.host.call("bash", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '").stdout
    assert one not in left
    assert two not in left
    assert "release.py" not in left


def test_daemon_left_by_a_good_build_does_not_outlive_it(attempt: Try) -> None:
    daemon = "%install\nsetsid sleep 6543 </dev/null >/dev/null 2>&1 &\n"
    new_build, _ = attempt.build(attempt.commit(spec=("%install\n", daemon)))
    assert len(new_build.rpms) == 2
    assert attempt.workspace.host
    assert "6543" not in attempt.workspace.host.call("bash", "-c", "cat /proc/[0-9]*/cmdline").stdout


def test_unreachable_repository_is_the_testbeds_fault(attempt: Try, new_repo: Callable[[str], None]) -> None:
    new_repo("http://127.0.0.1:1/")
    commit = attempt.commit(spec=("BuildRequires: python3", "BuildRequires: no-such-thing"))
    with pytest.raises(TestbedError, match="could not be installed") as caught:
        attempt.build(commit)
    assert caught.value.exit_code == 5


@pytest.fixture
def new_repo(workspace: Workspace) -> Iterator[Callable[[str], None]]:
    """Point the workspace's repository elsewhere for one test."""
    host = workspace.host
    assert host
    before = host.get("/etc/yum.repos.d/none.repo")

    def change(url: str) -> None:
        changed = before.replace(b"file:///srv/none", url.encode())
        host.put(FileSpec("/etc/yum.repos.d/none.repo", changed))

    yield change
    host.put(FileSpec("/etc/yum.repos.d/none.repo", before))


def test_a_disk_that_only_the_candidate_calls_full_is_the_candidates_fault(attempt: Try) -> None:
    """Whether one of the testbed's is, itb looks for itself."""
    full = ("%install\n", "%install\necho x > /dev/full\n")
    with pytest.raises(BuildError, match=r"%install of the spec failed: .*No space left on device"):
        attempt.build(attempt.commit(spec=full))
