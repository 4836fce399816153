"""What the tasks do: from settings to cells, from cells to verdicts and exit codes."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from itb import (
    __version__,
    atfault,
    config,
    definitions,
    history,
    pipeline,
    previous,
    report,
    resuming,
    retries,
    source,
    supply,
    terminal,
    testbed,
    tokenphase,
    warden,
)
from itb import scenario as scenes
from itb.cell import Cell
from itb.config import Settings
from itb.definitions import Platform, Product, Scenario
from itb.engine import Engine, connect
from itb.errors import TestbedError, UsageError, worst
from itb.journal import Journal, Listener
from itb.ledger import Ledger
from itb.model import Case, Commit, Outcome, Phase
from itb.pipeline import Ending
from itb.places import expand
from itb.rundir import RunDir, RunState
from itb.runners import EndedRunError, Runner, Stop
from itb.testbed import Stage
from itb.verdict import Notes
from itb.watchman import Watchman


@dataclass(frozen=True)
class Plan:
    """A cell before anything was started: all names are known to exist."""

    product: Product
    platform: Platform
    scenarios: tuple[Scenario, ...]
    stage: Stage


def plan(chosen: Settings) -> list[Plan]:
    """Look up everything the settings name; UsageError for the first thing that does not exist."""
    product = load_product(chosen)
    tokenphase.check_hook(chosen)
    stage = testbed.find_stage(product.testbed)
    names, folders = chosen.scenario or product.scenarios, [expand(folder) for folder in chosen.scenarios]
    scenarios = tuple(definitions.load_scenario(name, folders) for name in names)
    for scenario in scenarios:
        scenes.check(scenario, stage.roles)
    folders = [expand(folder) for folder in chosen.platforms]
    platforms = [definitions.load_platform(name, folders) for name in chosen.platform]
    _check_distinct("scenario", scenarios)
    _check_distinct("platform", platforms)
    stage = _with_builder(chosen, platforms, stage)
    return [Plan(product, platform, scenarios, stage) for platform in platforms]


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


def _with_builder(chosen: Settings, platforms: Sequence[Platform], stage: Stage) -> Stage:
    """The stage on which the chosen builder can work; UsageError where a platform has it not."""
    if chosen.builder != "mock" or chosen.from_repo:
        return stage
    for platform in platforms:
        if platform.build.mock.refused:
            raise UsageError(
                f"platform {platform.name} cannot build with mock: {platform.build.mock.refused}",
                hint="--builder rpmbuild, or a platform of Enterprise Linux",
            )
    overlay = stage.file.parent / "privileged-workspace.yaml"
    return dataclasses.replace(stage, overlays=(overlay,))


def load_product(chosen: Settings) -> Product:
    """The product of the settings; UsageError listing what there is if none is named."""
    if not chosen.product:
        raise UsageError("no product named", hint="--product NAME or FOLDER, such as --product pocketwms")
    found = definitions.load_product(chosen.product, [expand(folder) for folder in chosen.products])
    return definitions.with_variants(found, chosen.variant)


def origin(product: Product, chosen: Settings, runner: Runner) -> str:
    """Where the product's source is: as asked for, its URL, or its embedded history made a repository."""
    if chosen.source:
        return chosen.source
    if product.source.url:
        return product.source.url
    assert product.source.history is not None
    file = product.folder / product.source.history
    return str(history.materialise(file, chosen.cache_dir / "history", runner=runner))


def resolve(product: Product, chosen: Settings, runner: Runner) -> Commit:
    """The exact commit the settings ask for; of packages published elsewhere, what each cell will find out."""
    if chosen.from_repo:
        return supply.unresolved(product.name, chosen.from_repo, chosen.nevra)
    where = origin(product, chosen, runner)
    return source.resolve(product, ref=chosen.ref, source=where, cache=chosen.cache_dir, runner=runner)


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
    rundir.save("commit", commit)
    state = RunState(
        id=rundir.id,
        short=secrets.token_hex(4),
        product=part.product.name,
        platform=part.platform.name,
        ref=commit.ref,
        scenarios=tuple(scenario.name for scenario in part.scenarios),
        started=time.time(),
        pid=os.getpid(),
        tool_version=__version__,
        settings=chosen.model_dump(mode="json"),
        cwd=str(Path.cwd()),
        definitions=resuming.checksums(part.product, part.platform, part.stage),
    )
    rundir.tokens.mkdir(mode=0o700)
    if earlier:
        rundir.save("previous", earlier)
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
        stage=part.stage,
        commit=commit,
        rundir=rundir,
        journal=Journal(rundir, [listener, Watchman(runner.limits, stop)]),
        engine=connect(runner, chosen.engine, chosen.cache_dir),
        ledger=Ledger(rundir),
        previous=rundir.saved("previous", Commit),
    )
    cell.journal.look = functools.partial(atfault.find, cell)
    cell.journal.on_lost = lambda why: stop.request(EndedRunError(why))
    return cell


def run(chosen: Settings, *, as_json: bool = False) -> int:
    """Run every cell of the settings and return the exit code that stands for all."""
    return _start(chosen, pipeline.run_cell, as_json=as_json)


def build(chosen: Settings, *, as_json: bool = False) -> int:
    """Build every cell's RPMs; the runs are left for the other phases to go on with."""
    return _start(chosen, pipeline.build_cell, as_json=as_json)


def _start(chosen: Settings, work: Callable[[Cell, Ending], int], *, as_json: bool) -> int:
    check_place()
    ending = Ending()
    with ending.listening(chosen.run_timeout * chosen.timeout_factor), warden.on_duty(), ExitStack() as held:
        parts = plan(chosen)
        supply.check(chosen, [part.platform for part in parts])
        check_disk(chosen)
        runner = Runner(stop=ending.stop(), limits=chosen.time_limits, retries=chosen.retries)
        connect(runner, chosen.engine, chosen.cache_dir)
        began, clock = time.time(), time.monotonic()
        with retries.collecting() as again:
            commit = resolve(parts[0].product, chosen, runner)
            earlier = resolve_previous(parts[0], chosen, commit, runner)
        took = time.monotonic() - clock
        with progress(chosen, f"{commit.product} {commit.describe or commit.id[:12] or commit.ref}") as listener:
            cells = [
                open_cell(chosen, part, commit, earlier=earlier, listener=listener, stop=ending.stop())
                for part in parts
            ]
            for cell in cells:
                held.enter_context(cell.rundir.lock())
                if not chosen.from_repo:
                    _note_resolved(cell, began, took, retries.shown(again))
            with ThreadPoolExecutor(max_workers=chosen.jobs) as pool:
                futures = [pool.submit(work, cell, ending) for cell in cells]
                codes = [future.result() for future in futures]
    show(*((cell.journal, cell.notes) for cell in cells), as_json=as_json)
    return worst(codes)


def _note_resolved(cell: Cell, began: float, seconds: float, again: str) -> None:
    """The one case that ends before there is a run: its directory is named after the commit."""
    commit = cell.commit
    asked = commit.ref or "default reference"
    cell.journal.add(
        Case(
            phase=Phase.RESOLVE,
            role="source",
            name=f"{asked} is {commit.kind} {commit.id[:12]}, version {commit.version}",
            outcome=Outcome.PASSED,
            message=f"{commit.source}: {commit.subject}" + (f" (after {again})" if again else ""),
            started=began,
            seconds=seconds,
        )
    )


def report_run(chosen: Settings, wanted: str, *, as_json: bool) -> int:
    """Write the reports of a run from what is there, print the summary and return the run's exit code."""
    rundir = RunDir.find(chosen.runs_dir, wanted)
    notes = _notes(rundir, chosen)
    try:
        verdict = report.write(rundir, notes=notes)
    except OSError as error:  # a directory that cannot be written can still be read
        print(f"itb: reports cannot be written: {error}", file=sys.stderr)
        verdict = report.judge_run(rundir, notes=notes)
    with suppress(OSError):  # as with the summary of a run
        if as_json:
            print(verdict.model_dump_json())
        else:
            report.show(rundir, Console(highlight=False), notes=notes)
    return verdict.exit_code


def _notes(rundir: RunDir, chosen: Settings) -> Notes:
    """Titles of product and platform, where their definitions are still there."""
    try:
        state = rundir.state
        product = load_product(chosen.model_copy(update={"product": state.product}))
        platform = definitions.load_platform(state.platform)
    except UsageError:
        return Notes()
    return Notes(product_title=product.title, platform_title=platform.title, platform_note=platform.note)


@contextmanager
def progress(chosen: Settings, title: str) -> Iterator[Listener]:
    """Show progress the way the settings want it."""
    plain = {"auto": None, "live": False, "plain": True, "quiet": True}[chosen.progress]
    stream = Path(os.devnull).open("w") if chosen.progress == "quiet" else sys.stderr  # noqa: SIM115
    with terminal.progress(title, stream=stream, plain=plain) as listener:
        yield listener


def show(*runs: tuple[Journal, Notes | None], as_json: bool = False) -> None:
    """Print the summaries of runs: for people, or as one JSON document, a list where there are several."""
    lost = next((journal.lost for journal, _ in runs if journal.lost), "")
    with suppress(OSError):  # who read it has gone, with a pipe or a terminal; reports and exit code stand
        if as_json and not lost:
            verdicts = [report.judge_run(journal.rundir, notes=notes) for journal, notes in runs]
            told = [verdict.model_dump(mode="json") for verdict in verdicts]
            print(json.dumps(told if len(told) > 1 else told[0]))
        for journal, notes in runs if not as_json else ():
            if not journal.lost:
                report.show(journal.rundir, Console(highlight=False), notes=notes)
    if lost:
        raise TestbedError(lost, hint="there is no report of this run; its hosts were removed")


def find_engine(chosen: Settings) -> Engine:
    """The engine of the settings, for looking and removing."""
    return connect(Runner(limits=chosen.time_limits), chosen.engine, chosen.cache_dir)


def settings_from(flags: Mapping[str, Any]) -> Settings:
    """Settings of all layers with these flags on top."""
    return config.load(flags)[0]
