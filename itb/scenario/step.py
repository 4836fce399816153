"""What a step becomes inside its host, ``step.sh`` around it, and how to read what that printed."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from itb.config import step_library
from itb.config.scenario import Step
from itb.containers.host import FileSpec, Host
from itb.data import shipped
from itb.errors import TestbedError
from itb.process.request import Request
from itb.process.result import Completed
from itb.scenario.results import SubResults, parse_tap, parse_tap_log

LIBRARY = "/var/lib/itb/lib"  # on the host; survives a reboot, /run would not
_SHELL = ("bash", "-euo", "pipefail")

BOOTED = """
until state=$(systemctl is-system-running --wait 2>/dev/null) || [ "$state" = degraded ]; do sleep 0.2; done
echo "$state"
systemctl --failed --no-legend --plain
"""

# What podman and docker say when a container is not, or not any more, running.
_ENGINE_ERROR = re.compile(r"^Error.*(?:OCI runtime error|container state improper|is not running)", re.MULTILINE)
_TRY = r" try (\d+) after (\d+) s: exit status (\d+)$"
_GAVE_UP = r" gave up after (\d+) s, (\d+) tries$"
_ENDS = "| [itb] ends this command"  # said by reap.sh in the output of what it ends
_NOT_ENTERED = (125, 126, 127, 137, 143, 255)  # what its client may end with then
# What a step may end with whose container dies; 126 and 127 are only a shell's own, once there is one.
_CUT_OFF = (125, 137, 143, 255)
_DYING = 2.0  # seconds for which an engine may call a dying container running


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
    borrowed = script.parent == step_library.folder()
    target = f"{LIBRARY}/{script.name}" if borrowed else f"{folder}/{step.script}"
    return [target] if direct else [*_SHELL, target]


def library() -> list[FileSpec]:
    """``step.sh`` and what scripts may use of itb, as files of a host."""
    own = sorted(step_library.folder().glob("*.sh"))
    files = [*own, shipped.folder("build_ws") / "hosts" / "reap.sh"]
    contents = [(path, path.read_bytes()) for path in files]
    return [FileSpec(f"{LIBRARY}/{path.name}", content, mode(path, content)) for path, content in contents]


def mode(path: Path, content: bytes) -> int:
    """Permissions on a host of a scenario's or the library's file: what starts with ``#!`` is a program."""
    return 0o755 if content.startswith(b"#!") or path.stat().st_mode & 0o100 else 0o644


def run(
    host: Host,
    step: Step,
    *,
    script: Path | None,
    folder: str,
    env: Mapping[str, str],
    factor: float,
    log: Path,
    note: Callable[[str], None],
) -> StepOutput:
    """Run a step on its host, once or until it passes.

    ``folder`` is where the scenario's is on the host; ``note`` is told what the step says meanwhile.
    """
    mark = f"[itb {secrets.token_hex(4)}]"
    argv, limit = command(step, folder, script, factor)
    begins = log.stat().st_size if log.exists() else 0

    def listen(line: str) -> None:
        if not line.startswith(mark):
            note(line)

    # By standard input: what is in its environment every process of root's can read.
    given = f"{mark}\n".encode()
    completed = host.run(Request(
        argv, user=step.user, env=env, input=given, timeout=limit, check=False, log=log, on_line=listen
    ))
    return StepOutput(completed, mark, begins)


def refuse_dead_host(host: Host, step_output: StepOutput) -> None:
    """Raise TestbedError if a step ended because its host did.

    What the step itself printed says nothing of that: it may sound like the engine.
    """
    completed = step_output.completed
    if not step_output.entered:
        if completed.returncode in _NOT_ENTERED and (_ENGINE_ERROR.search(completed.stderr) or not host.alive()):
            raise TestbedError(
                f"host {host.role}: container {host.container} cannot be entered any more: {completed.reason}",
                evidence=completed.output,
            )
    elif completed.returncode in _CUT_OFF:
        deadline = time.monotonic() + _DYING
        while not (gone := host.gone()) and time.monotonic() < deadline:
            host.engine.runner.stop.event.wait(0.25)
        if gone:
            raise TestbedError(gone, evidence=step_output.without_marks(completed.output))


@dataclass(frozen=True)
class StepOutput:
    """What was heard of a step.

    ``mark`` begins the lines of step.sh's own: no step knows it, so none can
    forge them.  ``begins`` is where its log begins (bytes).
    """

    completed: Completed
    mark: str
    begins: int = 0

    @property
    def entered(self) -> bool:
        """True if the host was entered and step.sh ran."""
        return self.mark in self.completed.stderr

    @property
    def lacks_library(self) -> bool:
        """True if step.sh was not there: a step before removed it."""
        return self.completed.returncode == 127 and not self.entered

    @property
    def left_files(self) -> bool:
        """True if the step left files in $ITB_RESULTS."""
        return f"{self.mark} result files in " in self.completed.stderr

    @property
    def evidence(self) -> str:
        """Everything it printed."""
        return self.without_marks(self.completed.output)

    @property
    def last_try(self) -> str:
        """What the last try printed on standard output that printed something new."""
        tries = self._said(_TRY)
        stdout = self.completed.stdout
        return self.without_marks(stdout[tries[-1].end() + 1 :] if tries else stdout)

    @property
    def waited(self) -> str:
        """How long a polled step took or was waited for; the empty string for another one."""
        if gave_up := self._said(_GAVE_UP):
            return f"not within {gave_up[-1][1]} s ({gave_up[-1][2]} tries)"
        tries = self._said(_TRY)
        return f"after {tries[-1][2]} s" if tries and tries[-1][3] == "0" else ""

    @property
    def last_line(self) -> str:
        """The line that says why: the last one that means something, of standard error if there is one.

        A step that passed or was skipped speaks on standard output.  Of one
        that was ended, only what was said before counts: shells then say
        "Terminated" and the like.
        """
        quiet = self.completed.returncode in (0, 77)
        streams = [self.last_try, self.without_marks(self.completed.stderr)]
        for text in streams if quiet else reversed(streams):
            for line in reversed(text.partition(_ENDS)[0].splitlines()):
                if re.search(r"\w", line) and not line.startswith(("+ ", "| ", "[... ")):
                    return line.strip()[:500]
        return ""

    def tap(self) -> SubResults:
        """Return the results it printed as TAP: on its last try, or in an output too long for memory."""
        if self.completed.left_out and self.completed.log and not self._said(_TRY):
            found = parse_tap_log(self.completed.stdout, self.completed.log, self.begins, skip=self.mark)
        else:
            found = parse_tap(self.last_try)
        return found or SubResults()

    def without_marks(self, text: str) -> str:
        """Return a text without what step.sh said in it, which may follow half a line."""
        cut = ((line, *line.partition(self.mark)) for line in text.splitlines())
        return "\n".join(before if mark else line for line, before, mark, _ in cut if before or not mark)

    def _said(self, words: str) -> list[re.Match[str]]:
        """Find what step.sh said on standard output."""
        return list(re.finditer(re.escape(self.mark) + words, self.completed.stdout, re.MULTILINE))
