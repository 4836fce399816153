"""Invoke's program with itb's own help, options and messages."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from invoke import Argument, Config, Parser, ParserContext, Program
from invoke.exceptions import Exit, ParseError

from itb.cli import arguments as cli_arguments
from itb.cli import completion, documents, help_text
from itb.cli.declaration import Commands
from itb.errors import UsageError

_OPTIONS_OF_ITB = ("--help", "--list", "--version")  # options that stand without a command
_UNKNOWN = re.compile(r"No idea what ['\"](?P<word>.*)['\"] is!", re.DOTALL)
_NO_VALUE = re.compile(r"Flag <Argument: (?P<flag>[\w-]+).*> needed value and was not given one!")


class ItbConfig(Config):
    """Invoke's configuration without its files and variables.

    Invoke would run the code in ``~/.invoke.py``, whoever wrote it, and import
    the module that ``executor_class`` names.
    """

    def load_base_conf_files(self) -> None:
        """Read nothing of the machine's and the user's configuration of Invoke."""

    def load_shell_env(self) -> None:
        """Read no variable ``INVOKE_*``."""


class ItbProgram(Program):
    """Invoke's program with itb's own help and options only.

    A wrong command line is a UsageError that says what to type instead.
    """

    namespace: Commands

    def create_config(self) -> None:
        """Begin with Invoke's defaults."""
        self.config = ItbConfig()

    def core_args(self) -> list[Argument]:
        """Return the options that stand without a command; Invoke's are left out unless itb honours them."""
        return [
            Argument(names=("help", "h"), optional=True, help="explain itb or a command"),
            Argument(names=("version", "V"), kind=bool, default=False, help="print the version"),
            Argument(names=("list", "l"), optional=True, help="list every command, or those of a group"),
            Argument(names=("print-completion-script",), help="print the completion script of bash, zsh or fish"),
            Argument(names=("complete",), kind=bool, default=False),
        ]

    def parse_core(self, argv: list[str] | None) -> None:
        """Read the options before the command."""
        with self._usage_errors():
            self.normalize_argv(argv)
            self.parse_core_args()
            if self.args.version.value:
                self.print_version()
                raise Exit
            shell = self.args["print-completion-script"].value
            if shell is not None:
                _print_script(shell)
                raise Exit
            if self.core.remainder and not self.args.complete.value:
                raise ParseError(f"'--' is not expected here; what follows it is {self.core.remainder[:60]!r}")

    def parse_tasks(self) -> None:
        """Read the one command and its options."""
        with self._usage_errors():
            typed = self.core.unparsed
            if typed and typed[0] not in self.namespace.task_names:
                raise _command_error(typed[0], self.argv[1:], self.namespace, "itb --help lists the commands")
            if typed:
                command_names = [*self.namespace.task_names, *cli_arguments.GROUPS]
                typed[1:] = cli_arguments.normalize(self.namespace[typed[0]], typed[1:], command_names)
            super().parse_tasks()

    def _make_parser(self) -> Parser:
        """Return the parser of commands; behind a command, help is the only option of itb itself that counts."""
        return Parser(initial=self._options_of_itb("help"), contexts=self.namespace.to_contexts())

    def _options_of_itb(self, *names: str) -> ParserContext:
        """Return the options of itb itself that have these names, for a parser."""
        return ParserContext(args=[argument for argument in self.core_args() if argument.name in names])

    def parse_cleanup(self) -> None:
        """Print what the options without a command ask for: help, a list or the candidates of completion."""
        help_option = self.args.help.value
        if isinstance(help_option, str):
            with self._usage_errors():
                self.print_task_help(help_option)
            raise Exit
        if self.args.list.value:
            with self._usage_errors():
                self.print_list(self.args.list.value)
            raise Exit
        if self.args.complete.value:
            typed = self.argv[self.argv.index("--") + 2 :] if "--" in self.argv else []
            _print(completion.complete(typed, self.namespace))
            raise Exit
        if help_option or not self.tasks:
            self.print_help()
            raise Exit

    def update_config(self, merge: bool = True) -> None:
        """Take nothing from the options: none of them is Invoke's."""
        if merge:
            self.config.merge()

    def print_list(self, group: str | bool) -> None:
        """Print every command, or those of a group; ParseError for an unknown name."""
        if isinstance(group, str) and group in self.namespace.task_names:
            raise ParseError(f"--list: {_as_typed(group)} is no group; itb {_as_typed(group)} --help explains it")
        if isinstance(group, str) and group not in self.namespace.collections:
            raise ParseError(f"No idea what '{group}' is!")
        members = self.namespace.collections[group] if isinstance(group, str) else None
        commands = members.commands if members else self.namespace.all_commands
        _print(help_text.list_commands(commands, help_text.terminal_width()))

    def print_help(self) -> None:
        """Print the commands by their purpose."""
        _print(help_text.describe_program(self.namespace, help_text.terminal_width()))

    def print_task_help(self, name: str) -> None:
        """Explain a command, or list those of a group; ParseError for an unknown name."""
        if name in self.namespace.collections:
            return _print(help_text.describe_group(self.namespace.collections[name], help_text.terminal_width()))
        if name not in self.parser.contexts:
            raise ParseError(f"No idea what '{name}' is!")
        return _print(help_text.describe_command(self.namespace[name], help_text.terminal_width()))

    @contextmanager
    def _usage_errors(self) -> Iterator[None]:
        """Raise UsageError in place of the ParseError of Invoke's parser."""
        try:
            yield
        except ParseError as error:
            raise _usage_error(error, self.namespace, self.argv[1:]) from None


def _print(lines: Sequence[str]) -> None:
    """Print lines, in one go."""
    print("\n".join(lines))


def _print_script(shell: str) -> None:
    """Print the completion script of a shell; ParseError for an unknown shell."""
    if shell not in completion.SCRIPTS:
        raise ParseError(f"--print-completion-script: {shell[:60]!r} is none of {', '.join(completion.SCRIPTS)}")
    print(completion.SCRIPTS[shell], end="")


def _usage_error(error: ParseError, commands: Commands, typed: Sequence[str]) -> UsageError:
    """Return the error for arguments around the command that Invoke does not understand."""
    text, hint = str(error), "itb --help lists the commands"
    if match := _NO_VALUE.search(text):
        return UsageError(f"option --{match['flag'].replace('_', '-')} needs a value", hint=hint)
    if match := _UNKNOWN.search(text):
        return _command_error(match["word"], typed, commands, hint)
    return UsageError(text, hint=hint)


def _command_error(argument: str, typed: Sequence[str], commands: Commands, hint: str) -> UsageError:
    """Return the error for an argument in the place of a command."""
    flags: dict[str, list[str]] = {str(name): [] for name in commands.collections}
    for context in commands.to_contexts():
        flags[str(context.name)] = [*context.flags, *context.inverse_flags]
    if not argument.startswith("-"):
        message, hint = _unknown_command(argument, list(flags), hint)
        return UsageError(message, hint=hint)
    index = next((number for number, name in enumerate(typed) if name in flags), 0)
    if not index or argument not in flags[typed[index]]:
        # So short an option resembles many others: only a near one is suggested.
        valid = [*(flags[typed[index]] if index else ()), *_OPTIONS_OF_ITB]
        near = difflib.get_close_matches(argument, valid, n=1, cutoff=0.8)
        suggestion = f"; did you mean {near[0]!r}?" if near else ""
        return UsageError(f"unknown option {argument[:60]!r}{suggestion}", hint=hint)
    reordered = [_as_typed(typed[index]), *typed[:index], *typed[index + 1 :]]
    message = f"option {argument[:60]!r} stands before the command"
    return UsageError(message, hint=f"itb {' '.join(reordered)}"[:200])


def _unknown_command(name: str, known: Sequence[str], hint: str) -> tuple[str, str]:
    """Return the message for an unknown command, and its hint: for a group, the commands it has."""
    group, _, subcommand = name.partition(".")
    if not name:
        return "the command is empty", hint
    if group not in cli_arguments.GROUPS:
        if name in documents.TOPICS:
            return f"unknown command {name!r}", f"itb help {name} shows the documentation of that name"
        return f"unknown command {_as_typed(name)[:60]!r}{_nearest(name, known)}", hint
    names = sorted(other.partition(".")[2] for other in known if other.startswith(f"{group}."))
    if not subcommand:
        return f"{group}: no command is given; it has: {', '.join(names)}", f"itb {group} --help explains them"
    near = difflib.get_close_matches(subcommand, names, n=1, cutoff=0.6)
    suggestion = f"; did you mean '{group} {near[0]}'?" if near else f"; itb {group} has: {', '.join(names)}"
    return f"unknown command {_as_typed(name)[:60]!r}{suggestion}", f"itb {group} --help explains them"


def _as_typed(name: str) -> str:
    """Return the name of a command as people type it: ``platform build`` for ``platform.build``."""
    return name.replace(".", " ", 1) if name.partition(".")[0] in cli_arguments.GROUPS else name


def _nearest(name: str, valid: Sequence[str]) -> str:
    """Return ``; did you mean ...?`` with the nearest valid name; empty if none is near."""
    from itb.util.yamlfile import nearest  # what it imports is not for every itb --help

    return nearest(_as_typed(name), [_as_typed(other) for other in valid])
