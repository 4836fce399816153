"""Reads the catalogue of defects, and makes the repository that a run of one, or of several, is given."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from itb.config.yaml_record import YamlRecord
from itb.data import shipped
from itb.source import embedded
from itb.source.embedded import Edit, ExpectedFailure
from itb.util import yamlfile

FOLDER = Path(__file__).parent
PRODUCT = shipped.folder("build_ws") / "products" / "pocketwms"
BEFORE = "v1_1_0"  # the version that defects are upgraded from


class Entry(YamlRecord):
    """A defect that a run must find, or a harmless change that it must not take for one."""

    title: str
    """What is wrong, or what is changed, in one line."""
    report: str = ""
    """What people report of it: the kind of public report it is from."""
    before: tuple[Edit, ...] = ()
    """Changes of the version before, which is upgraded."""
    changes: tuple[Edit, ...] = Field(min_length=1)
    """Changes of the newest tree."""
    scenario: str
    """The scenarios that are run."""
    expect: ExpectedFailure | None = None
    """What the run must report."""
    harmless: bool = False
    """Whether the run must be green."""

    @model_validator(mode="after")
    def _expects_something(self) -> Self:
        if self.harmless == (self.expect is not None):
            raise ValueError("either expect or harmless: true")
        return self


def load() -> dict[str, Entry]:
    """Return all entries by the names of their files."""
    return {path.stem: yamlfile.load(path, Entry) for path in sorted(FOLDER.glob("*.yaml"))}


def edited(tree: dict[str, bytes], entries: Iterable[tuple[str, Sequence[Edit]]]) -> dict[str, bytes]:
    """Return a tree with the edits of several entries."""
    for name, edits in entries:
        tree = embedded.apply_edits(tree, edits, where=name)
    return tree


def make_clone(names: Sequence[str], folder: Path) -> tuple[Path, str]:
    """Make a clone of the product whose branch ``defect`` has the changes of some entries.

    Returns the clone and the reference to upgrade from: a tag, or the branch ``before``.
    """
    entries = load()
    made, clone = embedded.make_repository(PRODUCT / "history.yaml", folder / "history"), folder / "clone"
    git = ["git", "-c", "user.name=nobody", "-c", "user.email=nobody@example.org", "-C", str(clone)]
    subprocess.run([*git[:5], "clone", "--quiet", "--branch", "main", str(made), str(clone)], check=True)
    before = BEFORE
    for branch, start, edits in (
        ("before", BEFORE, [(name, entries[name].before) for name in names if entries[name].before]),
        ("defect", "main", [(name, entries[name].changes) for name in names]),
    ):
        if not edits:
            continue
        subprocess.run([*git, "checkout", "--quiet", "-b", branch, start], check=True)
        for path, content in edited(embedded.read_tree(clone), edits).items():
            (clone / path).parent.mkdir(parents=True, exist_ok=True)
            (clone / path).write_bytes(content)
        subprocess.run([*git, "add", "--all"], check=True)
        subprocess.run([*git, "commit", "--quiet", "-m", " ".join(names)], check=True)
        before = "before" if branch == "before" else before
    return clone, before
