"""A command line that is still being typed, as completion reads it."""

from __future__ import annotations

from dataclasses import dataclass, field

from itb.cli.declaration import CliCommand


@dataclass(frozen=True)
class PartialLine:
    """The part of a command line before the argument that is being typed.

    ``options`` holds the value of each option by name, ``positional`` the other arguments.
    """

    command: CliCommand
    options: dict[str, str] = field(default_factory=dict)
    positional: tuple[str, ...] = ()

    def value(self, name: str) -> str:
        """Return the value of an option or positional argument; empty if it is not on the line."""
        names = [option.name for option in self.command.options if option.positional]
        by_position = dict(zip(names, self.positional, strict=False))
        return self.options.get(name, "") or by_position.get(name, "")
