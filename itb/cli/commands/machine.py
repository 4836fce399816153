"""Commands about this machine: what runs leave on it, what it lacks, cleaning up."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from rich.table import Column, Table

from itb.cli.commands import common, inspect, listing
from itb.cli.commands.common import Flags, engine_from, make_console, print_json, print_removed
from itb.machine import cleanup
from itb.machine import doctor as machine_doctor
from itb.machine.requirements import Finding, Level
from itb.platforms import images as platforms_images
from itb.platforms import stages

_STYLE = {Level.OK: "green", Level.WARN: "yellow", Level.BAD: "bold red"}


def table(findings: Sequence[Finding]) -> Table:
    """Return the findings as a table, remedies on a line of their own."""
    shown = Table("", "what", Column("seen", overflow="fold"), box=None)
    for finding in findings:
        style = _STYLE[finding.level]
        shown.add_row(f"[{style}]{finding.level}[/]", listing.shown(finding.name), listing.shown(finding.seen))
        if finding.remedy:
            shown.add_row("", "", f"[{style}]->[/] {listing.shown(finding.remedy)}")
    return shown


def machine(flags: Flags, *, as_json: bool) -> None:
    """Print itb's hosts on this machine."""
    if as_json:
        print_json([dataclasses.asdict(found) for found in inspect.containers_of_itb(engine_from(flags))])
        return
    shown = inspect.machine_table(engine_from(flags))
    if shown.row_count:
        make_console().print(shown)
    else:
        print("nothing of itb's is on this machine")


def doctor(flags: Flags, *, deep: bool, as_json: bool) -> int:
    """Print findings about this machine; return exit code 5 if one keeps itb from working."""
    findings = machine_doctor.examine(common.settings_from(flags), deep=deep)
    if as_json:
        print_json([finding.model_dump(mode="json") for finding in findings])
    else:
        make_console().print(table(findings))
    return machine_doctor.exit_code(findings)


def clean(flags: Flags, *, kept_too: bool, unused: bool, everything: bool) -> None:
    """Remove leftovers of runs; on request also cache and images."""
    settings = common.settings_from(flags)
    engine = common.find_engine(settings)
    count = cleanup.clean_runs(engine, settings.runs_dir, include_kept=kept_too or everything, report=print)
    for name in [*stages.remove_leftovers(engine), *platforms_images.remove_unfinished(engine)]:
        print(f"removed {name}")
        count += 1
    if everything:
        for images in platforms_images.built(engine):
            print_removed(platforms_images.remove(engine, images.platform, cache=settings.cache_dir))
    if unused or everything:
        cleanup.clean_cache(settings.cache_dir, everything=everything, report=print)
    if not count:
        print("no run has left anything behind")
