"""A graph of nodes, each of which is work that needs the values of others, and the executor that does it.

A whole run, a single command (``itb serve``) and a resumed run are done by the
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

_COMMANDS: dict[str, str] = {Phase.TOKEN: "token acquire"}  # where a command is not named as its phase


@dataclass(frozen=True)
class Node:
    """A function and the name of the value that it returns.

    The function's parameters name the values that it takes; ``requires``
    names more that must be there.  ``after`` names nodes that end before it
    where the same command does them.  ``command`` is the phase whose command
    does this node; a node without a command is done by every command that does a node needing it, and one
    of a phase that is no command by whole runs only.
    ``load`` reads the value that an earlier command saved; it returns None if
    there is none, which is an error unless the node is ``optional``.  ``cases``
    are the test cases of the node, or return them for the cell that a run begins with.
    A node that ``prepares`` only makes hosts ready: once another has failed,
    its value is of no use.
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
    """Nodes by the names of their values; ``initial`` names the values that are there from the start."""

    def __init__(self, nodes: Iterable[Node], *, initial: Iterable[str]) -> None:
        self.nodes = {node.name: node for node in nodes}
        self.initial = frozenset(initial)
        for node in self.nodes.values():
            for name in (*node.needs, *node.after):
                if name not in self.nodes and name not in self.initial:
                    raise ValueError(f"node {node.name} needs {name}, which no node returns")
        self._order(self.nodes).prepare()  # raises CycleError

    def _order(self, names: Iterable[str]) -> TopologicalSorter[str]:
        included = set(names)
        nodes = [node for name, node in self.nodes.items() if name in included]  # in the order of declaration
        return TopologicalSorter(
            {node.name: [need for need in (*node.needs, *node.after) if need in included] for node in nodes}
        )

    def of_command(self, command: str) -> set[str]:
        """Return the names of the nodes that a command does: its own, and those they name that have no command."""
        names: set[str] = set()
        unvisited = [name for name, node in self.nodes.items() if node.command == command]
        while unvisited:
            name = unvisited.pop()
            names.add(name)
            node = self.nodes[name]
            earlier = [self.nodes[need] for need in (*node.needs, *node.after) if need in self.nodes]
            unvisited += [other.name for other in earlier if not other.command and other.name not in names]
        return names

    def load(self, names: Iterable[str], source: Any, *, where: str) -> dict[str, object]:
        """Return the values that these nodes need and earlier commands saved.

        ``source`` is given to each ``load``.  Raises UsageError naming the
        command that has to come first, for the run named ``where``.
        """
        own_names, values = set(names), dict[str, object]()
        needs = [need for name, node in self.nodes.items() if name in own_names for need in node.needs]
        for need in dict.fromkeys(needs):
            node = self.nodes.get(need)
            if node is None or need in own_names:
                continue
            values[need] = node.load(source) if node.load else None
            if values[need] is None and not node.optional:
                # itb build starts a run: it cannot go on with one.
                begins = node.command == Phase.BUILD
                command = _COMMANDS.get(node.command, node.command)
                hint = f"itb run --resume {where}" if begins else f"itb {command} --run {where}"
                raise UsageError(f"run {where}: {command} has to come first", hint=hint)
        return values

    def execute(
        self,
        names: Iterable[str],
        values: Mapping[str, object],
        *,
        abandon: Callable[[BaseException], object] = lambda _cause: None,
    ) -> dict[str, object]:
        """Do these nodes, each as soon as the values that it needs are there; return all values.

        After an error no further node begins, and the executor waits for those that
        run; where all of them only prepare, it calls ``abandon`` with the error,
        once, to end them.  Raises the first error, or the interruption if there
        was one: the others may be its consequences.
        """
        results, errors = dict(values), list[BaseException]()
        order = self._order(names)
        order.prepare()
        running: dict[Future[object], str] = {}
        is_abandoned = False
        with ThreadPoolExecutor(max_workers=max(1, len(self.nodes))) as pool:
            while order.is_active():
                for name in order.get_ready() if not errors else ():
                    node = self.nodes[name]
                    running[pool.submit(node.work, *(results[value] for value in node.takes))] = name
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
                        results[name] = future.result()
                        order.done(name)
        interruptions = (error for error in errors if isinstance(error, InterruptedRunError))
        for error in [*(item for item in interruptions if not isinstance(item, AbandonedError)), *errors]:
            raise error
        return results

    def cases(self, source: Any) -> list[CaseKey]:
        """Return the test cases of all nodes in their order, each once; ``source`` is given to ``cases``."""
        nodes = [self.nodes[name] for name in self._order(self.nodes).static_order()]
        each = (node.cases if isinstance(node.cases, tuple) else node.cases(source) for node in nodes)
        return list(dict.fromkeys(key for keys in each for key in keys))

    def picture(self) -> str:
        """Return the graph as text: a line per node, below those it needs, without the cell, which all need."""
        lines = []
        for name in self._order(self.nodes).static_order():
            node = self.nodes[name]
            needs = ", ".join(need for need in node.needs if need in self.nodes and need != "cell")
            after = ", ".join(node.after)
            parts = [f"needs {needs}" if needs else "", f"after {after}" if after else ""]
            relations = "; ".join(part for part in parts if part)
            lines.append(f"{node.command or '(any)':8} {name:18} {relations}".rstrip())
        return "\n".join(lines)
