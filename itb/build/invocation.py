"""What is started in the build workspace to make a product's RPMs: its ReleaseManager, or a command."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from itb import versions
from itb.build import log as build_log
from itb.build import rpms as build_rpms
from itb.containers.host import Host
from itb.errors import BuildError
from itb.model import Commit
from itb.process.request import Request

_OPTION = re.compile(r"^\s+(?:-\w[^,\n]*, )?(--[a-z][a-z0-9-]*)", re.MULTILINE)
RPM_DIR = "ITB_RPM_DIR"
RELEASE_MANAGER, COMMAND = "ReleaseManager", "build command"  # as messages and cases name what builds


@dataclass(frozen=True)
class Invocation:
    """A command line in the checkout; ``builder`` is who it is for messages, ``nothing_made`` what it owes.

    ``env`` is added to the environment of the build; ``arguments`` are what
    reports and ``lock.yaml`` say of it, a ReleaseManager's without its name,
    ``program``.  ``hint`` says what the RPMs are to be.
    """

    builder: str
    argv: tuple[str, ...]
    arguments: tuple[str, ...]
    nothing_made: str
    program: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    hint: str = ""


def of_command(command: str, commit: Commit, *, product: str, platform: str, result: str) -> Invocation:
    """Return the invocation of a product's own build command, which is told by its environment what to make.

    ``result`` is the folder in the workspace that the RPMs are to be in.
    """
    release = versions.release(commit.rc, commit.rpm_release)
    env = {
        "ITB_PRODUCT": product,
        "ITB_PLATFORM": platform,
        "ITB_COMMIT": commit.id,
        "ITB_PRODUCT_VERSION": commit.version,
        "ITB_RPM_RELEASE": release,
        RPM_DIR: result,
    }
    return Invocation(
        builder=COMMAND,
        argv=("bash", "-euo", "pipefail", "-c", command),
        arguments=(command,),
        nothing_made=f"ended with status 0 but left no RPM in ${RPM_DIR} ({result})",
        env=env,
        hint=f"the build command is to make version {commit.version} (ITB_PRODUCT_VERSION) with Release {release} "
        "(ITB_RPM_RELEASE), %dist after it or not",
    )


def of_release_manager(
    manager: str,
    commit: Commit,
    *,
    host: Host,
    env: Mapping[str, str],
    source: str,
    result: str,
    mock: str,
    log: Path,
) -> Invocation:
    """Return the invocation of a ReleaseManager; which arguments there are depends on its age.

    ``manager`` is its path in the workspace, ``source`` that of the checkout;
    ``mock`` the Python that mock is to install, empty to build with rpmbuild.
    Raises BuildError if it does not offer what is needed.
    """
    answer = host.run(Request(
        ["python3", manager, "--help"],
        env=env,
        cwd=source,
        timeout=host.engine.runner.limits("command"),
        check=False,
        log=log,
    ))  # fmt: skip
    offered = _OPTION.findall(answer.stdout)  # some print their help and end with status 1
    lacking = [item for item in ("--release-version", "--source-dir", "--release-dir") if item not in offered]
    if lacking:
        raise BuildError(
            f"ReleaseManager offers no {', '.join(lacking)}"
            if offered
            else f"ReleaseManager does not say what its arguments are: {build_log.classify(answer.output)}",
            evidence=answer.output,
            log=log,
        )
    arguments = [
        *build_rpms.version_arguments(commit, offered),
        *("--source-dir", source, "--release-dir", result),
        *build_rpms.builder_arguments(mock, offered),
    ]
    return Invocation(
        builder=RELEASE_MANAGER,
        argv=("python3", manager, *arguments),
        program=(Path(manager).name,),
        arguments=tuple(arguments),
        nothing_made="ended with status 0 but made no RPM",
    )
