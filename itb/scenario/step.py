"""Runs one step on its host by ``step.sh`` and reads its output."""

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
from itb.scenario.check_results import CheckResults, parse_tap, parse_tap_log

LIBRARY = "/var/lib/itb/lib"  # on the host; survives a reboot, /run would not
_SHELL = ("bash", "-euo", "pipefail")

BOOTED = """
until state=$(systemctl is-system-running --wait 2>/dev/null) || [ "$state" = degraded ]; do sleep 0.2; done
echo "$state"
systemctl --failed --no-legend --plain
"""

# The message of podman and docker about a container that does not run.
_ENGINE_ERROR = re.compile(r"^Error.*(?:OCI runtime error|container state improper|is not running)", re.MULTILINE)
_TRY_LINE = r" try (\d+) after (\d+) s: exit status (\d+)$"
_GAVE_UP_LINE = r" gave up after (\d+) s, (\d+) tries$"
_ENDED_LINE = "| [itb] ends this command"  # printed by reap.sh into the output of the command that it ends
_NOT_ENTERED_CODES = (125, 126, 127, 137, 143, 255)  # exit codes of an engine's client that ran nothing in a host
# Exit codes of a step whose container dies. 126 and 127 are not among them: a shell in the host made those.
_CUT_OFF_CODES = (125, 137, 143, 255)
_DYING_SECONDS = 6.0  # seconds for which an engine may call a dying container running: its units end first


def command(step: Step, folder: str, script: Path | None, factor: float) -> tuple[list[str], float]:
    """Return the command line of a step on its host and its time limit in seconds.

    ``folder`` is where the scenario's files are on the host, ``script`` the
    step's script here.
    """
    program = _program(step, folder, script)
    limit = max(1, round(step.timeout * factor))
    if step.eventually is None:
        return ["bash", f"{LIBRARY}/step.sh", "once", *program], limit
    within = max(1, round(step.eventually.within * factor))
    numbers = [str(within), f"{step.eventually.every:g}", str(limit)]
    # step.sh ends the loop; this limit is for a try that it cannot kill.
    return ["bash", f"{LIBRARY}/step.sh", "poll", *numbers, *program], within + 30


def _program(step: Step, folder: str, script: Path | None) -> Sequence[str]:
    if script is None:
        return [*_SHELL, "-c", step.run or "", "step"]
    with script.open("rb") as file:
        first = file.readline(200)
    if first == b"#!/bin/bash\n":  # run it by the bash that comes with itb, not by the host's
        return ["bash", _path_on_host(folder, step, script)]
    is_program = first.startswith(b"#!")
    path = _path_on_host(folder, step, script)
    return [path] if is_program else [*_SHELL, path]


def _path_on_host(folder: str, step: Step, script: Path) -> str:
    is_library = script.parent == step_library.folder()
    return f"{LIBRARY}/{script.name}" if is_library else f"{folder}/{step.script}"


def library() -> list[FileSpec]:
    """Return ``step.sh`` and the scripts of itb that steps may use, as files of a host."""
    scripts = sorted([*step_library.folder().glob("*.sh"), *step_library.folder().glob("*.py")])
    files = [*scripts, shipped.folder("build_ws") / "hosts" / "reap.sh"]
    return [FileSpec(f"{LIBRARY}/{path.name}", source=path, mode=mode(path)) for path in files]


def mode(path: Path) -> int:
    """Return the permissions of a script on a host: executable if it is here, or begins with ``#!``."""
    with path.open("rb") as file:
        return 0o755 if file.read(2) == b"#!" or path.stat().st_mode & 0o100 else 0o644


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

    ``folder`` is the path of the scenario's folder on the host; ``note`` gets each line that the step prints.
    """
    mark = f"[itb {secrets.token_hex(4)}]"
    argv, limit = command(step, folder, script, factor)
    log_offset = log.stat().st_size if log.exists() else 0

    def note_line(line: str) -> None:
        if not line.startswith(mark):
            note(line)

    # A name that nobody can foresee: other users of the host write to /tmp, too.
    results = f"/tmp/itb-{secrets.token_hex(8)}/results"
    # The mark goes by standard input: any process of root could read it in the environment.
    mark_line = f"{mark}\n".encode()
    completed = host.run(Request(
        argv, user=step.user, env={**env, "ITB_RESULTS": results}, input=mark_line,
        timeout=limit, check=False, log=log, on_line=note_line,
    ))  # fmt: skip
    return StepOutput(completed, mark, log_offset, results)


def refuse_dead_host(host: Host, step_output: StepOutput) -> None:
    """Raise TestbedError if a step ended because its host died.

    The output of the step proves nothing: it may look like the engine's.
    """
    completed = step_output.completed
    if not step_output.entered:
        may_be_dead = completed.returncode in _NOT_ENTERED_CODES
        if may_be_dead and (_ENGINE_ERROR.search(completed.stderr) or not host.is_running()):
            raise TestbedError(
                f"host {host.role}: container {host.container} cannot be entered any more: {completed.reason}",
                evidence=completed.output,
            )
    elif completed.returncode in _CUT_OFF_CODES:
        deadline = time.monotonic() + _DYING_SECONDS
        while not (reason := host.why_not_running()) and time.monotonic() < deadline:
            host.engine.runner.stop.event.wait(0.25)
        if reason:
            raise TestbedError(reason, evidence=step_output.without_marks(completed.output))


@dataclass(frozen=True)
class StepOutput:
    """The output of a step and how it ended.

    ``mark`` begins the lines that step.sh prints; no step knows it, so none
    can forge such a line.  ``log_offset`` is where the step's output begins
    in its log (bytes), ``results`` the folder for its result files on the host.
    """

    completed: Completed
    mark: str
    log_offset: int = 0
    results: str = ""

    @property
    def entered(self) -> bool:
        """Return whether the host was entered and step.sh ran."""
        return self.mark in self.completed.stderr

    @property
    def lacks_library(self) -> bool:
        """Return whether step.sh was missing: an earlier step removed it."""
        return self.completed.returncode == 127 and not self.entered

    @property
    def left_files(self) -> bool:
        """Return whether the step left files in $ITB_RESULTS."""
        return f"{self.mark} result files in " in self.completed.stderr

    @property
    def evidence(self) -> str:
        """Return the whole output of the step, without the lines of step.sh."""
        return self.without_marks(self.completed.output)

    @property
    def last_try(self) -> str:
        """Return the standard output of the last try whose output differed from that before it."""
        tries = self._find_marked(_TRY_LINE)
        stdout = self.completed.stdout
        return self.without_marks(stdout[tries[-1].end() + 1 :] if tries else stdout)

    @property
    def gave_up(self) -> str:
        """Return for how long a step was polled without success; empty if it passed or was not polled."""
        lines = self._find_marked(_GAVE_UP_LINE)
        return f"not within {lines[-1][1]} s ({lines[-1][2]} tries)" if lines else ""

    @property
    def time_to_pass(self) -> str:
        """Return after how long a polled step passed; empty if it failed or was not polled."""
        tries = self._find_marked(_TRY_LINE)
        return f"after {tries[-1][2]} s" if tries and tries[-1][3] == "0" else ""

    @property
    def last_line(self) -> str:
        """Return the line that gives the reason: the last with a word in it, of standard error if it has one.

        Of a step that passed or was skipped, standard output comes before
        standard error.  Of one that itb ended, lines after that do not count:
        shells then print "Terminated" and the like.
        """
        passed_or_skipped = self.completed.returncode in (0, 77)
        streams = [self.last_try, self.without_marks(self.completed.stderr)]
        lines = (_last_words(text) for text in (streams if passed_or_skipped else reversed(streams)))
        return next(filter(None, lines), "")

    @property
    def last_error(self) -> str:
        """Return the last line with a word in it of standard error."""
        return _last_words(self.without_marks(self.completed.stderr))

    def parse_tap(self) -> CheckResults:
        """Return the checks that the last try printed as TAP; those of a long output are read from its log."""
        if self.completed.left_out and self.completed.log and not self._find_marked(_TRY_LINE):
            checks = parse_tap_log(self.completed.stdout, self.completed.log, self.log_offset, skip=self.mark)
            if checks and self.completed.log_is_cut:
                checks.problem = checks.problem or "printed more than its log may hold"
        else:
            checks = parse_tap(self.last_try)
        return checks or CheckResults()

    def without_marks(self, text: str) -> str:
        """Return a text without the lines of step.sh, which may begin in the middle of a line."""
        cut = ((line, *line.partition(self.mark)) for line in text.splitlines())
        return "\n".join(before if mark else line for line, before, mark, _ in cut if before or not mark)

    def _find_marked(self, pattern: str) -> list[re.Match[str]]:
        """Return the matches of ``pattern`` in the lines of step.sh on standard output."""
        return list(re.finditer(re.escape(self.mark) + pattern, self.completed.stdout, re.MULTILINE))


def _last_words(text: str) -> str:
    """Return the last line with a word in it that a program printed; what a shell traces is none."""
    for line in reversed(text.partition(_ENDED_LINE)[0].splitlines()):
        if re.search(r"\w", line) and not line.startswith(("+ ", "| ", "[... ")):
            return line.strip()[:500]
    return ""
