"""Loading products, platforms and scenarios by name or path.

A name is looked up in the user's folders first, then in those that itb ships;
a path to a folder works wherever a name does.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from itb.config import step_library
from itb.config.platform import BASE, FINAL_STAGES, Platform, PlatformFile
from itb.config.product import Product, ProductFile, with_variants
from itb.config.scenario import Scenario, ScenarioFile
from itb.data import shipped
from itb.errors import UsageError
from itb.util import ownership, yamlfile

_PLATFORM_FILE = "platform.yaml"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def load_platform(name: str, folders: Sequence[Path] = ()) -> Platform:
    """Return the platform of this name or folder; UsageError with the nearest name if there is none."""
    folder = find("platform", name, _platform_folders(folders), _PLATFORM_FILE)
    file = yamlfile.load(folder / _PLATFORM_FILE, PlatformFile)
    platform = Platform(**dict(file), name=folder.name, folder=folder)
    _check_scripts_of_images(platform)
    return platform


def _check_scripts_of_images(platform: Platform) -> None:
    """Raise UsageError for a missing shared folder or script, and for stages of which no image can be made."""
    definition = platform.folder / _PLATFORM_FILE
    for folder in platform.folders:
        if not folder.is_dir():
            raise UsageError(f"{definition}: shared {platform.shared!r}: there is no folder {folder}")
        _trusted(folder)
    scripts = {f"stage {name}": stage.script for name, stage in platform.stages.items()}
    scripts |= {"resolve": platform.resolve} if platform.resolve else {}
    for what, script in scripts.items():
        if not any(_is_inside(folder, script) for folder in platform.folders):
            places = " or ".join(str(folder) for folder in platform.folders)
            raise UsageError(f"{definition}: {what}: script {script!r} is not a file in {places}")
    for missing in (name for name in FINAL_STAGES if name not in platform.stages):
        raise UsageError(f"{definition}: no stage {missing!r}; a run needs {', '.join(FINAL_STAGES)}")
    for name, stage in platform.stages.items():
        for other in (stage.from_, *stage.after):
            if other not in (BASE, *platform.stages):
                hint = yamlfile.nearest(other, [BASE, *platform.stages])
                raise UsageError(f"{definition}: stage {name}: there is no stage {other!r}{hint}")
    needs = {name: (stage.from_, *stage.after) for name, stage in platform.stages.items()}
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        raise UsageError(f"{definition}: stages wait for each other: {' and '.join(error.args[1])}") from None


def platform_names(folders: Sequence[Path] = ()) -> list[str]:
    """Return the names of the platforms in these folders and of those that came with itb, sorted."""
    return _names(_platform_folders(folders), _PLATFORM_FILE)


def _platform_folders(folders: Sequence[Path]) -> list[Path]:
    return [*folders, shipped.folder("build_ws") / "platforms"]


def _names(folders: Sequence[Path], file: str) -> list[str]:
    return sorted({path.parent.name for folder in folders for path in folder.glob(f"*/{file}")})


def load_product(name: str, folders: Sequence[Path] = ()) -> Product:
    """Return the product of this name or folder; UsageError with the nearest name if there is none."""
    folder = find("product", name, [*folders, shipped.folder("build_ws") / "products"], "product.yaml")
    file = yamlfile.load(folder / "product.yaml", ProductFile)
    product = Product(**dict(file), name=folder.name, folder=folder)
    _check_roles(product, folder)
    for variant in product.variants:
        _check_roles(with_variants(product, [variant]), folder)
    if product.source.history:
        _check_file(folder, "product.yaml", "history", product.source.history)
    return product


def _check_roles(product: Product, folder: Path) -> None:
    """Raise UsageError for a missing configuration script, and for a probe of something that is no service."""
    for role, definition in product.roles.items():
        if definition.configure:
            _check_file(folder, "product.yaml", f"role {role}: script", definition.configure)
        for unit in definition.probes:
            if unit not in definition.services:
                hint = yamlfile.nearest(unit, list(definition.services))
                raise UsageError(f"{folder / 'product.yaml'}: role {role}: probe of {unit!r}, no service{hint}")


def load_scenario(name: str, folders: Sequence[Path] = ()) -> Scenario:
    """Return the scenario of this name or folder; UsageError with the nearest name if there is none."""
    folder = find("scenario", name, [*folders, shipped.folder("scenarios")], "scenario.yaml")
    file = yamlfile.load(folder / "scenario.yaml", ScenarioFile)
    scenario = Scenario(**dict(file), name=folder.name, folder=folder)
    check_scripts(scenario, folder)
    return scenario


def check_scripts(scenario: Scenario, folder: Path) -> None:
    """Raise UsageError for a step whose script is neither in the scenario's folder nor in itb's library."""
    for step in (*scenario.steps, *scenario.always):
        if step.script and not _is_inside(folder, step.script):
            what = f"{folder / 'scenario.yaml'}: step {step.name!r}: script"
            step_library.check_script(step.script, what, folder)


def _is_inside(folder: Path, name: str) -> bool:
    """Return whether the name is that of a file inside the folder."""
    try:
        path = (folder / name).resolve()
        return path.is_relative_to(folder.resolve()) and path.is_file()
    except (OSError, ValueError, RuntimeError):  # a name no file can have, links in a circle
        return False


def _check_file(folder: Path, definition: str, what: str, name: str) -> None:
    """Raise UsageError for a file that ``definition`` names and the folder has not."""
    if not _is_inside(folder, name):
        raise UsageError(f"{folder / definition}: {what} {name!r} is not a file in {folder}")


def find(kind: str, name: str, folders: Sequence[Path], file: str) -> Path:
    """Return the folder of a definition by its name or path; UsageError with the nearest name if there is none."""
    if "/" in name or name in (".", ".."):
        path = _expand(name)
        if path and (path / file).is_file():
            return _trusted(path.resolve())
        raise UsageError(f"{kind} {name[:200]!r}: no {file} in {str(path or name)[:200]}")
    for folder in folders:
        if NAME.fullmatch(name) and (folder / name / file).is_file():
            return _trusted((folder / name).absolute())
    known = _names(folders, file)
    hint = yamlfile.nearest(name, known) or f"; known: {', '.join(known)}"
    here = _expand(f"./{name}") if NAME.fullmatch(name) else None
    way = f"--{kind} ./{name} takes the folder of that name here" if here and (here / file).is_file() else ""
    raise UsageError(f"unknown {kind} {name[:200]!r}{hint}", hint=way)


def _trusted(folder: Path) -> Path:
    """Return a folder of definitions; UsageError for one somebody else can change, unless it came with itb."""
    if not any(folder.is_relative_to(shipped.folder(top)) for top in ("build_ws", "scenarios")):
        ownership.check_tree(folder)
    return folder


def _expand(name: str) -> Path | None:
    """Return the folder of a path; None if there is none: a user's who is not known, a name too long."""
    try:
        path = Path(name).expanduser()
        return path if path.is_dir() else None
    except (RuntimeError, OSError):
        return None
