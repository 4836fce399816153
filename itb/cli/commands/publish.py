"""What ``itb publish`` does: whether a run may be published, what of it, where to."""

from __future__ import annotations

import shlex
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from itb.cli.commands import common
from itb.config.settings import KojiSettings, Settings
from itb.containers import naming
from itb.errors import UsageError
from itb.model import Build, CommitKind
from itb.process.runner import Runner
from itb.report import facts as report_facts
from itb.report import summary, verdict
from itb.report.verdict import Kind
from itb.repository import export
from itb.repository import signed as repositories
from itb.repository.export import Target
from itb.repository.published import KEY_NAME
from itb.rundir import values
from itb.rundir.directory import RunDir


def run(flags: Mapping[str, Any], wanted: str, *, koji: bool, dry_run: bool, force: bool) -> None:
    """Publish a run to a directory, to Koji, or both; ``flags`` are settings and those of Koji."""
    chosen = common.settings_from({"runs": flags.get("runs"), "engine": flags.get("engine")})
    to = flags.get("to") or ("" if koji else chosen.publish.to)
    if not to and not koji:
        raise UsageError(
            "publish where?",
            hint="--to DIRECTORY or --to USER@HOST:/PATH copies the RPMs, --koji hands the SRPM to Koji; "
            "publish: {to: ...} in itb.yaml sets a place for good",
        )
    rundir = RunDir.find(chosen.runs_dir, wanted)
    with rundir.lock():
        made = publishable(rundir, force=force)
        if to:
            _copy(chosen, rundir, made, to, key=flags.get("sign_key") or chosen.publish.sign_key, dry_run=dry_run)
        if koji:
            _koji(_koji_settings(chosen.publish.koji, flags), rundir, made, dry_run=dry_run)


def publishable(rundir: RunDir, *, force: bool) -> Build:
    """Return the build of a run that may be published; UsageError with the reason for any other."""
    facts = report_facts.gather(rundir)
    judged = verdict.judge(facts)
    made, commit = rundir.saved(values.BUILD), rundir.saved(values.COMMIT)
    if made is None or commit is None:
        raise UsageError(f"run {rundir.id} has no RPMs: nothing to publish")
    if made.published:
        raise UsageError(f"run {rundir.id} has tested what is published already, in {commit.source}")
    if commit.kind is CommitKind.WORKTREE or "dirty" in commit.rpm_release:
        raise UsageError(
            f"run {rundir.id} was built from uncommitted files: nobody could build that again",
            hint="commit them and test the commit",
        )
    if made.cached:
        raise UsageError(
            f"run {rundir.id} took its RPMs from the cache: only what was built for the run that tested it "
            "is published",
            hint=f"build and test it again: {summary.reproduce(facts)} --fresh-build",
        )
    if judged.kind is not Kind.PASSED and not force:
        raise UsageError(
            f"run {rundir.id} is not green: {judged.headline}" + (f": {judged.reason}" if judged.reason else ""),
            hint="--force publishes it all the same",
        )
    return made


def _copy(chosen: Settings, rundir: RunDir, made: Build, to: str, *, key: str, dry_run: bool) -> None:
    target = export.parse_target(to)
    runner = Runner(record=rundir.record_command, limits=chosen.time_limits)
    with tempfile.TemporaryDirectory(prefix="itb-sign-") as folder:
        if key:
            files = [Path(made.directory) / rpm.file for rpm in _packages(made)]
            how = f"signed with your key {key}"
        else:
            files = _signed_by_run(rundir, made)
            how = "signed with the run's own key, which nobody has any more"
        if dry_run:
            print(f"would copy to {target}{' by ssh' if target.host else ''}, {how}:")
            print("\n".join(f"  {path.name}" for path in files if path.suffix == ".rpm"))
            print("and have its index made by createrepo_c where the directory is")
            return
        if key:
            files = export.sign(files, key, Path(folder), runner)
        received = export.copy(files, target, runner, indexer=_indexer(chosen, rundir, target))
    for word, names in (("added", received.added), ("there already", received.kept)):
        for name in names:
            print(f"{word:14}{name}")
    print(f"{received.packages} packages at {target}, {how}; public key {target}/{KEY_NAME}")
    again = ["itb", "run", "--product", made.commit.product, "--platform", made.platform, "--from-repo"]
    where = "URL, by which the directory is served" if target.host else shlex.quote(target.path)
    print(f"try them: {shlex.join(again)} {where}")


def _packages(made: Build) -> list[Any]:
    return [*made.rpms, *([made.source_rpm] if made.source_rpm else [])]


def _signed_by_run(rundir: RunDir, made: Build) -> list[Path]:
    """The signed copies that came back from the services host with the logs, and the key."""
    folder = rundir.repo / repositories.SIGNED
    files = [folder / rpm.file for rpm in _packages(made)]
    missing = [path.name for path in files if not path.is_file()]
    key = folder / KEY_NAME
    if missing or not key.is_file():
        raise UsageError(
            f"run {rundir.id}: its signed packages are not in {folder} ({', '.join(missing) or key.name})",
            hint=f"they come back with the logs (itb down --run {rundir.id}); or sign with your own: --sign-key",
        )
    return [key, *files]


def _indexer(chosen: Settings, rundir: RunDir, target: Target) -> list[str]:
    """The command that makes the index: the default, or in a container of the run's platform."""
    if target.host or shutil.which("createrepo_c"):
        return []
    images = rundir.saved(values.IMAGES)
    engine = common.find_engine(chosen)
    if images is None or not engine.image_id(images.services.reference):
        export.require_program(
            "createrepo_c",
            "it makes the index, and the image that has it is gone",
            f"dnf or apt-get install createrepo-c, or itb platform build {rundir.state.platform}",
        )
    assert images is not None
    labels = naming.options(naming.run_labels(rundir.id, rundir.path.parent))
    words = ["env", *(f"{name}={value}" for name, value in engine.env.items()), engine.program]
    return export.indexer_in_container(words, labels, images.services.reference)


def _koji_settings(koji: KojiSettings, flags: Mapping[str, Any]) -> KojiSettings:
    changed = {name: flags[name] for name in ("target", "tag") if flags.get(name)}
    if flags.get("scratch") is False:
        changed["scratch"] = False
    return koji.model_copy(update=changed)


def _koji(koji: KojiSettings, rundir: RunDir, made: Build, *, dry_run: bool) -> None:
    if made.source_rpm is None:
        raise UsageError(f"run {rundir.id} has no SRPM: Koji builds from source", hint="RPMs: --to DIRECTORY")
    srpm = Path(made.directory) / made.source_rpm.file
    if not srpm.is_file():
        raise UsageError(f"run {rundir.id}: {srpm} is gone", hint="itb run makes it again")
    lines = export.koji_commands(koji, srpm, made.source_rpm.name, rundir.path / "publish")
    if dry_run:
        print("\n".join(shlex.join(line) for line in lines))
        return
    shutil.rmtree(rundir.path / "publish", ignore_errors=True)
    (rundir.path / "publish").mkdir()
    export.submit_to_koji(lines, Runner(record=rundir.record_command), rundir.path / "publish" / "koji.log")
    print(f"{srpm.name} handed to Koji for {koji.target}{', a scratch build' if koji.scratch else ''}")
