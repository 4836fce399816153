"""A command of ``itb``: an Invoke task whose options come from their declarations.

Its function gets the settings among its options as one mapping and every
other option by name; what it returns is the exit code.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from invoke import Argument, Collection, Task
from invoke.exceptions import Exit

from itb.config import options as declared
from itb.config.options import Option

Flags = Mapping[str, Any]
Body = Callable[..., int | None]


class Command(Task[Any]):
    """One command: its function, its options and what its help says beside its docstring."""

    def __init__(
        self, body: Body, options: Iterable[Option], *, example: str, notes: Sequence[str] = (), name: str = ""
    ) -> None:
        self.options = tuple(options)
        self.example = example
        self.notes = tuple(notes)
        self.group = ""
        positional = [option.name for option in self.options if option.positional]
        super().__init__(body, name=name or None, positional=positional, auto_shortflags=False)

    def __eq__(self, other: object) -> bool:
        return self is other  # Invoke takes tasks of one name for the same if their code is

    def __hash__(self) -> int:
        return id(self)

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:  # noqa: ARG002 - Invoke's
        """Return what Invoke's parser takes, arguments without a flag first.

        No short flags: Invoke would give them by first come, and a new
        option would change the meaning of an old command line.
        """
        ordered = sorted(self.options, key=lambda option: not option.positional)
        return [_argument(option) for option in ordered]

    def __call__(self, _context: object, **values: Any) -> None:
        """Do what the command does and leave with its exit code."""
        flags = {option.name: values[option.name] for option in self.options if option.setting}
        own = {name: value for name, value in values.items() if name not in flags}
        end(self.body(flags, **own) or 0)

    @property
    def words(self) -> str:
        """Return the command as people write it: ``platform build``."""
        return f"{self.group} {self.name}".strip()

    @property
    def brief(self) -> str:
        """Return what the command does, in one sentence."""
        return (self.__doc__ or "").strip().partition("\n")[0]


class Group(Collection):
    """Commands that share their first word; that word alone prints what they are.

    ``implied`` is the command that is meant where the word is followed by none of them.
    """

    def __init__(self, name: str, brief: str, *commands: Command, implied: Command | None = None) -> None:
        super().__init__(name)
        self.brief = brief
        self.implied = implied
        for command in commands:
            command.group = name
            self.add_task(command)

    @property
    def commands(self) -> list[Command]:
        """Return the commands of the group, in their order."""
        return [task for task in self.tasks.values() if isinstance(task, Command)]


@dataclass(frozen=True)
class Section:
    """Commands that people use for one purpose, as ``itb --help`` shows them; ``short`` lists names only."""

    title: str
    entries: tuple[Command | Group, ...]
    short: bool = False


class Commands(Collection):
    """All commands, in sections."""

    def __init__(self, *sections: Section) -> None:
        super().__init__()
        self.sections = sections
        for entry in {entry.name: entry for section in sections for entry in section.entries}.values():
            if isinstance(entry, Group):
                self.add_collection(entry)
            else:
                self.add_task(entry)

    @property
    def every(self) -> list[Command]:
        """Return every command, once."""
        commands = [
            command
            for section in self.sections
            for entry in section.entries
            for command in (entry.commands if isinstance(entry, Group) else [entry])
        ]
        return list(dict.fromkeys(commands))


def command(
    *options: Option | str, example: str, notes: Sequence[str] = (), name: str = ""
) -> Callable[[Body], Command]:
    """Return a decorator that makes a function a command with these options; settings are given by their names.

    Help shows the function's docstring, then ``notes``, which may come from declarations, and a command's own
    options before settings, and these as they are declared.
    """

    def wrap(body: Body) -> Command:
        own = [option for option in options if isinstance(option, Option)]
        taken = [*own, *(setting for name, setting in declared.settings().items() if name in options)]
        if len(taken) != len(options):
            raise ValueError(f"not every option is one, or one is given twice: {options}")
        if nameless := [option.help for option in taken if not option.name or option.heading is None]:
            raise ValueError(f"no option of a command: {nameless}")
        return Command(body, taken, example=example, notes=notes, name=name)

    return wrap


def argument(name: str, help: str, *, value: str = "", required: bool = True, **more: Any) -> Option:
    """Return an argument that is given by its position, or by its flag."""
    return Option(
        help,
        declared.Heading.ARGUMENTS,
        value or name.upper(),
        name=name,
        default=None if required else "",
        positional=True,
        required=required,
        **more,
    )


def option(name: str, help: str, default: Any = "", **more: Any) -> Option:
    """Return an option of one command that is no setting."""
    return dataclasses.replace(Option(help, declared.Heading.ACTION, name=name, default=default), **more)


def _argument(option: Option) -> Argument:
    """Return the option as Invoke's parser takes it."""
    name = option.name.replace("_", "-")
    switch = isinstance(option.default, bool)
    default = option.default
    if option.setting:
        default = False if switch else ""  # a setting that is not given comes from a lower layer
    return Argument(
        names=(name, option.short[1:]) if option.short else (name,),
        attr_name=option.name if name != option.name else None,
        kind=bool if switch else str,
        optional=option.bare,
        default=default,
        help=option.help,
        positional=option.positional,
    )


def end(code: int) -> None:
    """Leave with an exit code of the contract; what could not be printed makes a success an OSError."""
    if not code:
        sys.stdout.flush()
    else:
        with suppress(OSError):  # who read it has gone; the code stands
            sys.stdout.flush()
        raise Exit(code=code)
