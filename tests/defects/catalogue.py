"""Reads the catalogue of defects, and makes the repository that a run of one, or of several, is given."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping, Sequence
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
_GIT = ("git", "-c", "user.name=nobody", "-c", "user.email=nobody@example.org")
# These `make test` runs, too, with other defects of the product (tests/acceptance/test_defects.py).
SELECTED = ("next-upgrade-disables-a-service", "upgrade-stops-before-unpacking", "package-renamed")

# Those that share a run; all others have one of their own.
TOGETHER: tuple[tuple[str, ...], ...] = (
    SELECTED,
    ("upgrade-stops-a-service", "next-upgrade-loses-data"),
    ("next-upgrade-removes-a-user", "upgrade-enables-a-service", "package-without-its-epoch"),
    ("one-package-moved-module", "upgrade-script-fails"),
    ("refused-by-obsoletes", "refused-by-conflict"),
    ("config-is-replaced", "config-is-no-config", "removal-fails"),
    ("harmless-disabled-unit", "harmless-no-restart", "harmless-split", "harmless-stop-and-start"),
    ("harmless-guarded-removal", "harmless-config-nobody-edits"),
    ("harmless-asks-in-both-ways", "harmless-more-credentials", "harmless-factory-says-more"),
    (
        "tool-with-syntax-error", "tool-of-an-older-python", "tool-without-its-requirement",
        "shell-with-syntax-error", "interpreter-not-there", "unit-with-unknown-key", "unit-of-a-program-not-there",
        "tmpfiles-unknown-user", "logrotate-unknown-word", "cron-without-user", "httpd-unknown-directive",
        "example-no-xml", "example-no-json", "example-no-yaml",
        "world-readable-key", "world-writable-folder", "nameless-owner",
        "tool-newer-than-its-python", "perl-with-syntax-error",
    ),
    (
        "harmless-after-missing", "harmless-jinja", "harmless-modes", "harmless-old-python-in-doc",
        "harmless-optional-import", "harmless-sourced-shell", "harmless-template", "harmless-perl",
    ),
    (
        "harmless-new-subpackage", "harmless-log-format", "harmless-talkative-scripts", "harmless-hardened-unit",
        "harmless-package-merged", "harmless-new-setting",
    ),
    (
        "harmless-config-moved", "harmless-module-to-package", "harmless-module-moved", "harmless-sysusers",
        "harmless-restart-at-the-end", "harmless-timer-by-preset",
    ),
    (
        "errors-each-loop", "errors-tracebacks", "errors-of-a-helper", "errors-of-a-thread",
        "leak-of-descriptors", "leak-of-memory", "leak-of-children", "leak-of-temporary-files", "log-grows",
        "port-is-open",
    ),
    (
        "link-to-nothing", "sudoers-with-syntax-error", "tool-imports-what-python-lost",
        "tool-imports-what-was-renamed", "tool-takes-a-newer-name", "shell-sources-what-is-not-there",
        "cron-runs-what-is-not-there", "macro-not-expanded", "profile-ends-logins", "sysctl-without-a-value",
        "limits-of-nobody", "capability-is-new", "entry-point-without-its-metadata", "token-in-the-log",
        "umask-0-of-a-daemon", "provides-what-is-anothers",
    ),
    ("logrotate-of-other-files", "logrotate-is-a-ghost"),
    (
        "harmless-alternatives", "harmless-sudoers", "harmless-links", "harmless-cron", "harmless-profile",
        "harmless-imports-by-version", "harmless-entry-point", "harmless-restart-always", "harmless-slow-stop",
        "harmless-ghost", "harmless-pid-file", "harmless-trigger", "harmless-talks-of-token",
    ),
    ("page-counts-nothing", "page-serves-a-key", "own-test-fails"),
    ("umask-of-the-administrator", "locale-ascii-only"),
    ("harmless-umask", "harmless-locale"),
    ("logrotate-creates-roots-log", "logrotate-postrotate-fails"),
    ("harmless-token-counts-as-ended-early", "harmless-log-in-local-time", "harmless-clock-is-tolerated"),
    (
        "harmless-error-once", "harmless-speaks-of-errors", "harmless-warns-each-loop",
        "harmless-logrotate-copytruncate", "harmless-logrotate-create", "harmless-logrotate-dates",
        "harmless-runtime-directory", "harmless-tmpfiles", "harmless-slow-start",
        "harmless-cache-fills", "harmless-children-come-and-go", "harmless-verbose",
        "harmless-local-port", "harmless-stage-is-listed", "harmless-own-tests",
    ),
)  # fmt: skip


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
    also: tuple[ExpectedFailure, ...] = ()
    """What else the run reports of the same cause."""
    harmless: bool = False
    """Whether the run must be green."""

    @property
    def expected(self) -> tuple[ExpectedFailure, ...]:
        """Return everything that the run must or may report, what it must first."""
        return (self.expect, *self.also) if self.expect else ()

    @model_validator(mode="after")
    def _expects_something(self) -> Self:
        if self.harmless == (self.expect is not None):
            raise ValueError("either expect or harmless: true")
        return self


def load(folder: Path = FOLDER) -> dict[str, Entry]:
    """Return all entries of a folder by the names of their files."""
    return {path.stem: yamlfile.load(path, Entry) for path in sorted(folder.glob("*.yaml"))}


def groups() -> list[tuple[str, ...]]:
    """Return the names of all entries, those together that share a run."""
    grouped = [name for group in TOGETHER for name in group]
    return [*TOGETHER, *((name,) for name in load() if name not in grouped)]


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
    subprocess.run([*_GIT, "clone", "--quiet", "--branch", "main", str(made), str(clone)], check=True)
    before = [name for name in names if entries[name].before]
    if before:
        _check_out(clone, "before", BEFORE)
        _commit(clone, [(name, entries[name].before) for name in before])
    _check_out(clone, "defect", "main")
    commit_changes(clone, names)
    return clone, "before" if before else BEFORE


def make_clone_of(source: str, ref: str, entries: Mapping[str, Entry], folder: Path) -> Path:
    """Make a clone of another product's source; its branch ``defect`` is a reference with changes of entries."""
    clone = folder / "clone"
    subprocess.run([*_GIT, "clone", "--quiet", "--no-checkout", source, str(clone)], check=True)
    _check_out(clone, "defect", ref)
    _commit(clone, [(name, entry.changes) for name, entry in entries.items()])
    return clone


def commit_changes(clone: Path, names: Sequence[str]) -> None:
    """Commit the changes of some entries on the branch that is checked out."""
    entries = load()
    _commit(clone, [(name, entries[name].changes) for name in names])


def _check_out(clone: Path, branch: str, start: str) -> None:
    subprocess.run([*_GIT, "-C", str(clone), "checkout", "--quiet", "-b", branch, start], check=True)


def _commit(clone: Path, edits: Sequence[tuple[str, Sequence[Edit]]]) -> None:
    tree = embedded.read_tree(clone)
    for path, content in edited(tree, edits).items():
        if content == tree.get(path):
            continue
        (clone / path).parent.mkdir(parents=True, exist_ok=True)
        (clone / path).write_bytes(content)
    git = [*_GIT, "-C", str(clone)]
    subprocess.run([*git, "add", "--all"], check=True)
    subprocess.run([*git, "commit", "--quiet", "-m", " ".join(name for name, _ in edits)], check=True)
