"""The files of a host, looked at from outside of it: what the candidate could change has no say in it.

``outside.py`` of ``build_ws/hosts`` does it in a container of the image the
host was made from; what its findings mean is decided here, by the platform's
``side-effects.yaml``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from pydantic import ValidationError

from itb.config.platform import SIDE_EFFECTS, Explained, Platform, SideEffects
from itb.containers.host import Host
from itb.data import shipped
from itb.errors import InstallError, TestbedError
from itb.model import InstalledPackage, Record
from itb.process.request import Request
from itb.util import yamlfile

# EL 8 has its Python where only the system's own tools look.
_PYTHON = 'exec "$(command -v python3 || echo /usr/libexec/platform-python)" -I -c "$1"'
_KEYS = "/etc/pki/rpm-gpg"
_SHOWN = 100  # findings in the evidence of a case


class TamperedError(InstallError):
    """What was seen from outside; asking the host itself whether it is at fault would find no better cause."""

    sure = True


class Seen(Record):
    """What was seen of a host; ``outside.py`` of ``build_ws/hosts`` says what the fields are."""

    root: str
    packages: tuple[str, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()
    changed: tuple[tuple[str, str], ...] = ()
    added: tuple[tuple[str, str], ...] = ()
    deviant: tuple[tuple[str, str, str], ...] = ()
    said: dict[str, tuple[str, ...]] = {}

    def culprit(self, path: str, own: Sequence[str]) -> str:
        """Name the scriptlets that name a file, those of the packages ``own`` (NEVRAs) before others."""
        every = self.said.get(path, ())
        ours = [said for said in every if said.rpartition(" ")[2] in own]
        return ", ".join(ours or every[:3])


def side_effects(platform: Platform) -> SideEffects:
    """Return what installing packages may change on a platform; UsageError for a file that is wrong."""
    shared = [platform.folder.parent / platform.shared] if platform.shared else []
    folders = [shipped.folder("build_ws") / "platforms", *shared, platform.folder]
    files = [folder / SIDE_EFFECTS for folder in dict.fromkeys(folders) if (folder / SIDE_EFFECTS).is_file()]
    found = [yamlfile.load(file, SideEffects) for file in files]
    return SideEffects(
        watched=tuple(item for one in found for item in one.watched),
        expected=tuple(item for one in found for item in one.expected),
    )


class Served(Record):
    """The SHA-256 of every package that is served."""

    sha256: tuple[str, ...] = ()


def served(services: Host, folder: str) -> Served:
    """Return the SHA-256 of every package that the services host, where nothing of the candidate runs, serves."""
    script = f"cd {folder}; find . -name '*.rpm' -type f -print0 | xargs -0 --no-run-if-empty sha256sum"
    seen = services.script(script, Request(about="checksums of the packages that are served"))
    return Served(sha256=tuple(line.split()[0] for line in seen.stdout.splitlines() if line))


def look(host: Host, image: str, *, trusted: Iterable[str], labels: Mapping[str, str]) -> Seen:
    """Look at a host's files beside those of the image it was made from.

    ``trusted`` are checksums (SHA-256) of RPM files a repository of the run
    served; others are good if a key of the image signed them.  Raises
    TestbedError if nothing can be seen.
    """
    script = (shipped.folder("build_ws") / "hosts" / "outside.py").read_text(encoding="utf-8")
    asked = _Asked(trusted=tuple(trusted), keys=_KEYS)
    done = host.engine.run_beside(
        host.container,
        image,
        Request(
            ["sh", "-c", _PYTHON, "sh", script],
            input=asked.model_dump_json().encode(),
            timeout=host.engine.runner.limits("look-outside"),
            host=host.role,
            shown=["outside.py", host.container],
            about=f"look at host {host.role} from outside",
        ),
        labels=labels,
    )
    try:
        seen = Seen.model_validate_json(done.stdout)
    except ValidationError as error:
        what = error.errors()[0]["msg"]
        raise TestbedError(f"host {host.role}: what was seen of it from outside cannot be read: {what}") from None
    return seen


class _Asked(Record):
    trusted: tuple[str, ...]
    keys: str


def check_platform(seen: Seen, expected: SideEffects, own: Sequence[str], *, later: bool = False) -> str:
    """Check that nothing of the platform was changed; return what was seen.

    ``own`` are the candidate's packages (NEVRAs); ``later`` than right after
    installing it, more packages may be there, and the files of packages are
    as unchangeable as the image's.  Raises InstallError naming the file, what
    happened to it and the scriptlet that names it.
    """
    if seen.root:
        raise TamperedError(seen.root, hint="nothing this host says can be believed")
    may_change = _pattern(item for item in expected.expected if not item.new)
    may_be = _pattern(expected.expected)
    watched = _pattern(item for item in expected.watched if not (later and item.packaged))
    changed = [(path, what) for path, what in seen.changed if not may_change.fullmatch(path)]
    added = [
        (path, f"a {kind} that no package has")
        for path, kind in seen.added
        if watched.fullmatch(path) and not may_be.fullmatch(path)
    ]
    # A package that a scenario replaced leaves files that are not there any more.
    since = [item for item in _deviations(seen, expected) if later and not item[1].startswith("missing ")]
    _refuse([*changed, *added, *since], seen, own)
    return f"{len(seen.changed) + len(seen.added)} files differ from image and packages, all of them expected to"


def check_packages(
    seen: Seen, expected: SideEffects, packages: Sequence[InstalledPackage], wanted: Sequence[str]
) -> str:
    """Check a host's packages by the files the repositories served: they are these, and their files are there.

    ``packages`` is what the host says is installed, ``wanted`` names what the
    role asks for.  Raises InstallError naming what is not so.
    """
    own = [item.nevra for item in packages if item.candidate]
    good, refused = set(seen.packages), {name.removesuffix(".rpm"): why for name, why in seen.refused}
    foreign = [
        (item.nevra, refused.get(_without_epoch(item.nevra), "no repository of the run has delivered it"))
        for item in packages
        if item.origin != "image" and item.nevra not in good
    ]
    names = {name.rsplit("-", 2)[0] for name in good}
    foreign += [(name, "asked for, and no repository of the run has delivered it") for name in {*wanted} - names]
    _refuse([*foreign, *_deviations(seen, expected)], seen, own)
    return f"{len(good)} packages are as they were served"


def _deviations(seen: Seen, expected: SideEffects) -> list[tuple[str, str]]:
    may = _pattern(item for item in expected.expected if not item.new)
    found = [(path, f"{what} (file of {package})") for package, path, what in seen.deviant]
    return [item for item in found if not may.fullmatch(item[0])]


def _without_epoch(nevra: str) -> str:
    return re.sub(r"-\d+:", "-", nevra, count=1)


def _refuse(findings: Sequence[tuple[str, str]], seen: Seen, own: Sequence[str]) -> None:
    if not findings:
        return
    ordered = sorted(findings, key=lambda item: (not seen.culprit(item[0], own), item[0]))
    lines = []
    for path, what in ordered[:_SHOWN]:
        who = seen.culprit(path, own)
        lines.append(f"{path}: {what}" + (f"; {who} names it" if who else ""))
    more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    raise TamperedError(
        f"{lines[0]}{more}",
        hint=f"what packages may change besides their own files is in {SIDE_EFFECTS} of the platform",
        evidence="\n".join(lines),
    )


def _pattern(items: Iterable[Explained]) -> re.Pattern[str]:
    """Return a pattern of all paths of these."""
    words = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = [
        "".join(words.get(part, re.escape(part)) for part in re.split(r"(\*\*|\*|\?)", glob))
        for item in items
        for glob in item.paths
    ]
    return re.compile("|".join(parts) or r"(?!)", re.DOTALL)
