"""What the tasks do: from settings to cells, from cells to verdicts and exit codes."""

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

from itb.config import lookup
from itb.config import product as config_product
from itb.config.platform import Platform
from itb.config.product import Product
from itb.config.scenario import Scenario
from itb.config.settings import Settings
from itb.containers.engine import connect
from itb.errors import TestbedError, UsageError
from itb.model import Commit
from itb.process.runner import Runner
from itb.process.stop import EndedRunError, Stop
from itb.run import resume, testbed_fault
from itb.run.cell import Cell
from itb.run.phases import previous, published, token
from itb.run.watchdog import Watchdog
from itb.rundir import values
from itb.rundir.checkpoints import Checkpoints
from itb.rundir.directory import RunDir, RunState
from itb.rundir.journal import Journal, Listener
from itb.scenario import play as scenes
from itb.source import embedded
from itb.source import resolve as source_resolve
from itb.testbed import testbed
from itb.testbed.testbed import Topology
from itb.util.files import expand
from itb.version import VERSION


@dataclass(frozen=True)
class Plan:
    """A cell before anything was started: all names are known to exist."""

    product: Product
    platform: Platform
    scenarios: tuple[Scenario, ...]
    topology: Topology


def plan(chosen: Settings) -> list[Plan]:
    """Look up everything the settings name; UsageError for the first thing that does not exist."""
    product = load_product(chosen)
    token.check_hook(chosen)
    topology = testbed.find_topology(product.testbed)
    names, folders = chosen.scenario or product.scenarios, [expand(folder) for folder in chosen.scenarios]
    scenarios = tuple(lookup.load_scenario(name, folders) for name in names)
    for scenario in scenarios:
        scenes.check(scenario, topology.roles)
    folders = [expand(folder) for folder in chosen.platforms]
    platforms = [lookup.load_platform(name, folders) for name in chosen.platform]
    _check_distinct("scenario", scenarios)
    _check_distinct("platform", platforms)
    topology = _with_builder(chosen, platforms, topology)
    return [Plan(product, platform, scenarios, topology) for platform in platforms]


def _check_distinct(kind: str, found: Sequence[Scenario] | Sequence[Platform]) -> None:
    """Refuse two of one name: it is what logs, files on hosts, runs and reports tell them apart by."""
    seen: dict[str, Path] = {}
    for item in found:
        other = seen.setdefault(item.name, item.folder)
        if other is not item.folder:
            raise UsageError(
                f"{kind} {item.name} is named twice"
                if other.resolve() == item.folder.resolve()
                else f"two {kind}s have the name {item.name}: {other} and {item.folder}",
                hint=f"name each {kind} once; a folder's name is the {kind}'s",
            )


def _with_builder(chosen: Settings, platforms: Sequence[Platform], topology: Topology) -> Topology:
    """The stage on which the chosen builder can work; UsageError where a platform has it not."""
    if chosen.builder != "mock" or chosen.from_repo:
        return topology
    for platform in platforms:
        if platform.build.mock.refused:
            raise UsageError(
                f"platform {platform.name} cannot build with mock: {platform.build.mock.refused}",
                hint="--builder rpmbuild, or a platform of Enterprise Linux",
            )
    overlay = topology.file.parent / "privileged-workspace.yaml"
    return dataclasses.replace(topology, overlays=(overlay,))


def load_product(chosen: Settings) -> Product:
    """The product of the settings; UsageError listing what there is if none is named."""
    if not chosen.product:
        raise UsageError("no product named", hint="--product NAME or FOLDER, such as --product pocketwms")
    found = lookup.load_product(chosen.product, [expand(folder) for folder in chosen.products])
    return config_product.with_variants(found, chosen.variant)


def origin(product: Product, chosen: Settings, runner: Runner) -> str:
    """Where the product's source is: as asked for, its URL, or its embedded history made a repository."""
    if chosen.source:
        return chosen.source
    if product.source.url:
        return product.source.url
    assert product.source.history is not None
    file = product.folder / product.source.history
    return str(embedded.materialise(file, chosen.cache_dir / "history", runner=runner))


def resolve(product: Product, chosen: Settings, runner: Runner) -> Commit:
    """The exact commit the settings ask for; of packages published elsewhere, what each cell will find out."""
    if chosen.from_repo:
        return published.unresolved(product.name, chosen.from_repo, chosen.nevra)
    where = origin(product, chosen, runner)
    return source_resolve.resolve(product, ref=chosen.ref, source=where, cache=chosen.cache_dir, runner=runner)


def resolve_previous(part: Plan, chosen: Settings, commit: Commit, runner: Runner) -> Commit | None:
    """The exact commit of the version to upgrade from; None if there is none or no scenario asks for it."""
    if not any(scenario.needs.previous for scenario in part.scenarios):
        if chosen.upgrade_from:
            names = ",".join(scenario.name for scenario in part.scenarios)
            raise UsageError(
                f"upgrade_from is {chosen.upgrade_from!r}, but no chosen scenario upgrades ({names})",
                hint=f"--scenario {names},upgrade",
            )
        return None
    if chosen.from_repo:
        return None  # the cell looks for it in the same repository
    where = origin(part.product, chosen, runner)
    return previous.find(
        part.product, commit, ref=chosen.upgrade_from, source_from=where, cache=chosen.cache_dir, runner=runner
    )


def check_place() -> None:
    """UsageError where the current directory has a name that no run can record."""
    here = str(Path.cwd())
    try:
        here.encode()
    except UnicodeEncodeError:
        raise UsageError(
            f"the name of the current directory, {here!r}, is not UTF-8 text: run.json could not say it",
            hint="start itb in another directory",
        ) from None


def check_disk(chosen: Settings) -> None:
    """TestbedError when there is too little room to begin with."""
    for folder in (chosen.runs_dir, chosen.cache_dir):
        place = folder
        while not place.exists():
            place = place.parent
        free = shutil.disk_usage(place).free / 1e9
        if free < chosen.min_free_gb:
            raise TestbedError(
                f"{place}: {free:.1f} GB free, {chosen.min_free_gb:g} GB needed",
                hint="itb clean --unused makes room, itb clean --everything more; min_free_gb lowers the limit",
            )


def open_cell(
    chosen: Settings, part: Plan, commit: Commit, *, earlier: Commit | None, listener: Listener, stop: Stop
) -> Cell:
    """Make the run directory of a cell and everything its phases need."""
    what = commit.id[:8] or commit.kind
    rundir = RunDir.create(chosen.runs_dir, f"{part.product.name}-{what}-{part.platform.name}")
    rundir.save(values.COMMIT, commit)
    state = RunState(
        id=rundir.id,
        short=secrets.token_hex(4),
        product=part.product.name,
        platform=part.platform.name,
        ref=commit.ref,
        scenarios=tuple(scenario.name for scenario in part.scenarios),
        started=time.time(),
        pid=os.getpid(),
        tool_version=VERSION,
        settings=chosen.model_dump(mode="json"),
        cwd=str(Path.cwd()),
        definitions=resume.checksums(part.product, part.platform, part.topology),
    )
    rundir.tokens.mkdir(mode=0o700)
    if earlier:
        rundir.save(values.PREVIOUS, earlier)
    rundir.write_state(state)  # last: where it is, all that a run begins with is
    return make_cell(chosen, part, commit, rundir, listener=listener, stop=stop)


def make_cell(
    chosen: Settings, part: Plan, commit: Commit, rundir: RunDir, *, listener: Listener, stop: Stop
) -> Cell:
    """Everything the phases of a run need, whether it begins or goes on."""
    runner = Runner(
        record=rundir.record_command, stop=stop, limits=chosen.time_limits, retries=chosen.retries
    )
    cell = Cell(
        settings=chosen,
        product=part.product,
        platform=part.platform,
        scenarios=part.scenarios,
        topology=part.topology,
        commit=commit,
        rundir=rundir,
        journal=Journal(rundir, [listener, Watchdog(runner.limits, stop)]),
        engine=connect(runner, chosen.engine, chosen.cache_dir),
        checkpoints=Checkpoints(rundir),
        previous=rundir.saved(values.PREVIOUS),
    )
    cell.journal.look = functools.partial(testbed_fault.find, cell)
    cell.journal.on_lost = lambda why: stop.request(EndedRunError(why))
    return cell
