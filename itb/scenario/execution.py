"""Runs scenarios: tries their steps on the hosts of a testbed.

Each step is one test case and, unless it leaves result files, one call of
the container engine.  The scenario's folder and the library of scripts are
put on a host once, before the first step there.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from itb.config import step_library
from itb.config.scenario import Scenario, Step, steps_together
from itb.containers.host import Host
from itb.errors import (
    PRODUCT_ERRORS,
    InterruptedRunError,
    ItbError,
    LogLine,
    ScenarioError,
    TokenError,
    UsageError,
)
from itb.model import Case, Outcome, Remark, Try
from itb.phase import Phase
from itb.process.parallel import in_parallel
from itb.process.request import Request
from itb.rundir.journal import Journal, RunningCase
from itb.scenario import host_files, result_files, step_cases
from itb.scenario import step as scenario_step
from itb.scenario.check_results import CheckResult, CheckResults
from itb.scenario.script_context import ScriptContext
from itb.scenario.step_result import (
    FailureExplanation,
    StepResult,
    apply_known_failure,
    apply_known_failures,
    apply_preparation,
    evaluate_try,
)
from itb.util.redact import redact
from itb.util.text import count, cut, slug
from itb.util.yamlfile import nearest

PHASE = Phase.TEST
_QUOTED = 20  # failed checks of a step whose lines are looked for in its log

Action = Callable[[Host, Step], "Done"]
FindTokenRefusal = Callable[[float], str]
FindLogCause = Callable[[], tuple[str, Sequence[LogLine]]]


@dataclass(frozen=True)
class Done:
    """What an action did, for reports, and the variables that later steps get of it."""

    message: str
    env: Mapping[str, str] = field(default_factory=dict)


def check_roles(scenario: Scenario, roles: Iterable[str]) -> None:
    """Refuse a scenario that uses a role the testbed has not; raise UsageError naming the nearest."""
    known = sorted(roles)
    for role in scenario.roles:
        if role not in known:
            raise UsageError(
                f"scenario {scenario.name!r} uses role {role!r}, which the testbed has not"
                f"{nearest(role, known) or '; it has: ' + ', '.join(known)}"
            )


def reboot(host: Host, _step: Step) -> Done:
    """Reboot a host, wait until its systemd has started all units, and return its state and the time it took."""
    begun = time.monotonic()
    limits = host.engine.runner.limits
    host.restart(timeout=limits("reboot"))
    booted = host.script(scenario_step.BOOTED, Request(timeout=limits("reboot"), about="boot"))
    state, *failed = booted.stdout.splitlines()
    units = f"; failed units: {', '.join(line.split()[0] for line in failed if line.strip())}" if failed else ""
    return Done(f"{state} {time.monotonic() - begun:.1f} s after the reboot was asked for{units}")


ACTIONS: Mapping[str, Action] = {"reboot": reboot}


def run_scenario(
    scenario: Scenario,
    hosts: Mapping[str, Host],
    *,
    journal: Journal,
    context: ScriptContext,
    factor: float = 1.0,
    actions: Mapping[str, Action] | None = None,
    find_token_refusal: FindTokenRefusal | None = None,
    find_log_cause: FindLogCause | None = None,
    hosts_with_files: Iterable[str] = (),
) -> Outcome:
    """Try every step and return the worst outcome.

    ``actions`` are those that need more than the engine, by name: a step whose action there is none for is
    skipped.  ``context`` holds the values of the run that steps get, none of them secret; ``factor`` multiplies
    every time limit.  After a failed step of a scenario that needs the token, ``find_token_refusal`` returns what
    the CE refused since a time (seconds since the epoch); it raises TokenError if the token is no longer valid.
    After the first failure ``find_log_cause`` returns the cause that logs name, which is added to the message, and
    the lines it was read from.  ``hosts_with_files`` are the roles of hosts that have its files already.  Steps
    that are beside others are tried at the same time.  A failed step ends the ordinary steps unless they are
    independent, and so does a preparation that is skipped; ``always`` steps follow unless the run was interrupted.

    Raises UsageError before anything is tried if a role is missing.
    """
    check_roles(scenario, hosts)
    if reason := context.unmet_need(scenario.needs):
        for key in step_cases.planned_cases(scenario, context.services):
            with journal.case(*key) as case:
                case.skip(reason)
        return Outcome.SKIPPED
    find_token_refusal = find_token_refusal if scenario.needs.token else None
    scenario_run = _ScenarioRun(
        scenario, hosts, journal, context, factor, {**ACTIONS, **(actions or {})},
        find_token_refusal, find_log_cause, hosts_with_files=set(hosts_with_files),
    )  # fmt: skip
    for group in steps_together(scenario.steps):
        if scenario_run.unprepared:
            scenario_run.skip_steps(group, scenario_run.unprepared)
        elif scenario_run.last_failure and not scenario.independent:
            scenario_run.skip_steps(group, f"{scenario_run.last_failure} failed before")
        else:
            scenario_run.try_steps(group)
    for group in steps_together(scenario.always):
        scenario_run.try_steps(group)
    return scenario_run.worst()


@dataclass
class _TriedStep:
    """What became of a step: what of it failed if it has, and why what it prepares is not there."""

    failure: str
    outcome: Outcome = Outcome.ERROR
    has_failed: bool = False
    unprepared: str = ""


@dataclass
class _ScenarioRun:
    """Runs the steps of one scenario and records their outcomes."""

    scenario: Scenario
    hosts: Mapping[str, Host]
    journal: Journal
    context: ScriptContext
    factor: float
    actions: Mapping[str, Action]
    find_token_refusal: FindTokenRefusal | None = None
    find_log_cause: FindLogCause | None = None
    outcomes: list[Outcome] = field(default_factory=list)
    last_failure: str = ""  # the ordinary step, or check of one, that failed last
    unprepared: str = ""  # why what follows cannot be tried: what could not be prepared
    hosts_with_files: set[str] = field(default_factory=set)
    of_actions: dict[str, str] = field(default_factory=dict)  # variables that steps get of actions before them
    trace_id: str = field(default_factory=lambda: secrets.token_hex(4))  # tells its jobs' traces from earlier ones

    def worst(self) -> Outcome:
        """Return the worst outcome of all steps."""
        for outcome in (Outcome.ERROR, Outcome.FAILED, Outcome.PASSED):
            if outcome in self.outcomes:
                return outcome
        return Outcome.SKIPPED

    def skip_steps(self, steps: Iterable[Step], reason: str) -> None:
        """Report steps that are not tried."""
        for step in steps:
            for key in step_cases.cases_of_step(self.scenario, step, self.context.services):
                with self.journal.case(*key) as case:
                    case.skip(reason)
            self.outcomes.append(Outcome.SKIPPED)

    def try_steps(self, steps: Sequence[Step]) -> None:
        """Try steps on different hosts at the same time; what follows is told of the first that failed.

        Of steps that only prepare, none may fail, and one has to be done.
        """
        tried = list(in_parallel(range(len(steps)), lambda number: self._try_step(steps[number])).values())
        self.outcomes += [item.outcome for item in tried]
        failures = [item.failure for item in tried if item.outcome in (Outcome.FAILED, Outcome.ERROR)]
        self.last_failure = failures[0] if failures else self.last_failure
        unprepared = [item for item in tried if item.unprepared]
        failed = [item for item in unprepared if item.has_failed]
        if failed or len(unprepared) == len(tried):
            self.unprepared = (failed or unprepared)[0].unprepared

    def _try_step(self, step: Step) -> _TriedStep:
        """Try a step as one case; a broken testbed makes it an error, an interruption ends the scenario."""
        tried = _TriedStep(f"step {step.name!r}")
        try:
            with self.journal.case(*step_cases.step_case(self.scenario, step)) as case:
                case.log = self._log(step)
                case.log.parent.mkdir(parents=True, exist_ok=True)
                case.log.unlink(missing_ok=True)
                result = apply_known_failure(step, self._try_with_retries(step, case))
                tried.has_failed = result.outcome is Outcome.FAILED
                result = apply_preparation(step, result)
                if step.preparation and result.outcome is Outcome.SKIPPED:
                    tried.unprepared = f"{step.name}: {result.message}"
                tried.outcome = self._report(step, case, result)
                tried.failure = f"a check of {tried.failure}" if result.only_checks_failed else tried.failure
        except InterruptedRunError:
            raise
        except ItbError:
            pass  # the case reports it
        return tried

    def _log(self, step: Step) -> Path:
        number = [other.name for other in (*self.scenario.steps, *self.scenario.always)].index(step.name) + 1
        return self.journal.rundir.results / slug(self.scenario.name) / f"{number:02d}-{slug(step.name)}.log"

    def _try_with_retries(self, step: Step, case: RunningCase) -> StepResult:
        """Try a step as often as ``flaky`` allows; the message says how often it failed."""
        first_message = ""
        for number in range(1, step.flaky + 2):
            began = time.time()
            result = self._try_once(step, case)
            if result.outcome is not Outcome.FAILED:
                break
            first_message = first_message or result.full_message
            if number <= step.flaky:
                case.note(f"flaky: try {number} failed, trying again")
                seconds = max(0.0, time.time() - began)
                details = {"message": result.full_message, "evidence": cut(redact(result.evidence))}
                case.tries.append(Try(outcome=result.outcome, started=began, seconds=seconds, **details))
        if first_message and result.outcome is not Outcome.FAILED:
            result.message = f"flaky: passed only at try {number}; the first failed: {first_message}"
            result.remark = Remark.FLAKY if result.outcome is Outcome.PASSED else None
        elif first_message and step.flaky:
            result.note = f" (failed {count(number, 'time')})"
        return result

    def _try_once(self, step: Step, case: RunningCase) -> StepResult:
        host = self.hosts[step.role]
        if step.action:
            return self._run_action(step, step.action, host)
        step_output = self._run(step, case, host)
        if step_output.lacks_library:
            self.hosts_with_files.discard(host.role)
            step_output = self._run(step, case, host)
        scenario_step.refuse_dead_host(host, step_output)
        checks = step_output.parse_tap()
        if step_output.left_files:
            checks.extend(self._fetch_results(case, host, step_output.results))
        if self.scenario.needs.own_tests and self.context.own_tests:
            apply_known_failures(checks, self.context.own_tests.known_failures)
        result = evaluate_try(step_output, checks, role=host.role)
        missing = step_cases.missing_results(step, checks, self.context.services)
        if result.outcome is Outcome.PASSED and missing:
            message = f"declared results that it has not listed: {', '.join(missing)}"
            return StepResult(Outcome.FAILED, message, checks=checks)
        return result

    def _run(self, step: Step, case: RunningCase, host: Host) -> scenario_step.StepOutput:
        self._put_files(host)
        script = step_library.script_file(self.scenario.folder, step.script) if step.script else None
        assert case.log is not None
        return scenario_step.run(
            host,
            step,
            script=script,
            folder=host_files.folder_on_host(self.scenario),
            env=self._environment(step),
            factor=self.factor,
            log=case.log,
            note=case.note,
        )

    def _fetch_results(self, case: RunningCase, host: Host, folder: str) -> CheckResults:
        assert case.log is not None
        private = self.journal.rundir.tokens if self.journal.rundir.tokens.is_dir() else None
        return result_files.fetch_results(host, folder, case.log.with_suffix(""), private=private)

    def _run_action(self, step: Step, name: str, host: Host) -> StepResult:
        if name not in self.actions:
            return StepResult(Outcome.SKIPPED, f"no action {name} here: only the run's own issuer issues tokens")
        if name == "reboot":
            self.hosts_with_files.discard(host.role)
        try:
            done = self.actions[name](host, step)
            self.of_actions |= done.env
            return StepResult(Outcome.PASSED, done.message)
        except ScenarioError as error:
            return StepResult(Outcome.FAILED, error.message, error.evidence)

    def _put_files(self, host: Host) -> None:
        """Put the scenario's folder on a host, once."""
        if host.role in self.hosts_with_files:
            return
        host_files.put(self.scenario, host)
        self.hosts_with_files.add(host.role)

    def _environment(self, step: Step) -> dict[str, str]:
        return {
            **self.context.step_environment(step.role, self.scenario.env),
            **self.of_actions,
            **step.env,
            "ITB_ROLE": step.role,
            "ITB_SCENARIO": self.scenario.name,
            "ITB_TRACE_ID": self.trace_id,
            "ITB_ATTEMPT": self.trace_id,  # its name in 0.1
            "ITB_SCENARIO_DIR": host_files.folder_on_host(self.scenario),
            "ITB_LIB": scenario_step.LIBRARY,
            "ITB_TIMEOUT_FACTOR": f"{self.factor:g}",
            "USER": step.user,
            "LOGNAME": step.user,
        }

    def _report(self, step: Step, running_case: RunningCase, result: StepResult) -> Outcome:
        """Report a result as the case of the step, after one case for each of its checks; return its outcome.

        A failure is reported once: where only checks failed, by their cases and not by the step's.
        """
        is_failed = result.outcome is Outcome.FAILED
        explanation = self._explain(step, running_case, result) if is_failed else FailureExplanation()
        only_class = FailureExplanation(explanation.error_class)
        of_check = explanation if result.only_checks_failed else only_class
        quoted = {id(check) for check in result.checks.failed[:_QUOTED]}
        for name, check in result.checks.with_unique_names():
            case = self._check_case(step, running_case, name, check)
            if check.outcome is Outcome.FAILED:
                quotes = result.quotes_of(check) if id(check) in quoted else ()
                message = of_check.explain(check.message)
                case = self._with_error(case, of_check.error(message, check.evidence, quotes, running_case.log))
                of_check = only_class  # the first failed check has the explanation
            self.journal.add(case)
        for name in step_cases.missing_results(step, result.checks, self.context.services):
            with self.journal.case(*step_cases.result_case(self.scenario, step, name)) as missing:
                missing.skip(f"not listed by its step: {result.full_message}")
        if is_failed and not result.only_checks_failed:
            message = result.add_remarks(explanation.explain(result.message))
            error = explanation.error(message, result.evidence, result.quotes, running_case.log)
            running_case.set_from_error(error)
            return running_case.outcome
        running_case.remark = result.remark
        if result.outcome is Outcome.SKIPPED:
            running_case.skip(result.message)
        else:
            running_case.passed(result.checks_message if result.only_checks_failed else result.message)
        return result.outcome

    def _explain(self, step: Step, case: RunningCase, result: StepResult) -> FailureExplanation:
        """Return who is at fault for a failed step, and the cause that logs name.

        Raises TestbedError if the testbed is at fault.
        """
        error = ScenarioError(result.full_message, evidence=result.evidence, log=case.log, quotes=result.quotes)
        diagnosed = self.journal.diagnose(step.role, error)
        if diagnosed is not error:
            raise diagnosed
        try:
            refused = self.find_token_refusal(case.began) if self.find_token_refusal else ""
        except TokenError as token_error:
            return FailureExplanation(TokenError, before=f"{token_error.message}; without it: ")
        cause: str = ""
        quotes: Sequence[LogLine] = ()
        if self.find_log_cause and Outcome.FAILED not in self.outcomes and not result.names_cause:
            cause, quotes = self.find_log_cause()
        return FailureExplanation(
            after=f"; {cause}" if cause else "",
            evidence=f"the CE on tokens: {refused}\n\n" if refused else "",
            quotes=quotes,
        )

    def _check_case(self, step: Step, case: RunningCase, name: str, check: CheckResult) -> Case:
        key = step_cases.result_case(self.scenario, step, name)
        return Case(
            phase=key.phase,
            role=key.role,
            name=redact(key.name),
            outcome=check.outcome,
            message=check.message,
            evidence=check.evidence,
            log=self.journal.rundir.relative(case.log),
            started=case.began,
            seconds=check.seconds,
        )

    def _with_error(self, case: Case, error: ItbError) -> Case:
        """Return the case of a failed check with the message, evidence and lines of an error."""
        return case.model_copy(
            update={
                "outcome": Outcome.FAILED if isinstance(error, PRODUCT_ERRORS) else Outcome.ERROR,
                "message": error.message,
                "evidence": cut(redact(error.evidence)),
                "quotes": tuple(self.journal.rundir.quote(line) for line in error.quotes),
                "exit_code": error.exit_code,
            }
        )
