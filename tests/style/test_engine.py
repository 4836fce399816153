"""Command lines and labels of the container engine are made in ``itb/containers`` only."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2] / "itb"
FILES = sorted(path for path in TOP.rglob("*.py") if not {"containers", "debtorpm"} & set(path.parts))
_LABEL = re.compile(r"itb\.(run|runs|role|building|builder|platform|image|key|definition)")


def engine_words(tree: ast.AST) -> Iterator[str]:
    """Yield the calls that hand a command line to the engine, and the labels and names of itb's in it."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(ast.Attribute(receiver, "run" | "call" | "query")):
                if ast.unparse(receiver).rpartition(".")[2] in ("engine", "uninterruptible"):
                    yield ast.unparse(node.func)
            case ast.Constant(str(text)) if _LABEL.fullmatch(text) or "localhost/itb/" in text:
                yield text


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(TOP)))
def test_the_engine_is_called_by_its_package_only(path: Path) -> None:
    assert not list(engine_words(ast.parse(path.read_text())))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("engine.call('rmi', name)", ["engine.call"]),
        ("self.engine.uninterruptible.run(Request(['rm', name]))", ["self.engine.uninterruptible.run"]),
        ("label = 'itb.role'", ["itb.role"]),
        ("name = f'localhost/itb/{platform}'", ["localhost/itb/"]),
        ("engine.runner.run(request); engine.run_once(image, request); host.run(request)", []),
    ],
)
def test_words_of_the_engine_are_seen(text: str, expected: list[str]) -> None:
    assert list(engine_words(ast.parse(text))) == expected
