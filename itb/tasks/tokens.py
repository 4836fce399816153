"""Tokens outside of a run: hooks tried, token files checked."""

from __future__ import annotations

from invoke import Context

from itb.tasks.flags import end, task

_AUDIENCE = {"audience": "HOST:PORT of the CE the token is for"}


@task(
    "token-hook",
    help={**_AUDIENCE, "output": "file to write the token to (0600); without it the token is only described"},
)
def get(c: Context, audience: str, token_hook: str = "", output: str = "") -> None:
    """Acquire a token through a hook, check it and describe it; never prints it."""
    from itb import tokencommands

    tokencommands.get({"token_hook": token_hook}, audience, output)


@task(positional=["file"], help={**_AUDIENCE, "file": "file with one token"})
def check(c: Context, file: str, audience: str) -> None:
    """Say claim by claim what a CE would say of the token in a file."""
    from itb import tokencommands

    end(tokencommands.check(file, audience))


@task("json")
def hooks(c: Context, json: bool = False) -> None:
    """List the managed-token hooks there are and what each lacks to be used."""
    from itb import tokencommands

    tokencommands.hooks(as_json=json)


@task(name="try", positional=["hook"], help={"hook": "name of the hook", **_AUDIENCE})
def try_(c: Context, hook: str, audience: str = "ce-workspace.glideinwms.org:9619") -> None:
    """Run a hook as a real run would and explain what it did, without showing the token."""
    from itb import tokencommands

    end(tokencommands.try_hook(hook, audience))
