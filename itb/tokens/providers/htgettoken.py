"""The provider ``htgettoken``: it runs that program without a person.

The program has the exit codes 0, 1 and 2 only, so the cause is read from its messages.
"""

from __future__ import annotations

import os
import re
import shutil
from contextlib import suppress
from pathlib import Path

from itb.errors import TestbedError
from itb.model import Record
from itb.process.request import Request
from itb.process.result import Completed
from itb.tokens.hook import hook_environment
from itb.tokens.private_file import read_private
from itb.tokens.providers.base import Provider
from itb.tokens.request import AcquireCause, AcquireError, Secret, TokenRequest
from itb.util import files, known_secrets
from itb.util.files import expand, program
from itb.util.redact import redact

# Messages of htgettoken 2.6 -> the cause and its meaning; the first that matches counts.
_MESSAGES = [
    (
        r"no such option",
        AcquireCause.CONFIGURATION,
        "is too old: it does not know all options needed; 2.0 or later does",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED|certificate verify",
        AcquireCause.CONFIGURATION,
        "does not believe the server's CA",
    ),
    (r"sealed", AcquireCause.TEMPORARY, "Vault is sealed"),
    (r"Service Unavailable|Bad Gateway|Too Many Requests", AcquireCause.TEMPORARY, "the server cannot answer now"),
    (
        r"refused|timed out|Timeout|resolution|not known|unreachable",
        AcquireCause.TEMPORARY,
        "cannot reach the server",
    ),
    (
        r"Not Found",
        AcquireCause.CONFIGURATION,
        "the server knows no such credential: check issuer, role and credkey",
    ),
    (
        r"Forbidden|permission denied",
        AcquireCause.PERSON,
        "the Vault token has expired or was revoked, or is for another",
    ),
    (r"Bad Request", AcquireCause.REFUSED, "the issuer refused: role, scope or audience is not granted"),
    (r"does not (yet )?exist|No such file", AcquireCause.PERSON, "there is no Vault token"),
]


class Options(Record):
    """``token: {htgettoken: {...}}``; names as in the section ``vault``."""

    server: str
    issuer: str
    role: str = "default"
    credkey: str
    vault_token_file: str
    program: str = "htgettoken"
    pass_env: tuple[str, ...] = ("X509_CERT_DIR",)


class HtgettokenProvider(Provider):
    """Runs htgettoken."""

    about = "the program htgettoken, without a person"
    options_type = Options
    _options: Options

    def obtain(self, request: TokenRequest, *, timeout: float) -> Secret:
        """Run the program once, with a new output file: a failure would leave the token of an old one."""
        with suppress(AcquireError):  # the program says itself what is wrong with the file
            file = expand(self._options.vault_token_file).absolute()
            known_secrets.remember_token(read_private(file, what="Vault token file").strip())
        with files.temporary_folder() as home:
            output = home / "token"
            try:
                completed = self._context.runner.run(Request(
                    self._argv(request, output),
                    env=hook_environment(request, home, self._options.pass_env),
                    clean_env=True,
                    cwd=home,
                    timeout=timeout,
                    check=False,
                ))
            except TestbedError:
                raise AcquireError(
                    f"provider htgettoken: {self._options.program} is not installed or not executable",
                    cause=AcquireCause.CONFIGURATION,
                    hint="install htgettoken, or use the provider vault, which needs no program",
                ) from None
            if not completed.ok:
                raise _error(completed)
            text = read_private(output, what="provider htgettoken: token file", cause=AcquireCause.HOOK)
            return Secret(text.strip())

    def setup_problem(self) -> str:
        """Return what is missing, the program or the Vault token; empty if nothing is."""
        if shutil.which(self._options.program) is None:
            return f"{self._options.program} is not installed or not executable"
        path = expand(self._options.vault_token_file)
        return "" if os.access(path, os.R_OK) else f"Vault token file {path} cannot be read"

    def _argv(self, request: TokenRequest, output: Path) -> list[str]:
        options = self._options
        return [
            *(program(options.program), "-v", "-a", options.server, "-i", options.issuer, "-r", options.role),
            *("--credkey", options.credkey),
            # Without --novaulttoken it may overwrite the Vault token or wait for a browser.
            *("--vaulttokenfile", str(expand(options.vault_token_file).absolute()), "--novaulttoken"),
            *("--minsecs", str(request.min_lifetime_s)),
            *("--scopes", ",".join(request.scopes), "--audience", request.audience),
            *("-o", str(output)),
        ]


def _error(completed: Completed) -> AcquireError:
    text = redact(completed.output)
    if completed.timed_out:
        problem = f"gave no answer within {completed.seconds:.0f} s and was ended"
        return AcquireError(f"provider htgettoken: {problem}", cause=AcquireCause.TEMPORARY, evidence=text[-4000:])
    for pattern, cause, meaning in _MESSAGES:
        if match := re.search(rf"^.*(?:{pattern}).*$", text, re.MULTILINE | re.IGNORECASE):
            line = match.group().strip()[-200:]
            return AcquireError(f"provider htgettoken: {meaning}: {line}", cause=cause, evidence=text[-4000:])
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    line = lines[-1][-200:] if lines else "no output"
    cause = AcquireCause.CONFIGURATION if completed.returncode == 2 else AcquireCause.PERSON
    return AcquireError(
        f"provider htgettoken: ended with exit {completed.returncode}: {line}",
        cause=cause,
        evidence=text[-4000:],
    )
