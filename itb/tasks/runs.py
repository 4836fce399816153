"""A run, whole or phase by phase."""

from __future__ import annotations

from invoke import Context

from itb.tasks.flags import chosen, end, task

_FROM = ("from-repo", "nevra", "repo-key", "allow-unsigned")
_PLACES = ("platform", "runs", "cache", "engine", "progress", "json")
_NEW = ("product", "ref", "source", "variant", "builder", "fresh-build", "upgrade-from", *_FROM, *_PLACES)
_ON = ("run", "runs", "progress")


@task(*_NEW, "scenario", "token-hook", "keep", "jobs", "resume")
def run(
    c: Context,
    product: str = "",
    ref: str = "",
    source: str = "",
    variant: str = "",
    builder: str = "",
    fresh_build: bool = False,
    upgrade_from: str = "",
    from_repo: str = "",
    nevra: str = "",
    repo_key: str = "",
    allow_unsigned: bool = False,
    platform: str = "",
    scenario: str = "",
    token_hook: str = "",
    keep: str = "",
    jobs: str = "",
    runs: str = "",
    cache: str = "",
    engine: str = "",
    progress: str = "",
    json: bool = False,
    resume: str | None = None,
) -> None:
    """Validate a reference: build, serve, up, install, token, test, report, down.

    With --from-repo, packages that are published already are validated
    instead: nothing is built, everything else is the same.

    Ends with a summary and the paths of the reports.  Exit codes: 0 all
    passed; 1 usage or configuration; 2 a scenario failed; 3 nothing ran;
    4 the build failed; 5 the testbed or the machine failed; 6 no usable
    token; 7 the candidate did not install, verify or start; 130 interrupted.

    --resume RUN goes on with a run that ended in any way, with that run's own
    settings: what is done is not repeated, what is gone is made again.  Only
    --keep and --progress may be given anew.
    """
    flags = chosen(locals())
    from itb import commands, continuing

    if resume is not None:
        end(continuing.resume_from(flags, resume, as_json=json))
        return
    end(commands.run(commands.settings_from(flags), as_json=json))


@task(*_NEW)
def build(
    c: Context,
    product: str = "",
    ref: str = "",
    source: str = "",
    variant: str = "",
    builder: str = "",
    fresh_build: bool = False,
    upgrade_from: str = "",
    from_repo: str = "",
    nevra: str = "",
    repo_key: str = "",
    allow_unsigned: bool = False,
    platform: str = "",
    runs: str = "",
    cache: str = "",
    engine: str = "",
    progress: str = "",
    json: bool = False,
) -> None:
    """Build RPMs of a reference; starts a run that the other phases go on with.

    The RPMs are in the run directory's build/rpms.  With --from-repo nothing
    is built: the version to install is chosen and checked.  Next: itb serve.
    """
    flags = chosen(locals())
    from itb import commands

    end(commands.build(commands.settings_from(flags), as_json=json))


def _go_on(phase: str, flags: dict[str, object], run: str) -> None:
    from itb import commands, continuing

    end(continuing.go_on(commands.settings_from(flags), run, phase))


@task(*_ON)
def serve(c: Context, run: str = "", runs: str = "", progress: str = "") -> None:
    """Sign a run's RPMs and serve them from a YUM repository on the testbed network."""
    _go_on("serve", chosen(locals()), run)


@task(*_ON)
def up(c: Context, run: str = "", runs: str = "", progress: str = "") -> None:
    """Bring up a run's bare hosts, with certificates, and its Compute Entrypoint."""
    _go_on("up", chosen(locals()), run)


@task(*_ON)
def install(c: Context, run: str = "", runs: str = "", progress: str = "") -> None:
    """Install the candidate per role; verify origin and files; configure; start HTCondor."""
    _go_on("install", chosen(locals()), run)


@task(*_ON, "scenario", name="test")
def try_scenarios(c: Context, run: str = "", scenario: str = "", runs: str = "", progress: str = "") -> None:
    """Run scenarios on an installed testbed: the run's own, or those of --scenario."""
    _go_on("test", chosen(locals()), run)


@task(*_ON)
def down(c: Context, run: str = "", runs: str = "", progress: str = "") -> None:
    """Collect the logs, then remove a run's hosts, network and secrets."""
    flags = chosen(locals())
    from itb import commands, continuing

    end(continuing.down(commands.settings_from(flags), run))


@task("run", "runs", "json")
def report(c: Context, run: str = "", runs: str = "", json: bool = False) -> None:
    """Write JUnit and HTML reports of a run from whatever is there, and print the summary.

    Ends with the run's own exit code; 130 if its process was killed.
    """
    from itb import commands

    end(commands.report_run(commands.settings_from({"runs": runs}), run, as_json=json))


@task("run", "runs", "progress", "token-hook")
def acquire(c: Context, run: str = "", token_hook: str = "", runs: str = "", progress: str = "") -> None:
    """Acquire and check the SciToken, deliver it, start the candidate's services."""
    _go_on("token", chosen(locals()), run)
