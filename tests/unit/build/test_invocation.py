"""What a build command is told of the version it has to make."""

from __future__ import annotations

import pytest

from itb import versions
from itb.build import invocation
from itb.build import rpms as build_rpms
from itb.config.product import BuildDefinition, Product, RoleDefinition, Source
from itb.model import Commit, CommitKind, Rpm

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
def test_a_command_that_makes_what_it_is_told_is_right(rc: int, rpm_release: str, dist: str) -> None:
    made = invocation.of_command(
        "make rpm", commit(rc, rpm_release), product="hello", platform="deb13", result="/out"
    )
    assert made.argv[-2:] == ("-c", "make rpm")
    assert made.arguments == ("make rpm",)
    assert made.env["ITB_RPM_DIR"] == "/out"
    assert made.env["ITB_COMMIT"] == "1" * 40
    assert made.env["ITB_RPM_RELEASE"] == versions.release(rc, rpm_release)

    def rpm(version: str, release: str) -> Rpm:
        return Rpm(
            name="hello", version=version, release=release + dist, arch="noarch", file="f", sha256="", size=1
        )

    told = made.env["ITB_PRODUCT_VERSION"], made.env["ITB_RPM_RELEASE"]
    assert not build_rpms.check(commit(rc, rpm_release), PRODUCT, [rpm(*told)])
    for other in (("1.2", told[1]), (told[0], "7"), ("0", "1")):
        assert build_rpms.check(commit(rc, rpm_release), PRODUCT, [rpm(*other)])
    assert told[0] in made.hint
    assert told[1] in made.hint


def test_checkout_has_the_name_of_the_product_unless_another_is_wanted() -> None:
    assert PRODUCT.checkout_name == "hello"
    other = PRODUCT.model_copy(update={"build": BuildDefinition(checkout_name="other")})
    assert other.checkout_name == "other"
