"""The progress of a run: what each host is doing and for how long.

A thread of its own does all the writing; the journal's listener only queues
events for it, so that a slow terminal never slows down a run.
"""

from __future__ import annotations

import copy
import queue
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from itb.model import Case, Outcome
from itb.report.summary import MARKS, PLAIN_MARKS, STYLES, is_plain
from itb.roles import ITB
from itb.rundir.journal import Listener, Trial
from itb.util.text import clean, duration, one_line

REFRESH = 0.2  # seconds after which a live display is drawn again
LONG = 5.0  # seconds after which a plain log says that something is going on
HEARTBEAT = 30.0  # seconds without a line after which a plain log says what is

Key = tuple[str, str, str, float]


@dataclass
class RunningTrial:
    """A trial that is running; ``began`` is of the monotonic clock."""

    phase: str
    role: str
    name: str
    began: float
    note: str = ""
    announced: bool = False


@dataclass
class ProgressState:
    """The trials that are running and how many have ended, as the writing thread knows them."""

    title: str = ""
    began: float = field(default_factory=time.monotonic)
    running: dict[Key, RunningTrial] = field(default_factory=dict)
    ended: dict[Outcome, int] = field(default_factory=dict)

    def elapsed(self) -> float:
        """Return the seconds since the display began."""
        return time.monotonic() - self.began


class Progress:
    """A journal listener that hands everything to a writing thread."""

    def __init__(self, title: str) -> None:
        self.state = ProgressState(one_line(clean(title), 120))
        self._events: queue.SimpleQueue[Trial | Case | None] = queue.SimpleQueue()
        self._last_notes: dict[Key, str] = {}
        self._thread = threading.Thread(target=self._write_until_closed, name="itb-progress", daemon=True)

    def started(self, trial: Trial) -> None:
        """Queue a trial that has begun."""
        self._events.put(trial)

    def noted(self, trial: Trial, text: str) -> None:
        """Keep the last note of a trial; notes are not queued, for a build may write thousands a second."""
        self._last_notes[_key(trial)] = text

    def finished(self, case: Case) -> None:
        """Queue a trial that has ended."""
        self._events.put(case)

    def start(self) -> None:
        """Start the writing thread."""
        self._thread.start()

    def close(self) -> None:
        """Show all that is queued and end the writing thread."""
        self._events.put(None)
        self._thread.join(10)

    def _write_until_closed(self) -> None:
        try:
            self.show()
        except (OSError, ValueError):
            return  # the terminal went away or was closed: the run goes on without it

    def show(self) -> None:
        """Write until :meth:`events` ends."""
        raise NotImplementedError

    def events(self, pause: float) -> Iterator[Case | None]:
        """Yield each case as it ends, and None after every ``pause`` seconds; end when closed."""
        due = time.monotonic() + pause
        while True:
            try:
                event = self._events.get(timeout=max(0.0, due - time.monotonic()))
            except queue.Empty:
                self._copy_notes()
                yield None
                due = time.monotonic() + pause
                continue
            if event is None:
                return
            if isinstance(event, Trial):
                self._begin(event)
            else:
                self._end(event)
                yield event

    def _begin(self, trial: Trial) -> None:
        name, role = one_line(clean(trial.name), 200), one_line(clean(trial.role), 60)
        self.state.running[_key(trial)] = RunningTrial(one_line(clean(trial.phase), 60), role, name, trial.clock)

    def _end(self, case: Case) -> None:
        key = (case.phase, case.role, case.name, case.started)
        self.state.running.pop(key, None)
        self._last_notes.pop(key, None)
        self.state.ended[case.outcome] = self.state.ended.get(case.outcome, 0) + 1

    def _copy_notes(self) -> None:
        for key, trial in self.state.running.items():
            if key in self._last_notes:
                trial.note = one_line(clean(self._last_notes[key]), 200)


def _key(trial: Trial) -> Key:
    return (trial.phase, trial.role, trial.name, trial.began)


class PlainProgress(Progress):
    """Lines for a log file: one as each case ends, one for what takes long, one at least every 30 s."""

    def __init__(self, title: str, stream: TextIO) -> None:
        super().__init__(title)
        self._stream = stream
        self._last_written = time.monotonic()

    def show(self) -> None:
        """Write lines until closed."""
        for case in self.events(1.0):
            if case is not None:
                self._write_line(plain_line(case))
                continue
            now = time.monotonic()
            for trial in self.state.running.values():
                if not trial.announced and now - trial.began >= LONG:
                    trial.announced = True
                    self._write_line(f"...   {where(trial)}  {trial.name}")
            if self.state.running and now - self._last_written >= HEARTBEAT:
                lines = (_running_line(trial, now) for trial in self.state.running.values())
                self._write_line("still  " + "; ".join(lines))

    def _write_line(self, line: str) -> None:
        encoding = self._stream.encoding or "utf-8"
        text = f"[{self.state.elapsed():7.1f}s] {line}\n"
        self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        self._stream.flush()
        self._last_written = time.monotonic()


def plain_line(case: Case) -> str:
    """Return the line of a log for a case that has ended."""
    name, message = one_line(clean(case.name), 200), one_line(clean(case.message), 400)
    reason = f": {message}" if message and _has_reason(case) else ""
    return f"{PLAIN_MARKS[case.outcome]:<5} {where(case)}  {name} ({duration(case.seconds)}){reason}"


def _has_reason(case: Case) -> bool:
    """Return whether a case's message says why it is as it is: not of one that simply passed."""
    return case.outcome is not Outcome.PASSED or case.remark is not None


def where(trial: Case | RunningTrial) -> str:
    """Return phase and role, ``install.factory``."""
    return f"{trial.phase}.{trial.role}" if trial.role else trial.phase


def _running_line(trial: RunningTrial, now: float) -> str:
    """Return what a running trial is, for how long, and its last note."""
    note = f": {one_line(trial.note, 80)}" if trial.note else ""
    return f"{where(trial)} {trial.name} ({duration(now - trial.began)}){note}"


class _Console(Console):
    """A console that raises when its stream breaks: rich would close standard output."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


class LiveProgress(Progress):
    """A live display at the foot of a terminal; cases that ended scroll above it."""

    def __init__(self, title: str, console: Console) -> None:
        super().__init__(title)
        self._console = console

    def show(self) -> None:
        """Draw until closed; the display disappears, the lines above it stay."""
        with Live(console=self._console, auto_refresh=False, transient=True, redirect_stdout=False) as live:
            for case in self.events(REFRESH):
                if case is not None:
                    self._console.print(ended_line(case), soft_wrap=False)
                else:
                    live.update(live_display(self.state, self._console.height), refresh=True)


def ended_line(case: Case) -> RenderableType:
    """Return the line that stays for a case that has ended."""
    style = STYLES[case.outcome]
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(width=1)
    table.add_column(no_wrap=True, width=18)
    table.add_column(ratio=1, overflow="ellipsis", no_wrap=case.outcome is Outcome.PASSED)
    table.add_column(justify="right", no_wrap=True)
    description = Text(one_line(clean(case.name), 200), "" if case.outcome is Outcome.PASSED else style)
    if case.message and _has_reason(case):
        description.append(f"\n{one_line(clean(case.message))}", "default")
    mark, seconds = Text(MARKS[case.outcome], style), Text(duration(case.seconds), "dim")
    table.add_row(mark, Text(where(case), "dim", overflow="ellipsis"), description, seconds)
    return table


def live_display(state: ProgressState, height: int) -> RenderableType:
    """Return the live display: a header and a line or two per running trial, sorted by host and time."""
    elapsed = f"  {duration(state.elapsed())}  "
    header = Text.assemble((" itb ", "bold reverse"), " ", (state.title, "bold"), elapsed)
    for outcome, number in state.ended.items():
        header.append(f" {number} {MARKS[outcome]}", STYLES[outcome])
    header.no_wrap, header.overflow = True, "ellipsis"
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(no_wrap=True, style="cyan", min_width=8)
    table.add_column(justify="right", no_wrap=True, min_width=9)
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    now = time.monotonic()
    running = sorted(state.running.values(), key=lambda trial: (trial.role, trial.began))
    most = max(1, height - 4)
    for trial in running[:most]:
        description = Text(f"{trial.phase}: {trial.name}")
        if trial.note:
            description.append(f"  {trial.note}", "dim")
        table.add_row(Text(trial.role or ITB), duration(now - trial.began), description)
    if len(running) > most:
        table.add_row("", "", Text(f"and {len(running) - most} more", "dim"))
    return Group(Text(), header, table)


class PlatformListener:
    """Passes the trials of a cell on with its platform's name before their phases, for a display of several."""

    def __init__(self, listener: Listener, platform: str) -> None:
        self._listener, self._platform = listener, platform

    def started(self, trial: Trial) -> None:
        """Pass on a trial that has begun."""
        self._listener.started(self._named(trial))

    def noted(self, trial: Trial, text: str) -> None:
        """Pass on a note of a trial."""
        self._listener.noted(self._named(trial), text)

    def finished(self, case: Case) -> None:
        """Pass on a trial that has ended."""
        self._listener.finished(case.model_copy(update={"phase": f"{self._platform} {case.phase}"}))

    def _named(self, trial: Trial) -> Trial:
        named = copy.copy(trial)
        named.phase = f"{self._platform} {trial.phase}"
        return named


@contextmanager
def progress(title: str, *, stream: TextIO | None = None, plain: bool | None = None) -> Iterator[Listener]:
    """Show the progress of a run on ``stream`` (standard error if not given) for as long as the block lasts.

    ``plain``: lines instead of a live display; decided by :func:`itb.report.summary.is_plain` if
    not given.  NO_COLOR is honoured.
    """
    console = _Console(file=stream or sys.stderr, highlight=False)
    shown: Progress
    if is_plain(console) if plain is None else plain:
        shown = PlainProgress(title, stream or sys.stderr)
    else:
        shown = LiveProgress(title, console)
    shown.start()
    try:
        yield shown
    finally:
        shown.close()
