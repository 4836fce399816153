"""Services on hosts: started, watched, their failures explained; HTCondor's IDTOKENs between hosts."""

from __future__ import annotations

import re
import shlex
import signal
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from itb.containers.host import FileSpec, Host
from itb.errors import InstallError, ItbError, LogLine, TestbedError
from itb.process.request import Request
from itb.process.result import Completed
from itb.rundir.directory import JOURNAL
from itb.util import causes

SETTLE = 3.0  # seconds a service must stay up with the same process


def start_service(host: Host, unit: str) -> None:
    """Enable and start a unit; InstallError with the cause its journal or log names."""
    limit = host.engine.runner.limits("service")
    started = host.run(Request(["systemctl", "enable", "--now", "--quiet", unit], timeout=limit, check=False))
    if not started.ok:
        raise service_error(host, unit, "does not start", started)


def check_stays_up(host: Host, units: Sequence[str], *, settle: float = SETTLE) -> dict[str, ItbError]:
    """Watch units for ``settle`` seconds; return an error for each that is not up, unchanged, at the end.

    The condition is "the same main process all the time": a unit that
    systemd keeps restarting looks active at any single moment.
    """
    if not units:
        return {}
    show = f"systemctl show --property=Id,ActiveState,MainPID,NRestarts {shlex.join(units)}"
    request = Request(about="watch services", check=False)
    completed = host.script(f"{show}; sleep {settle}; echo ---; {show}", request)
    before, _, after = completed.stdout.partition("---")
    first, last = _unit_states(before), _unit_states(after)
    errors: dict[str, ItbError] = {}
    for unit in units:
        key = unit if "." in unit else f"{unit}.service"
        then, now = first.get(key, {}), last.get(key, {})
        is_steady = then.get("MainPID") == now.get("MainPID") and then.get("NRestarts") == now.get("NRestarts")
        if now.get("ActiveState") != "active" or not is_steady:
            errors[unit] = service_error(host, unit, "does not stay up")
    return errors


def _unit_states(text: str) -> dict[str, dict[str, str]]:
    states = {}
    for block in text.strip().split("\n\n"):
        values = dict(line.partition("=")[::2] for line in block.splitlines() if "=" in line)
        states[values.get("Id", "")] = values
    return states


def service_error(host: Host, unit: str, what: str, started: Completed | None = None) -> ItbError:
    """Return the error of a unit, with its result and the last line of its journal that names a cause."""
    show = ["systemctl", "show", "--property=Result,ExecMainStatus,ActiveState", unit]
    status = host.run(Request(show, check=False))
    values = dict(line.partition("=")[::2] for line in status.stdout.splitlines())
    # Not --unit: it leaves out what systemd's child says that cannot start the program.
    full = unit if "." in unit else f"{unit}.service"
    journalctl = ["journalctl", "--no-pager", "--output=cat", "--lines=60"]
    journal = host.run(Request([*journalctl, f"_SYSTEMD_UNIT={full}", "+", f"UNIT={full}"], check=False)).stdout
    result = how_it_ended(values)
    cause = find_cause(journal)
    quoted = cause or find_end(journal)
    quotes: Sequence[LogLine] = [LogLine(quoted, JOURNAL, role=host.role)] if quoted else []
    cause = introduce(journal, cause)
    if started and not cause:
        cause, quotes = started.reason, started.quote(started.reason)
    if started and _NO_UNIT.search(started.output):
        cause, result = "its unit does not exist, no installed package brings it", ""
    evidence = f"{started.output if started else ''}\n{status.stdout}\n{journal}".strip()
    if _NO_WATCH.search(journal):
        return TestbedError(
            f"{unit} {what}: systemd on host {host.role} has no inotify instance left",
            hint="fewer hosts at once (--jobs), or a higher sysctl fs.inotify.max_user_instances",
            evidence=evidence,
            quotes=quotes,
        )
    message = f"{unit} {what}{result}: {cause or 'its journal names no cause'}"
    return InstallError(message, evidence=evidence, quotes=quotes)


def how_it_ended(values: Mapping[str, str]) -> str:
    """Return in brackets how a unit's main process ended, by the properties of the unit; empty if well."""
    result, status = values.get("Result", "success"), values.get("ExecMainStatus", "?")
    if result in ("signal", "core-dump"):
        with suppress(ValueError):
            status = signal.Signals(int(status)).name
        return f" ({result}, {status})"
    if result == "exit-code" and status != "0":  # of another process than the main one
        return f" ({result}, status {status}{_STATUSES.get(status, '')})"
    return f" ({result})" if result != "success" else ""


# What systemd could not do before it started the program; its own words are "No such process".
_STATUSES = {"216": ", its Group= does not exist", "217": ", its User= does not exist"}
# All hosts of a machine share one limit: the machine's fault, not the candidate's.
_NO_WATCH = re.compile(r"Failed to (set a|add .*) watch.*(Too many open files|No space left)")
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
    """Return True if a message has the name of an exception or calls something an error."""
    names_error = re.search(r"\b\w*(Error|Exception|ERROR|CRITICAL|FATAL)\b", message)
    return bool(names_error or causes.misses_file(message))


def find_cause(text: str) -> str:
    """Return the last line that names an error, else the first that misses a file or a command, else the last.

    Lines systemd wrote itself do not count.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    error_lines = [line for line in lines if _ERROR_LINE.match(line)]
    if error_lines:
        return error_lines[-1]
    program_lines = [line for line in lines if not _SYSTEMD_LINE.match(line)]
    last_line = program_lines[-1] if program_lines else ""
    return causes.first_missing("\n".join(program_lines)) or last_line


def introduce(text: str, cause: str) -> str:
    """Return a cause with the line before it where that introduces it, such as with file and line of a mistake."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    number = len(lines) - 1 - lines[::-1].index(cause) if cause in lines else 0
    before = lines[number - 1] if number else ""
    if before.startswith("Configuration Error"):  # HTCondor's: which file and line
        return f"{before}: {cause}"
    return f"{before} {cause}" if before.endswith(":") and not before.startswith("Traceback") else cause


def find_end(text: str) -> str:
    """Return the line in which systemd says how a unit last ended, or the empty string."""
    lines = [line.strip() for line in text.splitlines()]
    for words in _ENDS:
        if found := [line for line in lines if words in line]:
            return found[-1]
    return ""


# Of several, the first says most.
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


# A folder the package owns stays as packaged: rpm -V would tell.  For an unknown owner, tar would take root.
_MAKE_FOLDER = """
user=${2%:*} group=${2#*:}
getent passwd "$user" >/dev/null || { echo "there is no user $user" >&2; exit 1; }
getent group "$group" >/dev/null || { echo "there is no group $group" >&2; exit 1; }
[ -d "$1" ] || install --directory --mode=700 --owner="$user" --group="$group" "$1"
"""


def deliver_idtoken(
    source: Host, target: Host, *, key: str, identity: str, lifetime: int, path: str, owner: str, private: Path
) -> None:
    """Create an IDTOKEN on one host and put it on another (0600, directory 0700), never through a log.

    ``private`` is a directory only this user can read, which holds the token
    until it is delivered.  Raises InstallError if it is not made because HTCondor has ended, which the
    candidate's configuration may have made it do.
    """
    with tempfile.TemporaryDirectory(prefix="idtoken-", dir=private) as folder:
        token_file = Path(folder) / "token"
        request = Request(
            ["bash", "-euc", _MAKE_IDTOKEN, "idtoken", key, identity, str(lifetime)],
            stdout_to=token_file,
            about=f"make an IDTOKEN for {identity}",
            timeout=90,
        )
        try:
            source.run(request)
        except TestbedError:
            if source.run(Request(["systemctl", "is-active", "--quiet", "condor"], check=False)).ok:
                raise
            error = service_error(source, "condor", "does not stay up")
            raise error.turned_into(type(error), f"{source.role}: {error.message}") from None
        secret = token_file.read_bytes().strip()
    if secret.count(b".") != 2:
        raise TestbedError(f"host {source.role}: condor_token_create made no token for {identity}")
    argv = ["sh", "-euc", _MAKE_FOLDER, "folder", str(Path(path).parent), owner]
    made = target.run(Request(argv, check=False, about=f"make the folder of {path}"))
    if not made.ok:
        raise InstallError(f"no place for the IDTOKEN: {made.reason}", evidence=made.output)
    target.put(FileSpec(path, secret + b"\n", mode=0o600, owner=owner))
