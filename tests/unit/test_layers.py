"""Imports go strictly down: no module imports one of its own floor or of a higher one."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2] / "itb"

# itb/README.md says what each floor is for.  A package is one thing
# seen from outside; inside, its modules must only not import each other in a circle.
FLOORS = (
    "_version errors model redact data versions buildlog debtorpm limits reaper retries passing warden scratch",
    "outputs locks places plainfile refnames options",
    "runners yamlfile ownership undertest subresults buildcache finding platformfile attempts runlock texts",
    "steplibrary",
    "rundir config definitions history resultfiles machine remote tables",
    "engine journal git pki rpmcheck reach ledger",
    "hosts verdict worktree",
    "ownword",
    "stepshell imagestages summary timeline junit",
    "imagebase",
    "source build platforms repo published testbed install configuration explain services evidence scenario "
    "tokens page terminal cleaning inspect_runs lint",
    "publish outside",
    "cell report doctor",
    "supply",
    "phases lockfile atfault watchman",
    "previous tokenphase resuming teardown",
    "tokenkeeper",
    "candidate",
    "pipeline",
    "commands",
    "continuing",
    "looking tokencommands publishing",
    "command",
    "helptext",
    "tasks words documents",
    "__main__",
)
FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names.split()}
MODULES = {
    ".".join(path.relative_to(TOP).with_suffix("").parts).removesuffix(".__init__"): path
    for path in TOP.rglob("*.py")
    if path != TOP / "__init__.py"
}


def imports(path: Path) -> Iterator[str]:
    """Modules of itb a file imports, wherever in it; relative to itb."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            here = [".".join(("itb", *path.parent.relative_to(TOP).parts))] if node.level else []
            base = ".".join([*here, *([node.module] if node.module else [])])
            names = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            inside = name.removeprefix("itb.")
            while inside and inside not in MODULES:
                inside = inside.rpartition(".")[0]
            if name.startswith("itb.") and inside:
                yield inside


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_go_down(module: str) -> None:
    unit = module.partition(".")[0]
    assert unit in FLOOR, f"{module} has no floor yet"
    for other in {name.partition(".")[0] for name in imports(MODULES[module])} - {unit}:
        assert FLOOR[other] < FLOOR[unit], f"{module} (floor {FLOOR[unit]}) imports {other} (floor {FLOOR[other]})"


@pytest.mark.parametrize("module", sorted(set(MODULES) - {"runners", "debtorpm"}))
def test_processes_start_in_one_place(module: str) -> None:
    """Who waits for a process itself forgets time limits, redaction or the children."""
    if not module.startswith("debtorpm"):
        assert "import subprocess" not in MODULES[module].read_text()


def test_no_circles() -> None:
    TopologicalSorter({module: set(imports(path)) - {module} for module, path in MODULES.items()}).prepare()


def test_converter_stands_alone() -> None:
    """It runs inside a container, where only Python's standard library is."""
    for path in (TOP / "debtorpm").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            assert {name.partition(".")[0] for name in modules} <= sys.stdlib_module_names, path


@pytest.mark.parametrize("module", sorted(MODULES))
def test_functions_are_short(module: str) -> None:
    """A function that passes 50 lines is asking to be split by meaning."""
    tree = ast.parse(MODULES[module].read_text())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    long = {node.name: length for node in functions if (length := _lines(node)) > 50}
    assert not long


def _lines(function: ast.FunctionDef) -> int:
    """Lines from the first statement on: a signature with an option per line is not what makes it long."""
    first = function.body[1] if ast.get_docstring(function) and len(function.body) > 1 else function.body[0]
    return (function.end_lineno or 0) - first.lineno + 1
