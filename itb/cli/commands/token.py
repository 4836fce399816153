"""What the token tasks do outside of a run."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from itb.cli.commands import common
from itb.config.settings import Settings
from itb.errors import ExitCode, TokenError, UsageError
from itb.process.runner import Runner
from itb.run.phases.token import hook_context
from itb.tokens import lookup as every_hook
from itb.tokens import try_hook as tokens_try_hook
from itb.tokens.acquire import acquire
from itb.tokens.check import ClaimCheck, explain, request_for, unverified_issuer
from itb.tokens.https import fetch_jwks
from itb.tokens.request import SIZE_LIMIT, Secret, TokenRequest
from itb.util.files import write_atomically

MIN_LIFETIME = 1200  # seconds a run wants a token to live, unless its product or the settings say otherwise


def _request(chosen: Settings, audience: str) -> TokenRequest:
    """What a run with these settings would ask for."""
    least = chosen.token_min_lifetime
    asked = request_for(audience, min_lifetime_s=MIN_LIFETIME if least is None else least)
    return asked.model_copy(update={"run_id": "none"})


def get(flags: Mapping[str, Any], audience: str, output: str) -> None:
    """Acquire and check a token; describe it, and write it where asked."""
    chosen = common.settings_from(flags)
    token, secret = acquire(chosen.token_hook, _request(chosen, audience), hook_context(chosen, Runner()))
    for key, value in token.model_dump(mode="json").items():
        if value != "":
            shown = " ".join(value) if isinstance(value, list) else value
            print(f"{key:>10}  {shown}")
    if output:
        write_atomically(Path(output), secret.reveal() + "\n", mode=0o600)
        print(f"   written  {output}")


def check(file: str, audience: str) -> int:
    """Print a verdict for each claim; exit code 6 if a CE would refuse the token."""
    try:
        with Path(file).open("rb") as source:
            text = source.read(4 * SIZE_LIMIT).decode("utf-8", "replace").removesuffix("\n")
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror}") from None
    Secret(text)  # whatever goes wrong from here on does not show it
    issuer = unverified_issuer(text)
    keys = fetch_jwks(issuer) if issuer.startswith("https://") else None
    verdicts = explain(text, request_for(audience), keys)
    _show(verdicts)
    if bad := [item for item in verdicts if not item.ok]:
        sure = any(not item.stricter for item in bad)
        print("a CE would refuse this token" if sure else "a CE might take this token; a run does not")
        return TokenError.exit_code
    if keys is None:
        print(f"unverified: nothing a CE would refuse, but the keys of {issuer} were not to be had")
    else:
        print("a CE would accept this token")
    return ExitCode.PASSED


def _show(verdicts: Sequence[ClaimCheck]) -> None:
    shown = _table("claim", "", "value", "what a CE says")
    for item in verdicts:
        said = item.reason + (" (this check is stricter than a CE)" if item.stricter else "")
        shown.add_row(item.claim, _mark(item), item.value, said)
    # Markup is off: a claim may hold square brackets, and anything else.
    Console(highlight=False, markup=False, emoji=False).print(shown)


def _table(*columns: str) -> Table:
    made = Table(box=None)
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def _mark(item: ClaimCheck) -> str:
    if item.claim == "signature" and item.value.startswith("unverified"):
        return "?"
    return "ok" if item.ok else "NO"


def hooks(*, as_json: bool) -> None:
    """List the hooks there are."""
    found = every_hook.available(hook_context(common.settings_from({}), Runner()))
    if as_json:
        json.dump([item.model_dump() for item in found], sys.stdout, indent=1)
        print()
        return
    shown = _table("hook", "what it is", "usable")
    for item in found:
        # "configuration: token.vault: key 'server' is missing", one line for each
        lacks = "; ".join(line.rpartition(f"token.{item.name}: ")[2] for line in item.usable.splitlines())
        shown.add_row(item.name, item.about, lacks or "yes")
    Console(highlight=False, markup=False, emoji=False).print(shown)


def try_hook(name: str, audience: str) -> int:
    """Run a hook as a run would and say what it did; exit code 6 if a run could not use its token."""
    chosen = common.settings_from({})
    seen = tokens_try_hook.attempt(name, _request(chosen, audience), hook_context(chosen, Runner()))
    rows = [("asked", " ".join(seen.asked.split())), ("environment", " ".join(seen.environment))]
    if seen.exit_code >= 0 or seen.output_bytes > 0:
        rows.append(("answered", f"exit code {seen.exit_code}, {seen.output_bytes} bytes on standard output"))
    rows += [("took", f"{seen.seconds:.1f} s"), ("diagnostics", seen.diagnostics.strip())]
    for title, text in rows:
        if text:
            print(f"{title:>11}  {text.replace(chr(10), chr(10) + ' ' * 13)}")
    if seen.verdicts:
        print()
        _show(seen.verdicts)
    print()
    if seen.good:
        print(f"{name}: a run could use this token")
        return ExitCode.PASSED
    print(f"{name}: {seen.problem or 'a run would not use this token'}")
    if seen.hint:
        print(f"  next: {seen.hint}")
    return TokenError.exit_code
