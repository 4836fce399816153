"""A build whose source RPM is not the commit's, whose RPMs are of another one, or whose workspace lies of them."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from itb.build import release_manager
from itb.build.workspace import Workspace
from itb.config.product import BuildDefinition, Product, RoleDefinition, Source, SourceRpm
from itb.containers.engine import Engine
from itb.containers.host import FileSpec, Host
from itb.data import shipped
from itb.errors import BuildError
from itb.model import Build, Outcome, PlatformImages
from itb.process.request import Request
from itb.process.runner import Runner
from itb.rundir.directory import RunDir
from itb.rundir.journal import Journal
from itb.source import checkout, resolve

FILES = {
    "mini.spec": "Name: mini\nVersion: __VERSION__\nRelease: 1\nSummary: .\nLicense: none\nBuildArch: noarch\n"
                 "Source: mini.tar.gz\n%description\n.\n%prep\n%setup -q -n mini-%{version}\n%install\n"
                 "install -D tool %{buildroot}/usr/bin/tool\n%files\n/usr/bin/tool\n",
    "tool": "#!/bin/sh\n",
    "make_token": "#!/bin/sh\n",
    ".gitignore": "*.o\n",
}  # fmt: skip
BUILD = r"""
top=$ITB_RPM_DIR name=mini-$ITB_PRODUCT_VERSION
mkdir -p "$top/SOURCES" "$top/made/$name"
sed "s/__VERSION__/$ITB_PRODUCT_VERSION/" mini.spec >"$top/mini.spec"
cp -r tool make_token caf* mini.spec "$top/made/$name"
{hostile}
tar -C "$top/made" -czf "$top/SOURCES/mini.tar.gz" "$name"
{packed}
rpmbuild -ba --quiet --define "_topdir $top" "$top/mini.spec"
{after}
"""
# What tar does not unpack by itself: members after the end of the archive, and one that another one replaces.
AFTER_ITS_END = """
mkdir -p "$top/more/$name"; echo id >"$top/more/$name/hidden"
tar -C "$top/more" -czf - "$name/hidden" >>"$top/SOURCES/mini.tar.gz"
"""
REPLACED = """
echo id >"$top/tool"
tar -C "$top" -cf "$top/twice.tar" --transform "s,^,$name/," tool
tar -C "$top/made" -rf "$top/twice.tar" "$name"
gzip <"$top/twice.tar" >"$top/SOURCES/mini.tar.gz"
"""
# 262144 members: folders.
MANY = """
tar -C "$top/made" --no-recursion -cf - "$name" | head -c 512 >"$top/many.tar"
cd "$top"; for i in $(seq 18); do cat many.tar many.tar >next.tar; mv next.tar many.tar; done; cd -
gzip -1 <"$top/many.tar" >"$top/SOURCES/mini.tar.gz"
tar -C "$top/made" -czf - "$name" >>"$top/SOURCES/mini.tar.gz"
"""
# In the place of rpm, which lists what was built: another version's package is called this version's.
LIAR = """
printf '#!/bin/sh\\n/usr/bin/rpm "$@" | sed s/1.1/1.2/\\n' >/usr/local/sbin/rpm
chmod +x /usr/local/sbin/rpm
"""
OTHER_VERSION = """
sed -i s/^Version.*/Version:1.1/ "$top/mini.spec"
mv "$top/made/$name" "$top/made/mini-1.1"
name=mini-1.1
"""
OTHER_SOURCE = r"""
sed -i s/^Name.*/Name:minimal/ "$top/mini.spec"
sed -i "/^%description/i %package -n mini\nSummary: .\n%description -n mini\n." "$top/mini.spec"
echo "%files -n mini" >>"$top/mini.spec"
rpmbuild -bb --quiet --define "_topdir $top" "$top/mini.spec"
rm "$top"/RPMS/noarch/minimal*
"""


EXACT = SourceRpm(left_out=(".gitignore",))


@pytest.fixture(scope="module")
def workspace(engine: Engine, images: PlatformImages, own_label: str) -> Iterator[Workspace]:
    name = f"itb-test-{secrets.token_hex(4)}"
    started = ("run", "--detach", "--name", name, "--label", own_label, "--network", "none")
    engine.call(*started, images.build.id, "sleep", "infinity")
    host = Host(engine, name, "workspace")
    host.put(FileSpec("/etc/yum.repos.d/itb-platform.repo", b""))
    key, _, value = own_label.partition("=")
    env, labels = {"LANG": "C.UTF-8"}, {key: value}
    yield Workspace(platform="deb13", image_id=images.build.id, env=env, host=host, run="r", labels=labels)
    engine.remove_containers(name)


@pytest.fixture
def build(workspace: Workspace, tmp_path: Path) -> Callable[..., tuple[Build, Journal]]:
    """Build the product with hostile commands before its source is packed, and after everything is made."""
    repository, runner = tmp_path / "source", Runner()
    repository.mkdir()
    for name, text in FILES.items():
        (repository / name).write_text(text)
    author = ("-c", "user.name=t", "-c", "user.email=t@t")
    (repository / os.fsdecode(b"caf\xe9")).write_text("x")
    for argv in (["init"], ["add", "--all"], [*author, "commit", "--message", "x"], ["tag", "v1_2"]):
        runner.run(Request(["git", "-C", str(repository), *argv]))

    def call(hostile: str = "", after: str = "", packed: str = "") -> tuple[Build, Journal]:
        command = BUILD.replace("{hostile}", hostile).replace("{after}", after).replace("{packed}", packed)
        product = Product(
            title="Mini", name="mini", source=Source(url=str(repository)), packages=("mini*",),
            build=BuildDefinition(command=command, checkout_name="mini", timeout=60, source_rpm=EXACT),
            roles={"factory": RoleDefinition(packages=("mini",))},
        )  # fmt: skip
        cache, rundir = tmp_path / "cache", RunDir.create(tmp_path / "runs", "mini")
        commit = resolve.resolve(product, ref="v1_2", source=str(repository), cache=cache, runner=runner)
        clone = checkout.checkout(commit, rundir.path / "clone" / "mini", cache=cache, runner=runner)
        journal = Journal(rundir)
        new_build = release_manager.build(
            commit, product, clone=clone, workspace=workspace, cache=cache, rundir=rundir, journal=journal
        )
        return new_build, journal

    return call


def test_good_one_passes(build: Callable[..., tuple[Build, Journal]]) -> None:
    _, journal = build()
    assert [case.outcome for case in journal.cases] == [Outcome.PASSED] * 4
    assert journal.cases[-1].message == "4 files as in the commit, 1 other as the product expects"


@pytest.mark.parametrize(
    ("hostile", "after", "message"),
    [
        ('echo "rm -rf /" >>"$top/made/$name/tool"', "", "mini-1.2-1.src.rpm is not the commit's: changed tool"),
        ('echo "%post\nid" | sed -i "/^%files/e cat" "$top/mini.spec"', "", "changed mini.spec"),
        ("", OTHER_SOURCE, "mini-1.2-1.noarch.rpm was built from minimal-1.2-1.src.rpm, not mini-1.2-1.src.rpm"),
        (OTHER_VERSION, LIAR, "and was called mini-1.2-1.noarch"),
    ],
)  # fmt: skip
def test_hostile_one_is_refused(
    build: Callable[..., tuple[Build, Journal]], workspace: Workspace, hostile: str, after: str, message: str
) -> None:
    """And not kept for others."""
    try:
        with pytest.raises(BuildError) as caught:
            build(hostile, after)
    finally:
        assert workspace.host
        workspace.host.call("rm", "-f", "/usr/local/sbin/rpm")
    assert message in caught.value.message



@pytest.mark.parametrize(
    ("packed", "message"),
    [
        (AFTER_ITS_END, "mini-1.2-1.src.rpm is not the commit's: added hidden"),
        (REPLACED, "mini-1.2-1.src.rpm cannot be unpacked: it holds mini-1.2/tool twice"),
        (MANY, "mini-1.2-1.src.rpm cannot be unpacked: it holds more than 200000 files"),
    ],
)
def test_source_archive_with_more_than_tar_unpacks_is_refused(
    build: Callable[..., tuple[Build, Journal]], packed: str, message: str
) -> None:
    with pytest.raises(BuildError) as caught:
        build(packed=packed)
    assert message in caught.value.message


def test_payload_with_folders_is_refused(workspace: Workspace) -> None:
    """An old cpio writes through a link that an earlier member was: into the folder of the tools themselves."""
    assert workspace.host
    script = (shipped.folder("build_ws") / "hosts" / "clean_rpm.py").read_text().rpartition("\nmain()")[0]
    attempt = """
payload, folder = Path("/tmp/flat/a.cpio"), Path("/tmp/flat/own")
cpio = ["cpio", "--extract", "--quiet", "--make-directories", "--no-absolute-filenames"]
try:
    unpack(cpio, [*cpio, "--list"], lambda: payload.open("rb"), folder, flat=True)
except Refused as error:
    print(error)
"""
    workspace.host.script(
        "rm -rf /tmp/flat; mkdir -p /tmp/flat/in; cd /tmp/flat/in; ln -s /tmp/flat d\n"
        "echo d | cpio -o --quiet -F ../a.cpio; rm d; mkdir d; echo id >d/tool\n"
        "echo ./d/tool | cpio -o --quiet -A -F ../a.cpio"
    )
    said = workspace.host.call("python3", "-I", "-c", script + attempt).stdout
    assert said == "it holds d/tool, which is not beside its spec file\n"
    assert not workspace.host.run(Request(["test", "-e", "/tmp/flat/tool"], check=False)).ok
