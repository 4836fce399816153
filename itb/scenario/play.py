"""The scenario engine: tries the steps of a scenario on the hosts of a testbed.

Each step is one test case and, unless it leaves result files behind, one
call of the container engine.  The scenario's folder and the library its
scripts may use are put on a host once, before the first step there.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from itb.config import step_library
from itb.config.scenario import Scenario, Step
from itb.containers.host import FileSpec, Host
from itb.errors import ExitCode, InterruptedRunError, ItbError, ScenarioError, TestbedError, TokenError, UsageError
from itb.model import Case, Outcome, Phase
from itb.process.request import Request
from itb.rundir.journal import Journal, Trial
from itb.scenario import result_files
from itb.scenario import step as scenario_step
from itb.scenario.environment import RunFacts
from itb.scenario.results import SubResult, SubResults
from itb.util.redact import redact
from itb.util.yamlfile import nearest

PHASE = Phase.TEST
SKIP = 77  # exit status that means "cannot be tried here" (automake, autopkgtest)
ON_HOST = "/var/lib/itb/scenarios"

Action = Callable[[Host], str]
Diagnose = Callable[[float], str]


def check(scenario: Scenario, roles: Iterable[str]) -> None:
    """Refuse a scenario that uses a role the testbed has not; UsageError naming the nearest."""
    known = sorted(roles)
    for role in scenario.roles:
        if role not in known:
            raise UsageError(
                f"scenario {scenario.name!r} uses role {role!r}, which the testbed has not"
                f"{nearest(role, known) or '; it has: ' + ', '.join(known)}"
            )


def reboot(host: Host) -> str:
    """Reboot a host and wait until its systemd has started what it starts; say how that went."""
    begun = time.monotonic()
    limits = host.engine.runner.limits
    argv, about = ("restart", "--time", "60", host.container), f"reboot of host {host.role}"
    host.engine.run(Request(argv, host=host.role, timeout=limits("reboot"), about=about))
    booted = host.script(scenario_step.BOOTED, Request(timeout=limits("reboot"), about="boot"))
    state, *failed = booted.stdout.splitlines()
    units = f"; failed units: {', '.join(line.split()[0] for line in failed if line.strip())}" if failed else ""
    return f"{state} {time.monotonic() - begun:.1f} s after the reboot was asked for{units}"


ACTIONS: Mapping[str, Action] = {"reboot": reboot}


def run_scenario(
    scenario: Scenario,
    hosts: Mapping[str, Host],
    *,
    journal: Journal,
    facts: RunFacts,
    factor: float = 1.0,
    actions: Mapping[str, Action] | None = None,
    diagnose: Diagnose | None = None,
    explain: Callable[[], str] | None = None,
) -> Outcome:
    """Try every step and return the worst outcome.

    ``facts`` are what the steps are told of the run, never secret; ``factor``
    multiplies every time limit; ``diagnose`` is asked what the CE refused since
    a time (seconds since the epoch) when a step of a scenario that needs the
    token has failed, and raises TokenError if there is no valid one any more;
    ``explain`` is asked, after the first failure, for the cause logs name,
    which the message then says too.  A step that fails ends the ordinary steps
    unless they are independent; ``always`` steps follow in any case but an
    interruption.

    Raises UsageError before anything is tried if a role is missing.
    """
    check(scenario, hosts)
    if reason := facts.unmet(scenario.needs):
        with journal.case(PHASE, "", f"{scenario.name}: {scenario.title}") as trial:
            trial.skip(reason)
        return Outcome.SKIPPED
    asked = diagnose if scenario.needs.token else None
    play = _Play(scenario, hosts, journal, facts, factor, actions or ACTIONS, asked, explain)
    failed = ""
    for number, step in enumerate(scenario.steps, 1):
        if failed and not scenario.independent:
            play.leave_out(step, f"step {failed!r} failed before")
        elif play.try_step(number, step) in (Outcome.FAILED, Outcome.ERROR):
            failed = step.name
    for number, step in enumerate(scenario.always, len(scenario.steps) + 1):
        play.try_step(number, step)
    return play.worst()


@dataclass
class _Verdict:
    """How one try of a step went."""

    outcome: Outcome
    message: str
    evidence: str = ""
    results: SubResults = field(default_factory=SubResults)


@dataclass
class _Play:
    """A scenario on its way."""

    scenario: Scenario
    hosts: Mapping[str, Host]
    journal: Journal
    facts: RunFacts
    factor: float
    actions: Mapping[str, Action]
    diagnose: Diagnose | None = None
    explain: Callable[[], str] | None = None
    outcomes: list[Outcome] = field(default_factory=list)
    staged: set[str] = field(default_factory=set)

    def worst(self) -> Outcome:
        """The outcome of all steps together."""
        for outcome in (Outcome.ERROR, Outcome.FAILED, Outcome.PASSED):
            if outcome in self.outcomes:
                return outcome
        return Outcome.SKIPPED

    def leave_out(self, step: Step, reason: str) -> None:
        """Report a step that is not tried."""
        with self.journal.case(PHASE, step.role, self._title(step)) as trial:
            trial.skip(reason)
        self.outcomes.append(Outcome.SKIPPED)

    def try_step(self, number: int, step: Step) -> Outcome:
        """Try a step as one case; a broken testbed makes it an error, an interruption goes on up."""
        outcome = Outcome.ERROR
        try:
            with self.journal.case(PHASE, step.role, self._title(step)) as trial:
                trial.log = self._log(number, step)
                trial.log.parent.mkdir(parents=True, exist_ok=True)
                trial.log.unlink(missing_ok=True)
                verdict = self._with_retries(step, trial)
                verdict = excuse(step, verdict) if step.known_failure else verdict
                self._report(step, trial, verdict)
                outcome = trial.outcome
        except InterruptedRunError:
            raise
        except ItbError:
            pass  # the case has it
        self.outcomes.append(outcome)
        return outcome

    def _title(self, step: Step) -> str:
        return f"{self.scenario.name}: {step.name}"

    def _log(self, number: int, step: Step) -> Path:
        return self.journal.rundir.results / slug(self.scenario.name) / f"{number:02d}-{slug(step.name)}.log"

    def _with_retries(self, step: Step, trial: Trial) -> _Verdict:
        """Try a step as often as ``flaky`` allows, and say so."""
        first = ""
        for tried in range(1, step.flaky + 2):
            verdict = self._once(step, trial)
            if verdict.outcome is not Outcome.FAILED:
                break
            first = first or verdict.message
            if tried <= step.flaky:
                trial.note(f"flaky: try {tried} failed, trying again")
        if first and verdict.outcome is not Outcome.FAILED:
            verdict.message = f"flaky: passed only at try {tried}; the first failed: {first}"
        elif first and step.flaky:
            verdict.message = f"{verdict.message} (failed {tried} times)"
        return verdict

    def _once(self, step: Step, trial: Trial) -> _Verdict:
        host = self.hosts[step.role]
        if step.action:
            return self._act(step.action, host)
        step_output = self._run(step, trial, host)
        if step_output.lacks_library:
            self.staged.discard(host.role)
            step_output = self._run(step, trial, host)
        scenario_step.refuse_dead_host(host, step_output)
        results = step_output.tap()
        if step_output.left_files:
            results.extend(self._fetch(trial, host, self._results(trial)))
        return judge(step_output, results)

    def _run(self, step: Step, trial: Trial, host: Host) -> scenario_step.StepOutput:
        self._stage(host)
        script = step_library.script_file(self.scenario.folder, step.script) if step.script else None
        assert trial.log is not None
        return scenario_step.run(
            host,
            step,
            script=script,
            folder=self._folder,
            env=self._environment(step, trial),
            factor=self.factor,
            log=trial.log,
            note=trial.note,
        )

    def _fetch(self, trial: Trial, host: Host, folder: str) -> SubResults:
        assert trial.log is not None
        private = self.journal.rundir.tokens if self.journal.rundir.tokens.is_dir() else None
        return fetch_results(host, folder, trial.log.with_suffix(""), private=private)

    def _act(self, name: str, host: Host) -> _Verdict:
        self.staged.discard(host.role)
        try:
            return _Verdict(Outcome.PASSED, self.actions[name](host))
        except ScenarioError as error:
            return _Verdict(Outcome.FAILED, error.message, error.evidence)

    def _stage(self, host: Host) -> None:
        """Put the scenario's folder on a host, once."""
        if host.role in self.staged:
            return
        target, folder = self._folder, self.scenario.folder
        files = [
            FileSpec(f"{target}/{path.relative_to(folder)}", content, scenario_step.mode(path, content))
            for path, content in folder_content(folder)
        ]
        host.put(*scenario_step.library(), *files)
        self.staged.add(host.role)

    @property
    def _folder(self) -> str:
        """Where the scenario's folder is on a host."""
        return f"{ON_HOST}/{slug(self.scenario.name)}"

    def _results(self, trial: Trial) -> str:
        assert trial.log is not None
        return f"/tmp/itb-{slug(self.scenario.name)}-{trial.log.stem}"

    def _environment(self, step: Step, trial: Trial) -> dict[str, str]:
        return {
            **self.facts.step_environment(step.role, self.scenario.env),
            **step.env,
            "ITB_ROLE": step.role,
            "ITB_SCENARIO": self.scenario.name,
            "ITB_SCENARIO_DIR": self._folder,
            "ITB_LIB": scenario_step.LIBRARY,
            "ITB_RESULTS": self._results(trial),
            "ITB_TIMEOUT_FACTOR": f"{self.factor:g}",
            "USER": step.user,
            "LOGNAME": step.user,
        }

    def _report(self, step: Step, trial: Trial, verdict: _Verdict) -> None:
        """Turn a verdict into the case of the step and those of its sub-results, which come first."""
        if verdict.outcome is Outcome.FAILED:
            seen = ScenarioError(verdict.message, evidence=verdict.evidence, log=trial.log)
            judged = self.journal.judged(step.role, seen)
            if judged is not seen:
                raise judged
        for name, item in verdict.results.named():
            self.journal.add(self._sub_case(step, trial, name, item))
        if verdict.outcome is Outcome.FAILED:
            self._blame(trial, verdict)
        elif verdict.outcome is Outcome.SKIPPED:
            trial.skip(verdict.message)
        else:
            trial.passed(verdict.message)

    def _blame(self, trial: Trial, verdict: _Verdict) -> None:
        """Call a failed step the product's fault, unless there was no token to do it with."""
        try:
            known = self.diagnose(trial.began) if self.diagnose else ""
        except TokenError as error:
            message = f"{error.message}; without it: {verdict.message}"
            trial.error(message, exit_code=error.exit_code, evidence=verdict.evidence, log=trial.log)
            return
        if self.explain and Outcome.FAILED not in self.outcomes and (cause := self.explain()):
            verdict.message += f"; {cause}"
        evidence = f"the CE on tokens: {known}\n\n{verdict.evidence}" if known else verdict.evidence
        trial.fail(verdict.message, exit_code=ScenarioError.exit_code, evidence=evidence, log=trial.log)

    def _sub_case(self, step: Step, trial: Trial, name: str, item: SubResult) -> Case:
        return Case(
            phase=PHASE,
            role=step.role,
            name=redact(f"{self._title(step)}: {name}"),
            outcome=item.outcome,
            message=redact(item.message),
            evidence=redact(item.evidence),
            log=self.journal.rundir.relative(trial.log),
            started=trial.began,
            seconds=item.seconds,
            exit_code=ScenarioError.exit_code if item.outcome is Outcome.FAILED else ExitCode.PASSED,
        )


def judge(step_output: scenario_step.StepOutput, results: SubResults) -> _Verdict:
    """Say how a try went from its exit status and its sub-results."""
    completed, last = step_output.completed, step_output.last_line
    empty = completed.ok and results.skipped and not results.items and not results.problem
    if completed.returncode == SKIP or empty:
        return _Verdict(Outcome.SKIPPED, results.skipped or last or "skipped without a reason", results=results)
    failed = results.failed
    waited = step_output.waited
    if completed.ok and not step_output.entered:
        message = "what runs steps on this host did not run, and yet it ended with exit status 0"
    elif failed:
        more = f" (and {len(failed) - 1} more of {len(results.items)})" if len(failed) > 1 else ""
        message = f"{failed[0].name}: {failed[0].message}{more}"
    elif results.problem:
        message = results.problem
    elif completed.timed_out:
        message = f"no end within {completed.limit:g} s" + (f"; last: {last}" if last else "")
    elif not completed.ok:
        message = last or f"exit status {completed.returncode} without a word"
    else:
        listed = f", {len(results.items)} of them listed" if results.left_out else ""
        seen = f"{len(results.items) + results.left_out} checks{listed}" if results.items else last
        message = "; ".join(part for part in (waited, seen) if part)
        return _Verdict(Outcome.PASSED, message, results=results)
    return _Verdict(Outcome.FAILED, f"{waited}: {message}" if waited else message, step_output.evidence, results)


def excuse(step: Step, verdict: _Verdict, *, today: str = "") -> _Verdict:
    """Apply a step's ``known_failure``: excused up to its date, and never silently."""
    known = step.known_failure
    if known is None or verdict.outcome is Outcome.SKIPPED:
        return verdict
    now = today or datetime.now(UTC).date().isoformat()
    until = known.until.isoformat()
    if verdict.outcome is Outcome.PASSED:
        verdict.message = f"passed, but known_failure is declared until {until} ({known.reason}): remove it"
    elif now > until:
        verdict.message += f" (known failure, but the exception expired on {until}: {known.reason})"
    else:
        verdict.message = f"known failure until {until}: {known.reason}; this time: {verdict.message}"
        verdict.outcome = Outcome.SKIPPED
        verdict.results.items = [_excused(item, known.reason) for item in verdict.results.items]
    return verdict


def _excused(item: SubResult, reason: str) -> SubResult:
    if item.outcome is not Outcome.FAILED:
        return item
    return SubResult(item.name, Outcome.SKIPPED, f"known failure: {reason}; {item.message}", "", item.seconds)


def fetch_results(host: Host, folder: str, destination: Path, *, private: Path | None = None) -> SubResults:
    """Bring the files a step left in a folder of its host here and return what its JUnit files say.

    ``private`` is a directory only this user can read, where they pass by unredacted for a moment.
    """
    with tempfile.TemporaryDirectory(prefix="results-", dir=private) as passing:
        archive = Path(passing) / "results.tar"
        limit = host.engine.runner.limits("results")
        fetch = [*result_files.FETCH, folder]
        host.run(Request(fetch, stdout_to=archive, timeout=limit, about="fetch result files"))
        return result_files.read(archive, destination)


def folder_content(folder: Path) -> list[tuple[Path, bytes]]:
    """Files of a scenario's folder that its steps may use; what lies outside by a link is refused."""
    found = []
    root = folder.resolve()
    for path in sorted(folder.rglob("*")):
        if path.name == "scenario.yaml" or "__pycache__" in path.parts or not path.is_file():
            continue
        if not path.resolve().is_relative_to(root):
            raise UsageError(f"{path}: links to a file outside of the scenario's folder")
        try:
            found.append((path, path.read_bytes()))
        except OSError as error:
            raise TestbedError(f"{path}: cannot be read: {error.strerror}") from None
    return found


def slug(text: str) -> str:
    """Return a text as a file name: lower-case words joined by hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60] or "unnamed"
