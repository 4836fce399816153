"""The lines that ``itb --help`` and ``itb COMMAND --help`` print, for any width of terminal."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from itb.cli.declaration import CliCommand, CommandGroup, Commands
from itb.config.option import Heading, Option

_INDENT = "  "
_NARROW = 60  # columns; in a narrower terminal a text stands under its term instead of beside it
_FOOTER = "First: itb run --product pocketwms. More: itb COMMAND --help, itb help topics."
_COLUMN = 24  # columns; the text of a longer term begins in the next line


def terminal_width() -> int:
    """Return the columns of the terminal, or what COLUMNS says; 80 without a terminal."""
    with suppress(ValueError, OSError):  # shutil knows this too, but takes longer to import than help to print
        return max(int(os.environ.get("COLUMNS", "")), 20)
    with suppress(ValueError, OSError):
        return os.get_terminal_size(sys.__stdout__.fileno() if sys.__stdout__ else 1).columns or 80
    return 80


def list_topics(descriptions: Sequence[tuple[str, str]], width: int) -> list[str]:
    """Return lines that list the topics of ``itb help`` and what each is about."""
    rows = _columns(descriptions, width, _longest(name for name, _ in descriptions))
    return ["itb help TOPIC shows:", "", *rows, "", *_fill("itb help COMMAND explains a command.", width)]


def describe_program(commands: Commands, width: int) -> list[str]:
    """Return the lines that list every command by its purpose, and where to read on."""
    lines = ["Usage: itb COMMAND [OPTIONS]", ""]
    for section in commands.sections:
        names = [member.name or "" for member in section.members]
        if section.names_only:
            lines += _fill(f"{section.title}: {' '.join(names)}", width, _INDENT, first="")
        else:
            lines += _fill(f"{section.title}:", width)
            pairs = [(name, member.summary) for name, member in zip(names, section.members, strict=True)]
            lines += _columns(pairs, width, _longest(_names(commands)))
    return [*lines, "", *_fill(_FOOTER, width)]


def _names(commands: Commands) -> Iterator[str]:
    """Yield the name of every entry of every section."""
    for section in commands.sections:
        yield from (member.name or "" for member in section.members)


def list_commands(commands: Sequence[CliCommand], width: int) -> list[str]:
    """Return a line for each command, with its summary."""
    pairs = [(command.full_name, command.summary) for command in commands]
    return _columns(pairs, width, _longest(name for name, _ in pairs))


def describe_group(group: CommandGroup, width: int) -> list[str]:
    """Return the lines that list the commands of a group, and its default command if it has one."""
    lines = [
        *_fill(f"Usage: itb {group.name} COMMAND [OPTIONS]", width),
        "",
        "Commands:",
        *list_commands(group.commands, width),
    ]
    if group.default_command:
        meaning = f"itb {group.name} RUN is itb {group.default_command.full_name} RUN."
        lines += ["", *_fill(meaning, width)]
    return [*lines, "", *_fill(f"itb {group.name} COMMAND --help explains one.", width)]


def describe_command(command: CliCommand, width: int) -> list[str]:
    """Return the lines that explain a command: its docstring and notes, its options by heading, an example."""
    arguments = [
        option.value if option.required else f"[{option.value}]" for option in command.options if option.positional
    ]
    synopsis = " ".join(["Usage: itb", command.full_name, *arguments, "[OPTIONS]"])
    lines = [*_fill(synopsis, width), ""]
    for paragraph in [*(command.__doc__ or "").strip().split("\n\n"), *command.notes]:
        lines += [*_fill(" ".join(paragraph.split()), width), ""]
    column = min(_longest(map(_usage, command.options)), _COLUMN)
    for heading in Heading:
        options = [option for option in command.options if option.heading == heading]
        pairs = [(_usage(option), option.help_with_default) for option in options]
        if pairs:
            lines += [*_fill(f"{heading}:", width), *_columns(pairs, width, column), ""]
    if any(option.setting for option in command.options):
        lines += [*_fill("itb.yaml and the environment (ITB_NAME) set options too: itb show config.", width), ""]
    return [*lines, "Example:", *_fill(command.example, width, _INDENT)]


def _usage(option: Option) -> str:
    """Return the option and the name of its value, as people type them."""
    if option.positional:
        return option.value
    if isinstance(option.default, bool):
        flag = f"--no-{option.flag[2:]}" if option.default else option.flag
        return f"{option.short}, {flag}" if option.short else flag
    return f"{option.flag} [{option.value}]" if option.value_optional else f"{option.flag} {option.value}"


def _longest(terms: Iterable[str]) -> int:
    return max(map(len, terms), default=0)


def _columns(pairs: Sequence[tuple[str, str]], width: int, column: int) -> list[str]:
    """Return terms with their texts beside them, or below where the line is too short."""
    lines: list[str] = []
    margin = len(_INDENT) + column + 2
    for term, text in pairs:
        if width < _NARROW:
            lines += [_INDENT + term, *_fill(text, width, 3 * _INDENT)]
        elif len(term) > column:
            lines += [_INDENT + term, *_fill(text, width, " " * margin)]
        else:
            lines += _fill(text, width, " " * margin, first=f"{_INDENT}{term:{column}}  ")
    return lines


def _fill(text: str, width: int, indent: str = "", *, first: str | None = None) -> list[str]:
    """Return a text in lines of at most ``width`` columns, broken between words."""
    return textwrap.wrap(
        text,
        width,
        initial_indent=indent if first is None else first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
