"""Invoke's program with itb's own help, options and messages."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from invoke import Argument, Config, Parser, ParserContext, Program
from invoke.exceptions import Exit, ParseError

from itb.cli import completion, documents, help_text, words
from itb.cli.declaration import Commands
from itb.errors import UsageError

_OPTIONS_OF_ITB = ("--help", "--list", "--version")  # options that stand without a command
_UNKNOWN = re.compile(r"No idea what ['\"](?P<word>.*)['\"] is!", re.DOTALL)
_NO_VALUE = re.compile(r"Flag <Argument: (?P<flag>[\w-]+).*> needed value and was not given one!")


class ItbConfig(Config):
    """Invoke's configuration without its files and variables.

    Of ``~/.invoke.py`` it would run the code, whoever wrote it, and of
    ``executor_class`` the module.
    """

    def load_base_conf_files(self) -> None:
        """Read nothing of the machine's and the user's configuration of Invoke."""

    def load_shell_env(self) -> None:
        """Read no variable ``INVOKE_*``."""


class ItbProgram(Program):
    """Invoke's program with itb's own help and options only.

    What is wrong with a command line is a UsageError that says what to write.
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
            Argument(names=("print-completion-script",), help="print what makes bash, zsh or fish complete"),
            Argument(names=("complete",), kind=bool, default=False),
        ]

    def parse_core(self, argv: list[str] | None) -> None:
        """Read the options that stand before any task."""
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
        """Read the one task and its options."""
        with self._usage_errors():
            typed = self.core.unparsed
            if typed and typed[0] not in self.namespace.task_names:
                raise _command_error(typed[0], self.argv[1:], self.namespace, "itb --help lists the commands")
            if typed:
                known = [*self.namespace.task_names, *words.GROUPS]
                typed[1:] = words.checked(self.namespace[typed[0]], typed[1:], known)
            super().parse_tasks()

    def _make_parser(self) -> Parser:
        """Return the parser of commands: behind one, no option of itb itself means anything but help."""
        return Parser(initial=self._options_of_itb("help"), contexts=self.namespace.to_contexts())

    def _options_of_itb(self, *names: str) -> ParserContext:
        """Return those options of itb itself that have these names, for a parser."""
        return ParserContext(args=[argument for argument in self.core_args() if argument.name in names])

    def parse_cleanup(self) -> None:
        """Print what was asked for instead of a command: help, or how a word can be completed."""
        help_wanted = self.args.help.value
        if isinstance(help_wanted, str):
            with self._usage_errors():
                self.print_task_help(help_wanted)
            raise Exit
        if self.args.list.value:
            with self._usage_errors():
                self.print_list(self.args.list.value)
            raise Exit
        if self.args.complete.value:
            typed = self.argv[self.argv.index("--") + 2 :] if "--" in self.argv else []
            _print(completion.offered(typed, self.namespace))
            raise Exit
        if help_wanted or not self.tasks:
            self.print_help()
            raise Exit

    def update_config(self, merge: bool = True) -> None:
        """Take nothing from the options: none of them is Invoke's."""
        if merge:
            self.config.merge()

    def print_list(self, group: str | bool) -> None:
        """Print every command, or those of a group; ParseError for a name that is none."""
        if isinstance(group, str) and group in self.namespace.task_names:
            raise ParseError(f"--list: {_as_typed(group)} is no group; itb {_as_typed(group)} --help explains it")
        if isinstance(group, str) and group not in self.namespace.collections:
            raise ParseError(f"No idea what '{group}' is!")
        commands = self.namespace.collections[group].commands if isinstance(group, str) else self.namespace.every
        _print(help_text.listing(commands, help_text.terminal_width()))

    def print_help(self) -> None:
        """Print the commands, grouped by what people do with them."""
        _print(help_text.program(self.namespace, help_text.terminal_width()))

    def print_task_help(self, name: str) -> None:
        """Explain a command, or show those of a group; ParseError for a name that is none."""
        if name in self.namespace.collections:
            return _print(help_text.group(self.namespace.collections[name], help_text.terminal_width()))
        if name not in self.parser.contexts:
            raise ParseError(f"No idea what '{name}' is!")
        return _print(help_text.command(self.namespace[name], help_text.terminal_width()))

    @contextmanager
    def _usage_errors(self) -> Iterator[None]:
        """Raise UsageError instead of what Invoke's parser raises."""
        try:
            yield
        except ParseError as error:
            raise _usage_error(error, self.namespace, self.argv[1:]) from None


def _print(lines: Sequence[str]) -> None:
    """Print lines, in one go."""
    print("\n".join(lines))


def _print_script(shell: str) -> None:
    """Print what makes a shell complete; ParseError for a shell that is not known."""
    if shell not in completion.SCRIPTS:
        raise ParseError(f"--print-completion-script: {shell[:60]!r} is none of {', '.join(completion.SCRIPTS)}")
    print(completion.SCRIPTS[shell], end="")


def _usage_error(error: ParseError, tasks: Commands, typed: Sequence[str]) -> UsageError:
    """Return the error for words around the command that Invoke does not understand."""
    text, hint = str(error), "itb --help lists the commands"
    if match := _NO_VALUE.search(text):
        return UsageError(f"option --{match['flag'].replace('_', '-')} needs a value", hint=hint)
    if match := _UNKNOWN.search(text):
        return _command_error(match["word"], typed, tasks, hint)
    return UsageError(text, hint=hint)


def _command_error(word: str, typed: Sequence[str], tasks: Commands, hint: str) -> UsageError:
    """Return the error of a word that stands where a command should."""
    flags: dict[str, list[str]] = {str(name): [] for name in tasks.collections}
    for context in tasks.to_contexts():
        flags[str(context.name)] = [*context.flags, *context.inverse_flags]
    if not word.startswith("-"):
        message, hint = _unknown_command(word, list(flags), hint)
        return UsageError(message, hint=hint)
    index = next((number for number, task in enumerate(typed) if task in flags), 0)
    if not index or word not in flags[typed[index]]:
        # Few words are like one as short as these; only a slip of the hand is.
        valid = [*(flags[typed[index]] if index else ()), *_OPTIONS_OF_ITB]
        near = difflib.get_close_matches(word, valid, n=1, cutoff=0.8)
        suggestion = f"; did you mean {near[0]!r}?" if near else ""
        return UsageError(f"unknown option {word[:60]!r}{suggestion}", hint=hint)
    reordered = [_as_typed(typed[index]), *typed[:index], *typed[index + 1 :]]
    return UsageError(f"option {word[:60]!r} stands before the command", hint=f"itb {' '.join(reordered)}"[:200])


def _unknown_command(word: str, known: Sequence[str], hint: str) -> tuple[str, str]:
    """The message of a word that is no command, and its hint: of a group, what may follow it."""
    group, _, below = word.partition(".")
    if not word:
        return "the command is empty", hint
    if group not in words.GROUPS:
        if word in documents.TOPICS:
            return f"unknown command {word!r}", f"itb help {word} shows the documentation of that name"
        return f"unknown command {_as_typed(word)[:60]!r}{_nearest(word, known)}", hint
    names = sorted(name.partition(".")[2] for name in known if name.startswith(f"{group}."))
    if not below:
        return f"{group}: no command is given; it has: {', '.join(names)}", f"itb {group} --help explains them"
    near = difflib.get_close_matches(below, names, n=1, cutoff=0.6)
    told = f"; did you mean '{group} {near[0]}'?" if near else f"; itb {group} has: {', '.join(names)}"
    return f"unknown command {_as_typed(word)[:60]!r}{told}", f"itb {group} --help explains them"


def _as_typed(task: str) -> str:
    """Return a task as people write it; what is none stays as it is."""
    return task.replace(".", " ", 1) if task.partition(".")[0] in words.GROUPS else task


def _nearest(word: str, valid: Sequence[str]) -> str:
    """Return ``; did you mean ...?`` with the nearest valid word; empty if none is near."""
    from itb.util.yamlfile import nearest  # what it imports is not for every itb --help

    return nearest(_as_typed(word), [_as_typed(name) for name in valid])
