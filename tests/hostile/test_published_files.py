"""A run directory in which somebody has exchanged what is to be published."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from itb.cli.commands import publish
from itb.containers.host import FileSpec, Host
from itb.errors import UsageError
from itb.model import Build, Case, Commit, Outcome, PlatformImages, Rpm, SigningKey
from itb.process.request import Request
from itb.rundir import seal, values
from itb.rundir.directory import RunDir, RunState

SPEC = """Name: mini
Version: %{v}
Release: 1
Summary: .
License: none
BuildArch: noarch
%description
.
%package lib
Summary: .
%description lib
.
%files
%files lib
"""
MAKE = r"""
cd /root
for v in 1.2 1.3; do
    rpmbuild -ba --quiet --define "_topdir /root/$v" --define "v $v" mini.spec
    mkdir -p "/root/out/$v"
    cp "/root/$v"/RPMS/noarch/*.rpm "/root/$v"/SRPMS/*.rpm "/root/out/$v"
done
for name in run stranger; do
    export GNUPGHOME=/root/keys-$name
    install -d -m 700 "$GNUPGHOME"
    gpg --batch --quiet --pinentry-mode loopback --passphrase '' --quick-generate-key "$name" rsa2048 sign
    cp -r out/1.2 "out/$name"
    rpmsign --addsign --define "_gpg_name $name" "out/$name"/*.rpm >/dev/null
    gpg --batch --armor --export "$name" >"out/$name/RPM-GPG-KEY-itb"
done
gpg --homedir keys-run --with-colons --list-keys | awk -F: '$1 == "fpr" { print $10; exit }' >out/fingerprint
tar -C out -cf - . >all.tar
"""
COMMIT = Commit(
    product="mini", source="s", ref="v1_2", kind="tag", id="1" * 40, tree="2" * 40, date="", subject="",
    version="1.2",
)  # fmt: skip


@dataclass(frozen=True)
class Run:
    """A green run, and packages in a folder: 1.2 and 1.3 as built, 1.2 signed by the run and by a stranger."""

    rundir: RunDir
    made: Path
    target: Path

    @property
    def built(self) -> Path:
        return self.rundir.build / "rpms"

    @property
    def signed(self) -> Path:
        return self.rundir.repo / "rpms"

    def publish(self, *, koji: bool = False) -> None:
        flags = {"runs": str(self.rundir.path.parent), "to": "" if koji else str(self.target)}
        publish.run(flags, "run", koji=koji, dry_run=koji, force=False)

    def change_build(self, **more: object) -> None:
        """Change what the run says it has built."""
        build = self.rundir.load(values.BUILD)
        assert build
        self.rundir.save(values.BUILD, build.model_copy(update=more))


@pytest.fixture(scope="module")
def made(module_hosts: Callable[..., Host], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    host = module_hosts("build", boot=False)
    host.put(FileSpec("/root/mini.spec", SPEC.encode()), then=MAKE)
    host.run(Request(["cat", "/root/all.tar"], stdout_to=folder / "all.tar"))
    host.engine.runner.run(Request(["tar", "-C", str(folder), "-xf", str(folder / "all.tar")]))
    return folder


def rpm_of(path: Path) -> Rpm:
    name, version, _ = path.name.rsplit("-", 2)
    checksum = hashlib.sha256(path.read_bytes()).hexdigest()
    return Rpm(name=name, version=version, release="1", arch="noarch", file=path.name, sha256=checksum,
               size=path.stat().st_size)  # fmt: skip


@pytest.fixture
def run(made: Path, images: PlatformImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    koji = {"program": "koji", "target": "t"}
    (tmp_path / "itb.yaml").write_text(yaml.safe_dump({"publish": {"koji": koji}}))
    rundir = RunDir(tmp_path / "runs" / "run")
    rundir.path.mkdir(parents=True)
    rundir.write_state(RunState(id="run", short_id="1", product="mini", platform="deb13", ref="v1_2", started=1,
                                finished=9, exit_code=0))  # fmt: skip
    for phase in ("build", "serve", "up", "install", "token", "test"):
        rundir.append_case(Case(phase=phase, role="x", name=phase, outcome=Outcome.PASSED, started=1, seconds=1))
    shutil.copytree(made / "1.2", rundir.build / "rpms")
    shutil.copytree(made / "run", rundir.repo / "rpms")
    packages = [rpm_of(path) for path in sorted((rundir.build / "rpms").iterdir())]
    source_rpm = next(rpm for rpm in packages if rpm.file.endswith(".src.rpm"))
    packages.remove(source_rpm)
    rundir.save(values.COMMIT, COMMIT)
    rundir.save(values.IMAGES, images)
    rundir.save(values.SIGNING_KEY, SigningKey(fingerprint=(made / "fingerprint").read_text().strip()))
    folder = str(rundir.build / "rpms")
    rundir.save(values.BUILD, Build(commit=COMMIT, platform="deb13", directory=folder, rpms=tuple(packages),
                                    source_rpm=source_rpm))  # fmt: skip
    tested = {rpm.nevra: {"sha256": rpm.sha256} for rpm in packages}
    (rundir.path / "lock.yaml").write_text(json.dumps({"candidate": tested}))
    seal.write(rundir)
    return Run(rundir, made, tmp_path / "repo")


def test_what_was_built_and_tested_is_published(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run.publish()
    assert {path.name for path in run.target.glob("*.rpm")} == {path.name for path in run.built.iterdir()}
    run.publish(koji=True)
    assert capsys.readouterr().out.endswith("publish/mini-1.2-1.src.rpm\n")


LIB = "mini-lib-1.2-1.noarch.rpm"


def other_package(run: Run) -> None:
    shutil.copyfile(run.made / "1.3" / "mini-lib-1.3-1.noarch.rpm", run.built / LIB)


def other_signed_package(run: Run) -> None:
    """The one that was shown: a package of other content, with a good signature or without one."""
    shutil.copyfile(run.signed / "mini-1.2-1.noarch.rpm", run.signed / LIB)


def unsigned_package(run: Run) -> None:
    shutil.copyfile(run.built / LIB, run.signed / LIB)


def signature_of_a_stranger(run: Run) -> None:
    shutil.copyfile(run.made / "stranger" / LIB, run.signed / LIB)


def key_of_a_stranger(run: Run) -> None:
    """Users of the repository would trust whatever the stranger signs."""
    for path in (run.made / "stranger").iterdir():
        shutil.copyfile(path, run.signed / path.name)


def key_with_a_strangers(run: Run) -> None:
    with (run.signed / "RPM-GPG-KEY-itb").open("a") as file:
        file.write((run.made / "stranger" / "RPM-GPG-KEY-itb").read_text())


def damaged_package(run: Run) -> None:
    data = (run.signed / LIB).read_bytes()
    (run.signed / LIB).write_bytes(data[:-9] + b"123456789")


def link_to_elsewhere(run: Run) -> None:
    (run.built / LIB).rename(run.target.parent / "kept.rpm")
    (run.built / LIB).symlink_to(run.target.parent / "kept.rpm")


def package_that_was_not_tested(run: Run) -> None:
    """It is noted like the others, but the hosts that were tested could not have it."""
    path = run.made / "1.3" / "mini-lib-1.3-1.noarch.rpm"
    for folder in (run.built, run.signed):
        shutil.copyfile(path, folder / path.name)
    run.change_build(rpms=(rpm_of(path),))


def package_with_the_name_of_another(run: Run) -> None:
    """All checksums are as noted, and the name was wrong from the beginning."""
    shutil.copyfile(run.made / "1.3" / "mini-lib-1.3-1.noarch.rpm", run.built / LIB)
    rpm = rpm_of(run.built / LIB)
    run.change_build(rpms=(rpm,))
    (run.rundir.path / "lock.yaml").write_text(json.dumps({"candidate": {rpm.nevra: {"sha256": rpm.sha256}}}))


@pytest.mark.parametrize(
    ("exchange", "message"),
    [
        (other_package, f"build/rpms/{LIB} is not what run run has built: its checksum"),
        (other_signed_package, f"repo/rpms/{LIB} is not what run run has built: its content"),
        (unsigned_package, f"repo/rpms/{LIB} has no valid signature of run run"),
        (signature_of_a_stranger, f"repo/rpms/{LIB} has no valid signature of run run"),
        (key_of_a_stranger, "RPM-GPG-KEY-itb is not the key of run run"),
        (key_with_a_strangers, "RPM-GPG-KEY-itb is not the key of run run"),
        (damaged_package, f"repo/rpms/{LIB} has no valid signature of run run"),
        (link_to_elsewhere, f"{LIB} is a link, and a run directory has none"),
        (package_that_was_not_tested, "mini-lib-1.3-1.noarch.rpm was not tested in run run"),
        (package_with_the_name_of_another, f"{LIB} is mini-lib-0-1.3-1.noarch, and was called mini-lib-1.2-1"),
    ],
)
def test_what_was_exchanged_is_refused(run: Run, exchange: Callable[[Run], None], message: str) -> None:
    """By name, and before there is anything at the place it was to go to."""
    exchange(run)
    with pytest.raises(UsageError) as caught:
        run.publish()
    assert message in caught.value.message
    assert not run.target.exists()


def test_source_package_for_koji_is_looked_at_as_closely(run: Run) -> None:
    shutil.copyfile(run.made / "1.3" / "mini-1.3-1.src.rpm", run.built / "mini-1.2-1.src.rpm")
    with pytest.raises(UsageError, match=r"mini-1\.2-1\.src\.rpm is not what run run has built"):
        run.publish(koji=True)
