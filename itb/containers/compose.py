"""Creating the containers that Compose files declare, with the engine's own Compose program."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from itb.containers.engine import Engine
from itb.errors import TestbedError
from itb.process.request import Request


def create_containers(
    engine: Engine,
    files: Sequence[Path],
    services: Sequence[str],
    *,
    project: str,
    profiles: Sequence[str],
    env: Mapping[str, str],
) -> None:
    """Create, and do not start, the containers of some services; of several files, later ones change earlier ones.

    ``env`` has the variables that the files use.
    """
    options = [option for file in files for option in ("--file", str(file))]
    options += ["--project-name", project]
    options += [option for profile in profiles for option in ("--profile", profile)]
    engine.runner.run(Request(
        [*_program(engine), *options, "up", "--no-start", "--no-build", *services],
        env={**engine.env, **env},
        timeout=engine.runner.limits("start"),
        about=f"create {', '.join(services)}",
    ))


def _program(engine: Engine) -> list[str]:
    if engine.is_podman:
        # -P: without it, -m imports from where it is started; -I would leave out what --user installed.
        return [sys.executable, "-P", "-m", "podman_compose", "--podman-path", engine.program]
    if shutil.which(engine.program) is None:
        raise TestbedError(f"{engine.program} is not installed")
    return [engine.program, "compose"]
