"""The files of a run that are published: private copies, which were checked before anything else gets them.

A file beside the run's reports proves nothing by being there.  It has to be
the one that the run built (by the checksum that the run recorded) and tested
(``lock.yaml``), and rpm has to find in it what its name says.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import yaml

from itb.build import clean_rpm
from itb.build.clean_rpm import CleanImage, Header, Reading
from itb.cli.commands import common
from itb.config.settings import Settings
from itb.containers import naming
from itb.containers.image_store import ImageStore
from itb.errors import TestbedError, UsageError
from itb.model import Build, Rpm
from itb.process.runner import Runner
from itb.repository import export
from itb.repository import server as repository_server
from itb.repository.keys import KEY_NAME
from itb.rundir import values
from itb.rundir.directory import RunDir
from itb.util import files

_BUILT, _SIGNED = "built", "signed"
_AGAIN = "nothing was published; itb run builds and tests it again"


def packages(build: Build) -> list[Rpm]:
    """Return the RPMs of a build, its SRPM among them if there is one."""
    return [*build.rpms, *([build.source_rpm] if build.source_rpm else [])]


def find_image(settings: Settings, rundir: RunDir) -> CleanImage | None:
    """Return the run's services image, in which nothing of the candidate has run; None if it is gone."""
    images = rundir.load(values.IMAGES)
    with suppress(TestbedError):  # a machine without an engine may have rpm
        engine = common.find_engine(settings)
        if images and ImageStore(engine).find_id(images.services.reference):
            labels = naming.run_labels(rundir.id, rundir.path.parent)
            return CleanImage(engine, images.services.reference, labels)
    return None


def copy_checked(
    settings: Settings, rundir: RunDir, rpms: Sequence[Rpm], folder: Path, *, signed: bool
) -> list[Path]:
    """Copy packages of a run to a private folder, check the copies and return them.

    With ``signed`` they are those that the run signed, the public key first.
    Raises UsageError naming the file that is not what the run built and tested.
    """
    _check_tested(rundir, rpms)
    built = [_copy(rundir.build / "rpms" / rpm.file, folder / _BUILT, rpm) for rpm in rpms]
    for path, rpm in zip(built, rpms, strict=True):
        if files.sha256(path) != rpm.sha256:
            message = f"{rundir.build / 'rpms' / rpm.file} is not what run {rundir.id} has built"
            raise UsageError(f"{message}: its checksum is another", hint=_AGAIN)
    if not signed:
        _check_headers(rundir, rpms, _read(settings, rundir, folder, _named(rpms, _BUILT)).packages)
        return built
    source = rundir.repo / repository_server.SIGNED
    copies = [_copy(source / rpm.file, folder / _SIGNED, rpm) for rpm in rpms]
    key = folder / _SIGNED / KEY_NAME
    shutil.copyfile(source / KEY_NAME, key)
    both = [*_named(rpms, _BUILT), *_named(rpms, _SIGNED)]
    reading = _read(settings, rundir, folder, both, key=f"{_SIGNED}/{KEY_NAME}")
    _check_headers(rundir, rpms, reading.packages[: len(rpms)])
    _check_signed(rundir, rpms, reading)
    return [key, *copies]


def _check_tested(rundir: RunDir, rpms: Sequence[Rpm]) -> None:
    """Refuse a package that the run's lock does not have; a run that was not tested has no lock."""
    lock = rundir.path / "lock.yaml"
    if not lock.exists():
        return
    try:
        candidate = yaml.safe_load(lock.read_text(encoding="utf-8"))["candidate"]
        tested = {nevra: package["sha256"] for nevra, package in candidate.items()}
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError, AttributeError, RecursionError):
        message = f"{lock} cannot be read: nobody knows what run {rundir.id} has tested"
        raise UsageError(message, hint=_AGAIN) from None
    for rpm in rpms:
        if not rpm.file.endswith(".src.rpm") and tested.get(rpm.nevra) != rpm.sha256:
            raise UsageError(f"{rpm.file} was not tested in run {rundir.id}: {lock} does not have it", hint=_AGAIN)


def _copy(path: Path, folder: Path, rpm: Rpm) -> Path:
    if Path(rpm.file).name != rpm.file or not rpm.file.endswith(".rpm"):
        raise UsageError(f"{rpm.file[:200]!r} is no name of an RPM file", hint=_AGAIN)
    folder.mkdir(exist_ok=True)
    if path.is_symlink() or not path.is_file():
        raise UsageError(f"{path} is gone, or is no file", hint=_AGAIN)
    return Path(shutil.copyfile(path, folder / rpm.file))


def _named(rpms: Sequence[Rpm], folder: str) -> list[Rpm]:
    return [rpm.model_copy(update={"file": f"{folder}/{rpm.file}"}) for rpm in rpms]


def _read(settings: Settings, rundir: RunDir, folder: Path, rpms: Sequence[Rpm], *, key: str = "") -> Reading:
    clean = find_image(settings, rundir)
    if clean:
        return clean_rpm.read(clean, folder, rpms, key=key)
    remedy = f"dnf or apt-get install rpm, or itb platform build {rundir.state.platform}"
    export.require_program("rpmkeys", "it checks the RPMs, and the image that has it is gone", remedy)
    return clean_rpm.read_here(Runner(limits=settings.time_limits), folder, rpms, key=key)


def _check_headers(rundir: RunDir, rpms: Sequence[Rpm], headers: Sequence[Header]) -> None:
    source_rpm = next((rpm for rpm in rpms if rpm.file.endswith(".src.rpm")), None)
    problems = clean_rpm.problems(rpms, headers, source_rpm)
    problems += [
        f"{rpm.file}: a file of this package is called {header.file_name}"
        for rpm, header in zip(rpms, headers, strict=True)
        if rpm.file != header.file_name
    ]
    if problems:
        raise UsageError(f"run {rundir.id}: {problems[0]}", hint=_AGAIN)


def _check_signed(rundir: RunDir, rpms: Sequence[Rpm], reading: Reading) -> None:
    """Refuse a signed package that differs from the built one, or has another signature than the run's."""
    key = rundir.load(values.SIGNING_KEY)
    source = rundir.repo / repository_server.SIGNED
    if key is None or reading.keys != (key.fingerprint,):
        raise UsageError(f"{source / KEY_NAME} is not the key of run {rundir.id}", hint=_AGAIN)
    built, signed = reading.packages[: len(rpms)], reading.packages[len(rpms) :]
    for rpm, one, other in zip(rpms, built, signed, strict=True):
        if not one.header or one.header != other.header or one.file_name != other.file_name:
            message = f"{source / rpm.file} is not what run {rundir.id} has built"
            raise UsageError(f"{message}: its content is another", hint=_AGAIN)
        if not other.is_signed:
            message = f"{source / rpm.file} has no valid signature of run {rundir.id}"
            raise UsageError(f"{message}: {other.problem or other.said}", hint=_AGAIN)
