"""The declaration of an option or of a setting, and reading those that a class declares.

``itb --help`` imports this module, so it imports nothing that takes time.
"""

from __future__ import annotations

import dataclasses
import functools
import typing
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal


class Heading(StrEnum):
    """Headings of a command's help, in the order in which they are shown."""

    ARGUMENTS = "Arguments"
    TESTED = "What is tested"
    PUBLISHED = "Published packages instead of a build"
    ACTION = "What is done"
    OLD_RUNS = "Old runs"
    SHOWN = "What is shown"
    WHERE = "Where"
    TOKENS = "Tokens"
    RUNNING = "How it runs"
    OUTPUT = "Output"


class Continuation(StrEnum):
    """How a command goes on with an existing run."""

    PHASE = "phase"  # does one more phase of it, or repeats one
    RESUME = "resume"


@dataclass(frozen=True)
class Option:
    """The declaration of an option of a command, or of a setting.

    A setting without a ``heading`` has no option.  ``value`` is the name of
    the value in the help; ``if_empty`` describes an empty default.  The ``name``
    and ``default`` of a setting are those of its field.  A ``default`` of
    False or True makes a switch, None means not given.  A ``required`` option
    must be given; with ``value_optional`` it may be given without its value,
    with ``multiple`` it takes several values by position; ``short`` is the
    one-letter form.  ``choices`` are all its values; where they are not known
    here, ``completes`` names what completes it (:mod:`itb.cli.completion_values`).
    ``at_least``, ``above`` and ``at_most`` bound a number.

    An existing run goes on with its recorded settings.  ``changes`` names the
    continuations that take a new value of a setting instead; a setting
    ``of_command`` is about the command, and each command takes its own.
    """

    help: str
    heading: Heading | None = None
    value: str = "TEXT"
    if_empty: str = ""
    name: str = ""
    default: Any = ""
    positional: bool = False
    required: bool = False
    value_optional: bool = False
    multiple: bool = False
    short: str = ""
    choices: tuple[str, ...] = ()
    completes: str = ""
    setting: bool = False
    in_files_only: bool = False
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    changes: tuple[Continuation, ...] = ()
    of_command: bool = False

    @property
    def flag(self) -> str:
        """Return the option as it is typed: ``--token-hook``."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def variable(self) -> str:
        """Return the environment variable of a setting; it is refused for one that only a file can hold."""
        return f"ITB_{self.name.upper()}"

    def changed_by(self, continuation: Continuation) -> bool:
        """Return whether this continuation replaces the run's recorded value of the setting by a new one."""
        return continuation in self.changes

    def may_change(self, continuation: Continuation) -> bool:
        """Return whether the setting may be given to this continuation of a run."""
        return self.of_command or self.changed_by(continuation)

    def bound_problem(self, value: Any) -> str:
        """Return which bound a number exceeds, as text; empty if none, or for what is no number."""
        if not isinstance(value, int | float):
            return ""
        if self.at_least is not None and value < self.at_least:
            return f"must be greater than or equal to {self.at_least:g}"
        if self.above is not None and value <= self.above:
            return f"must be greater than {self.above:g}"
        if self.at_most is not None and value > self.at_most:
            return f"must be less than or equal to {self.at_most:g}"
        return ""

    @property
    def default_text(self) -> str:
        """Return the default for help and documentation: ``deb13``, ``the product's``; empty if there is none."""
        if self.default and isinstance(self.default, tuple):
            return ",".join(self.default)
        if isinstance(self.default, bool):
            return "yes" if self.default else "no"
        if isinstance(self.default, int | float):
            return f"{self.default:g}"
        return str(self.default) if self.default and isinstance(self.default, str) else self.if_empty

    @property
    def help_with_default(self) -> str:
        """Return the help of the option with its default."""
        default = "" if isinstance(self.default, bool) else self.default_text
        requirement = " [required]" if self.required and not self.positional else ""
        return self.help + (f" [default: {default}]" if default else requirement)


def as_setting(name: str, declared: Option, default: Any) -> Option:
    """Return the declaration of a setting, with its field's name and default."""
    return dataclasses.replace(declared, name=name, default=default, setting=True)


@functools.cache
def fields(declaring: type) -> dict[str, Option]:
    """Return the options that a class declares, by name and in their order, with the defaults of its fields."""
    hints = typing.get_type_hints(declaring, include_extras=True)
    return {
        name: dataclasses.replace(
            _with_choices(option, hint.__origin__), name=name, default=getattr(declaring, name)
        )
        for name, hint in hints.items()
        for option in hint.__metadata__
        if isinstance(option, Option)
    }


def _with_choices(option: Option, kind: Any) -> Option:
    """Return the declaration of an option with the values that its type names."""
    is_literal = typing.get_origin(kind) is Literal
    return dataclasses.replace(option, choices=typing.get_args(kind)) if is_literal else option
