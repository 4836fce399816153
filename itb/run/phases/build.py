"""The phases build and serve: the candidate's RPMs are built, linted, signed and served."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from itb.build import release_manager
from itb.build.workspace import Workspace
from itb.config import trust
from itb.containers import naming
from itb.containers.host import Host
from itb.errors import TestbedError
from itb.model import Build, CaseKey, Commit, PlatformImages, Repo, SigningKey
from itb.phase import Phase
from itb.repository import rpmlint
from itb.roles import SERVICES, WORKSPACE
from itb.run.cell import Cell
from itb.run.phases import published
from itb.run.phases.up import boots, load_ca, make_ready, start_containers
from itb.rundir import checkpoints, values
from itb.rundir.checkpoints import USED_WORKSPACE, CheckpointKey, CheckpointKind
from itb.rundir.directory import RunDir
from itb.rundir.journal import CaseRecorder
from itb.source import checkout
from itb.util.text import count

LINT = CaseKey(Phase.SERVE, SERVICES, "rpmlint looks at the RPMs")


@dataclass(frozen=True)
class BuildRequest:
    """A commit to build, with the directory for its log and RPMs, and the journal for its cases."""

    commit: Commit
    rundir: RunDir
    journal: CaseRecorder


def cached_candidate(cell: Cell, images: PlatformImages) -> Build | None:
    """Return the candidate's RPMs if they were built before or are published ones; else None."""
    return find_cached(cell, images, _candidate_request(cell))


def _candidate_request(cell: Cell) -> BuildRequest:
    return BuildRequest(cell.commit, cell.rundir, cell.journal)


def find_cached(cell: Cell, images: PlatformImages, request: BuildRequest) -> Build | None:
    """Return the RPMs of the same tree, platform and arguments if they were built before; else None."""
    if cell.settings.from_repo:
        return request.rundir.load(values.BUILD)
    build = request.rundir.load_if_readable(values.BUILD)
    if build and is_current(build, request):
        return build
    if _must_build(cell, request):
        return None
    build = release_manager.take_cached(
        request.commit,
        cell.product,
        workspace=_workspace(cell, images, request.commit, host=None),
        cache=cell.settings.cache_dir,
        rundir=request.rundir,
        journal=request.journal,
    )
    if build:
        request.rundir.save(values.BUILD, build)
    return build


def is_current(build: Build, request: BuildRequest) -> bool:
    """Return whether a build is of the commit that is asked for, with every file where it was put, unchanged."""
    return build.commit == request.commit and release_manager.is_whole(build)


def clone_candidate(cell: Cell, cached_build: Build | None) -> Path | None:
    """Return a temporary clone of the candidate's commit; None if its RPMs are cached."""
    return None if cached_build else _clone(cell, cell.commit)


def _clone(cell: Cell, commit: Commit) -> Path:
    # In the folder that is emptied at the end of a run, or by `itb clean` after a run that was killed.
    folder = Path(tempfile.mkdtemp(prefix="clone-", dir=cell.rundir.tokens))
    target = folder / cell.product.checkout_name
    return checkout.checkout(commit, target, cache=cell.settings.cache_dir, runner=cell.engine.runner)


def build_candidate(cell: Cell, images: PlatformImages, cached_build: Build | None, clone: Path | None) -> Build:
    """Return the candidate's RPMs; build them in the workspace unless they are cached."""
    if cached_build or clone is None:
        assert cached_build
        return cached_build
    return _build(cell, images, _candidate_request(cell), clone)


def build_other(cell: Cell, images: PlatformImages, request: BuildRequest) -> Build:
    """Build the RPMs of another commit than the candidate's in the same way; return them."""
    return _build(cell, images, request, _clone(cell, request.commit))


def _build(cell: Cell, images: PlatformImages, request: BuildRequest, clone: Path) -> Build:
    try:
        _renew_workspace(cell, images)
        with cell.checkpoint(CheckpointKey(CheckpointKind.BUILD, request.commit.id), taints=[WORKSPACE]):
            build = release_manager.build(
                request.commit,
                cell.product,
                clone=clone,
                workspace=_workspace(cell, images, request.commit, host=cell.host(WORKSPACE)),
                cache=cell.settings.cache_dir,
                rundir=request.rundir,
                journal=request.journal,
                ignore_cache=_must_build(cell, request),
            )
    finally:
        shutil.rmtree(clone.parent)
    request.rundir.save(values.BUILD, build)
    return build


def _must_build(cell: Cell, request: BuildRequest) -> bool:
    """Return whether RPMs of an earlier run must not be used: the candidate's, with ``fresh_build``."""
    return cell.settings.fresh_build and request.commit == cell.commit


def _renew_workspace(cell: Cell, images: PlatformImages) -> None:
    """Replace the workspace by a new container if something was built in it.

    A version's ReleaseManager runs there as root, and could change the next
    version's RPMs by what it leaves behind (a wrapped rpmbuild).  The checkpoint
    is recorded before the container is used, so that a resumed run knows it too.
    """
    if cell.checkpoints.began_on(USED_WORKSPACE, WORKSPACE, cell.testbed.containers.get(WORKSPACE, "")):
        with cell.journal.case(*boots(WORKSPACE)) as case:
            cell.testbed.remove([WORKSPACE])
            start_containers(cell, images, [WORKSPACE], cell.testbed.network_prefix())
            state = make_ready(cell.host(WORKSPACE), load_ca(cell))
            case.passed(f"a new container, in which nothing was built; systemd: {state.splitlines()[0]}")
    cell.checkpoints.begin(USED_WORKSPACE, {WORKSPACE: cell.testbed.containers.get(WORKSPACE, "")})


def _workspace(cell: Cell, images: PlatformImages, commit: Commit, *, host: Host | None) -> Workspace:
    return Workspace(
        platform=cell.platform.name,
        image_id=images.build.id,
        env=cell.platform.build.env,
        host=host,
        mock=cell.platform.build.mock.python_version if cell.settings.builder == "mock" else "",
        run=cell.rundir.id,
        fresh=True,  # see _renew_workspace
        trust=trust.of_build(cell.settings, commit),
        labels=naming.run_labels(cell.rundir.id, cell.rundir.path.parent),
    )


def serve(cell: Cell, build: Build, signing_key: SigningKey) -> Repo:
    """Return the candidate's repository, which is signed and served here or published elsewhere."""

    def make_repo() -> Repo:
        with cell.journal.case(*published.SERVED) as case:
            repo = published.serve(cell, build, cell.rundir, signing_key, name="candidate")
            done = "installed from" if build.published else "signed, indexed and served:"
            key_text = repo.key_fingerprint or "none"
            case.passed(f"{done} {count(repo.packages, 'package')} at {repo.url}, key {key_text}")
        return repo

    return cell.value_once(checkpoints.REPO_SERVED, values.REPO, make_repo, on=[SERVICES])


def lint_packages(cell: Cell, build: Build) -> None:
    """Report rpmlint's findings on packages that were built here, as a case that never fails."""
    if build.published:
        cell.journal.leave_out([LINT], published.NOT_BUILT)
    else:
        cell.do_once(checkpoints.RPMS_LINTED, lambda: _lint(cell, build), on=[SERVICES])


def lint_before_removal(cell: Cell) -> None:
    """Lint packages that were built and served, unless that was done, before their hosts are removed."""
    build = cell.rundir.load(values.BUILD)
    if build and cell.rundir.load(values.REPO):
        lint_packages(cell, build)


def _lint(cell: Cell, build: Build) -> None:
    with cell.journal.case(*LINT) as case:
        log = cell.rundir.build / rpmlint.LOG
        try:
            image = cell.testbed.describe([SERVICES]).host(SERVICES).image_id
            findings = rpmlint.lint(
                cell.testbed.engine,
                image,
                Path(build.directory),
                [rpm.file for rpm in build.rpms],
                labels=cell.testbed.labels,
                log=log,
            )
        except TestbedError as error:
            case.skip(error.message)
            return
        if findings is None:
            case.skip(f"the services image of {cell.platform.name} has no rpmlint")
            return
        case.passed(findings[0], evidence=findings[1])
        case.log = log
