"""command: any program that speaks the hook protocol."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from itb.model import Record
from itb.tokens.hook import call_hook, unusable
from itb.tokens.providers.base import Context, published_keys
from itb.tokens.request import Secret, TokenRequest
from itb.util.redact import remember

_SECRET_NAME = re.compile(r"(?i)token|secret|pass|(^|_)pin($|_)|key|credential")  # of a variable that holds one


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
        # What a hook may inherit it may also print.
        for variable in pass_env:
            value = os.environ.get(variable, "")
            if _SECRET_NAME.search(variable) and not value.startswith("/"):
                remember(value)

    def obtain(self, request: TokenRequest, *, timeout: float) -> Secret:
        """Run the hook once."""
        called = call_hook(
            self.name,
            self.argv,
            request,
            runner=self._context.runner,
            timeout=timeout,
            pass_env=self.pass_env,
        )
        if called.secret is None:
            assert called.error is not None
            raise called.error
        return called.secret

    def lacks(self) -> str:
        """Look whether the program is there and may be run."""
        problem = unusable(Path(self.argv[0]))
        return f"{self.argv[0]} {problem}" if problem else ""

    def jwks(self, issuer: str) -> Mapping[str, Any] | None:
        """Return the run's own issuer's keys, or what another one publishes."""
        return published_keys(issuer, self._context)
