"""Phases as a graph: each says what it needs, and one executor does them in that order, at once where it can.

A whole run, a single step (``itb serve``) and a resumed run are done by the
same executor, so that their order cannot differ.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any

from itb.errors import InterruptedRunError, UsageError
from itb.model import CaseKey
from itb.phase import Phase
from itb.process.stop import AbandonedError

_WORDS: dict[str, str] = {Phase.TOKEN: "token acquire"}  # by the phase that they do


@dataclass(frozen=True)
class Node:
    """A function and the name of the value that it returns.

    The function's parameters name the values that it takes; ``requires``
    names more that must be there.  ``after`` names phases that end before it
    where they are done by the same command.  ``command`` is the command that
    does this phase; without one, every command does it whose phases name it.
    ``load`` reads the value that an earlier command has left; None says that
    there is none, unless it is ``optional``.  ``cases`` lists, from what a run
    begins with or as they always are, the test cases that the phase has in
    every run that gets so far.  A node that ``prepares`` only makes hosts
    ready: once a phase has failed, nobody needs its value.
    """

    name: str
    work: Callable[..., object]
    command: str = ""
    requires: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    load: Callable[[Any], object] | None = None
    optional: bool = False
    cases: Callable[[Any], Iterable[CaseKey]] | tuple[CaseKey, ...] = ()
    prepares: bool = False

    @property
    def takes(self) -> tuple[str, ...]:
        """Return the names of the values that the function takes, in the order of its parameters."""
        return tuple(inspect.signature(self.work).parameters)

    @property
    def needs(self) -> tuple[str, ...]:
        """Return the names of the values that must be there before it begins."""
        return (*self.takes, *self.requires)


class Graph:
    """The phases of a run by the names of their values; ``initial`` names the values that it starts with."""

    def __init__(self, nodes: Iterable[Node], *, initial: Iterable[str]) -> None:
        self.nodes = {node.name: node for node in nodes}
        self.initial = frozenset(initial)
        for node in self.nodes.values():
            for name in (*node.needs, *node.after):
                if name not in self.nodes and name not in self.initial:
                    raise ValueError(f"phase {node.name} needs {name}, which no phase returns")
        self._order(self.nodes).prepare()  # raises CycleError

    def _order(self, names: Iterable[str]) -> TopologicalSorter[str]:
        wanted = set(names)
        nodes = [node for name, node in self.nodes.items() if name in wanted]  # always in the same order
        return TopologicalSorter(
            {node.name: [need for need in (*node.needs, *node.after) if need in wanted] for node in nodes}
        )

    def of_command(self, command: str) -> set[str]:
        """Return the names of the phases that a command does: its own, and those of no command that they name."""
        names: set[str] = set()
        waiting = [name for name, node in self.nodes.items() if node.command == command]
        while waiting:
            name = waiting.pop()
            names.add(name)
            node = self.nodes[name]
            before = [self.nodes[need] for need in (*node.needs, *node.after) if need in self.nodes]
            waiting += [other.name for other in before if not other.command and other.name not in names]
        return names

    def load(self, names: Iterable[str], source: Any, *, where: str) -> dict[str, object]:
        """Return what earlier commands have left of the values that these phases need.

        ``source`` is given to each ``load``.  Raises UsageError naming the
        command that has to come first, for the run ``where``.
        """
        chosen_names, known = set(names), dict[str, object]()
        needs = [need for name, node in self.nodes.items() if name in chosen_names for need in node.needs]
        for need in dict.fromkeys(needs):
            node = self.nodes.get(need)
            if node is None or need in chosen_names:
                continue
            known[need] = node.load(source) if node.load else None
            if known[need] is None and not node.optional:
                # A build begins a run, and takes none to go on with.
                begins = node.command == Phase.BUILD
                words = _WORDS.get(node.command, node.command)
                hint = f"itb run --resume {where}" if begins else f"itb {words} --run {where}"
                raise UsageError(f"run {where}: {words} has to come first", hint=hint)
        return known

    def execute(
        self,
        names: Iterable[str],
        values: Mapping[str, object],
        *,
        abandon: Callable[[BaseException], object] = lambda _cause: None,
    ) -> dict[str, object]:
        """Do these phases, each as soon as what it needs is there; return all values.

        After an error no further phase begins; those that have begun go to
        their end, but where all of them only prepare, ``abandon`` is called
        with the error once, to have them end at once.  Raises the first error, or the
        interruption if there was one: the others may be its consequences.
        """
        known, errors = dict(values), list[BaseException]()
        order = self._order(names)
        order.prepare()
        running: dict[Future[object], str] = {}
        is_abandoned = False
        with ThreadPoolExecutor(max_workers=max(1, len(self.nodes))) as pool:
            while order.is_active():
                for name in order.get_ready() if not errors else ():
                    node = self.nodes[name]
                    running[pool.submit(node.work, *(known[value] for value in node.takes))] = name
                if not running:
                    break
                if errors and not is_abandoned and all(self.nodes[name].prepares for name in running.values()):
                    is_abandoned = True
                    if not isinstance(errors[0], InterruptedRunError):  # that has ended them already
                        abandon(errors[0])
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    name = running.pop(future)
                    if (error := future.exception()) is not None:
                        errors.append(error)
                    else:
                        known[name] = future.result()
                        order.done(name)
        interruptions = (error for error in errors if isinstance(error, InterruptedRunError))
        for error in [*(item for item in interruptions if not isinstance(item, AbandonedError)), *errors]:
            raise error
        return known

    def cases(self, source: Any) -> list[CaseKey]:
        """Return the test cases of all phases in the order of the phases, each once."""
        nodes = [self.nodes[name] for name in self._order(self.nodes).static_order()]
        each = (node.cases if isinstance(node.cases, tuple) else node.cases(source) for node in nodes)
        return list(dict.fromkeys(key for keys in each for key in keys))

    def picture(self) -> str:
        """Return the graph as text: a phase a line, below what it needs; the cell, which all need, is left out."""
        lines = []
        for name in self._order(self.nodes).static_order():
            node = self.nodes[name]
            needs = ", ".join(need for need in node.needs if need in self.nodes and need != "cell")
            after = ", ".join(node.after)
            parts = [f"needs {needs}" if needs else "", f"after {after}" if after else ""]
            relations = "; ".join(part for part in parts if part)
            lines.append(f"{node.command or '(any)':8} {name:18} {relations}".rstrip())
        return "\n".join(lines)
