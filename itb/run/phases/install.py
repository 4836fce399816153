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
from itb.install import services as install_services
from itb.model import Build, Installed, InstalledPackage, Phase, Repo, TestbedHosts
from itb.report.self_reported import FILES_AND_ORIGINS, PLATFORM_UNCHANGED
from itb.repository import signed as repository_signed
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

    def install_role(role: str) -> tuple[InstalledPackage, ...]:
        if role not in cell.roles:
            repository_signed.point_host(cell.host(role), repo, cell.product.packages)
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
    packages = in_parallel([*cell.roles, *sorted(others)], install_role)
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


def _install_role(cell: Cell, role: str, build: Build, repo: Repo) -> tuple[InstalledPackage, ...]:
    definition, host = cell.roles[role], cell.host(role)
    folder = cell.rundir.host(role)
    repository_signed.point_host(host, repo, cell.product.packages)
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
        trial.passed(dnf.check_origin(packages, build, repo.id, definition.packages))
        dnf.check_headers(host, packages, build)
    # What verification finds does not keep the product from being tried.
    with suppress(InstallError), cell.journal.case(Phase.INSTALL, role, "files are as packaged (rpm -V)"):
        container = cell.testbed.containers.get(role, "")
        configured = cell.checkpoints.holds(CheckpointKey(Kind.CONFIGURED, role), role, container)
        dnf.verify_files(host, packages, configured=configured)
    if definition.configure:
        _configure_role(cell, role, packages)
    return packages


def inspect_hosts(cell: Cell, build: Build, installed: Installed) -> None:
    """Inspect, from outside of the hosts, what installing the candidate did to them.

    What is wrong is a failed case, but does not keep the product from being tried.
    """
    checksums = _trusted_checksums(cell, build)

    def inspect_role(role: str) -> None:
        inspection = _check_platform(cell, role, checksums, installed, phase=Phase.INSTALL)
        packages, expected = installed.packages[role], outside.side_effects(cell.platform)
        with suppress(InstallError), cell.journal.case(Phase.INSTALL, role, FILES_AND_ORIGINS) as trial:
            trial.passed(outside.check_packages(inspection, expected, packages, cell.roles[role].packages))

    in_parallel(
        cell.roles,
        lambda role: cell.do_once(CheckpointKey(Kind.LOOKED, role), lambda: inspect_role(role), on=[role]),
    )


def inspect_before_removal(cell: Cell) -> None:
    """Inspect hosts that have the candidate before they are removed, unless that was done."""
    build, installed = cell.rundir.saved(values.BUILD), cell.rundir.saved(values.INSTALLED)
    if build and installed:
        inspect_hosts(cell, build, installed)


def _trusted_checksums(cell: Cell, build: Build) -> set[str]:
    """Return the SHA-256 of the RPM files that hosts may have installed; the services host is asked once."""
    repo_checksums = cell.value_once(
        CheckpointKey(Kind.REPO, "checksums"),
        Value("repo.checksums", outside.ServedChecksums),
        lambda: outside.served_checksums(cell.host(SERVICES), repository_signed.ROOT),
        on=[SERVICES],
    )
    return {*repo_checksums.sha256, *(rpm.sha256 for rpm in build.rpms)}


def _check_platform(
    cell: Cell, role: str, checksums: Collection[str], installed: Installed, *, phase: str
) -> outside.Inspection:
    """Report whether the platform is as it was, as a case; return the inspection."""
    host = cell.testbed.describe([role]).host(role)
    own = [package.nevra for package in installed.packages.get(role, ()) if package.candidate]
    inspection = outside.Inspection(root="")
    with suppress(InstallError), cell.journal.case(phase, role, PLATFORM_UNCHANGED) as trial:
        inspection = outside.inspect(cell.host(role), host.image_id, trusted=checksums, labels=cell.testbed.labels)
        expected = outside.side_effects(cell.platform)
        trial.passed(outside.check_platform(inspection, expected, own, later=phase != Phase.INSTALL))
    return inspection


def _configure_role(cell: Cell, role: str, packages: Sequence[InstalledPackage]) -> None:
    """Run the role's configuration script; save what it changed in the run directory, however it ended."""
    host, folder, script = cell.host(role), cell.rundir.host(role), cell.roles[role].configure
    key, container = CheckpointKey(Kind.CONFIGURED, role), cell.testbed.containers.get(role, "")
    is_first = not cell.checkpoints.holds(key, role, container)
    cell.checkpoints.begin(key, {role: container})
    with cell.journal.case(Phase.CONFIGURE, role, script) as trial:
        if is_first:  # else what a step that is done again finds there is not what was shipped
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
        summary = [f"{len(changed)} files changed: {', '.join(changed)}"] if changed else []
        trial.passed("; ".join([*summary, *notes]), evidence=diff)
        trial.log = folder / CONFIGURATION_DIFF


def start_condor(cell: Cell) -> None:
    """Start the services up to HTCondor where it makes IDTOKENs, make these and put them on their hosts."""
    early = _early_services(cell)
    in_parallel(cell.roles, lambda role: _start_units(cell, role, early[role]))
    in_parallel(range(len(cell.product.trust)), lambda number: _deliver_trust(cell, number))


def start_rest(cell: Cell) -> None:
    """Start all other services."""
    early = _early_services(cell)
    in_parallel(
        cell.roles,
        lambda role: _start_units(cell, role, [u for u in cell.roles[role].services if u not in early[role]]),
    )


def watch_services(cell: Cell) -> None:
    """Watch all services for a while; InstallError if one does not stay up."""
    failed = in_parallel(
        cell.services,
        lambda role: watch(
            cell, role, cell.services[role], phase=Phase.START, settle=install_services.SETTLE
        ),
    )
    for errors in failed.values():
        for error in errors:
            raise error


def _early_services(cell: Cell) -> dict[str, Sequence[str]]:
    issuing_roles = {trust.on for trust in cell.product.trust}
    return {
        role: _until_condor(definition) if role in issuing_roles else () for role, definition in cell.roles.items()
    }


def inspect_after_tests(cell: Cell, build: Build, installed: Installed) -> None:
    """Inspect from outside whether the candidate has changed the platform since its installation."""
    checksums = _trusted_checksums(cell, build)
    in_parallel(cell.roles, lambda role: _check_platform(cell, role, checksums, installed, phase=Phase.TEST))


def _until_condor(definition: RoleDefinition) -> Sequence[str]:
    """Return the services up to HTCondor, which has to be up before IDTOKENs can be made."""
    names = list(definition.services)
    return names[: names.index("condor") + 1] if "condor" in names else ()


def _start_units(cell: Cell, role: str, names: Sequence[str]) -> None:
    for unit in names:
        with cell.journal.case(Phase.START, role, f"{unit} starts"):
            try:
                install_services.start_service(cell.host(role), unit)
            except InstallError as error:
                raise _with_cause(cell, role, unit, error) from None


def _with_cause(cell: Cell, role: str, unit: str, error: ItbError) -> ItbError:
    """Return the error of a unit, with the cause its logs name if its journal names none."""
    if install_services.names_cause(error.message) or role not in cell.roles:
        return error
    definition, host = cell.roles[role], cell.host(role)
    output = logs.probe(host, definition.probes[unit]) if unit in definition.probes else ""
    errors = logs.find_errors(host, definition.logs, ignored=cell.product.ignored_errors, text=output)
    message = f"{error.message.partition(': ')[0]}: {errors[0]}" if errors else error.message
    evidence = "\n".join([error.message, *errors, output, error.evidence])
    return InstallError(message, hint=error.hint, evidence=evidence, log=error.log)


def _deliver_trust(cell: Cell, number: int) -> None:
    trust = cell.product.trust[number]
    target = trust.to or trust.on
    with cell.journal.case(Phase.START, target, f"IDTOKEN of {trust.identity}"):
        install_services.deliver_idtoken(
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
    """Report for each service, as a case, whether it stays up; return the errors of those that do not."""
    errors = install_services.check_stays_up(cell.host(role), names, settle=settle)
    name = "{} stays up" if settle else "{} is still up"
    for unit in names:
        with suppress(InstallError), cell.journal.case(phase, role, name.format(unit)):
            if unit in errors:
                raise _with_cause(cell, role, unit, errors[unit])
    return list(errors.values())
