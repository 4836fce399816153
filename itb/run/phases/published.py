"""A candidate of published packages: they are chosen in a repository and checked instead of being built.

Later nodes get the same as from a build: a :class:`Build` with the packages'
names and checksums, and a :class:`Repo` that hosts install from.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from itb.build import build_cases
from itb.build import rpms as build_rpms
from itb.config.platform import Platform
from itb.config.product import Product
from itb.config.settings import Settings
from itb.errors import InstallError, LogLine, UsageError
from itb.model import Build, CaseKey, Commit, CommitKind, PlatformImages, Repo, Rpm, SigningKey
from itb.phase import Phase
from itb.repository import keys, published
from itb.repository import server as repository_server
from itb.repository.published import PackageSet, PublishedPackage, RepositoryLocation
from itb.roles import SERVICES
from itb.run.cell import Cell
from itb.run.phases.up import prepare_services, start_hosts
from itb.rundir import checkpoints, values
from itb.rundir.directory import PREVIOUS, RunDir
from itb.rundir.journal import RunningCase
from itb.util import when

# A reference is resolved before there is a run, published packages are chosen in the run.
CANDIDATE = CaseKey(Phase.RESOLVE, "source", "the candidate is found")
SERVED = CaseKey(Phase.SERVE, SERVICES, "the candidate's repository is ready")
NOT_BUILT = "nothing is built: the packages are published ones"
_FOLDER = "published"
_ROOT = f"{repository_server.ROOT}/{_FOLDER}"
_KEY = f"{repository_server.ROOT}/RPM-GPG-KEY-{_FOLDER}"
_KEY_URL = f"https://{repository_server.REPO_HOST}/RPM-GPG-KEY-{_FOLDER}"
_NO_KEY = "from_repo {}: no key to check its packages with"


def unresolved_commit(product: str, source: str, pin: str) -> Commit:
    """Return the stand-in for the candidate's commit until packages are chosen in the repository."""
    ref = pin or "newest"
    return Commit(
        product=product, source=source, ref=ref, kind=CommitKind.PUBLISHED,
        id="", tree="", date="", subject="", version="0",
    )  # fmt: skip


def check(settings: Settings, platforms: Sequence[Platform]) -> None:
    """Raise UsageError for settings that contradict each other, or a repository that a platform does not know."""
    if not settings.from_repo:
        for name in ("nevra", "repo_key", "allow_unsigned"):
            if getattr(settings, name):
                raise UsageError(
                    f"{name} says how to install from a repository, but none is named",
                    hint="--from-repo URL, DIRECTORY or NAME; --ref names what is built",
                )
        return
    for name in ("ref", "source"):
        if getattr(settings, name):
            raise UsageError(
                f"{name} {getattr(settings, name)!r} would be built, from_repo {settings.from_repo!r} would not: "
                "one run tests one of them",
                hint=f"--nevra {settings.ref or 'VERSION'} names a version in a repository",
            )
    for platform in platforms:
        location = published.locate(platform, settings.from_repo, settings.repo_key)
        if settings.allow_unsigned:
            continue
        if location.directory and not location.key.sources:
            counts = "one in a directory that others can change does not count"
            raise UsageError(f"{_NO_KEY.format(location.name)}; {counts}", hint=keys.REMEDY)
        keys.refuse_open_way(location.name, location.url, location.key)


@dataclass(frozen=True)
class _PublishedRepo:
    """A repository of published packages, as the services host reaches it."""

    cell: Cell
    location: RepositoryLocation
    url: str
    key: str  # file on the services host, empty for none
    key_from: str
    fingerprint: str

    def repo(self, package_set: PackageSet, name: str) -> Repo:
        return Repo(
            id=f"itb-{name}",
            url=self.url,
            key_url=_KEY_URL if self.key else "",
            key_fingerprint=self.fingerprint,
            packages=len(package_set.rpms),
            gpgcheck=not self.cell.settings.allow_unsigned,
            repo_gpgcheck=False,
            include=tuple(rpm.nevra for rpm in package_set.rpms),
            priority=self.location.priority,
        )


def choose_candidate(cell: Cell) -> Cell:
    """Choose the candidate in the repository of the settings; return the cell with its commit.

    The services host is up.  Saves the values that a build would have saved,
    for the previous version too.
    """
    location = published.locate(cell.platform, cell.settings.from_repo, cell.settings.repo_key)
    pin = cell.settings.nevra
    names = build_rpms.required_packages(cell.product)
    with cell.journal.case(*CANDIDATE) as case:
        repository = _open_repository(cell, location, case)
        packages = published.list_packages(cell.host(SERVICES), repository.url, cell.product.packages)
        package_set = published.choose(packages, names, pin=pin, where=location.name)
        case.passed(
            f"{pin or 'newest'} of {location.name} is {package_set.version}-{package_set.release}, "
            f"{len(package_set.rpms)} packages of {repository.url}",
            evidence="\n".join(f"{rpm.nevra}  sha256 {rpm.sha256}" for rpm in package_set.rpms),
        )
    commit = _commit(cell.product, location, pin, package_set)
    cell.rundir.save(values.COMMIT, commit)
    rpms = _check(repository, package_set)
    build = Build(commit=commit, platform=cell.platform.name, directory="", rpms=rpms, published=repository.url)
    cell.rundir.save(values.BUILD, build)
    cell.rundir.save(values.PUBLISHED_REPO, repository.repo(package_set, "candidate"))
    return dataclasses.replace(cell, commit=commit, previous_commit=_previous(repository, packages, package_set))


def _open_repository(cell: Cell, location: RepositoryLocation, case: RunningCase) -> _PublishedRepo:
    """Return the repository, as the services host reaches it, with its key; InstallError if it has none."""
    services, url = cell.host(SERVICES), location.url
    if location.directory:
        case.note(f"copying {location.directory}")
        published.upload(services, location.directory, _ROOT)
        url = f"https://{repository_server.REPO_HOST}/{_FOLDER}"
    allow_unsigned = cell.settings.allow_unsigned
    key_from = "" if allow_unsigned else keys.provide(services, location.key, url, _KEY)
    if key_from:
        fingerprints = " ".join(keys.fingerprints(services, _KEY))
        return _PublishedRepo(cell, location, url, _KEY, key_from, fingerprints)
    if not allow_unsigned:
        published.list_packages(services, url, ["-"])  # raises if the repository does not answer
        raise InstallError(_NO_KEY.format(location.name), hint=keys.REMEDY)
    return _PublishedRepo(cell, location, url, "", "", "")


def _check(repository: _PublishedRepo, package_set: PackageSet) -> tuple[Rpm, ...]:
    """Check the packages before any host installs them; InstallError naming those without a good signature."""
    with repository.cell.journal.case(*SERVED) as case:
        checked = published.check(repository.cell.host(SERVICES), repository.url, package_set.rpms, repository.key)
        if not repository.key:
            case.passed(
                f"SIGNATURES NOT CHECKED, as asked for (allow_unsigned); {len(package_set.rpms)} packages "
                "have the checksums the repository names"
            )
        elif checked.problems:
            more = f" and {len(checked.problems) - 1} more" if len(checked.problems) > 1 else ""
            raise InstallError(
                f"{checked.problems[0]}{more}",
                hint="--repo-key names another key, --allow-unsigned takes packages whose signature nobody checks",
                evidence="\n".join(
                    [f"key {repository.fingerprint} from {repository.key_from}", *checked.problems]
                ),
                quotes=[LogLine(checked.problems[0])],
            )
        else:
            key = f"{repository.fingerprint} from {repository.key_from}"
            case.passed(
                f"{len(package_set.rpms)} packages signed with the key {key}",
                evidence="\n".join(checked.signers),
            )
    return tuple(rpm.model_copy(update={"header": checked.headers[rpm.nevra]}) for rpm in package_set.rpms)


def _commit(product: Product, location: RepositoryLocation, ref: str, package_set: PackageSet) -> Commit:
    version = f"{package_set.version}-{package_set.release}"
    commit = unresolved_commit(product.name, location.name, ref)
    return commit.model_copy(
        update={
            "version": package_set.version,
            "rpm_release": package_set.release,
            "describe": version,
            "date": when.iso(package_set.built),
            "subject": f"{product.name} {version}, published in {location.name}",
        }
    )


def _previous(
    repository: _PublishedRepo, packages: list[PublishedPackage], candidate: PackageSet
) -> Commit | None:
    """Choose the previous version in the same repository; None if there is none or no scenario needs it."""
    cell = repository.cell
    if not any(scenario.needs.previous for scenario in cell.scenarios):
        return None
    pin = cell.settings.upgrade_from
    below = packages if pin else published.before(packages, candidate)
    if not below:
        return None
    names = {package.rpm.name for package in below}
    required = names & build_rpms.required_packages(cell.product)
    previous_packages = published.choose(below, required, pin=pin, where=repository.location.name)
    commit = _commit(cell.product, repository.location, pin, previous_packages)
    rundir = cell.rundir.previous
    build = Build(
        commit=commit,
        platform=cell.platform.name,
        directory="",
        rpms=previous_packages.rpms,
        published=repository.url,
    )
    rundir.save(values.BUILD, build)
    rundir.save(values.PUBLISHED_REPO, repository.repo(previous_packages, PREVIOUS))
    cell.rundir.save(values.PREVIOUS_COMMIT, commit)
    return commit


def serve(cell: Cell, build: Build, rundir: RunDir, key: SigningKey, *, name: str) -> Repo:
    """Return the repository that hosts install a build from, served here or published elsewhere."""
    published_repo = rundir.load(values.PUBLISHED_REPO)
    if build.published and published_repo:
        return published_repo
    log: Path = rundir.repo / "publish.log"
    return repository_server.sign_and_serve(cell.host(SERVICES), build, log=log, key=key, name=name)


def choose_published(initial_cell: Cell, images: PlatformImages) -> Cell:
    """Return the cell with the candidate chosen in the repository of the settings; unchanged if it is built."""
    cell = initial_cell
    if not cell.settings.from_repo or cell.checkpoints.is_done(checkpoints.PACKAGES_CHOSEN):
        return cell
    if cell.commit.describe:  # an earlier attempt chose it: choose the same again
        pinned = cell.settings.model_copy(update={"nevra": cell.commit.describe})
        cell = dataclasses.replace(cell, settings=pinned)
    cell.journal.leave_out(build_cases.CASES, NOT_BUILT)
    start_hosts(cell, images, [SERVICES, *cell.testbed_roles])
    prepare_services(cell, images)
    with cell.checkpoint(checkpoints.PACKAGES_CHOSEN, on=[SERVICES]):
        return choose_candidate(cell)
