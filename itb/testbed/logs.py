"""Evidence from hosts: logs, journal, configuration and packages, redacted, into the run directory."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from itb.containers import archive
from itb.containers.archive import Bounds
from itb.containers.host import Host
from itb.data import shipped
from itb.errors import LogLine
from itb.process.request import Request
from itb.process.result import Completed
from itb.rundir.directory import JOURNAL
from itb.rundir.values import LoggedError
from itb.util.text import lines_of

MAX_FILE_MB = 20  # of a single file; the middle of larger ones is left out
_MOST_CUT = 50  # files
MAX_HOST_BYTES = 1 << 30  # of all files of one host
_MAX_ENTRIES = 20_000

_GATHER = """
shopt -s globstar nullglob
set +e
set -- /dev/null @GLOBS@
work=$(mktemp -d /tmp/itb-evidence.XXXXXXXXXX)
trap 'rm -rf "$work"' EXIT
folder=$work/files
mkdir "$folder"
journalctl --boot --no-pager --output=short-precise 2>&1 | tail --bytes=16M > "$folder/@JOURNAL@"
systemctl list-units --all --no-pager --plain > "$folder/units.txt" 2>&1
rpm --query --all 2>&1 | sort > "$folder/packages.txt"
ps -ef > "$folder/processes.txt" 2>&1
ip -brief address > "$folder/addresses.txt" 2>&1
cat /etc/os-release > "$folder/os-release.txt" 2>&1
{ df -h; free -m; } > "$folder/resources.txt" 2>&1
limit=$((ITB_LIMIT << 20))
kept=$((ITB_LIMIT << 18))
: > "$folder/left-out.txt"
# Whole lines, and of a key that the cut goes through no line at all: who redacts would not know it.
find "$@" -maxdepth 0 -type f -size +"$limit"c -printf '%s %p\\0' | head --zero-terminated --lines=@CUT@ |
while IFS=' ' read -r -d '' size file; do
    mkdir --parents "$folder${file%/*}"
    {
        head --bytes="$kept" "$file" | sed '$d'
        echo "[itb: the middle of $size bytes is left out]"
        tail --bytes="$kept" "$file" | sed -E '1d' |
            sed -E '1{:a;/^[A-Za-z0-9+\\/=]{40,}$|^-----END /{$d;N;s/.*\\n//;ba}}'
    } > "$folder$file"
    echo "cut: the middle of $file ($size bytes)" >> "$folder/left-out.txt"
done
[ "$(stat --format=%s "$folder/@JOURNAL@")" -lt 16777216 ] ||
    echo "cut: the beginning of the journal" >> "$folder/left-out.txt"
find "$@" -maxdepth 0 -type f ! -size +"$limit"c -print0 > "$folder.list"
tar @FORMAT@ --ignore-failed-read --warning=no-file-changed --directory="$folder" . \\
    --null --files-from="$folder.list" | head --bytes="$ITB_TOTAL"
"""


def collect(host: Host, globs: Sequence[str], destination: Path, *, private: Path | None = None) -> list[str]:
    """Copy a host's logs (``globs``, ``**`` allowed) and state into ``destination``; return the files left out.

    Text is redacted before it is written.  Files that are binary or compressed
    are left out, and so is the middle of one larger than 20 MB; ``left-out.txt`` names them.
    ``private`` is a directory that only this user can read; it holds the
    unredacted archive until it is unpacked.
    """
    destination.mkdir(parents=True, exist_ok=True)
    patterns = " ".join(_safe_glob(glob) for glob in globs)
    script = _GATHER.replace("@GLOBS@", patterns).replace("@JOURNAL@", str(JOURNAL))
    script = script.replace("@FORMAT@", " ".join(archive.FORMAT)).replace("@CUT@", str(_MOST_CUT))
    with tempfile.TemporaryDirectory(prefix="evidence-", dir=private) as temporary_folder:
        tar = Path(temporary_folder) / "evidence.tar"
        host.run(Request(
            ["bash", "-c", script],
            env={"ITB_LIMIT": str(MAX_FILE_MB), "ITB_TOTAL": str(MAX_HOST_BYTES)},
            stdout_to=tar,
            stdout_limit=MAX_HOST_BYTES,
            check=False,
            timeout=host.engine.runner.limits("evidence"),
            about="collect evidence",
        ))
        left_out = _unpack(tar, destination)
    listed = destination / "left-out.txt"
    lines = listed.read_text(encoding="utf-8", errors="replace").splitlines() if listed.is_file() else []
    if left_out:
        with listed.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.writelines(f"{line}\n" for line in left_out)
    return [*lines, *left_out]


def _safe_glob(glob: str) -> str:
    """Quote all characters of a glob but its wildcards."""
    quoted, plain = "", ""
    for letter in glob:
        if letter in "*?[]":
            quoted += (shlex.quote(plain) if plain else "") + letter
            plain = ""
        else:
            plain += letter
    return quoted + (shlex.quote(plain) if plain else "")


def _unpack(tar: Path, destination: Path) -> list[str]:
    """Write the text files of a host's archive below a folder; return what was left out, a line each."""
    bounds = Bounds(total=MAX_HOST_BYTES, file=MAX_FILE_MB << 20, members=_MAX_ENTRIES)
    received = archive.receive_text(tar, destination, bounds)
    left_out = [f"{reason}: /{name}" for reason, name in received.left_out]
    if received.problem:
        is_silent = not any(destination.iterdir()) if destination.is_dir() else True
        what = "everything: the host did not answer" if is_silent else "the rest: the host did not send all of it"
        left_out.append(f"{what} ({received.problem})")
    return left_out


PROBE_SECONDS = 20
_Number = Annotated[int, Field(ge=0)]
_ROW = TypeAdapter(tuple[str, str, _Number, str])
_Count = Annotated[int, Field(ge=0, le=1 << 40)]
_COUNTED_ROW = TypeAdapter(tuple[str, _Count, str, str, _Count, str])


@dataclass(frozen=True)
class LogError:
    """An error in a log of a host: its message, which names the log, and the line it was read from."""

    message: str
    line: LogLine


def find_errors(
    host: Host,
    globs: Sequence[str],
    *,
    ignored: Sequence[str] = (),
    output: Completed | None = None,
    pilot_logs: str = "",
) -> list[LogError]:
    """Return the errors in a host's logs and in the ``output`` of a program on it, likeliest cause first.

    If there are none, return the last lines of the files of the glob ``pilot_logs``.
    """
    text = output.output if output else ""
    script = (shipped.folder("build_ws") / "hosts" / "findings.py").read_text()
    options = [option for pattern in ignored for option in ("-x", pattern)]
    options += ["-w", pilot_logs] if pilot_logs else []
    argv = ["python3", "-I", "-c", script, *options, *(["-"] if text else []), *globs]
    limit = host.engine.runner.limits("search-logs")
    completed = host.run(
        Request(argv, input=text.encode() or None, timeout=limit, check=False, about="look through logs")
    )
    errors = []
    for message, name, number, line in _rows(completed.stdout):
        if name != "-":
            log_line = LogLine(line, Path(name), number, role=host.role)
            errors.append(LogError(f"{message} ({Path(name).name})", log_line))
        elif output:
            errors.append(LogError(message, (output.quote(line) or (LogLine(line),))[0]))
    return errors


def _rows(text: str) -> Iterator[tuple[str, str, int, str]]:
    """Yield the rows that findings.py printed; skip other lines, since the host's Python may print anything."""
    for row in lines_of(text):
        with suppress(ValidationError):
            yield _ROW.validate_json(row, strict=True)


def count_errors(
    host: Host, globs: Sequence[str], units: Sequence[str], *, ignored: Sequence[str] = (), verb: str = "count"
) -> list[LoggedError]:
    """Return the errors that a host's logs and its units' journals have, and how often each came.

    The verbs ``keep`` and ``skip`` return none: what logs say between the two is left out of the next count.
    Raises TestbedError if the host cannot count them.
    """
    script = (shipped.folder("build_ws") / "hosts" / "errors.py").read_text(encoding="utf-8")
    options = [option for pattern in ignored for option in ("-x", pattern)]
    options += [option for unit in units for option in ("-u", unit)]
    completed = host.run(Request(
        ["python3", "-I", "-c", script, verb, *options, *globs],
        timeout=host.engine.runner.limits("search-logs"),
        about="count errors in logs",
        alias=["errors.py", verb],
    ))
    errors = []
    for row in completed.stdout.splitlines():
        with suppress(ValidationError):
            kind, times, message, log, number, line = _COUNTED_ROW.validate_json(row, strict=True)
            errors.append(LoggedError(
                role=host.role, kind=kind, times=times, message=message, log=log, number=number, line=line
            ))
    return errors


def probe(host: Host, command: str, *, log: Path) -> Completed:
    """Run a service in the foreground for 20 s: some print errors there that are in none of their logs."""
    return host.run(Request(
        ["timeout", str(PROBE_SECONDS), "bash", "-c", command],
        timeout=PROBE_SECONDS + 10,
        check=False,
        log=log,
        about="run the service in the foreground",
    ))


def find_causes(
    hosts: Mapping[str, Host], globs: Mapping[str, Sequence[str]], ignored: Sequence[str], *, pilot_logs: str = ""
) -> list[LogError]:
    """Return the likeliest error of each host whose logs have one, as "ROLE: ERROR".

    An error that several hosts have with the same text is returned once.
    ``pilot_logs`` is a glob of the output of pilots that have ended, on any host.
    """
    errors: dict[str, LogError] = {}
    for role, host in hosts.items():
        if globs.get(role) and host.is_running():
            for error in find_errors(host, globs[role], ignored=ignored, pilot_logs=pilot_logs)[:1]:
                text = error.message.rpartition(" (")[0] or error.message
                errors.setdefault(text, LogError(f"{role}: {error.message}", error.line))
    return list(errors.values())
