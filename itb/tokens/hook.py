"""Running a hook: a program of the user that reads a request for a token and answers in JSON.

README.md has the protocol.  A hook's standard output goes through a pipe into
memory: it is a secret, which must not be on a disk.
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
from itb.tokens.parse import DoubleKeyError, refuse_double_keys
from itb.tokens.private_file import read_private
from itb.tokens.request import PROTOCOL_VERSION, AcquireCause, AcquireError, Secret, TokenRequest
from itb.util import files
from itb.util.redact import redact

OUTPUT_LIMIT = 64 * 1024
INHERITED_VARIABLES = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ")
CAUSE_BY_STATUS = {
    2: AcquireCause.CONFIGURATION,
    3: AcquireCause.PERSON,
    4: AcquireCause.TEMPORARY,
    5: AcquireCause.REFUSED,
}
_DIAGNOSTICS_LIMIT = 4000  # characters of a hook's standard error that are kept


class HookAnswer(Record):
    """The one JSON object on a hook's standard output."""

    version: int
    token: str | None = None
    token_file: str | None = None


@dataclass(frozen=True)
class HookCall:
    """The result of one call of a hook: the token or the error, and what may be shown of the call."""

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

    Returns a failure in ``error`` instead of raising it, for ``itb token try``
    to show with the rest of the call.
    """
    problem = program_problem(Path(argv[0]))
    if problem is None:
        with files.temporary_folder() as home:
            with _read_fifo(home / "stdout") as output:
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
                        alias=[argv[0]],
                        mark=f"TMPDIR={home}",  # its children that left the process group are found by this
                    ))
                except TestbedError as error:
                    problem = f"cannot be started: {_start_problem(error)}"
            # The answer may name a file in the hook's directory, which is removed after this block.
            if problem is None:
                return _read_answer(name, completed, output, limit=timeout)
    start_error = AcquireError(
        f"hook {name}: {argv[0]} {problem}",
        cause=AcquireCause.HOOK,
        hint="itb token hooks lists what there is; a hook is an executable file with a #! line",
    )
    return HookCall(-1, 0.0, False, 0, "", error=start_error)


def hook_environment(request: TokenRequest, home: Path, pass_env: Sequence[str] = ()) -> dict[str, str]:
    """Return the whole environment of a hook; no bearer token of the caller is in it."""
    inherited = {name: os.environ[name] for name in (*INHERITED_VARIABLES, *pass_env) if name in os.environ}
    fields = {
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
    variables = {f"ITB_TOKEN_{name}": value for name, value in fields.items() if value}
    return {"LANG": "C.UTF-8", **inherited, **variables, "TMPDIR": str(home)}


def program_problem(program: Path) -> str | None:
    """Return why a program cannot be run, None if it can."""
    if not program.is_absolute():
        path = shutil.which(str(program))
        return None if path else "does not exist or is not executable"
    if not program.exists():
        return "does not exist"
    if not program.is_file():
        return "is not a file"
    return None if os.access(program, os.X_OK) else "is not executable (chmod +x)"


def _start_problem(error: TestbedError) -> str:
    """Return why an existing, executable file cannot be started."""
    reason = error.message.rpartition(": ")[2]
    if reason == "not found":
        return "its interpreter (the #! line) does not exist"
    return f"{reason} (has it a #! line?)" if "format" in reason else reason


class _HookOutput:
    """The output of a hook: at most 64 KiB and one byte of it, and its whole size in bytes."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.size = 0

    def add(self, chunk: bytes) -> None:
        self.size += len(chunk)
        room = OUTPUT_LIMIT + 1 - len(self.data)
        if room > 0:
            self.data += chunk[:room]


@contextmanager
def _read_fifo(fifo: Path) -> Iterator[_HookOutput]:
    """Read everything that is written to a named pipe while the block runs.

    A write end held here keeps the pipe open until the block ends.  A child
    of the hook may hold the pipe open longer, or still write to it: a second
    pipe tells the reading thread when to stop.
    """
    os.mkfifo(fifo, 0o600)
    read_end = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    write_end = os.open(fifo, os.O_WRONLY | os.O_CLOEXEC)
    stop_read_end, stop_write_end = os.pipe()
    output = _HookOutput()
    thread = threading.Thread(target=_read_until_end, args=(read_end, stop_read_end, output), daemon=True)
    thread.start()
    try:
        yield output
    finally:
        os.close(stop_write_end)
        thread.join()
        for descriptor in (write_end, read_end, stop_read_end):
            os.close(descriptor)


def _read_until_end(read_end: int, stop: int, output: _HookOutput) -> None:
    while True:
        ready, _, _ = select.select([read_end, stop], [], [])
        # When the hook has ended, all it wrote is in the pipe: 1 MiB at most.
        for _ in range(17 if stop in ready else 1):
            try:
                output.add(os.read(read_end, 1 << 16))
            except BlockingIOError:
                break
        if stop in ready:
            return


def _read_answer(name: str, completed: Completed, output: _HookOutput, *, limit: float) -> HookCall:
    secret: Secret | None = None
    error: AcquireError | None = None
    try:
        secret = _extract_secret(name, completed, output, limit)
    except AcquireError as problem:
        error = problem
    # Only now does redaction know the token, which the hook may have printed on standard error.
    diagnostics = redact(completed.stderr)[-_DIAGNOSTICS_LIMIT:]
    if error is not None:
        error.evidence = diagnostics
    return HookCall(
        completed.returncode, completed.seconds, completed.timed_out, output.size, diagnostics, secret, error
    )


def _extract_secret(name: str, completed: Completed, output: _HookOutput, limit: float) -> Secret:
    if completed.timed_out:
        raise AcquireError(
            f"hook {name}: gave no answer within {limit:.0f} s and was ended",
            cause=AcquireCause.TEMPORARY,
            hint="a hook must not wait for a person: itb help tokens says how it is run",
        )
    if completed.returncode != 0:
        raise _exit_error(name, completed)
    if output.size > OUTPUT_LIMIT:
        raise _protocol_error(name, f"wrote {output.size} bytes to standard output; the limit is {OUTPUT_LIMIT}")
    if not bytes(output.data).strip():
        raise _protocol_error(name, "ended well (exit 0) and wrote nothing to standard output")
    answer = _parse_answer(name, bytes(output.data))
    if answer.token is not None:
        return Secret(answer.token)
    try:
        file = Path(answer.token_file or "")
        text = read_private(file, what=f"hook {name}: token_file", cause=AcquireCause.HOOK)
    except ValueError:
        raise _protocol_error(name, "answered a token_file that is not a path") from None
    return Secret(text)


def _exit_error(name: str, completed: Completed) -> AcquireError:
    lines = [line.strip() for line in redact(completed.stderr).splitlines() if line.strip()]
    reason = lines[-1][:300] if lines else "it gave no reason on standard error"
    cause = CAUSE_BY_STATUS.get(completed.returncode)
    if cause is None:
        status = (
            f"exit {completed.returncode}" if completed.returncode > 0 else f"signal {-completed.returncode}"
        )
        return _protocol_error(name, f"ended with {status}, which the protocol does not know: {reason}")
    meanings = {
        AcquireCause.CONFIGURATION: ("is not configured", "the hook's own documentation says what it needs"),
        AcquireCause.PERSON: (
            "its credential has expired or was revoked; a person must act",
            "log in again as it wants",
        ),
        AcquireCause.TEMPORARY: ("cannot get a token for now", "the service may be down: try again later"),
        AcquireCause.REFUSED: ("the issuer refused", "role, scope or audience is not granted to this credential"),
    }
    meaning, hint = meanings[cause]
    return AcquireError(f"hook {name}: {meaning}: {reason}", cause=cause, hint=hint)


def _parse_answer(name: str, data: bytes) -> HookAnswer:
    try:
        text = data.decode("utf-8")
        value, end = json.JSONDecoder(object_pairs_hook=refuse_double_keys).raw_decode(text.lstrip())
    except DoubleKeyError as error:
        raise _protocol_error(name, f"wrote JSON with the key {redact(error.key)[:40]!r} twice") from None
    except (ValueError, RecursionError):
        raise _protocol_error(name, "wrote something else than JSON to standard output") from None
    if text.lstrip()[end:].strip():
        raise _protocol_error(
            name, "wrote more than one JSON object to standard output; diagnostics belong on standard error"
        )
    if not isinstance(value, dict):
        raise _protocol_error(name, f"answered a JSON {_json_type(value)}; an object is expected")
    answer = _validate_answer(name, value)
    if answer.version != PROTOCOL_VERSION:
        problem = f"answered in protocol version {answer.version}; {PROTOCOL_VERSION} is spoken here"
        raise _protocol_error(name, problem)
    if (answer.token is None) == (answer.token_file is None):
        raise _protocol_error(name, "must answer exactly one of token and token_file")
    return answer


def _validate_answer(name: str, value: Mapping[str, object]) -> HookAnswer:
    try:
        return HookAnswer.model_validate(value, strict=True)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]  # the input is the secret
        where = redact(".".join(str(part) for part in first["loc"]))
        raise _protocol_error(name, f"answered JSON of another form: {where}: {first['msg']}") from None


def _json_type(value: object) -> str:
    return {str: "string", list: "list", type(None): "null", bool: "boolean"}.get(type(value), "number")


def _protocol_error(name: str, problem: str) -> AcquireError:
    return AcquireError(
        f"hook {name}: {problem}",
        cause=AcquireCause.HOOK,
        hint="this is a mistake of the hook: itb help tokens says what it has to answer",
    )
