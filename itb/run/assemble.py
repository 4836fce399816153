"""Makes cells of settings: looks up the definitions they name, resolves commits, makes run directories."""

from __future__ import annotations

import dataclasses
import functools
import os
import secrets
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from itb.config import lookup, trust
from itb.config import product as config_product
from itb.config import settings as config_settings
from itb.config.platform import Platform
from itb.config.product import Product
from itb.config.scenario import Scenario
from itb.config.settings import Settings
from itb.containers.connection import connect
from itb.errors import TestbedError, UsageError
from itb.model import Commit, RunTrust
from itb.process.runner import Runner
from itb.process.stop import EndedRunError, Stop
from itb.roles import CE, SERVICES, WORKSPACE
from itb.run import resume, testbed_fault
from itb.run.cell import Cell
from itb.run.nodes import planned_cases
from itb.run.phases import previous, published, token
from itb.run.watchdog import Watchdog
from itb.rundir import seal, values
from itb.rundir.checkpoints import Checkpoints
from itb.rundir.directory import RunDir, RunState
from itb.rundir.journal import Journal, Listener
from itb.scenario import execution
from itb.source import embedded
from itb.source import resolve as source_resolve
from itb.testbed.topology import Topology, find_topology
from itb.util.files import expand
from itb.util.yamlfile import nearest
from itb.version import VERSION


@dataclass(frozen=True)
class CellDefinitions:
    """The definitions of a cell, all of which exist; nothing was started yet."""

    product: Product
    platform: Platform
    scenarios: tuple[Scenario, ...]
    topology: Topology


def find_definitions(settings: Settings) -> list[CellDefinitions]:
    """Look up the definitions that the settings name; UsageError for the first that does not exist."""
    product = load_product(settings)
    token.check_hook(settings)
    topology, scenarios = find_testbed_and_scenarios(product, settings.scenario or product.scenarios, settings)
    platforms = [lookup.load_platform(name, settings.folders("platforms")) for name in settings.platform]
    _check_distinct("scenario", scenarios)
    _check_distinct("platform", platforms)
    topology = _with_builder(settings, product, platforms, topology)
    return [CellDefinitions(product, platform, scenarios, topology) for platform in platforms]


def find_testbed_and_scenarios(
    product: Product, scenarios: Sequence[str], settings: Settings
) -> tuple[Topology, tuple[Scenario, ...]]:
    """Return the testbed of a product, and scenarios by their names or those of sets of the product.

    Raises UsageError if they do not fit together.
    """
    topology = find_topology(product.testbed, product.folder)
    _check_roles(product, topology)
    folders = [*settings.folders("scenarios"), product.folder / "scenarios"]
    loaded = tuple(lookup.load_scenario(name, folders) for name in product.with_sets(scenarios))
    for scenario in loaded:
        execution.check_roles(scenario, topology.roles)
    return topology, loaded


def _check_roles(product: Product, topology: Topology) -> None:
    """Raise UsageError for a product with a role that the testbed lacks, or with a token where there is no CE."""
    for role in product.roles:
        if role not in topology.hosts or role in (SERVICES, WORKSPACE):
            role_names = [name for name in topology.roles if name not in (SERVICES, WORKSPACE)]
            raise UsageError(
                f"product {product.name}: testbed {product.testbed} has no host for role {role!r}"
                f"{nearest(role, role_names)}; it has: {', '.join(role_names)}",
                hint="testbed: in product.yaml names another one (itb help scenarios)",
            )
    if product.token and CE not in topology.hosts:
        raise UsageError(
            f"product {product.name}: it has a token, but testbed {product.testbed} no Compute Entrypoint",
            hint="leave token: out of product.yaml, or name another testbed",
        )


def _check_distinct(kind: str, definitions: Sequence[Scenario] | Sequence[Platform]) -> None:
    """Raise UsageError for two of one name, which logs, files on hosts and reports could not tell apart."""
    folders: dict[str, Path] = {}
    for definition in definitions:
        other = folders.setdefault(definition.name, definition.folder)
        if other is not definition.folder:
            raise UsageError(
                f"{kind} {definition.name} is named twice"
                if other.resolve() == definition.folder.resolve()
                else f"two {kind}s have the name {definition.name}: {other} and {definition.folder}",
                hint=f"name each {kind} once; a folder's name is the {kind}'s",
            )


def _with_builder(
    settings: Settings, product: Product, platforms: Sequence[Platform], topology: Topology
) -> Topology:
    """Return the topology that the builder of the settings needs; UsageError if a platform has no such builder."""
    if not trust.is_privileged(settings):
        return topology
    if product.build.command:
        raise UsageError(
            f"product {product.name} is built by a command of its own: only a ReleaseManager is told to use mock",
            hint="leave --builder out",
        )
    for platform in platforms:
        if platform.build.mock.refused:
            raise UsageError(
                f"platform {platform.name} cannot build with mock: {platform.build.mock.refused}",
                hint="--builder rpmbuild, or a platform of Enterprise Linux",
            )
    trust.check_builder(settings)
    overlay = topology.file.parent / "privileged-workspace.yaml"
    return dataclasses.replace(topology, overlays=(overlay,))


def load_product(settings: Settings) -> Product:
    """Return the product of the settings, with its variants; UsageError if none is named."""
    if not settings.product:
        raise UsageError("no product named", hint="--product NAME or FOLDER, such as --product pocketwms")
    product = lookup.load_product(settings.product, settings.folders("products"))
    return config_product.with_variants(product, settings.variant)


def locate_source(product: Product, settings: Settings, runner: Runner) -> str:
    """Return the product's source: that of the settings, its URL, or a repository of its embedded history.

    A URL that is a path is relative to the product's folder.
    """
    if settings.source:
        return settings.source
    if url := product.source.url:
        folder = product.folder / expand(url)
        return str(folder.resolve()) if "://" not in url and folder.is_dir() else url
    assert product.source.history is not None
    file = product.folder / product.source.history
    return str(embedded.make_repository(file, settings.cache_dir / "history", runner=runner))


def resolve_candidate(product: Product, settings: Settings, runner: Runner) -> Commit:
    """Return the exact commit the settings ask for; for published packages, a stand-in that each cell replaces."""
    if settings.from_repo:
        return published.unresolved_commit(product.name, settings.from_repo, settings.nevra)
    source, cache = locate_source(product, settings, runner), settings.cache_dir
    return source_resolve.resolve(product, ref=settings.ref, source=source, cache=cache, runner=runner)


def resolve_previous(
    definitions: CellDefinitions, settings: Settings, commit: Commit, runner: Runner
) -> Commit | None:
    """Return the exact commit of the version to upgrade from; None if there is none or no scenario needs it."""
    if not any(scenario.needs.previous for scenario in definitions.scenarios):
        if settings.upgrade_from:
            names = ",".join(scenario.name for scenario in definitions.scenarios)
            raise UsageError(
                f"upgrade_from is {settings.upgrade_from!r}, but no chosen scenario upgrades ({names})",
                hint=f"--scenario {names},upgrade",
            )
        return None
    if settings.from_repo:
        return None  # the cell chooses it in the same repository
    source = locate_source(definitions.product, settings, runner)
    return previous.find(
        definitions.product,
        commit,
        ref=settings.upgrade_from,
        source_from=source,
        cache=settings.cache_dir,
        runner=runner,
    )


def check_working_directory() -> None:
    """Raise UsageError if the name of the current directory cannot be recorded in ``run.json``."""
    folder = str(Path.cwd())
    try:
        folder.encode()
    except UnicodeEncodeError:
        raise UsageError(
            f"the name of the current directory, {folder!r}, is not UTF-8 text: run.json could not say it",
            hint="start itb in another directory",
        ) from None


def check_disk(settings: Settings) -> None:
    """Raise TestbedError if a disk has less room than the settings ask for."""
    for folder in (settings.runs_dir, settings.cache_dir):
        existing = folder
        while not existing.exists():
            existing = existing.parent
        free = shutil.disk_usage(existing).free / 1e9
        if free < settings.min_free_gb:
            raise TestbedError(
                f"{existing}: {free:.1f} GB free, {settings.min_free_gb:g} GB needed",
                hint="itb clean --unused makes room, itb clean --everything more; min_free_gb lowers the limit",
            )


def create_cell(
    settings: Settings,
    definitions: CellDefinitions,
    commit: Commit,
    *,
    previous_commit: Commit | None,
    run_trust: RunTrust,
    listener: Listener,
    stop: Stop,
) -> Cell:
    """Create the run directory of a cell; return the cell."""
    product, platform = definitions.product, definitions.platform
    label = f"{product.name}-{commit.id[:8] or commit.kind}-{platform.name}"
    rundir = RunDir.create(settings.runs_dir, label)
    rundir.save(values.COMMIT, commit)
    state = RunState(
        id=rundir.id,
        short_id=secrets.token_hex(4),
        product=product.name,
        platform=platform.name,
        ref=commit.ref,
        scenarios=tuple(scenario.name for scenario in definitions.scenarios),
        started=time.time(),
        pid=os.getpid(),
        tool_version=VERSION,
        settings=settings.without_secrets(),
        environment=config_settings.names_from_environment(),
        has_tools=True,
        cwd=str(Path.cwd()),
        trust=run_trust,
        definitions=resume.checksums(product, platform, definitions.topology),
    )
    rundir.tokens.mkdir(mode=0o700)
    if previous_commit:
        rundir.save(values.PREVIOUS_COMMIT, previous_commit)
    cell = assemble_cell(
        settings,
        definitions,
        commit,
        rundir,
        previous_commit=previous_commit,
        run_trust=run_trust,
        listener=listener,
        stop=stop,
    )
    rundir.save(values.PLANNED_CASES, planned_cases(cell))
    rundir.write_state(state)  # last: a directory with this file has all that a run begins with
    seal.write(rundir)
    return cell


def assemble_cell(
    settings: Settings,
    definitions: CellDefinitions,
    commit: Commit,
    rundir: RunDir,
    *,
    previous_commit: Commit | None,
    run_trust: RunTrust,
    listener: Listener,
    stop: Stop,
) -> Cell:
    """Return the cell with everything that the nodes of a run need, whether it begins or is resumed."""
    runner = Runner(record=rundir.record_command, stop=stop, limits=settings.time_limits, retries=settings.retries)
    cell = Cell(
        settings=settings,
        product=definitions.product,
        platform=definitions.platform,
        scenarios=definitions.scenarios,
        topology=definitions.topology,
        commit=commit,
        rundir=rundir,
        journal=Journal(rundir, [listener, Watchdog(runner.limits, stop)]),
        engine=connect(runner, settings.engine, settings.cache_dir),
        checkpoints=Checkpoints(rundir),
        previous_commit=previous_commit,
        trust=run_trust,
    )
    cell.journal.find_testbed_fault = functools.partial(testbed_fault.find, cell)
    cell.journal.may_have_candidate = functools.partial(testbed_fault.may_have_candidate, cell)
    cell.journal.has_run_candidate = functools.partial(testbed_fault.has_run_candidate, cell)
    cell.journal.on_lost = lambda why: stop.request(EndedRunError(why))
    return cell
