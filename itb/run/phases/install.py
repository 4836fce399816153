"""The phases install, configure and start: the candidate is installed, verified, configured and started.

Its hosts are then inspected from outside, for what the installation changed on them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from itb.config.product import IdToken, RoleDefinition
from itb.errors import InstallError, ItbError, ScenarioError
from itb.install import configure, dnf, outside
from itb.install import services as install_services
from itb.model import Build, CaseKey, Installed, InstalledPackage, Repo, TestbedHosts
from itb.phase import Phase
from itb.process.parallel import in_parallel
from itb.repository import server as repository_server
from itb.roles import CE, SERVICES, WORKSPACE
from itb.run.cell import Cell
from itb.run.phases.up import starts
from itb.rundir import checkpoints, values
from itb.rundir.case_history import FILES_AND_ORIGINS, PLATFORM_UNCHANGED
from itb.rundir.checkpoints import CheckpointKey, CheckpointKind
from itb.rundir.values import ValueKey
from itb.testbed import growth, logs
from itb.util.text import count

CONFIGURATION_DIFF = "configuration.diff"
_INSTALLED = "dnf installs the packages"
_ORIGINS = "every product package is the candidate's"
_FILES = "files are as packaged (rpm -V)"
_CONFIGURED = "the role is configured"


def _delivered(id_token: IdToken) -> CaseKey:
    return CaseKey(Phase.START, id_token.to or id_token.on, f"IDTOKEN of {id_token.identity} in {id_token.path}")


def _stays_up(role: str, unit: str) -> CaseKey:
    return CaseKey(Phase.START, role, f"{unit} stays up")


def still_up(role: str, unit: str) -> CaseKey:
    """Return the case that a service is up after the scenarios."""
    return CaseKey(Phase.TEST, role, f"{unit} is still up")


def _unchanged(phase: Phase, role: str) -> CaseKey:
    return CaseKey(phase, role, PLATFORM_UNCHANGED)


def installed_cases(cell: Cell) -> Iterable[CaseKey]:
    """Yield the cases that the candidate is installed, verified and configured on its roles."""
    for role, definition in cell.roles.items():
        names = (_INSTALLED, _ORIGINS, _FILES)
        yield from (CaseKey(Phase.INSTALL, role, name) for name in names)
        if definition.configure:
            yield CaseKey(Phase.CONFIGURE, role, _CONFIGURED)


def inspection_cases(cell: Cell) -> Iterable[CaseKey]:
    """Yield the cases that hosts, seen from outside, are as the installation should leave them."""
    for role in cell.roles:
        yield from (_unchanged(Phase.INSTALL, role), CaseKey(Phase.INSTALL, role, FILES_AND_ORIGINS))


def start_cases(cell: Cell) -> Iterable[CaseKey]:
    """Yield the cases that services start and that the IDTOKENs they need are delivered."""
    yield from (starts(role, unit) for role, definition in cell.roles.items() for unit in definition.services)
    yield from map(_delivered, cell.product.id_tokens)


def watch_cases(cell: Cell) -> Iterable[CaseKey]:
    """Yield the cases that services stay up."""
    yield from (_stays_up(role, unit) for role, units_of_role in cell.services.items() for unit in units_of_role)


def final_cases(cell: Cell) -> Iterable[CaseKey]:
    """Yield the cases of the checks after the scenarios."""
    yield from (still_up(role, unit) for role, units_of_role in cell.services.items() for unit in units_of_role)
    yield from (_unchanged(Phase.TEST, role) for role in cell.roles)


def install_roles(cell: Cell, build: Build, repo: Repo, testbed_hosts: TestbedHosts) -> Installed:
    """Install the candidate on its roles, verify its origin and files, and configure it; return its packages.

    Hosts without a role of the product only get the candidate's repository.
    """

    # Asked before this installation begins, which is then the last one.
    had_candidate = {
        role: cell.checkpoints.began_on(
            CheckpointKey(CheckpointKind.INSTALLATION, role), role, cell.testbed.containers.get(role, "")
        )
        for role in cell.roles
    }

    def install_role(role: str) -> tuple[InstalledPackage, ...]:
        if role not in cell.roles:
            repository_server.enable(cell.host(role), repo, cell.product.packages)
            return ()
        installed = cell.value_once(
            CheckpointKey(CheckpointKind.INSTALLATION, role),
            values.installed_on(role),
            lambda: Installed(
                packages={role: _install_role(cell, role, build, repo, had_candidate=had_candidate[role])}
            ),
            on=[role],
            taints=[role],
            is_current=lambda value: value.packages.get(role) == _packages(cell, role),
        )
        return installed.packages[role]

    others = {host.role for host in testbed_hosts.hosts} - {*cell.roles, CE, SERVICES, WORKSPACE}
    packages = in_parallel([*cell.roles, *sorted(others)], install_role)
    return Installed(packages={role: items for role, items in packages.items() if items})


def complete(cell: Cell, installed_roles: Installed) -> Installed:
    """Return the product's packages on the candidate's roles and the CE, and save them."""
    on_ce = {CE: _packages(cell, CE)} if cell.has_ce and CE not in cell.roles else {}
    packages = {**installed_roles.packages, **{role: items for role, items in on_ce.items() if items}}
    installed = Installed(packages=packages)
    cell.rundir.save(values.INSTALLED, installed)
    return installed


def _packages(cell: Cell, role: str) -> tuple[InstalledPackage, ...]:
    return dnf.installed_packages(cell.host(role), cell.product.packages)


def _install_role(
    cell: Cell, role: str, build: Build, repo: Repo, *, had_candidate: bool
) -> tuple[InstalledPackage, ...]:
    definition, host = cell.roles[role], cell.host(role)
    folder = cell.rundir.setup_logs(role)
    repository_server.enable(host, repo, cell.product.packages)
    with cell.journal.case(*CaseKey(Phase.INSTALL, role, _INSTALLED)) as case:
        dnf.dnf_install(
            host,
            definition.packages,
            log=folder / "install.log",
            timeout=cell.limits.of(definition.timeout, f"timeout of role {role}"),
            case=case,
            repositories=definition.repositories,
            own=cell.product.packages,
            has_candidate=had_candidate,
        )
    with cell.journal.case(*CaseKey(Phase.INSTALL, role, _ORIGINS)) as case:
        packages = dnf.installed_packages(host, cell.product.packages)
        case.passed(dnf.check_origin(packages, build, repo.id, definition.packages))
        dnf.check_headers(host, packages, build)
    # The product is tested even if the verification fails.
    container = cell.testbed.containers.get(role, "")
    configured = cell.checkpoints.began_on(CheckpointKey(CheckpointKind.CONFIGURATION, role), role, container)
    with suppress(InstallError), cell.journal.case(*CaseKey(Phase.INSTALL, role, _FILES)):
        dnf.verify_files(host, packages, configured=configured, log=folder / "verify.log")
    if definition.configure:
        _configure_role(cell, role, packages)
    return packages


def inspect_hosts(cell: Cell, build: Build, installed: Installed) -> None:
    """Inspect, from outside of the hosts, what the installation of the candidate changed on them.

    A wrong change is a failed case, but the product is tested all the same.
    """
    checksums, hosts = _served_checksums(cell, build), cell.testbed.describe(list(cell.roles))

    def inspect_role(role: str) -> None:
        image = hosts.host(role).image_id
        inspection = _check_platform(cell, role, image, checksums, installed, phase=Phase.INSTALL)
        packages, expected = installed.packages[role], outside.side_effects(cell.platform)
        with suppress(InstallError), cell.journal.case(*CaseKey(Phase.INSTALL, role, FILES_AND_ORIGINS)) as case:
            case.passed(outside.check_packages(inspection, expected, packages, cell.roles[role].packages))

    def inspect_once(role: str) -> None:
        cell.do_once(CheckpointKey(CheckpointKind.INSPECTION, role), lambda: inspect_role(role), on=[role])

    in_parallel(cell.roles, inspect_once)


def inspect_before_removal(cell: Cell) -> None:
    """Inspect hosts that have the candidate, unless that was done, before they are removed."""
    build, installed = cell.rundir.load(values.BUILD), cell.rundir.load(values.INSTALLED)
    if build and installed:
        inspect_hosts(cell, build, installed)


def _served_checksums(cell: Cell, build: Build) -> outside.ServedChecksums:
    """Return the SHA-256 of the RPM files that hosts may have installed, as the services host has them."""
    checksums = cell.value_once(
        checkpoints.SERVED_CHECKSUMS,
        ValueKey(checkpoints.SERVED_CHECKSUMS.name, outside.ServedChecksums),
        lambda: outside.served_checksums(cell.host(SERVICES), repository_server.ROOT, cell.platform),
        on=[SERVICES],
    )
    return checksums.model_copy(update={"product": (*checksums.product, *(rpm.sha256 for rpm in build.rpms))})


def _check_platform(
    cell: Cell, role: str, image: str, checksums: outside.ServedChecksums, installed: Installed, *, phase: Phase
) -> outside.Inspection:
    """Report, as a case, whether the platform is unchanged; return the inspection.  ``image`` is the host's."""
    own = [package.nevra for package in installed.packages.get(role, ()) if package.candidate]
    inspection = outside.Inspection(root="")
    with suppress(InstallError), cell.journal.case(*_unchanged(phase, role)) as case:
        expected = outside.side_effects(cell.platform)
        inspection = outside.inspect(
            cell.host(role),
            image,
            served=checksums,
            expected=expected,
            labels=cell.testbed.labels,
            installed=own,
        )
        before = [item for item in cell.journal.cases if (item.role, item.name) == (role, FILES_AND_ORIGINS)]
        known = {line for item in before for line in item.evidence.splitlines()}
        later = phase != Phase.INSTALL
        case.passed(outside.check_platform(inspection, expected, own, later=later, known=known))
    return inspection


def _configure_role(cell: Cell, role: str, packages: Sequence[InstalledPackage]) -> None:
    """Run the role's configuration script; save what it changed in the run directory, however it ended."""
    host, folder, script = cell.host(role), cell.rundir.setup_logs(role), cell.roles[role].configure
    key, container = CheckpointKey(CheckpointKind.CONFIGURATION, role), cell.testbed.containers.get(role, "")
    is_first = not cell.checkpoints.began_on(key, role, container)
    cell.checkpoints.begin(key, {role: container})
    with cell.journal.case(*CaseKey(Phase.CONFIGURE, role, _CONFIGURED)) as case:
        try:
            notes = configure.configure(
                host,
                cell.product.folder / script,
                cell.script_context.environment(role),
                log=folder / "configure.log",
                timeout=cell.limits("configure"),
                # Later the files are not as they were shipped any more.
                shipped_by=packages if is_first else (),
            )
        finally:
            diff = configure.differences(host)
            (folder / CONFIGURATION_DIFF).write_text(diff)
        changed = configure.changed_files(diff)
        summary = [f"{count(len(changed), 'file')} changed: {', '.join(changed)}"] if changed else []
        case.passed("; ".join([*summary, *notes]), evidence=diff)
        case.log = folder / CONFIGURATION_DIFF


def start_condor(cell: Cell) -> None:
    """Start the services up to HTCondor on roles that issue IDTOKENs, then issue and deliver these."""
    early = _early_services(cell)
    in_parallel(cell.roles, lambda role: _start_units(cell, role, early[role]))
    in_parallel(range(len(cell.product.id_tokens)), lambda number: _deliver_id_token(cell, number))


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
            cell, role, cell.services[role], case=_stays_up,
            settle=install_services.SETTLE, before=_sampler(cell, role),
        ),
    )  # fmt: skip
    for errors in failed.values():
        for error in errors:
            raise error


def _sampler(cell: Cell, role: str) -> str:
    return growth.start_script(cell.services[role], cell.logs[role]) if role in cell.roles else ""


def _early_services(cell: Cell) -> dict[str, Sequence[str]]:
    issuing_roles = {id_token.on for id_token in cell.product.id_tokens}
    return {
        role: _until_condor(definition) if role in issuing_roles else () for role, definition in cell.roles.items()
    }


def inspect_after_tests(cell: Cell, build: Build, installed: Installed) -> None:
    """Inspect, from outside, whether the candidate has changed the platform since its installation."""
    checksums, hosts = _served_checksums(cell, build), cell.testbed.describe(list(cell.roles))
    in_parallel(
        cell.roles,
        lambda role: _check_platform(
            cell, role, hosts.host(role).image_id, checksums, installed, phase=Phase.TEST
        ),
    )


def _until_condor(definition: RoleDefinition) -> Sequence[str]:
    """Return the services up to HTCondor, which has to run before IDTOKENs can be issued."""
    names = list(definition.services)
    return names[: names.index("condor") + 1] if "condor" in names else ()


def _start_units(cell: Cell, role: str, names: Sequence[str]) -> None:
    for unit in names:
        with cell.journal.case(*starts(role, unit)):
            try:
                install_services.start_service(cell.host(role), unit)
            except InstallError as error:
                raise _with_cause(cell, role, unit, error) from None


def _with_cause(cell: Cell, role: str, unit: str, error: ItbError) -> ItbError:
    """Return the error of a unit, with the cause that its logs name unless its journal names one."""
    if install_services.names_cause(error.message) or role not in cell.roles:
        return error
    definition, host = cell.roles[role], cell.host(role)
    log = cell.rundir.setup_logs(role) / f"{unit}-foreground.log"
    output = logs.probe(host, definition.probes[unit], log=log) if unit in definition.probes else None
    errors = logs.find_errors(host, definition.logs, ignored=cell.product.ignored_errors, output=output)
    message = f"{error.message.partition(': ')[0]}: {errors[0].message}" if errors else error.message
    parts = [error.message, *(item.message for item in errors), output.output if output else "", error.evidence]
    quotes = [*(item.line for item in errors[:1]), *error.quotes]
    return InstallError(message, hint=error.hint, evidence="\n".join(parts), log=error.log, quotes=quotes)


def _deliver_id_token(cell: Cell, number: int) -> None:
    id_token = cell.product.id_tokens[number]
    target = id_token.to or id_token.on
    with cell.journal.case(*_delivered(id_token)):
        install_services.deliver_idtoken(
            cell.host(id_token.on),
            cell.host(target),
            key=id_token.key,
            identity=id_token.identity,
            lifetime=id_token.lifetime,
            path=id_token.path,
            owner=id_token.owner,
            private=cell.rundir.tokens,
        )


def watch(
    cell: Cell,
    role: str,
    names: Sequence[str],
    *,
    case: Callable[[str, str], CaseKey],
    settle: float,
    before: str = "",
    never_ended: bool = False,
    error_class: type[InstallError | ScenarioError] = InstallError,
) -> list[ItbError]:
    """Report, for each service, whether it stays up, as the ``case`` of role and unit; return the errors.

    ``before`` is a bash script that is run on the host first; with ``never_ended``, systemd must not have started
    it again; ``error_class`` says what has failed.
    """
    down = install_services.check_stays_up(
        cell.host(role), names, settle=settle, before=before, never_ended=never_ended
    )
    errors: list[ItbError] = []
    for unit in names:
        try:
            with cell.journal.case(*case(role, unit)):
                if unit in down:
                    error = _with_cause(cell, role, unit, down[unit])
                    is_products = isinstance(error, InstallError)
                    raise error.turned_into(error_class, error.message) if is_products else error
        except (InstallError, ScenarioError) as error:
            errors.append(error)
    return errors
