"""What ``itb --help`` and ``itb COMMAND --help`` print, for any width of terminal."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from itb.cli.declaration import Command, Commands, Group
from itb.config.options import Heading, Option

_INDENT = "  "
_NARROW = 60  # columns; below, a text stands under its word instead of beside it
_NEXT = "First: itb run --product pocketwms. More: itb COMMAND --help, itb help topics."
_COLUMN = 24  # columns a word may take before its text goes to the next line


def terminal_width() -> int:
    """Columns of the terminal, or as COLUMNS says; 80 where there is none."""
    with suppress(ValueError, OSError):  # shutil knows this too, but takes longer to import than help to print
        return max(int(os.environ.get("COLUMNS", "")), 20)
    with suppress(ValueError, OSError):
        return os.get_terminal_size(sys.__stdout__.fileno() if sys.__stdout__ else 1).columns or 80
    return 80


def topics(about: Sequence[tuple[str, str]], width: int) -> list[str]:
    """Lines that list the topics of ``itb help`` and what each is about."""
    listed = _columns(about, width, _longest(name for name, _ in about))
    return ["itb help TOPIC shows:", "", *listed, "", *_fill("itb help COMMAND explains a command.", width)]


def program(commands: Commands, width: int) -> list[str]:
    """Return the lines that show every command, grouped by what people do, and how to go on."""
    lines = ["Usage: itb COMMAND [OPTIONS]", ""]
    for section in commands.sections:
        names = [entry.name or "" for entry in section.entries]
        if section.short:
            lines += _fill(f"{section.title}: {' '.join(names)}", width, _INDENT, first="")
        else:
            lines += _fill(f"{section.title}:", width)
            pairs = [(name, entry.brief) for name, entry in zip(names, section.entries, strict=True)]
            lines += _columns(pairs, width, _longest(_names(commands)))
    return [*lines, "", *_fill(_NEXT, width)]


def _names(commands: Commands) -> Iterator[str]:
    """Yield the name of every entry of every section."""
    for section in commands.sections:
        yield from (entry.name or "" for entry in section.entries)


def listing(commands: Sequence[Command], width: int) -> list[str]:
    """Return lines with a command each, and what it does."""
    pairs = [(command.words, command.brief) for command in commands]
    return _columns(pairs, width, _longest(word for word, _ in pairs))


def group(shown: Group, width: int) -> list[str]:
    """Return the lines that show the commands of a group, and what the group's name means before other words."""
    lines = [
        *_fill(f"Usage: itb {shown.name} COMMAND [OPTIONS]", width),
        "",
        "Commands:",
        *listing(shown.commands, width),
    ]
    if shown.implied:
        meaning = f"itb {shown.name} RUN is itb {shown.implied.words} RUN."
        lines += ["", *_fill(meaning, width)]
    return [*lines, "", *_fill(f"itb {shown.name} COMMAND --help explains one.", width)]


def command(shown: Command, width: int) -> list[str]:
    """Return the lines that explain a command: what it does, its options by heading, an example."""
    arguments = [
        option.value if option.required else f"[{option.value}]" for option in shown.options if option.positional
    ]
    synopsis = " ".join(["Usage: itb", shown.words, *arguments, "[OPTIONS]"])
    lines = [*_fill(synopsis, width), ""]
    for paragraph in [*(shown.__doc__ or "").strip().split("\n\n"), *shown.notes]:
        lines += [*_fill(" ".join(paragraph.split()), width), ""]
    column = min(_longest(map(_usage, shown.options)), _COLUMN)
    for heading in Heading:
        pairs = [(_usage(option), option.explained) for option in shown.options if option.heading == heading]
        if pairs:
            lines += [*_fill(f"{heading}:", width), *_columns(pairs, width, column), ""]
    if any(option.setting for option in shown.options):
        lines += [*_fill("itb.yaml and the environment (ITB_NAME) set options too: itb show config.", width), ""]
    return [*lines, "Example:", *_fill(shown.example, width, _INDENT)]


def _usage(option: Option) -> str:
    """Return the option and what it takes, as it is typed."""
    if option.positional:
        return option.value
    if isinstance(option.default, bool):
        flag = f"--no-{option.flag[2:]}" if option.default else option.flag
        return f"{option.short}, {flag}" if option.short else flag
    return f"{option.flag} [{option.value}]" if option.bare else f"{option.flag} {option.value}"


def _longest(words: Iterable[str]) -> int:
    return max(map(len, words), default=0)


def _columns(pairs: Sequence[tuple[str, str]], width: int, column: int) -> list[str]:
    """Return words with their texts beside them, or below where the line is too short."""
    lines: list[str] = []
    margin = len(_INDENT) + column + 2
    for word, text in pairs:
        if width < _NARROW:
            lines += [_INDENT + word, *_fill(text, width, 3 * _INDENT)]
        elif len(word) > column:
            lines += [_INDENT + word, *_fill(text, width, " " * margin)]
        else:
            lines += _fill(text, width, " " * margin, first=f"{_INDENT}{word:{column}}  ")
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
