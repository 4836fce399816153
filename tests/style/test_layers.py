"""A package imports only from lower layers, and packages of one layer never import each other.

This is the one list of layers; itb/README.md shows it to people.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2] / "itb"

LAYERS = (
    "errors model phase roles version commit_versions data debtorpm",
    "isolation util",
    "process",
    "config containers rundir",
    "source build repository platforms testbed install tokens scenario report defects",
    "run machine",
    "cli",
)
LAYER = {package: number for number, packages in enumerate(LAYERS, 1) for package in packages.split()}
LAYER |= {"__main__": len(LAYERS) + 1, "_version": 0}
MODULES = {".".join(path.relative_to(TOP).with_suffix("").parts): path for path in TOP.rglob("*.py")}


def imports(path: Path) -> Iterator[str]:
    """Yield the modules of itb that a file imports, wherever in it, without the leading ``itb.``."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            inside = name.removeprefix("itb.")
            while inside and inside not in MODULES:
                inside = inside.rpartition(".")[0]
            if name.startswith("itb.") and inside:
                yield inside


@pytest.mark.parametrize("module", sorted(set(MODULES) - {"__init__"}))
def test_imports_go_down(module: str) -> None:
    package = module.partition(".")[0]
    assert package in LAYER, f"{module}: package {package} has no layer yet"
    for other in {name.partition(".")[0] for name in imports(MODULES[module])} - {package}:
        assert LAYER[other] < LAYER[package], (
            f"{module} (layer {LAYER[package]}) imports {other} (layer {LAYER[other]})"
        )


def test_no_circles() -> None:
    TopologicalSorter({module: set(imports(path)) - {module} for module, path in MODULES.items()}).prepare()


def test_the_documentation_shows_these_layers() -> None:
    rows = [line.split("|") for line in (TOP / "README.md").read_text().splitlines()]
    shown = {
        int(row[1]): sorted(word.strip("`/") for word in row[2].split()) for row in rows
        if len(row) > 3 and row[1].strip().isdigit()
    }  # fmt: skip
    assert shown == {number: sorted(packages.split()) for number, packages in enumerate(LAYERS, 1)}


def test_packages_are_empty() -> None:
    """What stood in an __init__ would be read by every `itb --help`."""
    packages = [module for module in MODULES if module.endswith(".__init__")]
    full = [module for module in packages if MODULES[module].read_text().strip()]
    assert not full


@pytest.mark.parametrize("module", sorted(module for module in MODULES if not module.startswith("debtorpm")))
def test_processes_start_in_one_place(module: str) -> None:
    """Who waits for a process itself forgets time limits, redaction or the children."""
    if module != "process.runner":
        assert "import subprocess" not in MODULES[module].read_text()


def test_converter_stands_alone() -> None:
    """It runs inside a container, where only Python's standard library is."""
    for path in (TOP / "debtorpm").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            assert {name.partition(".")[0] for name in modules} <= sys.stdlib_module_names, path
