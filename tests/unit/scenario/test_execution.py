"""The scenario engine with a recorded runner: what it asks the container engine, what it makes of the answers."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import date, timedelta
from pathlib import Path

import pytest

from itb.config import lookup, scenario
from itb.config.product import TokenDelivery
from itb.containers.engine import Engine
from itb.containers.host import Host
from itb.errors import InterruptedRunError, LogLine, ScenarioError, TokenError, UsageError
from itb.model import Case, Outcome, Quote
from itb.process.request import Request
from itb.process.result import Completed
from itb.process.runner import Runner
from itb.rundir.directory import RunDir
from itb.rundir.journal import Journal
from itb.scenario import execution
from itb.scenario.script_context import ScriptContext

Answer = tuple[int, str, str]  # exit status, standard output, standard error
FINE: Answer = (0, "", "")
NOT_ENTERED = 125  # the engine's own status: step.sh never ran
OUTSIDE = "bash: /var/lib/itb"  # said by what should have run step.sh


class RecordedRunner(Runner):
    """Stands for the container engine: records its calls and returns the answers that a test gives."""

    def __init__(self, answer: Callable[[str], Answer]) -> None:
        super().__init__()
        self.answer = answer
        self.calls: list[list[str]] = []
        self.runs = 1000  # how often the container is called running when asked

    def run(self, request: Request) -> Completed:
        argv = request.argv
        self.calls.append(list(argv))
        if "step.sh" not in " ".join(argv):
            self.runs -= "inspect" in argv
            state = json.dumps([{"State": {"Running": self.runs >= 0}}]) if "inspect" in argv else ""
            return Completed(tuple(argv), 0, state, "", 0.0)
        code, out, err = self.answer(argv[-2] if argv[-1] == "step" else argv[-1])
        assert isinstance(request.input, bytes)
        mark = request.input.decode().strip()
        assert mark
        assert mark not in " ".join(argv)  # neither in words nor in the environment
        err = err if code == NOT_ENTERED or err.startswith(OUTSIDE) else f"<mark> begun\n{err}"
        return Completed(tuple(argv), code, out.replace("<mark>", mark), err.replace("<mark>", mark), 1.0)

    @property
    def steps(self) -> list[list[str]]:
        """The calls that ran a step."""
        return [call for call in self.calls if "step.sh" in " ".join(call)]


class ScenarioBench:
    """A folder for scenarios, hosts that do not exist and a journal that does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rundir = RunDir(folder / "runs" / "x")
        self.rundir.path.mkdir(parents=True)
        self.journal = Journal(self.rundir)
        self.runner = RecordedRunner(lambda _: FINE)

    def load(self, text: str, **files: str) -> scenario.Scenario:
        play = self.folder / "play"
        play.mkdir(exist_ok=True)
        (play / "scenario.yaml").write_text(text)
        for name, content in files.items():
            (play / name.replace("_", ".")).write_text(content)
        return lookup.load_scenario(str(play))

    def perform(
        self,
        text: str,
        answers: Mapping[str, Answer] | Callable[[str], Answer] | None = None,
        *,
        context: ScriptContext | None = None,
        factor: float = 1.0,
        find_token_refusal: execution.FindTokenRefusal | None = None,
        actions: Mapping[str, execution.Action] | None = None,
        runs: int = 1000,
        hosts_with_files: Iterable[str] = (),
        **files: str,
    ) -> list[Case]:
        loaded = self.load(text, **files)
        answer = answers if callable(answers) else lambda line: (answers or {}).get(line, FINE)
        self.runner = RecordedRunner(answer)
        self.runner.runs = runs
        engine = Engine(self.runner)
        hosts = {role: Host(engine, f"box-{role}", role) for role in ("ce", "factory")}
        execution.run_scenario(
            loaded,
            hosts,
            journal=self.journal,
            context=context or ScriptContext(),
            factor=factor,
            actions=actions,
            find_token_refusal=find_token_refusal,
            hosts_with_files=hosts_with_files,
        )
        return self.journal.cases


@pytest.fixture
def bench(tmp_path: Path) -> ScenarioBench:
    return ScenarioBench(tmp_path)


def steps(*lines: str, more: str = "") -> str:
    listed = "".join(f"  - {{{line}}}\n" for line in lines)
    return f"title: a play\n{more}steps:\n{listed}"


def brief(cases: list[Case]) -> list[tuple[str, str]]:
    return [(case.name.removeprefix("play: "), str(case.outcome)) for case in cases]


# -- the file


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            steps("name: a, role: ce, rum: 'true'"),
            r"scenario\.yaml:3: unknown key 'steps\.0\.rum'; did you mean 'run'",
        ),
        (steps("name: a, role: ce"), "exactly one of run, script and action"),
        (steps("name: a, role: ce, run: x, script: y"), "exactly one of run, script and action"),
        (steps("name: a, role: ce, run: x", "name: a, role: ce, run: y"), "two steps are named 'a'"),
        (steps("name: a, role: ce, run: x, timeout: 0"), "greater than 0"),
        (steps("name: a, role: ce, run: x, user: '$(reboot)'"), "user"),
        (steps("name: a, role: ce, run: x, eventually: {every: 2}"), "'steps.0.eventually.within' is missing"),
        (steps("name: a, role: ce, run: x, known_failure: {until: someday, reason: x}"), "until"),
        (steps("name: a, role: ce, script: ../other.sh"), "is not a file in"),
        (steps("name: a, role: ce, script: none.sh"), "is not a file in"),
        ("title: a play\nsteps: []\n", "at least 1"),
        ("title: a play\n", "'steps' is missing"),
    ],
)
def test_wrong_files_are_refused_with_line_and_key(bench: ScenarioBench, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        bench.load(text)


def test_a_role_the_testbed_has_not_is_refused_with_the_nearest(bench: ScenarioBench) -> None:
    loaded = bench.load(steps("name: a, role: factroy, run: x"))
    with pytest.raises(UsageError, match=r"'play' uses role 'factroy'.*did you mean 'factory'"):
        execution.check_roles(loaded, ["ce", "factory"])
    with pytest.raises(UsageError, match="testbed has not"):
        bench.perform(steps("name: a, role: ce, run: x", more="needs: {roles: [spare]}\n"))
    assert bench.journal.cases == []


# -- outcomes


def test_exit_statuses_pass_skip_and_fail_with_the_line_that_matters(bench: ScenarioBench) -> None:
    cases = bench.perform(
        steps(
            "name: good, role: ce, run: one",
            "name: odd, role: factory, run: two",
            "name: bad, role: ce, run: three",
        ),
        {
            "one": (0, "noise\n3 slots\n", "a warning\n"),
            "two": (77, "no such thing here\n", ""),
            "three": (3, "progress\n", "+ set -x noise\nTraceback:\nValueError: broken\n---\n"),
        },
    )
    assert brief(cases) == [("good", "passed"), ("odd", "skipped"), ("bad", "failed")]
    assert [case.message for case in cases] == ["3 slots", "no such thing here", "ValueError: broken"]
    assert [case.exit_code for case in cases] == [0, 0, ScenarioError.exit_code]
    assert cases[2].log == "results/play/03-bad.log"
    assert "Traceback" in cases[2].evidence


def test_a_step_names_the_line_of_a_log_that_it_read(bench: ScenarioBench) -> None:
    reason = "no worker; its collector let one not in (/var/log/condor/CollectorLog:12): DENIED (see :7) (x:1)"
    (case,) = bench.perform(steps("name: a, role: factory, run: x"), {"x": (1, f"{reason}\n", "")})
    named = Quote(file="hosts/factory/var/log/condor/CollectorLog", line=12, text="")
    assert case.quotes == (named, Quote(text=reason))


def test_without_a_word_the_status_is_the_message(bench: ScenarioBench) -> None:
    assert bench.perform(steps("name: a, role: ce, run: x"), {"x": (139, "", "")})[0].message == (
        "exit status 139, no output"
    )


def test_after_a_failure_only_always_steps_are_tried(bench: ScenarioBench) -> None:
    text = steps("name: a, role: ce, run: x", "name: b, role: ce, run: y") + (
        "always:\n  - {name: evidence, role: ce, run: z}\n"
    )
    cases = bench.perform(text, {"x": (1, "", "no")})
    assert brief(cases) == [("a", "failed"), ("b", "skipped"), ("evidence", "passed")]
    assert cases[1].message == "step 'a' failed before"


def test_independent_steps_are_all_tried(bench: ScenarioBench) -> None:
    text = steps("name: a, role: ce, run: x", "name: b, role: ce, run: y", more="independent: true\n")
    assert brief(bench.perform(text, {"x": (1, "", "no")})) == [("a", "failed"), ("b", "passed")]


@pytest.mark.parametrize(
    ("needs", "reason"),
    [
        ("{token: true}", "needs a token"),
        ("{products: [glideinwms]}", "needs product glideinwms, this is pocketwms"),
        ("{platforms: [el9, el8]}", "needs platform el9 or el8, this is deb13"),
    ],
)
def test_an_unmet_need_skips_every_step(bench: ScenarioBench, needs: str, reason: str) -> None:
    context = ScriptContext(product="pocketwms", platform="deb13")
    text = steps("name: a, role: ce, run: x", "name: b, role: ce, run: y", more=f"needs: {needs}\n")
    cases = bench.perform(text, context=context)
    assert [(case.outcome, reason in case.message) for case in cases] == [("skipped", True)] * 2
    assert bench.runner.calls == []


def test_flaky_steps_are_retried_and_say_so(bench: ScenarioBench) -> None:
    answers = iter([(1, "", "first"), (1, "", "second"), (0, "good", "")])
    cases = bench.perform(steps("name: a, role: ce, run: x, flaky: 2"), lambda _: next(answers))
    assert brief(cases) == [("a", "passed")]
    assert cases[0].message == "flaky: passed only at try 3; the first failed: first"


def test_flaky_steps_that_never_pass_fail_with_the_count(bench: ScenarioBench) -> None:
    cases = bench.perform(steps("name: a, role: ce, run: x, flaky: 1"), {"x": (1, "", "no")})
    assert (cases[0].outcome, cases[0].message) == (Outcome.FAILED, "no (failed 2 times)")


def known(until: date, answer: Answer, bench: ScenarioBench) -> list[Case]:
    line = f"name: a, role: ce, run: x, known_failure: {{until: {until}, reason: bug 12}}"
    return bench.perform(steps(line, "name: b, role: ce, run: y"), {"x": answer})


def test_a_known_failure_is_a_skip_up_to_its_date_and_does_not_stop_the_rest(bench: ScenarioBench) -> None:
    cases = known(date.today() + timedelta(days=1), (1, "1..1\nnot ok 1 - sub\n# broken\n", "no"), bench)
    assert brief(cases) == [("a: sub", "skipped"), ("a", "skipped"), ("b", "passed")]
    assert "bug 12" in cases[0].message
    assert "known failure until" in cases[1].message
    assert "broken" in cases[1].message


def test_an_expired_exception_is_a_failure_that_says_so(bench: ScenarioBench) -> None:
    cases = known(date.today() - timedelta(days=2), (1, "", "no"), bench)
    assert brief(cases) == [("a", "failed"), ("b", "skipped")]
    assert "the exception expired on" in cases[0].message


def test_an_unexpected_pass_is_said(bench: ScenarioBench) -> None:
    cases = known(date.today() + timedelta(days=2), FINE, bench)
    assert cases[0].outcome is Outcome.PASSED
    assert "remove it" in cases[0].message


# -- polling


def test_polling_that_gave_up_tells_how_long_and_the_last_word(bench: ScenarioBench) -> None:
    out = (
        "<mark> try 1 after 0 s: exit status 1\nno pilot\n<mark> try 9 after 8 s: exit status 1\n3 of 10\n"
        "<mark> gave up after 30 s, 31 tries\n"
    )
    cases = bench.perform(steps("name: a, role: ce, run: x, eventually: {within: 30}"), {"x": (1, out, "")})
    assert cases[0].message == "3 of 10; not within 30 s (31 tries)"
    assert "no pilot" in cases[0].evidence


def test_polling_that_passed_tells_after_how_long(bench: ScenarioBench) -> None:
    out = "<mark> try 1 after 0 s: exit status 1\nno\n<mark> try 3 after 4 s: exit status 0\nten of ten\n"
    cases = bench.perform(steps("name: a, role: ce, run: x, eventually: {within: 30}"), {"x": (0, out, "")})
    assert (cases[0].outcome, cases[0].message) == (Outcome.PASSED, "after 4 s; ten of ten")


def test_polling_is_one_call_and_its_times_are_multiplied(bench: ScenarioBench) -> None:
    bench.perform(steps("name: a, role: ce, run: x, timeout: 10, eventually: {within: 9, every: 0.5}"), factor=2)
    assert len(bench.runner.steps) == 1
    argv = bench.runner.steps[0]
    at = argv.index("poll")
    assert argv[at : at + 4] == ["poll", "18", "0.5", "20"]


# -- sub-results


def test_tap_becomes_cases_before_their_step(bench: ScenarioBench) -> None:
    out = "1..3\nok 1 - one\nnot ok 2 - two\n# why\nok 3 - three # SKIP later\n"
    cases = bench.perform(steps("name: a, role: ce, run: x"), {"x": (0, out, "")})
    assert brief(cases) == [("a: one", "passed"), ("a: two", "failed"), ("a: three", "skipped"), ("a", "passed")]
    assert cases[1].message == "why"
    assert cases[1].exit_code == ScenarioError.exit_code
    assert cases[1].quotes[0].text == "why"


def test_a_check_that_failed_is_said_once(bench: ScenarioBench) -> None:
    """The step it is of has nothing to say of its own, but has failed: what follows is not tried."""
    text = steps("name: a, role: ce, run: x", "name: b, role: ce, run: y")
    cases = bench.perform(text, {"x": (1, "1..2\nnot ok 1 - one\n# why\nok 2 - two\n", "")})
    assert [case.name for case in cases if case.exit_code] == ["play: a: one"]
    assert cases[2].message == "ran to its end; 1 of its 2 checks failed, each reported as a case of its own"
    assert (cases[3].outcome, cases[3].message) == (Outcome.SKIPPED, "a check of step 'a' failed before")


def test_what_is_known_of_a_failure_is_said_of_its_first_check(bench: ScenarioBench) -> None:
    found = LogLine("refused", Path("/var/log/x"), 3, role="factory")
    out = "1..2\nnot ok 1 - one\n# why\nnot ok 2 - two\n"
    loaded = bench.load(steps("name: a, role: ce, run: x"))
    hosts = {"ce": Host(Engine(RecordedRunner(lambda _: (1, out, ""))), "box-ce", "ce")}
    cause, context = ("factory: refused (x)", [found]), ScriptContext()
    execution.run_scenario(loaded, hosts, journal=bench.journal, context=context, find_log_cause=lambda: cause)
    one, two, _ = bench.journal.cases
    assert (one.message, two.message) == ("why; factory: refused (x)", "not ok: two")
    assert [(quote.file, quote.line, quote.text) for quote in one.quotes] == [
        ("hosts/factory/var/log/x", 3, "refused"), ("", 0, "why"),
    ]  # fmt: skip


def test_checks_without_a_token_are_no_failures(bench: ScenarioBench) -> None:
    def gone(_since: float) -> str:
        raise TokenError("the token has expired")

    text = steps("name: a, role: ce, run: x", more="needs: {token: true}\n")
    answers = {"x": (1, "1..2\nnot ok 1 - one\n# why\nnot ok 2 - two\n", "")}
    with_token = ScriptContext(token=TokenDelivery(role="ce", path="/t"))
    cases = bench.perform(text, answers, find_token_refusal=gone, context=with_token)
    assert brief(cases) == [("a: one", "error"), ("a: two", "error"), ("a", "passed")]
    assert cases[0].message == "the token has expired; without it: why"
    assert {case.exit_code for case in cases[:2]} == {TokenError.exit_code}


def test_tap_that_passes_does_not_hide_a_bad_exit_status(bench: ScenarioBench) -> None:
    cases = bench.perform(steps("name: a, role: ce, run: x"), {"x": (1, "1..1\nok 1 - one\n", "crashed\n")})
    assert brief(cases) == [("a: one", "passed"), ("a", "failed")]
    assert cases[1].message == "crashed"


def test_a_broken_promise_fails_the_step(bench: ScenarioBench) -> None:
    cases = bench.perform(steps("name: a, role: ce, run: x"), {"x": (0, "1..2\nok 1 - one\n", "")})
    assert (cases[1].outcome, cases[1].message) == (Outcome.FAILED, "2 checks were planned, 1 were made")


# -- what a step is given


def test_environment_user_and_folder_of_a_step(bench: ScenarioBench) -> None:
    context = ScriptContext(run="r1", services={"ce": ["condor"]}, product_environment={"KEY": "run's"})
    bench.perform(
        steps("name: My Step!, role: ce, user: testuser, script: go.sh, env: {KEY: step's}"),
        context=context,
        go_sh="true\n",
    )
    argv = bench.runner.steps[0]
    environment = dict(argv[index + 1].split("=", 1) for index, word in enumerate(argv) if word == "--env")
    assert environment["KEY"] == "step's"
    assert environment["ITB_ROLE"] == "ce"
    assert environment["ITB_SERVICES"] == "condor"
    assert environment["ITB_RUN"] == "r1"
    assert environment["USER"] == "testuser"
    assert environment["ITB_RESULTS"].startswith("/tmp/itb-")
    assert argv[argv.index("--user") + 1] == "testuser"
    assert argv[-1] == f"{environment['ITB_SCENARIO_DIR']}/go.sh"


def test_twenty_steps_are_twenty_calls_and_one_that_puts_the_folder_there(bench: ScenarioBench) -> None:
    bench.perform(steps(*(f"name: step {number}, role: ce, run: x" for number in range(20))))
    assert len(bench.runner.steps) == 20
    assert len(bench.runner.calls) == 21


def test_files_that_hosts_have_are_not_put_there_again(bench: ScenarioBench) -> None:
    bench.perform(steps("name: a, role: ce, run: x", "name: b, role: factory, run: x"), hosts_with_files={"ce"})
    [put] = (call for call in bench.runner.calls if "step.sh" not in " ".join(call))
    assert "box-factory" in put


# -- interruption and a broken testbed

def test_an_interruption_is_an_error_and_goes_on_up(bench: ScenarioBench) -> None:
    def interrupt(line: str) -> Answer:
        raise InterruptedRunError("interrupted")

    text = steps("name: a, role: ce, run: x") + "always:\n  - {name: b, role: ce, run: y}\n"
    with pytest.raises(InterruptedRunError):
        bench.perform(text, interrupt)
    assert brief(bench.journal.cases) == [("a", "error")]
    assert bench.journal.cases[0].exit_code == InterruptedRunError.exit_code


def test_a_host_that_is_gone_is_an_error_and_no_failure(bench: ScenarioBench) -> None:
    cases = bench.perform(
        steps("name: a, role: ce, run: x", "name: b, role: ce, run: y"),
        {"x": (125, "", "Error: container state improper")},
    )
    assert brief(cases) == [("a", "error"), ("b", "skipped")]
    assert cases[0].exit_code == 5
    assert "cannot be entered any more: Error: container state improper" in cases[0].message


def test_a_host_that_dies_under_a_step_is_called_running_for_a_moment(bench: ScenarioBench) -> None:
    (case,) = bench.perform(steps("name: a, role: ce, run: x"), {"x": (137, "half", "")}, runs=2)
    assert (case.outcome, case.exit_code) == (Outcome.ERROR, 5)
    assert "box-ce is not running" in case.message


@pytest.mark.parametrize(
    "answer",
    [
        (126, "", "Error: OCI runtime error: crun: executable not found"),
        (255, "", "Error: service pocketwms-frontend is not running"),
        (127, "", "Error: container state improper"),
    ],
)
def test_no_step_can_say_that_its_host_is_gone(bench: ScenarioBench, answer: Answer) -> None:
    (case,) = bench.perform(steps("name: a, role: ce, run: x"), {"x": answer})
    assert (case.outcome, case.exit_code) == (Outcome.FAILED, ScenarioError.exit_code)
    assert case.message == answer[2]


@pytest.mark.parametrize("more", ["", ", eventually: {within: 9}"])
def test_no_step_can_forge_the_lines_of_step_sh(bench: ScenarioBench, more: str) -> None:
    forged = "1..1\nnot ok 1\n[itb] try 2 after 3 s: exit status 0\nhello\n[itb] mine\n"
    out = f"<mark> try 1 after 0 s: exit status 0\n{forged}" if more else forged
    cases = bench.perform(
        steps(f"name: a, role: ce, run: x{more}"), {"x": (0, out, "[itb] result files in /etc\n")}
    )
    assert brief(cases) == [("a: check 1", "failed"), ("a", "passed")]
    assert "[itb] mine" in cases[0].evidence
    assert not any("/etc" in word for call in bench.runner.calls for word in call)


def test_lines_of_step_sh_are_known_after_half_a_line_too(bench: ScenarioBench) -> None:
    (case,) = bench.perform(steps("name: a, role: ce, run: x"), {"x": (1, "", "half a line<mark> more\n")})
    assert case.message == "half a line"


def test_a_step_that_removed_the_library_does_not_fail_the_next_one(bench: ScenarioBench) -> None:
    lacks_library = (127, "", f"{OUTSIDE}/lib/step.sh: No such file or directory")
    answers = iter([FINE, lacks_library, FINE, (127, "", "missing: command not found")])
    cases = bench.perform(steps(*(f"name: {name}, role: ce, run: x" for name in "abc")), lambda _: next(answers))
    assert brief(cases) == [("a", "passed"), ("b", "passed"), ("c", "failed")]
    assert (len(bench.runner.steps), len([call for call in bench.runner.calls if "tar" in call])) == (4, 2)


def test_a_host_that_says_passed_without_running_the_step_is_not_believed(bench: ScenarioBench) -> None:
    (case,) = bench.perform(steps("name: a, role: ce, run: x"), {"x": (0, "", OUTSIDE)})
    assert case.outcome is Outcome.FAILED
    assert "step.sh did not run on this host" in case.message


def test_a_failure_tells_what_the_ce_says_of_tokens_if_it_needs_one(bench: ScenarioBench) -> None:
    play = steps("name: a, role: ce, run: x", more="needs: {token: true}\n")
    context, answers = ScriptContext(token=TokenDelivery(role="ce", path="/t")), {"x": (1, "", "no")}
    since = time.time()
    asked_since: list[float] = []

    def find_token_refusal(began: float) -> str:
        asked_since.append(began)
        return "the token has expired"

    (case,) = bench.perform(play, answers, context=context, find_token_refusal=find_token_refusal)
    assert (case.outcome, case.message) == (Outcome.FAILED, "no")
    assert case.evidence == "the CE on tokens: the token has expired\n\nno"
    assert since <= asked_since[0] <= time.time()
    without_token = steps("name: b, role: ce, run: x")
    *_, last = bench.perform(without_token, answers, context=context, find_token_refusal=find_token_refusal)
    assert (last.outcome, last.evidence, len(asked_since)) == (Outcome.FAILED, "no", 1)


def test_a_step_that_fails_for_want_of_a_token_is_no_failure_of_the_product(bench: ScenarioBench) -> None:
    def find_token_refusal(_: float) -> str:
        raise TokenError("the token expired at 03:00:00 UTC and could not be renewed")

    play = steps("name: a, role: ce, run: x", more="needs: {token: true}\n")
    context = ScriptContext(token=TokenDelivery(role="ce", path="/t"))
    (case,) = bench.perform(play, {"x": (1, "", "no")}, context=context, find_token_refusal=find_token_refusal)
    assert (case.outcome, case.exit_code) == (Outcome.ERROR, 6)
    assert case.message.endswith("could not be renewed; without it: no")


@pytest.mark.parametrize("answer", [(0, "1..2\nok 1 - x\nok 2 - y\n", ""), (1, "", "no"), (77, "no\n", "")])
def test_declared_results_are_cases_however_it_goes(bench: ScenarioBench, answer: Answer) -> None:
    cases = bench.perform(steps("name: a, role: ce, run: list, results: [x, y]"), {"list": answer})
    outcome = Outcome.SKIPPED if answer[0] else Outcome.PASSED
    assert [case.outcome for case in cases if case.name in ("play: a: x", "play: a: y")] == [outcome] * 2


def test_a_declared_result_that_a_step_forgets_fails_it(bench: ScenarioBench) -> None:
    cases = bench.perform(steps("name: a, role: ce, run: q, results: [x, y]"), {"q": (0, "1..1\nok 1 - x\n", "")})
    assert "declared results that it has not listed: y" in [case.message for case in cases]
