"""``itb publish``: checks that a run may be published, and copies its RPMs or hands its SRPM to Koji."""

from __future__ import annotations

import shlex
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from itb.cli.commands import common, publish_files
from itb.config import trust
from itb.config.option import fields
from itb.config.options import DeclaredKoji, DeclaredPublish
from itb.config.settings import KojiSettings, Settings
from itb.errors import UsageError
from itb.model import Build, Commit, CommitKind, Record, RunTrust, Trust
from itb.process.runner import Runner
from itb.report import next_commands as report_commands
from itb.report import verdict as report_verdict
from itb.report.run_data import read_run_data
from itb.report.verdict import VerdictKind
from itb.repository import export
from itb.repository import server as repository_server
from itb.repository.export import Target
from itb.repository.keys import KEY_NAME
from itb.rundir import seal, values
from itb.rundir.directory import RunDir

R = TypeVar("R", bound=Record)


def run(
    flags: Mapping[str, Any], run_name: str, *, koji: bool, dry_run: bool, force: bool, copied: bool = False
) -> None:
    """Publish a run to a directory, to Koji, or both; ``flags`` has the settings of both.

    ``force`` is about a run that is not green, ``copied`` about one that nobody knows to be this user's.
    """
    settings = common.settings_from({"runs": flags.get("runs"), "engine": flags.get("engine")})
    publish = _with_flags(settings.publish, DeclaredPublish, flags)
    to = publish.to if flags.get("to") or not koji else ""
    if not to and not koji:
        raise UsageError(
            "publish where?",
            hint="--to DIRECTORY or --to USER@HOST:/PATH copies the RPMs, --koji hands the SRPM to Koji; "
            "publish: {to: ...} in itb.yaml sets a place for good",
        )
    rundir = RunDir.find(settings.runs_dir, run_name)
    if not copied and not seal.is_intact(rundir):
        raise UsageError(
            f"run {rundir.id} was not made here by you: nobody knows who says that it is green",
            hint="a candidate's tree may bring such a directory along; if you trust it: --copied",
        )
    with rundir.lock():
        build = publishable(rundir, force=force)
        run_trust = trust_of(rundir, build.commit)
        if run_trust.level is not run_trust.reference:
            common.print_clean(f"level of trust: {run_trust.text}")
        if to:
            _copy(settings, rundir, build, to, key=publish.sign_key, dry_run=dry_run)
        if koji:
            own = _with_flags(publish.koji, DeclaredKoji, flags)
            _submit_to_koji(settings, own, rundir, build, dry_run=dry_run)


def publishable(rundir: RunDir, *, force: bool) -> Build:
    """Return the build of a run; UsageError with the reason if it may not be published."""
    run_data = read_run_data(rundir)
    verdict = report_verdict.judge(run_data)
    build, commit = rundir.load(values.BUILD), rundir.load(values.COMMIT)
    if build is None or commit is None:
        raise UsageError(f"run {rundir.id} has no RPMs: nothing to publish")
    if build.published:
        raise UsageError(f"run {rundir.id} has tested what is published already, in {commit.source}")
    if commit.kind is CommitKind.WORKTREE or "dirty" in commit.rpm_release:
        raise UsageError(
            f"run {rundir.id} was built from uncommitted files: nobody could build that again",
            hint="commit them and test the commit",
        )
    if commit.open_transport:
        raise UsageError(
            f"run {rundir.id} was built of what came by {commit.open_transport}://: "
            "anybody on the network in between could have changed it",
            hint="test it from https or ssh; or, if that is the commit's id as its author tells it: "
            f"{report_commands.reproduce(run_data)} --trust {Trust.RELEASE}",
        )
    if not trust.LEVELS[(run_trust := trust_of(rundir, commit)).level].publish:
        raise UsageError(
            f"run {rundir.id} has level of trust {run_trust.text}; only {Trust.RELEASE} is published",
            hint="test the tag of a version; or, if you trust this candidate as one: "
            f"itb run --resume {rundir.id} --trust {Trust.RELEASE}",
        )
    if build.cached:
        raise UsageError(
            f"run {rundir.id} took its RPMs from the cache: only what was built for the run that tested it "
            "is published",
            hint=f"build and test it again: {report_commands.reproduce(run_data)} --fresh-build",
        )
    if verdict.kind is not VerdictKind.PASSED and not force:
        raise UsageError(
            f"run {rundir.id} is not green: " + ": ".join(filter(None, [verdict.headline, verdict.reason])),
            hint="--force publishes it all the same",
        )
    return build


def trust_of(rundir: RunDir, commit: Commit) -> RunTrust:
    """Return the level of a run; of one of an older version, which did not record it, that of its reference."""
    by_reference = trust.of_reference(commit)
    return rundir.state.trust or RunTrust(level=by_reference, reference=by_reference)


def _copy(settings: Settings, rundir: RunDir, build: Build, to: str, *, key: str, dry_run: bool) -> None:
    target = export.parse_target(to)
    runner = Runner(record=rundir.record_command, limits=settings.time_limits)
    _check_complete(rundir, build, signed=not key)
    with tempfile.TemporaryDirectory(prefix="itb-publish-") as temporary:
        folder = Path(temporary)
        rpms = publish_files.packages(build)
        files = publish_files.copy_checked(settings, rundir, rpms, folder, signed=not key)
        signature = f"your key {key}" if key else "the run's own key, which nobody has any more"
        if dry_run:
            print(f"would copy to {target}{' by ssh' if target.host else ''}, signed with {signature}:")
            common.print_clean("\n".join(f"  {path.name}" for path in files if path.suffix == ".rpm"))
            print("and have its index made by createrepo_c where the directory is")
            return
        if key:
            files = export.sign(files, key, folder, runner)
        received = export.copy(files, target, runner, indexer=_indexer(settings, rundir, target))
    for state, names in (("added", received.added), ("there already", received.kept)):
        for name in names:
            common.print_clean(f"{state:14}{name}")
    print(f"{received.packages} packages at {target}, signed with {signature}; public key {target}/{KEY_NAME}")
    command = ["itb", "run", "--product", build.commit.product, "--platform", build.platform, "--from-repo"]
    origin = "URL, by which the directory is served" if target.host else shlex.quote(target.path)
    print(f"try them: {shlex.join(command)} {origin}")


def _check_complete(rundir: RunDir, build: Build, *, signed: bool) -> None:
    """Raise UsageError if the packages that the run has signed did not come back from its services host."""
    folder = rundir.repo / repository_server.SIGNED
    names = [KEY_NAME, *(rpm.file for rpm in publish_files.packages(build))]
    missing = [name for name in names if signed and not (folder / name).is_file()]
    if missing:
        raise UsageError(
            f"run {rundir.id}: its signed packages are not in {folder} ({', '.join(missing)})",
            hint=f"they come back with the logs (itb down --run {rundir.id}); or sign with your own: --sign-key",
        )


def _indexer(settings: Settings, rundir: RunDir, target: Target) -> list[str]:
    """Return the command that makes the index in a platform's container; empty if createrepo_c is installed."""
    if target.host or shutil.which("createrepo_c"):
        return []
    clean = publish_files.find_image(settings, rundir)
    if clean is None:
        export.require_program(
            "createrepo_c",
            "it makes the index, and the image that has it is gone",
            f"dnf or apt-get install createrepo-c, or itb platform build {rundir.state.platform}",
        )
    assert clean is not None
    return clean.engine.command_line(clean.image, export.INDEX, folder=export.DIRECTORY, labels=clean.labels)


def _with_flags(settings: R, declaring: type, flags: Mapping[str, Any]) -> R:
    """Return nested settings changed by the flags that are not at their defaults."""
    defaults = {name: option.default for name, option in fields(declaring).items()}
    changed = {key: flags[key] for key, default in defaults.items() if flags.get(key, default) != default}
    return settings.model_copy(update=changed)


def _submit_to_koji(
    settings: Settings, koji: KojiSettings, rundir: RunDir, build: Build, *, dry_run: bool
) -> None:
    if build.source_rpm is None:
        raise UsageError(f"run {rundir.id} has no SRPM: Koji builds from source", hint="RPMs: --to DIRECTORY")
    folder = rundir.path / "publish"
    srpm = folder / build.source_rpm.file
    commands = export.koji_commands(koji, srpm, build.source_rpm.name, folder)
    with tempfile.TemporaryDirectory(prefix="itb-publish-") as temporary:
        only = [build.source_rpm]
        (checked,) = publish_files.copy_checked(settings, rundir, only, Path(temporary), signed=False)
        if dry_run:
            print("\n".join(shlex.join(command) for command in commands))
            return
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        shutil.copyfile(checked, srpm)
    export.submit_to_koji(commands, Runner(record=rundir.record_command), folder / "koji.log")
    print(f"{srpm.name} handed to Koji for {koji.target}{', a scratch build' if koji.scratch else ''}")
