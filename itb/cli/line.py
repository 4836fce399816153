"""A command line as far as it is typed, for those who say what may follow."""

from __future__ import annotations

from dataclasses import dataclass, field

from itb.cli.declaration import Command


@dataclass(frozen=True)
class Line:
    """A line whose last word is being typed: its command, and what was given by name and by position."""

    command: Command
    given: dict[str, str] = field(default_factory=dict)
    bare: tuple[str, ...] = ()

    def value(self, name: str) -> str:
        """Return what was given for an option, by its name or by its position; empty if nothing was."""
        positions = [option.name for option in self.command.options if option.positional]
        by_position = dict(zip(positions, self.bare, strict=False))
        return self.given.get(name, "") or by_position.get(name, "")
