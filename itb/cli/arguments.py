"""The arguments of itb: reading them for Invoke, and saying what is wrong with them."""

from __future__ import annotations

import difflib
import re
import shlex
import sys
from collections.abc import Mapping, Sequence

from itb.cli import documents
from itb.cli.declaration import CliCommand
from itb.config.option import Option
from itb.errors import UsageError

GROUPS = ("platform", "token", "show", "new")
_SHOW_COMMANDS = ("run", "config", "product")
_ADVISED_COMMAND = re.compile(r"itb (?P<command>[a-z]+(?: [a-z]+)?)(?P<rest>.*)", re.DOTALL)
_UNSET_VARIABLE = "a variable that is not set, perhaps"


def check_encoding(arguments: Sequence[str]) -> None:
    """Raise UsageError, which names the option, for an argument whose bytes are no characters of the locale."""
    previous = ""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            flag = argument.partition("=")[0] if argument.startswith("--") else previous
            origin = f"flag {flag}" if flag.startswith("--") and flag.isascii() else "the command line"
            encoding = sys.getfilesystemencoding().upper()
            hint = "" if encoding == "UTF-8" else "set LC_ALL=C.UTF-8, or do not set PYTHONUTF8=0"
            shown = argument.encode("utf-8", "replace").decode()[:60]
            raise UsageError(f"{origin}: {shown!r} is not valid {encoding}", hint=hint) from None
        previous = argument


def join_groups(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with a group and its command as one: ``platform.build X`` for ``platform build X``.

    A group alone, and ``help`` or ``--help`` anywhere, become ``--help`` with
    what is to be explained.  What follows ``show`` and is neither a command
    of it nor nearly one is a run, or an option of ``show run``.  Raises
    UsageError for an argument behind the command that ``help`` is to explain.
    """
    arguments = list(arguments)
    is_help = bool(arguments) and arguments[0] in documents.HELP_FLAGS
    if is_help:
        arguments = [*arguments[1:], "--help"]
    if arguments in [[group] for group in GROUPS]:
        return ["--help", *arguments]
    arguments = _with_command_option(_join_group(arguments))
    if len(arguments) > 1 and arguments[0][:1] != "-" and ("--help" in arguments or "-h" in arguments):
        if is_help and not arguments[1].startswith("-"):
            name = arguments[0].replace(".", " ", 1)
            message = f"help {name}: {arguments[1][:60]!r} is not expected here"
            raise UsageError(message, hint=f"itb help {name} explains one command")
        return ["--help", arguments[0]]
    return arguments


def _join_group(arguments: list[str]) -> list[str]:
    """Return the arguments with a group and its command as one; ``show`` without a command is ``show run``."""
    group, following = arguments[:1], arguments[1:2]
    if group == ["show"] and following and not _is_show_command(following[0]):
        arguments = ["show", "run", *arguments[1:]]
    if len(arguments) > 1 and arguments[0] in GROUPS and arguments[1] and not arguments[1].startswith("-"):
        return [f"{arguments[0]}.{arguments[1]}", *arguments[2:]]
    return arguments


def _is_show_command(argument: str) -> bool:
    """Return whether an argument is a command of ``show`` or nearly one: names of runs have digits or a slash."""
    exact = (*_SHOW_COMMANDS, "--help", "-h")
    return argument in exact or bool(difflib.get_close_matches(argument, _SHOW_COMMANDS, cutoff=0.8))


def _with_command_option(arguments: list[str]) -> list[str]:
    """Return the arguments of ``shell`` with all behind RUN and ROLE, whatever they are, as ``--command``.

    So are those behind ``--``, where RUN or ROLE are left out.
    """
    if arguments[:1] != ["shell"]:
        return arguments
    place, positional = 1, 0
    while place < len(arguments) and positional < 2 and arguments[place] != "--":
        flag, equals, _ = arguments[place].partition("=")
        positional += flag in ("--run", "--role") or not flag.startswith("-")
        place += 1 if equals or not flag.startswith("--") else 2  # every option of shell takes a value
    rest = arguments[place:]
    rest = rest[1:] if rest[:1] == ["--"] else rest
    return [*arguments[:place], *([f"--command={shlex.join(rest)}"] if rest else [])]


def useful_hint(hint: str, arguments: Sequence[str]) -> str:
    """Return a hint without the sentences that only advise the command that was just typed.

    A sentence stays if it gives that command other arguments (``itb logs RUN --follow waits``).
    """
    sentences = []
    for sentence in hint.split("; "):
        advised = _ADVISED_COMMAND.fullmatch(sentence)
        names = advised["command"].split() if advised else []
        has_arguments = re.match(r" (?:-|[A-Z0-9])", advised["rest"] if advised else "") is not None
        size = 2 if names[:1] and names[0] in GROUPS else 1
        if not names or has_arguments or names[:size] != [*arguments[:size]]:
            sentences.append(sentence)
    return "; ".join(sentences)


def normalize(command: CliCommand, arguments: Sequence[str], command_names: Sequence[str] = ()) -> list[str]:
    """Return the arguments behind a command as Invoke takes them: a run given by its position as ``--run=RUN``.

    Raises UsageError, which names the option, for one that does not exist,
    has no value or an empty one, or is given twice, for what is required and
    missing, and for arguments that remain; for one of ``command_names`` it
    says that this is a command of its own.
    """
    options, positional = _split(command, arguments)
    free = [option for option in command.options if option.positional and option.name not in options]
    for option in command.options:
        if option.name == "run" and option not in free and option.name not in options:
            free.append(option)
            if option.multiple and len(positional) > len(free):
                place = len(free) - 1
                for value in positional[place:]:
                    _check_not_empty(command, option, option.value, value)
                    if value in command_names:
                        raise _unexpected_argument(command, value, command_names)
                positional = [*positional[:place], ",".join(positional[place:])]
    for option, value in zip(free, positional, strict=False):
        if value in command_names and option.choices and value not in option.choices:
            raise _unexpected_argument(command, value, command_names)
        _check_not_empty(command, option, option.value, value)
        options[option.name] = f"{option.flag}={value}"
    if len(positional) > len(free):
        raise _unexpected_argument(command, positional[len(free)], command_names)
    missing = [option for option in command.options if option.required and option.name not in options]
    if missing:
        names = ", ".join(option.value if option.positional else option.flag for option in missing)
        raise _usage_error(command, f"not given: {names}")
    for option in command.options:
        if option.name in options:
            _check_choice(command, option, options[option.name].partition("=")[2])
    return list(options.values())


def _split(command: CliCommand, arguments: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Return the options among the arguments as ``--name=value``, by name, and the positional arguments."""
    flags = {option.flag: option for option in command.options}
    flags |= {f"--no-{option.flag[2:]}": option for option in command.options if option.default is True}
    flags |= {option.short: option for option in command.options if option.short}
    options: dict[str, str] = {}
    positional: list[str] = []
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if not argument.startswith("-"):
            positional.append(argument)
            continue
        flag, equals, value = argument.partition("=")
        option = flags.get(flag)
        if option is None:
            raise _usage_error(command, f"unknown option {flag[:60]!r}{_nearest_option(flag, flags)}")
        if isinstance(option.default, bool):
            if equals:
                raise _usage_error(command, f"option {flag} takes no value")
            normal = option.flag if flag == option.short else flag
        else:
            if not equals and option.value_optional and (not rest or rest[0].startswith("--")):
                options[option.name] = flag
                continue
            if not equals:
                if not rest or rest[0].startswith("--"):
                    raise _usage_error(command, f"option {flag} needs a value")
                value = rest.pop(0)
            _check_not_empty(command, option, f"option {flag}", value)
            normal = f"{flag}={value}"
        if options.setdefault(option.name, normal) != normal:
            raise _repeated_option(command, option)
    return options, positional


def _check_not_empty(command: CliCommand, option: Option, subject: str, value: str) -> None:
    """Raise UsageError, which begins with ``subject``, for an empty value."""
    if not value.strip():
        default = "" if option.required else "; without it the default counts"
        raise _usage_error(command, f"{subject} is empty", hint=_UNSET_VARIABLE + default)


def _check_choice(command: CliCommand, option: Option, value: str) -> None:
    """Raise UsageError for a value that an option does not have; the values of settings are checked later."""
    if option.choices and not option.setting and value not in option.choices:
        near = difflib.get_close_matches(value, option.choices, n=1, cutoff=0.5)
        suggestion = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(option.choices)}"
        raise _usage_error(command, f"{option.value} {value[:60]!r} is none of those it may be{suggestion}")


def _repeated_option(command: CliCommand, option: Option) -> UsageError:
    """Return the error for an option that has two values, of which one would be lost."""
    is_list = option.value == "A,B" or option.multiple
    hint = f"several in one: {option.flag} A,B" if is_list else "leave one out"
    return _usage_error(command, f"option {option.flag} is given twice", hint=hint)


def _unexpected_argument(command: CliCommand, argument: str, command_names: Sequence[str]) -> UsageError:
    """Return the error for an argument that a command has no use for."""
    if argument in command_names:
        hint = f"one at a time: itb {command.full_name} && itb {argument}"
        return _usage_error(command, f"{argument!r} is a command of its own", hint=hint)
    has_product = {"product", "ref"} <= {option.name for option in command.options}
    hint = f"itb {command.full_name} --product NAME --ref REF says what is tested" if has_product else ""
    return _usage_error(command, f"{argument[:60]!r} is not expected here", hint=hint)


def _usage_error(command: CliCommand, problem: str, *, hint: str = "") -> UsageError:
    """Return an error that names the command, with its help as the hint unless there is a better one."""
    return UsageError(
        f"{command.full_name}: {problem}", hint=hint or f"itb {command.full_name} --help explains it"
    )


def _nearest_option(flag: str, flags: Mapping[str, Option]) -> str:
    """Return ``; did you mean ...?`` with the nearest option; empty if none is near."""
    # All begin alike, so that half a likeness means nothing.
    near = difflib.get_close_matches(flag, flags, n=1, cutoff=0.7)
    return f"; did you mean {near[0]!r}?" if near else ""
