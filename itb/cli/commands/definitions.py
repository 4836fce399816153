"""``itb new`` and ``itb schema``: definitions made from templates, and JSON schemas for editors."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from itb.cli.commands import common
from itb.cli.commands.common import Flags, print_json
from itb.config import lookup, templates, untrusted_source, yaml_record
from itb.config import settings as config_settings
from itb.config.platform import PlatformFile, SideEffects
from itb.config.product import ProductFile
from itb.config.scenario import ScenarioFile
from itb.config.settings import Settings
from itb.config.templates import TemplateKind
from itb.data import shipped
from itb.errors import UsageError
from itb.source.embedded import History
from itb.tokens.lookup import PROVIDERS
from itb.util import yamlfile
from itb.util.files import expand

# The record of each YAML file that people write.
RECORDS: dict[str, type[BaseModel]] = {
    "product": ProductFile,
    "scenario": ScenarioFile,
    "platform": PlatformFile,
    "side-effects": SideEffects,
    "history": History,
}
ITB_YAML = "itb"  # itb.yaml, whose keys are declared as options
NAMES = (*RECORDS, ITB_YAML)
EXAMPLE = "pocketwms"  # the product that new definitions are tried with, unless one is set


def schema(name: str) -> dict[str, Any]:
    """Return the JSON schema of a file, named with or without ``.yaml``; UsageError with the nearest."""
    name = name.removesuffix(".yaml")
    if name == ITB_YAML:
        return config_settings.json_schema()
    if name not in RECORDS:
        hint = yamlfile.nearest(name, list(NAMES)) or f"; there are: {', '.join(NAMES)}"
        raise UsageError(f"no schema of {name[:60]!r}{hint}")
    return yaml_record.json_schema(RECORDS[name], f"{name}.yaml")


def print_schema(name: str) -> None:
    """Print a schema as JSON."""
    print_json(schema(name))


@dataclass(frozen=True)
class _Place:
    """The path of a new definition; ``setting`` is the folder that itb.yaml has to name for it, empty if none."""

    target: Path
    setting: str = ""


def new(what: str, name: str, flags: Flags, *, like: str = "") -> None:
    """Write a new definition of a kind and print the commands that use it."""
    kind = TemplateKind(what)
    settings = common.settings_from(flags)
    place = _place(kind, name, settings)
    own_name = place.target.name
    templates.check_name(kind, own_name)
    if own_name in _own_names(kind):
        raise UsageError(f"{kind} {own_name!r} is one of itb's own", hint="another name tells them apart")
    templates.write(place.target, templates.with_schemas(_files(kind, own_name, settings, like), schema))
    print(f"{_shown(place.target)}{'' if kind is TemplateKind.HOOK else '/'} is made")
    if place.setting:
        _look_up_here(kind, place)
    _print_next(kind, _usable_name(kind, place.target, flags), settings)


def _place(kind: TemplateKind, name: str, settings: Settings) -> _Place:
    """Return the place of a new definition: its path, the first folder of its setting, or a new one here."""
    if "/" in name or name in (".", ".."):
        return _Place(Path.cwd() / expand(name.rstrip("/") or "/"))
    if folders := settings.named_folders(kind.setting):
        return _Place(folders[0].absolute() / name)
    if untrusted_source.is_untrusted(Path.cwd(), settings.source):
        return _Place(Path.cwd() / name)
    return _Place(Path.cwd() / kind.setting / name, setting=kind.setting)


def _own_names(kind: TemplateKind) -> set[str]:
    """Return the names that itb's own definitions of a kind have."""
    folders = {
        TemplateKind.PRODUCT: shipped.folder("build_ws") / "products",
        TemplateKind.PLATFORM: shipped.folder("build_ws") / "platforms",
        TemplateKind.SCENARIO: shipped.folder("scenarios"),
    }
    return {path.name for path in folders[kind].iterdir()} if kind in folders else set(PROVIDERS)


def _files(kind: TemplateKind, name: str, settings: Settings, like: str) -> Mapping[str, str]:
    """Return the files of a new definition."""
    if kind is TemplateKind.PLATFORM:
        other = lookup.load_platform(like, settings.named_folders("platforms"))
        return templates.platform_like(other, name)
    product = lookup.load_product(settings.product or EXAMPLE, settings.named_folders("products"))
    role = next(reversed(product.roles))  # of pilot systems the one that users see
    files = templates.fill_template(kind, {f"new{kind}": name, "newrole": role})
    return {"": next(iter(files.values()))} if kind is TemplateKind.HOOK else files


def _look_up_here(kind: TemplateKind, place: _Place) -> None:
    """Add the folder to the itb.yaml of the working directory, and print that."""
    file = Path.cwd() / "itb.yaml"

    def check(text: str) -> None:
        yamlfile.loads(text, Settings, where=str(file))

    if templates.add_folder_setting(file, kind.setting, place.setting, check):
        print(f"itb.yaml: {kind.setting}: [{place.setting}], where {kind}s are now looked up by name")


def _usable_name(kind: TemplateKind, target: Path, flags: Flags) -> str:
    """Return the definition's name if itb finds it by that, else its path."""
    settings = common.settings_from(flags)
    folders = [folder.absolute() for folder in settings.named_folders(kind.setting)]
    first = next((folder for folder in folders if (folder / target.name).exists()), None)
    return target.name if first == target.parent else shlex.quote(_shown(target))


def _shown(path: Path) -> str:
    """Return a path as people type it here: ``./x`` in the current directory."""
    try:
        return f"./{path.relative_to(Path.cwd())}"
    except ValueError:
        return str(path)


def _print_next(kind: TemplateKind, name: str, settings: Settings) -> None:
    """Print the commands that use a new definition."""
    run = f"itb run --product {settings.product or EXAMPLE}"
    commands = {
        TemplateKind.PRODUCT: (f"itb run --product {name}",),
        TemplateKind.SCENARIO: (f"{run} --scenario {name}",),
        TemplateKind.HOOK: (f"itb token try {name}", f"{run} --token-hook {name}"),
        TemplateKind.PLATFORM: (f"itb platform build {name}", f"{run} --platform {name}"),
    }
    for command in commands[kind]:
        print(f"next: {command}")
