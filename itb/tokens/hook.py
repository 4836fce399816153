"""The managed-token hook: a program that is asked for a token and answers in JSON.

README.md beside has the protocol for people who write hooks.  Standard output
goes through a pipe straight into memory: what a hook prints there is a
secret and never on a disk.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from itb.errors import TestbedError
from itb.model import Record
from itb.process.request import Request
from itb.process.result import Completed
from itb.process.runner import Runner
from itb.tokens.parse import DoubleKeyError, without_double_keys
from itb.tokens.private_file import read_private
from itb.tokens.request import PROTOCOL_VERSION, AcquireError, Cause, Secret, TokenRequest
from itb.util import files
from itb.util.redact import redact

OUTPUT_LIMIT = 64 * 1024
KEPT_ENVIRONMENT = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ")
CAUSES = {2: Cause.CONFIGURATION, 3: Cause.PERSON, 4: Cause.TEMPORARY, 5: Cause.REFUSED}
_EVIDENCE = 4000  # characters of a hook's diagnostics kept


class Answer(Record):
    """The one JSON object on a hook's standard output."""

    version: int
    token: str | None = None
    token_file: str | None = None


@dataclass(frozen=True)
class HookCall:
    """One call of a hook, as it may be shown; the answer is in ``secret``, or ``error`` says why not."""

    returncode: int
    seconds: float
    timed_out: bool
    output_bytes: int
    diagnostics: str
    secret: Secret | None = None
    error: AcquireError | None = None


def call_hook(
    name: str,
    argv: Sequence[str],
    request: TokenRequest,
    *,
    runner: Runner,
    timeout: float,
    pass_env: Sequence[str] = (),
) -> HookCall:
    """Run a hook once and read its answer; ``timeout`` is in seconds.

    What is wrong is returned in ``error``, not raised: whoever tries a hook
    wants to see the rest as well.
    """
    problem = unusable(Path(argv[0]))
    if problem is None:
        with files.temporary_folder() as home:
            with _collected(home / "stdout") as output:
                try:
                    completed = runner.run(Request(
                        argv,
                        input=json.dumps(request.model_dump()).encode() + b"\n",
                        env=hook_environment(request, home, pass_env),
                        clean_env=True,
                        cwd=home,
                        timeout=timeout,
                        check=False,
                        stdout_to=home / "stdout",
                        shown=[argv[0]],
                        mark=f"TMPDIR={home}",  # whatever it started and let go ends with it
                    ))
                except TestbedError as error:
                    problem = f"cannot be started: {_start_reason(error)}"
            # The answer may name a file in the hook's directory: read it before that goes.
            if problem is None:
                return _judge(name, completed, output, limit=timeout)
    error_ = AcquireError(
        f"hook {name}: {argv[0]} {problem}",
        cause=Cause.HOOK,
        hint="itb token hooks lists what there is; a hook is an executable file with a #! line",
    )
    return HookCall(-1, 0.0, False, 0, "", error=error_)


def hook_environment(request: TokenRequest, home: Path, pass_env: Sequence[str] = ()) -> dict[str, str]:
    """Return the whole environment of a hook: no bearer token of the caller's is in it."""
    kept = {name: os.environ[name] for name in (*KEPT_ENVIRONMENT, *pass_env) if name in os.environ}
    asked = {
        "VERSION": str(PROTOCOL_VERSION),
        "RUN_ID": request.run_id,
        "CE": request.ce,
        "AUDIENCE": request.audience,
        "ISSUER": request.issuer,
        "SUBJECT": request.subject,
        "SCOPES": " ".join(request.scopes),
        "PROFILE": request.profile,
        "MIN_LIFETIME_S": str(request.min_lifetime_s),
        "DEADLINE_S": str(request.deadline_s),
    }
    named = {f"ITB_TOKEN_{name}": value for name, value in asked.items() if value}
    return {"LANG": "C.UTF-8", **kept, **named, "TMPDIR": str(home)}


def unusable(program: Path) -> str | None:
    """Say what keeps a program from being run; None if nothing does."""
    if not program.is_absolute():
        found = shutil.which(str(program))
        return None if found else "does not exist or is not executable"
    if not program.exists():
        return "does not exist"
    if not program.is_file():
        return "is not a file"
    return None if os.access(program, os.X_OK) else "is not executable (chmod +x)"


def _start_reason(error: TestbedError) -> str:
    """What keeps an existing, executable file from being started."""
    said = error.message.rpartition(": ")[2]
    if said == "not found":
        return "its interpreter (the #! line) does not exist"
    return f"{said} (has it a #! line?)" if "format" in said else said


class _Output:
    """What came through the pipe: its first 64 KiB and one byte, and how much there was."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.size = 0

    def add(self, piece: bytes) -> None:
        self.size += len(piece)
        room = OUTPUT_LIMIT + 1 - len(self.data)
        if room > 0:
            self.data += piece[:room]


@contextmanager
def _collected(fifo: Path) -> Iterator[_Output]:
    """Read everything written to a named pipe while the block runs.

    The writing end held here keeps the pipe open until the block has ended;
    a child of the hook that escaped and still holds it, or still writes,
    cannot keep us: the second pipe says when to stop.
    """
    os.mkfifo(fifo, 0o600)
    reading = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    writing = os.open(fifo, os.O_WRONLY | os.O_CLOEXEC)
    ended, end = os.pipe()
    output = _Output()
    thread = threading.Thread(target=_drain, args=(reading, ended, output), daemon=True)
    thread.start()
    try:
        yield output
    finally:
        os.close(end)
        thread.join()
        for descriptor in (writing, reading, ended):
            os.close(descriptor)


def _drain(reading: int, ended: int, output: _Output) -> None:
    while True:
        ready, _, _ = select.select([reading, ended], [], [])
        # When the hook has ended, all it wrote is in the pipe: 1 MiB at most.
        for _ in range(17 if ended in ready else 1):
            try:
                output.add(os.read(reading, 1 << 16))
            except BlockingIOError:
                break
        if ended in ready:
            return


def _judge(name: str, completed: Completed, output: _Output, *, limit: float) -> HookCall:
    secret: Secret | None = None
    error: AcquireError | None = None
    try:
        secret = _answer(name, completed, output, limit)
    except AcquireError as problem:
        error = problem
    # Only now is the token known word for word: a hook may have printed it as a diagnostic.
    diagnostics = redact(completed.stderr)[-_EVIDENCE:]
    if error is not None:
        error.evidence = diagnostics
    return HookCall(
        completed.returncode, completed.seconds, completed.timed_out, output.size, diagnostics, secret, error
    )


def _answer(name: str, completed: Completed, output: _Output, limit: float) -> Secret:
    if completed.timed_out:
        raise AcquireError(
            f"hook {name}: gave no answer within {limit:.0f} s and was ended",
            cause=Cause.TEMPORARY,
            hint="a hook must not wait for a person; itb token try shows what it does",
        )
    if completed.returncode != 0:
        raise _failure(name, completed)
    if output.size > OUTPUT_LIMIT:
        raise _bug(name, f"wrote {output.size} bytes to standard output; the limit is {OUTPUT_LIMIT}")
    if not bytes(output.data).strip():
        raise _bug(name, "ended well (exit 0) and wrote nothing to standard output")
    answer = _parse(name, bytes(output.data))
    if answer.token is not None:
        return Secret(answer.token)
    try:
        text = read_private(Path(answer.token_file or ""), what=f"hook {name}: token_file", cause=Cause.HOOK)
    except ValueError:
        raise _bug(name, "answered a token_file that is not a path") from None
    return Secret(text)


def _failure(name: str, completed: Completed) -> AcquireError:
    lines = [line.strip() for line in redact(completed.stderr).splitlines() if line.strip()]
    said = lines[-1][:300] if lines else "it gave no reason on standard error"
    cause = CAUSES.get(completed.returncode)
    if cause is None:
        how = (
            f"exit {completed.returncode}" if completed.returncode > 0 else f"signal {-completed.returncode}"
        )
        return _bug(name, f"ended with {how}, which the protocol does not know: {said}")
    words = {
        Cause.CONFIGURATION: ("is not configured", "see itb token try and the hook's own documentation"),
        Cause.PERSON: ("its credential has expired or was revoked; a person must act", "log in again as it wants"),
        Cause.TEMPORARY: ("cannot get a token for now", "the service may be down: try again later"),
        Cause.REFUSED: ("the issuer refused", "role, scope or audience is not granted to this credential"),
    }
    what, hint = words[cause]
    return AcquireError(f"hook {name}: {what}: {said}", cause=cause, hint=hint)


def _parse(name: str, data: bytes) -> Answer:
    try:
        text = data.decode("utf-8")
        value, end = json.JSONDecoder(object_pairs_hook=without_double_keys).raw_decode(text.lstrip())
    except DoubleKeyError as error:
        raise _bug(name, f"wrote JSON with the key {redact(error.key)[:40]!r} twice") from None
    except (ValueError, RecursionError):
        raise _bug(name, "wrote something else than JSON to standard output") from None
    if text.lstrip()[end:].strip():
        raise _bug(
            name, "wrote more than one JSON object to standard output; diagnostics belong on standard error"
        )
    if not isinstance(value, dict):
        raise _bug(name, f"answered a JSON {_kind(value)}; an object is expected")
    answer = _validated(name, value)
    if answer.version != PROTOCOL_VERSION:
        raise _bug(name, f"answered in protocol version {answer.version}; {PROTOCOL_VERSION} is spoken here")
    if (answer.token is None) == (answer.token_file is None):
        raise _bug(name, "must answer exactly one of token and token_file")
    return answer


def _validated(name: str, value: Mapping[str, object]) -> Answer:
    try:
        return Answer.model_validate(value, strict=True)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]  # the input is the secret
        where = redact(".".join(str(part) for part in first["loc"]))
        raise _bug(name, f"answered JSON of another form: {where}: {first['msg']}") from None


def _kind(value: object) -> str:
    return {str: "string", list: "list", type(None): "null", bool: "boolean"}.get(type(value), "number")


def _bug(name: str, what: str) -> AcquireError:
    return AcquireError(
        f"hook {name}: {what}",
        cause=Cause.HOOK,
        hint=f"this is a mistake of the hook: itb token try {name} shows it",
    )
