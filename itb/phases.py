"""The phases of a run, each from the values of the earlier ones to a value of its own.

Every phase writes its value to the run directory as it ends, so that the
next one can also start in another process.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from itb import build as builds
from itb import data, evidence, platforms, source, testbed
from itb import install as dnf
from itb import repo as repositories
from itb import scenario as scenes
from itb import services as units
from itb.cell import BAD_TOKENS, CE, SERVICES, WORKSPACE, Cell
from itb.definitions import Ce, RoleDefinition
from itb.errors import InstallError, InterruptedRunError, ItbError, TestbedError
from itb.hosts import Host
from itb.model import Build, Installed, InstalledPackage, Repo, Testbed, Token
from itb.pki import RunCA
from itb.platforms import PlatformImages
from itb.tokens.acquire import acquire
from itb.tokens.delivery import deliver
from itb.tokens.issuer import Issuer
from itb.tokens.providers.base import Context
from itb.tokens.request import Secret, TokenRequest

# Names of the files scenarios find -> what the issuer calls the fault.
_FAULTS = {
    "wrong-audience": "wrong-audience",
    "expired": "expired",
    "not-yet-valid": "future",
    "other-key": "other-key",
}

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
    with cell.journal.case("platform", "images", f"{cell.platform.name} images are there") as trial:
        images = platforms.ensure(cell.platform, cell.engine, cache=cell.settings.cache_dir, note=trial.note)
        trial.passed(f"key {images.key}")
    cell.rundir.save("platform", images)
    return images


def load_ca(cell: Cell) -> RunCA:
    """The run's certificate authority; made by the phase that needs it first."""
    return RunCA.load_or_create(cell.rundir.tokens, name=f"itb run {cell.rundir.state.short}")


def load_issuer(cell: Cell) -> Issuer:
    """The run's own token issuer; made by the phase that needs it first."""
    return Issuer.load_or_create(cell.rundir.tokens)


def stage(cell: Cell, images: PlatformImages, *, with_workspace: bool) -> str:
    """Network, services host and, if asked for, the build workspace; return the network's prefix."""
    roles = [SERVICES, *([WORKSPACE] if with_workspace else [])]
    with cell.journal.case("up", "network", "network and services host start") as trial:
        prefix = cell.hand.network_prefix() or cell.hand.create_network()
        trial.passed(f"{prefix}.0/24")
        cell.hand.up(roles, images.references, prefix)
    ca = load_ca(cell)
    in_parallel(roles, lambda role: _boot(cell, role, ca))
    with cell.journal.case("up", SERVICES, "signing key made, web server up") as trial:
        fingerprint = repositories.prepare(cell.host(SERVICES), load_issuer(cell).files())
        trial.passed(f"key {fingerprint}")
    return fingerprint


def _boot(cell: Cell, role: str, ca: RunCA) -> None:
    host = cell.host(role)
    names = [host.fqdn]
    if role == SERVICES:
        names += [repositories.REPO_HOST, repositories.TOKEN_HOST]
    with cell.journal.case("up", role, f"{host.fqdn} boots") as trial:
        state = testbed.wait_booted(host, factor=cell.factor)
        testbed.install_trust(host, ca, names=names)
        trial.passed(f"systemd: {state.splitlines()[0]}", evidence=state)


def bring_up(cell: Cell, images: PlatformImages) -> Testbed:
    """The bare hosts, booted, with certificates, trusting the run's CA."""
    with cell.journal.case("up", "network", "bare hosts start"):
        cell.hand.up(cell.testbed_roles, images.references, cell.hand.network_prefix())
    ca = load_ca(cell)
    in_parallel(cell.testbed_roles, lambda role: _boot(cell, role, ca))
    found = cell.hand.describe([SERVICES, *cell.testbed_roles])
    cell.rundir.save("testbed", found)
    return found


def prepare_ce(cell: Cell) -> None:
    """The CE is the platform's, not the product's: it is installed while the candidate is built."""
    ce, host = cell.platform.ce, cell.host(CE)
    log = cell.rundir.host(CE) / "install.log"
    with cell.journal.case("install", CE, f"dnf install {' '.join(ce.packages)}") as trial:
        _as_testbed(lambda: dnf.dnf_install(host, ce.packages, log=log, timeout=600 * cell.factor, trial=trial))
    with cell.journal.case("configure", CE, ce.configure):
        script = data.folder("build_ws") / "ce" / ce.configure
        env = cell.environment(CE)
        _as_testbed(
            lambda: dnf.configure(host, script, env, log=cell.rundir.host(CE) / "configure.log", timeout=120)
        )
    for unit in ce.services:
        with cell.journal.case("start", CE, f"{unit} starts"):
            _as_testbed(lambda unit=unit: units.start_service(host, unit, timeout=120 * cell.factor))


def _as_testbed(work: Callable[[], object]) -> None:
    """What goes wrong with the CE is never the candidate's fault."""
    try:
        work()
    except InstallError as error:
        raise TestbedError(
            f"the CE: {error.message}", hint=error.hint, evidence=error.evidence, log=error.log
        ) from None


def cached_build(cell: Cell, images: PlatformImages) -> Build | None:
    """The RPMs of the same tree, platform and arguments, if they were built before."""
    workspace = _workspace(cell, images, host=None)
    made = builds.take_cached(
        cell.commit,
        cell.product,
        workspace=workspace,
        cache=cell.settings.cache_dir,
        rundir=cell.rundir,
        journal=cell.journal,
    )
    if made:
        cell.rundir.save("build", made)
    return made


def build(cell: Cell, images: PlatformImages) -> Build:
    """RPMs of the commit, made by its own ReleaseManager in the workspace."""
    with tempfile.TemporaryDirectory(prefix="itb-clone-") as folder:
        clone = source.checkout(
            cell.commit,
            Path(folder) / cell.product.build.checkout_name,
            cache=cell.settings.cache_dir,
            runner=cell.engine.runner,
        )
        made = builds.build(
            cell.commit,
            cell.product,
            clone=clone,
            workspace=_workspace(cell, images, host=cell.host(WORKSPACE)),
            cache=cell.settings.cache_dir,
            rundir=cell.rundir,
            journal=cell.journal,
        )
    cell.rundir.save("build", made)
    return made


def _workspace(cell: Cell, images: PlatformImages, *, host: Host | None) -> builds.Workspace:
    return builds.Workspace(
        platform=cell.platform.name,
        image_id=images.build.id,
        env=cell.platform.build.env,
        host=host,
    )


def serve(cell: Cell, made: Build, fingerprint: str) -> Repo:
    """The candidate's repository, signed and served."""
    with cell.journal.case("serve", SERVICES, "RPMs signed, indexed and served") as trial:
        served = repositories.publish(
            cell.host(SERVICES), made, log=cell.rundir.repo / "publish.log", fingerprint=fingerprint
        )
        trial.passed(f"{served.packages} packages at {served.url}, key {served.key_fingerprint}")
    cell.rundir.save("repo", served)
    return served


def install(cell: Cell, made: Build, served: Repo) -> Installed:
    """The candidate on its roles: installed, its origin and files verified, configured."""
    for role in cell.testbed_roles:
        if role in cell.stage.optional:
            repositories.point_host(cell.host(role), served, cell.product.packages)
    packages = in_parallel(cell.roles, lambda role: _install_role(cell, role, made, served))
    packages[CE] = dnf.installed_packages(cell.host(CE), cell.product.packages)
    installed = Installed(packages=packages)
    cell.rundir.save("installed", installed)
    return installed


def _install_role(cell: Cell, role: str, made: Build, served: Repo) -> tuple[InstalledPackage, ...]:
    definition, host = cell.roles[role], cell.host(role)
    folder = cell.rundir.host(role)
    repositories.point_host(host, served, cell.product.packages)
    with cell.journal.case("install", role, f"dnf install {' '.join(definition.packages)}") as trial:
        dnf.dnf_install(
            host,
            definition.packages,
            log=folder / "install.log",
            timeout=definition.timeout * cell.factor,
            trial=trial,
        )
    with cell.journal.case("install", role, "every product package is the candidate's") as trial:
        packages = dnf.installed_packages(host, cell.product.packages)
        trial.passed(dnf.check_origin(packages, made, served.id, definition.packages))
    # What verification finds does not keep the product from being tried.
    with suppress(InstallError), cell.journal.case("install", role, "files are as packaged (rpm -V)"):
        dnf.verify_files(host, packages)
    if definition.configure:
        with cell.journal.case("configure", role, definition.configure):
            dnf.configure(
                host,
                cell.product.folder / definition.configure,
                cell.environment(role),
                log=folder / "configure.log",
                timeout=120 * cell.factor,
            )
    return packages


def start(cell: Cell, acquire: Callable[[], Token | None]) -> Token | None:
    """Start the services of every role: HTCondor first, then trust and token, then the product's own.

    Raises InstallError if a service does not start or does not stay up.
    """
    makers = {trust.on for trust in cell.product.trust}
    early = {role: _until_condor(cell.roles[role]) if role in makers else () for role in cell.roles}
    in_parallel(cell.roles, lambda role: _start_units(cell, role, early[role]))
    in_parallel(range(len(cell.product.trust)), lambda number: _deliver_trust(cell, number))
    token = acquire()
    in_parallel(
        cell.roles,
        lambda role: _start_units(cell, role, [u for u in cell.roles[role].services if u not in early[role]]),
    )
    failed = in_parallel(
        cell.services, lambda role: watch(cell, role, cell.services[role], phase="start", settle=units.SETTLE)
    )
    for errors in failed.values():
        for error in errors:
            raise error
    return token


def acquire_token(cell: Cell) -> Token | None:
    """Get the SciToken through the managed-token hook and put it where the product wants it."""
    wanted = cell.product.token
    if wanted is None:
        return None
    hook = cell.settings.token_hook
    issuer = load_issuer(cell) if hook == "local" else None
    request = TokenRequest(
        run_id=cell.rundir.id,
        ce=cell.ce_address,
        audience=cell.ce_address,
        issuer=issuer.url if issuer else "",
        scopes=wanted.scopes,
        profile=wanted.profile,
        min_lifetime_s=wanted.min_lifetime,
    )
    context = Context(
        runner=cell.engine.runner,
        options=cell.settings.token,
        hook_dirs=tuple(Path(folder).expanduser() for folder in cell.settings.hooks),
        issuer=load_issuer(cell),
        ca=cell.rundir.tokens / "ca.pem",
    )
    name = f"SciToken from hook {hook!r} is good for {cell.ce_address}"
    with cell.journal.case("token", wanted.role, name) as trial:
        token, secret = acquire(hook, request, context, note=trial.note)
        trial.passed(_describe_token(token))
    with cell.journal.case("token", wanted.role, f"token delivered to {wanted.path}"):
        token = deliver(cell.host(wanted.role), secret, token, path=wanted.path, owner=wanted.owner)
        if hook == "local":
            _deliver_bad_tokens(cell, request, token, secret)
    cell.rundir.save("token", token)
    return token


def _deliver_bad_tokens(cell: Cell, request: TokenRequest, token: Token, good: Secret) -> None:
    """Put tokens a CE must refuse beside the good one, for scenarios: only our own issuer makes such."""
    host, issuer = cell.host(token.role), load_issuer(cell)
    host.run(["install", "-d", "-m", "700", BAD_TOKENS])
    deliver(host, good, token, path=f"{BAD_TOKENS}/valid", owner="root:root")
    for name, fault in _FAULTS.items():
        bad = Secret(issuer.mint_faulty(request, fault))
        deliver(host, bad, token, path=f"{BAD_TOKENS}/{name}", owner="root:root")


def _describe_token(token: Token) -> str:
    checked = "signature verified" if token.verified else "signature unverified"
    minutes = (token.expires - time.time()) / 60
    return f"{token.issuer}, {' '.join(token.scopes)}, {minutes:.0f} minutes left, {checked}"


def test(cell: Cell) -> None:
    """Every scenario, then once more whether all services are still up."""
    hosts = {role: cell.host(role) for role in [SERVICES, *cell.testbed_roles]}
    for scenario in cell.scenarios:
        env = cell.scenario_environment()
        scenes.run_scenario(scenario, hosts, journal=cell.journal, env=env, factor=cell.factor)
    in_parallel(cell.services, lambda role: watch(cell, role, cell.services[role], phase="test", settle=0))


def _until_condor(definition: RoleDefinition) -> Sequence[str]:
    """Services up to HTCondor, which has to be up before IDTOKENs can be made."""
    names = list(definition.services)
    return names[: names.index("condor") + 1] if "condor" in names else ()


def _start_units(cell: Cell, role: str, names: Sequence[str]) -> None:
    for unit in names:
        with cell.journal.case("start", role, f"{unit} starts"):
            units.start_service(cell.host(role), unit, timeout=120 * cell.factor)


def _deliver_trust(cell: Cell, number: int) -> None:
    trust = cell.product.trust[number]
    target = trust.to or trust.on
    with cell.journal.case("start", target, f"IDTOKEN of {trust.identity}"):
        units.deliver_idtoken(
            cell.host(trust.on),
            cell.host(target),
            key=trust.key,
            identity=trust.identity,
            lifetime=trust.lifetime,
            path=trust.path,
            owner=trust.owner,
            private=cell.rundir.tokens,
        )


def watch(cell: Cell, role: str, names: Sequence[str], *, phase: str, settle: float) -> list[ItbError]:
    """One case per service that says whether it stays up; return the errors of those that do not."""
    errors = units.check_stays_up(cell.host(role), names, settle=settle)
    name = "{} stays up" if settle else "{} is still up"
    for unit in names:
        with suppress(InstallError), cell.journal.case(phase, role, name.format(unit)):
            if unit in errors:
                raise errors[unit]
    return list(errors.values())


def collect(cell: Cell, roles: Sequence[str]) -> None:
    """Logs and state of the hosts, whatever happened."""

    def one(role: str) -> None:
        definition: RoleDefinition | Ce | None = cell.platform.ce if role == CE else cell.roles.get(role)
        globs = definition.logs if definition else ("/var/log/nginx/*",)
        evidence.collect(cell.host(role), globs, cell.rundir.host(role))

    in_parallel([role for role in roles if cell.host(role).alive()], one)


def take_down(cell: Cell) -> None:
    """Remove hosts and network, empty the private directory; look that nothing is left."""
    with cell.journal.case("down", "network", "hosts and network removed") as trial:
        removed = cell.hand.down()
        left = cell.engine.containers(cell.hand.labels)
        if left:
            raise TestbedError(f"{len(left)} containers of run {cell.rundir.id} are still there", hint="itb clean")
        trial.passed(f"{len(removed)} removed", evidence="\n".join(removed))
    cell.rundir.forget_secrets()

