"""Completion in shells: what may stand where a word is being typed."""

from __future__ import annotations

from collections.abc import Sequence

from itb.cli import documents
from itb.cli.declaration import Command, Commands, Group

ALONE = ("--help", "--version", "--list", "--print-completion-script")  # options that need no command
HELP = documents.HELP[0]

# Hands over each word as it is, the one being typed last: Invoke's own script joins them, so that a blank behind
# a group, quotes and wildcards are lost.
BASH = """\
# To be sourced by bash: source <(itb --print-completion-script bash)
_complete_itb() {
    local offered
    offered=$(itb --complete -- "${COMP_WORDS[@]:0:COMP_CWORD}" "$2" 2>/dev/null)
    COMPREPLY=($(compgen -W "$offered" -- "$2"))
}
complete -o default -F _complete_itb itb
"""


def candidates(words: Sequence[str], commands: Commands) -> list[str]:
    """Words that may stand in place of the last of these, which follow ``itb``; none where it is a value.

    A group as the last word also gives its commands: scripts for some
    shells do not say that a blank follows it.
    """
    *before, typed = words or [""]
    helped = before[:1] == [HELP]
    if helped:
        before = before[1:]
    groups = {group.name: group for group in commands.collections.values() if isinstance(group, Group)}
    if not before:
        if typed.startswith("-"):
            return [] if helped else list(ALONE)
        own = [*documents.TOPICS, documents.LIST] if helped else [HELP]
        below = [item.name for item in groups[typed].commands] if typed in groups else []
        return sorted({*(item.words.split()[0] for item in commands.every), *own, *map(str, below)})
    if before[0] in groups:
        return _of_group(groups[before[0]], before[1:], typed)
    of_name = {item.words: item for item in commands.every}
    return _options(of_name[before[0]], typed) if before[0] in of_name and not helped else []


def _of_group(group: Group, before: Sequence[str], typed: str) -> list[str]:
    names = {str(item.name): item for item in group.commands}
    if before and before[0] in names:
        return _options(names[before[0]], typed)
    if before or typed.startswith("-"):
        return _options(group.implied, typed) if group.implied else []
    return sorted(names)


def _options(command: Command, typed: str) -> list[str]:
    if not typed.startswith("-"):
        return []
    given = [option for option in command.options if not option.positional]
    off = [f"--no-{option.flag[2:]}" for option in given if option.default is True]
    return sorted({*(option.flag for option in given if option.default is not True), *off, "--help"})
