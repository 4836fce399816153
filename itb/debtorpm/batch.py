"""Many packages at once.

One rpmbuild costs a third of a second before it packs a byte, so packages are
put together as sub-packages of a few specs, as many as there are processors,
each with a build root of its own, balanced by size.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from . import debian, payload, scripts, spec
from .errors import ConversionError
from .overrides import Override, Overrides

_BUILD_TIME = "1735689600"  # 2025-01-01: what is built from the same files shall be the same

# rpmbuild asks libmagic what every single file is, which takes most of its time;
# RPM only needs to know 32-bit from 64-bit programs.
_MAGIC = """\
0\tstring\t\\177ELF\tELF
>4\tbyte\t1\t32-bit
>4\tbyte\t2\t64-bit
"""


@dataclass(frozen=True)
class Job:
    """Where a conversion works; ``out`` receives the RPMs, ``work`` is removed at the end."""

    out: Path
    work: Path
    workers: int


@dataclass(frozen=True)
class Made:
    """An RPM and the Debian package it was made from, in Debian's words."""

    name: str
    version: str
    architecture: str
    rpm: Path


def manifest(made: Sequence[Made]) -> str:
    """Return one line per RPM: Debian's name, version and architecture and the RPM's file name, tabs between."""
    return "".join(f"{one.name}\t{one.version}\t{one.architecture}\t{one.rpm.name}\n" for one in made)


def partition(packages: Sequence[Path], count: int) -> list[list[Path]]:
    """Share package files out, largest first, so that every share is about as heavy."""
    shares: list[list[Path]] = [[] for _ in range(max(1, min(count, len(packages))))]
    weights = [0] * len(shares)
    # A file costs about as much as 40 kB of data: reading, digest, header.
    for path in sorted(packages, key=lambda one: (-one.stat().st_size, one.name)):
        lightest = weights.index(min(weights))
        shares[lightest].append(path)
        weights[lightest] += path.stat().st_size + 40_000
    return shares


def convert(packages: Sequence[Path], overrides: Overrides, job: Job) -> list[Made]:
    """Convert .deb files into RPMs in ``job.out``; return what was made, by name.

    Raises ConversionError when one of them cannot be converted, or when
    rpmbuild ended well without having made it.
    """
    job.out.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(job.work, ignore_errors=True)
    shares = partition(packages, job.workers)
    names = frozenset(path.name.partition("_")[0] for path in packages)
    world = spec.World(real=names, without_provides=overrides.without_provides)
    try:
        with ThreadPoolExecutor(len(shares)) as pool:
            futures = [
                pool.submit(_convert_share, number, share, overrides, world, job)
                for number, share in enumerate(shares)
            ]
            results = [future.result() for future in futures]
    finally:
        shutil.rmtree(job.work, ignore_errors=True)
    return sorted((one for result in results for one in result), key=lambda one: one.name)


def _convert_share(
    number: int, share: list[Path], overrides: Overrides, world: spec.World, job: Job
) -> list[Made]:
    work = job.work / str(number)
    build_root = work / "root"
    build_root.mkdir(parents=True)
    converted = [prepare(path, overrides, work, build_root) for path in share]
    text = spec.render(f"debtorpm-{number}", converted, world)
    path = work / "batch.spec"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    made = work / "rpms"
    _rpmbuild(path, build_root, made)
    return [_collect(one, made, job.out) for one in converted]


def _collect(converted: spec.Converted, made: Path, out: Path) -> Made:
    package = converted.package
    stem = f"{package.name}-{package.version.version}-{package.version.release}"
    found = [path for path in made.glob("*/*.rpm") if path.name.rsplit(".", 2)[0] == stem]
    if len(found) != 1:
        raise ConversionError(f"{package.name}: rpmbuild made no {stem}")
    rpm = Path(shutil.move(found[0], out / found[0].name))
    return Made(package.name, package.fields["Version"], package.fields["Architecture"], rpm)


def prepare(path: Path, overrides: Overrides, work: Path, build_root: Path) -> spec.Converted:
    """Unpack one .deb, lay its files out in the build root and describe it for the spec."""
    unpacked = work / "unpacked"
    _call(["dpkg-deb", "--raw-extract", str(path), str(unpacked)], f"{path.name}: cannot be unpacked")
    package = debian.read(unpacked)
    override = overrides.of(package.name)
    payload.merge_usr(unpacked)
    payload.remove_unwanted(unpacked, drop=overrides.drop + override.drop, keep=overrides.keep)
    payload.compile_python(unpacked, overrides.compile)
    _add(unpacked, package, override)
    entries = payload.move_into(unpacked, build_root)
    shutil.rmtree(unpacked)
    files = work / f"{package.name}.files"
    conffiles = frozenset(payload.merged(name) for name in package.conffiles)
    listing = spec.file_list(entries, conffiles=conffiles, attributes=override.attribute_of())
    files.write_bytes(listing.encode("utf-8", "surrogateescape"))
    return spec.Converted(package, override, scripts.scriptlets(package, override), str(files))


def _add(unpacked: Path, package: debian.DebianPackage, override: Override) -> None:
    """Put what the RPM has on top of Debian's files in place; the control directory goes."""
    for kind, name in scripts.stored(package).items():
        # Moved: with dpkg's mode and time, so that a dpkg-made image verifies.
        shutil.move(unpacked / "DEBIAN" / kind, _parent(unpacked / name[1:]))
    shutil.rmtree(unpacked / "DEBIAN")
    for name, target in override.links.items():
        _parent(unpacked / name[1:]).symlink_to(target)
    for name in override.directories():
        _parent(unpacked / name[1:]).mkdir(exist_ok=True)


def _parent(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _rpmbuild(path: Path, build_root: Path, out: Path) -> None:
    define = {
        "_topdir": str(out.parent / "top"),
        "_rpmdir": str(out),
        "_smp_ncpus_max": "1",  # the shares are what runs side by side
    }
    magic = out.parent / "magic"
    magic.write_text(_MAGIC)
    argv = ["rpmbuild", "-bb", "--quiet", "--noclean", "--buildroot", str(build_root)]
    for name, value in define.items():
        argv += ["--define", f"{name} {value}"]
    _call([*argv, str(path)], "rpmbuild", MAGIC=str(magic))


def _call(argv: list[str], what: str, **env: str) -> None:
    environment = {**os.environ, "SOURCE_DATE_EPOCH": _BUILD_TIME, "LC_ALL": "C.UTF-8", **env}
    done = subprocess.run(argv, capture_output=True, text=True, errors="replace", env=environment, check=False)
    if done.returncode != 0:
        raise ConversionError(f"{what}: {done.stderr.strip() or done.stdout.strip()}")
