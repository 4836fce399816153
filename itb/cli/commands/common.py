"""Helpers that several commands use: settings, the engine, progress and output."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from rich.console import Console

from itb.config import settings as config_settings
from itb.config import trust
from itb.config.settings import Settings
from itb.containers.connection import connect
from itb.containers.engine import Engine
from itb.errors import TestbedError, UsageError
from itb.model import Notes
from itb.process.runner import Runner
from itb.report import progress as report_progress
from itb.report import run_report
from itb.rundir.directory import RunDir
from itb.rundir.journal import Journal, Listener
from itb.util import files, ownership
from itb.util.redact import redact
from itb.util.text import clean, json_without_orders

Flags = Mapping[str, Any]


@contextmanager
def progress(settings: Settings, title: str) -> Iterator[Listener]:
    """Show progress as the settings say, while the block runs."""
    plain = {"auto": None, "live": False, "plain": True, "quiet": True}[settings.progress]
    stream = Path(os.devnull).open("w") if settings.progress == "quiet" else sys.stderr  # noqa: SIM115
    with report_progress.progress(title, stream=stream, plain=plain) as listener:
        yield listener


def conclude(settings: Settings, *runs: tuple[Journal, Notes | None], as_json: bool = False) -> None:
    """Deliver the reports of runs that have ended, and print their summaries, of green ones unless ``quiet``."""
    reported = [(journal.rundir, notes or Notes()) for journal, notes in runs if not journal.lost]
    lost = next((journal.lost for journal, _ in runs if journal.lost), "")
    folder: Path | None = None
    problem: TestbedError | None = None
    try:
        if reported:
            first = reported[0][0]
            folder = deliver_reports(settings, reported, combined=first.path.with_name(f"{first.id}-and-others"))
    except TestbedError as error:
        if as_json:
            raise  # JSON output must be a single document
        problem = error
    is_quiet = settings.progress == "quiet" and not as_json
    is_green = not lost and all(run_report.judge_run(rundir).good for rundir, _ in reported)
    if not (is_quiet and is_green) and not (as_json and lost):
        show_reports(reported, folder=folder, as_json=as_json)
    if lost:
        raise TestbedError(lost, hint="there is no report of this run; its hosts were removed")
    if problem:
        raise problem


def begin_reports(settings: Settings) -> None:
    """Make the folder for reports that the settings name, and remove old reports from it.

    Raises TestbedError if it cannot be written: before an hour of tests, not after it.
    """
    if folder := settings.reports_dir:
        with _writing(folder):
            is_new = not folder.exists()
            folder.mkdir(parents=True, exist_ok=True)
            if is_new:
                ownership.give_to_caller(folder)
            run_report.remove_reports(folder)
            files.check_writable(folder)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Raise TestbedError, which names the file, where the block cannot write one."""
    try:
        yield
    except OSError as error:
        message = f"{error.filename or folder} cannot be written: {error.strerror}"
        raise TestbedError(message, hint="--report-dir DIR names another folder for reports") from None


def deliver_reports(settings: Settings, runs: Sequence[tuple[RunDir, Notes]], *, combined: Path) -> Path | None:
    """Write the combined report of runs to the folder that the settings name; give all to the user of sudo.

    ``combined`` is that folder for several runs where the settings name none.
    Returns the folder, if there is one; raises TestbedError if it cannot be written.
    """
    folder = settings.reports_dir or (combined if len(runs) > 1 else None)
    if folder:
        is_new = not folder.exists()
        with _writing(folder):
            run_report.write_combined(runs, folder)
        for path in (folder / name for name in run_report.REPORTS):
            ownership.give_to_caller(path)
        if is_new:
            ownership.give_to_caller(folder)
    for rundir, _ in runs:
        ownership.give_to_caller(rundir.path, but=(rundir.tokens.name,))
    return folder


def show_reports(
    runs: Sequence[tuple[RunDir, Notes]], *, folder: Path | None = None, as_json: bool = False
) -> None:
    """Print the summaries of runs, for people or as one JSON document; ``folder`` has their combined report.

    Raises TestbedError for a document that cannot be written, on a full disk:
    half of it, or none, would be taken for all there is.
    """
    if as_json:
        with suppress(BrokenPipeError):  # who read it has gone; reports and exit code stand
            print_json(run_report.json_report_of(runs, folder=folder))
        return
    try:
        for rundir, notes in runs:
            run_report.show(rundir, Console(highlight=False), notes=notes)
        if folder and len(runs) > 1:
            for title, name in (("JUnit", "junit.xml"), ("HTML", "report.html"), ("JSON", "verdict.json")):
                print(f"{title} of all: {folder / name}")
        sys.stdout.flush()
    except OSError:  # who read it has gone, with a pipe or a terminal; reports and exit code stand
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left in the buffer goes there


def find_engine(settings: Settings) -> Engine:
    """Return the engine of the settings, for commands that only look and remove."""
    return connect(Runner(limits=settings.time_limits), settings.engine, settings.cache_dir)


def settings_from(flags: Flags) -> Settings:
    """Return the settings of all layers, with these flags on top."""
    return config_settings.load(flags)[0]


def warn_of_privileges(settings: Settings) -> None:
    """Warn on standard error, if it is open, of a candidate that is built in a privileged container."""
    if trust.is_privileged(settings):
        warn(trust.PRIVILEGED)


def warn(*texts: str) -> None:
    """Print a warning for each text on standard error, if it is open."""
    with suppress(OSError):
        for text in texts:
            print_clean(f"itb: warning: {text}", to_stderr=True)


def make_console() -> Console:
    """Return a console on standard output; what goes to a pipe has lines of up to 200 columns."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else 200)


def whole_number(text: str, *, option: str, least: int = 0, hint: str = "") -> int:
    """Return the number that an option was given; UsageError, which names the option, for anything else."""
    if not (text.isdecimal() and text.isascii()) or int(text) < least:
        raise UsageError(f"{option}: {text[:60]!r} is not a whole number of at least {least}", hint=hint)
    return int(text)


def print_json(value: object) -> None:
    """Print a record or another value as JSON, redacted; a value that JSON has no form for, as text."""
    content = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
    text = json.dumps(content, indent=1, default=str)  # ASCII only: no control sequence reaches a terminal
    try:
        print(json_without_orders(redact(text)), flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:  # half a document, or none, would be taken for all there is
        raise TestbedError(f"standard output cannot be written: {error.strerror}") from None


def engine_from(flags: Flags) -> Engine:
    """Return the engine of the settings, with these flags on top."""
    return find_engine(settings_from(flags))


def print_clean(text: str, *, to_stderr: bool = False) -> None:
    """Print text that others may have written, without control sequences."""
    print(clean(text), file=sys.stderr if to_stderr else sys.stdout)


def print_removed(names: list[str]) -> None:
    """Print a line for each image or other object that was removed."""
    for name in names:
        print_clean(f"removed {name}")
