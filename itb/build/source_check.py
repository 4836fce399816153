"""Checks what a build has made, where nothing of the candidate has run.

The RPMs have to be what the workspace said they are, and the source RPM has to
hold the files of the commit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from itb.build import clean_rpm
from itb.build.cache import SourceCheck
from itb.build.clean_rpm import Reading
from itb.build.workspace import Workspace
from itb.config.product import Product, SourceRpm
from itb.errors import BuildError
from itb.model import Commit, Rpm
from itb.rundir.journal import RunningCase
from itb.util.text import count


@dataclass(frozen=True)
class BuiltPackages:
    """The RPMs that a build of a commit has left in a folder; ``clone`` is the checkout that it was given."""

    commit: Commit
    product: Product
    folder: Path
    rpms: Sequence[Rpm]
    source_rpm: Rpm | None
    clone: Path

    def read(self, workspace: Workspace) -> Reading:
        """Read the packages in a clean container; raise BuildError if they are not what the workspace said."""
        packages = [*self.rpms, *([self.source_rpm] if self.source_rpm else [])]
        size = sum(path.lstat().st_size for path in self.clone.rglob("*"))
        source = self.source_rpm.file if self.source_rpm else ""
        reading = clean_rpm.read(workspace.clean_image, self.folder, packages, source=source, source_size=size)
        if problems := clean_rpm.problems(packages, reading.packages, self.source_rpm):
            more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            raise BuildError(f"{problems[0]}{more}", evidence="\n".join(problems))
        return reading

    def check_source(self, case: RunningCase, reading: Reading) -> SourceCheck:
        """Check that the source RPM is the RPMs' and holds the commit's files; BuildError names what differs."""
        if self.source_rpm is None:
            return report(case, SourceCheck(message="there is not one source RPM", is_judged=False))
        if problem := clean_rpm.name_problem(self.commit, self.source_rpm, self.rpms):
            raise BuildError(f"source RPM {problem}")
        if reading.refused:
            raise BuildError(f"source RPM {self.source_rpm.file} cannot be unpacked: {reading.refused}")
        rules = self.product.build.source_rpm
        differences = clean_rpm.compare(self.clone, reading, rules or SourceRpm())
        case.evidence = differences.listing
        if not differences:
            expected = len(differences.expected)
            more = f", {count(expected, 'other')} as the product expects" if expected else ""
            return report(case, SourceCheck(message=f"{count(differences.same, 'file')} as in the commit{more}"))
        message = f"{self.source_rpm.file} is not the commit's: {differences.summary}"
        if rules is None:
            why = "not judged, since the product does not say what its build makes (build.source_rpm)"
            return report(case, SourceCheck(message=f"{message}; {why}", is_judged=False))
        raise BuildError(
            message,
            hint=f"if the build of {self.product.name} does so on purpose: build.source_rpm of its product.yaml",
            evidence=differences.listing,
        )


def report(case: RunningCase, check: SourceCheck) -> SourceCheck:
    """Report a check that found nothing wrong, or could not judge what it found; return it."""
    if check.is_judged:
        case.passed(check.message, evidence=case.evidence)
    else:
        case.skip(check.message)
    return check
