"""The phases that build the candidate's RPMs and serve them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from itb.build import release_manager as builds
from itb.containers.host import Host
from itb.errors import TestbedError
from itb.model import Build, Commit, Phase, Repo, SigningKey
from itb.platforms.images import PlatformImages
from itb.repository import rpmlint
from itb.repository import signed as repositories
from itb.run.cell import SERVICES, WORKSPACE, Cell
from itb.run.phases import published
from itb.run.phases.up import load_ca, make_ready
from itb.rundir.directory import RunDir
from itb.rundir.journal import Cases
from itb.source import checkout

USED = "workspace.used"  # in the ledger: the container in which something was built


@dataclass(frozen=True)
class Order:
    """What is built: a commit, the directory its log and RPMs go to, and who is told."""

    commit: Commit
    rundir: RunDir
    journal: Cases


def cached_build(cell: Cell, images: PlatformImages, order: Order | None = None) -> Build | None:
    """The RPMs of the same tree, platform and arguments, if they were built before; or published elsewhere."""
    order = order or Order(cell.commit, cell.rundir, cell.journal)
    if cell.settings.from_repo:
        return order.rundir.saved("build", Build)
    made = order.rundir.found("build", Build)
    if made and made.commit == order.commit and builds.is_whole(made):
        return made
    if _must_build(cell, order):
        return None
    made = builds.take_cached(
        order.commit,
        cell.product,
        workspace=_workspace(cell, images, host=None),
        cache=cell.settings.cache_dir,
        rundir=order.rundir,
        journal=order.journal,
    )
    if made:
        order.rundir.save("build", made)
    return made


def build(
    cell: Cell,
    images: PlatformImages,
    order: Order | None = None,
    *,
    workspace_ready: Callable[[], object] = lambda: None,
) -> Build:
    """RPMs of a commit (the candidate's), made by its own ReleaseManager in the workspace.

    ``workspace_ready`` returns once that has booted, which may be while the source is checked out.
    """
    order = order or Order(cell.commit, cell.rundir, cell.journal)
    # In the folder that is emptied at teardown, also by whoever sweeps up after a run that was killed.
    with tempfile.TemporaryDirectory(prefix="clone-", dir=cell.rundir.tokens) as folder:
        clone = checkout.checkout(
            order.commit,
            Path(folder) / cell.product.build.checkout_name,
            cache=cell.settings.cache_dir,
            runner=cell.engine.runner,
        )
        workspace_ready()
        _renew_workspace(cell, images, order.journal)
        with cell.checkpoint(f"build.{order.commit.id}", taints=[WORKSPACE]):
            made = builds.build(
                order.commit,
                cell.product,
                clone=clone,
                workspace=_workspace(cell, images, host=cell.host(WORKSPACE)),
                cache=cell.settings.cache_dir,
                rundir=order.rundir,
                journal=order.journal,
                again=_must_build(cell, order),
            )
    order.rundir.save("build", made)
    return made


def _must_build(cell: Cell, order: Order) -> bool:
    """True if RPMs of an earlier run are not wanted: of the candidate, which may be published."""
    return cell.settings.fresh_build and order.commit == cell.commit


def _renew_workspace(cell: Cell, images: PlatformImages, journal: Cases) -> None:
    """Have a workspace in which nothing was built: the one that runs, or a new container in its place.

    Whose ReleaseManager runs there is root, and what it leaves behind (a
    wrapped rpmbuild) would be in the next version's RPMs.  That a container
    is used is written before it is, so that a resumed run knows it too.
    """
    if cell.checkpoints.holds(USED, WORKSPACE, cell.testbed.containers.get(WORKSPACE, "")):
        with journal.case(Phase.BUILD, WORKSPACE, "a workspace in which nothing was built is up") as trial:
            cell.testbed.remove([WORKSPACE])
            cell.testbed.up([WORKSPACE], images.references, cell.testbed.network_prefix())
            state = make_ready(cell.host(WORKSPACE), load_ca(cell))
            trial.passed(f"a new container; systemd: {state.splitlines()[0]}")
    cell.checkpoints.begin(USED, {WORKSPACE: cell.testbed.containers.get(WORKSPACE, "")})


def _workspace(cell: Cell, images: PlatformImages, *, host: Host | None) -> builds.Workspace:
    return builds.Workspace(
        platform=cell.platform.name,
        image_id=images.build.id,
        env=cell.platform.build.env,
        host=host,
        mock=cell.platform.build.mock.python_version if cell.settings.builder == "mock" else "",
        run=cell.rundir.id,
        fresh=True,  # see _renew_workspace
    )


def serve(cell: Cell, made: Build, key: SigningKey) -> Repo:
    """The candidate's repository: signed and served here, or where it was published."""

    def publish() -> Repo:
        name = f"{made.published} is installed from" if made.published else "RPMs signed, indexed and served"
        with cell.journal.case(Phase.SERVE, SERVICES, name) as trial:
            served = published.serve(cell, made, cell.rundir, key, name="candidate")
            trial.passed(f"{served.packages} packages at {served.url}, key {served.key_fingerprint or 'none'}")
        return served

    return cell.value_once("repo", Repo, publish, on=[SERVICES])


def look_at_packages(cell: Cell) -> None:
    """What rpmlint says of packages that were built here: no verdict, so nothing waits for it."""
    made = cell.rundir.saved("build", Build)
    if made and not made.published and cell.rundir.saved("repo", Repo):
        cell.do_once("linted", lambda: _lint(cell), on=[SERVICES])


def _lint(cell: Cell) -> None:
    with cell.journal.case(Phase.SERVE, SERVICES, "rpmlint looks at the RPMs") as trial:
        log = cell.rundir.build / rpmlint.LOG
        try:
            found = rpmlint.lint(cell.host(SERVICES), f"{repositories.ROOT}/candidate", log=log)
        except TestbedError as error:
            trial.skip(error.message)
            return
        if found is None:
            trial.skip(f"the services image of {cell.platform.name} has no rpmlint")
            return
        trial.passed(found[0], evidence=found[1])
        trial.log = log
