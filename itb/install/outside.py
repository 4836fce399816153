"""Inspecting the files of a host from outside, where the candidate cannot change anything.

``outside.py`` of ``build_ws/hosts`` inspects them in a container of the host's
own image; this module decides by the platform's ``side-effects.yaml`` which of
its findings are violations.  It finds every file of the image that was ever
written to, since a file that was changed and restored has another time of
change, and the files that exist in the end.  It does not find files that existed
only for a while; therefore itb brings its own programs (``itb/containers/tools.py``).
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping, Sequence

from pydantic import ValidationError

from itb.config.platform import SIDE_EFFECTS, Platform, SideEffect, SideEffects
from itb.containers import tools
from itb.containers.host import Host
from itb.data import shipped
from itb.errors import InstallError, LogLine, TestbedError
from itb.model import InstalledPackage, Record
from itb.process.request import Request
from itb.util import yamlfile
from itb.util.text import count, lines_of

# Runs a script that imports modules which are no files there; arguments: each module's name and text, the script.
_WITH_MODULES = """
import sys, types
*modules, script = sys.argv[1:]
for name, text in zip(modules[::2], modules[1::2]):
    sys.modules[name] = module = types.ModuleType(name)
    exec(compile(text, name + ".py", "exec"), module.__dict__)
exec(compile(script, "outside.py", "exec"))
"""
_MODULES = ("host_root", "accounts", "library_cache", "modules", "rpm_files")  # each after those that it imports
_KEYS = "/etc/pki/rpm-gpg"
_MAX_FILES = 500_000  # of a host; one that only has the product has a tenth of them
_MAX_SHOWN = 100  # findings in the evidence of a case


class TamperedError(InstallError):
    """A host was tampered with, as an inspection from outside shows.

    It is ``conclusive``: examining the host itself would find no better cause.
    """

    conclusive = True


class Inspection(Record):
    """The result of an inspection of a host; ``outside.py`` of ``build_ws/hosts`` explains the fields."""

    root: str
    image: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()
    changed: tuple[tuple[str, str], ...] = ()
    added: tuple[tuple[str, str], ...] = ()
    deviant: tuple[tuple[str, str, str], ...] = ()
    misplaced: tuple[tuple[str, str, str], ...] = ()
    differing: int = 0
    scriptlets: dict[str, tuple[str, ...]] = {}

    def scriptlets_naming(self, path: str, own: Sequence[str]) -> str:
        """Return the scriptlets that name a file; those of packages ``own`` (NEVRAs) only, if any."""
        scriptlets = self.scriptlets.get(path, ())
        candidates = [scriptlet for scriptlet in scriptlets if scriptlet.rpartition(" ")[2] in own]
        return ", ".join(candidates or scriptlets[:3])


def side_effects(platform: Platform) -> SideEffects:
    """Return what the installation of packages may change on a platform; UsageError for an invalid file."""
    folders = [shipped.folder("build_ws") / "platforms", *platform.folders]
    files = [folder / SIDE_EFFECTS for folder in dict.fromkeys(folders) if (folder / SIDE_EFFECTS).is_file()]
    declarations = [yamlfile.load(file, SideEffects) for file in files]
    return SideEffects(
        watched=tuple(explained for declaration in declarations for explained in declaration.watched),
        expected=tuple(explained for declaration in declarations for explained in declaration.expected),
        reserved=tuple(explained for declaration in declarations for explained in declaration.reserved),
    )


class ServedChecksums(Record):
    """The SHA-256 of the packages that the services host serves: the platform's, the product's of any version."""

    platform: tuple[str, ...] = ()
    product: tuple[str, ...] = ()


def served_checksums(services: Host, folder: str, platform: Platform) -> ServedChecksums:
    """Return the SHA-256 of the packages that the services host serves; nothing of the candidate runs there."""
    script = f"find {folder} -name '*.rpm' -type f -print0 | xargs -0 --no-run-if-empty sha256sum"
    completed = services.script(script, Request(about="checksums of the packages that are served"))
    served = [line.split(maxsplit=1) for line in lines_of(completed.stdout) if line]
    place = f"{platform.repository}/" if platform.repository else "-"
    return ServedChecksums(
        platform=tuple(checksum for checksum, path in served if path.startswith(place)),
        product=tuple(checksum for checksum, path in served if not path.startswith(place)),
    )


def inspect(
    host: Host,
    image: str,
    *,
    served: ServedChecksums,
    expected: SideEffects,
    labels: Mapping[str, str],
    installed: Sequence[str] = (),
) -> Inspection:
    """Compare a host's files with those of its image and return the result.

    Packages are accepted that a repository of the run ``served``, or that a
    key of the image has signed; of the product's, files of the version that is
    ``installed`` (NEVRAs), if that is known: a repository may serve others, too.
    Raises TestbedError if there is no result.
    """
    folder = shipped.folder("build_ws") / "hosts"
    script, *texts = ((folder / f"{name}.py").read_text(encoding="utf-8") for name in ("outside", *_MODULES))
    modules = [word for module in zip(_MODULES, texts, strict=True) for word in module]
    query = _query(served, expected, installed)
    completed = host.engine.run_beside(
        host.container,
        image,
        Request(
            ["sh", "-c", tools.RUN_PYTHON, "sh", _WITH_MODULES, *modules, script],
            input=query.model_dump_json().encode(),
            timeout=host.engine.runner.limits("look-outside"),
            host=host.role,
            alias=["outside.py", host.container],
            about=f"look at host {host.role} from outside",
        ),
        labels=labels,
    )
    try:
        inspection = Inspection.model_validate_json(completed.stdout)
    except ValidationError as error:
        problem = error.errors()[0]["msg"]
        raise TestbedError(
            f"host {host.role}: the result of its inspection from outside cannot be read: {problem}"
        ) from None
    return inspection


class _InspectionQuery(Record):
    trusted: tuple[str, ...]
    product: tuple[str, ...]
    installed: tuple[str, ...]
    reserved: str
    may_change: str
    may_be_added: str
    watched: str
    watched_elsewhere: str
    link_may_change: str
    link_may_be_added: str
    most: int
    keys: str


def _query(served: ServedChecksums, expected: SideEffects, installed: Sequence[str]) -> _InspectionQuery:
    """Return what the inspection has to know of packages and of the paths that they may change."""
    return _InspectionQuery(
        trusted=served.platform,
        product=served.product,
        installed=tuple(installed),
        reserved=_pattern(expected.reserved).pattern,
        may_change=_may_change(expected).pattern,
        may_be_added=_may_be_added(expected).pattern,
        watched=_pattern(item for item in expected.watched if not item.elsewhere).pattern,
        watched_elsewhere=_pattern(item for item in expected.watched if item.elsewhere).pattern,
        link_may_change=_pattern(item for item in expected.expected if item.linked and not item.new).pattern,
        link_may_be_added=_pattern(item for item in expected.expected if item.linked and not item.changed).pattern,
        most=_MAX_FILES,
        keys=_KEYS,
    )


def check_platform(
    inspection: Inspection,
    expected: SideEffects,
    own: Sequence[str],
    *,
    later: bool = False,
    known: Container[str] = (),
) -> str:
    """Check that nothing of the platform was changed; return a summary for the report.

    ``own`` are the candidate's packages (NEVRAs).  ``later`` is for checks
    that do not directly follow the installation: more packages may be there,
    and files of packages must be unchanged like those of the image, but for
    findings that are ``known``, as :func:`check_packages` has put them.  Raises
    InstallError with the file, its change and the scriptlet that names it.
    """
    if inspection.root:
        hint = "nothing this host says can be believed: look at what the candidate's scriptlets and services do"
        raise TamperedError(inspection.root, hint=hint)
    may_change = _may_change(expected)
    may_be_added = _may_be_added(expected)
    watched = _pattern(explained for explained in expected.watched if not (later and explained.packaged))
    changed = [(path, change) for path, change in inspection.changed if not may_change.fullmatch(path)]
    added = [
        (path, f"a {kind} that no package has")
        for path, kind in inspection.added
        if watched.fullmatch(path) and not may_be_added.fullmatch(path)
    ]
    # Files of a package that a scenario replaced may be missing.
    deviations = _deviations(inspection, expected, own) if later else []
    deviations = [item for item in deviations if _line(item, inspection, own) not in known]
    replaced = [(path, change) for path, change in deviations if not change.startswith("missing ")]
    misplaced = [
        (path, f"{reason} (file of {package})")
        for package, path, reason in inspection.misplaced
        if not may_be_added.fullmatch(path)
    ]
    _refuse([*changed, *added, *replaced, *misplaced], inspection, own)
    return f"{inspection.differing} files differ from image and packages, all of them expected to"


def check_packages(
    inspection: Inspection, expected: SideEffects, packages: Sequence[InstalledPackage], required: Sequence[str]
) -> str:
    """Check that a host's packages are those the repositories served, with all their files; return a summary.

    ``packages`` are those that the host itself lists, ``required`` the names
    that the role needs.  Raises InstallError naming each package or file that differs.
    """
    own = [package.nevra for package in packages if package.candidate]
    served = set(inspection.packages)
    refused = {name.removesuffix(".rpm"): reason for name, reason in inspection.refused}
    foreign = [
        (package.nevra, refused.get(_without_epoch(package.nevra), "no repository of the run has delivered it"))
        for package in packages
        if package.nevra not in served | set(inspection.image)
    ]
    names = {name.rsplit("-", 2)[0] for name in served}
    foreign += [(name, "asked for, and no repository of the run has delivered it") for name in {*required} - names]
    _refuse([*foreign, *_deviations(inspection, expected, own)], inspection, own)
    return f"as they were served: {count(len(served), 'package')}"


def _deviations(inspection: Inspection, expected: SideEffects, own: Sequence[str]) -> list[tuple[str, str]]:
    may_change = _may_change(expected)
    deviations = [
        (path, _describe_deviation(package, path, change, own)) for package, path, change in inspection.deviant
    ]
    return [(path, change) for path, change in deviations if not may_change.fullmatch(path)]


def _describe_deviation(package: str, path: str, change: str, own: Sequence[str]) -> str:
    """Return what became of a package's file; what was set in one of the candidate's in /etc is lost one day."""
    if change == "another content" and path.startswith("/etc/") and package in own:
        return f"changed here, and is no %config in {package}: every upgrade overwrites it"
    return f"{change} (file of {package})"


def _may_change(expected: SideEffects) -> re.Pattern[str]:
    return _pattern(explained for explained in expected.expected if not (explained.new or explained.linked))


def _may_be_added(expected: SideEffects) -> re.Pattern[str]:
    return _pattern(explained for explained in expected.expected if not (explained.changed or explained.linked))


def _without_epoch(nevra: str) -> str:
    return re.sub(r"-\d+:", "-", nevra, count=1)


def _refuse(findings: Sequence[tuple[str, str]], inspection: Inspection, own: Sequence[str]) -> None:
    if not findings:
        return
    ordered = sorted(findings, key=lambda finding: (not inspection.scriptlets_naming(finding[0], own), finding[0]))
    lines = [_line(finding, inspection, own) for finding in ordered[:_MAX_SHOWN]]
    more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    raise TamperedError(
        f"{lines[0]}{more}",
        hint=f"what packages may change besides their own files is in {SIDE_EFFECTS} of the platform",
        evidence="\n".join(lines),
        quotes=[LogLine(lines[0])],
    )


def _line(finding: tuple[str, str], inspection: Inspection, own: Sequence[str]) -> str:
    path, change = finding
    scriptlets = inspection.scriptlets_naming(path, own)
    return f"{path}: {change}" + (f"; {scriptlets} names it" if scriptlets else "")


def _pattern(entries: Iterable[SideEffect]) -> re.Pattern[str]:
    """Return a pattern that matches the paths of all these entries."""
    wildcards = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = [
        "".join(wildcards.get(part, re.escape(part)) for part in re.split(r"(\*\*|\*|\?)", glob))
        for entry in entries
        for glob in entry.paths
    ]
    return re.compile("|".join(parts) or r"(?!)", re.DOTALL)
