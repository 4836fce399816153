"""Commands that show references, a run, settings or a product."""

from __future__ import annotations

import json

from itb.cli.commands import common, runs
from itb.cli.commands.common import Flags, make_console, print_json
from itb.cli.commands.listing import Listing
from itb.cli.commands.report import notes_of
from itb.config import product as config_product
from itb.config import settings as config_settings
from itb.process.runner import Runner
from itb.report import run_report, run_result
from itb.run import assemble
from itb.rundir import values
from itb.rundir.directory import RunDir
from itb.source import resolve
from itb.util.redact import redact


def refs(flags: Flags, *, as_json: bool) -> None:
    """Print references, newest first, with the runs that tested them."""
    settings = common.settings_from(flags)
    product = assemble.load_product(settings)
    runner = Runner()
    references = resolve.refs(
        source=assemble.locate_source(product, settings, runner), cache=settings.cache_dir, runner=runner
    )
    tested: dict[str, list[str]] = {}
    for rundir, state in runs.read_states(settings.runs_dir):
        commit = rundir.load_if_readable(values.COMMIT)
        if commit is not None:
            outcome = run_result.read(rundir, state).text
            tested.setdefault(commit.id, []).append(f"{state.platform}: {outcome}")
    if as_json:
        print_json([{**entry.model_dump(), "tested": tested.get(entry.id, [])} for entry in references])
        return
    listing = Listing("reference", "kind", "commit", "date", "tested", "subject")
    for reference in references:
        outcomes = ", ".join(dict.fromkeys(tested.get(reference.id, [])))
        listing.add(
            reference.name, reference.kind, reference.id[:12], reference.date[:10], outcomes, reference.subject
        )
    listing.print()


def show_run(flags: Flags, run: str, *, failed: bool, as_json: bool) -> None:
    """Print the summary of a run, or everything about its failed cases."""
    settings = common.settings_from(flags)
    rundir = RunDir.find(settings.runs_dir, run)
    if as_json:
        report = run_report.json_report_of([(rundir, None)])
        print_json([case.model_dump(mode="json") for case in report.runs[0].failed] if failed else report)
    elif failed:
        run_report.show_failed(rundir, make_console())
    else:
        run_report.show(rundir, make_console(), notes=notes_of(rundir, settings))


def show_config(*, as_json: bool) -> None:
    """Print every setting with its value and origin, without logins of URLs and arguments of hooks."""
    settings, origins = config_settings.load()
    setting_values = json.loads(redact(json.dumps(settings.without_secrets())))
    if as_json:
        print_json({key: {"value": value, "from": origins[key]} for key, value in setting_values.items()})
        return
    listing = Listing("setting", "value", "from", "what it is")
    for key, value in setting_values.items():
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        listing.add(key, text, origins[key], config_settings.declared()[key].help_with_default)
    listing.print()


def show_product(name: str, *, as_json: bool) -> None:
    """Check a product, and print its roles, packages, services and variants; UsageError for a mistake in it."""
    settings = common.settings_from({"product": name})
    product = assemble.load_product(settings)
    for names in ((), *((name,) for name in product.variants)):
        varied = config_product.with_variants(product, names)
        assemble.find_testbed_and_scenarios(varied, (*varied.scenarios, *varied.scenario_sets), settings)
    if as_json:
        print_json(product.model_dump(mode="json", by_alias=True))
        return
    print(f"{product.name}: {product.title}")
    builder = "a command" if product.build.command else product.build.release_manager
    print(redact(f"  source {product.source.url or product.source.history}, built by {builder}"))
    print(f"  testbed {product.testbed}, scenarios {', '.join(product.scenarios)}")
    for set_name, scenarios in product.scenario_sets.items():
        print(f"  --scenario {set_name}: {', '.join(scenarios)}")
    listing = Listing("role", "packages", "services", "configuration")
    for role, definition in product.roles.items():
        services = ", ".join(definition.services)
        listing.add(role, ", ".join(definition.packages), services, definition.configure)
    listing.print()
    for variant, change in product.variants.items():
        print(f"--variant {variant}: {change.title}" + ("" if change.tested else " (not run by anybody yet)"))
        for line in change.note.splitlines():
            print(f"  {line}")
        for role, more in change.more.items():
            print(f"  {role}: also {', '.join([*more.packages, *more.services])}")
        for role, other in change.instead.items():
            print(f"  {role}: {', '.join(other.packages)} instead, with {', '.join(other.services)}")
