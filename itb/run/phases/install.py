"""The candidate on its hosts: installed, trusted, started, tried.

These phases follow those of :mod:`itb.run.phases.up`, in the same manner: from the
values of the earlier ones to a value of its own in the run directory.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress

from itb.config.product import RoleDefinition
from itb.errors import InstallError, ItbError
from itb.install import configure, dnf, outside
from itb.install import services as units
from itb.model import Build, Installed, InstalledPackage, Phase, Repo, TestbedHosts
from itb.report.own_word import FILES_AND_ORIGINS, PLATFORM_UNCHANGED
from itb.repository import signed as repositories
from itb.run.cell import CE, SERVICES, WORKSPACE, Cell
from itb.run.parallel import in_parallel
from itb.rundir import values
from itb.rundir.checkpoints import CheckpointKey, Kind
from itb.rundir.values import Value
from itb.testbed import logs

CONFIGURATION_DIFF = "configuration.diff"


def install_roles(cell: Cell, build: Build, repo: Repo, testbed: TestbedHosts) -> Installed:
    """Install the candidate on its roles, verify its origin and files, and configure it; return its packages.

    Hosts of the testbed that have no role of the product learn where the candidate is.
    """

    def one(role: str) -> tuple[InstalledPackage, ...]:
        if role not in cell.roles:
            repositories.point_host(cell.host(role), repo, cell.product.packages)
            return ()
        installed = cell.value_once(
            CheckpointKey(Kind.INSTALLED, role),
            values.installed_on(role),
            lambda: Installed(packages={role: _install_role(cell, role, build, repo)}),
            on=[role],
            taints=[role],
            holds=lambda value: value.packages.get(role) == _packages(cell, role),
        )
        return installed.packages[role]

    others = {host.role for host in testbed.hosts} - {*cell.roles, CE, SERVICES, WORKSPACE}
    packages = in_parallel([*cell.roles, *sorted(others)], one)
    return Installed(packages={role: items for role, items in packages.items() if items})


def complete(cell: Cell, installed_roles: Installed) -> Installed:
    """Return what the candidate's roles and the CE have of the product, and save it."""
    on_ce = {} if CE in cell.roles else {CE: _packages(cell, CE)}
    packages = {**installed_roles.packages, **{role: items for role, items in on_ce.items() if items}}
    installed = Installed(packages=packages)
    cell.rundir.save(values.INSTALLED, installed)
    return installed


def _packages(cell: Cell, role: str) -> tuple[InstalledPackage, ...]:
    return dnf.installed_packages(cell.host(role), cell.product.packages)


def _install_role(cell: Cell, role: str, made: Build, served: Repo) -> tuple[InstalledPackage, ...]:
    definition, host = cell.roles[role], cell.host(role)
    folder = cell.rundir.host(role)
    repositories.point_host(host, served, cell.product.packages)
    with cell.journal.case(Phase.INSTALL, role, f"dnf install {' '.join(definition.packages)}") as trial:
        dnf.dnf_install(
            host,
            definition.packages,
            log=folder / "install.log",
            timeout=cell.limits.of(definition.timeout, f"timeout of role {role}"),
            trial=trial,
            repositories=definition.repositories,
        )
    with cell.journal.case(Phase.INSTALL, role, "every product package is the candidate's") as trial:
        packages = dnf.installed_packages(host, cell.product.packages)
        trial.passed(dnf.check_origin(packages, made, served.id, definition.packages))
        dnf.check_headers(host, packages, made)
    # What verification finds does not keep the product from being tried.
    with suppress(InstallError), cell.journal.case(Phase.INSTALL, role, "files are as packaged (rpm -V)"):
        dnf.verify_files(host, packages)
    if definition.configure:
        _configure_role(cell, role, packages)
    return packages


def look_from_outside(cell: Cell, build: Build, installed: Installed) -> None:
    """Look at what installing the candidate did to its hosts, from where it cannot reach.

    What is found does not keep the product from being tried.
    """
    trusted = _trusted(cell, build)

    def one(role: str) -> None:
        seen = _seen_from_outside(cell, role, trusted, installed, phase=Phase.INSTALL)
        packages, expected = installed.packages[role], outside.side_effects(cell.platform)
        with suppress(InstallError), cell.journal.case(Phase.INSTALL, role, FILES_AND_ORIGINS) as trial:
            trial.passed(outside.check_packages(seen, expected, packages, cell.roles[role].packages))

    in_parallel(
        cell.roles,
        lambda role: cell.do_once(CheckpointKey(Kind.LOOKED, role), lambda: one(role), on=[role]),
    )


def look_late(cell: Cell) -> None:
    """Look at hosts that have the candidate, unless that was done."""
    build, installed = cell.rundir.saved(values.BUILD), cell.rundir.saved(values.INSTALLED)
    if build and installed:
        look_from_outside(cell, build, installed)


def _trusted(cell: Cell, made: Build) -> set[str]:
    """Return the SHA-256 of the RPM files hosts may have installed from, which are asked for once."""
    served = cell.value_once(
        CheckpointKey(Kind.REPO, "checksums"),
        Value("repo.checksums", outside.ServedChecksums),
        lambda: outside.served_checksums(cell.host(SERVICES), repositories.ROOT),
        on=[SERVICES],
    )
    return {*served.sha256, *(rpm.sha256 for rpm in made.rpms)}


def _seen_from_outside(
    cell: Cell, role: str, trusted: Collection[str], installed: Installed, *, phase: str
) -> outside.Inspection:
    """Report whether the platform is as it was, as a case; return what was seen."""
    found = cell.testbed.describe([role]).host(role)
    own = [item.nevra for item in installed.packages.get(role, ()) if item.candidate]
    seen = outside.Inspection(root="")
    with suppress(InstallError), cell.journal.case(phase, role, PLATFORM_UNCHANGED) as trial:
        seen = outside.look(cell.host(role), found.image_id, trusted=trusted, labels=cell.testbed.labels)
        expected = outside.side_effects(cell.platform)
        trial.passed(outside.check_platform(seen, expected, own, later=phase != Phase.INSTALL))
    return seen


def _configure_role(cell: Cell, role: str, packages: Sequence[InstalledPackage]) -> None:
    """Run the role's configuration script; what it changed is in the run directory, however it ended."""
    host, folder, script = cell.host(role), cell.rundir.host(role), cell.roles[role].configure
    with cell.journal.case(Phase.CONFIGURE, role, script) as trial:
        configure.copy_shipped(host, packages)
        try:
            notes = configure.configure(
                host,
                cell.product.folder / script,
                cell.facts.environment(role),
                log=folder / "configure.log",
                timeout=cell.limits("configure"),
            )
        finally:
            diff = configure.differences(host)
            (folder / CONFIGURATION_DIFF).write_text(diff)
        changed = configure.changed_files(diff)
        said = [f"{len(changed)} files changed: {', '.join(changed)}"] if changed else []
        trial.passed("; ".join([*said, *notes]), evidence=diff)
        trial.log = folder / CONFIGURATION_DIFF


def start_condor(cell: Cell) -> None:
    """Start the services up to HTCondor where it makes IDTOKENs, make them and put them where they belong."""
    early = _early(cell)
    in_parallel(cell.roles, lambda role: _start_units(cell, role, early[role]))
    in_parallel(range(len(cell.product.trust)), lambda number: _deliver_trust(cell, number))


def start_rest(cell: Cell) -> None:
    """Start all other services."""
    early = _early(cell)
    in_parallel(
        cell.roles,
        lambda role: _start_units(cell, role, [u for u in cell.roles[role].services if u not in early[role]]),
    )


def watch_services(cell: Cell) -> None:
    """Watch all services for a while; InstallError if one does not stay up."""
    failed = in_parallel(
        cell.services, lambda role: watch(cell, role, cell.services[role], phase=Phase.START, settle=units.SETTLE)
    )
    for errors in failed.values():
        for error in errors:
            raise error


def _early(cell: Cell) -> dict[str, Sequence[str]]:
    makers = {trust.on for trust in cell.product.trust}
    return {role: _until_condor(item) if role in makers else () for role, item in cell.roles.items()}


def look_again(cell: Cell) -> None:
    """Look from outside whether the candidate has changed the platform since its installation."""
    build, installed = cell.rundir.saved(values.BUILD), cell.rundir.saved(values.INSTALLED)
    if build and installed:
        trusted = _trusted(cell, build)
        in_parallel(cell.roles, lambda role: _seen_from_outside(cell, role, trusted, installed, phase=Phase.TEST))


def _until_condor(definition: RoleDefinition) -> Sequence[str]:
    """Services up to HTCondor, which has to be up before IDTOKENs can be made."""
    names = list(definition.services)
    return names[: names.index("condor") + 1] if "condor" in names else ()


def _start_units(cell: Cell, role: str, names: Sequence[str]) -> None:
    for unit in names:
        with cell.journal.case(Phase.START, role, f"{unit} starts"):
            try:
                units.start_service(cell.host(role), unit)
            except InstallError as error:
                raise _explained(cell, role, unit, error) from None


def _explained(cell: Cell, role: str, unit: str, error: ItbError) -> ItbError:
    """The error of a unit, with the cause its logs name if its journal names none."""
    if units.names_cause(error.message) or role not in cell.roles:
        return error
    definition, host = cell.roles[role], cell.host(role)
    said = logs.probe(host, definition.probes[unit]) if unit in definition.probes else ""
    found = logs.find_errors(host, definition.logs, ignored=cell.product.ignored_errors, text=said)
    message = f"{error.message.partition(': ')[0]}: {found[0]}" if found else error.message
    evidence = "\n".join([error.message, *found, said, error.evidence])
    return InstallError(message, hint=error.hint, evidence=evidence, log=error.log)


def _deliver_trust(cell: Cell, number: int) -> None:
    trust = cell.product.trust[number]
    target = trust.to or trust.on
    with cell.journal.case(Phase.START, target, f"IDTOKEN of {trust.identity}"):
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
                raise _explained(cell, role, unit, errors[unit])
    return list(errors.values())
