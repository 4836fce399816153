"""Levels of trust: which references have them, how the user changes them, and the one table of what each allows.

What several references share (hosts, the token, the report) has the lowest of
their levels.  A cached build has the level of its own reference, or a lower
one that the user chose: what is raised by hand is raised for one run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from itb.config.options import BY_REFERENCE
from itb.config.options import settings as declared_settings
from itb.config.settings import Settings
from itb.errors import UsageError
from itb.model import Commit, CommitKind, RunTrust, Trust

LOCAL = "local"  # the token provider that is the run's own issuer: its tokens are good on the testbed only
PRIVILEGED = "the workspace runs privileged for mock: the candidate's build is root on this machine"
# Names under which pull requests are fetched into branches: pr/7, pull/7/merge, origin/merge-requests/7/head.
_PULL_REQUEST = re.compile(r"(?:^|/)(?:prs?|mrs?|pulls?|pull-requests?|merge-requests?)/\d+(?:/|$)")


@dataclass(frozen=True)
class Permissions:
    """What runs of a level may do.

    ``references`` says which have the level.  ``cached_builds`` are the levels
    of builds that may be taken from the cache.  ``privileged_build`` and
    ``real_token`` are there for those who ask for them.  The network is isolated
    at every level: no candidate is trusted with what the machine reaches.
    """

    references: str
    cached_builds: tuple[Trust, ...]
    real_token: bool
    privileged_build: bool
    publish: bool
    isolated_network: bool = True


LEVELS = {
    Trust.PR: Permissions(
        references="`pr/N`; a commit that no branch or tag leads to; a source that came by `git://` or `http://`; "
        "published packages whose signatures are not checked",
        cached_builds=(Trust.RELEASE, Trust.BRANCH, Trust.PR),
        real_token=False,
        privileged_build=False,
        publish=False,
    ),
    Trust.BRANCH: Permissions(
        references="a branch, any other tag or commit, `worktree`, published packages with checked signatures",
        cached_builds=(Trust.RELEASE, Trust.BRANCH),
        real_token=True,
        privileged_build=True,
        publish=False,
    ),
    Trust.RELEASE: Permissions(
        references="the tag of a version, or the whole id of its commit",
        cached_builds=(Trust.RELEASE,),
        real_token=True,
        privileged_build=True,
        publish=True,
    ),
}


def lowest(levels: Iterable[Trust]) -> Trust:
    """Return the lowest of some levels."""
    return min(levels, key=[*Trust].index)


def of_reference(commit: Commit, *, is_signed: bool = True) -> Trust:
    """Return the level of a commit by the kind of its reference; ``is_signed`` is about published packages."""
    if commit.kind is CommitKind.PUBLISHED:
        return Trust.BRANCH if is_signed else Trust.PR
    is_proposed = commit.kind is CommitKind.PR or _PULL_REQUEST.search(commit.ref) or not commit.on_branch
    if is_proposed or commit.open_transport:
        return Trust.PR
    if commit.kind is CommitKind.COMMIT and commit.ref.lower() == commit.id:
        # Whoever could change what came by an open way could not change a whole id, but could tag its commit.
        is_named = not commit.model_copy(update={"ref": commit.id[:12]}).open_transport
    else:
        is_named = commit.kind is CommitKind.TAG
    return Trust.RELEASE if is_named and not commit.rpm_release else Trust.BRANCH


def is_pull_request(ref: str) -> bool:
    """Return whether a reference has the name of a pull request that was fetched into a branch."""
    return bool(_PULL_REQUEST.search(ref))


def of_run(settings: Settings, *commits: Commit | None) -> RunTrust:
    """Return the level of a run of these commits, as the user wants it."""
    is_signed = not settings.allow_unsigned
    reference = lowest(of_reference(commit, is_signed=is_signed) for commit in commits if commit)
    return chosen(settings, reference)


def chosen(settings: Settings, reference: Trust) -> RunTrust:
    """Return the level that the user chose, or else that of the reference."""
    level = reference if settings.trust == BY_REFERENCE else Trust(settings.trust)
    return RunTrust(level=level, reference=reference)


def of_build(settings: Settings, commit: Commit) -> Trust:
    """Return the level with which a build of a commit is put into the cache and looked for there."""
    return lowest((of_reference(commit), chosen(settings, of_reference(commit)).level))


def check(settings: Settings, trust: RunTrust, *, has_token: bool) -> None:
    """Raise UsageError for what a run of this level may not do; ``has_token`` says whether its product has one."""
    if has_token and settings.token_hook != LOCAL and not LEVELS[trust.level].real_token:
        raise UsageError(
            f"a run of level {trust.text} gets no token of {settings.token_hook[:100]!r}: the candidate's hosts "
            "would have it, and could use it wherever it is good",
            hint="--trust branch, if you trust the candidate with it; --token-hook local needs no trust",
        )
    if is_privileged(settings) and not LEVELS[lowest((trust.level, trust.reference))].privileged_build:
        raise UsageError(
            f"a run of level {trust.text} is not built with mock: in its privileged workspace the candidate's "
            "build would be root on this machine",
            hint="--builder rpmbuild; no --trust changes this",
        )


def check_builder(settings: Settings) -> None:
    """Raise UsageError for a privileged build that the user did not allow in so many words."""
    if is_privileged(settings) and not settings.allow_privileged:
        raise UsageError(
            "mock needs a privileged workspace, in which the candidate's build is root on this machine",
            hint=f"{declared_settings()['allow_privileged'].flag} allows it; --builder rpmbuild does without",
        )


def is_privileged(settings: Settings) -> bool:
    """Return whether the workspace of a run is privileged."""
    return settings.builder == "mock" and not settings.from_repo


def table() -> str:
    """Return the documentation's table of levels, as Markdown."""
    rows = {
        "which references have it": [allowed.references for allowed in LEVELS.values()],
        "cached builds that may be used": [", ".join(allowed.cached_builds) for allowed in LEVELS.values()],
        "tokens of other providers than `local`": [_word(allowed.real_token) for allowed in LEVELS.values()],
        "`--builder mock` with `--allow-privileged`": [
            _word(allowed.privileged_build) for allowed in LEVELS.values()
        ],
        "`itb publish`, if built for the run": [_word(allowed.publish) for allowed in LEVELS.values()],
        "the run's network is isolated (`itb help machine`)": [
            _word(allowed.isolated_network) for allowed in LEVELS.values()
        ],
    }
    head = f"| | {' | '.join(f'`{level}`' for level in LEVELS)} |\n|---{'|---' * len(LEVELS)}|"
    return "\n".join([head, *(f"| {' | '.join([name, *cells])} |" for name, cells in rows.items())])


def _word(allowed: bool) -> str:
    return "yes" if allowed else "no"
