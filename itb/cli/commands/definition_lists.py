"""``itb list products`` and so on: itb's own definitions and those in the user's folders."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from itb.cli.commands.common import print_json
from itb.cli.commands.listing import Listing
from itb.config import lookup
from itb.config import settings as config_settings
from itb.config.settings import Settings
from itb.data import shipped
from itb.errors import UsageError

Row = Mapping[str, Any]


@dataclass(frozen=True)
class DefinitionKind:
    """Products, platforms or scenarios.

    ``setting`` names the user's folders of them, ``own`` is itb's; ``file`` is
    the file of a definition, ``describe`` returns what the list says of one.
    """

    setting: str
    own: Path
    file: str
    describe: Callable[[str, Sequence[Path]], Row]


def _product(name: str, folders: Sequence[Path]) -> Row:
    product = lookup.load_product(name, folders)
    return {"title": product.title, "scenarios": product.scenarios, "variants": tuple(product.variants)}


def _platform(name: str, folders: Sequence[Path]) -> Row:
    platform = lookup.load_platform(name, folders)
    return {"title": platform.title, "tested": platform.tested}


def _scenario(name: str, folders: Sequence[Path]) -> Row:
    scenario = lookup.load_scenario(name, folders)
    needs = scenario.needs
    others = tuple(need for need, is_needed in (("token", needs.token), ("previous", needs.previous)) if is_needed)
    return {"title": scenario.title, "roles": scenario.roles, "needs": others, "products": needs.products}


def kinds() -> dict[str, DefinitionKind]:
    """Return the kinds of definitions by their argument of ``itb list``."""
    build_ws = shipped.folder("build_ws")
    return {
        "products": DefinitionKind("products", build_ws / "products", "product.yaml", _product),
        "platforms": DefinitionKind("platforms", build_ws / "platforms", "platform.yaml", _platform),
        "scenarios": DefinitionKind("scenarios", shipped.folder("scenarios"), "scenario.yaml", _scenario),
    }


def names(kind: DefinitionKind, settings: Settings) -> Iterator[tuple[str, Path]]:
    """Yield the name and folder of each definition; the user's own hides itb's of the same name."""
    names_above: set[str] = set()
    for top in (*settings.folders(kind.setting), kind.own):
        for file in sorted(top.glob(f"*/{kind.file}")):
            name = file.parent.name
            if name not in names_above and lookup.NAME.fullmatch(name):
                names_above.add(name)
                yield name, file.parent


def rows(kind: DefinitionKind, settings: Settings) -> list[dict[str, Any]]:
    """Return a row for each definition of a kind; ``problem`` says why one cannot be read."""
    folders = settings.folders(kind.setting)
    described = []
    for name, folder in names(kind, settings):
        try:
            description = {**kind.describe(name, folders), "problem": None}
        except UsageError as error:
            description = {"title": "", "problem": error.message}
        described.append({"name": name, **description, "folder": str(folder)})
    return sorted(described, key=lambda row: row["name"])


def list_definitions(plural: str, *, as_json: bool) -> None:
    """Print the definitions of a kind (``products`` and so on), and where each is defined."""
    kind = kinds()[plural]
    described = rows(kind, config_settings.load()[0])
    if as_json:
        print_json(described)
        return
    keys = dict.fromkeys(key for row in described for key in row)
    columns = [key for key in keys if key not in ("name", "title", "problem", "folder")]
    listing = Listing(plural.removesuffix("s"), *columns, "defined in", "what it is")
    for row in described:
        is_own = Path(row["folder"]).is_relative_to(kind.own)
        cells = [_text(row.get(column)) for column in columns]
        listing.add(row["name"], *cells, "itb" if is_own else row["folder"], row["problem"] or row["title"])
    listing.print()


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value or "")
