"""Commands about tokens outside of a run."""

from __future__ import annotations

import dataclasses

from itb.cli.declaration import Flags, argument, command, option
from itb.config.option import Heading
from itb.config.options import JSON
from itb.roles import CE_PORT

_CE = f"ce-workspace.glideinwms.org:{CE_PORT}"  # of testbed three-hosts
_AUDIENCE = dataclasses.replace(
    argument("audience", "HOST:PORT of the CE the token is for", value="HOST:PORT"), heading=Heading.TOKENS
)


@command(
    _AUDIENCE,
    "token_hook",
    option(
        "output",
        "file to write the token to (0600); without it the token is only described",
        value="FILE",
        heading=Heading.OUTPUT,
    ),
    JSON,
    example=f"itb token get {_CE} --token-hook command",
)
def get(flags: Flags, *, audience: str, output: str, json: bool) -> None:
    """Acquire a token, check it and describe it; never print it."""
    from itb.cli.commands import token

    token.get(flags, audience, output, as_json=json)


@command(
    argument("file", "file with one token"),
    dataclasses.replace(_AUDIENCE, positional=False),
    JSON,
    example=f"itb token check my.token --audience {_CE}",
)
def check(_: Flags, *, file: str, audience: str, json: bool) -> int:
    """Say claim by claim what a CE would say of the token in a file."""
    from itb.cli.commands import token

    return token.check(file, audience, as_json=json)


@command(JSON, example="itb token hooks")
def hooks(_: Flags, *, json: bool) -> None:
    """List the token providers and your hooks, and what each lacks to be used."""
    from itb.cli.commands import token

    token.hooks(as_json=json)


@command(
    argument("hook", "name of a provider or hook, or path of a hook", completes="hooks"),
    dataclasses.replace(_AUDIENCE, positional=False, required=False, default=_CE),
    JSON,
    example="itb token try ./my-hook",
    name="try",
)
def try_(_: Flags, *, hook: str, audience: str, json: bool) -> int:
    """Run a hook, or a provider, as a run does, and say what it did, without the token."""
    from itb.cli.commands import token

    return token.try_hook(hook, audience, as_json=json)
