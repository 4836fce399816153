"""What is said of a source RPM, and what of one that nobody can judge."""

from __future__ import annotations

from pathlib import Path

import pytest

from itb.build.cache import SourceCheck
from itb.build.clean_rpm import Reading
from itb.build.source_check import BuiltPackages
from itb.config.product import BuildDefinition, Product, Source, SourceRpm
from itb.errors import BuildError
from itb.model import Case, Commit, CommitKind, Outcome, Rpm
from itb.rundir.directory import RunDir
from itb.rundir.journal import Journal

COMMIT = Commit(
    product="mini", source="s", ref="v1", kind=CommitKind.TAG, id="1" * 40, tree="2" * 40, date="", subject="",
    version="1",
)  # fmt: skip
TOOL = Rpm(name="mini", version="1", release="1", arch="noarch", file="mini-1-1.noarch.rpm", sha256="", size=1)
SOURCE = TOOL.model_copy(update={"file": "mini-1-1.src.rpm"})


def check(
    folder: Path, reading: Reading, rules: SourceRpm | None = None, source: Rpm | None = SOURCE
) -> tuple[SourceCheck, Case]:
    """Check the source RPM of a commit with the only file ``a``; return the result and its case."""
    (folder / "clone").mkdir()
    (folder / "clone" / "a").write_text("a")
    build = BuildDefinition(source_rpm=rules)
    names = {"title": "Mini", "name": "mini", "packages": ("mini*",)}
    product = Product.model_validate({**names, "source": Source(url="x"), "build": build, "roles": {}})
    packages = BuiltPackages(COMMIT, product, folder, (TOOL,), source, folder / "clone")
    journal = Journal(RunDir.create(folder / "runs", "mini"))
    with journal.case("build", "workspace", "x") as case:
        result = packages.check_source(case, reading)
    return result, journal.cases[-1]


OTHER = Reading(packages=(), content={"a": "other", "b": "x"})


def test_differences_are_errors_where_the_product_says_what_it_makes(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"mini-1-1\.src\.rpm is not the commit's: changed a; added b") as caught:
        check(tmp_path, OTHER, SourceRpm())
    assert "build.source_rpm" in caught.value.hint


def test_differences_are_listed_where_it_does_not(tmp_path: Path) -> None:
    result, case = check(tmp_path, OTHER)
    assert (result.is_judged, case.outcome) == (False, Outcome.SKIPPED)
    assert "changed a; added b; not judged" in case.message
    assert case.message == result.message


def test_expected_differences_are_counted(tmp_path: Path) -> None:
    result, case = check(tmp_path, OTHER, SourceRpm(generated=("?",)))
    assert (result.is_judged, case.outcome) == (True, Outcome.PASSED)
    assert case.message == "0 files as in the commit, 2 others as the product expects"
    assert "expected: a" in case.evidence


@pytest.mark.parametrize("rules", [None, SourceRpm()])
def test_without_a_source_rpm_there_is_nothing_to_judge(tmp_path: Path, rules: SourceRpm | None) -> None:
    assert check(tmp_path, Reading(packages=()), rules, None)[1].outcome is Outcome.SKIPPED


@pytest.mark.parametrize("rules", [None, SourceRpm()])
def test_what_cannot_be_unpacked_is_an_error(tmp_path: Path, rules: SourceRpm | None) -> None:
    with pytest.raises(BuildError, match=r"mini-1-1\.src\.rpm cannot be unpacked: tar: no"):
        check(tmp_path, Reading(packages=(), refused="tar: no"), rules)
