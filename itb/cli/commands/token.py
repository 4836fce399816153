"""Commands about tokens outside of a run."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from itb.cli.commands import common
from itb.cli.commands.common import print_clean, print_json
from itb.cli.commands.listing import Listing
from itb.config.settings import Settings
from itb.errors import ExitCode, TokenError, UsageError
from itb.process.runner import Runner
from itb.run.phases.token import provider_context
from itb.tokens import lookup as tokens_lookup
from itb.tokens import try_hook as tokens_try_hook
from itb.tokens.acquire import acquire
from itb.tokens.check import ClaimCheck, explain, request_for, unverified_issuer
from itb.tokens.https import fetch_jwks
from itb.tokens.request import SIZE_LIMIT, Secret, TokenRequest
from itb.tokens.try_hook import HookReport
from itb.util import files
from itb.util.text import clean

MIN_LIFETIME = 1200  # seconds a run wants a token to live, unless its product or the settings say otherwise


def _request(settings: Settings, audience: str) -> TokenRequest:
    """Return the request that a run with these settings would make."""
    least = settings.token_min_lifetime
    request = request_for(audience, min_lifetime_s=MIN_LIFETIME if least is None else least)
    return request.model_copy(update={"run_id": "none"})


def get(flags: Mapping[str, Any], audience: str, output: str, *, as_json: bool) -> None:
    """Acquire and check a token; print its description, and write it to ``output`` unless that is empty."""
    settings = common.settings_from(flags)
    if output:
        _check_output(Path(output))
    context = provider_context(settings, Runner())
    tokens_lookup.check_hook(settings.token_hook, context)
    token, secret = acquire(settings.token_hook, _request(settings, audience), context)
    if as_json:
        print_json(token)
    else:
        for key, value in token.model_dump(mode="json").items():
            if value != "":
                text = " ".join(value) if isinstance(value, list) else value
                print_clean(f"{key:>10}  {text}")
    if output:
        try:
            files.write_atomically(Path(output), secret.reveal() + "\n", mode=0o600)
        except OSError as error:
            raise UsageError(f"{output[:200]}: cannot be written: {error.strerror}") from None
        print(f"   written  {output}", file=sys.stderr if as_json else sys.stdout)


def _check_output(path: Path) -> None:
    """Raise UsageError for a path that cannot be written, or is no regular file: the new file would replace it."""
    if os.path.lexists(path) and not (path.is_file() and not path.is_symlink()):
        hint = "a device, a pipe, a folder or a link would be replaced"
        raise UsageError(f"{path}: not a regular file, so no token is written there", hint=hint)
    try:
        files.check_writable(path.parent)
    except OSError as error:
        hint = "a token that was acquired would be lost"
        raise UsageError(f"{str(path)[:200]}: cannot be written: {error.strerror}", hint=hint) from None


def check(file: str, audience: str, *, as_json: bool) -> int:
    """Print a verdict for each claim; exit code 6 if a CE would refuse the token."""
    try:
        text = files.read(Path(file), 4 * SIZE_LIMIT).decode("utf-8", "replace").removesuffix("\n")
    except OSError as error:
        hint = "a file with one token is expected"
        raise UsageError(f"{file[:200]}: cannot be read: {error.strerror}", hint=hint) from None
    Secret(text)  # whatever goes wrong from here on does not show it
    issuer = unverified_issuer(text)
    keys = fetch_jwks(issuer) if issuer.startswith("https://") else None
    checks = explain(text, request_for(audience), keys)
    code = ExitCode.PASSED
    if failed := [check for check in checks if not check.ok]:
        refused = any(not check.stricter for check in failed)
        verdict = "a CE would refuse this token" if refused else "a CE might take this token; a run does not"
        code = TokenError.exit_code
    elif keys is None:
        verdict = f"unverified: nothing a CE would refuse, but the keys of {issuer} could not be read"
    else:
        verdict = "a CE would accept this token"
    if as_json:
        claims = [check.model_dump(mode="json") for check in checks]
        print_json({"verdict": verdict, "exit_code": code, "claims": claims})
    else:
        _print_checks(checks)
        print(verdict)
    return code


def _print_checks(checks: Sequence[ClaimCheck]) -> None:
    """Print a line for each claim that was checked."""
    rows = _table("claim", "", "value", "what a CE says")
    for check in checks:
        reason = check.reason + (" (this check is stricter than a CE)" if check.stricter else "")
        rows.add_row(*map(clean, (check.claim, _mark(check), check.value, reason)))
    # Markup is off: a claim may hold square brackets, and anything else.
    Console(highlight=False, markup=False, emoji=False).print(rows)


def _table(*columns: str) -> Table:
    table = Table(box=None)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _mark(check: ClaimCheck) -> str:
    """Return ``ok``, ``NO``, or ``?`` for a signature that could not be verified."""
    if check.claim == "signature" and check.value.startswith("unverified"):
        return "?"
    return "ok" if check.ok else "NO"


def hooks(*, as_json: bool) -> None:
    """Print the token providers and the user's hooks."""
    statuses = tokens_lookup.list_providers(provider_context(common.settings_from({}), Runner()))
    if as_json:
        print_json([status.model_dump() for status in statuses])
        return
    listing = Listing("hook", "usable", "what it is")
    for status in statuses:
        # "configuration: token.vault: key 'server' is missing", one line for each
        problems = "; ".join(line.rpartition(f"token.{status.name}: ")[2] for line in status.usable.splitlines())
        listing.add(status.name, problems or "yes", status.about)
    listing.print()


def try_hook(name: str, audience: str, *, as_json: bool) -> int:
    """Run a hook as a run would and say what it did; exit code 6 if a run could not use its token.

    Raises UsageError, as the start of a run does, for a hook whose program cannot be run.
    """
    settings = common.settings_from({})
    context = provider_context(settings, Runner())
    tokens_lookup.check_hook(name, context)
    report = tokens_try_hook.try_hook(name, _request(settings, audience), context)
    if as_json:
        print_json({**report.model_dump(mode="json"), "usable": report.good})
    else:
        _print_hook_report(report)
    return ExitCode.PASSED if report.good else TokenError.exit_code


def _print_hook_report(report: HookReport) -> None:
    """Print what a hook was asked, what it did and whether a run could use its token."""
    rows = [("asked", " ".join(report.asked.split())), ("environment", " ".join(report.environment))]
    if report.exit_code >= 0 or report.output_bytes > 0:
        size = report.output_bytes
        rows.append(("answered", f"exit code {report.exit_code}, {size} bytes on standard output"))
    rows += [("took", f"{report.seconds:.1f} s"), ("diagnostics", report.diagnostics.strip())]
    for title, text in rows:
        if text:
            print_clean(f"{title:>11}  {text.replace(chr(10), chr(10) + ' ' * 13)}")
    if report.verdicts:
        print()
        _print_checks(report.verdicts)
    print()
    if report.good:
        print(f"{report.name}: a run could use this token")
        return
    print_clean(f"{report.name}: {report.problem or 'a run would not use this token'}")
    if report.hint:
        print_clean(f"  next: {report.hint}")
