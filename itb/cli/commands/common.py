"""What all commands share: settings, the engine, progress and output."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from rich.console import Console

from itb.config import settings
from itb.config.settings import Settings
from itb.containers.engine import Engine, connect
from itb.errors import TestbedError
from itb.model import Notes
from itb.process.runner import Runner
from itb.report import progress as report_progress
from itb.report import write
from itb.rundir.journal import Journal, Listener


@contextmanager
def progress(chosen: Settings, title: str) -> Iterator[Listener]:
    """Show progress the way the settings want it."""
    plain = {"auto": None, "live": False, "plain": True, "quiet": True}[chosen.progress]
    stream = Path(os.devnull).open("w") if chosen.progress == "quiet" else sys.stderr  # noqa: SIM115
    with report_progress.progress(title, stream=stream, plain=plain) as listener:
        yield listener


def show(*runs: tuple[Journal, Notes | None], as_json: bool = False) -> None:
    """Print the summaries of runs: for people, or as one JSON document, a list where there are several."""
    lost = next((journal.lost for journal, _ in runs if journal.lost), "")
    with suppress(OSError):  # who read it has gone, with a pipe or a terminal; reports and exit code stand
        if as_json and not lost:
            verdicts = [write.judge_run(journal.rundir, notes=notes) for journal, notes in runs]
            told = [verdict.model_dump(mode="json") for verdict in verdicts]
            print(json.dumps(told if len(told) > 1 else told[0]))
        for journal, notes in runs if not as_json else ():
            if not journal.lost:
                write.show(journal.rundir, Console(highlight=False), notes=notes)
    if lost:
        raise TestbedError(lost, hint="there is no report of this run; its hosts were removed")


def find_engine(chosen: Settings) -> Engine:
    """The engine of the settings, for looking and removing."""
    return connect(Runner(limits=chosen.time_limits), chosen.engine, chosen.cache_dir)


def settings_from(flags: Mapping[str, Any]) -> Settings:
    """Settings of all layers with these flags on top."""
    return settings.load(flags)[0]

Flags = Mapping[str, Any]


def make_console() -> Console:
    """Standard output; a pipe has no width that lines would have to be folded to."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else 200)


def print_json(value: object) -> None:
    json.dump(value, sys.stdout, indent=1, default=str)
    sys.stdout.write("\n")


def engine_from(flags: Flags) -> Engine:
    return find_engine(settings_from(flags))


def print_removed(things: list[str]) -> None:
    for thing in things:
        print(f"removed {thing}")
