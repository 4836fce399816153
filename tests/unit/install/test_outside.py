"""What the findings of a look from outside mean; tests/hostile tests the look itself."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import sys
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from itb.config import lookup
from itb.config.platform import SIDE_EFFECTS
from itb.data import shipped
from itb.errors import InstallError, UsageError
from itb.install import outside
from itb.model import InstalledPackage
from itb.platforms import images
from tests.unit.data import scripts

PLATFORMS = sorted(path.parent.name for path in shipped.folder("build_ws").glob("platforms/*/platform.yaml"))
DEB13 = outside.side_effects(lookup.load_platform("deb13"))
OWN = InstalledPackage(nevra="pw-libs-1.2-1.noarch", origin="itb-candidate", candidate=True)


def platform_of(inspection: outside.Inspection, **more: bool) -> str:
    return outside.check_platform(inspection, DEB13, [OWN.nevra], **more)


@pytest.mark.parametrize("name", PLATFORMS)
def test_every_platform_says_what_may_change_and_why(name: str) -> None:
    declared = outside.side_effects(lookup.load_platform(name))
    assert declared.watched
    assert declared.expected
    assert all(item.reason for item in (*declared.watched, *declared.expected))


def test_known_side_effects_are_no_change_of_the_platform() -> None:
    changed = [
        ("/etc/passwd", "another content"),
        ("/etc/ld.so.cache", "another content"),
        ("/var/lib/rpm/rpmdb.sqlite", "x"),
        ("/etc/yum.repos.d/baseos.repo", "another content"),
    ]
    added = [
        ("/etc/systemd/system/multi-user.target.wants/a.service", "link"),
        ("/usr/lib/python3/a/__pycache__/b.pyc", "file"),
        ("/var/lib/pocketwms/state", "file"),
        ("/var/spool/pocketwms/queue", "file"),
        ("/etc/yum.repos.d/itb-candidate.repo", "file"),
        ("/run/systemd/generator/getty.target.wants/console-getty.service", "link"),
        ("/run/pocketwms/pid", "file"),
    ]
    inspection = outside.Inspection(root="", changed=tuple(changed), added=tuple(added), differing=7)
    assert platform_of(inspection).startswith("7 files")


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("/usr/bin/timeout", "another content"),
        ("/etc/nsswitch.conf", "another content"),
        # What may be made there may not be changed where the image has it.
        ("/usr/lib/python3/dist-packages/__pycache__/rpm.pyc", "another content"),
        ("/etc/ld.so.cache for /srv/x.so", "leads to a library of no package"),
    ],
)
def test_changed_file_of_the_image_is_a_change(path: str, what: str) -> None:
    with pytest.raises(InstallError) as caught:
        platform_of(outside.Inspection(root="", changed=((path, what),)))
    assert caught.value.message == f"{path}: {what}"


@pytest.mark.parametrize(
    ("path", "later"),
    [
        ("/etc/ld.so.preload", True),
        ("/usr/local/bin/condor_history", True),
        ("/root/.bashrc", True),
        ("/etc/profile.d/x.sh", True),
        ("/etc/environment.d/x.conf", True),
        ("/etc/rc.local", True),
        ("/etc/anacrontab", True),
        ("/var/spool/cron/crontabs/root", True),
        ("/var/spool/at/a0001", True),
        ("/etc/yum.repos.d/more.repo", True),
        ("/run/systemd/system/condor.service.d/x.conf", True),
        ("/run/systemd/system.control/condor.service.d/x.conf", True),
        ("/run/udev/rules.d/x.rules", True),
        ("/run/systemd/transient/condor.service", True),
        ("/run/systemd/transient/condor.service.d/x.conf", True),
        ("/run/systemd/system.conf", True),
        ("/usr/lib/systemd/system/service.d/x.conf", True),
        ("/usr/lib/python3/dist-packages/sitecustomize.py", True),
        ("/usr/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3/libc.so.6", True),
        ("/usr/bin/x", False),  # a scenario may have installed a package
        ("/usr/lib/x86_64-linux-gnu/libx.so", False),
    ],
)
def test_file_of_no_package_counts_where_programs_look(path: str, later: bool) -> None:
    inspection = outside.Inspection(root="", added=((path, "file"),))
    with pytest.raises(InstallError, match="a file that no package has"):
        platform_of(inspection)
    if later:
        with pytest.raises(InstallError):
            platform_of(inspection, later=True)
    else:
        assert platform_of(inspection, later=True)


def test_file_of_a_package_that_changed_after_the_installation_is_a_change() -> None:
    path, package = "/usr/bin/condor_history", "condor-1-1.x86_64"
    inspection = outside.Inspection(root="", deviant=((package, path, "another content"),))
    assert platform_of(inspection)  # a case of its own is about packages then
    with pytest.raises(InstallError, match=rf"^{path}: another content \(file of {package}\)$"):
        platform_of(inspection, later=True)
    # The package may have been replaced, and its file with it.
    assert platform_of(outside.Inspection(root="", deviant=((package, path, "missing"),)), later=True)


def test_own_file_that_the_site_sets_without_config_is_said_so_once() -> None:
    """The product's configuration edits it, and rpm does not know that it is configuration."""
    path, inspection = "/etc/pw/pw.yaml", outside.Inspection(root="", packages=(OWN.nevra,))
    inspection = inspection.model_copy(update={"deviant": ((OWN.nevra, path, "another content"),)})
    message = f"{path}: changed here, and is no %config in {OWN.nevra}: every upgrade overwrites it"
    with pytest.raises(InstallError) as caught:
        outside.check_packages(inspection, DEB13, [OWN], [])
    assert caught.value.message == message
    with pytest.raises(InstallError, match="is no %config"):
        platform_of(inspection, later=True)
    known = caught.value.evidence.splitlines()
    assert outside.check_platform(inspection, DEB13, [OWN.nevra], later=True, known=known)
    # Nobody edits what a package of the platform has there.
    other = inspection.model_copy(update={"deviant": (("bash-5-1.x86_64", path, "another content"),)})
    with pytest.raises(InstallError, match=r"another content \(file of bash-5-1"):
        outside.check_platform(other, DEB13, [OWN.nevra], later=True, known=known)


def test_scriptlet_of_the_candidate_is_named_before_others() -> None:
    scriptlets = {"/usr/bin/timeout": ("%post of condor-1-1.x86_64", f"%post of {OWN.nevra}")}
    changed = (("/etc/a", "deleted"), ("/usr/bin/timeout", "another content"))
    with pytest.raises(InstallError) as caught:
        platform_of(outside.Inspection(root="", changed=changed, scriptlets=scriptlets))
    assert caught.value.message == (
        f"/usr/bin/timeout: another content; %post of {OWN.nevra} names it (and 1 more)"
    )
    assert "/etc/a: deleted" in caught.value.evidence


def test_host_whose_root_is_another_is_refused() -> None:
    with pytest.raises(InstallError, match="has changed its root"):
        platform_of(outside.Inspection(root="process 1 of the host has changed its root directory"))


def test_packages_are_compared_with_what_was_served() -> None:
    # An image of Enterprise Linux knows the repository that its own packages came from.
    other = InstalledPackage(nevra="bash-5.2-1.x86_64", origin="baseos")
    inspection = outside.Inspection(root="", image=(other.nevra,), packages=(OWN.nevra, "condor-23.9-1.x86_64"))
    summary = outside.check_packages(inspection, DEB13, [OWN, other], ["pw-libs"])
    assert summary == "as they were served: 2 packages"
    with pytest.raises(InstallError, match=r"^bash-5\.2-1\.x86_64: no repository of the run has delivered it$"):
        outside.check_packages(inspection.model_copy(update={"image": ()}), DEB13, [OWN, other], ["pw-libs"])
    deviant = ((OWN.nevra, "/usr/share/pw/x", "missing"),)
    with pytest.raises(InstallError, match=r"^/usr/share/pw/x: missing \(file of pw-libs-1\.2-1\.noarch\)$"):
        outside.check_packages(inspection.model_copy(update={"deviant": deviant}), DEB13, [OWN], [])
    refused = outside.Inspection(root="", refused=(("pw-libs-1.2-1.noarch.rpm", "signed by nobody"),))
    with pytest.raises(InstallError, match=r"^pw-libs-1\.2-1\.noarch: signed by nobody$"):
        outside.check_packages(refused, DEB13, [OWN], [])


def test_side_effects_are_no_part_of_the_images(tmp_path: Path) -> None:
    folder = tmp_path / "deb13"
    shutil.copytree(shipped.folder("build_ws") / "platforms" / "deb13", folder)
    platform = lookup.load_platform(str(folder))
    before = images.digest(platform, {})
    (folder / SIDE_EFFECTS).write_text("expected: [{paths: [/etc/x], reason: because}]\n")
    assert images.digest(platform, {}) == before
    assert any(item.paths == ("/etc/x",) for item in outside.side_effects(platform).expected)
    (folder / SIDE_EFFECTS).write_text("expected: [{path: [/etc/x], reason: because}]\n")
    with pytest.raises(UsageError, match="side-effects"):
        outside.side_effects(platform)


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """The script that looks at hosts, without rpm, which is on their side only."""
    folder = shipped.folder("build_ws") / "hosts"
    for name in ("host_root", "library_cache", "modules"):
        monkeypatch.setitem(sys.modules, name, scripts.load(folder / f"{name}.py"))
    for name in ("rpm", "rpm_files", "accounts"):
        module = types.ModuleType(name)
        module.__getattr__ = lambda _: {}  # type: ignore[method-assign]
        monkeypatch.setitem(sys.modules, name, module)
    script = types.ModuleType("look")
    exec((folder / "outside.py").read_text(encoding="utf-8").partition("\nmain()")[0], script.__dict__)
    return script


def test_names_that_are_not_unicode_keep_no_look_from_being_read(look: types.ModuleType) -> None:
    """A file of such a name made the look the testbed's failure."""
    name = os.fsdecode(b"/usr/bin/\xff\xe2\x80\xa8x")
    text = json.dumps(look.shown({"root": "", "added": [[name, "new"]], "scriptlets": {name: ("p",)}}))
    inspection = outside.Inspection.model_validate_json(text)
    assert inspection.added == (("/usr/bin/\\xff\u2028x", "new"),)
    assert [*inspection.scriptlets] == ["/usr/bin/\\xff\u2028x"]


def test_cache_of_the_loader_that_is_a_link_is_a_change(
    look: types.ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loader follows it, the look did not; that the file itself may change was taken for its reason."""
    cache = tmp_path / "ld.so.cache"
    cache.symlink_to("/var/lib/x/cache")
    monkeypatch.setattr(look, "LIBRARY_CACHE", str(cache))
    host = object.__new__(look.Host)
    host.changed = []
    host._library_cache({})
    assert host.changed == [[f"{cache} as a whole", "is no file that can be read"]]


@pytest.fixture
def owner_of(look: types.ModuleType) -> Callable[..., Any]:
    """Make a host of which image and packages own these paths: the platform's, and the product's."""

    def make(platform: Sequence[str], product: Sequence[str] = ()) -> Any:
        host = object.__new__(look.Host)
        owned = {path: [("p", types.SimpleNamespace(is_product=True))] for path in product}
        host.image, host.packages = dict.fromkeys(platform), types.SimpleNamespace(owned=owned)
        host.added, host.shadowing, host.changed = [], [], []
        return host

    return make


@pytest.mark.parametrize(
    ("path", "rival"),
    [
        ("/usr/sbin/condor_q", "/usr/bin/condor_q"),
        ("/etc/systemd/system/condor.service", "/usr/lib/systemd/system/condor.service"),
        ("/usr/sbin/pocketwms-factory", ""),
        ("/usr/bin/new", ""),
        ("/usr/share/condor_q", ""),
    ],
)
def test_new_file_that_hides_the_platforms_is_a_change_at_any_time(
    owner_of: Callable[..., Any], tmp_path: Path, path: str, rival: str
) -> None:
    """What scenarios install may bring programs, so that new ones were taken for theirs after the first look."""
    platforms = ["/usr/bin/condor_q", "/usr/lib/systemd/system/condor.service"]
    host = owner_of(platforms, ["/usr/bin/pocketwms-factory"])
    tmp_path.joinpath("x").touch()
    host._new(path, tmp_path.joinpath("x").lstat())
    hidden = [[path, f"found instead of {rival}, and no package has it"]] if rival else []
    assert (host.shadowing, host.added) == (hidden, [] if rival else [[path, "file"]])


def test_folder_that_cannot_be_read_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root on the host may limit the descriptors of who looks: a folder was passed over for it."""
    host_root = scripts.load(shipped.folder("build_ws") / "hosts" / "host_root.py")
    for name in ("full", "gone"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    errors = {"full": OSError(errno.EMFILE, "Too many open files"), "gone": FileNotFoundError()}
    scandir = os.scandir

    def fail(path: bytes) -> Any:
        error = errors.get(Path(os.fsdecode(path)).name)
        if error:
            raise error
        return scandir(path)

    monkeypatch.setattr(os, "scandir", fail)
    unread: list[list[str]] = []
    assert {Path(path).name for path, _ in host_root.walk(os.fsencode(tmp_path), unread)} == {"full", "gone"}
    assert unread == [[f"{tmp_path}/full as a folder", "cannot be read: Too many open files"]]


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENOENT])
def test_files_that_cannot_be_read_are_not_the_same(
    look: types.ModuleType, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, "")

    monkeypatch.setattr(os, "open", fail)
    if number == errno.ENOENT:
        assert look.content("/x", 3) == ""
    else:
        with pytest.raises(OSError, match=str(number)):
            look.content("/x", 3)


@pytest.mark.parametrize("touched", [1, 3, 4])
def test_files_of_the_image_tell_by_their_times_however_many_were_touched(
    look: types.ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, touched: int
) -> None:
    """Giving each to its owner once more made them all look like those of an engine that copies."""
    paths = [tmp_path / name for name in "abc"]
    for path in paths:
        path.write_text(path.name)
    paths.append(tmp_path / "link")
    paths[-1].symlink_to("a")
    image = {str(path): path.lstat() for path in paths}
    while paths[-1].lstat().st_ctime_ns == image[str(paths[-1])].st_ctime_ns:
        for path in paths[4 - touched :]:
            os.chown(path, -1, os.getegid(), follow_symlinks=False)
    root = os.open("/", os.O_RDONLY)
    host = object.__new__(look.Host)
    host.image, host.own, host.root, host.shared, host.changed = image, root, root, True, []
    host.packages = types.SimpleNamespace(owned={})
    monkeypatch.setattr(host, "_files", lambda _: {str(path): path.lstat() for path in paths})
    monkeypatch.setattr(look, "LIBRARY_CACHE", str(tmp_path / "none"))
    host.look(re.compile("x"), 9)
    os.close(root)
    assert {Path(path).name for path, what in host.changed if "anew" in what} == {
        path.name for path in paths[4 - touched :]
    }


@pytest.fixture
def accounts(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """The script's module for accounts."""
    folder = shipped.folder("build_ws") / "hosts"
    monkeypatch.setitem(sys.modules, "host_root", scripts.load(folder / "host_root.py"))
    return scripts.load(folder / "accounts.py")


def test_strange_accounts_end_no_look(accounts: types.ModuleType, tmp_path: Path) -> None:
    lines = ["root:x:0:0::/:/bin/sh", "a:x:²:0", f"b:x:{'9' * 5000}:0", "c:x:٣:0", "d:x:7\u2028e:x:8", "f:x:9\n"]
    (tmp_path / "passwd").write_text("\n".join(lines))
    assert accounts.ids(accounts.read(tmp_path / "passwd")) == {"root": 0, "f": 9}


ROOT, NOBODY = "root:x:0:0:root:/root:/bin/bash", "nobody:x:65534:65534::/:/sbin/nologin"


@pytest.mark.parametrize(
    ("file", "lines", "found"),
    [
        ("passwd", [ROOT, NOBODY, "condor:x:996:996::/var/lib/condor:/sbin/nologin"], {}),
        ("passwd", [NOBODY, ROOT], {}),
        ("passwd", [ROOT.replace("/root:", "/var/lib/x:"), NOBODY], {"root": "another entry than the image's"}),
        ("passwd", ["root:x:0:0::/x:/bin/sh", ROOT, NOBODY], {"root": "another entry than the image's"}),
        ("passwd", [" \troot:x:0:0::/x:", ROOT, NOBODY], {"root": "another entry than the image's"}),
        ("passwd", ["root:x:0:0:root:/root\0:/bin/bash", NOBODY], {"root": "another entry than the image's"}),
        ("passwd", [ROOT], {"nobody": "deleted"}),
        ("passwd", ["toor:x:0:0::/x:/bin/sh", ROOT, NOBODY], {"toor": "has the number of root"}),
        ("passwd", ["toor:x:4294967296:0::/x:/bin/sh", ROOT, NOBODY], {"toor": "an entry without a number"}),
        ("passwd", ["toor:x:+0:0::/x:/bin/sh", ROOT, NOBODY], {"toor": "an entry without a number"}),
        ("passwd", ["+::::::", ROOT, NOBODY], {"+": "an entry without a number"}),
        ("group", ["root:x:0:", "wheel:x:10:root,pocket", "pocket:x:995:"], {}),
        ("group", ["root:x:0:", "wheel:x:10:root,nobody"], {"wheel": "with nobody of the image"}),
        ("group", ["root:x:0:", "wheel:x:10:"], {"wheel": "without root"}),
        ("group", ["root:x:0:", "wheel:x:11:root"], {"wheel": "another entry than the image's"}),
        ("group", ["root:x:0:", "wheel:x:10:root", "a:x:10:"], {"a": "has the number of wheel"}),
    ],
)
def test_accounts_of_the_image_stay_as_they_are(
    accounts: types.ModuleType, tmp_path: Path, file: str, lines: list[str], found: dict[str, str]
) -> None:
    image = {"passwd": [ROOT, NOBODY], "group": ["root:x:0:", "wheel:x:10:root"], "shadow": [], "gshadow": []}
    before, now = (
        {name: accounts.read(write(tmp_path / name, text)) for name, text in of.items()}
        for of in (image, {**image, file: lines})
    )
    expected = {f"/etc/{file} for {name}": what for name, what in found.items()}
    assert dict(accounts.differences(before, now)) == expected


def write(path: Path, lines: list[str]) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path
