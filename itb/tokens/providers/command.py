"""The provider ``command``: it starts a hook, which is a program of the user that follows the hook protocol."""

from __future__ import annotations

import os
from pathlib import Path

from itb.errors import UsageError
from itb.model import Record
from itb.tokens.hook import call_hook, program_problem
from itb.tokens.providers.base import Provider, ProviderContext
from itb.tokens.request import Secret, TokenRequest
from itb.util import ownership
from itb.util.files import program
from itb.util.known_secrets import is_secret_name, remember


class Options(Record):
    """``token: {command: {...}}``: the argument list, and names of variables the program may inherit."""

    command: tuple[str, ...]
    pass_env: tuple[str, ...] = ()


class HookProvider(Provider):
    """Runs a hook; ``name`` is the hook's in messages.

    The constructor raises UsageError for a program that is no file, or that somebody else can change.
    """

    about = "a program that speaks the hook protocol"
    options_type = Options

    def __init__(self, options: Options, context: ProviderContext, *, name: str = "command") -> None:
        super().__init__(options, context)
        if not options.command:
            raise UsageError(f"{context.where}.command.command: at least the program's name is expected")
        self.name = name
        self.argv = (_trusted(program(options.command[0])), *options.command[1:])
        self.pass_env = options.pass_env
        # A hook may print what it inherits.
        for variable in self.pass_env:
            value = os.environ.get(variable, "")
            if is_secret_name(variable) and not value.startswith("/"):
                remember(value)

    def obtain(self, request: TokenRequest, *, timeout: float) -> Secret:
        """Run the hook once."""
        call = call_hook(
            self.name,
            self.argv,
            request,
            runner=self._context.runner,
            timeout=timeout,
            pass_env=self.pass_env,
        )
        if call.secret is None:
            assert call.error is not None
            raise call.error
        return call.secret

    def setup_problem(self) -> str:
        """Return why the program cannot be run, empty if it can."""
        problem = program_problem(Path(self.argv[0]))
        return f"{self.argv[0]} {problem}" if problem else ""


def _trusted(path: str) -> str:
    """Return a program; UsageError for one given by its path that is no file or that somebody else can change."""
    if "/" in path:
        if Path(path).exists() and not Path(path).is_file():
            raise UsageError(f"token hook {path[:200]}: is not a file", hint="a hook is an executable file")
        ownership.check(Path(path))
    return path
