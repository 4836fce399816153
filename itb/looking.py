"""What the looking tasks do: references, runs, hosts, platforms, the machine; and cleaning up."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from itb import (
    __version__,
    cleaning,
    commands,
    config,
    data,
    definitions,
    git,
    imagestages,
    inspect_runs,
    pipeline,
    platforms,
    report,
    source,
    warden,
)
from itb import doctor as machine_doctor
from itb.definitions import Platform
from itb.engine import Engine, connect
from itb.model import Commit
from itb.places import expand
from itb.redact import redact
from itb.rundir import RunDir
from itb.runners import Runner
from itb.tables import Listing

Flags = Mapping[str, Any]


def _console() -> Console:
    """Standard output; a pipe has no width that lines would have to be folded to."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else 200)


def _print_json(value: object) -> None:
    json.dump(value, sys.stdout, indent=1, default=str)
    sys.stdout.write("\n")


def version(*, as_json: bool) -> None:
    """Print itb's version, which is from when it was installed, and the commit a checkout is at now."""
    top = Path(str(files("itb"))).resolve().parent
    commit = ""
    if (top / ".git").exists() and shutil.which("git"):
        argv = ["git", "-C", str(top), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
        commit = Runner().run(argv, env=git.environment(users=False), clean_env=True, check=False).stdout.strip()
    if as_json:
        _print_json({"version": __version__, "commit": commit or None})
        return
    print(f"itb {__version__}" + (f", checkout at commit {commit}" if commit else ""))


def refs(flags: Flags, *, as_json: bool) -> None:
    """References newest first, with the runs that tested them."""
    chosen = commands.settings_from(flags)
    product = commands.load_product(chosen)
    runner = Runner()
    found = source.refs(
        source=commands.origin(product, chosen, runner), cache=chosen.cache_dir, runner=runner
    )
    tested: dict[str, list[str]] = {}
    for rundir, state in inspect_runs.readable(chosen.runs_dir):
        commit = rundir.found("commit", Commit)
        if commit is not None:
            tested.setdefault(commit.id, []).append(f"{state.platform}: {inspect_runs.outcome(rundir, state)}")
    if as_json:
        _print_json([{**item.model_dump(), "tested": tested.get(item.id, [])} for item in found])
        return
    shown = Listing("reference", "kind", "commit", "date", "subject", "tested")
    for item in found:
        runs = ", ".join(dict.fromkeys(tested.get(item.id, [])))
        shown.add(item.name, item.kind, item.id[:12], item.date[:10], item.subject, runs)
    _console().print(shown)


def runs(flags: Flags, *, as_json: bool) -> None:
    """All runs, newest first."""
    folder = commands.settings_from(flags).runs_dir
    found = inspect_runs.every(folder)
    if as_json:
        states = [state for _, state in inspect_runs.readable(folder)]
        _print_json([state.model_dump(mode="json", exclude={"settings"}) for state in states])
    elif found:
        _console().print(inspect_runs.table(found))
    else:
        print(f"no run in {commands.settings_from(flags).runs_dir} yet: itb run makes one")


def machine(flags: Flags) -> None:
    """Hosts of itb's on this machine."""
    shown = inspect_runs.machine_table(_engine(flags))
    if shown.row_count:
        _console().print(shown)
    else:
        print("nothing of itb's is on this machine")


def _engine(flags: Flags) -> Engine:
    return commands.find_engine(commands.settings_from(flags))


def shell(flags: Flags, run: str, role: str) -> None:
    """A shell in a kept host; does not return."""
    chosen = commands.settings_from(flags)
    inspect_runs.shell(commands.find_engine(chosen), RunDir.find(chosen.runs_dir, run), role)


def logs(flags: Flags, run: str, role: str) -> None:
    """Paths and sizes of a run's logs."""
    chosen = commands.settings_from(flags)
    inspect_runs.logs(_console(), RunDir.find(chosen.runs_dir, run), role)


def doctor(flags: Flags, *, deep: bool, as_json: bool) -> int:
    """Findings about this machine; exit code 5 if one keeps itb from working."""
    findings = machine_doctor.examine(commands.settings_from(flags), deep=deep)
    if as_json:
        _print_json([item.model_dump(mode="json") for item in findings])
    else:
        _console().print(machine_doctor.table(findings))
    return machine_doctor.exit_code(findings)


def clean(flags: Flags, *, kept_too: bool, unused: bool, everything: bool) -> None:
    """Remove leftovers of runs; on request also cache and images."""
    chosen = commands.settings_from(flags)
    engine = commands.find_engine(chosen)
    count = cleaning.sweep(engine, chosen.runs_dir, kept_too=kept_too or everything, say=print)
    for thing in [*imagestages.remove_leftovers(engine), *platforms.remove_unfinished(engine)]:
        print(f"removed {thing}")
        count += 1
    if everything:
        for images in platforms.built(engine):
            _say_each(platforms.remove(engine, images.platform, cache=chosen.cache_dir))
    if unused or everything:
        cleaning.sweep_cache(chosen.cache_dir, everything=everything, say=print)
    if not count:
        print("no run has left anything behind")


def _say_each(things: list[str]) -> None:
    for thing in things:
        print(f"removed {thing}")


def show_run(flags: Flags, run: str, *, as_json: bool) -> None:
    """Summary of a run."""
    chosen = commands.settings_from(flags)
    rundir = RunDir.find(chosen.runs_dir, run)
    if as_json:
        _print_json(rundir.state.model_dump(mode="json"))
    else:
        report.show(rundir, _console())


def show_config(*, as_json: bool) -> None:
    """Every setting with its value and origin; passwords in URLs are not shown."""
    settings, origins = config.load()
    values = json.loads(redact(settings.model_dump_json()))
    if as_json:
        _print_json({key: {"value": value, "from": origins[key]} for key, value in values.items()})
        return
    shown = Listing("setting", "value", "from", "what it is")
    for key, value in values.items():
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        shown.add(key, text, origins[key], config.declared()[key].explained)
    _console().print(shown)


def show_product(name: str) -> None:
    """Roles, packages and services of a product, and how its variants differ."""
    product = commands.load_product(commands.settings_from({"product": name}))
    print(f"{product.name}: {product.title}")
    print(f"  testbed {product.testbed}, scenarios {', '.join(product.scenarios)}")
    shown = Listing("role", "packages", "services", "configuration")
    for role, item in product.roles.items():
        shown.add(role, ", ".join(item.packages), ", ".join(item.services), item.configure)
    _console().print(shown)
    for variant, change in product.variants.items():
        print(f"--variant {variant}: {change.title}" + ("" if change.tested else " (not run by anybody yet)"))
        for line in change.note.splitlines():
            print(f"  {line}")
        for role, more in change.more.items():
            print(f"  {role}: also {', '.join([*more.packages, *more.services])}")
        for role, other in change.instead.items():
            print(f"  {role}: {', '.join(other.packages)} instead, with {', '.join(other.services)}")


def _platform(flags: Flags, name: str) -> tuple[Platform, dict[str, str]]:
    chosen = commands.settings_from(flags)
    folders = [expand(folder) for folder in chosen.platforms]
    return definitions.load_platform(name, folders), dict(chosen.platform_options.get(name, {}))


def platform_build(flags: Flags, name: str) -> None:
    """Make the images of a platform, or say that they are there."""
    chosen = commands.settings_from(flags)
    platform, options = _platform(flags, name)
    note: Callable[[str], None] = lambda text: print(text, file=sys.stderr)  # noqa: E731
    ending = pipeline.Ending()
    # An exception out of the blue would leave the threads of the stages at work.
    with ending.listening(chosen.run_timeout * chosen.timeout_factor), warden.on_duty():
        runner = Runner(stop=ending.stop(), limits=chosen.time_limits, retries=chosen.retries)
        engine = connect(runner, chosen.engine, chosen.cache_dir)
        images = platforms.ensure(
            platform, engine, cache=chosen.cache_dir, options=options, note=note, refresh=True
        )
    print(f"{name}: key {images.key}, {images.size / 1e6:.0f} MB, made {images.created}")


def platform_list(flags: Flags, *, as_json: bool) -> None:
    """Platforms that are defined and images that are there."""
    engine = _engine(flags)
    built = platforms.built(engine)
    names = sorted(file.parent.name for file in data.folder("build_ws").glob("platforms/*/platform.yaml"))
    if as_json:
        _print_json([images.model_dump(mode="json") for images in built])
        return
    shown = Listing("platform", "title", "tested", "images")
    for name in names:
        platform = definitions.load_platform(name)
        here = [f"{item.key} ({item.size / 1e6:.0f} MB)" for item in built if item.platform == name]
        shown.add(name, platform.title, "yes" if platform.tested else "no", ", ".join(here) or "none")
    _console().print(shown)


def platform_show(flags: Flags, name: str) -> None:
    """What a platform is."""
    platform, options = _platform(flags, name)
    console = _console()
    console.print(f"{platform.name}: {platform.title}")
    for line in platform.note.splitlines():
        console.print(f"  {line}")
    shown = Table(box=None, show_header=False)
    shown.add_row("tested", "yes" if platform.tested else "no, by nobody yet")
    shown.add_row("defined in", str(platform.folder))
    shown.add_row("base image", platform.base.image)
    for key, value in {**platform.settings, **options}.items():
        shown.add_row(f"option {key}", value)
    shown.add_row("stand-ins", ", ".join(platform.stand_ins) or "none")
    shown.add_row("CE", ", ".join(platform.ce.packages))
    for images in platforms.built(_engine(flags)):
        if images.platform == name:
            for kind, reference in images.references.items():
                shown.add_row(f"image {kind}", reference)
    console.print(shown)


def platform_remove(flags: Flags, name: str) -> None:
    """Remove a platform's images."""
    platform, _ = _platform(flags, name)
    chosen = commands.settings_from(flags)
    removed = platforms.remove(commands.find_engine(chosen), platform.name, cache=chosen.cache_dir)
    _say_each(removed)
    if not removed:
        print(f"platform {name} has no images here")
