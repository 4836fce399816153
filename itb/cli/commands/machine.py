"""Commands about this machine: what runs leave on it, what it lacks, cleaning up."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from rich.markup import escape
from rich.table import Column, Table

from itb.cli.commands import common, hosts
from itb.cli.commands.common import (
    Flags,
    engine_from,
    make_console,
    print_clean,
    print_json,
    print_removed,
    whole_number,
)
from itb.errors import UsageError
from itb.machine import cleanup
from itb.machine import doctor as machine_doctor
from itb.machine import retention as machine_retention
from itb.machine.requirements import Finding, Level
from itb.machine.retention import Retention
from itb.platforms import images as platforms_images
from itb.platforms import stages
from itb.util import when
from itb.util.text import clean as clean_text

_STYLE = {Level.OK: "green", Level.WARN: "yellow", Level.BAD: "bold red"}


def table(findings: Sequence[Finding]) -> Table:
    """Return the findings as a table, with each remedy on a line of its own."""
    rows = Table("", "what", Column("seen", overflow="fold"), box=None)
    for finding in findings:
        style = _STYLE[finding.level]
        rows.add_row(f"[{style}]{finding.level}[/]", _escape(finding.name), _escape(finding.observation))
        if finding.remedy:
            rows.add_row("", "", f"[{style}]->[/] {_escape(finding.remedy)}")
    return rows


def _escape(text: str) -> str:
    """Return foreign text for rich: without control characters, its brackets no markup."""
    return escape(clean_text(text))


def status(flags: Flags, *, as_json: bool) -> None:
    """Print the containers of runs on this machine."""
    containers = hosts.containers_of_itb(engine_from(flags))
    if as_json:
        print_json([dataclasses.asdict(container) for container in containers])
        return
    if containers:
        hosts.table(containers).print()
    else:
        print("no run has containers here")


def doctor(flags: Flags, *, deep: bool, as_json: bool) -> int:
    """Print findings about this machine; return exit code 5 if one keeps itb from working."""
    findings = machine_doctor.examine(common.settings_from(flags), deep=deep)
    if as_json:
        print_json([finding.model_dump(mode="json") for finding in findings])
    else:
        make_console().print(table(findings))
    return machine_doctor.exit_code(findings)


def clean(
    flags: Flags,
    *,
    kept_too: bool,
    unused: bool,
    everything: bool,
    retention: Retention | None,
    dry_run: bool,
) -> None:
    """Remove leftovers of runs; on request also old run directories, cache and images."""
    if retention is None and (dry_run or flags["runs"] is True):
        raise UsageError("clean: which old runs?", hint="--keep 30, --older-than 30d or both say which stay")
    if flags["runs"] is True:  # --runs without a folder
        flags = {**flags, "runs": ""}
    settings = common.settings_from(flags)
    if flags["runs"] and not settings.runs_dir.is_dir():
        raise UsageError(f"clean: --runs: there is no folder {settings.runs_dir}")
    engine = common.find_engine(settings)
    if retention and dry_run:
        machine_retention.prune(engine, settings.runs_dir, retention, dry_run=True, report=print_clean)
        return
    count = cleanup.clean_runs(engine, settings.runs_dir, include_kept=kept_too or everything, report=print_clean)
    for name in [*stages.remove_leftovers(engine), *platforms_images.remove_unfinished(engine)]:
        print_clean(f"removed {name}")
        count += 1
    if everything:
        for images in platforms_images.find_sets(engine):
            print_removed(platforms_images.remove(engine, images.platform, cache=settings.cache_dir))
    if unused or everything:
        cleanup.clean_cache(settings.cache_dir, everything=everything, report=print_clean)
    if retention:
        machine_retention.prune(engine, settings.runs_dir, retention, dry_run=False, report=print_clean)
    elif not count:
        print("no run has left anything behind")


def retention_of(*, keep: str, older_than: str) -> Retention | None:
    """Return which run directories stay by the options of ``clean``; None if all stay."""
    if not keep and not older_than:
        return None
    age = when.age(older_than, option="clean: --older-than") if older_than else None
    return Retention(keep=whole_number(keep, option="clean: --keep") if keep else None, age=age)
