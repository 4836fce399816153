"""Live progress of a run: what each host is doing and for how long.

A thread of its own does all the writing; who reports only leaves a word for
it, so that a slow terminal never slows down a run.
"""

from __future__ import annotations

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
from itb.rundir.journal import Listener, Trial
from itb.util.text import clean, duration, one_line

FRAME = 0.2  # seconds between two pictures of a live display
LONG = 5.0  # seconds after which a plain log says that something is going on
HEARTBEAT = 30.0  # seconds without a line after which a plain log says what is

Key = tuple[str, str, str, float]


@dataclass
class Going:
    """A trial that goes on; ``began`` is of the monotonic clock."""

    phase: str
    role: str
    name: str
    began: float
    note: str = ""
    announced: bool = False


@dataclass
class Board:
    """What goes on and what has ended, as the writing thread sees it."""

    title: str = ""
    began: float = field(default_factory=time.monotonic)
    going: dict[Key, Going] = field(default_factory=dict)
    ended: dict[Outcome, int] = field(default_factory=dict)

    def elapsed(self) -> float:
        """Seconds since the board was put up."""
        return time.monotonic() - self.began


class Progress:
    """A journal listener that hands everything to a writing thread."""

    def __init__(self, title: str) -> None:
        self.board = Board(one_line(clean(title), 120))
        self._words: queue.SimpleQueue[Trial | Case | None] = queue.SimpleQueue()
        self._notes: dict[Key, str] = {}
        self._thread = threading.Thread(target=self._work, name="itb-progress", daemon=True)

    def started(self, trial: Trial) -> None:
        """Something is being tried now."""
        self._words.put(trial)

    def noted(self, trial: Trial, text: str) -> None:
        """Only the last word counts, so none is queued: a build may say thousands a second."""
        self._notes[_key(trial)] = text

    def finished(self, case: Case) -> None:
        """A trial has ended."""
        self._words.put(case)

    def start(self) -> None:
        """Begin to show."""
        self._thread.start()

    def close(self) -> None:
        """Show all that was said until now and end."""
        self._words.put(None)
        self._thread.join(10)

    def _work(self) -> None:
        try:
            self.show()
        except (OSError, ValueError):
            return  # the terminal went away or was closed: the run goes on without it

    def show(self) -> None:
        """Write until :meth:`words` ends."""
        raise NotImplementedError

    def words(self, pause: float) -> Iterator[Case | None]:
        """Yield each case as it ends, and None after every ``pause`` seconds; end when closed."""
        due = time.monotonic() + pause
        while True:
            try:
                word = self._words.get(timeout=max(0.0, due - time.monotonic()))
            except queue.Empty:
                self._take_notes()
                yield None
                due = time.monotonic() + pause
                continue
            if word is None:
                return
            if isinstance(word, Trial):
                self._begin(word)
            else:
                self._end(word)
                yield word

    def _begin(self, trial: Trial) -> None:
        name, role = one_line(clean(trial.name), 200), one_line(clean(trial.role), 60)
        self.board.going[_key(trial)] = Going(one_line(clean(trial.phase), 60), role, name, trial.clock)

    def _end(self, case: Case) -> None:
        key = (case.phase, case.role, case.name, case.started)
        self.board.going.pop(key, None)
        self._notes.pop(key, None)
        self.board.ended[case.outcome] = self.board.ended.get(case.outcome, 0) + 1

    def _take_notes(self) -> None:
        for key, going in self.board.going.items():
            if key in self._notes:
                going.note = one_line(clean(self._notes[key]), 200)


def _key(trial: Trial) -> Key:
    return (trial.phase, trial.role, trial.name, trial.began)


class PlainProgress(Progress):
    """Lines for a log file: one as each case ends, one for what takes long, one at least every 30 s."""

    def __init__(self, title: str, stream: TextIO) -> None:
        super().__init__(title)
        self._stream = stream
        self._last = time.monotonic()

    def show(self) -> None:
        """Write lines until closed."""
        for case in self.words(1.0):
            if case is not None:
                self._say(plain_line(case))
                continue
            now = time.monotonic()
            for going in self.board.going.values():
                if not going.announced and now - going.began >= LONG:
                    going.announced = True
                    self._say(f"...   {where(going)}  {going.name}")
            if self.board.going and now - self._last >= HEARTBEAT:
                self._say("still  " + "; ".join(_still(going, now) for going in self.board.going.values()))

    def _say(self, line: str) -> None:
        encoding = self._stream.encoding or "utf-8"
        text = f"[{self.board.elapsed():7.1f}s] {line}\n"
        self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        self._stream.flush()
        self._last = time.monotonic()


def plain_line(case: Case) -> str:
    """Return the line of a log for a case that has ended."""
    name, message = one_line(clean(case.name), 200), one_line(clean(case.message), 400)
    reason = f": {message}" if message and case.outcome is not Outcome.PASSED else ""
    return f"{PLAIN_MARKS[case.outcome]:<5} {where(case)}  {name} ({duration(case.seconds)}){reason}"


def where(thing: Case | Going) -> str:
    """Return phase and role: ``install.factory``."""
    return f"{thing.phase}.{thing.role}" if thing.role else thing.phase


def _still(going: Going, now: float) -> str:
    note = f": {one_line(going.note, 80)}" if going.note else ""
    return f"{where(going)} {going.name} ({duration(now - going.began)}){note}"


class _Console(Console):
    """A console whose end is nobody else's: rich would close standard output with it."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


class LiveProgress(Progress):
    """A picture at the foot of a terminal; cases that ended scroll above it."""

    def __init__(self, title: str, console: Console) -> None:
        super().__init__(title)
        self._console = console

    def show(self) -> None:
        """Draw until closed; the picture disappears, the lines above it stay."""
        with Live(console=self._console, auto_refresh=False, transient=True, redirect_stdout=False) as live:
            for case in self.words(FRAME):
                if case is not None:
                    self._console.print(ended_line(case), soft_wrap=False)
                else:
                    live.update(picture(self.board, self._console.height), refresh=True)


def ended_line(case: Case) -> RenderableType:
    """Return the line that stays for a case that has ended."""
    style = STYLES[case.outcome]
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(width=1)
    table.add_column(no_wrap=True, width=18)
    table.add_column(ratio=1, overflow="ellipsis", no_wrap=case.outcome is Outcome.PASSED)
    table.add_column(justify="right", no_wrap=True)
    what = Text(one_line(clean(case.name), 200), "" if case.outcome is Outcome.PASSED else style)
    if case.message and case.outcome is not Outcome.PASSED:
        what.append(f"\n{one_line(clean(case.message))}", "default")
    mark, seconds = Text(MARKS[case.outcome], style), Text(duration(case.seconds), "dim")
    table.add_row(mark, Text(where(case), "dim", overflow="ellipsis"), what, seconds)
    return table


def picture(board: Board, height: int) -> RenderableType:
    """Return the live display: a header and a line or two per thing that goes on, oldest host first."""
    elapsed = f"  {duration(board.elapsed())}  "
    header = Text.assemble((" itb ", "bold reverse"), " ", (board.title, "bold"), elapsed)
    for outcome, number in board.ended.items():
        header.append(f" {number} {MARKS[outcome]}", STYLES[outcome])
    header.no_wrap, header.overflow = True, "ellipsis"
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(no_wrap=True, style="cyan", min_width=8)
    table.add_column(justify="right", no_wrap=True, min_width=9)
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    now = time.monotonic()
    going = sorted(board.going.values(), key=lambda item: (item.role, item.began))
    room = max(1, height - 4)
    for item in going[:room]:
        what = Text(f"{item.phase}: {item.name}")
        if item.note:
            what.append(f"  {item.note}", "dim")
        table.add_row(Text(item.role or "itb"), duration(now - item.began), what)
    if len(going) > room:
        table.add_row("", "", Text(f"and {len(going) - room} more", "dim"))
    return Group(Text(), header, table)


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
