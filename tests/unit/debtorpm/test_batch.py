"""Translating the control files, payload and scripts of a Debian package into a spec."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from itb.debtorpm import batch, debian, overrides, payload, scripts, spec
from itb.debtorpm.errors import ConversionError
from itb.debtorpm.overrides import Override
from itb.debtorpm.payload import Entry

CONTROL = """\
Package: thing
Version: 1:2.0-3
Architecture: amd64
Maintainer: A <a@example.org>
Depends: libc6 (>= 2.38), this | that
Pre-Depends: dpkg (>= 1.17)
Provides: web, httpd
Breaks: old-thing (<< 2)
Homepage: https://example.org/50%off
Description: a 100% thing
 It does
 .
 things.
"""


def package(**fields: str) -> debian.DebianPackage:
    """Return a package of CONTROL with some fields replaced."""
    return debian.DebianPackage({**debian.parse_control(CONTROL), **fields}, frozenset(), frozenset())


def tree(root: Path, *files: str) -> Path:
    """Make files, each with its own path as content."""
    for name in files:
        path = root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return root


def rendered(
    debian_package: debian.DebianPackage,
    *,
    override: Override | None = None,
    names: spec.PackageNames | None = None,
) -> str:
    """Return the spec of one package."""
    override = override or Override()
    converted = spec.Converted(debian_package, override, scripts.scriptlets(debian_package, override), "/list")
    return spec.render("batch", [converted], names or spec.PackageNames())


def test_control_fields() -> None:
    fields = debian.parse_control(CONTROL)
    assert fields["Depends"] == "libc6 (>= 2.38), this | that"
    assert fields["Description"] == "a 100% thing\nIt does\n.\nthings."


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Package: a\nVersion: 1\n", "without Architecture"),
        (" x\n", "continuation"),
        ("Package: a\nnonsense\n", "not a control field"),
    ],
)
def test_broken_control(text: str, reason: str) -> None:
    with pytest.raises(ConversionError, match=reason):
        debian.parse_control(text)


def test_conffiles_a_version_removes_are_not_its_own() -> None:
    assert debian.parse_conffiles("/etc/a\nremove-on-upgrade /etc/b\n\n/etc/c d\n") == {"/etc/a", "/etc/c d"}


def test_tags_of_a_package() -> None:
    names = spec.PackageNames(frozenset({"old-thing"}), frozenset({"httpd"}))
    lines = rendered(package(), names=names).splitlines()
    for line in (
        "Version: 2.0",
        "Release: 3",
        "Epoch: 1",
        "AutoReqProv: no",
        "Summary: a 100%% thing",
        "URL: https://example.org/50%%off",
        "Requires: libc6 >= 2.38",
        "Requires: (this or that)",
        "Requires(pre): dpkg >= 1.17",
        "Provides: web",
        "Conflicts: old-thing < 2",
    ):
        assert line in lines
    assert "Provides: httpd" not in lines
    assert "BuildArch: noarch" not in lines


def test_architecture_all_is_noarch() -> None:
    assert "BuildArch: noarch" in rendered(package(Architecture="all"))


def test_override_adds_names_scripts_and_triggers() -> None:
    override = Override(
        provides=("el-thing = {evr}",),
        requires=("more",),
        pre="useradd %x",
        triggers="%transfiletriggerin -P 5 -- /usr/lib\nldconfig 100%\n",
    )
    text = rendered(package(), override=override)
    assert "Provides: el-thing = 1:2.0-3" in text
    assert "Requires: more" in text
    assert "%pre -n thing\nuseradd %%x" in text
    assert "%transfiletriggerin -n thing -P 5 -- /usr/lib\nldconfig 100%%" in text


def test_scripts_run_through_the_wrapper() -> None:
    debian_package = debian.DebianPackage(
        {**package().fields, "Multi-Arch": "same"},
        frozenset(),
        frozenset({"preinst", "postinst", "prerm", "postrm"}),
    )
    scriptlets = scripts.scriptlets(debian_package, Override(post="echo more"))
    assert scriptlets.post.splitlines() == [
        "/usr/lib/debtorpm/maintscript postinst thing amd64 /var/lib/dpkg/info/thing:amd64.postinst",
        "echo more",
    ]
    assert scriptlets.preun.startswith('[ "$1" -gt 0 ] || /usr/lib/debtorpm/maintscript prerm thing')
    assert scripts.stored(debian_package) == {
        "postinst": "/var/lib/dpkg/info/thing:amd64.postinst",
        "prerm": "/var/lib/dpkg/info/thing:amd64.prerm",
    }
    assert f"Requires(post,preun): {scripts.SUPPORT}" in rendered(debian_package)


def test_without_scripts_no_wrapper_is_required() -> None:
    assert scripts.SUPPORT not in rendered(package())


@pytest.mark.parametrize(
    ("path", "merged"),
    [
        ("/bin/ls", "/usr/bin/ls"),
        ("/lib/x86_64-linux-gnu/libc.so.6", "/usr/lib/x86_64-linux-gnu/libc.so.6"),
        ("/lib64/ld.so", "/usr/lib64/ld.so"),
        ("/bin", "/bin"),  # the link itself
        ("/binary/ls", "/binary/ls"),
        ("/usr/bin/ls", "/usr/bin/ls"),
        ("/etc/bin/x", "/etc/bin/x"),
    ],
)
def test_merged_path(path: str, merged: str) -> None:
    assert payload.merged(path) == merged


def test_old_folders_move_into_usr(tmp_path: Path) -> None:
    root = tree(tmp_path, "/bin/a", "/lib/systemd/x", "/usr/lib/systemd/y", "/etc/z")
    (tmp_path / "sbin").symlink_to("usr/sbin")
    payload.merge_usr(root)
    assert (root / "usr/bin/a").read_text() == "/bin/a"
    assert sorted(path.name for path in (root / "usr/lib/systemd").iterdir()) == ["x", "y"]
    assert not (root / "bin").exists()
    assert (root / "sbin").is_symlink(), "base-files brings the links themselves"


def test_one_file_in_both_places_is_refused(tmp_path: Path) -> None:
    root = tree(tmp_path, "/bin/a", "/usr/bin/a")
    with pytest.raises(ConversionError, match="one file once /usr is merged"):
        payload.merge_usr(root)


def test_unwanted_files_go_with_their_folders(tmp_path: Path) -> None:
    root = tree(
        tmp_path, "/usr/share/doc/a/copyright", "/usr/share/doc/a/README", "/usr/share/man/man1/a.1", "/etc/a"
    )
    (root / "usr/share/doc/link").symlink_to("a")
    (root / "proc").mkdir()
    payload.remove_unwanted(
        root, drop=["/usr/share/doc/*", "/usr/share/man/*", "/proc"], keep=["/usr/share/doc/*/copyright"]
    )
    left = sorted(
        str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir() or path.is_symlink()
    )
    assert left == ["etc/a", "usr/share/doc/a/copyright"]
    assert not (root / "usr/share/man/man1").exists()
    assert (root / "usr/share/man").exists(), "only what the globs match"
    assert not (root / "proc").exists()


def test_packages_share_a_build_root_but_no_file(tmp_path: Path) -> None:
    build_root = tmp_path / "root"
    build_root.mkdir()
    one, two, three = (tmp_path / name for name in ("one", "two", "three"))
    entries = payload.move_into(tree(one, "/usr/bin/a"), build_root)
    assert entries == [_own("/usr", True), _own("/usr/bin", True), _own("/usr/bin/a", False)]
    payload.move_into(tree(two, "/usr/bin/b"), build_root)
    with pytest.raises(ConversionError, match="/usr/bin/a comes from two packages"):
        payload.move_into(tree(three, "/usr/bin/a"), build_root)


def _own(path: str, directory: bool) -> Entry:
    if os.getuid() == 0 and os.getgid() == 0:
        return Entry(path, directory)
    import grp
    import pwd

    return Entry(path, directory, pwd.getpwuid(os.getuid())[0], grp.getgrgid(os.getgid())[0])


def test_links_to_folders_are_files(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    root = tree(tmp_path / "one", "/a/b")
    (root / "l").symlink_to("a")
    moved = payload.move_into(root, tmp_path / "root")
    assert [(entry.path, entry.directory) for entry in moved] == [("/a", True), ("/a/b", False), ("/l", False)]


@pytest.mark.parametrize(
    ("path", "quoted"),
    [
        ("/a b", '"/a b"'),
        ("/100%", '"/100%%"'),
        ("/%{name}", '"/%%{name}"'),
        ('/q"q', '"/q\\"q"'),
        ("/b\\s", '"/b\\\\s"'),
        ("/br[a]ck*?", '"/br[a]ck*?"'),
        ("/ünï", '"/ünï"'),
    ],
)
def test_odd_names_in_file_lists(path: str, quoted: str) -> None:
    assert spec.quote_path(path) == quoted


@pytest.mark.parametrize("path", ["/new\nline", "/tab\tx", "/bell\a", "/del\x7f"])
def test_names_no_rpm_can_hold(path: str) -> None:
    with pytest.raises(ConversionError, match="no RPM can hold"):
        spec.quote_path(path)


def test_file_list_says_what_each_entry_is() -> None:
    entries = [
        Entry("/etc", directory=True),
        Entry("/etc/a.conf"),
        Entry("/usr/bin/chage", group="shadow"),
        Entry("/var/x", directory=True),
    ]
    text = spec.file_list(entries, conffiles=frozenset({"/etc/a.conf"}), attributes={"/var/x": "0700,root,root"})
    assert text.splitlines() == [
        '%dir "/etc"',
        '%config(noreplace) "/etc/a.conf"',
        '%attr(-,root,shadow) "/usr/bin/chage"',
        '%dir %attr(0700,root,root) "/var/x"',
    ]


def test_modules_come_compiled(tmp_path: Path) -> None:
    source = tree(tmp_path, "/usr/lib/python3/m.py") / "usr/lib/python3/m.py"
    source.write_text("x = 1\n")
    (tmp_path / "usr/lib/python3/broken.py").write_text("def\n")
    payload.compile_python(tmp_path, ["/usr/lib/python3", "/nowhere"])
    (compiled,) = (tmp_path / "usr/lib/python3/__pycache__").iterdir()
    assert compiled.name.startswith("m.")
    assert compiled.stat().st_mtime_ns == source.stat().st_mtime_ns, "the same package gives the same file"
    assert str(tmp_path).encode() not in compiled.read_bytes()


def test_shares_are_about_as_heavy(tmp_path: Path) -> None:
    files = []
    for number, size in enumerate([900_000, 500_000, 400_000, 10, 10]):
        files.append(tmp_path / f"p{number}.deb")
        files[-1].write_bytes(b"x" * size)
    heavy, light = batch.partition(files, 2)
    assert {file.name for file in heavy + light} == {file.name for file in files}
    assert abs(sum(f.stat().st_size for f in heavy) - sum(f.stat().st_size for f in light)) < 100_000
    assert batch.partition(files[:1], 4) == [files[:1]]


def test_manifest_says_what_was_made_from_what() -> None:
    rpm = batch.ConvertedRpm(
        "login", "1:4.16.0-2+really2.41-1", "amd64", Path("/out/login-4.16.0_2+really2.41-1.x86_64.rpm")
    )
    assert (
        batch.manifest([rpm]) == "login\t1:4.16.0-2+really2.41-1\tamd64\tlogin-4.16.0_2+really2.41-1.x86_64.rpm\n"
    )


def test_overrides_are_read(tmp_path: Path) -> None:
    path = tmp_path / "names.toml"
    path.write_text(
        '[all]\ndrop = ["/a/*"]\n[package.x]\nprovides = ["y"]\n'
        'attributes = ["0700 u g /d d/", "4755 root root /f"]\nlinks = {"/l" = "t"}\n'
    )
    platform_overrides = overrides.load(path)
    assert platform_overrides.drop == ("/a/*",)
    assert platform_overrides.of("x").attributes_by_path() == {"/d d": "0700,u,g", "/f": "4755,root,root"}
    assert platform_overrides.of("x").directories() == ["/d d"]
    assert platform_overrides.of("other") == Override()


@pytest.mark.parametrize("text", ["[al]\n", "[all]\ndorp = []\n", "[package.x]\nprovide = []\n"])
def test_unknown_override_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "names.toml"
    path.write_text(text)
    with pytest.raises(ConversionError, match="unknown key"):
        overrides.load(path)


def test_broken_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(argv: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(argv, 2, "", "dpkg-deb: error: not a Debian archive\n")

    monkeypatch.setattr(subprocess, "run", refuse)
    deb = tmp_path / "bad.deb"
    deb.write_bytes(b"nothing")
    with pytest.raises(ConversionError, match=r"bad\.deb: cannot be unpacked: dpkg-deb: error"):
        batch.convert([deb], overrides.Overrides(), batch.Job(tmp_path / "out", tmp_path / "work", 1))
    assert not (tmp_path / "work").exists()
