"""Phases as a graph: each says what it needs, and one executor does them in that order, at once where it can.

A whole run, a single step (``itb serve``) and a resumed run are done by the
same executor, so that their order cannot differ.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any

from itb.errors import InterruptedRunError


@dataclass(frozen=True)
class Phase:
    """A function and the name of the value that it returns.

    The function's parameters name the values that it needs.  ``after`` names
    phases that end before it although it needs no value of theirs.
    ``command`` is the command that does this phase without the others;
    without one, every command does it that needs its value.
    ``load`` reads the value that an earlier command has left.
    """

    name: str
    work: Callable[..., object]
    command: str = ""
    after: tuple[str, ...] = ()
    load: Callable[[Any], object] | None = None

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the values that the function takes."""
        return tuple(inspect.signature(self.work).parameters)


class Graph:
    """The phases of a run by the names of their values; ``given`` are the values that it starts with."""

    def __init__(self, phases: Iterable[Phase], *, given: Iterable[str]) -> None:
        self.phases = {phase.name: phase for phase in phases}
        self.given = frozenset(given)
        for phase in self.phases.values():
            for name in (*phase.needs, *phase.after):
                if name not in self.phases and name not in self.given:
                    raise ValueError(f"phase {phase.name} needs {name}, which no phase returns")
        self._order(self.phases).prepare()  # raises CycleError

    def _order(self, names: Iterable[str]) -> TopologicalSorter[str]:
        chosen = set(names)
        return TopologicalSorter(
            {name: chosen & {*self.phases[name].needs, *self.phases[name].after} for name in chosen}
        )

    def of_command(self, command: str) -> set[str]:
        """Return the phases that a command does: its own, and those without a command whose values it needs."""
        names: set[str] = set()
        waiting = [name for name, phase in self.phases.items() if phase.command == command]
        while waiting:
            name = waiting.pop()
            names.add(name)
            needed = [self.phases[need] for need in self.phases[name].needs if need in self.phases]
            waiting += [phase.name for phase in needed if not phase.command and phase.name not in names]
        return names

    def left_by_others(self, names: Iterable[str]) -> Iterator[Phase]:
        """Yield the phases whose values these phases need and that are not among them."""
        chosen = set(names)
        needs = {need: None for name in chosen for need in self.phases[name].needs}
        for need in needs:
            if need in self.phases and need not in chosen:
                yield self.phases[need]

    def execute(self, names: Iterable[str], values: Mapping[str, object]) -> dict[str, object]:
        """Do these phases, each as soon as what it needs is there; return all values.

        After an error no further phase begins; those that have begun go to
        their end.  Raises the first error, or the interruption if there was
        one: the others may be its consequences.
        """
        known, errors = dict(values), list[BaseException]()
        order = self._order(names)
        order.prepare()
        running: dict[Future[object], str] = {}
        with ThreadPoolExecutor(max_workers=max(1, len(self.phases))) as pool:
            while order.is_active():
                for name in order.get_ready() if not errors else ():
                    phase = self.phases[name]
                    running[pool.submit(phase.work, *(known[need] for need in phase.needs))] = name
                if not running:
                    break
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    name = running.pop(future)
                    if (error := future.exception()) is not None:
                        errors.append(error)
                    else:
                        known[name] = future.result()
                        order.done(name)
        for error in [*(error for error in errors if isinstance(error, InterruptedRunError)), *errors]:
            raise error
        return known

    def picture(self) -> str:
        """Return the graph as text, a phase a line, each below what it needs."""
        lines = []
        for name in self._order(self.phases).static_order():
            phase = self.phases[name]
            needs = ", ".join(need for need in phase.needs if need in self.phases)
            after = ", ".join(phase.after)
            parts = [f"needs {needs}" if needs else "", f"after {after}" if after else ""]
            lines.append(f"{phase.command or '(any)':8} {name:18} {'; '.join(part for part in parts if part)}".rstrip())
        return "\n".join(lines)
