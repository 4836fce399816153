"""Scenario steps in a real container: who they run as, how they end, what they leave."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from itb.config import lookup
from itb.containers.host import Host
from itb.errors import InterruptedRunError
from itb.model import Case, Outcome
from itb.process.request import Request
from itb.process.runner import Runner
from itb.rundir.directory import RunDir
from itb.rundir.journal import Journal, RunningCase
from itb.scenario import execution
from itb.scenario.script_context import ScriptContext

Perform = Callable[..., list[Case]]


class Notes:
    """A listener that remembers what was said while it went on."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.react: Callable[[str], object] = lambda _: None

    def started(self, case: RunningCase) -> None: ...

    def noted(self, case: RunningCase, text: str) -> None:
        self.said.append(text if case.phase == "test" else case.phase)
        self.react(text)

    def finished(self, case: Case) -> None: ...


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def rundir(tmp_path: Path) -> RunDir:
    made = RunDir(tmp_path / "runs" / "x")
    made.path.mkdir(parents=True)
    return made


@pytest.fixture
def perform(tmp_path: Path, rundir: RunDir, notes: Notes, shared_host: Host) -> Perform:
    """Perform a scenario of these steps (YAML flow mappings) on one host; files are named by keyword."""

    def call(*steps: str, host: Host = shared_host, always: str = "", **files: str) -> list[Case]:
        folder = tmp_path / "play"
        folder.mkdir(exist_ok=True)
        listed = "".join(f"  - {{role: bare, {step}}}\n" for step in steps)
        ending = f"always:\n  - {{role: bare, {always}}}\n" if always else ""
        (folder / "scenario.yaml").write_text(f"title: a play\nindependent: true\nsteps:\n{listed}{ending}")
        for name, content in files.items():
            (folder / name.replace("_", ".")).write_text(content)
        journal = Journal(rundir, [notes])
        loaded = lookup.load_scenario(str(folder))
        execution.run_scenario(loaded, {"bare": host}, journal=journal, context=ScriptContext(run="x"))
        return journal.cases

    return call


def test_steps_are_run_as_their_user_at_home(perform: Perform, new_host: Callable[..., Host]) -> None:
    host = new_host(boot=False)
    host.call("useradd", "--create-home", "visitor")
    cases = perform(
        "name: root, run: 'echo $USER $HOME $PWD $ITB_ROLE'",
        "name: visitor, user: visitor, run: 'echo $(id -un) $USER $HOME $PWD'",
        "name: nobody there, user: missing, run: 'true'",
        host=host,
    )
    assert cases[0].message == "root /root /root bare"
    assert cases[1].message == "visitor visitor /home/visitor /home/visitor"
    assert cases[2].outcome is Outcome.FAILED
    assert "missing" in cases[2].message


def test_scripts_of_any_interpreter_and_their_neighbours(perform: Perform) -> None:
    cases = perform(
        "name: python, script: look.py",
        "name: bash without a shebang, script: plain.sh",
        "name: reads no input of ours, run: cat",
        "name: an unset variable ends it, run: 'echo $NO_SUCH_THING; echo not reached'",
        look_py="#!/usr/bin/python3\nprint(open('data.txt'.join([__file__[:-7], ''])).read())\n",
        data_txt="forty-two",
        plain_sh='source "$ITB_SCENARIO_DIR/more.sh"\ngreet\nfalse\necho not reached\n',
        more_sh="greet() { echo hello; }\n",
    )
    assert (cases[0].outcome, cases[0].message) == (Outcome.PASSED, "forty-two")
    assert (cases[1].outcome, cases[1].message) == (Outcome.FAILED, "hello")
    assert cases[2].outcome is Outcome.PASSED
    assert "NO_SUCH_THING: unbound variable" in cases[3].message


def test_a_script_of_the_library(perform: Perform) -> None:
    (case,) = perform("name: no service here, script: lib/services.sh")
    assert (case.outcome, case.message) == (Outcome.SKIPPED, "the product has no service on bare")


@pytest.fixture
def limit_starts_when_begun(notes: Notes, limits_start_when: Callable[..., None]) -> None:
    """The limit of a step starts when it says "begun"."""
    limits_start_when(lambda: "begun" in notes.said)


def test_a_step_that_hangs_is_ended_inside_too(
    perform: Perform, shared_host: Host, limit_starts_when_begun: None
) -> None:
    cases = perform("name: hangs, run: 'echo begun; sleep 4321 & sleep 4321', timeout: 1")
    assert cases[0].outcome is Outcome.FAILED
    assert cases[0].message.startswith("no end within 1 s")
    assert cases[0].message.endswith("last: begun")
    assert not shared_host.run(Request(["pgrep", "--full", "sleep [4]321"], check=False)).ok


# What shells say of what was ended, and what a step may have said itself.
OF_THE_END = """trap 'echo Terminated; for line in Killed Hangup "x.sh: line 2: 17 Terminated  sleep 4321" \
    "zsh: terminated  sleep" "ksh: 17: Terminated"; do echo "$line" >&2; done; exit 143' TERM
printf '%s\\n' "$@"
until [ -e /nowhere ]; do sleep 4321; done
"""


@pytest.mark.parametrize(
    ("more", "count"), [("timeout: 1", 2), ("timeout: 1, eventually: {within: 1, every: 0.1}", 1)]
)
@pytest.mark.parametrize("user", ["root", "nobody"])
def test_what_is_said_of_the_end_is_not_the_steps_last_word(
    perform: Perform, shared_host: Host, limit_starts_when_begun: None, more: str, count: int, user: str
) -> None:
    """The line that tells them apart is in each output once; a polled step has one for both streams."""
    hangs = f"user: {user}, run: 'bash \"$ITB_SCENARIO_DIR/hangs.sh\""
    cases = perform(
        f"name: works, {hangs} begun', {more}",
        f"name: said so itself, {hangs} begun Terminated', {more}",
        hangs_sh=OF_THE_END,
    )
    said = [case.message.partition("; not within")[0].rpartition(": ")[2] for case in cases]
    assert said == ["begun", "Terminated"], cases
    assert not shared_host.run(Request(["pgrep", "--full", "hangs[.]sh"], check=False)).ok
    assert [case.evidence.count("| [itb] ends this command") for case in cases] == [count, count], cases


def test_a_daemon_a_step_leaves_behind_does_not_hold_it_up(perform: Perform, shared_host: Host) -> None:
    cases = perform(
        "name: once, run: 'setsid sleep 765 & echo started'",
        "name: polled, run: 'setsid sleep 765 & echo started', eventually: {within: 20}",
    )
    shared_host.call("pkill", "--full", "sleep [7]65")
    assert [case.outcome for case in cases] == [Outcome.PASSED, Outcome.PASSED]
    assert max(case.seconds for case in cases) < 60


def test_polling_passes_skips_gives_up_and_is_heard_meanwhile(perform: Perform, notes: Notes) -> None:
    count = 'n=$(cat "$ITB_RESULTS.n" 2>/dev/null || echo 0); echo $((n + 1)) >"$ITB_RESULTS.n"; echo "$n of 3"'
    cases = perform(
        "name: third time, script: count.sh, eventually: {within: 30, every: 0.2}",
        "name: never, run: 'echo 3 of 10; false', eventually: {within: 2, every: 0.5}",
        "name: cannot, run: 'echo no such thing; exit 77', eventually: {within: 30}",
        "name: can no more, run: 'echo held >&2; exit 99', eventually: {within: 30}",
        "name: hangs, run: 'sleep 99', timeout: 1, eventually: {within: 2, every: 0.1}",
        "name: is cut off, script: once.sh, timeout: 9, eventually: {within: 2, every: 0.1}",
        once_sh='[ -e "$ITB_RESULTS.n" ] && sleep 99; touch "$ITB_RESULTS.n"; echo 0 pilots; exit 1',
        count_sh=f'{count}\n[ "$n" -ge 3 ]\n',
    )
    outcomes = [str(case.outcome) for case in cases]
    assert outcomes == ["passed", "failed", "skipped", "failed", "failed", "failed"]
    assert cases[0].message.endswith("3 of 3")
    assert {"0 of 3", "1 of 3", "2 of 3"} <= set(notes.said)
    assert re.fullmatch(r"3 of 10; not within 2 s \(\d+ tries\)", cases[1].message)
    assert cases[2].message == "no such thing"
    assert cases[3].message == "held"
    assert "not within 2 s (" in cases[4].message
    assert re.fullmatch(r"0 pilots; not within 2 s \(\d tries\)", cases[5].message)


def folders_of_steps(host: Host) -> set[str]:
    return set(host.call("find", "/tmp", "-maxdepth", "1", "-name", "itb-*").stdout.split())


def test_result_files_are_brought_home(perform: Perform, rundir: RunDir, shared_host: Host) -> None:
    before = folders_of_steps(shared_host)
    xml = "<testsuite><testcase name='one'/><testcase name='two'><failure message='broke'/></testcase></testsuite>"
    cases = perform(
        "name: writes, script: write.sh",
        "name: writes nonsense, run: 'echo nonsense >$ITB_RESULTS/x.xml'",
        write_sh=f'cd "$ITB_RESULTS"\nmkdir sub\necho "{xml}" >sub/a.xml\necho hi >note.txt\n',
    )
    names = [case.name.removeprefix("play: ") for case in cases]
    assert names == ["writes: one", "writes: two", "writes", "writes nonsense"]
    assert cases[1].message == "broke"
    assert (cases[1].quotes[0].file, cases[1].quotes[0].line) == ("results/play/01-writes/sub/a.xml", 1)
    assert "x.xml: not well-formed" in cases[3].message
    assert (rundir.results / "play" / "01-writes" / "note.txt").read_text() == "hi\n"
    assert folders_of_steps(shared_host) == before


def test_much_output_costs_little_memory_and_secrets_are_gone(perform: Perform, rundir: RunDir) -> None:
    token = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJpdGIifQ.c2lnbmF0dXJl"
    cases = perform(
        "name: floods, run: 'head --bytes=20000000 /dev/zero | tr \"\\\\000\" x | fold; echo; echo the end'",
        f"name: tells, run: 'echo {token[:30]}${{EMPTY}}{token[30:]}; exit 1', env: {{EMPTY: \"\"}}",
    )
    assert cases[0].message == "the end"
    assert (rundir.path / cases[0].log).stat().st_size > 20_000_000
    everything = "".join(
        path.read_text() for path in rundir.path.rglob("*") if path.name != "01-floods.log" and path.is_file()
    )
    assert "c2lnbmF0dXJl" not in everything
    assert "[redacted]" in cases[1].message


def test_many_results_of_one_step(perform: Perform) -> None:
    cases = perform("name: many, run: 'echo 1..10001; for n in {1..10001}; do echo ok $n; done'")
    assert len(cases) == 10_001
    assert cases[-1].outcome is Outcome.PASSED


def test_reboot_keeps_the_host_and_brings_its_systemd_back(
    perform: Perform, new_host: Callable[..., Host]
) -> None:
    host = new_host()
    cases = perform(
        "name: before, run: 'touch /run/gone /var/kept; cat /proc/sys/kernel/random/boot_id >/var/kept; id'",
        "name: reboot, action: reboot",
        "name: after, run: 'test -e /var/kept; test ! -e /run/gone; systemctl is-system-running'",
        host=host,
    )
    assert [case.outcome for case in cases] == [Outcome.PASSED] * 3, [case.message for case in cases]
    assert "after the reboot" in cases[1].message


def test_an_interruption_ends_a_polling_step_at_once(
    perform: Perform, shared_host: Host, rundir: RunDir, notes: Notes
) -> None:
    runner: Runner = shared_host.engine.runner
    notes.react = lambda text: runner.stop.request() if text == "begun" else None
    try:
        with pytest.raises(InterruptedRunError):
            perform(
                "name: waits, run: 'echo begun; false', eventually: {within: 600, every: 1}",
                "name: later, run: 'true'",
            )
    finally:
        runner.stop.clear()
    outcomes = [(case.name, case.outcome) for case in rundir.cases()]
    assert outcomes == [("play: waits", Outcome.ERROR)]


def test_a_host_that_dies_is_an_error_of_the_testbed(perform: Perform, new_host: Callable[..., Host]) -> None:
    host = new_host()
    cases = perform("name: halts, run: 'systemctl reboot; sleep 60'", "name: later, run: 'true'", host=host)
    assert [(case.outcome, case.exit_code) for case in cases] == [(Outcome.ERROR, 5)] * 2, cases[0].message


FORGED = [
    ("echo 'Error: OCI runtime error: crun: executable not found' >&2; exit 126", "executable not found"),
    ("echo 'Error: service x is not running' >&2; exit 255", "service x is not running"),
    (r"printf '1..1\nnot ok 1\n[itb] try 2 after 3 s: exit status 0\nhello\n'", "[itb] try 2"),
    # The mark is in no environment, not even in that of the shell around the step.
    ("cat /proc/*/environ 2>&1 | grep -aoz '=.itb [0-9a-f]*'", "exit status 1, no output"),
    ("echo '[itb] result files in /etc' >&2; env | grep ITB_MARK", "[itb] result files in /etc"),
    (r"printf 'ok 1\nnot ok 2 - bad\n1..2\n'", "not ok: bad"),
]


@pytest.mark.parametrize("more", ["", ", eventually: {within: 1, every: 0.5}"])
def test_no_step_passes_for_another_outcome(perform: Perform, more: str) -> None:
    files = {f"s{number}_sh": f"{line}\n" for number, (line, _) in enumerate(FORGED)}
    cases = perform(*(f"name: {name}, script: {name[:-3]}.sh{more}" for name in files), **files)
    failed = [case for case in cases if case.outcome is Outcome.FAILED]  # its own of each step, or its check's
    assert [case.name.split(": ")[1] for case in failed] == list(files)
    for case, (_, message) in zip(failed, FORGED, strict=True):
        assert message in case.message


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("rmdir $R; echo no files", "no files"),
        ("rmdir $R; echo x >$R", "is no folder any more"),
        ("rmdir $R; ln -s /etc $R", "is no folder any more"),
        ("W=${R%/*}; rm -r $W; mkdir -p /root/w/results; cp /etc/hosts /root/w/results; ln -s /root/w $W",
         "is no folder any more"),
        ("mkdir $R/left-out.txt; cp /bin/true $R/; echo x >$R/left-out.txt/x; echo fine", "fine"),
        ("ln -s /etc/hosts $R/a.xml", "result file a.xml was left out: a link"),
    ],
)  # fmt: skip
def test_a_results_folder_a_step_makes_a_mess_of(
    perform: Perform, rundir: RunDir, shared_host: Host, line: str, message: str
) -> None:
    before = folders_of_steps(shared_host)
    (case,) = perform("name: mess, script: mess.sh", mess_sh=f"R=$ITB_RESULTS\n{line}\n")
    assert message in case.message
    assert (case.outcome is Outcome.PASSED) == (message in ("no files", "fine"))
    assert not list(rundir.path.rglob("hosts"))
    assert folders_of_steps(shared_host) == before


def test_a_step_that_removes_what_itb_put_there_costs_the_next_one_nothing(perform: Perform) -> None:
    cases = perform("name: removes, run: rm -rf /var/lib/itb", "name: next, run: echo fine")
    assert [(case.outcome, case.message) for case in cases][1] == (Outcome.PASSED, "fine")
