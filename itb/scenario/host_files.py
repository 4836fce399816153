"""Puts the files of a scenario on hosts: its folder, and the library of scripts that steps may use."""

from __future__ import annotations

from pathlib import Path

from itb.config.scenario import Scenario
from itb.containers.host import FileSpec, Host
from itb.errors import TestbedError, UsageError
from itb.scenario import step as scenario_step
from itb.util.text import slug

_FOLDER = "/var/lib/itb/scenarios"  # on hosts


def put(scenario: Scenario, host: Host) -> None:
    """Put the scenario's folder and the library on a host.

    Raises UsageError for a link that leads out of the folder, TestbedError for
    a file that cannot be read or a host that does not take them.
    """
    target = folder_on_host(scenario)
    files = [
        FileSpec(f"{target}/{path.relative_to(scenario.folder)}", source=path, mode=mode)
        for path, mode in folder_files(scenario.folder)
    ]
    host.put(*scenario_step.library(), *files)


def folder_on_host(scenario: Scenario) -> str:
    """Return the path of the scenario's folder on hosts."""
    return f"{_FOLDER}/{slug(scenario.name)}"


def folder_files(folder: Path) -> list[tuple[Path, int]]:
    """Return each file of a scenario's folder that its steps may use, with its permissions on a host.

    Raises UsageError for a link that leads out of the folder, TestbedError for
    a file that cannot be read.
    """
    files = []
    root = folder.resolve()
    for path in sorted(folder.rglob("*")):
        if path.name == "scenario.yaml" or "__pycache__" in path.parts or not path.is_file():
            continue
        if not path.resolve().is_relative_to(root):
            raise UsageError(f"{path}: links to a file outside of the scenario's folder")
        try:
            files.append((path, scenario_step.mode(path)))
        except OSError as error:
            unreadable = TestbedError(f"{path}: cannot be read: {error.strerror}")
            unreadable.apart_from_candidate = True
            raise unreadable from None
    return files
