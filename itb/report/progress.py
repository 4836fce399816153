"""Shows the progress of a run: the case that runs on each host, and for how long.

A thread of its own writes to the terminal; the journal's listener only queues
events for it, so that a slow terminal does not slow down the run.
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
from itb.rundir.journal import Listener, RunningCase
from itb.util.text import clean, duration, one_line

REFRESH = 0.2  # seconds after which a live display is drawn again
LONG = 5.0  # seconds after which a plain log names a case that still runs
HEARTBEAT = 30.0  # seconds without a line after which a plain log names all cases that run

Key = tuple[str, str, str, float]


@dataclass
class DisplayedCase:
    """A running case as the display shows it; ``began`` is of the monotonic clock."""

    phase: str
    role: str
    name: str
    began: float
    note: str = ""
    announced: bool = False


@dataclass
class ProgressState:
    """The cases that are running and how many have ended, as the writing thread knows them."""

    title: str = ""
    began: float = field(default_factory=time.monotonic)
    running: dict[Key, DisplayedCase] = field(default_factory=dict)
    ended: dict[Outcome, int] = field(default_factory=dict)

    def elapsed(self) -> float:
        """Return the seconds since the display began."""
        return time.monotonic() - self.began


class Progress:
    """A journal listener that hands everything to a writing thread."""

    def __init__(self, title: str) -> None:
        self.state = ProgressState(one_line(clean(title), 120))
        self._events: queue.SimpleQueue[RunningCase | Case | None] = queue.SimpleQueue()
        self._last_notes: dict[Key, str] = {}
        self._thread = threading.Thread(target=self._write_until_closed, name="itb-progress", daemon=True)

    def started(self, case: RunningCase) -> None:
        """Queue a case that has begun."""
        self._events.put(case)

    def noted(self, case: RunningCase, text: str) -> None:
        """Keep the last note of a case; notes are not queued, for a build may write thousands a second."""
        self._last_notes[_key(case)] = text

    def finished(self, case: Case) -> None:
        """Queue a case that has ended."""
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
            if isinstance(event, RunningCase):
                self._begin(event)
            else:
                self._end(event)
                yield event

    def _begin(self, case: RunningCase) -> None:
        name, role = one_line(clean(case.name), 200), one_line(clean(case.role), 60)
        self.state.running[_key(case)] = DisplayedCase(one_line(clean(case.phase), 60), role, name, case.clock)

    def _end(self, case: Case) -> None:
        key = (case.phase, case.role, case.name, case.started)
        self.state.running.pop(key, None)
        self._last_notes.pop(key, None)
        self.state.ended[case.outcome] = self.state.ended.get(case.outcome, 0) + 1

    def _copy_notes(self) -> None:
        for key, case in self.state.running.items():
            if key in self._last_notes:
                case.note = one_line(clean(self._last_notes[key]), 200)


def _key(case: RunningCase) -> Key:
    return (case.phase, case.role, case.name, case.began)


class PlainProgress(Progress):
    """Writes lines for a log file: for each case that ends, for one that takes long, and at least every 30 s."""

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
            for running_case in self.state.running.values():
                if not running_case.announced and now - running_case.began >= LONG:
                    running_case.announced = True
                    self._write_line(f"...   {where(running_case)}  {running_case.name}")
            if self.state.running and now - self._last_written >= HEARTBEAT:
                lines = (_running_line(running_case, now) for running_case in self.state.running.values())
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
    """Return whether a case's message gives a reason: it did not pass, or has a remark."""
    return case.outcome is not Outcome.PASSED or case.remark is not None


def where(case: Case | DisplayedCase) -> str:
    """Return phase and role, ``install.factory``."""
    return f"{case.phase}.{case.role}" if case.role else case.phase


def _running_line(case: DisplayedCase, now: float) -> str:
    """Return the name of a running case, for how long it runs, and its last note."""
    note = f": {one_line(case.note, 80)}" if case.note else ""
    return f"{where(case)} {case.name} ({duration(now - case.began)}){note}"


class _Console(Console):
    """A console that raises when its stream breaks: rich would close standard output."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


class LiveProgress(Progress):
    """Draws a live display at the bottom of a terminal; lines of cases that ended scroll above it."""

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
    """Return the live display: a header and a line or two per running case, sorted by host and time."""
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
    running = sorted(state.running.values(), key=lambda case: (case.role, case.began))
    most = max(1, height - 4)
    for case in running[:most]:
        description = Text(f"{case.phase}: {case.name}")
        if case.note:
            description.append(f"  {case.note}", "dim")
        table.add_row(Text(case.role or ITB), duration(now - case.began), description)
    if len(running) > most:
        table.add_row("", "", Text(f"and {len(running) - most} more", "dim"))
    return Group(Text(), header, table)


class PlatformListener:
    """Passes the cases of a cell on with its platform's name before their phases, for a display of several."""

    def __init__(self, listener: Listener, platform: str) -> None:
        self._listener, self._platform = listener, platform

    def started(self, case: RunningCase) -> None:
        """Pass on a case that has begun."""
        self._listener.started(self._named(case))

    def noted(self, case: RunningCase, text: str) -> None:
        """Pass on a note of a case."""
        self._listener.noted(self._named(case), text)

    def finished(self, case: Case) -> None:
        """Pass on a case that has ended."""
        self._listener.finished(case.model_copy(update={"phase": f"{self._platform} {case.phase}"}))

    def _named(self, case: RunningCase) -> RunningCase:
        named = copy.copy(case)
        named.phase = f"{self._platform} {case.phase}"
        return named


@contextmanager
def progress(title: str, *, stream: TextIO | None = None, plain: bool | None = None) -> Iterator[Listener]:
    """Show the progress of a run on ``stream`` (standard error if not given) for as long as the block lasts.

    ``plain``: lines instead of a live display; decided by :func:`itb.report.summary.is_plain` if
    not given.  NO_COLOR is honoured.
    """
    console = _Console(file=stream or sys.stderr, highlight=False)
    display: Progress
    if is_plain(console) if plain is None else plain:
        display = PlainProgress(title, stream or sys.stderr)
    else:
        display = LiveProgress(title, console)
    display.start()
    try:
        yield display
    finally:
        display.close()
