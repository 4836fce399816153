"""What may be published and where, and the commands that Koji gets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from itb.cli.commands import publish
from itb.config import settings
from itb.config.settings import KojiSettings
from itb.errors import UsageError
from itb.model import Build, Case, Commit, CommitKind, Outcome, Rpm, RunTrust, Trust
from itb.process import ssh as process_ssh
from itb.process.request import Request
from itb.process.result import Completed
from itb.process.runner import Runner
from itb.repository import export
from itb.rundir import seal, values
from itb.rundir.directory import RunDir, RunState

SRPM = Path("/runs/x/build/rpms/glideinwms-3.11.2-1.src.rpm")
COMMIT = Commit(
    product="glideinwms", source="s", ref="v3_11_2", kind="tag", id="1" * 40, tree="2" * 40, date="", subject="",
    version="3.11.2",
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "host", "path"),
    [
        ("user@repo.example.org:/srv/repo", "user@repo.example.org", "/srv/repo"),
        ("repo:el9", "repo", "el9"),
        ("/srv/a:b", "", "/srv/a:b"),
        ("./x:y", "", str(Path.cwd() / "x:y")),
    ],
)
def test_target(text: str, host: str, path: str) -> None:
    assert export.parse_target(text) == export.Target(path, host)


def test_nothing_reaches_ssh_as_an_option() -> None:
    assert export.parse_target("-oProxyCommand=x:/y").host == ""


def test_other_machine_is_asked_for_the_directory_as_it_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    commands = []

    def ssh(request: Request, _runner: Runner) -> Completed:
        commands.append((request.host, list(request.argv)))
        return Completed(("x",), 0, json.dumps({"added": [], "kept": [], "packages": 0}), "", 0.1)

    monkeypatch.setattr(process_ssh, "run", ssh)
    export.copy([], export.Target("/srv/a b; rm -rf /", "u@h"), Runner())
    ((host, argv),) = commands
    assert (host, argv[:3]) == ("u@h", ["python3", "-I", "-c"])
    assert argv[4] == "/srv/a b; rm -rf /"


@pytest.mark.parametrize(
    ("koji", "last"),
    [
        (
            KojiSettings(program="osg-koji", target="osg-24-main-el9"),
            ["osg-koji", "build", "--scratch", "osg-24-main-el9", str(SRPM)],
        ),
        (
            KojiSettings(program="koji", target="t-el9", scratch=False, wait=False, options=("-p", "osg")),
            ["koji", "-p", "osg", "build", "--nowait", "t-el9", str(SRPM)],
        ),
        (
            KojiSettings(program="/opt/osg-build", target="osg-24-main-el9", tag="osg-24-el9", wait=False),
            ["/opt/osg-build", "koji", "--scratch", "--no-vcs", "--no-wait", "--koji-target", "osg-24-main-el9",
             "--koji-tag", "osg-24-el9", "/runs/x/publish/glideinwms"],
        ),
    ],
)  # fmt: skip
def test_koji_is_told(koji: KojiSettings, last: list[str]) -> None:
    """The options are those of koji build --help and osg-build koji --help."""
    lines = export.koji_commands(koji, SRPM, "glideinwms", Path("/runs/x/publish"))
    assert lines[-1] == last
    assert len(lines) == (4 if "osg-build" in koji.program else 1)


@pytest.mark.parametrize(
    ("koji", "words"),
    [
        (KojiSettings(), "program and target"),
        (KojiSettings(program="koji"), "program and target"),
        (KojiSettings(program="koji", target="t", tag="g"), "takes no tag"),
        (KojiSettings(program="osg-build", target="t-el9", scratch=False), "version control only"),
    ],
)
def test_koji_is_refused(koji: KojiSettings, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        export.koji_commands(koji, SRPM, "glideinwms", Path("/x"))


def run(folder: Path, *, code: int = 0, commit: Commit = COMMIT, **build: Any) -> RunDir:
    """Return a run that has tried all phases and ended."""
    rundir = RunDir(folder / "run")
    rundir.path.mkdir()
    state = RunState(
        id="run", short_id="1", product="glideinwms", platform="el9", ref="v3_11_2", started=1, finished=9,
        exit_code=code,
    )  # fmt: skip
    rundir.write_state(state)
    for phase in ("build", "serve", "up", "install", "token", "test"):
        rundir.append_case(
            Case(phase=phase, role="factory", name=phase, outcome=Outcome.FAILED if code and phase == "test" else
                 Outcome.PASSED, message="no glidein" if code else "", started=1, seconds=1, exit_code=code)
        )  # fmt: skip
    rundir.save(values.COMMIT, commit)
    rpm = Rpm(name="a", version="1", release="1", arch="noarch", file="a.rpm", sha256="", size=1)
    rundir.save(values.BUILD, Build(commit=commit, platform="el9", directory=str(folder), rpms=(rpm,), **build))
    return rundir


def test_green_run_may_be_published(tmp_path: Path) -> None:
    assert publish.publishable(run(tmp_path), force=False).rpms


@pytest.mark.parametrize("force", [False, True])
def test_red_run_only_by_force(tmp_path: Path, force: bool) -> None:
    rundir = run(tmp_path, code=2)
    if force:
        assert publish.publishable(rundir, force=True)
    else:
        with pytest.raises(UsageError, match="is not green: A scenario failed: factory: test: no glidein"):
            publish.publishable(rundir, force=False)


def test_run_that_stopped_early_is_not_green(tmp_path: Path) -> None:
    rundir = run(tmp_path)
    lines = (rundir.path / "cases.jsonl").read_text().splitlines()
    (rundir.path / "cases.jsonl").write_text("\n".join(lines[:2]) + "\n")
    with pytest.raises(UsageError, match="that is not the whole run"):
        publish.publishable(rundir, force=False)


def test_uncommitted_files_never(tmp_path: Path) -> None:
    rundir = run(tmp_path, commit=COMMIT.model_copy(update={"kind": CommitKind.WORKTREE}))
    with pytest.raises(UsageError, match="uncommitted files"):
        publish.publishable(rundir, force=True)


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("source", ["git://host/x.git", "http://host/x.git"])
def test_what_others_could_have_changed_on_its_way_is_tested_again(
    tmp_path: Path, source: str, *, force: bool
) -> None:
    rundir = run(tmp_path, commit=COMMIT.model_copy(update={"source": source}))
    with pytest.raises(UsageError, match=r"came by (git|http)://: anybody on the net") as caught:
        publish.publishable(rundir, force=force)
    assert f"--ref {'1' * 40}" in caught.value.hint
    assert caught.value.hint.endswith("--trust release"), "its tags came the same way"
    safe = COMMIT.model_copy(update={"source": source, "ref": COMMIT.id, "kind": CommitKind.COMMIT})
    (tmp_path / "again").mkdir()
    again = run(tmp_path / "again", commit=safe)
    with pytest.raises(UsageError, match="has level of trust branch; only release is published"):
        publish.publishable(again, force=force)
    again.update(trust=RunTrust(level=Trust.RELEASE, reference=Trust.BRANCH))
    assert publish.publishable(again, force=force)


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize(
    ("change", "level"),
    [
        ({"kind": CommitKind.BRANCH}, "branch"),
        ({"kind": CommitKind.PR, "ref": "pr/7"}, "pr"),
        ({"rpm_release": "1.4.g0123456"}, "branch"),
    ],
)
def test_what_is_no_release_only_where_the_user_has_raised_it(
    tmp_path: Path, change: dict[str, Any], level: str, *, force: bool
) -> None:
    rundir = run(tmp_path, commit=COMMIT.model_copy(update=change))
    with pytest.raises(UsageError, match=f"has level of trust {level}; only release") as caught:
        publish.publishable(rundir, force=force)
    assert "itb run --resume run --trust release" in caught.value.hint
    rundir.update(trust=RunTrust(level=Trust.RELEASE, reference=Trust(level)))
    assert publish.publishable(rundir, force=force)


@pytest.mark.parametrize("force", [False, True])
def test_what_was_taken_from_the_cache_is_built_again(tmp_path: Path, force: bool) -> None:
    """What is published was built for the run that tested it; --force is about the verdict."""
    rundir = run(tmp_path, cached=True)
    with pytest.raises(UsageError, match="took its RPMs from the cache") as caught:
        publish.publishable(rundir, force=force)
    assert f"itb run --product glideinwms --platform el9 --ref {'1' * 40}" in caught.value.hint
    assert caught.value.hint.endswith("--fresh-build")


def test_what_is_published_already(tmp_path: Path) -> None:
    rundir = run(tmp_path, published="https://x.org", commit=COMMIT.model_copy(update={"source": "osg"}))
    with pytest.raises(UsageError, match="published already, in osg"):
        publish.publishable(rundir, force=True)


def test_koji_needs_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    rundir = run(tmp_path)
    seal.write(rundir)
    monkeypatch.chdir(rundir.path)
    koji = {"program": "koji", "target": "t"}
    (tmp_path / "run" / "itb.yaml").write_text(json.dumps({"publish": {"koji": koji}}))
    with pytest.raises(UsageError, match="has no SRPM"):
        publish.run({"runs": str(tmp_path)}, "run", koji=True, dry_run=True, force=False)
    with pytest.raises(UsageError, match="publish where"):
        publish.run({"runs": str(tmp_path)}, "run", koji=False, dry_run=True, force=False)


def test_settings_are_a_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ITB_PUBLISH", "x")
    with pytest.raises(UsageError, match="can only be set in a file"):
        settings.load({})
