"""Completion in shells: what may stand where a word is being typed, and the scripts that ask for it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from itb.cli import documents
from itb.cli.declaration import Command, Commands, Group
from itb.cli.line import Line
from itb.config.options import Option

ALONE = ("--help", "--version", "--list", "--print-completion-script")  # options that need no command
HELP = documents.HELP[0]
# Names of folders are among what is offered: none that a shell could take for more than a word.
_PLAIN = re.compile(r"[\w.,/:=+@%-]+", re.ASCII)

# Each hands over the words as they are, the one being typed last, and offers files where itb offers nothing.
SCRIPTS = {
    "bash": """\
# To be sourced by bash: source <(itb --print-completion-script bash)
_complete_itb() {
    mapfile -t COMPREPLY < <(itb --complete -- "${COMP_WORDS[@]:0:COMP_CWORD}" "$2" 2>/dev/null)
}
complete -o default -F _complete_itb itb
""",
    "zsh": """\
#compdef itb
# To be sourced by zsh: source <(itb --print-completion-script zsh)
_itb() {
    local -a offered
    offered=("${(@f)$(itb --complete -- "${(@Q)words[1,CURRENT-1]}" "$PREFIX" 2>/dev/null)}")
    if [[ -n "${offered[1]}" ]]; then
        compadd -- "${offered[@]}"
    else
        _files
    fi
}
if [[ "${funcstack[1]}" == _itb ]]; then
    _itb "$@"
else
    (( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i }
    compdef _itb itb
fi
""",
    "fish": """\
# To be sourced by fish: itb --print-completion-script fish | source
function __itb_complete
    set -l typed (commandline --current-token --cut-at-cursor)
    set -l before (commandline --tokenize --cut-at-cursor --current-process)
    set -l offered (itb --complete -- $before "$typed" 2>/dev/null)
    if set -q offered[1]
        printf '%s\\n' $offered
    else
        __fish_complete_path "$typed"
    end
end
complete --command itb --no-files --arguments '(__itb_complete)'
""",
}


def offered(words: Sequence[str], commands: Commands) -> list[str]:
    """Return the words that may stand in place of the last of these, which follow ``itb``, and begin like it."""
    typed = words[-1] if words else ""
    begun = "" if typed == "=" else typed  # bash makes a word of the sign between an option and its value
    found = [word for word in candidates(words, commands) if word.startswith(begun)]
    return [word for word in found if _PLAIN.fullmatch(word)]


def candidates(words: Sequence[str], commands: Commands) -> list[str]:
    """Return what may stand in place of the last of these words; nothing where it may be anything, or a file."""
    *before, typed = words or [""]
    helped = before[:1] == [HELP]
    if helped:
        before = before[1:]
    groups = {group.name: group for group in commands.collections.values() if isinstance(group, Group)}
    if not before:
        if typed.startswith("-"):
            return [] if helped else list(ALONE)
        own = [*documents.TOPICS, documents.LIST] if helped else [HELP]
        return sorted({*(item.words.split()[0] for item in commands.every), *own})
    if before[0] in groups:
        return _of_group(groups[before[0]], before[1:], typed, helped=helped)
    of_name = {item.words: item for item in commands.every}
    if before[0] not in of_name or helped:
        return []
    return _of_command(of_name[before[0]], before[1:], typed)


def _of_group(group: Group, before: Sequence[str], typed: str, *, helped: bool) -> list[str]:
    names = {str(item.name): item for item in group.commands}
    if before and before[0] in names:
        return [] if helped else _of_command(names[before[0]], before[1:], typed)
    if helped:
        return [] if before else sorted(names)
    if before or typed.startswith("-"):
        return _of_command(group.implied, before, typed) if group.implied else []
    return sorted({*names, *(_of_command(group.implied, before, typed) if group.implied else ())})


def _of_command(command: Command, before: Sequence[str], typed: str) -> list[str]:
    """Return the options of a command, the values of the one that is being given, or of its next argument."""
    flags = {option.flag: option for option in command.options if not isinstance(option.default, bool)}
    before = list(before)
    if before[-1:] == ["="]:
        before.pop()
    elif typed == "=":
        typed = ""
    elif typed.startswith("--") and "=" in typed:
        flag, _, value = typed.partition("=")
        option = flags.get(flag)
        return (
            [f"{flag}={word}" for word in _values(option, _read(command, before, flags), value)] if option else []
        )
    if before and (option := flags.get(before[-1])) and not (option.bare and typed.startswith("-")):
        return _values(option, _read(command, before[:-1], flags), typed)
    line = _read(command, before, flags)
    if typed.startswith("-"):
        return _flags(command)
    free = [option for option in command.options if option.positional and option.name not in line.given]
    free += [option for option in command.options if option.name == "run" and not option.positional]
    return _values(free[len(line.bare)], line, typed) if len(line.bare) < len(free) else []


def _read(command: Command, words: Sequence[str], flags: dict[str, Option]) -> Line:
    """Return what whole words of a line give."""
    given: dict[str, str] = {}
    bare: list[str] = []
    rest = list(words)
    while rest:
        flag, equals, value = rest.pop(0).partition("=")
        if flag in flags:
            if rest[:1] == ["="]:
                rest.pop(0)
            given[flags[flag].name] = value if equals else (rest.pop(0) if rest else "")
        elif not flag.startswith("-"):
            bare.append(flag + equals + value)
    return Line(command, given, tuple(bare))


def _flags(command: Command) -> list[str]:
    given = [option for option in command.options if not option.positional]
    off = [f"--no-{option.flag[2:]}" for option in given if option.default is True]
    return sorted({*(option.flag for option in given if option.default is not True), *off, "--help"})


def _values(option: Option, line: Line, typed: str) -> list[str]:
    """Return what may be given for an option; of a list, the words before the last comma stay."""
    words = list(option.choices)
    if not words and option.completes:
        from itb.cli import completion_values  # what it imports is not for every itb --help

        words = completion_values.values(option.completes, line)
    before, comma, _ = typed.rpartition(",")
    return [f"{before}{comma}{word}" for word in words] if option.value == "A,B" else words
