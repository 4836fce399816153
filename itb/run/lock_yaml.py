"""``lock.yaml``: everything that decides the outcome of a run, so that it can be repeated and compared."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from itb.config import step_library, trust
from itb.config.scenario import Scenario
from itb.model import Build, Installed, PlatformImages, Repo, RunTrust
from itb.run.cell import Cell
from itb.rundir import values
from itb.rundir.directory import RunDir
from itb.source import itb_commit
from itb.util.files import read, sha256, write_atomically
from itb.util.redact import redact
from itb.version import VERSION

_NAME = "lock.yaml"


def write(cell: Cell, images: PlatformImages, build: Build, repo: Repo, installed: Installed) -> None:
    """Write the lock of a run whose candidate is installed."""
    previous_commit, network = cell.previous_commit, cell.rundir.load_if_readable(values.ISOLATION)
    content: dict[str, Any] = {
        "itb": {"version": VERSION, "commit": itb_commit.read(cell.engine.runner) or None},
        "product": cell.product.name,
        "commit": cell.commit.id or None,
        "tree": cell.commit.tree or None,
        "reference": cell.commit.ref,
        "source": cell.commit.source,
        "trust": cell.trust.model_dump(mode="json"),
        "upgraded_from": (previous_commit.id or previous_commit.describe) if previous_commit else None,
        **_builder(cell, build),
        "published": _published(build, repo),
        "platform": cell.platform.name,
        "host_limits": cell.settings.host_limits.model_dump(),
        "network": network.model_dump(mode="json") if network else None,
        "images": images.model_dump(mode="json"),
        "candidate": {rpm.nevra: {"sha256": rpm.sha256, "repository": repo.id} for rpm in build.rpms},
        "packages": {
            role: {package.nevra: package.origin for package in packages}
            for role, packages in installed.packages.items()
        },
        "scenarios": {
            scenario.name: {name: sha256(path) for name, path in _files(scenario)}
            for scenario in cell.scenarios
        },
    }
    _write(cell.rundir, content)


def record_trust(rundir: RunDir, run_trust: RunTrust) -> None:
    """Write another level of trust to the lock of a run of this user's, if there is one."""
    with suppress(FileNotFoundError):
        content = yaml.safe_load(read(rundir.path / _NAME))
        _write(rundir, {**content, "trust": run_trust.model_dump(mode="json")})


def _write(rundir: RunDir, content: dict[str, Any]) -> None:
    write_atomically(rundir.path / _NAME, redact(yaml.safe_dump(content, sort_keys=False)))


def _files(scenario: Scenario) -> Iterator[tuple[str, Path]]:
    """Yield name and path of each file of a scenario: those of its folder, and what it takes from the library."""
    for path in sorted(scenario.folder.rglob("*")):
        if path.is_file():
            yield str(path.relative_to(scenario.folder)), path
    yield from step_library.library_scripts(scenario.folder, scenario.scripts).items()


def _builder(cell: Cell, build: Build) -> dict[str, Any]:
    """Return what the candidate was built with."""
    if command := cell.product.build.command:
        return {"build": {"command": command, "timeout": cell.product.build.timeout}}
    release_manager = {"arguments": list(build.arguments), "privileged": trust.is_privileged(cell.settings)}
    return {"release_manager": release_manager}


def _published(build: Build, repo: Repo) -> dict[str, Any] | None:
    """Return where packages that were not built here come from, and how they were checked."""
    if not build.published:
        return None
    checked = f"checked with the key {repo.key_fingerprint}"
    return {
        "repository": build.published,
        "version": build.commit.describe,
        "signatures": checked if repo.gpgcheck else "NOT CHECKED (allow_unsigned)",
        "headers": {rpm.nevra: rpm.header for rpm in build.rpms},
    }
