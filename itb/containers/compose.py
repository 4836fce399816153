"""Creating the containers that Compose files declare, with the engine's own Compose program."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from itb.containers.engine import Engine
from itb.errors import TestbedError
from itb.process.request import Request
from itb.util import proxies
from itb.util.files import temporary_folder


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
    with temporary_folder() as folder:
        if not engine.is_podman:
            files = [*files, _write_without_proxies(folder / "proxies.compose.yaml", services)]
        options = [option for file in files for option in ("--file", str(file))]
        options += ["--project-name", project]
        options += [option for profile in profiles for option in ("--profile", profile)]
        engine.runner.run(Request(
            [*_program(engine), *options, "up", "--no-start", "--no-build", *services],
            env={**engine.env, **env},
            timeout=engine.runner.limits("start"),
            about=f"create {', '.join(services)}",
        ))


def _write_without_proxies(file: Path, services: Sequence[str]) -> Path:
    """Write a Compose file that keeps the proxies of docker's configuration out of services; return it."""
    environment = dict.fromkeys(proxies.NAMES, "")
    file.write_text(json.dumps({"services": {service: {"environment": environment} for service in services}}))
    return file


def _program(engine: Engine) -> list[str]:
    if engine.is_podman:
        # -P: without it, -m imports from where it is started; -I would leave out what --user installed.
        compose = [sys.executable, "-P", "-m", "podman_compose", "--podman-path", engine.program]
        return [*compose, f"--podman-run-args={shlex.join(engine.create_options)}"]
    if shutil.which(engine.program) is None:
        raise TestbedError(f"{engine.program} is not installed")
    return [engine.program, "compose"]
