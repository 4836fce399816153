"""Converting many packages at once.

One rpmbuild takes a third of a second before it packs a byte, so packages
become sub-packages of a few specs, as many as there are processors, each with
a build root of its own, balanced by size.
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

_BUILD_TIME = "1735689600"  # 2025-01-01: the same files always give the same RPM

# rpmbuild asks libmagic for the type of every file, which takes most of its time;
# RPM needs only the difference between 32-bit and 64-bit programs.
_MAGIC = """\
0\tstring\t\\177ELF\tELF
>4\tbyte\t1\t32-bit
>4\tbyte\t2\t64-bit
"""


@dataclass(frozen=True)
class Job:
    """The folders of a conversion: ``out`` receives the RPMs, ``work`` is removed at the end."""

    out: Path
    work: Path
    workers: int


@dataclass(frozen=True)
class ConvertedRpm:
    """An RPM, with the name, version and architecture of the Debian package that it was made from."""

    name: str
    version: str
    architecture: str
    path: Path


def manifest(rpms: Sequence[ConvertedRpm]) -> str:
    """Return one line per RPM: Debian's name, version and architecture and the RPM's file name, tabs between."""
    return "".join(f"{rpm.name}\t{rpm.version}\t{rpm.architecture}\t{rpm.path.name}\n" for rpm in rpms)


def partition(packages: Sequence[Path], count: int) -> list[list[Path]]:
    """Return the package files in ``count`` shares of about the same size."""
    shares: list[list[Path]] = [[] for _ in range(max(1, min(count, len(packages))))]
    weights = [0] * len(shares)
    # A file costs about as much as 40 kB of data: reading, digest, header.
    for path in sorted(packages, key=lambda package: (-package.stat().st_size, package.name)):
        lightest = weights.index(min(weights))
        shares[lightest].append(path)
        weights[lightest] += path.stat().st_size + 40_000
    return shares


def convert(packages: Sequence[Path], overrides: Overrides, job: Job) -> list[ConvertedRpm]:
    """Convert .deb files into RPMs in ``job.out``; return the RPMs, sorted by name.

    Raises ConversionError if one of them cannot be converted, or if
    rpmbuild exits with 0 without having made it.
    """
    job.out.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(job.work, ignore_errors=True)
    shares = partition(packages, job.workers)
    converted_names = frozenset(path.name.partition("_")[0] for path in packages)
    package_names = spec.PackageNames(real=converted_names, without_provides=overrides.without_provides)
    try:
        with ThreadPoolExecutor(len(shares)) as pool:
            futures = [
                pool.submit(_convert_share, number, share, overrides, package_names, job)
                for number, share in enumerate(shares)
            ]
            results = [future.result() for future in futures]
    finally:
        shutil.rmtree(job.work, ignore_errors=True)
    return sorted((rpm for result in results for rpm in result), key=lambda rpm: rpm.name)


def _convert_share(
    number: int, share: list[Path], overrides: Overrides, package_names: spec.PackageNames, job: Job
) -> list[ConvertedRpm]:
    work = job.work / str(number)
    build_root = work / "root"
    build_root.mkdir(parents=True)
    converted = [prepare(path, overrides, work, build_root) for path in share]
    text = spec.render(f"debtorpm-{number}", converted, package_names)
    spec_file = work / "batch.spec"
    spec_file.write_bytes(text.encode("utf-8", "surrogateescape"))
    rpms = work / "rpms"
    _rpmbuild(spec_file, build_root, rpms)
    return [_collect_rpm(package, rpms, job.out) for package in converted]


def _collect_rpm(converted: spec.Converted, folder: Path, out: Path) -> ConvertedRpm:
    package = converted.package
    stem = f"{package.name}-{package.version.version}-{package.version.release}"
    paths = [path for path in folder.glob("*/*.rpm") if path.name.rsplit(".", 2)[0] == stem]
    if len(paths) != 1:
        raise ConversionError(f"{package.name}: rpmbuild made no {stem}")
    path = Path(shutil.move(paths[0], out / paths[0].name))
    return ConvertedRpm(package.name, package.fields["Version"], package.fields["Architecture"], path)


def prepare(path: Path, overrides: Overrides, work: Path, build_root: Path) -> spec.Converted:
    """Unpack one .deb, move its files into the build root and return what the spec needs."""
    unpacked = work / "unpacked"
    _call(["dpkg-deb", "--raw-extract", str(path), str(unpacked)], f"{path.name}: cannot be unpacked")
    package = debian.read(unpacked)
    override = overrides.of(package.name)
    payload.merge_usr(unpacked)
    payload.remove_unwanted(unpacked, drop=overrides.drop + override.drop, keep=overrides.keep)
    payload.compile_python(unpacked, overrides.compile)
    _add_files(unpacked, package, override)
    entries = payload.move_into(unpacked, build_root)
    shutil.rmtree(unpacked)
    files = work / f"{package.name}.files"
    conffiles = frozenset(payload.merged(name) for name in package.conffiles)
    listing = spec.file_list(entries, conffiles=conffiles, attributes=override.attributes_by_path())
    files.write_bytes(listing.encode("utf-8", "surrogateescape"))
    return spec.Converted(package, override, scripts.scriptlets(package, override), str(files))


def _add_files(unpacked: Path, package: debian.DebianPackage, override: Override) -> None:
    """Add the files that the RPM has beside Debian's, and remove the control directory."""
    for kind, name in scripts.stored(package).items():
        # A move keeps the mode and time of dpkg, so that an image made by dpkg verifies.
        shutil.move(unpacked / "DEBIAN" / kind, _make_parent(unpacked / name[1:]))
    shutil.rmtree(unpacked / "DEBIAN")
    for name, target in override.links.items():
        _make_parent(unpacked / name[1:]).symlink_to(target)
    for name in override.directories():
        _make_parent(unpacked / name[1:]).mkdir(exist_ok=True)


def _make_parent(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _rpmbuild(spec_file: Path, build_root: Path, out: Path) -> None:
    macros = {
        "_topdir": str(out.parent / "top"),
        "_rpmdir": str(out),
        "_smp_ncpus_max": "1",  # the shares run in parallel instead
    }
    magic = out.parent / "magic"
    magic.write_text(_MAGIC)
    argv = ["rpmbuild", "-bb", "--quiet", "--noclean", "--buildroot", str(build_root)]
    for name, value in macros.items():
        argv += ["--define", f"{name} {value}"]
    _call([*argv, str(spec_file)], "rpmbuild", MAGIC=str(magic))


def _call(argv: list[str], about: str, **env: str) -> None:
    environment = {**os.environ, "SOURCE_DATE_EPOCH": _BUILD_TIME, "LC_ALL": "C.UTF-8", **env}
    done = subprocess.run(argv, capture_output=True, text=True, errors="replace", env=environment, check=False)
    if done.returncode != 0:
        raise ConversionError(f"{about}: {done.stderr.strip() or done.stdout.strip()}")
