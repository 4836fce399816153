"""The previous version, which scenarios upgrade from: it is resolved, built and served.

Its failure is never the candidate's fault, but an error of the testbed; the
scenarios that need it are skipped then.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from itb import commit_versions
from itb.build.build_cases import CASES as CASES_OF_BUILD
from itb.config.product import Product
from itb.errors import BuildError, InterruptedRunError, ItbError, TestbedError
from itb.model import Build, CaseKey, Commit, PlatformImages, Repo, SigningKey
from itb.phase import Phase
from itb.process.runner import Runner
from itb.roles import SERVICES
from itb.run.cell import Cell
from itb.run.phases import build as phases_build
from itb.run.phases import published
from itb.run.phases.build import BuildRequest
from itb.rundir import checkpoints, values
from itb.rundir.directory import PREVIOUS
from itb.rundir.journal import CaseRecorder, Journal, RunningCase
from itb.source import resolve
from itb.util.text import count


def find(
    product: Product, candidate: Commit, *, ref: str, source_from: str, cache: Path, runner: Runner
) -> Commit | None:
    """Return the commit of ``ref``, or of the highest final version below the candidate's; None without one."""
    if not ref:
        pattern = commit_versions.compile_pattern(product.build.version_tags)
        tags = [reference.name for reference in resolve.refs(source=source_from, cache=cache, runner=runner)]
        tag_versions = [version for tag in tags if (version := commit_versions.parse(tag, pattern))]
        ref = newest_before(candidate, tag_versions)
    return resolve.resolve(product, ref=ref, source=source_from, cache=cache, runner=runner) if ref else None


def newest_before(candidate: Commit, tags: list[commit_versions.TagVersion]) -> str:
    """Return the tag of the highest final version that rpm sorts below the candidate, or the empty string."""
    numbers = tuple(int(number) for number in candidate.version.split("."))
    after_final = bool(candidate.rpm_release) and not candidate.rc
    below = [
        tag for tag in tags if not tag.rc and (tag.numbers < numbers or (after_final and tag.numbers == numbers))
    ]
    return max(below).tag if below else ""


def _case(key: CaseKey) -> CaseKey:
    # Not "previous version": the names of cases are to be the same as in the reports of older runs.
    return key._replace(name=f"earlier version: {key.name}")


_BUILD_CASES = tuple(map(_case, CASES_OF_BUILD))
_SERVED = _case(CaseKey(Phase.SERVE, SERVICES, "RPMs served"))


def _is_needed(cell: Cell) -> bool:
    return any(scenario.needs.previous for scenario in cell.scenarios)


def built_cases(cell: Cell) -> Iterable[CaseKey]:
    """Return the cases that the previous version is built, where a scenario needs one."""
    return _BUILD_CASES if _is_needed(cell) else ()


def served_cases(cell: Cell) -> Iterable[CaseKey]:
    """Return the case that the previous version is served, where a scenario needs one."""
    return (_SERVED,) if _is_needed(cell) else ()


@dataclass(frozen=True)
class _PreviousJournal(CaseRecorder):
    """Passes the previous version's cases on to a journal under other names; failures become testbed errors."""

    journal: Journal
    subject: str

    @contextmanager
    def case(self, phase: str, role: str, name: str) -> Iterator[RunningCase]:
        with self.journal.case(*_case(CaseKey(phase, role, name))) as case:
            try:
                yield case
            except BuildError as error:
                testbed_error = error.turned_into(TestbedError, f"{self.subject}: {error.message}")
                testbed_error.apart_from_candidate = True
                raise testbed_error from None


def _request(cell: Cell) -> BuildRequest | None:
    if cell.previous_commit is None:
        return None
    subject = f"previous version {cell.previous_commit.describe or cell.previous_commit.id[:12]}"
    return BuildRequest(cell.previous_commit, cell.rundir.previous, _PreviousJournal(cell.journal, subject))


def is_built(cell: Cell, images: PlatformImages) -> bool:
    """Return whether nothing has to be built: no previous version is needed, or it was built before."""
    request = _request(cell)
    return request is None or phases_build.find_cached(cell, images, request) is not None


def build(cell: Cell, images: PlatformImages) -> Build | None:
    """Return the previous version's RPMs; build them unless that was done; None if there are none."""
    request = _request(cell)
    if request is None:
        reason = "there is no previous version"
        cell.journal.leave_out([*built_cases(cell), *served_cases(cell)], reason)
        return None
    build = request.rundir.load_if_readable(values.BUILD)
    if build is None or not (build.published or phases_build.is_current(build, request)):
        build = None
        with _ignore_errors():
            build = phases_build.build_other(cell, images, request)
    elif build.published:
        cell.journal.leave_out(built_cases(cell), published.NOT_BUILT)
    return build


def saved_build(cell: Cell) -> Build | None:
    """Return the previous version's RPMs as they were saved; None if there are none."""
    return cell.rundir.previous.load(values.BUILD)


def serve(cell: Cell, previous_build: Build | None, signing_key: SigningKey) -> Repo | None:
    """Return the previous version's repository, served beside the candidate's; None without one."""
    request = _request(cell)
    if request is None or previous_build is None:
        return None
    with _ignore_errors():
        make_repo = functools.partial(_serve, cell, request, previous_build, signing_key)
        cell.do_once(checkpoints.PREVIOUS_REPO_SERVED, make_repo, on=[SERVICES])
    return saved_repo(cell)


def saved_repo(cell: Cell) -> Repo | None:
    """Return the previous version's repository if it is served now; None if it is not, or was on an older host."""
    if cell.previous_commit is None or not cell.checkpoints.is_done(checkpoints.PREVIOUS_REPO_SERVED):
        return None
    return cell.rundir.previous.load_if_readable(values.REPO)


def _serve(cell: Cell, request: BuildRequest, previous_build: Build, signing_key: SigningKey) -> None:
    with cell.journal.case(*_SERVED) as case:
        repo = published.serve(cell, previous_build, request.rundir, signing_key, name=PREVIOUS)
        case.passed(f"{count(repo.packages, 'package')} at {repo.url}")
        request.rundir.save(values.REPO, repo)


@contextmanager
def _ignore_errors() -> Iterator[None]:
    """Go on without the previous version after an error, which its cases report."""
    try:
        yield
    except InterruptedRunError:
        raise
    except ItbError:
        return
