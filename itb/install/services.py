"""Starting and watching services on hosts, explaining their failures; delivering HTCondor's IDTOKENs."""

from __future__ import annotations

import re
import shlex
import signal
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from itb.containers.host import FileSpec, Host
from itb.errors import UNDECIDED, InstallError, ItbError, LogLine, TestbedError
from itb.process.request import Request
from itb.process.result import Completed
from itb.rundir.directory import JOURNAL
from itb.util import causes, known_secrets
from itb.util.text import lines_of

SETTLE = 3.0  # seconds a service must stay up with the same process


def start_service(host: Host, unit: str) -> None:
    """Enable and start a unit; InstallError with the cause that its journal names."""
    limit = host.engine.runner.limits("service")
    start = host.run(Request(["systemctl", "enable", "--now", "--quiet", unit], timeout=limit, check=False))
    if not start.ok:
        raise service_error(host, unit, "does not start", start)


def check_stays_up(
    host: Host, units: Sequence[str], *, settle: float = SETTLE, before: str = "", never_ended: bool = False
) -> dict[str, ItbError]:
    """Watch units for ``settle`` seconds; return an error for each that is not active with the same main process.

    That it is active at one moment is not enough: a unit that systemd keeps
    restarting is active most of the time.  With ``never_ended``, one that systemd has started
    again before is an error, too.  ``before`` is a bash script that is run first.
    """
    if not units:
        return {}
    show = f"systemctl show --property=Id,Names,ActiveState,MainPID,NRestarts {shlex.join(units)}"
    request = Request(about="watch services", check=False)
    completed = host.script(f"{before}{show}; sleep {settle}; echo ---; {show}", request)
    before, _, after = completed.stdout.partition("---")
    first, last = _unit_states(before), _unit_states(after)
    errors: dict[str, ItbError] = {}
    for unit in units:
        key = unit if "." in unit else f"{unit}.service"
        earlier, now = first.get(key, {}), last.get(key, {})
        is_steady = all(earlier.get(name) == now.get(name) for name in ("MainPID", "NRestarts"))
        if now.get("ActiveState") != "active" or not is_steady:
            errors[unit] = service_error(host, unit, "does not stay up")
        elif never_ended and (restarts := now.get("NRestarts", "0")) not in ("0", ""):
            errors[unit] = _restarted_error(host, unit, key, restarts)
    return errors


def _restarted_error(host: Host, unit: str, full: str, restarts: str) -> ItbError:
    """Return the error of a unit that systemd has started again; what one said that ended well is no cause."""
    times = "once" if restarts == "1" else f"{restarts} times"
    error = service_error(host, unit, f"ends, and was started again by systemd ({times})")
    if not isinstance(error, InstallError) or _systemd_says(host, full, _FAILED):
        return error
    problem, _, _ = error.message.partition(": ")
    return error.turned_into(InstallError, f"{problem}: it ends by itself, with status 0")


def _unit_states(text: str) -> dict[str, dict[str, str]]:
    """Return the properties of units by all of their names: one that is asked for may be an alias."""
    states = {}
    for block in text.strip().split("\n\n"):
        values = dict(line.partition("=")[::2] for line in lines_of(block) if "=" in line)
        for name in (values.get("Id", ""), *values.get("Names", "").split()):
            states[name] = values
    return states


def service_error(host: Host, unit: str, problem: str, start: Completed | None = None) -> ItbError:
    """Return the error of a unit, with its result and the last line of its journal that names a cause.

    ``problem`` says what it does not do; ``start`` is systemctl's failed start of it.
    """
    show = ["systemctl", "show", "--property=Id,Result,ExecMainStatus,ActiveState", unit]
    status = host.run(Request(show, check=False))
    values = dict(line.partition("=")[::2] for line in lines_of(status.stdout))
    # Not --unit: it leaves out messages of systemd's child when that cannot start the program.
    full = values.get("Id") or (unit if "." in unit else f"{unit}.service")  # an alias has no messages
    journalctl = ["journalctl", "--no-pager", "--output=cat", "--lines=60"]
    journal = host.run(Request([*journalctl, f"_SYSTEMD_UNIT={full}", "+", f"UNIT={full}"], check=False)).stdout
    result = describe_result(values)
    cause = find_cause(journal)
    quoted = cause or find_end(journal)
    quotes: Sequence[LogLine] = [LogLine(quoted, JOURNAL, role=host.role)] if quoted else []
    cause = add_introduction(journal, cause)
    if start and not cause:
        cause, quotes = start.reason, start.quote(start.reason)
    if start and _NO_UNIT.search(start.output):
        cause, result = "its unit does not exist, no installed package brings it", ""
    evidence = f"{start.output if start else ''}\n{status.stdout}\n{journal}".strip()
    if _NO_WATCH.search(journal) and _systemd_says(host, full, _NO_WATCH):
        return TestbedError(
            f"{unit} {problem}: systemd on host {host.role} has no inotify instance left",
            hint="fewer hosts at once (--jobs), or a higher sysctl fs.inotify.max_user_instances",
            evidence=evidence,
            quotes=quotes,
        )
    if _NOT_PERMITTED.search(journal) and (line := _systemd_says(host, full, _NOT_PERMITTED)):
        return TestbedError(
            f"{UNDECIDED} is a container, in which systemd may not do what {full} asks for: {line}",
            hint="units that ask for RestrictSUIDSGID= and its like are tried without them, by a drop-in",
            evidence=evidence,
            quotes=quotes,
        )
    message = f"{unit} {problem}{result}: {cause or 'its journal names no cause'}"
    return InstallError(message, evidence=evidence, quotes=quotes)


def _systemd_says(host: Host, full: str, pattern: re.Pattern[str]) -> str:
    """Return what systemd itself says of a unit, which may print anything and be described by anything."""
    own = ["journalctl", "--no-pager", "--output=cat", "--lines=60", "_PID=1", f"UNIT={full}"]
    lines = lines_of(host.run(Request(own, check=False)).stdout)
    return next((line for line in lines if pattern.match(line.removeprefix(f"{full}: "))), "")


def describe_result(values: Mapping[str, str]) -> str:
    """Return in brackets how a unit's main process failed, by the properties of the unit; empty for a success."""
    result, status = values.get("Result", "success"), values.get("ExecMainStatus", "?")
    if result in ("signal", "core-dump"):
        with suppress(ValueError):
            status = signal.Signals(int(status)).name
        return f" ({result}, {status})"
    if result == "exit-code" and status != "0":  # of another process than the main one
        return f" ({result}, status {status}{_STATUSES.get(status, '')})"
    return f" ({result})" if result != "success" else ""


# Errors of systemd before it started the program; its own message is "No such process".
_STATUSES = {"216": ", its Group= does not exist", "217": ", its User= does not exist"}
# All hosts of a machine share one limit, so this is the machine's fault, not the candidate's.
_NO_WATCH = re.compile(r"Failed to (set a|add .{1,60}?) watch.{0,300}(Too many open files|No space left)")
# Without CAP_SYS_ADMIN, as in a container, systemd cannot give a filter of system calls to a service with a user.
_NOT_PERMITTED = re.compile(
    r"Failed at step (USER|SECCOMP|NAMESPACE|CAPABILITIES) spawning \S+: Operation not permitted"
)
_FAILED = re.compile(r"(?:\S+: )?(?:Main process exited|Failed with result)")
_NO_UNIT = re.compile(r"[Uu]nit (file )?\S+ (does not exist|not found|could not be found)")
_SYSTEMD_LINE = re.compile(
    r"^(Started|Starting|Stopped|Stopping|Reload|.*: (Main process exited|Failed with result|Scheduled restart"
    r"|Deactivated|Consumed|Start request repeated|Control process exited|Unit process \d+|Found left-over process"
    r"|This usually indicates unclean termination)|Failed to start)"
)
_ERROR_LINE = re.compile(
    r"^(\w+\.)*\w*(Error|Exception|Exit|Interrupt)\b.*|.*\b(ERROR|CRITICAL|FATAL|fatal)\b.*"
)


def names_cause(message: str) -> bool:
    """Return whether a message names an exception, an error, a missing file or command, or a unit's condition."""
    names_error = re.search(
        r"\b\w*(Error|Exception|ERROR|CRITICAL|FATAL)\b|\bunmet condition|\bDependency failed for ", message
    )
    return bool(names_error or causes.misses_file(message))


def find_cause(text: str) -> str:
    """Return the last line that names an error, else the first about a missing file or command, else the last.

    Lines systemd wrote itself do not count.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    error_lines = [line for line in lines if _ERROR_LINE.match(line)]
    if error_lines:
        return error_lines[-1]
    program_lines = [line for line in lines if not _SYSTEMD_LINE.match(line)]
    last_line = program_lines[-1] if program_lines else ""
    return causes.first_missing("\n".join(program_lines)) or last_line


def add_introduction(text: str, cause: str) -> str:
    """Return a cause with the line before it if that introduces it, such as with the file and line of an error."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    number = len(lines) - 1 - lines[::-1].index(cause) if cause in lines else 0
    before = lines[number - 1] if number else ""
    if before.startswith("Configuration Error"):  # HTCondor's: which file and line
        return f"{before}: {cause}"
    return f"{before} {cause}" if before.endswith(":") and not before.startswith("Traceback") else cause


def find_end(text: str) -> str:
    """Return the line in which systemd says how a unit last ended, or the empty string."""
    lines = [line.strip() for line in text.splitlines()]
    for phrase in _ENDS:
        if matching := [line for line in lines if phrase in line]:
            return matching[-1]
    return ""


_LONGEST_TOKEN = 1 << 16  # bytes
_TOKEN = re.compile(rb"[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}")
# The first one is the most precise.
_ENDS = ("Main process exited", "Control process exited", "Failed with result", "Deactivated")
_MAKE_IDTOKEN = """
key=$1 identity=$2 lifetime=$3
deadline=$((SECONDS + 60))
until [ -s "/etc/condor/passwords.d/$key" ]; do
    systemctl is-active --quiet condor || { echo "HTCondor does not run" >&2; exit 1; }
    if [ "$SECONDS" -gt "$deadline" ]; then
        echo "HTCondor has not made its signing key /etc/condor/passwords.d/$key" >&2
        exit 1
    fi
    sleep 0.2
done
condor_token_create -key "$key" -identity "$identity" -lifetime "$lifetime"
"""


# A folder of the package is not changed, since rpm -V would report it.  For an unknown owner, tar would use root.
_MAKE_FOLDER = """
user=${2%:*} group=${2#*:}
getent passwd "$user" >/dev/null || { echo "there is no user $user" >&2; exit 1; }
getent group "$group" >/dev/null || { echo "there is no group $group" >&2; exit 1; }
[ -d "$1" ] || install --directory --mode=700 --owner="$user" --group="$group" "$1"
"""


def deliver_idtoken(
    source: Host, target: Host, *, key: str, identity: str, lifetime: int, path: str, owner: str, private: Path
) -> None:
    """Create an IDTOKEN on one host and put it on another (0600, directory 0700); it is never in a log.

    ``private`` is a directory that only this user can read; it holds the token
    until it is delivered.  Raises InstallError if HTCondor has ended, which the
    candidate's configuration may have caused.
    """
    with tempfile.TemporaryDirectory(prefix="idtoken-", dir=private) as folder:
        token_file = Path(folder) / "token"
        request = Request(
            ["bash", "-euc", _MAKE_IDTOKEN, "idtoken", key, identity, str(lifetime)],
            stdout_to=token_file,
            stdout_limit=_LONGEST_TOKEN,
            about=f"make an IDTOKEN for {identity}",
            timeout=source.engine.runner.limits("idtoken"),
        )
        try:
            source.run(request)
        except TestbedError:
            if source.run(Request(["systemctl", "is-active", "--quiet", "condor"], check=False)).ok:
                raise
            error = service_error(source, "condor", "does not stay up")
            raise error.turned_into(type(error), f"{source.role}: {error.message}") from None
        secret = token_file.read_bytes().strip()
    if not _TOKEN.fullmatch(secret):  # other words of a host are no secret: they would be taken out of reports
        raise TestbedError(f"host {source.role}: condor_token_create made no token for {identity}")
    known_secrets.remember_token(secret.decode("ascii"))
    argv = ["sh", "-euc", _MAKE_FOLDER, "folder", str(Path(path).parent), owner]
    completed = target.run(Request(argv, check=False, about=f"make the folder of {path}"))
    if not completed.ok:
        raise InstallError(f"no place for the IDTOKEN: {completed.reason}", evidence=completed.output)
    target.put(FileSpec(path, secret + b"\n", mode=0o600, owner=owner))
