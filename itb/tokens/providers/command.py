"""The provider ``command``: any program that follows the hook protocol."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from itb.model import Record
from itb.tokens.hook import call_hook, program_problem
from itb.tokens.providers.base import Context, published_keys
from itb.tokens.request import Secret, TokenRequest
from itb.util.redact import remember

# Names of variables that hold a secret.
_SECRET_NAME = re.compile(r"(?i)token|secret|pass|(^|_)pin($|_)|key|credential")


class Options(Record):
    """``token: {command: {...}}``: the argument list, and names of variables the program may inherit."""

    command: tuple[str, ...]
    pass_env: tuple[str, ...] = ()


class Command:
    """Runs a hook."""

    def __init__(
        self, name: str, argv: Sequence[str], context: Context, *, pass_env: Sequence[str] = ()
    ) -> None:
        self.name = name
        self.argv = tuple(argv)
        self.pass_env = tuple(pass_env)
        self._context = context
        # A hook may print what it inherits.
        for variable in pass_env:
            value = os.environ.get(variable, "")
            if _SECRET_NAME.search(variable) and not value.startswith("/"):
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

    def jwks(self, issuer: str) -> Mapping[str, Any] | None:
        """Return the keys of the run's own issuer, or those another publishes."""
        return published_keys(issuer, self._context)
