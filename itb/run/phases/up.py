"""The phases platform and up: the images are prepared, the hosts start and boot, the CE is set up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from itb.containers.host import Host
from itb.data import shipped
from itb.errors import InstallError, TestbedError
from itb.install import configure, dnf
from itb.install import services as install_services
from itb.model import Build, CaseKey, PlatformImages, SigningKey, TestbedHosts
from itb.phase import Phase
from itb.platforms import images as platforms_images
from itb.platforms import tools as platforms_tools
from itb.process.parallel import in_parallel
from itb.process.request import Request
from itb.repository import server as repository_server
from itb.roles import CE, NETWORK, SERVICES, WORKSPACE
from itb.run import disk_use, reach, run_secrets
from itb.run.cell import Cell
from itb.run.phases import listening
from itb.rundir import checkpoints, values
from itb.rundir.checkpoints import CheckpointKey, CheckpointKind
from itb.testbed import testbed
from itb.testbed.certificates import RunCA
from itb.tokens.issuer import Issuer

IMAGES = CaseKey(Phase.PLATFORM, "images", "the platform's images are there")
STARTED = CaseKey(Phase.UP, NETWORK, "hosts start on a network of their own")
SIGNS = CaseKey(Phase.UP, SERVICES, "signing key made, web server up")
CE_INSTALLED = CaseKey(Phase.INSTALL, CE, "dnf installs the Compute Entrypoint")
CE_CONFIGURED = CaseKey(Phase.CONFIGURE, CE, "the Compute Entrypoint is configured")


def boots(role: str) -> CaseKey:
    """Return the case that a host boots."""
    return CaseKey(Phase.UP, role, "the host boots")


SERVICES_CASES = (boots(SERVICES), SIGNS)


def starts(role: str, unit: str) -> CaseKey:
    """Return the case that a service starts."""
    return CaseKey(Phase.START, role, f"{unit} starts")


def testbed_cases(cell: Cell) -> Iterable[CaseKey]:
    """Yield the cases that hosts without a candidate boot."""
    yield from map(boots, cell.testbed_roles)


def ce_cases(cell: Cell) -> Iterable[CaseKey]:
    """Yield the cases that the CE is prepared; none for a testbed without one."""
    if CE in cell.topology.hosts:
        yield from (CE_INSTALLED, CE_CONFIGURED)
        yield from (starts(CE, unit) for unit in cell.platform.ce.services)


def prepare_platform(initial_cell: Cell) -> PlatformImages:
    """Return the images of the platform; build them unless the engine's store has them."""
    with initial_cell.journal.case(*IMAGES) as case:
        images = saved_images(initial_cell) or platforms_images.ensure(
            initial_cell.platform,
            initial_cell.engine,
            cache=initial_cell.settings.cache_dir,
            options=initial_cell.settings.platform_options.get(initial_cell.platform.name),
            note=case.note,
        )
        case.passed(f"key {images.key}" + (f"; {images.notice}" if images.notice else ""))
    initial_cell.rundir.save(values.IMAGES, images)
    return images


def saved_images(cell: Cell) -> PlatformImages | None:
    """Return the images that a resumed run began with, if they still exist; else None."""
    saved = cell.rundir.load_if_readable(values.IMAGES)
    return platforms_images.find(cell.engine, saved.platform, saved.key) if saved else None


def load_ca(cell: Cell) -> RunCA:
    """Return the run's certificate authority; create it if there is none yet."""
    return RunCA.load_or_create(cell.rundir.tokens, name=f"itb run {cell.rundir.state.short_id}")


def load_issuer(cell: Cell) -> Issuer:
    """Return the run's own token issuer; create it if there is none yet."""
    return Issuer.load_or_create(cell.rundir.tokens)


def start_hosts(cell: Cell, images: PlatformImages, roles: Sequence[str]) -> None:
    """Create the network and start the containers of these roles, unless they run."""
    with cell.testbed.start_lock:
        missing = sorted(set(roles) - cell.testbed.find_running_roles(), key=roles.index)
        if not missing:
            return
        with cell.journal.case(*STARTED) as case:
            disk_use.remember(cell)
            prefix = cell.testbed.network_prefix() or _create_network(cell)
            start_containers(cell, images, missing, prefix)
            isolation = cell.rundir.load_if_readable(values.ISOLATION)
            reached = f"; {isolation.description}" if isolation and not isolation.problem else ""
            case.passed(f"{', '.join(missing)} on {prefix}.0/24{reached}")


def _create_network(cell: Cell) -> str:
    """Create the run's network and save what its hosts may reach; return its address prefix."""
    isolation = reach.declared(cell)
    prefix = cell.testbed.create_network(isolation)
    cell.rundir.save(values.ISOLATION, isolation)
    return prefix


def start_containers(cell: Cell, images: PlatformImages, roles: Sequence[str], prefix: str) -> None:
    """Create and start the containers of these roles, with the programs that itb provides, and isolate them.

    They boot then, and have run nothing yet but what the platform's image has.
    """
    tools_folder = None
    if cell.testbed.has_tools:
        tools_folder = platforms_tools.ensure(images, cell.engine, cache=cell.settings.cache_dir)
    isolation = cell.rundir.load_if_readable(values.ISOLATION) or reach.declared(cell)
    references = images.references
    if CE in cell.roles:  # a product that is installed there wants a bare host
        references["ce"] = references["bare"]
    cell.testbed.up(roles, references, prefix, tools_folder, isolation)
    cell.rundir.save(values.ISOLATION, cell.testbed.isolate(isolation))


def start_all(cell: Cell, images: PlatformImages, cached_build: Build | None, previous_is_built: bool) -> None:
    """Start all hosts of a whole run at once; they boot while other nodes work."""
    workspace = [] if cached_build and previous_is_built else [WORKSPACE]
    start_hosts(cell, images, [SERVICES, *workspace, *cell.testbed_roles])


def prepare_services(cell: Cell, images: PlatformImages) -> SigningKey:
    """Prepare the services host unless it is ready; return the run's signing key, which it makes."""
    start_hosts(cell, images, [SERVICES])
    _boot(cell, [SERVICES])

    def prepare() -> SigningKey:
        with cell.journal.case(*SIGNS) as case:
            private = cell.rundir.tokens / run_secrets.SIGNING_KEY
            key = repository_server.prepare(cell.host(SERVICES), load_issuer(cell).files(), private)
            case.passed(f"key {key.fingerprint}")
        return key

    checkpoint, on = checkpoints.SIGNING_KEY_CREATED, [SERVICES]
    return cell.value_once(checkpoint, values.SIGNING_KEY, prepare, on=on, taints=on)


def boot_workspace(
    cell: Cell, images: PlatformImages, cached_build: Build | None, previous_is_built: bool
) -> None:
    """Start and boot the build workspace where something has to be built."""
    if cached_build and previous_is_built:
        cell.journal.leave_out([boots(WORKSPACE)], "nothing has to be built")
    else:
        start_hosts(cell, images, [WORKSPACE])
        _boot(cell, [WORKSPACE])


def _boot(cell: Cell, roles: Sequence[str]) -> None:
    """Wait until these hosts have booted, and make them trust the run's CA."""
    ca = load_ca(cell)

    def boot_role(role: str) -> None:
        cell.do_once(CheckpointKey(CheckpointKind.BOOT, role), lambda: _boot_role(cell, role, ca), on=[role])

    in_parallel(roles, boot_role)


def _boot_role(cell: Cell, role: str, ca: RunCA) -> None:
    host = cell.host(role)
    with cell.journal.case(*boots(role)) as case:
        state = make_ready(host, ca)
        case.passed(f"{host.fqdn}, systemd: {state.splitlines()[0]}", evidence=state)
    if role in cell.roles:
        listening.remember(cell, role)


def make_ready(host: Host, ca: RunCA) -> str:
    """Wait until a host has booted and make it trust the run's CA; return the state that its systemd reports."""
    names = [host.fqdn]
    if host.role == SERVICES:
        names += [repository_server.REPO_HOST, repository_server.TOKEN_HOST]
    state = testbed.wait_booted(host)
    testbed.install_trust(host, ca, names=names)
    return state


def boot_testbed(cell: Cell, images: PlatformImages) -> TestbedHosts:
    """Boot the bare hosts, which get certificates and trust the run's CA; return them."""
    start_hosts(cell, images, [SERVICES, *cell.testbed_roles])
    _boot(cell, cell.testbed_roles)
    workspace = [role for role in (WORKSPACE,) if role in cell.testbed.find_running_roles()]
    hosts = cell.testbed.describe([SERVICES, *workspace, *cell.testbed_roles])
    cell.rundir.save(values.TESTBED, hosts)
    return hosts


def prepare_ce(cell: Cell) -> None:
    """Install and start the CE, which belongs to the platform, while the candidate is built.

    A testbed without a CE is left as it is.
    """
    if cell.has_ce:
        cell.do_once(checkpoints.CE_PREPARED, lambda: _prepare_ce(cell), on=[CE], taints=[CE])


def _prepare_ce(cell: Cell) -> None:
    ce, host = cell.platform.ce, cell.host(CE)
    log = cell.rundir.setup_logs(CE) / "install.log"
    with cell.journal.case(*CE_INSTALLED) as case, as_testbed_error():
        if host.run(Request(["rpm", "--query", "--quiet", *ce.packages], check=False)).ok:
            case.passed("in the platform's image")
        else:
            dnf.dnf_install(host, ce.packages, log=log, timeout=cell.limits("dnf-ce"), case=case)
    with cell.journal.case(*CE_CONFIGURED), as_testbed_error():
        script = shipped.folder("build_ws") / "ce" / ce.configure
        log = cell.rundir.setup_logs(CE) / "configure.log"
        env = cell.script_context.environment(CE)
        configure.configure(host, script, env, log=log, timeout=cell.limits("configure"))
    for unit in ce.services:
        with cell.journal.case(*starts(CE, unit)), as_testbed_error():
            install_services.start_service(host, unit)


@contextmanager
def as_testbed_error() -> Iterator[None]:
    """Raise a TestbedError for an InstallError of the block: the candidate is never at fault for the CE."""
    try:
        yield
    except InstallError as error:
        raise error.turned_into(TestbedError, f"the CE: {error.message}") from None
