"""What the token tasks do outside of a run."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from itb import commands
from itb.config import Settings
from itb.errors import TokenError, UsageError
from itb.rundir import write_atomically
from itb.runners import Runner
from itb.tokens import hooks as every_hook
from itb.tokens.acquire import acquire
from itb.tokens.jwks import fetch_jwks
from itb.tokens.preflight import explain, request_for, unverified_issuer
from itb.tokens.providers.base import Context
from itb.tokens.request import TokenRequest


def _context(chosen: Settings) -> Context:
    folders = tuple(Path(folder).expanduser() for folder in chosen.hooks)
    return Context(runner=Runner(), options=chosen.token, hook_dirs=folders)


def _request(audience: str) -> TokenRequest:
    return request_for(audience)


def get(flags: Mapping[str, Any], audience: str, output: str) -> None:
    """Acquire and check a token; describe it, and write it where asked."""
    chosen = commands.settings_from(flags)
    token, secret = acquire(chosen.token_hook, _request(audience), _context(chosen))
    for key, value in token.model_dump(mode="json").items():
        if value != "":
            print(f"{key:>10}  {value}")
    if output:
        write_atomically(Path(output), secret.reveal() + "\n", mode=0o600)
        print(f"   written  {output}")


def check(file: str, audience: str) -> int:
    """Print a verdict for each claim; exit code 6 if a CE would refuse the token."""
    try:
        text = Path(file).read_text(encoding="utf-8", errors="replace").strip("\n")
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror}") from None
    issuer = unverified_issuer(text)
    keys = fetch_jwks(issuer) if issuer.startswith("https://") else None
    verdicts = explain(text, _request(audience), keys)
    shown = Table("claim", "", "value", "what a CE says", box=None)
    for item in verdicts:
        said = item.reason + (" (this check is stricter than a CE)" if item.stricter else "")
        shown.add_row(item.claim, "ok" if item.ok else "NO", item.value, said)
    Console(highlight=False).print(shown)
    bad = [item for item in verdicts if not item.ok]
    print("a CE would refuse this token" if bad else "a CE would accept this token")
    return TokenError.exit_code if bad else 0


def hooks(*, as_json: bool) -> None:
    """List the hooks there are."""
    found = every_hook.available(_context(commands.settings_from({})))
    if as_json:
        json.dump([item.model_dump() for item in found], sys.stdout, indent=1)
        print()
        return
    shown = Table("hook", "what it is", "usable", box=None)
    for item in found:
        shown.add_row(item.name, item.about, item.usable.replace("\n", "; ") or "yes")
    Console(highlight=False).print(shown)


def try_hook(name: str, audience: str) -> int:
    """Run a hook as a run would and say how it went."""
    chosen = commands.settings_from({})
    try:
        token, _ = acquire(name, _request(audience), _context(chosen), note=print)
    except TokenError as error:
        print(f"{name}: {error.message}")
        if error.hint:
            print(f"  next: {error.hint}")
        if error.evidence:
            print(error.evidence)
        return TokenError.exit_code
    scopes = " ".join(token.scopes)
    print(f"{name}: gave a token of {token.issuer} for {' '.join(token.audience)}, scopes {scopes}")
    return os.EX_OK
