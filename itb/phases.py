"""The phases of a run, each from the values of the earlier ones to a value of its own.

Every phase writes its value to the run directory as it ends, so that the
next one can also start in another process.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from itb import build as builds
from itb import configuration, data, evidence, lint, platforms, source, supply, testbed
from itb import install as dnf
from itb import repo as repositories
from itb import services as units
from itb.cell import CE, SERVICES, WORKSPACE, Cell
from itb.errors import InstallError, InterruptedRunError, TestbedError
from itb.hosts import Host
from itb.journal import Cases
from itb.model import Build, Commit, Phase, Repo, SigningKey, Testbed
from itb.pki import RunCA
from itb.platforms import PlatformImages
from itb.rundir import RunDir
from itb.tokens.issuer import Issuer

USED = "workspace.used"  # in the ledger: the container in which something was built

K = TypeVar("K")
V = TypeVar("V")


def in_parallel(keys: Iterable[K], work: Callable[[K], V]) -> dict[K, V]:
    """Do the same for several hosts at once; all of them end before the first error is raised."""
    order = list(keys)
    if not order:
        return {}
    with ThreadPoolExecutor(max_workers=len(order)) as pool:
        futures = {key: pool.submit(work, key) for key in order}
    errors = [error for future in futures.values() if (error := future.exception()) is not None]
    for error in errors:
        if isinstance(error, InterruptedRunError):
            raise error
    if errors:
        raise errors[0]
    return {key: future.result() for key, future in futures.items()}


def prepare_platform(cell: Cell) -> PlatformImages:
    """Images of the platform, from the engine's store or made now."""
    with cell.journal.case(Phase.PLATFORM, "images", f"{cell.platform.name} images are there") as trial:
        images = images_of_before(cell) or platforms.ensure(
            cell.platform,
            cell.engine,
            cache=cell.settings.cache_dir,
            options=cell.settings.platform_options.get(cell.platform.name),
            note=trial.note,
        )
        trial.passed(f"key {images.key}" + (f"; {images.notice}" if images.notice else ""))
    cell.rundir.save("platform", images)
    return images


def images_of_before(cell: Cell) -> PlatformImages | None:
    """The images a run began with, if it goes on and they are still there."""
    saved = cell.rundir.found("platform", PlatformImages)
    return platforms.find(cell.engine, saved.platform, saved.key) if saved else None


def load_ca(cell: Cell) -> RunCA:
    """The run's certificate authority; made by the phase that needs it first."""
    return RunCA.load_or_create(cell.rundir.tokens, name=f"itb run {cell.rundir.state.short}")


def load_issuer(cell: Cell) -> Issuer:
    """The run's own token issuer; made by the phase that needs it first."""
    return Issuer.load_or_create(cell.rundir.tokens)


def start_hosts(cell: Cell, images: PlatformImages, roles: Sequence[str]) -> None:
    """Network and the containers of these roles, all at once; those that run already stay as they are."""
    missing = sorted(set(roles) - cell.hand.alive(), key=roles.index)
    if not missing:
        return
    with cell.journal.case(Phase.UP, "network", f"{', '.join(missing)} start") as trial:
        prefix = cell.hand.network_prefix() or cell.hand.create_network()
        trial.passed(f"{prefix}.0/24")
        cell.hand.up(missing, images.references, prefix)


def stage(cell: Cell, images: PlatformImages, *, with_workspace: bool) -> SigningKey:
    """Services host and, if asked for, the build workspace, ready for use; what is ready stays as it is."""
    roles = [SERVICES, *([WORKSPACE] if with_workspace else [])]
    start_hosts(cell, images, roles)
    _boot(cell, roles)

    def prepare() -> SigningKey:
        with cell.journal.case(Phase.UP, SERVICES, "signing key made, web server up") as trial:
            key = repositories.prepare(cell.host(SERVICES), load_issuer(cell).files())
            trial.passed(f"key {key.fingerprint}")
        return key

    return cell.once("key", SigningKey, prepare, on=[SERVICES], spoils=[SERVICES])


def _boot(cell: Cell, roles: Sequence[str]) -> None:
    """Wait until these hosts are up, and have them trust the run's CA."""
    ca = load_ca(cell)
    in_parallel(roles, lambda role: cell.did(f"boot.{role}", lambda: _boot_one(cell, role, ca), on=[role]))


def _boot_one(cell: Cell, role: str, ca: RunCA) -> None:
    with cell.journal.case(Phase.UP, role, f"{cell.host(role).fqdn} boots") as trial:
        state = _make_ready(cell.host(role), ca)
        trial.passed(f"systemd: {state.splitlines()[0]}", evidence=state)


def _make_ready(host: Host, ca: RunCA) -> str:
    """Wait until a host is up and have it trust the run's CA; return what its systemd says."""
    names = [host.fqdn]
    if host.role == SERVICES:
        names += [repositories.REPO_HOST, repositories.TOKEN_HOST]
    state = testbed.wait_booted(host)
    testbed.install_trust(host, ca, names=names)
    return state


def bring_up(cell: Cell, images: PlatformImages) -> Testbed:
    """The bare hosts, booted, with certificates, trusting the run's CA."""
    start_hosts(cell, images, cell.testbed_roles)
    _boot(cell, cell.testbed_roles)
    workspace = [role for role in (WORKSPACE,) if role in cell.hand.alive()]
    found = cell.hand.describe([SERVICES, *workspace, *cell.testbed_roles])
    cell.rundir.save("testbed", found)
    return found


def prepare_ce(cell: Cell) -> None:
    """The CE is the platform's, not the product's: it is installed while the candidate is built."""
    cell.did("ce", lambda: _prepare_ce(cell), on=[CE], spoils=[CE])


def _prepare_ce(cell: Cell) -> None:
    ce, host = cell.platform.ce, cell.host(CE)
    log = cell.rundir.host(CE) / "install.log"
    with cell.journal.case(Phase.INSTALL, CE, f"dnf install {' '.join(ce.packages)}") as trial, testbeds_fault():
        dnf.dnf_install(host, ce.packages, log=log, timeout=cell.limits("dnf-ce"), trial=trial)
    with cell.journal.case(Phase.CONFIGURE, CE, ce.configure), testbeds_fault():
        script = data.folder("build_ws") / "ce" / ce.configure
        log = cell.rundir.host(CE) / "configure.log"
        configuration.configure(host, script, cell.environment(CE), log=log, timeout=cell.limits("configure"))
    for unit in ce.services:
        with cell.journal.case(Phase.START, CE, f"{unit} starts"), testbeds_fault():
            units.start_service(host, unit)


@contextmanager
def testbeds_fault() -> Iterator[None]:
    """What goes wrong with the CE is never the candidate's fault."""
    try:
        yield
    except InstallError as error:
        raise TestbedError(
            f"the CE: {error.message}", hint=error.hint, evidence=error.evidence, log=error.log
        ) from None


def choose_published(cell: Cell, images: PlatformImages) -> Cell:
    """The cell with its candidate found in the repository of the settings; as it is where one is built."""
    if not cell.settings.from_repo or cell.ledger.stands("supply"):
        return cell
    if cell.commit.describe:  # chosen by an earlier attempt, whose services host is gone: the same once more
        pinned = cell.settings.model_copy(update={"nevra": cell.commit.describe})
        cell = dataclasses.replace(cell, settings=pinned)
    start_hosts(cell, images, [SERVICES, *cell.testbed_roles])
    stage(cell, images, with_workspace=False)
    with cell.piece("supply", on=[SERVICES]):
        return supply.find(cell)


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
        clone = source.checkout(
            order.commit,
            Path(folder) / cell.product.build.checkout_name,
            cache=cell.settings.cache_dir,
            runner=cell.engine.runner,
        )
        workspace_ready()
        _renew_workspace(cell, images, order.journal)
        with cell.piece(f"build.{order.commit.id}", spoils=[WORKSPACE]):
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
    if cell.ledger.holds(USED, WORKSPACE, cell.hand.containers.get(WORKSPACE, "")):
        with journal.case(Phase.BUILD, WORKSPACE, "a workspace in which nothing was built is up") as trial:
            cell.hand.remove([WORKSPACE])
            cell.hand.up([WORKSPACE], images.references, cell.hand.network_prefix())
            state = _make_ready(cell.host(WORKSPACE), load_ca(cell))
            trial.passed(f"a new container; systemd: {state.splitlines()[0]}")
    cell.ledger.begin(USED, {WORKSPACE: cell.hand.containers.get(WORKSPACE, "")})


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
            served = supply.serve(cell, made, cell.rundir, key, name="candidate")
            trial.passed(f"{served.packages} packages at {served.url}, key {served.key_fingerprint or 'none'}")
        return served

    return cell.once("repo", Repo, publish, on=[SERVICES])


def look_at_packages(cell: Cell) -> None:
    """What rpmlint says of packages that were built here: no verdict, so nothing waits for it."""
    made = cell.rundir.saved("build", Build)
    if made and not made.published and cell.rundir.saved("repo", Repo):
        cell.did("linted", lambda: _lint(cell), on=[SERVICES])


def _lint(cell: Cell) -> None:
    with cell.journal.case(Phase.SERVE, SERVICES, "rpmlint looks at the RPMs") as trial:
        log = cell.rundir.build / lint.LOG
        try:
            found = lint.lint(cell.host(SERVICES), f"{repositories.ROOT}/candidate", log=log)
        except TestbedError as error:
            trial.skip(error.message)
            return
        if found is None:
            trial.skip(f"the services image of {cell.platform.name} has no rpmlint")
            return
        trial.passed(found[0], evidence=found[1])
        trial.log = log


def collect(cell: Cell, roles: Sequence[str]) -> None:
    """Logs and state of the hosts, whatever happened."""
    private = cell.rundir.tokens if cell.rundir.tokens.is_dir() else None

    def one(role: str) -> None:
        globs = cell.logs.get(role, ("/var/log/nginx/*",))
        evidence.collect(cell.host(role), globs, cell.rundir.host(role), private=private)
        made = cell.rundir.saved("build", Build)
        if role == SERVICES and made and not made.published and cell.rundir.saved("repo", Repo):
            repositories.bring_back(cell.host(SERVICES), made, cell.rundir.repo / repositories.SIGNED)

    in_parallel(sorted(cell.hand.alive() & set(roles)), one)
