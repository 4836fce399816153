"""The candidate on its hosts: installed, trusted, started, tried.

These phases follow those of :mod:`itb.phases`, in the same manner: from the
values of the earlier ones to a value of its own in the run directory.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from itb import configuration, previous
from itb import install as dnf
from itb import repo as repositories
from itb import scenario as scenes
from itb import services as units
from itb.cell import BAD_TOKENS, CE, SERVICES, Cell
from itb.definitions import RoleDefinition
from itb.errors import InstallError, ItbError
from itb.hosts import FileSpec
from itb.model import Build, Installed, InstalledPackage, Repo, Token
from itb.phases import in_parallel, load_issuer
from itb.redact import remember
from itb.tokens.acquire import acquire
from itb.tokens.delivery import deliver
from itb.tokens.issuer import FAULTS
from itb.tokens.providers.base import Context
from itb.tokens.request import Secret, TokenRequest

CONFIGURATION_DIFF = "configuration.diff"


def install(cell: Cell, made: Build, served: Repo) -> Installed:
    """The candidate on its roles: installed, its origin and files verified, configured."""
    for role in cell.testbed_roles:
        if role in cell.stage.optional:
            repositories.point_host(cell.host(role), served, cell.product.packages)
            previous.offer(cell, role)
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
        _configure_role(cell, role, packages)
    return packages


def _configure_role(cell: Cell, role: str, packages: Sequence[InstalledPackage]) -> None:
    """Run the role's configuration script; what it changed is in the run directory, however it ended."""
    host, folder, script = cell.host(role), cell.rundir.host(role), cell.roles[role].configure
    with cell.journal.case("configure", role, script) as trial:
        configuration.remember_shipped(host, packages)
        try:
            configuration.configure(
                host,
                cell.product.folder / script,
                cell.environment(role),
                log=folder / "configure.log",
                timeout=120 * cell.factor,
            )
        finally:
            diff = configuration.differences(host)
            (folder / CONFIGURATION_DIFF).write_text(diff)
        changed = configuration.changed_files(diff)
        trial.passed(f"{len(changed)} files changed: {', '.join(changed)}" if changed else "", evidence=diff)
        trial.log = folder / CONFIGURATION_DIFF


def start_condor(cell: Cell) -> None:
    """Start the services up to HTCondor where it makes IDTOKENs, make them and put them where they belong."""
    early = _early(cell)
    in_parallel(cell.roles, lambda role: _start_units(cell, role, early[role]))
    in_parallel(range(len(cell.product.trust)), lambda number: _deliver_trust(cell, number))


def start_rest(cell: Cell) -> None:
    """Start all other services and watch them; InstallError if one does not start or does not stay up."""
    early = _early(cell)
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


def _early(cell: Cell) -> dict[str, Sequence[str]]:
    makers = {trust.on for trust in cell.product.trust}
    return {role: _until_condor(item) if role in makers else () for role, item in cell.roles.items()}


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
    tokens = {"valid": good.reveal(), **{fault: issuer.mint_faulty(request, fault) for fault in FAULTS}}
    for secret in tokens.values():
        remember(secret)
    host.run(["install", "--directory", "--mode=700", BAD_TOKENS])
    host.put(
        *(
            FileSpec(f"{BAD_TOKENS}/{name}", secret.encode() + b"\n", mode=0o600)
            for name, secret in tokens.items()
        )
    )


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
