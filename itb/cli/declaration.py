"""Commands of ``itb``: Invoke tasks whose options come from their declarations.

The function of a command gets the settings among its options as one mapping
and every other option by name; it returns the exit code, None for success.
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
from itb.config.option import Heading, Option

Flags = Mapping[str, Any]
CommandFunction = Callable[..., int | None]


class CliCommand(Task[Any]):
    """One command: its function, its options, and the example and notes that its help shows."""

    def __init__(
        self,
        function: CommandFunction,
        options: Iterable[Option],
        *,
        example: str,
        notes: Sequence[str] = (),
        name: str = "",
    ) -> None:
        self.options = tuple(options)
        self.example = example
        self.notes = tuple(notes)
        self.group = ""
        positional = [option.name for option in self.options if option.positional]
        super().__init__(function, name=name or None, positional=positional, auto_shortflags=False)

    def __eq__(self, other: object) -> bool:
        return self is other  # Invoke takes tasks of one name for the same if their code is

    def __hash__(self) -> int:
        return id(self)

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:  # noqa: ARG002 - Invoke's
        """Return the options as Invoke's parser takes them, positional ones first.

        Invoke gives no short flags: it would assign them in the order of the
        options, and a new option would change the meaning of an old command line.
        """
        ordered = sorted(self.options, key=lambda option: not option.positional)
        return [_argument(option) for option in ordered]

    def __call__(self, _context: object, **values: Any) -> None:
        """Call the function of the command and end itb with its exit code."""
        flags = {option.name: values[option.name] for option in self.options if option.setting}
        others = {name: value for name, value in values.items() if name not in flags}
        end(self.body(flags, **others) or 0)

    @property
    def full_name(self) -> str:
        """Return the command as people type it: ``platform build``."""
        return f"{self.group} {self.name}".strip()

    @property
    def summary(self) -> str:
        """Return the first line of the docstring: what the command does."""
        return (self.__doc__ or "").strip().partition("\n")[0]


class CommandGroup(Collection):
    """Commands that share their first word, such as ``itb token``; that word alone lists them.

    ``default_command`` is the one that runs where the word is followed by none of them.
    """

    def __init__(
        self, name: str, summary: str, *commands: CliCommand, default_command: CliCommand | None = None
    ) -> None:
        super().__init__(name)
        self.summary = summary
        self.default_command = default_command
        for command in commands:
            command.group = name
            self.add_task(command)

    @property
    def commands(self) -> list[CliCommand]:
        """Return the commands of the group, in their order."""
        return [task for task in self.tasks.values() if isinstance(task, CliCommand)]


@dataclass(frozen=True)
class HelpSection:
    """Commands for one purpose, under one title in ``itb --help``; ``names_only`` omits their summaries."""

    title: str
    members: tuple[CliCommand | CommandGroup, ...]
    names_only: bool = False


class Commands(Collection):
    """All commands, in the sections of ``itb --help``."""

    def __init__(self, *sections: HelpSection) -> None:
        super().__init__()
        self.sections = sections
        for member in {member.name: member for section in sections for member in section.members}.values():
            if isinstance(member, CommandGroup):
                self.add_collection(member)
            else:
                self.add_task(member)

    @property
    def all_commands(self) -> list[CliCommand]:
        """Return every command, once, in the order of the sections."""
        commands = [
            command
            for section in self.sections
            for member in section.members
            for command in (member.commands if isinstance(member, CommandGroup) else [member])
        ]
        return list(dict.fromkeys(commands))


def command(
    *options: Option | str, example: str, notes: Sequence[str] = (), name: str = ""
) -> Callable[[CommandFunction], CliCommand]:
    """Return a decorator that makes a function a command with these options; settings are given by their names.

    Help shows the function's docstring, then ``notes``, which may come from declarations, and a command's own
    options before settings, and these as they are declared.
    """

    def wrap(function: CommandFunction) -> CliCommand:
        declared_here = [option for option in options if isinstance(option, Option)]
        settings = [setting for name, setting in declared.settings().items() if name in options]
        all_options = [*declared_here, *settings]
        if len(all_options) != len(options):
            raise ValueError(f"not every option is one, or one is given twice: {options}")
        if incomplete := [option.help for option in all_options if not option.name or option.heading is None]:
            raise ValueError(f"no option of a command: {incomplete}")
        return CliCommand(function, all_options, example=example, notes=notes, name=name)

    return wrap


def argument(name: str, help: str, *, value: str = "", required: bool = True, **more: Any) -> Option:
    """Return an argument that is given by its position, or by its flag."""
    return Option(
        help,
        Heading.ARGUMENTS,
        value or name.upper(),
        name=name,
        default=None if required else "",
        positional=True,
        required=required,
        **more,
    )


def option(name: str, help: str, default: Any = "", **more: Any) -> Option:
    """Return an option of one command that is no setting."""
    return dataclasses.replace(Option(help, Heading.ACTION, name=name, default=default), **more)


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
        optional=option.value_optional,
        default=default,
        help=option.help,
        positional=option.positional,
    )


def end(code: int) -> None:
    """End itb with an exit code; OSError if it would be 0 and the output cannot be written."""
    if not code:
        sys.stdout.flush()
    else:
        with suppress(OSError):  # who read it has gone; the code stands
            sys.stdout.flush()
        raise Exit(code=code)
