"""The command that makes a product's RPMs in the build workspace: its ReleaseManager, or its build command."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from itb import commit_versions
from itb.build import log as build_log
from itb.build import rpms as build_rpms
from itb.containers.host import Host
from itb.errors import BuildError
from itb.model import Commit
from itb.process.request import Request

_OPTION = re.compile(r"^[ \t]+(?:-\w[^,\n]*, )?(--[a-z][a-z0-9-]*)", re.MULTILINE)
RPM_DIR = "ITB_RPM_DIR"
RELEASE_MANAGER, BUILD_COMMAND = "ReleaseManager", "build command"  # names of builders in messages


@dataclass(frozen=True)
class BuilderCommand:
    """A command line that is run in the checkout; messages call it ``builder``.

    ``program`` and ``arguments`` are what reports and ``lock.yaml`` show of
    it; a build command has no ``program``.  ``env`` is added to the
    environment of the build.  ``no_rpm_message`` is the message if it ends
    well without an RPM; ``hint`` says which version and Release it has to make.
    """

    builder: str
    argv: tuple[str, ...]
    arguments: tuple[str, ...]
    no_rpm_message: str
    program: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    hint: str = ""


def for_build_command(
    command: str, commit: Commit, *, product: str, platform: str, rpm_folder: str
) -> BuilderCommand:
    """Return a product's own build command, which gets commit and version by its environment.

    ``rpm_folder`` is the folder of the workspace in which it has to leave the RPMs.
    """
    release = commit_versions.release(commit.rc, commit.rpm_release)
    env = {
        "ITB_PRODUCT": product,
        "ITB_PLATFORM": platform,
        "ITB_COMMIT": commit.id,
        "ITB_PRODUCT_VERSION": commit.version,
        "ITB_RPM_RELEASE": release,
        RPM_DIR: rpm_folder,
    }
    return BuilderCommand(
        builder=BUILD_COMMAND,
        argv=("bash", "-euo", "pipefail", "-c", command),
        arguments=(command,),
        no_rpm_message=f"ended with status 0 but left no RPM in ${RPM_DIR} ({rpm_folder})",
        env=env,
        hint=f"the build command is to make version {commit.version} (ITB_PRODUCT_VERSION) with Release {release} "
        "(ITB_RPM_RELEASE), %dist after it or not",
    )


def for_release_manager(
    manager: str,
    commit: Commit,
    *,
    host: Host,
    env: Mapping[str, str],
    source: str,
    rpm_folder: str,
    mock: str,
    log: Path,
) -> BuilderCommand:
    """Return the command line of a ReleaseManager, with the arguments that its ``--help`` lists.

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
    known_options = _OPTION.findall(answer.stdout)  # some print their help and end with status 1
    required = ("--release-version", "--source-dir", "--release-dir")
    missing = [option for option in required if option not in known_options]
    if missing:
        failure = build_log.find_failure(answer.output)
        raise BuildError(
            f"ReleaseManager offers no {', '.join(missing)}"
            if known_options
            else f"ReleaseManager does not say what its arguments are: {failure.reason}",
            evidence=answer.output,
            log=log,
        )
    arguments = [
        *build_rpms.version_arguments(commit, known_options),
        *("--source-dir", source, "--release-dir", rpm_folder),
        *build_rpms.builder_arguments(mock, known_options),
    ]
    return BuilderCommand(
        builder=RELEASE_MANAGER,
        argv=("python3", manager, *arguments),
        program=(Path(manager).name,),
        arguments=tuple(arguments),
        no_rpm_message="ended with status 0 but made no RPM",
    )
