"""Where a candidate's packages come from when they are not built here: found, checked, made a repository.

What the phases get is the same as from a build: a :class:`Build` with the
packages' names and checksums, and a :class:`Repo` that hosts install from.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from itb.build import rpms as build_rpms
from itb.config.platform import Platform
from itb.config.product import Product
from itb.config.settings import Settings
from itb.errors import InstallError, UsageError
from itb.model import Build, Commit, CommitKind, Phase, PlatformImages, Repo, Rpm, SigningKey
from itb.repository import published
from itb.repository import signed as repositories
from itb.repository.published import Choice, Location, Offered
from itb.run.cell import PREVIOUS, SERVICES, Cell
from itb.run.phases.up import prepare_services, start_hosts
from itb.rundir import checkpoints, values
from itb.rundir.directory import RunDir
from itb.rundir.journal import Trial

_FOLDER = "published"
_ROOT = f"{repositories.ROOT}/{_FOLDER}"
_KEY = f"{repositories.ROOT}/RPM-GPG-KEY-{_FOLDER}"
_KEY_URL = f"https://{repositories.REPO_HOST}/RPM-GPG-KEY-{_FOLDER}"
_NO_KEY = "from_repo {}: no key to check its packages with"
_KEY_HINT = (
    "--repo-key URL|FILE names the key they are signed with; "
    "--allow-unsigned takes them as they are, and the report says so"
)


def unresolved(product: str, source: str, pin: str) -> Commit:
    """What stands for the commit until the repository was looked at."""
    asked = pin or "newest"
    return Commit(
        product=product, source=source, ref=asked, kind=CommitKind.PUBLISHED,
        id="", tree="", date="", subject="", version="0",
    )  # fmt: skip


def check(chosen: Settings, platforms: Sequence[Platform]) -> None:
    """UsageError for settings that contradict each other, or a repository one of the platforms has not."""
    if not chosen.from_repo:
        for name in ("nevra", "repo_key", "allow_unsigned"):
            if getattr(chosen, name):
                raise UsageError(
                    f"{name} says how to install from a repository, but none is named",
                    hint="--from-repo URL, DIRECTORY or NAME; --ref names what is built",
                )
        return
    for name in ("ref", "source"):
        if getattr(chosen, name):
            raise UsageError(
                f"{name} {getattr(chosen, name)!r} would be built, from_repo {chosen.from_repo!r} would not: "
                "one run tests one of them",
                hint=f"--nevra {chosen.ref or 'VERSION'} names a version in a repository",
            )
    for platform in platforms:
        place = published.locate(platform, chosen.from_repo, chosen.repo_key)
        if place.directory and not place.keys and not chosen.allow_unsigned:
            raise UsageError(_NO_KEY.format(place.shown), hint=_KEY_HINT)


@dataclass(frozen=True)
class _Shop:
    """One repository, as the services host sees it."""

    cell: Cell
    place: Location
    url: str
    key: str  # file on the services host, empty for none
    key_from: str
    fingerprint: str

    def repo(self, choice: Choice, name: str) -> Repo:
        return Repo(
            id=f"itb-{name}",
            url=self.url,
            key_url=_KEY_URL if self.key else "",
            key_fingerprint=self.fingerprint,
            packages=len(choice.rpms),
            gpgcheck=not self.cell.settings.allow_unsigned,
            repo_gpgcheck=False,
            include=tuple(rpm.nevra for rpm in choice.rpms),
            priority=self.place.priority,
        )


def find(cell: Cell) -> Cell:
    """Choose the candidate in the repository of the settings; return the cell that knows it.

    Its services host is up.  Saves what a build and its publication would
    have saved, for the version to upgrade from too.
    """
    place = published.locate(cell.platform, cell.settings.from_repo, cell.settings.repo_key)
    pin = cell.settings.nevra
    wanted = build_rpms.wanted(cell.product)
    with cell.journal.case(Phase.RESOLVE, "repository", f"{pin or 'newest'} of {place.shown}") as trial:
        shop = _open(cell, place, trial)
        offered = published.look(cell.host(SERVICES), shop.url, cell.product.packages)
        choice = published.choose(offered, wanted, pin=pin, where=place.shown)
        trial.passed(
            f"{choice.version}-{choice.release}, {len(choice.rpms)} packages of {shop.url}",
            evidence="\n".join(f"{rpm.nevra}  sha256 {rpm.sha256}" for rpm in choice.rpms),
        )
    commit = _commit(cell.product, place, pin, choice)
    cell.rundir.save(values.COMMIT, commit)
    rpms = _check(shop, choice)
    made = Build(commit=commit, platform=cell.platform.name, directory="", rpms=rpms, published=shop.url)
    cell.rundir.save(values.BUILD, made)
    cell.rundir.save(values.SUPPLIED, shop.repo(choice, "candidate"))
    return dataclasses.replace(cell, commit=commit, previous=_previous(shop, offered, choice))


def _open(cell: Cell, place: Location, trial: Trial) -> _Shop:
    """The repository within the services host's reach, and its key."""
    services, url = cell.host(SERVICES), place.url
    if place.directory:
        trial.note(f"copying {place.directory}")
        published.upload(services, place.directory, _ROOT)
        url = f"https://{repositories.REPO_HOST}/{_FOLDER}"
    unchecked = cell.settings.allow_unsigned
    found = "" if unchecked else published.provide_key(services, place, url, _KEY)
    if found:
        prints = " ".join(published.fingerprints(services, _KEY))
        return _Shop(cell, place, url, _KEY, found, prints)
    if not unchecked:
        published.look(services, url, ["-"])  # is it there at all? That would be the truer reason
        raise InstallError(_NO_KEY.format(place.shown), hint=_KEY_HINT)
    return _Shop(cell, place, url, "", "", "")


def _check(shop: _Shop, choice: Choice) -> tuple[Rpm, ...]:
    """Look at the packages before any host installs them; InstallError naming those without a good signature."""
    with shop.cell.journal.case(Phase.SERVE, SERVICES, "published packages are whole and signed") as trial:
        seen = published.check(shop.cell.host(SERVICES), shop.url, choice.rpms, shop.key)
        if not shop.key:
            trial.passed(
                f"SIGNATURES NOT CHECKED, as asked for (allow_unsigned); {len(choice.rpms)} packages have the "
                "checksums the repository names"
            )
        elif seen.bad:
            more = f" and {len(seen.bad) - 1} more" if len(seen.bad) > 1 else ""
            raise InstallError(
                f"{seen.bad[0]}{more}",
                hint="--repo-key names another key, --allow-unsigned takes packages whose signature nobody checks",
                evidence="\n".join([f"key {shop.fingerprint} from {shop.key_from}", *seen.bad]),
            )
        else:
            trial.passed(
                f"{len(choice.rpms)} packages signed with the key {shop.fingerprint} from {shop.key_from}",
                evidence="\n".join(seen.signers),
            )
    return tuple(rpm.model_copy(update={"header": seen.headers[rpm.nevra]}) for rpm in choice.rpms)


def _commit(product: Product, place: Location, ref: str, choice: Choice) -> Commit:
    version = f"{choice.version}-{choice.release}"
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(choice.built))
    stand_in = unresolved(product.name, place.shown, ref)
    return stand_in.model_copy(
        update={
            "version": choice.version,
            "rpm_release": choice.release,
            "describe": version,
            "date": when,
            "subject": f"{product.name} {version}, published in {place.shown}",
        }
    )


def _previous(shop: _Shop, offered: list[Offered], chosen: Choice) -> Commit | None:
    """The version to upgrade from, out of the same repository; None if no scenario asks or there is none."""
    cell = shop.cell
    if not any(scenario.needs.previous for scenario in cell.scenarios):
        return None
    pin = cell.settings.upgrade_from
    below = offered if pin else published.before(offered, chosen)
    if not below:
        return None
    named = {item.rpm.name for item in below}
    earlier = published.choose(below, named & build_rpms.wanted(cell.product), pin=pin, where=shop.place.shown)
    commit = _commit(cell.product, shop.place, pin, earlier)
    rundir = RunDir(cell.rundir.path / PREVIOUS)
    made = Build(
        commit=commit, platform=cell.platform.name, directory="", rpms=earlier.rpms, published=shop.url
    )
    rundir.save(values.BUILD, made)
    rundir.save(values.SUPPLIED, shop.repo(earlier, PREVIOUS))
    cell.rundir.save(values.PREVIOUS, commit)
    return commit


def serve(cell: Cell, made: Build, rundir: RunDir, key: SigningKey, *, name: str) -> Repo:
    """The repository hosts install a build from: the run's own, signed and served, or where it was published."""
    supplied = rundir.saved(values.SUPPLIED)
    if made.published and supplied:
        return supplied
    log: Path = rundir.repo / "publish.log"
    return repositories.publish(cell.host(SERVICES), made, log=log, key=key, name=name)


def choose_published(opened: Cell, images: PlatformImages) -> Cell:
    """Return the cell with its candidate found in the repository of the settings; as it is where one is built."""
    cell = opened
    if not cell.settings.from_repo or cell.checkpoints.is_done(checkpoints.SUPPLY):
        return cell
    if cell.commit.describe:  # chosen by an earlier attempt, whose services host is gone: the same once more
        pinned = cell.settings.model_copy(update={"nevra": cell.commit.describe})
        cell = dataclasses.replace(cell, settings=pinned)
    start_hosts(cell, images, [SERVICES, *cell.testbed_roles])
    prepare_services(cell, images)
    with cell.checkpoint(checkpoints.SUPPLY, on=[SERVICES]):
        return find(cell)
