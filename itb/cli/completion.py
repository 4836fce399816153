"""Completion in shells: the candidates for the argument that is being typed, and the scripts that ask for them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from itb.cli import documents
from itb.cli.declaration import CliCommand, CommandGroup, Commands
from itb.cli.partial_line import PartialLine
from itb.config.option import Option

STANDALONE_OPTIONS = ("--help", "--version", "--list", "--print-completion-script")  # options that need no command
_HELP = documents.HELP_FLAGS[0]
# Candidates may be names of folders: none is offered that a shell could take for more than one argument.
_PLAIN = re.compile(r"[\w.,/:=+@%-]+", re.ASCII)

# Each hands over the arguments as they are, the one being typed last, and offers files where itb offers nothing.
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


def complete(arguments: Sequence[str], commands: Commands) -> list[str]:
    """Return the candidates for the last of the arguments of ``itb`` that begin like it."""
    typed = arguments[-1] if arguments else ""
    beginning = "" if typed == "=" else typed  # to bash, the sign between an option and its value is an argument
    matching = [name for name in candidates(arguments, commands) if name.startswith(beginning)]
    return [name for name in matching if _PLAIN.fullmatch(name)]


def candidates(arguments: Sequence[str], commands: Commands) -> list[str]:
    """Return the candidates for the last of the arguments; none where it may be anything, or a file."""
    *before, typed = arguments or [""]
    is_help = before[:1] == [_HELP]
    if is_help:
        before = before[1:]
    groups = {group.name: group for group in commands.collections.values() if isinstance(group, CommandGroup)}
    if not before:
        if typed.startswith("-"):
            return [] if is_help else list(STANDALONE_OPTIONS)
        others = [*documents.TOPICS, documents.TOPIC_LIST] if is_help else [_HELP]
        return sorted({*(command.full_name.split()[0] for command in commands.all_commands), *others})
    if before[0] in groups:
        return _group_candidates(groups[before[0]], before[1:], typed, is_help=is_help)
    by_name = {command.full_name: command for command in commands.all_commands}
    if before[0] not in by_name or is_help:
        return []
    return _command_candidates(by_name[before[0]], before[1:], typed)


def _group_candidates(group: CommandGroup, before: Sequence[str], typed: str, *, is_help: bool) -> list[str]:
    """Return the commands of a group, or the candidates behind the one that is there."""
    by_name = {str(command.name): command for command in group.commands}
    if before and before[0] in by_name:
        return [] if is_help else _command_candidates(by_name[before[0]], before[1:], typed)
    if is_help:
        return [] if before else sorted(by_name)
    default = _command_candidates(group.default_command, before, typed) if group.default_command else []
    return default if before or typed.startswith("-") else sorted({*by_name, *default})


def _command_candidates(command: CliCommand, before: Sequence[str], typed: str) -> list[str]:
    """Return the options of a command, or the values of the option or positional argument that is being typed."""
    flags = {option.flag: option for option in command.options if not isinstance(option.default, bool)}
    before = list(before)
    if before[-1:] == ["="]:
        before.pop()
    elif typed == "=":
        typed = ""
    elif typed.startswith("--") and "=" in typed:
        flag, _, value = typed.partition("=")
        if flag not in flags:
            return []
        return [f"{flag}={name}" for name in _values(flags[flag], _read_line(command, before, flags), value)]
    if before and (option := flags.get(before[-1])) and not (option.value_optional and typed.startswith("-")):
        return _values(option, _read_line(command, before[:-1], flags), typed)
    line = _read_line(command, before, flags)
    if typed.startswith("-"):
        return _flags(command)
    free = [option for option in command.options if option.positional and option.name not in line.options]
    free += [option for option in command.options if option.name == "run" and not option.positional]
    return _values(free[len(line.positional)], line, typed) if len(line.positional) < len(free) else []


def _read_line(command: CliCommand, arguments: Sequence[str], flags: dict[str, Option]) -> PartialLine:
    """Return the options and positional arguments among the complete arguments of a line."""
    options: dict[str, str] = {}
    positional: list[str] = []
    rest = list(arguments)
    while rest:
        flag, equals, value = rest.pop(0).partition("=")
        if flag in flags:
            if rest[:1] == ["="]:
                rest.pop(0)
            options[flags[flag].name] = value if equals else (rest.pop(0) if rest else "")
        elif not flag.startswith("-"):
            positional.append(flag + equals + value)
    return PartialLine(command, options, tuple(positional))


def _flags(command: CliCommand) -> list[str]:
    """Return the flags of a command; a switch that is on by default has only the form that turns it off."""
    options = [option for option in command.options if not option.positional]
    off = [f"--no-{option.flag[2:]}" for option in options if option.default is True]
    return sorted({*(option.flag for option in options if option.default is not True), *off, "--help"})


def _values(option: Option, line: PartialLine, typed: str) -> list[str]:
    """Return the values that an option may have; behind those of a list that are typed already."""
    names = list(option.choices)
    if not names and option.completes:
        from itb.cli import completion_values  # what it imports is not for every itb --help

        names = completion_values.values(option.completes, line)
    before, comma, _ = typed.rpartition(",")
    return [f"{before}{comma}{name}" for name in names] if option.value == "A,B" else names
