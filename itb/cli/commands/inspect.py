"""Commands that show what is there: references, runs, hosts, logs, settings, products; and a shell in a host."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib.resources import files
from pathlib import Path

from rich.console import Console

from itb.cli.commands import common
from itb.cli.commands.common import Flags, make_console, print_json
from itb.cli.commands.listing import Listing
from itb.config import settings as config_settings
from itb.containers import naming
from itb.containers.engine import Engine, container_name, labels_of
from itb.errors import ExitCode, UsageError
from itb.process.request import Request
from itb.process.runner import Runner
from itb.report import write
from itb.run import plan
from itb.rundir import values
from itb.rundir.directory import RunDir, RunState
from itb.source import git, resolve
from itb.util.redact import redact
from itb.util.yamlfile import nearest
from itb.version import VERSION


def version(*, as_json: bool) -> None:
    """Print itb's version, which is from when it was installed, and the commit a checkout is at now."""
    top = Path(str(files("itb"))).resolve().parent
    commit = ""
    if (top / ".git").exists() and shutil.which("git"):
        argv = ["git", "-C", str(top), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
        request = Request(argv, env=git.environment(users=False), clean_env=True, check=False)
        commit = Runner().run(request).stdout.strip()
    if as_json:
        print_json({"version": VERSION, "commit": commit or None})
        return
    print(f"itb {VERSION}" + (f", checkout at commit {commit}" if commit else ""))


def refs(flags: Flags, *, as_json: bool) -> None:
    """Print references, newest first, with the runs that tested them."""
    settings = common.settings_from(flags)
    product = plan.load_product(settings)
    runner = Runner()
    references = resolve.refs(
        source=plan.locate_source(product, settings, runner), cache=settings.cache_dir, runner=runner
    )
    tested: dict[str, list[str]] = {}
    for rundir, state in readable(settings.runs_dir):
        commit = rundir.readable(values.COMMIT)
        if commit is not None:
            tested.setdefault(commit.id, []).append(f"{state.platform}: {outcome(rundir, state)}")
    if as_json:
        print_json([{**entry.model_dump(), "tested": tested.get(entry.id, [])} for entry in references])
        return
    shown = Listing("reference", "kind", "commit", "date", "subject", "tested")
    for reference in references:
        runs = ", ".join(dict.fromkeys(tested.get(reference.id, [])))
        shown.add(reference.name, reference.kind, reference.id[:12], reference.date[:10], reference.subject, runs)
    make_console().print(shown)


def runs(flags: Flags, *, as_json: bool) -> None:
    """Print all runs, newest first."""
    folder = common.settings_from(flags).runs_dir
    rundirs = every(folder)
    if as_json:
        states = [state for _, state in readable(folder)]
        print_json([state.model_dump(mode="json", exclude={"settings"}) for state in states])
    elif rundirs:
        make_console().print(table(rundirs))
    else:
        print(f"no run in {folder} yet: itb run makes one")


def shell(flags: Flags, run: str, role: str) -> None:
    """Replace this process by a shell in a kept host."""
    settings = common.settings_from(flags)
    enter_host(common.find_engine(settings), RunDir.find(settings.runs_dir, run), role)


def logs(flags: Flags, run: str, role: str) -> None:
    """Print paths and sizes of a run's logs."""
    settings = common.settings_from(flags)
    print_logs(make_console(), RunDir.find(settings.runs_dir, run), role)


def show_run(flags: Flags, run: str, *, as_json: bool) -> None:
    """Print the summary of a run."""
    settings = common.settings_from(flags)
    rundir = RunDir.find(settings.runs_dir, run)
    if as_json:
        print_json(rundir.state.model_dump(mode="json"))
    else:
        write.show(rundir, make_console())


def show_config(*, as_json: bool) -> None:
    """Print every setting with its value and origin; passwords in URLs are not shown."""
    settings, origins = config_settings.load()
    values = json.loads(redact(settings.model_dump_json()))
    if as_json:
        print_json({key: {"value": value, "from": origins[key]} for key, value in values.items()})
        return
    shown = Listing("setting", "value", "from", "what it is")
    for key, value in values.items():
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        shown.add(key, text, origins[key], config_settings.declared()[key].explained)
    make_console().print(shown)


def show_product(name: str) -> None:
    """Print roles, packages and services of a product, and how its variants differ."""
    product = plan.load_product(common.settings_from({"product": name}))
    print(f"{product.name}: {product.title}")
    print(f"  testbed {product.testbed}, scenarios {', '.join(product.scenarios)}")
    shown = Listing("role", "packages", "services", "configuration")
    for role, definition in product.roles.items():
        services = ", ".join(definition.services)
        shown.add(role, ", ".join(definition.packages), services, definition.configure)
    make_console().print(shown)
    for variant, change in product.variants.items():
        print(f"--variant {variant}: {change.title}" + ("" if change.tested else " (not run by anybody yet)"))
        for line in change.note.splitlines():
            print(f"  {line}")
        for role, more in change.more.items():
            print(f"  {role}: also {', '.join([*more.packages, *more.services])}")
        for role, other in change.instead.items():
            print(f"  {role}: {', '.join(other.packages)} instead, with {', '.join(other.services)}")


def every(runs: Path) -> list[RunDir]:
    """Return all runs of a folder, newest first."""
    return [RunDir(path.parent) for path in sorted(runs.glob("*/run.json"), reverse=True)]


def readable(runs: Path) -> Iterator[tuple[RunDir, RunState]]:
    """Yield all runs of a folder whose state can be read, newest first, with their state."""
    for rundir in every(runs):
        with suppress(UsageError):
            yield rundir, rundir.state


def outcome(rundir: RunDir, state: RunState) -> str:
    """Return how a run ended, or that it is running, in a word or two."""
    if rundir.is_held():
        return "running"
    if state.exit_code is None:
        return "ended without a word"
    return "passed" if state.exit_code == ExitCode.PASSED else f"exit {state.exit_code}"


def table(rundirs: Iterable[RunDir]) -> Listing:
    """Return the runs as a table: what, when, how it ended, whether hosts were kept."""
    shown = Listing("run", "reference", "started (UTC)", "took", "outcome", "hosts")
    for rundir in rundirs:
        try:
            state = rundir.state
        except UsageError:
            shown.add(rundir.id, "", "", "", "run.json cannot be read", "")
            continue
        took = f"{state.finished - state.started:.0f} s" if state.finished else ""
        started = time.strftime("%Y-%m-%d %H:%M", time.gmtime(state.started))
        hosts = "kept" if state.kept else ""
        shown.add(rundir.id, state.ref, started, took, outcome(rundir, state), hosts)
    return shown


def machine_table(engine: Engine) -> Listing:
    """Return a table of itb's containers on this machine now, found by their labels."""
    shown = Listing("run", "role", "container", "state")
    for container in engine.containers(naming.any_run()):
        labels = labels_of(container)
        run, _ = naming.run_of(labels)
        shown.add(run or "?", naming.role_of(labels), container_name(container), container.get("State", ""))
    return shown


def enter_host(engine: Engine, rundir: RunDir, role: str) -> None:
    """Replace this process by a shell in a kept host; UsageError if it is not there."""
    container = naming.container(rundir.state.short, role)
    labels = naming.run_labels(rundir.id, rundir.path.parent)
    names = {container_name(answer) for answer in engine.containers(labels)}
    if not names:
        raise UsageError(
            f"run {rundir.id} has no hosts any more", hint="start it again with --keep failed or --keep always"
        )
    if container not in names:
        roles = sorted(naming.container_role(name, rundir.state.short) for name in names)
        hint = nearest(role, roles) or f"; it has: {', '.join(roles)}"
        raise UsageError(f"run {rundir.id} has no host {role!r}{hint}")
    try:
        rundir.append_entry(role)
    except OSError as error:  # a full disk is what people enter a host for
        print(f"itb: no report will say that you were here: {error.filename}: {error.strerror}", file=sys.stderr)
    program = shutil.which(engine.program) or engine.program
    shell = engine.exec_request(container, Request(["bash", "-l"]), interactive=True, tty=os.isatty(0))
    argv = [program, *shell.argv]
    os.execve(program, argv, {**os.environ, **engine.env})


def print_logs(console: Console, rundir: RunDir, role: str) -> None:
    """Print where the logs of a run (or of one role) are, with their sizes."""
    folders = [rundir.host(role)] if role else [rundir.build, rundir.repo, rundir.path / "hosts", rundir.results]
    if role and not folders[0].is_dir():
        roles = sorted(path.name for path in (rundir.path / "hosts").glob("*"))
        hint = nearest(role, roles) or f"; it has: {', '.join(roles) or 'none of any host'}"
        raise UsageError(f"run {rundir.id} has no logs of {role!r}{hint}")
    files = [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    for path in [rundir.path / "commands.log", *files]:
        if path.is_file():
            console.print(f"{path.stat().st_size:>10}  {path}", highlight=False, markup=False, soft_wrap=True)
