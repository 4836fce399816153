"""What is asked of a ReleaseManager and what its RPMs must be."""

from __future__ import annotations

from typing import Any

import pytest

from itb.build import rpms
from itb.config.product import BuildDefinition, Product, RoleDefinition, Source
from itb.errors import BuildError
from itb.model import Commit, Rpm

PRODUCT = Product(
    title="GlideinWMS",
    name="glideinwms",
    source=Source(url="https://host/x"),
    packages=("glideinwms*",),
    build=BuildDefinition(checkout_name="glideinwms"),
    roles={
        "factory": RoleDefinition(packages=("glideinwms-factory", "rrdtool")),
        "frontend": RoleDefinition(packages=("glideinwms-vofrontend",)),
    },
)
NEW = ("--release-version", "--source-dir", "--release-dir", "--rc", "--rpm-release", "--no-mock")
OLD = (*NEW, "--rpm-version")


def commit(version: str = "3.11.3", rc: int = 0, rpm_release: str = "") -> Commit:
    return Commit(
        product="glideinwms", source="/x", ref="x", kind="branch", id="1" * 40, tree="2" * 40,
        date="2026-02-20T18:33:57Z", subject="x", version=version, rc=rc, rpm_release=rpm_release,
    )  # fmt: skip


def rpm(name: str, version: str = "3.11.3", release: str = "1.el9", **more: Any) -> Rpm:
    facts = {"arch": "noarch", "sha256": "0" * 64, "size": 1, "file": f"{name}-{version}-{release}.noarch.rpm"}
    return Rpm.model_validate({"name": name, "version": version, "release": release, **facts, **more})


def both(version: str = "3.11.3", release: str = "1.el9") -> list[Rpm]:
    return [rpm(name, version, release) for name in ("glideinwms-factory", "glideinwms-vofrontend")]


@pytest.mark.parametrize(
    ("of", "offered", "expected"),
    [
        (commit(), NEW, "3_11_3"),
        (commit(rc=2), NEW, "3_11_3 --rc 2"),
        (commit(rc=2, rpm_release="6.gabc"), NEW, "3_11_3 --rc 2 --rpm-release 6.gabc"),
        (commit(rpm_release="1.6.gabc"), NEW, "3_11_3 --rpm-release 1.6.gabc"),
        (commit(rc=2), OLD, "3_11_3 --rc 2 --rpm-release 2 --rpm-version 3.11.3"),
        (commit(rc=2, rpm_release="6.gabc"), OLD, "3_11_3 --rc 2 --rpm-release 2.6.gabc --rpm-version 3.11.3"),
        (commit(rc=2, rpm_release="6.gabc"), NEW[:3], "3_11_3"),
    ],
)
def test_version_arguments(of: Commit, offered: tuple[str, ...], expected: str) -> None:
    assert rpms.version_arguments(of, offered) == ["--release-version", *expected.split()]


@pytest.mark.parametrize(
    ("of", "release"),
    [
        (commit(), "1"), (commit(), "1.el9"), (commit(), "1.deb13"), (commit(rc=2), "0.2.rc2.el9"),
        (commit(rc=2, rpm_release="6.gabc"), "0.2.rc2.6.gabc.el9"),
        (commit(rc=2, rpm_release="6.gabc"), "0.2.6.gabc.rc2.el9"),
        (commit(rpm_release="1.6.gabc"), "1.6.gabc"),
    ],
)  # fmt: skip
def test_right_packages(of: Commit, release: str) -> None:
    assert rpms.check(of, PRODUCT, both(release=release)) == []


@pytest.mark.parametrize(
    ("of", "packages", "problem"),
    [
        (commit(), [], "only source RPMs"),
        (commit(), both(version="3.11.2"), "its version is not 3.11.3"),
        (commit(), both(release="2.el9"), "its release is not 1"),
        (commit(), both(release="1.6.gabc.el9"), "its release is not 1"),
        (commit(rc=2), both(release="0.2.rc2.5.gabc.el9"), "its release is not 0.2.rc2"),
        (commit(), both()[:1], "no RPM of glideinwms-vofrontend was made"),
        (commit(), [*both(), rpm("glideinwms GPG check FAILED")], "is no name of a package"),
        (commit(), [*both(), rpm("glideinwms*")], "is no name of a package"),
        (commit(), both(release="1.el9\nError: x"), "is no name of a package"),
        (commit(), [*both(), rpm("hello")], "is no package of glideinwms"),
        (commit(), [*both(), rpm("glideinwms-factory", release="1.el8")], "several RPMs of glideinwms-factory"),
    ],
)
def test_wrong_packages(of: Commit, packages: list[Rpm], problem: str) -> None:
    assert problem in rpms.check(of, PRODUCT, packages)[0]


def test_packages_of_others_are_not_asked_of_the_build() -> None:
    assert rpms.required_packages(PRODUCT) == {"glideinwms-factory", "glideinwms-vofrontend"}


def test_listing() -> None:
    line = "/r/RPMS/noarch/a-1-1.noarch.rpm\ta\t2\t1\t1\tnoarch\t(none)\tabc\t17\n"
    source = "/r/SRPMS/a-1-1.src.rpm\ta\t0\t1\t1\tnoarch\t1\tdef\t18\n"
    packages, sources, paths = rpms.parse_listing(line + source)
    assert packages[0].nevra == "a-2:1-1.noarch"
    assert sources[0].file == "a-1-1.src.rpm"
    assert paths["a-1-1.noarch.rpm"] == "/r/RPMS/noarch/a-1-1.noarch.rpm"
    twice = line + line.replace("/noarch/", "/again/")
    assert len(rpms.parse_listing(twice)[0]) == 1
    with pytest.raises(BuildError, match="two different files"):
        rpms.parse_listing(line + line.replace("abc", "abd"))
    with pytest.raises(BuildError, match=r"b\.rpm cannot be used: digests not OK"):
        rpms.parse_listing("broken\t/r/b.rpm\tdigests not OK\n")
    for nonsense in ("broken\n", "\n", line.replace("\t17", f"\t{'9' * 5000}"), line.replace("\t2\t", "\t²\t")):
        with pytest.raises(BuildError, match="cannot be used"):
            rpms.parse_listing(nonsense)


@pytest.mark.parametrize(
    ("mock", "offered", "expected"),
    [
        ("", ["--no-mock", "--verbose", "--python-version"], ["--no-mock", "--verbose"]),
        ("", [], []),
        ("py39", ["--no-mock", "--verbose", "--python-version"], ["--python-version", "py39", "--verbose"]),
        ("python39", ["--no-mock"], []),
    ],
)
def test_builder_arguments(mock: str, offered: list[str], expected: list[str]) -> None:
    assert rpms.builder_arguments(mock, offered) == expected


def test_a_manager_that_knows_no_mock() -> None:
    with pytest.raises(BuildError, match="does not build with mock"):
        rpms.builder_arguments("python39", ["--verbose"])


def test_source_package_mock_made_anew() -> None:
    """Of the two, the one mock was given is the release's; anywhere else two of a name are an error."""
    line = "{}/x-1-1.el9.src.rpm\tx\t0\t1\t1.el9\tnoarch\t1\t{}\t5\n"
    both = line.format("/r/RPMS", "abc") + line.format("/r/SRPMS", "def")
    assert [rpm.sha256 for rpm in rpms.parse_listing(both)[1]] == ["def"]
    with pytest.raises(BuildError, match="two different files"):
        rpms.parse_listing(line.format("/r/RPMS", "abc") + line.format("/r/RPMS/x", "def"))
