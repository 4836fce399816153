"""What a step becomes inside its host, ``step.sh`` around it, and how to read what that printed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from itb import data
from itb.definitions import Step
from itb.errors import TestbedError
from itb.hosts import FileSpec, Host
from itb.runners import Completed

MARK = "[itb]"  # begins the lines of step.sh's own
LIBRARY = "/var/lib/itb/lib"  # on the host; survives a reboot, /run would not
_SHELL = ("bash", "-euo", "pipefail")

BOOTED = """
until state=$(systemctl is-system-running --wait 2>/dev/null) || [ "$state" = degraded ]; do sleep 0.2; done
echo "$state"
systemctl --failed --no-legend --plain
"""

# What podman and docker say when a container is not, or not any more, running.
_ENGINE_ERROR = re.compile(r"^Error.*(?:OCI runtime error|container state improper|is not running)", re.MULTILINE)
_TRY = re.compile(r"^\[itb\] try (\d+) after (\d+) s: exit status (\d+)$", re.MULTILINE)
_GAVE_UP = re.compile(r"^\[itb\] gave up after (\d+) s, (\d+) tries$", re.MULTILINE)
_LEFT_FILES = re.compile(r"^\[itb\] result files in ", re.MULTILINE)


def command(step: Step, folder: str, script: Path | None, factor: float) -> tuple[list[str], float]:
    """Return the command line of a step on its host and its time limit in seconds.

    ``folder`` is where the scenario's files are on the host, ``script`` the
    step's script here.
    """
    inner = _inner(step, folder, script)
    limit = max(1, round(step.timeout * factor))
    if step.eventually is None:
        return ["bash", f"{LIBRARY}/step.sh", "once", *inner], limit
    within = max(1, round(step.eventually.within * factor))
    numbers = [str(within), f"{step.eventually.every:g}", str(limit)]
    # The loop ends by itself; the outer limit is for a try that cannot be killed.
    return ["bash", f"{LIBRARY}/step.sh", "poll", *numbers, *inner], within + 30


def _inner(step: Step, folder: str, script: Path | None) -> Sequence[str]:
    if script is None:
        return [*_SHELL, "-c", step.run or "", "step"]
    with script.open("rb") as file:
        direct = file.read(2) == b"#!"
    target = f"{folder}/{step.script}"
    return [target] if direct else [*_SHELL, target]


def library() -> list[FileSpec]:
    """``step.sh`` and what scripts may use of itb, as files of a host."""
    own = sorted((data.folder("scenarios") / "lib").glob("*.sh"))
    files = [*own, data.folder("build_ws") / "hosts" / "reap.sh"]
    return [FileSpec(f"{LIBRARY}/{path.name}", path.read_bytes()) for path in files]


def mode(path: Path, content: bytes) -> int:
    """Permissions on a host of a file of a scenario's folder: what starts with ``#!`` is a program."""
    return 0o755 if content.startswith(b"#!") or path.stat().st_mode & 0o100 else 0o644


def refuse_dead_host(host: Host, completed: Completed) -> None:
    """Raise TestbedError if a step ended because its host did."""
    if completed.returncode not in (125, 126, 127, 137, 143, 255):
        return
    # While a container dies, its engine still calls it running for a moment.
    if _ENGINE_ERROR.search(completed.stderr) or not host.alive():
        raise TestbedError(
            f"host {host.role}: container {host.container} cannot be entered any more: {completed.reason}",
            evidence=completed.output,
        )


def left_files(stderr: str) -> bool:
    """True if the step left files in $ITB_RESULTS."""
    return _LEFT_FILES.search(stderr) is not None


def last_try(stdout: str) -> str:
    """Return what the last try printed that printed something new."""
    tries = list(_TRY.finditer(stdout))
    text = stdout[tries[-1].end() + 1 :] if tries else stdout
    return without_marks(text)


def waited(stdout: str) -> str:
    """Say how long a polled step took or was waited for."""
    if gave_up := _GAVE_UP.search(stdout):
        return f"not within {gave_up[1]} s ({gave_up[2]} tries)"
    tries = list(_TRY.finditer(stdout))
    if not tries or tries[-1][3] != "0":
        return ""
    return f"after {tries[-1][2]} s"


def without_marks(text: str) -> str:
    """Return a text without the lines of step.sh's own."""
    return "\n".join(line for line in text.splitlines() if not line.startswith(MARK))


def last_line(completed: Completed) -> str:
    """The line that says why: the last one that means something, of standard error if there is one.

    A step that passed or was skipped speaks on standard output.
    """
    quiet = completed.returncode in (0, 77)
    streams = [last_try(completed.stdout), without_marks(completed.stderr)]
    for text in streams if quiet else reversed(streams):
        for line in reversed(text.splitlines()):
            if re.search(r"\w", line) and not line.startswith(("+ ", "| ", "[... ")):
                return line.strip()[:500]
    return ""
