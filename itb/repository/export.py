"""Exports the RPMs of a run: signs them, copies them to a YUM repository, submits the SRPM to Koji."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from itb.config.settings import KojiSettings
from itb.data import shipped
from itb.errors import TestbedError, UsageError
from itb.model import Record
from itb.process import ssh
from itb.process.request import Request
from itb.process.result import Completed
from itb.process.runner import Runner
from itb.repository.keys import KEY_NAME
from itb.util.files import expand, program
from itb.util.text import lines_of

_CONFLICT_STATUS = 4  # exit status of receive.py: the directory holds another package of the same name
_TIMEOUT = 900.0
_KOJI_TIMEOUT = 4 * 3600.0  # seconds; includes the build in Koji
DIRECTORY = "{directory}"  # stands for the directory that is indexed
INDEX = ("createrepo_c", "--quiet", "--outputdir", "{new}", DIRECTORY)
_REMOTE = re.compile(r"(?P<host>[A-Za-z0-9_][\w.@-]*):(?P<path>/?[^:].*)")
_OSG_BUILD = "osg-build"


class PublishResult(Record):
    """The file names that receive.py added, those that were there already, and the number of packages now."""

    added: tuple[str, ...]
    kept: tuple[str, ...]
    packages: int


@dataclass(frozen=True)
class Target:
    """A directory to copy packages to, on another machine if ``host`` is given."""

    path: str
    host: str = ""

    def __str__(self) -> str:
        return f"{self.host}:{self.path}" if self.host else self.path


def parse_target(text: str) -> Target:
    """Parse DIRECTORY, HOST:PATH or USER@HOST:PATH as rsync and scp do."""
    remote = _REMOTE.fullmatch(text)
    if remote:
        return Target(remote["path"], remote["host"])
    return Target(str(expand(text).absolute()))


def require_program(program: str, purpose: str, remedy: str) -> str:
    """Return the path of a program; UsageError with the remedy if it is not installed."""
    path = shutil.which(program)
    if path is None:
        raise UsageError(f"{program} is not installed: {purpose}", hint=remedy)
    return path


def sign(files: Sequence[Path], key: str, folder: Path, runner: Runner) -> list[Path]:
    """Copy packages to ``folder`` and sign the copies with a user's key; return the public key and the copies.

    gpg is not allowed to ask for a passphrase: its agent has to know it, or
    the key has none.  Raises UsageError if gpg or the key is missing, TestbedError if a
    package could not be signed.
    """
    remedy = "dnf install rpm-sign gnupg2, or apt-get install rpm gnupg"
    gpg = require_program("gpg", "it keeps the key", remedy)
    rpmsign = require_program("rpmsign", "it signs packages", remedy)
    public = folder / KEY_NAME
    runner.run(Request([gpg, "--batch", "--armor", "--export", key], check=False, stdout_to=public))
    if b"BEGIN PGP PUBLIC KEY" not in public.read_bytes():
        raise UsageError(f"sign_key {key!r}: gpg has no such key", hint="gpg --list-secret-keys names what it has")
    copies = [Path(shutil.copy(path, folder)) for path in files]
    defines = {
        "__gpg": gpg,
        "_gpg_name": key,
        "_gpg_sign_cmd_extra_args": "--batch --pinentry-mode error",
    }
    options = [argument for name, value in defines.items() for argument in ("--define", f"{name} {value}")]
    argv = [rpmsign, "--addsign", *options, *map(str, copies)]
    completed = runner.run(Request(argv, timeout=_TIMEOUT, check=False))
    unsigned = check_signatures(copies, public, runner)
    if not completed.ok or unsigned:
        raise TestbedError(
            f"{len(unsigned)} of {len(copies)} packages could not be signed with {key!r}: {completed.reason}",
            hint="does gpg know the passphrase? Sign something once (gpg --clear-sign), so that its agent does",
            evidence=completed.output,
        )
    return [public, *copies]


def check_signatures(files: Sequence[Path], key: Path, runner: Runner) -> list[str]:
    """Return the file names of the packages that have no valid signature of a key."""
    rpmkeys = require_program("rpmkeys", "it checks signatures", "dnf install rpm, or apt-get install rpm")
    with tempfile.TemporaryDirectory(prefix="itb-keys-") as keyring:
        runner.run(Request([rpmkeys, "--dbpath", keyring, "--import", str(key)]))
        checksig = [rpmkeys, "--dbpath", keyring, "--checksig", *map(str, files)]
        completed = runner.run(Request(checksig, check=False))
    said = set(lines_of(completed.stdout))
    return [path.name for path in files if f"{path}: digests signatures OK" not in said]


def receive_command(target: Target, indexer: Sequence[str] = ()) -> list[str]:
    """Return the command that adds packages to a target; it reads a tar archive of them from standard input."""
    script = (shipped.folder("build_ws") / "publish" / "receive.py").read_text()
    # -I: without it, -c imports modules from the working directory.
    python = ["python3", "-I"] if target.host else [sys.executable, "-I"]
    return [*python, "-c", script, target.path, *(indexer or INDEX)]


def copy(files: Sequence[Path], target: Target, runner: Runner, *, indexer: Sequence[str] = ()) -> PublishResult:
    """Add packages and public keys to a YUM repository; return what was added.

    ``indexer`` is the command that makes the index, if not createrepo_c.
    Raises UsageError if the target has a file of the same name with another
    content, TestbedError if the packages could not be copied.
    """
    with tempfile.TemporaryDirectory(prefix="itb-publish-") as folder:
        archive = Path(folder) / "packages.tar"
        with tarfile.open(archive, "w") as tar:
            for path in files:
                tar.add(path, arcname=path.name)
        command, shown = receive_command(target, indexer), ["receive.py", target.path]
        limit = runner.limits("publish-copy")
        request = Request(command, input=archive, timeout=limit, check=False, alias=shown)
        completed = ssh.run(replace(request, host=target.host), runner) if target.host else runner.run(request)
    if not completed.ok:
        raise _receive_error(target, completed)
    try:
        return PublishResult.model_validate(json.loads(completed.stdout.strip().splitlines()[-1]))
    except (IndexError, ValueError):  # ssh may run another command than the one asked for (ForceCommand)
        raise TestbedError(
            f"{target}: the answer is not that of receive.py, which adds the packages", evidence=completed.output
        ) from None


def _receive_error(target: Target, completed: Completed) -> UsageError | TestbedError:
    if completed.returncode == _CONFLICT_STATUS:
        hint = "nothing was changed; publish to another directory"
        return UsageError(f"{target}: {completed.reason}", hint=hint)
    machine = target.host or "this machine"
    remedies = {
        "createrepo_c": "the index is made where the directory is: install createrepo_c there (dnf or apt-get)",
        "python3": f"the program that receives the packages is in Python: install python3 on {machine}",
        "Permission denied": f"the user that publishes must be able to write there, on {machine}",
        "No space left": f"make room on {machine} and publish again: what is there already stays as it is",
    }
    hints = [hint for reason, hint in remedies.items() if reason in completed.reason]
    return TestbedError(f"{target}: {completed.reason}", hint=hints[0] if hints else "", evidence=completed.output)


def koji_commands(koji: KojiSettings, srpm: Path, package: str, folder: Path) -> list[list[str]]:
    """Return the commands that submit a source package to Koji, in order.

    ``koji`` and ``osg-koji`` build an SRPM for a target (koji build --help).
    ``osg-build`` takes a package directory, with the spec file and the sources
    in its folder ``osg``; builds that are no scratch builds it makes from
    OSG's version control only (osg-build koji --help; osgbuild/main.py).
    """
    if not koji.program or not koji.target:
        raise UsageError(
            "publish.koji: program and target say how and where to build",
            hint="in itb.yaml: publish: {koji: {program: osg-koji, target: osg-24-main-el9}}",
        )
    options = tuple(map(_absolute, koji.options))
    koji = koji.model_copy(update={"program": program(koji.program), "options": options})
    no_wait = [] if koji.wait else ["--nowait"]
    if Path(koji.program).name != _OSG_BUILD:
        if koji.tag:
            raise UsageError(
                f"publish.koji: {koji.program} takes no tag: its builds go to the tag of the target",
                hint="leave tag out, or use program: osg-build",
            )
        scratch = ["--scratch"] if koji.scratch else []
        return [[koji.program, *koji.options, "build", *scratch, *no_wait, koji.target, str(srpm)]]
    if not koji.scratch:
        raise UsageError(
            "publish.koji: osg-build makes other than scratch builds from OSG's version control only",
            hint="scratch: true, or program: osg-koji, which builds the SRPM itself",
        )
    package_folder, archive = folder / package, folder / f"{srpm.name}.cpio"
    unpack = f"rpm2cpio {shlex.quote(str(srpm))} > {shlex.quote(str(archive))}"
    osg = str(package_folder / "osg")
    # The candidate's build made it: without the option, a name in it could be any path of this machine.
    unpack_options = f"--extract --quiet --no-absolute-filenames --file={shlex.quote(str(archive))}"
    files = f"cd {shlex.quote(osg)} && cpio {unpack_options}"
    tag = ["--koji-tag", koji.tag] if koji.tag else []
    return [
        ["mkdir", "-p", osg],
        ["sh", "-c", unpack],
        ["sh", "-c", files],
        [koji.program, "koji", "--scratch", "--no-vcs", *(["--no-wait"] if no_wait else []), *koji.options,
         "--koji-target", koji.target, *tag, str(package_folder)],
    ]  # fmt: skip


def _absolute(option: str) -> str:
    """Return an option of Koji with its path, alone or after ``=``, made absolute."""
    name, equals, value = option.rpartition("=")
    return f"{name}{equals}{expand(value).absolute()}" if value.startswith(("./", "../", "~")) else option


def submit_to_koji(commands: Sequence[Sequence[str]], runner: Runner, log: Path) -> None:
    """Run the commands, print their output and write it to ``log``; raise TestbedError if one fails."""
    require_program(
        commands[-1][0],
        "it hands the SRPM to Koji",
        "on EL: dnf install --enablerepo=osg-internal-development osg-build, or dnf install koji; configure it "
        "(osg-koji setup, or ~/.koji/config) and log in (kinit)",
    )
    for argv in commands:
        limit = _KOJI_TIMEOUT if argv is commands[-1] else _TIMEOUT
        completed = runner.run(Request(argv, timeout=limit, check=False, log=log, on_line=print))
        if not completed.ok:
            raise completed.error(TestbedError, f"{Path(argv[0]).name}: {completed.reason}")
