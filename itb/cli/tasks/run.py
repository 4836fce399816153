"""A run, whole or phase by phase."""

from __future__ import annotations

import dataclasses

from itb.cli.declaration import Flags, command, option
from itb.config.option import Continuation, Heading
from itb.config.options import JSON, RUN, settings
from itb.errors import ExitCode
from itb.phase import Phase

_NEW_RUN_OPTIONS = (
    "product", "ref", "platform", "source", "variant", "builder", "allow_privileged", "trust", "fresh_build",
    "upgrade_from", "from_repo", "nevra", "repo_key", "allow_unsigned", "runs", "cache", "engine", "progress",
    "report_dir", JSON,
)  # fmt: skip
_EXIT_CODES = "; ".join(f"{code:d} {code.meaning[0].lower()}{code.meaning[1:]}" for code in ExitCode)
_CHANGED_BY_RESUMING = ", ".join(
    option.flag for option in settings().values() if option.may_change(Continuation.RESUME)
)
_EXISTING_RUN_OPTIONS = (
    dataclasses.replace(RUN, if_empty="the one whose hosts are up"), "runs", "progress", "report_dir"
)  # fmt: skip


@command(
    *_NEW_RUN_OPTIONS, "scenario", "duration", "token_hook", "keep", "jobs",
    option(
        "resume",
        "go on with this run, which ended in any way: its name, a unique part of it, or its path",
        None,
        value="RUN",
        heading=Heading.RUNNING,
        completes="runs",
    ),
    example="itb run --product pocketwms --ref v1_2_0_rc2 --keep failed",
    notes=(f"With --resume, only these may be given: {_CHANGED_BY_RESUMING}.", f"Exit codes: {_EXIT_CODES}."),
)  # fmt: skip
def run(flags: Flags, *, resume: str | None, json: bool) -> int:
    """Validate a reference: all phases, from build to down, in one go.

    With --from-repo, packages that are published already are validated
    instead: nothing is built, everything else is the same.

    Ends with a summary and the paths of the reports.

    --resume RUN goes on with a run that ended in any way, with that run's own
    settings: what is done is not repeated, what is gone is made again.
    """
    from itb.cli.commands import common, existing_run, new_run

    if resume is not None:
        return existing_run.resume_from(flags, resume, as_json=json)
    return new_run.run(common.settings_from(flags), as_json=json)


@command(*_NEW_RUN_OPTIONS, example="itb build --product pocketwms --ref main")
def build(flags: Flags, *, json: bool) -> int:
    """Build RPMs of a reference; starts a run that the next commands go on with.

    The RPMs are in the run directory's build/rpms.  With --from-repo nothing
    is built: the version to install is chosen and checked.  Next: itb serve.
    """
    from itb.cli.commands import common, new_run

    return new_run.build(common.settings_from(flags), as_json=json)


@command(
    "product", "ref", "platform", "source", "variant", "builder", "allow_privileged", "trust", "upgrade_from",
    "runs", "cache", "engine", "progress", "scenario", "token_hook",
    option("only", "only these defects, comma-separated", value="A,B", heading=Heading.ACTION, if_empty="all"),
    JSON,
    example="itb defects --product pocketwms --scenario smoke,packages",
    notes=(
        "Exit codes: 0 every defect was caught; 2 one was let pass; 5 one is undecided; 3 none could be tried; "
        "else that of the run as it is.",
    ),
)  # fmt: skip
def defects(flags: Flags, *, only: str, json: bool) -> int:
    """Give a product defects; say which its scenarios let pass.

    The reference is run as it is first, and has to be green.  Then its spec
    file is changed, in a copy of the source: a syntax error in a program, a
    unit's user that nobody makes, a script that stops a service in an upgrade,
    ...  Each is a run of its own, with the scenarios that are asked for.
    """
    from itb.cli.commands import common
    from itb.cli.commands import defects as commands_defects

    return commands_defects.run(common.settings_from(flags), only, as_json=json)


def _run_phase(phase: Phase, flags: Flags, run: str) -> int:
    from itb.cli.commands import common, existing_run

    return existing_run.run_phase(common.settings_from(flags), run, phase, trust=flags.get("trust"))


@command(*_EXISTING_RUN_OPTIONS, example="itb serve")
def serve(flags: Flags, *, run: str) -> int:
    """Sign a run's RPMs and serve them from a YUM repository on the testbed network."""
    return _run_phase(Phase.SERVE, flags, run)


@command(*_EXISTING_RUN_OPTIONS, example="itb up")
def up(flags: Flags, *, run: str) -> int:
    """Bring up a run's bare hosts, with certificates, and its Compute Entrypoint."""
    return _run_phase(Phase.UP, flags, run)


@command(*_EXISTING_RUN_OPTIONS, example="itb install")
def install(flags: Flags, *, run: str) -> int:
    """Install the candidate per role; verify origin and files; configure; start HTCondor."""
    return _run_phase(Phase.INSTALL, flags, run)


@command("scenario", "duration", *_EXISTING_RUN_OPTIONS, example="itb test --scenario smoke", name="test")
def try_scenarios(flags: Flags, *, run: str) -> int:
    """Run scenarios on an installed testbed: the run's own, or those of --scenario."""
    return _run_phase(Phase.TEST, flags, run)


@command(*_EXISTING_RUN_OPTIONS, example="itb down")
def down(flags: Flags, *, run: str) -> int:
    """Collect the logs, then remove a run's hosts, network and secrets."""
    from itb.cli.commands import common, existing_run

    return existing_run.down(common.settings_from(flags), run)


@command(
    dataclasses.replace(
        RUN, help="name of a run, or a unique part of it; several make a combined report", multiple=True
    ),
    "runs", "report_dir", JSON,
    example="itb report RUN1 RUN2 --report-dir reports",
)  # fmt: skip
def report(flags: Flags, *, run: str, json: bool) -> int:
    """Write JUnit, HTML and JSON reports of runs from whatever is there, and print the summaries.

    Ends with the run's own exit code, of several with the worst; 130 if its
    process was killed.
    """
    from itb.cli.commands import common
    from itb.cli.commands import report as commands_report

    run_names = [name for name in run.split(",") if name]
    return commands_report.report_runs(common.settings_from(flags), run_names, as_json=json)


@command(
    *_EXISTING_RUN_OPTIONS, "token_hook", "trust",
    name="acquire", example="itb token acquire --token-hook command",
)  # fmt: skip
def acquire(flags: Flags, *, run: str) -> int:
    """Acquire and check the SciToken, deliver it, start the candidate's services."""
    return _run_phase(Phase.TOKEN, flags, run)
