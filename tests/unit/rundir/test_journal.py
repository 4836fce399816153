"""What is tried becomes a case, whatever way it ends."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from itb import errors
from itb.model import Case, Outcome, Quote
from itb.process.stop import AbandonedError
from itb.rundir.directory import RunDir
from itb.rundir.journal import Journal, RunningCase
from itb.util.redact import MARK
from itb.util.text import EVIDENCE_LIMIT, cut

JWT = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJpdGIifQ.MEUCIQDxabcdefgh"


class Ear:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def started(self, case: RunningCase) -> None:
        self.heard.append(f"started {case.name}")

    def noted(self, case: RunningCase, text: str) -> None:
        self.heard.append(f"{case.role} noted {text}")

    def finished(self, case: Case) -> None:
        self.heard.append(f"finished {case.outcome}")


@pytest.fixture
def ear() -> Ear:
    return Ear()


@pytest.fixture
def journal(tmp_path: Path, ear: Ear) -> Journal:
    return Journal(RunDir.create(tmp_path, "x"), [ear])


def test_passes_without_a_word(journal: Journal, ear: Ear) -> None:
    with journal.case("up", "ce", "boots") as running_case:
        running_case.note(f"waiting {JWT}")
    (case,) = journal.rundir.cases()
    assert (case.phase, case.role, case.name, case.outcome, case.exit_code) == ("up", "ce", "boots", "passed", 0)
    assert ear.heard == ["started boots", f"ce noted waiting {MARK}", "finished passed"]


def test_what_is_abandoned_is_nobodys_fault(journal: Journal) -> None:
    """The CE that is being installed when the build fails: the run has the build's exit code."""
    with pytest.raises(AbandonedError), journal.case("install", "ce", "dnf install x"):
        raise AbandonedError("ended, since the run could not go on: no spec file")
    (case,) = journal.cases
    assert (case.outcome, case.exit_code) == (Outcome.SKIPPED, 0)
    assert case.message == "ended, since the run could not go on: no spec file"


@pytest.mark.parametrize(
    ("error", "outcome", "code"),
    [
        (errors.InstallError("m"), Outcome.FAILED, 7),
        (errors.BuildError("m"), Outcome.FAILED, 4),
        (errors.ScenarioError("m"), Outcome.FAILED, 2),
        (errors.TestbedError("m"), Outcome.ERROR, 5),
        (errors.TokenError("m"), Outcome.ERROR, 6),
        (errors.UsageError("m"), Outcome.ERROR, 1),
        (errors.InterruptedRunError("m"), Outcome.ERROR, 130),
        (KeyboardInterrupt(), Outcome.ERROR, 130),
        (ZeroDivisionError("m"), Outcome.ERROR, 5),
    ],
)
def test_blame_follows_the_error(journal: Journal, error: BaseException, outcome: Outcome, code: int) -> None:
    with pytest.raises(type(error)), journal.case("p", "r", "n"):
        raise error
    (case,) = journal.rundir.cases()
    assert (case.outcome, case.exit_code) == (outcome, code)


def test_what_an_error_says(journal: Journal, tmp_path: Path) -> None:
    log = journal.rundir.path / "hosts" / "ce" / "x.log"
    error = errors.InstallError(f"why {JWT}", hint="try this", evidence=f"text {JWT} \ud800", log=log)
    with pytest.raises(errors.InstallError), journal.case("p", "r", "n"):
        raise error
    (case,) = journal.rundir.cases()
    assert case.message == f"why {MARK} (try this)"
    assert case.evidence.startswith(f"text {MARK}")
    assert case.log == "hosts/ce/x.log"


def test_a_message_knows_the_line_that_it_is_from(journal: Journal) -> None:
    """Of a host's log it is known before the log is there; a run of an earlier version knows of none."""
    quotes = [
        errors.LogLine(f"died {JWT}", Path("/var/log/x"), 7, role="factory"),
        errors.LogLine("last words", journal.rundir.results / "a.log", 2),
        errors.LogLine("only said"),
    ]
    with pytest.raises(errors.InstallError), journal.case("p", "r", "n"):
        raise errors.InstallError("why", quotes=quotes)
    (case,) = journal.rundir.cases()
    assert case.quotes == (
        Quote(file="hosts/factory/var/log/x", line=7, text=f"died {MARK}"),
        Quote(file="results/a.log", line=2, text="last words"),
        Quote(text="only said"),
    )
    earlier = case.model_dump(exclude={"quotes"})
    assert Case.model_validate(earlier).quotes == ()


def test_another_trouble_of_the_evidence_is_named(journal: Journal) -> None:
    missing = "/usr/sbin/x: line 30: /etc/rc.d/init.d/functions: No such file or directory"
    cause = errors.LogLine("ValueError: no", Path("journal.txt"), role="factory")
    evidence = f"Starting x\n{missing}\nTraceback\nValueError: no\n"
    for message in ("x does not start: ValueError: no", f"x does not start: {missing}"):
        with pytest.raises(errors.InstallError), journal.case("start", "factory", "x starts"):
            raise errors.InstallError(message, evidence=evidence, quotes=[cause])
    named, not_twice = journal.rundir.cases()
    assert named.quotes[1:] == (Quote(file="hosts/factory/journal.txt", text=missing, also=True),)
    assert len(not_twice.quotes) == 1
    with journal.case("start", "factory", "y starts") as case:
        case.passed("up", evidence=evidence)
    assert journal.cases[-1].quotes == ()


def test_the_testbeds_fault_keeps_what_was_seen_of_it(journal: Journal) -> None:
    journal.find_testbed_fault = lambda _role, _output: "disk full"
    line = errors.LogLine("no room", Path("/x"), 1, role="ce")
    with pytest.raises(errors.TestbedError) as caught, journal.case("p", "ce", "n"):
        raise errors.InstallError("no room", evidence="e", quotes=[line])
    assert caught.value.message == "disk full; seen of it: no room"
    assert caught.value.quotes == (line,)
    assert journal.cases[0].quotes[0].file == "hosts/ce/x"


def test_a_fault_of_our_own_is_not_the_products(journal: Journal) -> None:
    with pytest.raises(KeyError), journal.case("p", "r", "n"):
        raise KeyError("x")
    (case,) = journal.rundir.cases()
    assert case.message == "itb itself failed: KeyError('x')"
    assert "Traceback" in case.evidence


def test_verdicts_without_an_error(journal: Journal) -> None:
    with journal.case("p", "r", "skip") as running_case:
        running_case.skip("no token")
    with journal.case("p", "r", "fail") as running_case:
        running_case.fail("bad", exit_code=2, evidence="e")
    with journal.case("p", "r", "error") as running_case:
        running_case.error("broken")
    with journal.case("p", "r", "pass") as running_case:
        running_case.passed("seen")
    outcomes = [(case.outcome.value, case.message, case.exit_code) for case in journal.cases]
    assert outcomes[:2] == [("skipped", "no token", 0), ("failed", "bad", 2)]
    assert outcomes[2:] == [("error", "broken", 5), ("passed", "seen", 0)]


def test_goes_on_where_it_was(journal: Journal) -> None:
    with journal.case("p", "r", "one"):
        pass
    assert [case.name for case in Journal(journal.rundir).cases] == ["one"]


def test_evidence_is_cut_in_the_middle() -> None:
    text = "".join(f"line {number}\n" for number in range(5000))
    short = cut(text)
    assert len(short) < EVIDENCE_LIMIT + 100
    assert short.startswith("line 0\n")
    assert short.endswith("line 4999\n")
    assert f"{len(text) - EVIDENCE_LIMIT} characters left out" in short
    assert cut("short") == "short"


@pytest.mark.parametrize("number", [0, 700, 2500, 4999])
def test_evidence_keeps_the_line_that_is_quoted(number: int) -> None:
    text = "".join(f"line {number:04}\n" for number in range(5000))
    short = cut(text, around=f"line {number:04}")
    assert f"line {number:04}" in short
    assert len(short) < EVIDENCE_LIMIT + 150
    left_out = [int(count) for count in re.findall(r"\[\.\.\. (\d+) characters left out", short)]
    assert sum(left_out) == len(text) - EVIDENCE_LIMIT
    assert cut(text, around="nowhere") == cut(text)


def test_no_part_of_a_case_is_a_secret(journal: Journal, ear: Ear) -> None:
    with journal.case("test", JWT, f"name {JWT}") as running_case:
        running_case.fail(f"message {JWT}", exit_code=2, evidence=f"evidence {JWT}")
    plain = Case(phase="resolve", role="source", name=JWT, outcome=Outcome.PASSED, started=1, seconds=0)
    journal.add(plain.model_copy(update={"message": JWT}))
    assert all("eyJ" not in case.model_dump_json() for case in [*journal.cases, *journal.rundir.cases()])
    assert "eyJ" not in " ".join(ear.heard)
    assert journal.cases[1].outcome is Outcome.PASSED
