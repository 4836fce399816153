"""Looking inside runs, references and the machine; cleaning up."""

from __future__ import annotations

from itb.cli.declaration import Flags, argument, command, option
from itb.config.options import JSON, RUN, Heading


@command("product", "source", "runs", "cache", JSON, example="itb refs --product pocketwms")
def refs(flags: Flags, *, json: bool) -> None:
    """List the references of a product, and what was tested of them.

    The newest come first.
    """
    from itb.cli.commands import inspect

    inspect.refs(flags, as_json=json)


@command(JSON, example="itb version")
def version(_flags: Flags, *, json: bool) -> None:
    """Print itb's version and the commit of a checkout."""
    from itb.cli.commands import inspect

    inspect.version(as_json=json)


@command("runs", JSON, example="itb list", name="list")
def list_(flags: Flags, *, json: bool) -> None:
    """List runs, newest first, and how they ended."""
    from itb.cli.commands import inspect

    inspect.runs(flags, as_json=json)


@command("engine", JSON, example="itb status")
def status(flags: Flags, *, json: bool) -> None:
    """Show everything of itb's that is on this machine now."""
    from itb.cli.commands import machine

    machine.machine(flags, as_json=json)


@command(
    argument("run", "name of the run, or a unique part of it"),
    argument("role", "host: ce, factory, frontend, ..."),
    "runs",
    example="itb shell RUN factory",
)
def shell(flags: Flags, *, run: str, role: str) -> None:
    """Open a shell in a host of a kept run."""
    from itb.cli.commands import inspect

    inspect.shell(flags, run, role)


@command(
    RUN,
    option("role", "only this host's", heading=Heading.WHERE, value="ROLE", unset="all hosts'"),
    "runs",
    example="itb logs RUN --role factory",
)
def logs(flags: Flags, *, run: str, role: str) -> None:
    """Show where the logs of a run are."""
    from itb.cli.commands import inspect

    inspect.logs(flags, run, role)


@command(option("deep", "also start a container", False), "engine", JSON, example="itb doctor --deep")
def doctor(flags: Flags, *, deep: bool, json: bool) -> int:
    """Say whether this machine is able: each finding with its remedy."""
    from itb.cli.commands import machine

    return machine.doctor(flags, deep=deep, as_json=json)


@command(
    option("kept", "also the hosts of runs that were kept on purpose", False),
    option("unused", "also cached builds and mirrors not used for two weeks", False),
    option("everything", "also the whole cache and all platform images", False),
    "runs",
    "cache",
    "engine",
    example="itb clean --unused",
)
def clean(flags: Flags, *, kept: bool, unused: bool, everything: bool) -> None:
    """Remove what runs left behind: hosts, networks, volumes, secrets.

    Everything is found by label, from any folder, with or without a run
    directory.  Runs that are alive and what is not itb's are never touched.
    """
    from itb.cli.commands import machine

    machine.clean(flags, kept_too=kept, unused=unused, everything=everything)


@command(RUN, "runs", JSON, example="itb show RUN", name="run")
def show_run(flags: Flags, *, run: str, json: bool) -> None:
    """Print the summary of a run."""
    from itb.cli.commands import inspect

    inspect.show_run(flags, run, as_json=json)


@command(JSON, example="itb show config", name="config")
def show_config(_: Flags, *, json: bool) -> None:
    """Print every setting, its value and where it came from."""
    from itb.cli.commands import inspect

    inspect.show_config(as_json=json)


@command(
    argument("name", "product: a name or a folder with product.yaml"),
    JSON,
    example="itb show product pocketwms",
    name="product",
)
def show_product(_: Flags, *, name: str, json: bool) -> None:
    """Check a product; print what it consists of, role by role, and its variants."""
    from itb.cli.commands import inspect

    inspect.show_product(name, as_json=json)
