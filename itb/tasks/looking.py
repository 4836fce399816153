"""Looking inside runs, references and the machine; cleaning up."""

from __future__ import annotations

from invoke import Context

from itb.tasks.flags import chosen, end, task


@task("product", "source", "runs", "cache", "json")
def refs(
    c: Context, product: str = "", source: str = "", runs: str = "", cache: str = "", json: bool = False
) -> None:
    """List the references of a product's source, newest first, and what was tested of them before."""
    flags = chosen(locals())
    from itb import looking

    looking.refs(flags, as_json=json)


@task("json")
def version(c: Context, json: bool = False) -> None:
    """Print itb's version and the commit of a checkout."""
    from itb import looking

    looking.version(as_json=json)


@task("runs", "json", name="list")
def list_(c: Context, runs: str = "", json: bool = False) -> None:
    """List runs, newest first, and how they ended."""
    from itb import looking

    looking.runs({"runs": runs}, as_json=json)


@task("engine")
def status(c: Context, engine: str = "") -> None:
    """Show everything of itb's that is on this machine now."""
    from itb import looking

    looking.machine({"engine": engine})


@task(
    "runs",
    positional=["run", "role"],
    help={"run": "name of the run, or a unique part of it", "role": "host: ce, factory, frontend, ..."},
)
def shell(c: Context, run: str, role: str, runs: str = "") -> None:
    """Open a shell in a host of a kept run."""
    from itb import looking

    looking.shell({"runs": runs}, run, role)


@task("run", "runs", help={"role": "only this host's"})
def logs(c: Context, run: str = "", role: str = "", runs: str = "") -> None:
    """Show where the logs of a run are."""
    from itb import looking

    looking.logs({"runs": runs}, run, role)


@task("json", "engine", help={"deep": "also start a container"})
def doctor(c: Context, engine: str = "", deep: bool = False, json: bool = False) -> None:
    """Say whether this machine is able, finding by finding, each with its remedy."""
    from itb import looking

    end(looking.doctor({"engine": engine}, deep=deep, as_json=json))


@task(
    "runs",
    "cache",
    "engine",
    help={
        "kept": "also the hosts of runs that were kept on purpose",
        "unused": "also cached builds and mirrors not used for two weeks",
        "everything": "also the whole cache and all platform images",
    },
)
def clean(
    c: Context,
    kept: bool = False,
    unused: bool = False,
    everything: bool = False,
    runs: str = "",
    cache: str = "",
    engine: str = "",
) -> None:
    """Remove what runs left behind: containers, networks, volumes, secrets.

    Everything is found by label, from any folder, with or without a run
    directory.  Runs that are alive and what is not itb's are never touched.
    """
    flags = {"runs": runs, "cache": cache, "engine": engine}
    from itb import looking

    looking.clean(flags, kept_too=kept, unused=unused, everything=everything)


@task("run", "runs", "json", default=True, name="run")
def show_run(c: Context, run: str = "", runs: str = "", json: bool = False) -> None:
    """Print the summary of a run (default: the newest)."""
    from itb import looking

    looking.show_run({"runs": runs}, run, as_json=json)


@task("json", name="config")
def show_config(c: Context, json: bool = False) -> None:
    """Print every setting, its value and where it came from."""
    from itb import looking

    looking.show_config(as_json=json)


@task(positional=["name"], name="product", help={"name": "product: a name or a folder with product.yaml"})
def show_product(c: Context, name: str) -> None:
    """Print what a product consists of, role by role, and its variants."""
    from itb import looking

    looking.show_product(name)
