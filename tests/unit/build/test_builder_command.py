"""The command lines of builders: what a build command gets to know, and a ReleaseManager without help."""

from __future__ import annotations

from pathlib import Path

import pytest

from itb import commit_versions
from itb.build import builder_command
from itb.build import rpms as build_rpms
from itb.config.product import BuildDefinition, Product, RoleDefinition, Source
from itb.containers.engine import Engine
from itb.containers.host import Host
from itb.errors import BuildError
from itb.model import Commit, CommitKind, Rpm
from itb.process.request import Request
from itb.process.result import Completed
from itb.process.runner import Runner

PRODUCT = Product(
    name="hello",
    title="t",
    source=Source(url="u"),
    packages=("hello",),
    build=BuildDefinition(command="make rpm"),
    roles={"server": RoleDefinition(packages=("hello",))},
)


def commit(rc: int, rpm_release: str) -> Commit:
    return Commit(
        product="hello", source="s", ref="r", kind=CommitKind.TAG, id="1" * 40, tree="2" * 40,
        date="2026-01-01T00:00:00Z",
        subject="x", version="1.2.0", rc=rc, rpm_release=rpm_release,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("rc", "rpm_release"), [(0, ""), (2, ""), (2, "3.g12345678"), (0, "1.3.g12345678"), (0, "2")]
)
@pytest.mark.parametrize("dist", ["", ".el9"])
def test_a_build_command_gets_the_version_that_the_check_expects(rc: int, rpm_release: str, dist: str) -> None:
    command = builder_command.for_build_command(
        "make rpm", commit(rc, rpm_release), product="hello", platform="deb13", rpm_folder="/out"
    )
    assert command.argv[-2:] == ("-c", "make rpm")
    assert command.arguments == ("make rpm",)
    assert command.env["ITB_RPM_DIR"] == "/out"
    assert command.env["ITB_COMMIT"] == "1" * 40
    assert command.env["ITB_RPM_RELEASE"] == commit_versions.release(rc, rpm_release)

    def rpm(version: str, release: str) -> Rpm:
        return Rpm(
            name="hello", version=version, release=release + dist, arch="noarch", file="f", sha256="", size=1
        )

    version_and_release = command.env["ITB_PRODUCT_VERSION"], command.env["ITB_RPM_RELEASE"]
    assert not build_rpms.check(commit(rc, rpm_release), PRODUCT, [rpm(*version_and_release)])
    for other in (("1.2", version_and_release[1]), (version_and_release[0], "7"), ("0", "1")):
        assert build_rpms.check(commit(rc, rpm_release), PRODUCT, [rpm(*other)])
    assert version_and_release[0] in command.hint
    assert version_and_release[1] in command.hint


def test_a_release_manager_without_help_is_refused_with_its_reason(tmp_path: Path) -> None:
    class SyntaxErrorRunner(Runner):
        def run(self, request: Request) -> Completed:
            return Completed(tuple(request.argv), 1, "", "SyntaxError: expected ':'\n", 0.1)

    host = Host(Engine(SyntaxErrorRunner()), "box", "workspace")
    with pytest.raises(BuildError) as caught:
        builder_command.for_release_manager(
            "/src/release.py", commit(0, ""), host=host, env={}, source="/src", rpm_folder="/out", mock="",
            log=tmp_path / "log",
        )  # fmt: skip
    assert caught.value.message == "ReleaseManager does not say what its arguments are: SyntaxError: expected ':'"


def test_checkout_has_the_name_of_the_product_unless_another_is_wanted() -> None:
    assert PRODUCT.checkout_name == "hello"
    other = PRODUCT.model_copy(update={"build": BuildDefinition(checkout_name="other")})
    assert other.checkout_name == "other"
