"""Values that complete options and arguments in a shell: names of runs, roles, products and so on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress

from itb.cli.commands import definition_lists, logs, runs
from itb.cli.partial_line import PartialLine
from itb.config import lookup
from itb.config import settings as config_settings
from itb.config.settings import Settings
from itb.errors import ItbError
from itb.rundir import logs as rundir_logs
from itb.rundir import values as rundir_values
from itb.rundir.directory import RunDir, runs_of


def values(kind: str, line: PartialLine) -> list[str]:
    """Return the values of a kind (``Option.completes``); none if they cannot be found out."""
    with suppress(ItbError, OSError):
        folders = {name: line.value(name) for name in ("runs",) if line.value(name)}
        return list(_VALUES[kind](config_settings.load(folders)[0], line))
    return []


def _definitions(plural: str) -> Callable[[Settings, PartialLine], Iterable[str]]:
    def names(settings: Settings, _: PartialLine) -> list[str]:
        return [name for name, _folder in definition_lists.names(definition_lists.kinds()[plural], settings)]

    return names


def _runs(settings: Settings, _: PartialLine) -> list[str]:
    return [rundir.id for rundir in runs_of(settings.runs_dir)]


def _run(settings: Settings, line: PartialLine) -> RunDir:
    return RunDir.find(settings.runs_dir, line.value("run"))


def _roles(settings: Settings, line: PartialLine) -> list[str]:
    """Return the roles of the run's hosts, whether they are there or have only left logs."""
    rundir = _run(settings, line)
    testbed_hosts = rundir.load_if_readable(rundir_values.TESTBED)
    roles = [host.role for host in testbed_hosts.hosts] if testbed_hosts else []
    return list(dict.fromkeys([*roles, *(path.name for path in sorted((rundir.path / "hosts").glob("*")))]))


def _places(settings: Settings, line: PartialLine) -> list[str]:
    """Return the places of the run that have logs."""
    return logs.places(_run(settings, line))


def _logs(settings: Settings, line: PartialLine) -> list[str]:
    role = line.value("role")
    return [log.name for log in rundir_logs.list_logs(_run(settings, line)) if role in ("", log.place)]


def _variants(settings: Settings, line: PartialLine) -> Iterable[str]:
    folders = settings.folders("products")
    return lookup.load_product(line.value("product") or settings.product, folders).variants


def _scenarios(settings: Settings, line: PartialLine) -> Iterable[str]:
    names = list(_definitions("scenarios")(settings, line))
    product = line.value("product") or settings.product
    sets = lookup.load_product(product, settings.folders("products")).scenario_sets if product else {}
    return [*names, *sets]


def _outcomes(_: Settings, __: PartialLine) -> Iterable[str]:
    return runs.OUTCOMES


def _hooks(settings: Settings, _: PartialLine) -> list[str]:
    from itb.tokens.lookup import PROVIDERS  # takes long to import, and is not for every value

    hook_files = (path for folder in settings.folders("hooks") for path in sorted(folder.glob("*")))
    return [*PROVIDERS, *(path.name for path in hook_files if path.is_file())]


_VALUES: dict[str, Callable[[Settings, PartialLine], Iterable[str]]] = {
    "products": _definitions("products"),
    "platforms": _definitions("platforms"),
    "scenarios": _scenarios,
    "variants": _variants,
    "hooks": _hooks,
    "runs": _runs,
    "roles": _roles,
    "places": _places,
    "logs": _logs,
    "outcomes": _outcomes,
}
