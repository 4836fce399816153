"""Commands that show runs, references, settings and the machine, and that clean up."""

from __future__ import annotations

import dataclasses

from itb.cli.declaration import Flags, argument, command, option
from itb.config.option import Heading
from itb.config.options import JSON, RUN, settings


@command("product", "source", "runs", "cache", JSON, example="itb refs --product pocketwms")
def refs(flags: Flags, *, json: bool) -> None:
    """List the references of a product, and what was tested of them.

    The newest come first.
    """
    from itb.cli.commands import inspect

    inspect.refs(flags, as_json=json)


@command(JSON, example="itb version")
def version(_flags: Flags, *, json: bool) -> None:
    """Print itb's version and its commit."""
    from itb.cli.commands import version

    version.show(as_json=json)


_LISTS = ("runs", "products", "platforms", "scenarios", "hooks")


@command(
    argument("what", ", ".join(_LISTS), required=False, if_empty=_LISTS[0], choices=_LISTS),
    option("product", "only runs of these products", heading=Heading.SHOWN, value="A,B", completes="products"),
    option(
        "ref",
        "only of this reference, of references like 'v1_*', or of a commit",
        heading=Heading.SHOWN,
        value="REF",
    ),
    option("platform", "only of these platforms", heading=Heading.SHOWN, value="A,B", completes="platforms"),
    option(
        "outcome",
        "only with one of these outcomes: passed, failed, error, ..., or what failed: build, install, ...",
        heading=Heading.SHOWN,
        value="A,B",
        completes="outcomes",
    ),
    option("since", "only begun since then: an age (12h, 3d) or a date", heading=Heading.SHOWN, value="WHEN"),
    option(
        "limit", "at most so many, 0 for all", heading=Heading.SHOWN, value="N", if_empty="30; all with --json"
    ),
    "runs",
    JSON,
    example="itb list --outcome failed --since 7d",
    name="list",
)
def list_(flags: Flags, *, what: str, json: bool, **options: str) -> None:
    """List runs, how they ended and why; or products, scenarios and so on.

    The newest run comes first; options that choose are for runs only.
    """
    from itb.cli.commands import runs

    if what in ("", "runs"):
        runs.list_runs(flags, options, as_json=json)
        return
    runs.check_no_filter(what, options)
    if what == "hooks":
        from itb.cli.commands import token

        token.hooks(as_json=json)
        return
    from itb.cli.commands import definition_lists

    definition_lists.list_definitions(what, as_json=json)


@command("engine", JSON, example="itb status")
def status(flags: Flags, *, json: bool) -> None:
    """Show the containers of runs on this machine, and their states."""
    from itb.cli.commands import machine

    machine.status(flags, as_json=json)


@command(
    dataclasses.replace(RUN, positional=True, heading=Heading.ARGUMENTS, if_empty="the one that has hosts"),
    argument(
        "role", "host: ce, factory, frontend, ...", required=False, if_empty="where it failed", completes="roles"
    ),
    argument("command", "what to run there instead of a shell", value="COMMAND...", required=False),
    "runs",
    "engine",
    example="itb shell RUN factory",
)
def shell(flags: Flags, *, run: str, role: str, command: str) -> None:
    """Open a shell in a host of a run, or run a command there.

    All arguments behind ROLE are the command's, options too; it ends with the
    command's exit code.  Where one run has hosts, RUN may be left out.
    """
    from itb.cli.commands import hosts

    hosts.shell(flags, run, role, command)


@command(
    dataclasses.replace(RUN, positional=True, heading=Heading.ARGUMENTS),
    argument("role", "a role; also a scenario, build or itb", required=False, if_empty="all", completes="places"),
    argument("name", "name of a log, or a part of it", required=False, completes="logs"),
    option("tail", "only the last lines of each", heading=Heading.SHOWN, value="N"),
    option(
        "follow",
        "show lines as they are added; of a host that is up, its journal",
        False,
        heading=Heading.SHOWN,
        short="-f",
    ),
    "runs",
    "engine",
    JSON,
    example="itb logs RUN factory journal --tail 100",
)
def logs(flags: Flags, *, run: str, role: str, name: str, tail: str, follow: bool, json: bool) -> None:
    """Show the logs of a run, those of its failed cases first.

    Then it lists what other logs there are.  With a NAME, that log is printed
    whole.  RUN may be left out before a role of the newest run: itb logs
    factory.
    """
    from itb.cli.commands import logs

    logs.logs(flags, run, role, name, tail=tail, follow=follow, as_json=json)


@command(option("deep", "also start a container", False), "engine", JSON, example="itb doctor --deep")
def doctor(flags: Flags, *, deep: bool, json: bool) -> int:
    """Say whether this machine is able: each finding with its remedy."""
    from itb.cli.commands import machine

    return machine.doctor(flags, deep=deep, as_json=json)


@command(
    option("kept", "also hosts that were kept on purpose (--keep of itb run)", False),
    option("unused", "also cached builds and clones not used for two weeks", False),
    option("everything", "also all cached builds and clones, and all platform images", False),
    option("keep", "also old run directories; the newest N stay", heading=Heading.OLD_RUNS, value="N"),
    option(
        "older_than",
        "also old run directories; younger ones stay: 12h, 30d, 8w",
        heading=Heading.OLD_RUNS,
        value="AGE",
    ),
    option(
        "dry_run",
        "print which old run directories would be removed, and remove nothing",
        False,
        heading=Heading.OLD_RUNS,
    ),
    dataclasses.replace(settings()["runs"], value_optional=True),
    "cache",
    "engine",
    example="itb clean --runs --keep 30 --older-than 30d",
)
def clean(
    flags: Flags, *, kept: bool, unused: bool, everything: bool, keep: str, older_than: str, dry_run: bool
) -> None:
    """Remove what runs left behind, and on request old run directories.

    Hosts, networks, volumes and secrets are found by label, from any folder, with or without a run
    directory.  Runs that are alive and what is not itb's are never touched.

    Old run directories are removed with --keep or --older-than; with both, a
    run stays if one of them spares it.  Runs that have hosts and the newest
    green one of each product and platform always stay.  --keep N counts run
    directories; the hosts that itb run --keep WHEN has kept go with --kept.
    """
    from itb.cli.commands import machine

    retention = machine.retention_of(keep=keep, older_than=older_than)
    machine.clean(flags, kept_too=kept, unused=unused, everything=everything, retention=retention, dry_run=dry_run)


@command(
    RUN,
    option("failed", "all that its failed cases say", False, heading=Heading.SHOWN),
    "runs",
    JSON,
    example="itb show RUN --failed",
    name="run",
)
def show_run(flags: Flags, *, run: str, failed: bool, json: bool) -> None:
    """Print the summary of a run."""
    from itb.cli.commands import inspect

    inspect.show_run(flags, run, failed=failed, as_json=json)


@command(JSON, example="itb show config", name="config")
def show_config(_: Flags, *, json: bool) -> None:
    """Print every setting, its value and where it came from."""
    from itb.cli.commands import inspect

    inspect.show_config(as_json=json)


@command(
    argument("name", "product: a name or a folder with product.yaml", completes="products"),
    JSON,
    example="itb show product pocketwms",
    name="product",
)
def show_product(_: Flags, *, name: str, json: bool) -> None:
    """Check a product; print what it consists of, role by role, and its variants."""
    from itb.cli.commands import inspect

    inspect.show_product(name, as_json=json)
