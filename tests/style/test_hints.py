"""Command lines that messages, help and documentation name: itb understands each of them."""

from __future__ import annotations

import ast
import contextlib
import difflib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from invoke.exceptions import Exit

from itb import errors
from itb.cli import arguments, program
from itb.cli.declaration import Commands
from itb.cli.tasks import collection

TOP = Path(__file__).resolve().parents[2]
COMMANDS: Commands = collection.namespace()
# Words that follow "itb" where it is the subject of a sentence.
SUBJECT = frozenset({"cannot", "does", "for", "in", "itself", "makes", "or", "uses"})
NAMES = frozenset({"pocketwms", "glideinwms"})  # values that look like any word of a sentence
FILLED = "X1"  # takes the place of what a message fills in


def parse(line: list[str]) -> str:
    """Read a command line without doing it; what is wrong with it, or nothing."""
    itb_program = program.ItbProgram(name="itb", binary="itb", version="1", namespace=COMMANDS)
    itb_program.create_config()
    with contextlib.suppress(Exit):  # of an option that is all there is to do, such as --version
        return _problem(itb_program, line)
    return ""


def _problem(itb_program: program.ItbProgram, line: list[str]) -> str:
    try:
        itb_program.parse_core(["itb", *arguments.join_groups(line)])
        itb_program.parse_collection()
        itb_program.parse_tasks()
    except errors.UsageError as error:
        return error.message
    return ""


def literals(path: Path) -> Iterator[tuple[int, str]]:
    """Texts in a module, with what is filled in replaced; no docstrings but those that help prints, no names."""
    tree = ast.parse(path.read_text())
    hidden: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg in ("name", "example"):  # examples have a test of their own
            hidden |= set(ast.walk(node.value))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and path.parent.name != "tasks":
            hidden |= {item.value for item in node.body if isinstance(item, ast.Expr)}
        if isinstance(node, ast.JoinedStr) and node not in hidden:
            hidden |= set(node.values)
            parts = [item.value if isinstance(item, ast.Constant) else FILLED for item in node.values]
            yield node.lineno, "".join(map(str, parts))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in hidden:
            yield node.lineno, node.value


def is_value(word: str) -> bool:
    return word in NAMES or (not word.startswith("-") and bool(re.search(r"[^a-z'-]", word)))


def named(text: str) -> Iterator[list[str]]:
    """Command lines in a sentence: each as far as its words can belong to a command."""
    for found in re.finditer(r"(?<![\w./@-])itb +(?=[a-z])", text):
        line: list[str] = []
        for word in text[found.end() :].split():
            bare = word.rstrip(".,;:)'\"`")
            # A slip of the hand in a sub-command is taken along, too.
            first = not line or (len(line) == 1 and difflib.get_close_matches(bare, _below(line[0]), cutoff=0.75))
            if not (first or bare.startswith("--") or is_value(bare)):
                break
            line.append(bare)
            if bare != word:
                break
        yield line


def _below(group: str) -> set[str]:
    inner = COMMANDS.collections.get(group)
    return set(inner.task_names) if inner else set()


def wrong(line: list[str]) -> str:
    """What is wrong with a command line of a sentence; where it names no argument, it names the command."""
    if line[0] in SUBJECT:
        return ""
    problem = parse(line)
    return "" if ": not given: " in problem and not any(map(is_value, line)) else problem


@pytest.mark.parametrize("path", sorted((TOP / "itb").rglob("*.py")), ids=lambda path: str(path.relative_to(TOP)))
def test_hints_name_commands_that_are_there(path: Path) -> None:
    problems = {
        f"{path.name}:{number}: itb {' '.join(line)}": problem
        for number, text in literals(path)
        for line in named(text)
        if (problem := wrong(line))
    }
    assert not problems


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("itb clean --cache makes room", "clean: option --cache needs a value"),
        ("itb clean --unusd makes room", "clean: unknown option '--unusd'; did you mean '--unused'?"),
        ("the one to run is itb docter", "unknown command 'docter'; did you mean 'doctor'?"),
        ("itb platform biuld deb13", "unknown command 'platform biuld'; did you mean 'platform build'?"),
        ("itb down X1 makes room; itb down --run", "down: option --run needs a value"),
        ("see itb list, and others; itb makes one", ""),
        ("itb token try and its documentation", ""),
        ("itb platform build is no whole line; itb platform build --x", "platform build: unknown option '--x'"),
    ],
)
def test_what_is_wrong_in_a_sentence_is_seen(text: str, problem: str) -> None:
    problems = [found for line in named(text) if (found := wrong(line))]
    assert problems == [] if not problem else problems[0].startswith(problem)


def code(path: Path) -> Iterator[str]:
    """Command lines in a document: in backticks, or at the beginning of a line of an example."""
    text = path.read_text()
    yield from re.findall(r"`(itb [^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    for block in re.findall(r"```.*?\n(.*?)```", text, re.DOTALL):
        yield from re.findall(r"^\s*(?:\$ )?(?:\S*/)?(itb .*)$", block.replace("\\\n", ""), re.MULTILINE)


@pytest.mark.parametrize(
    "path",
    sorted(path for path in TOP.rglob("*.md") if not {".venv", "node_modules"} & {*path.parts}),
    ids=lambda path: str(path.relative_to(TOP)),
)
def test_documentation_names_commands_that_are_there(path: Path) -> None:
    problems = {}
    for text in code(path):
        line = shlex.split(re.split(r" \| |   ", text)[0], comments=True)[1:]
        problem = parse(line) if line and line[0].islower() else ""
        if problem and ": not given: " not in problem:
            problems[text] = problem
    assert not problems
