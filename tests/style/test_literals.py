"""Exit codes, kinds of commits, phases, itb's roles and the CE's port have names and are never bare literals."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from itb import roles
from itb.errors import ExitCode
from itb.model import CommitKind, Outcome
from itb.phase import Phase

TOP = Path(__file__).resolve().parents[2] / "itb"
FILES = sorted(path for path in TOP.rglob("*.py") if "debtorpm" not in path.parts)
CODES = {int(code) for code in ExitCode}
# Where exit codes are written down, once; and the records of files, which hold plain numbers.
DECLARED = {"errors", "model"}


def name_of(node: ast.expr) -> str:
    """The last name of an expression: ``exit_code`` of ``state.exit_code``."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def is_code(node: ast.expr) -> bool:
    return name_of(node) in ("exit_code", "code") or "ExitCode" in ast.unparse(node)


def literals(node: ast.expr | None) -> Iterator[ast.Constant]:
    """Numbers an expression may come to that are exit codes: itself, a choice's, a collection's."""
    if isinstance(node, ast.Constant) and type(node.value) is int and node.value in CODES:
        yield node
    parts: list[ast.expr] = []
    if isinstance(node, ast.IfExp):
        parts = [node.body, node.orelse]
    elif isinstance(node, ast.BoolOp):
        parts = node.values
    elif isinstance(node, ast.Tuple | ast.List | ast.Set):
        parts = node.elts
    for part in parts:
        yield from literals(part)


def functions_of_codes(tree: ast.AST) -> Iterator[ast.FunctionDef]:
    """Functions that return an exit code: by their name, or by another return."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            returned = [item.value for item in ast.walk(node) if isinstance(item, ast.Return) and item.value]
            if node.name == "exit_code" or any(is_code(value) for value in returned):
                yield node


def codes_in(node: ast.AST) -> list[ast.expr | None]:
    """Expressions of a node that stand for exit codes."""
    match node:
        case ast.Compare(left, [ast.Eq() | ast.NotEq() | ast.In() | ast.NotIn()], others):
            return [left, *others] if any(map(is_code, [left, *others])) else []
        case ast.Assign([ast.Name() | ast.Attribute() as target], value) | ast.AnnAssign(target, _, value):
            return [value] if name_of(target) == "exit_code" else []
        case ast.keyword("exit_code", value):
            return [value]
        case ast.arguments(first, more, _, keywords, keyword_defaults, _, defaults):
            last = [*first, *more][len(first + more) - len(defaults) :]
            given = zip([*last, *keywords], [*defaults, *keyword_defaults], strict=True)
            return [value for argument, value in given if argument.arg == "exit_code"]
    return []


def bare_codes(tree: ast.AST) -> Iterator[ast.Constant]:
    """Exit codes written as numbers, as far as the code tells that they are some."""
    for node in ast.walk(tree):
        for value in codes_in(node):
            yield from literals(value)
    for function in functions_of_codes(tree):
        for node in ast.walk(function):
            if isinstance(node, ast.Return):
                yield from literals(node.value)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(TOP)))
def test_exit_codes_have_names(path: Path) -> None:
    if set(path.relative_to(TOP).with_suffix("").parts) & DECLARED:
        return
    assert not {f"line {node.lineno}: {node.value}" for node in bare_codes(ast.parse(path.read_text()))}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("if code == 130: pass", 1),
        ("if state.exit_code in (2, 4, 7): pass", 3),
        ("if 3 == exit_code or code != 0: pass", 2),
        ("exit_code = 5", 1),
        ("exit_code: int = 5 if x else 130", 2),
        ("case.error(why, exit_code=5)", 1),
        ("def f(*, exit_code: int = 5): pass", 1),
        ("def f(why, exit_code=5): pass", 1),
        ("def exit_code(): return 3", 1),
        ("def f():\n if x: return TestbedError.exit_code\n return 0", 1),
        ("def f():\n if x: return ExitCode.TOKEN\n return 4 or 0", 2),
        ("if done.returncode == 1: pass", 0),
        ("if seen.exit_code >= 0 or code > 1: pass", 0),
        ("exit_code = ExitCode.BUILD\nif code == ExitCode.PASSED: pass", 0),
        ("def f(): return 3", 0),
    ],
)
def test_bare_exit_codes_are_seen(text: str, found: int) -> None:
    assert len(list(bare_codes(ast.parse(text)))) == found


WORDS: dict[str, set[str]] = {
    "phase": {*Phase},
    "outcome": {*Outcome},
    "kind": {*CommitKind},
    "role": {roles.SERVICES, roles.WORKSPACE, roles.CE, roles.NETWORK, roles.ITB},
}


def about(node: ast.expr) -> str:
    """Of which kind of words an expression is: the last part of its name, of a call its function's."""
    name = name_of(node.func if isinstance(node, ast.Call) else node)
    return name.rpartition("_")[2]


def words_in(node: ast.expr) -> list[ast.Constant]:
    parts = node.elts if isinstance(node, ast.Tuple | ast.List | ast.Set) else [node]
    return [part for part in parts if isinstance(part, ast.Constant)]


def bare_words(tree: ast.AST) -> Iterator[ast.Constant]:
    """Phases, outcomes, kinds of commits and roles written as text, as far as the code shows it."""
    for node in ast.walk(tree):
        values: list[tuple[str, ast.expr]] = []
        match node:
            case ast.Compare(left, [ast.Eq() | ast.NotEq() | ast.In() | ast.NotIn()], [other]):
                values = [(about(left), other), (about(other), left)]
            case ast.keyword(str(name), value):
                values = [(name, value)]
            case ast.Call(ast.Attribute(_, "case"), [first, *_]):
                values = [("phase", first)]
            case ast.Call(ast.Name() | ast.Attribute() as function, arguments) if about(function) == "phase":
                values = [("phase", argument) for argument in arguments]
            case ast.Call(ast.Name("RunningCase"), [_, first, *_]):
                values = [("phase", first)]
            case ast.Call(ast.Name("CaseKey"), [first, second, *_]):
                values = [("phase", first), ("role", second)]
            case ast.Call(ast.Name("Found"), [first, *_]):
                values = [("kind", first)]
        for kind, value in values:
            yield from (item for item in words_in(value) if item.value in WORDS.get(kind, ()))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(TOP)))
def test_phases_outcomes_kinds_and_roles_have_names(path: Path) -> None:
    assert not {f"line {node.lineno}: {node.value}" for node in bare_words(ast.parse(path.read_text()))}


def test_the_port_of_a_ce_is_declared_once() -> None:
    assert [path.name for path in FILES if str(roles.CE_PORT) in path.read_text()] == ["roles.py"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('if case.phase == "test": pass', 1),
        ('if base_phase(case) in ("up", "down"): pass', 2),
        ('if commit.kind != "worktree": pass', 1),
        ('if "failed" == case.outcome: pass', 1),
        ('journal.case("up", role, name)', 1),
        ('_run_phase("serve", flags, run)', 1),
        ('pipeline.run_phase(cell, ending, "serve")', 1),
        ('RunningCase(self, "run", role, name)', 1),
        ('Case(phase="resolve", outcome="passed")', 2),
        ('Found("pr", "pr/1")', 1),
        ('Commit(kind="published")', 1),
        ('if case.role in ("", "itb"): pass', 1),
        ('CaseKey(Phase.UP, "network", "hosts start")', 1),
        ('if role == "factory": pass', 0),
        ('if finding.kind == "disk": pass', 0),
        ('rundir.load("build", Build)', 0),
        ("journal.case(Phase.UP, role, name)", 0),
        ("_run_phase(Phase.SERVE, flags, run)", 0),
    ],
)
def test_bare_words_are_seen(text: str, found: int) -> None:
    assert len(list(bare_words(ast.parse(text)))) == found
