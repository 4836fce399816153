"""``itb defects``: a product is given defects, one in each run, and its scenarios have to find them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from itb.cli.commands.common import deliver_reports, print_clean, print_json, progress, show_reports, warn
from itb.cli.commands.listing import Listing
from itb.config.settings import Settings
from itb.defects import kinds, outcome, rpm_files
from itb.defects.kinds import Candidate, Kind, Made
from itb.defects.outcome import Caught, DefectOutcome
from itb.defects.spec_text import SpecText
from itb.errors import ExitCode, UsageError
from itb.model import Notes
from itb.process import orphans
from itb.process.runner import Runner
from itb.process.stop import Ending
from itb.report import run_result
from itb.run import assemble, pipeline, start
from itb.run.cell import Cell
from itb.run.start import ResolvedRun
from itb.source import variant
from itb.source.git import Git
from itb.util.text import count, duration, one_line
from itb.util.yamlfile import nearest


@dataclass(frozen=True)
class _Tried:
    """A run that has ended."""

    resolved: ResolvedRun
    cell: Cell
    code: int
    seconds: float


@dataclass(frozen=True)
class _Bench:
    """What all defects are made of and tried with."""

    settings: Settings
    ending: Ending
    sound: _Tried
    candidate: Candidate
    git: Git
    spec_path: str


def run(settings: Settings, names: str, *, as_json: bool = False) -> int:
    """Run the product as it is, then with one defect after the other; print what was let pass."""
    chosen = choose(names)
    if settings.from_repo:
        raise UsageError("defects are made of a source, not of published packages (from_repo)")
    settings = settings.model_copy(update={"keep": "never", "report_dir": ""})
    assemble.check_working_directory()
    ending = Ending()
    with ending.listening(settings.run_timeout * settings.timeout_factor * (len(chosen) + 1)), orphans.guard():
        sound = _try(settings, ending, "as it is")
        if sound.code != ExitCode.PASSED:
            warn("no defect is tried: the candidate fails as it is")
            show_reports([(sound.cell.rundir, sound.cell.notes or Notes())], as_json=as_json)
            return sound.code
        bench = _prepare(settings, ending, sound)
        outcomes = []
        for kind in chosen:
            outcomes.append(_try_kind(bench, kind))
            if ending.reason:
                break
            if not as_json:
                print_clean(_line(outcomes[-1]))
    show(outcomes, as_json=as_json)
    return ExitCode.INTERRUPTED if ending.signals else outcome.exit_code(outcomes)


def choose(names: str) -> list[Kind]:
    """Return the kinds of these names, all for none; UsageError for a name that there is not."""
    by_name = {kind.name: kind for kind in kinds.KINDS}
    for name in filter(None, names.split(",")):
        if name not in by_name:
            hint = nearest(name, list(by_name)) or f"; known: {', '.join(by_name)}"
            raise UsageError(f"--only: unknown defect {name[:60]!r}{hint}")
    return [by_name[name] for name in names.split(",") if name] or list(kinds.KINDS)


def _try(settings: Settings, ending: Ending, what: str) -> _Tried:
    """Run one cell to its end."""
    began = time.monotonic()
    resolved = start.resolve_run(settings, ending)
    if len(resolved.definitions) != 1:
        raise UsageError("defects are tried with one product on one platform", hint="--platform NAME")
    with progress(settings, f"{resolved.title}: {what}") as listener:
        cells, code = start.run_cells(resolved, pipeline.run_cell, listener=listener, ending=ending)
    deliver_reports(settings, [(cells[0].rundir, cells[0].notes or Notes())], combined=Path())
    return _Tried(resolved, cells[0], code, time.monotonic() - began)


def _prepare(settings: Settings, ending: Ending, sound: _Tried) -> _Bench:
    """Return what defects are made of: the spec file and the packages of the run that was green."""
    commit, product = sound.resolved.commit, sound.cell.product
    runner = Runner(stop=ending.stop(), limits=settings.time_limits, retries=settings.retries)
    folder = sound.cell.rundir.path / "defects.git"
    git = variant.create(folder, commit, cache=settings.cache_dir, runner=runner)
    path, text = variant.read_spec(git, commit, product.build.spec)
    packages = rpm_files.read_all(sound.cell.rundir.build / "rpms")
    return _Bench(settings, ending, sound, kinds.candidate(product, SpecText(text), packages), git, path)


def _try_kind(bench: _Bench, kind: Kind) -> DefectOutcome:
    """Run the product with a defect of a kind; return what its scenarios made of it."""
    made = kind.make(bench.candidate)
    if made is None:
        title = f"the product lacks {kind.wants}"
        return DefectOutcome(name=kind.name, title=title, caught=Caught.NOT_MADE)
    branch = f"defect/{kind.name}"
    commit = bench.sound.resolved.commit
    variant.commit_file(bench.git, commit, bench.spec_path, made.spec.text, branch=branch)
    changes = {"source": str(bench.git.directory), "ref": branch}
    tried = _try(bench.settings.model_copy(update=changes), bench.ending, kind.name)
    rundir = tried.cell.rundir
    cause = run_result.read(rundir, rundir.state).cause
    judged = outcome.judge(kind.name, made, tried.cell.journal.cases, tried.code, cause=cause)
    if judged.caught is Caught.NO and not _differs(bench, tried, made):
        judged = DefectOutcome(name=kind.name, title="the build undoes it: " + made.title, caught=Caught.NOT_MADE)
    return judged.model_copy(update={"run": rundir.id, "seconds": tried.seconds})


def _differs(bench: _Bench, tried: _Tried, made: Made) -> bool:
    """Return whether the packages have the defect; a script of the build may have mended it."""
    if not made.path:
        return True
    files = rpm_files.all_files(rpm_files.read_all(tried.cell.rundir.build / "rpms"))
    return files.get(made.path) != bench.candidate.files[made.path]


def _line(item: DefectOutcome) -> str:
    took = f" ({duration(item.seconds)})" if item.run else ""
    cause = f": {one_line(item.cause, 200)}" if item.cause else ""
    return f"{item.name}: {item.caught}{took}{cause}"


def show(outcomes: Sequence[DefectOutcome], *, as_json: bool) -> None:
    """Print the table of outcomes, what was let pass at its end, and the figures."""
    if as_json:
        print_json({"outcomes": [item.model_dump(mode="json") for item in outcomes]})
        return
    listing = Listing("defect", "outcome", "s", "run", "what is wrong")
    for item in _worst_last(outcomes):
        listing.add(item.name, item.caught, f"{item.seconds:.0f}" if item.run else "", item.run, item.title)
    print()
    listing.print()
    print(outcome.summary(outcomes))
    passed = [item for item in outcomes if item.caught is Caught.NO]
    if passed:
        print(f"Scenarios of this product would let {count(len(passed), 'such release')} pass: see above.")


def _worst_last(outcomes: Sequence[DefectOutcome]) -> Iterator[DefectOutcome]:
    order = (Caught.NOT_MADE, Caught.YES, Caught.ELSEWHERE, Caught.UNDECIDED, Caught.NO)
    for kind in order:
        yield from (item for item in outcomes if item.caught is kind)
