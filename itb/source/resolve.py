"""Resolves a reference of a product's source to an exact commit and its version."""

from __future__ import annotations

import re
import shutil
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from itb import commit_versions
from itb.config.product import Product
from itb.config.trust import is_pull_request
from itb.errors import BuildError, UsageError
from itb.model import Commit, CommitKind, Record
from itb.process.request import Request
from itb.process.runner import Runner
from itb.source import completeness, tree_bounds, worktree
from itb.source.git import Git, fetch_one, git_path, lock, refresh
from itb.source.origin import Origin, locate
from itb.util.text import lines_of

WORKTREE = CommitKind.WORKTREE.value  # as a reference: the files of a local source as they are
NEWEST = "newest-version"  # as a product's default reference: its highest version tag, release candidates included

_PULL = re.compile(r"pr/(\d{1,9})")
_PULL_REFS = ("refs/pull/{}/head", "refs/merge-requests/{}/head")  # GitHub and Gitea; GitLab
_HEX = re.compile(r"[0-9a-f]{4,40}")
_REMOTE_HEAD = re.compile(r"refs/remotes/[^/]+/HEAD")
_LATEST_SECOND = 253_402_300_799  # 9999-12-31T23:59:59Z, in seconds since the epoch
_NAMESPACES = {
    "refs/heads/": CommitKind.BRANCH,
    "refs/tags/": CommitKind.TAG,
    "refs/remotes/": CommitKind.BRANCH,
}


@dataclass(frozen=True)
class ResolvedRef:
    """A commit that a reference names, with the kind of the reference, its short name and its full name."""

    kind: CommitKind
    short: str
    id: str
    full: str = ""

    @property
    def title(self) -> str:
        """Return the kind and name of the reference for messages."""
        if self.kind is CommitKind.PR:
            return f"pull request {self.short.removeprefix('pr/')}"
        return f"{self.kind} {self.id[:12] if self.kind is CommitKind.COMMIT else self.short}"


class Reference(Record):
    """A branch or tag of a source; ``date`` is ISO 8601 in UTC, of the tag itself where it has one."""

    name: str
    kind: CommitKind
    id: str
    date: str
    subject: str


def resolve(product: Product, *, ref: str, source: str, cache: Path, runner: Runner) -> Commit:
    """Return the exact commit that a reference names now.

    ``source`` is a URL or a folder, ``ref`` a branch, tag, full or short
    commit id, ``pr/N`` or ``worktree``; empty for the product's default.
    Writes only to ``cache``.

    Raises UsageError if the reference or the source is wrong, or history is
    not there back to the tag that gives the version; TestbedError
    if the source does not answer, BuildError if the commit has no
    ReleaseManager.
    """
    origin = locate(source)
    check(ref)
    git, default = refresh(origin, cache=cache, runner=runner)
    if not default:
        raise UsageError(f"source {origin.display_name} has no commit yet")
    tags = short_names(git, "refs/tags/")
    name = ref or product.source.default_ref
    if name == NEWEST and not ref:
        newest = commit_versions.highest(tags, _pattern(product))
        name = newest.tag if newest else ""
    resolved = _resolve_ref(git, origin, name or "HEAD", default)
    _protect_commit(git, resolved)
    tree_bounds.check(git, resolved.id)
    _check_release_manager(git, product, resolved, origin)
    return _describe_commit(git, product, origin, resolved)


def refs(*, source: str, cache: Path, runner: Runner) -> list[Reference]:
    """List the branches and tags of a source, newest first."""
    git, _ = refresh(locate(source), cache=cache, runner=runner)
    fields = "%00".join(
        ["%(refname)", "%(objectname)", "%(*objectname)", "%(creatordate:unix)", "%(*subject)", "%(subject)"]
    )
    namespaces = list(_NAMESPACES)
    listing = git.text("for-each-ref", "--sort=refname", "--sort=-creatordate", f"--format={fields}", *namespaces)
    references = []
    for line in lines_of(listing):
        name, id, peeled, created, commit_subject, subject = line.split("\0")
        namespace = next(prefix for prefix in namespaces if name.startswith(prefix))
        if not created or _REMOTE_HEAD.fullmatch(name):
            continue  # a tag of a file or a folder has no date; a remote's HEAD is a branch that is listed anyway
        references.append(
            Reference(
                name=name.removeprefix(namespace),
                kind=_NAMESPACES[namespace],
                id=peeled or id,
                date=_iso_date(created),
                subject=commit_subject or subject,
            )
        )
    return references


def _pattern(product: Product) -> re.Pattern[str]:
    return commit_versions.compile_pattern(product.build.version_tags)


def short_names(git: Git, namespace: str, *options: str) -> list[str]:
    """Return the names of the references below a namespace, without it; ``options`` are those of for-each-ref."""
    listing = git.text("for-each-ref", "--format=%(refname)", *options, namespace)
    return [ref.removeprefix(namespace) for ref in lines_of(listing)]


def _resolve_ref(git: Git, origin: Origin, ref: str, default: str) -> ResolvedRef:
    """Return the commit that a reference names; raise UsageError if it names none, or several."""
    if ref == "HEAD":
        kind = CommitKind.COMMIT if default == "HEAD" else CommitKind.BRANCH
        return ResolvedRef(kind, default.removeprefix("refs/heads/"), commit_of(git, "refs/itb/HEAD"), default)
    is_whole_id = len(ref) == 40 and bool(_HEX.fullmatch(ref.lower()))
    # As git has it: a branch or tag of such a name, of anybody who may push, does not stand for that commit.
    candidates = [] if is_whole_id else _find_by_name(git, ref)
    if match := _PULL.fullmatch(ref):
        candidates += _fetch_pull_request(git, origin, match[1])
    if ref == WORKTREE:
        candidates += _commit_worktree(git, origin, required=not candidates)
    if _HEX.fullmatch(ref.lower()):
        candidates += _find_by_id(git, origin, ref.lower())
    if not candidates and not is_whole_id:
        candidates = _find_by_name(git, f"refs/remotes/origin/{ref}")  # as git checkout does
    if not candidates:
        raise _unknown_ref(git, origin, ref)
    if len({candidate.id for candidate in candidates}) > 1:
        raise _ambiguous_ref(git, ref, candidates)
    # If several names lead to the commit, the tag is the one that gives its version.
    return next((candidate for candidate in candidates if candidate.kind is CommitKind.TAG), candidates[0])


def _find_by_name(git: Git, ref: str) -> list[ResolvedRef]:
    """Return the branches and tags of this name, which may lack its namespace."""
    names = [ref] if ref.startswith("refs/") else [namespace + ref for namespace in _NAMESPACES]
    matches = []
    for name in names:
        namespace = next((prefix for prefix in _NAMESPACES if name.startswith(prefix)), "")
        commit = commit_of(git, name) if namespace else ""
        if commit:
            matches.append(ResolvedRef(_NAMESPACES[namespace], name.removeprefix(namespace), commit, name))
    return matches


def commit_of(git: Git, name: str) -> str:
    """Return the id of the commit that a full reference name leads to; empty if there is none."""
    verify = ["rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"]
    answer = git.run(Request(verify, check=False))
    return answer.stdout.strip() if answer.ok else ""


def _fetch_pull_request(git: Git, origin: Origin, number: str) -> list[ResolvedRef]:
    for pattern in _PULL_REFS:
        name = pattern.format(number)
        local_ref = f"refs/itb/pull/{number}"
        with lock(git.directory or Path(), git.runner):
            if fetch_one(git, origin, name, local_ref):
                return [ResolvedRef(CommitKind.PR, f"pr/{number}", commit_of(git, local_ref), name)]
    return []


def _find_by_id(git: Git, origin: Origin, prefix: str) -> list[ResolvedRef]:
    """Return the commits whose id starts with a prefix; fetch a full id that no reference leads to."""
    answer = git.run(Request(["rev-parse", f"--disambiguate={prefix}"], check=False))
    objects = answer.stdout.split()
    if not objects and len(prefix) == 40:
        with lock(git.directory or Path(), git.runner):
            objects = [prefix] if fetch_one(git, origin, prefix, f"refs/itb/commit/{prefix}") else []
    if not objects:
        return []
    ask = ["cat-file", "--batch-check=%(objectname) %(objecttype)"]
    kinds = git.run(Request(ask, input="\n".join(objects).encode() + b"\n"))
    ids = [line.split()[0] for line in kinds.stdout.splitlines() if line.endswith(" commit")]
    return [ResolvedRef(CommitKind.COMMIT, prefix, id) for id in ids]


def _commit_worktree(git: Git, origin: Origin, *, required: bool) -> list[ResolvedRef]:
    """Make a commit of the present files of a local source, with untracked files and without ignored ones.

    Objects go to the cached clone, and a copy of the index is used: the user's
    repository is only read.
    """
    if origin.local is None or _is_bare(origin.local, git.runner):
        if not required:
            return []
        raise UsageError(
            f"reference 'worktree' needs a source with files, and {origin.display_name} is "
            + ("a bare repository" if origin.local else "a URL"),
            hint="--source FOLDER names a clone on this machine",
        )
    head = commit_of(git, "refs/itb/HEAD")
    tree = _tree_of_files(git, origin.local)
    return [ResolvedRef(CommitKind.WORKTREE, WORKTREE, _commit_tree(git, tree, head), WORKTREE)]


def _tree_of_files(git: Git, folder: Path) -> str:
    """Write the files of a user's work tree to the cached clone; return the id of the git tree."""
    assert git.directory is not None

    index, exclude = (git_path(folder, name, git.runner) for name in ("index", "info/exclude"))
    with (
        lock(git.directory, git.runner),
        tempfile.TemporaryDirectory(prefix=".index-", dir=git.directory.parent) as temporary,
    ):
        index_copy = Path(temporary) / "index"
        if index.is_file():
            shutil.copyfile(index, index_copy)
        (git.directory / "info").mkdir(exist_ok=True)
        (git.directory / "info" / "exclude").write_bytes(exclude.read_bytes() if exclude.is_file() else b"")
        env = {"GIT_INDEX_FILE": str(index_copy), "GIT_WORK_TREE": str(folder)}
        worktree.add_all(git, folder, Path(temporary) / "names", env)
        return git.run(Request(["write-tree"], env=env)).stdout.removesuffix("\n")


def _commit_tree(git: Git, tree: str, head: str) -> str:
    """Return the commit of a tree with HEAD as its parent; HEAD itself if its tree is the same.

    Its date is one second after HEAD's, so that the same files on the same
    HEAD always give the same id.
    """
    if tree == git.text("rev-parse", f"{head}^{{tree}}"):
        return head
    seconds = min(int(git.text("rev-list", "-1", "--timestamp", head).split()[0]), _LATEST_SECOND) + 1
    identity = {
        f"GIT_{role}_{field}": value
        for role in ("AUTHOR", "COMMITTER")
        for field, value in (("NAME", "itb"), ("EMAIL", "itb@localhost"), ("DATE", f"@{seconds} +0000"))
    }
    commit = ["commit-tree", tree, "-p", head, "-m", "files of the work tree as they are"]
    return git.run(Request(commit, env=identity)).stdout.strip()


def _is_bare(folder: Path, runner: Runner) -> bool:
    return Git(runner).text("-C", str(folder), "rev-parse", "--is-bare-repository", user_config=True) == "true"


def _unknown_ref(git: Git, origin: Origin, ref: str) -> UsageError:
    if match := _PULL.fullmatch(ref):
        return UsageError(f"{origin.display_name} has no pull request {match[1]}, or does not offer it by git")
    for namespace, kind in _NAMESPACES.items():
        answer = git.run(Request(["cat-file", "-t", f"{namespace}{ref}^{{}}"], check=False))
        object_type = answer.stdout.strip()
        if answer.ok and object_type != "commit":
            return UsageError(f"{kind} {ref!r} of {origin.display_name} is of a {object_type}, not of a commit")
    all_names = [name for namespace in _NAMESPACES for name in short_names(git, namespace)]
    if ref in all_names:  # the whole id of a commit that is not there
        return UsageError(f"{origin.display_name} has no commit {ref!r}, only a name like it")
    names = [name for name in all_names if not _REMOTE_HEAD.fullmatch(f"refs/remotes/{name}")]
    nearest = commit_versions.nearest(ref, [*names, *([WORKTREE] if origin.local else [])])
    listing = "itb refs, with the same --product and --source, lists what there is"
    hint = f"nearest: {', '.join(nearest)}" if nearest else listing
    return UsageError(f"{origin.display_name} has no branch, tag or commit {ref!r}", hint=hint)


def _ambiguous_ref(git: Git, ref: str, candidates: list[ResolvedRef]) -> UsageError:
    descriptions = []
    for candidate in candidates[:5]:
        date, subject = _date_and_subject(git, candidate.id)
        descriptions.append(f"{candidate.title} ({candidate.id[:12]}, {date[:10]}, {subject[:50]!r})")
    more = f" and {len(candidates) - 5} more" if len(candidates) > 5 else ""
    full_names = [candidate.full or candidate.id for candidate in candidates[:5]]
    return UsageError(
        f"reference {ref!r} names {len(candidates)} things: {' and '.join(descriptions)}{more}",
        hint=f"say {' or '.join(full_names)}",
    )


def _date_and_subject(git: Git, commit: str) -> tuple[str, str]:
    """Return the ISO date (UTC) and the subject of a commit."""
    text = git.text("rev-list", "-1", "--format=%ct%n%s", commit)
    _, seconds, *subject = text.split("\n")
    return _iso_date(seconds), "\n".join(subject)


def _iso_date(seconds: str) -> str:
    """Return seconds since the epoch as an ISO date (UTC), at most the year 9999: a commit may claim any date."""
    return datetime.fromtimestamp(min(int(seconds or 0), _LATEST_SECOND), UTC).isoformat().replace("+00:00", "Z")


def _protect_commit(git: Git, resolved: ResolvedRef) -> None:
    """Keep a commit in the cached clone when its branch moves on, by a reference of its own."""
    git.call("update-ref", f"refs/itb/kept/{resolved.id}", resolved.id)


def _check_release_manager(git: Git, product: Product, resolved: ResolvedRef, origin: Origin) -> None:
    if product.build.command:
        return
    path = product.build.release_manager
    kind = git.run(Request(["cat-file", "-t", f"{resolved.id}:{path}"], check=False))
    if kind.stdout.strip() != "blob":
        raise BuildError(
            f"{resolved.title} ({resolved.id[:12]}) of {origin.display_name} has no ReleaseManager: "
            f"{path} is not in it",
            hint=f"is it the source of {product.name}? its definition says where the ReleaseManager is "
            "(build.release_manager), or with which command it is built (build.command)",
        )


def _describe_commit(git: Git, product: Product, origin: Origin, resolved: ResolvedRef) -> Commit:
    """Return the record of a commit, with the version that its tags give it."""
    date, subject = _date_and_subject(git, resolved.id)
    dirty = resolved.kind is CommitKind.WORKTREE and resolved.id != commit_of(git, "refs/itb/HEAD")
    own_tags = short_names(git, "refs/tags/", f"--points-at={resolved.id}")
    reachable_tags = short_names(git, "refs/tags/", f"--merged={resolved.id}")
    base = commit_versions.highest(reachable_tags, _pattern(product))
    if not commit_versions.highest(own_tags, _pattern(product)):
        completeness.check_history(git, origin, resolved.id, base=base.tag if base else "")
    version = commit_versions.derive(
        pattern=_pattern(product),
        requested=resolved.short if resolved.kind is CommitKind.TAG else "",
        own_tags=own_tags,
        reachable_tags=reachable_tags,
        commit=resolved.id,
        count=lambda tag: _count_commits(git, tag, resolved.id),
        dirty=dirty,
    )
    return Commit(
        product=product.name,
        source=origin.display_name,
        ref=resolved.short,
        kind=resolved.kind,
        id=resolved.id,
        tree=git.text("rev-parse", f"{resolved.id}^{{tree}}"),
        date=date,
        subject=subject,
        describe=version.describe,
        version=version.version,
        rc=version.rc,
        rpm_release=version.rpm_release,
        tags=tuple(own_tags),
        on_branch=resolved.kind is not CommitKind.COMMIT or _is_on_branch(git, resolved.id),
        warnings=completeness.find_warnings(git, origin, resolved.id, is_versioned=base is not None),
    )


def _is_on_branch(git: Git, commit: str) -> bool:
    """Return whether a branch or tag of the source leads to a commit: one of a pull request can be had, too."""
    names = git.text("for-each-ref", "--format=%(refname)", f"--contains={commit}", *_NAMESPACES).split()
    return not all(map(is_pull_request, names))


def _count_commits(git: Git, tag: str, commit: str) -> int:
    exclusion = [f"^refs/tags/{tag}"] if tag else []
    return int(git.text("rev-list", "--count", commit, *exclusion))


def check(ref: str) -> None:
    """Raise UsageError for a text that git-check-ref-format(1) does not allow as a reference."""
    reason = ""
    if any(ord(char) < 32 or ord(char) == 127 for char in ref):
        reason = "it has a control character in it"
    elif forbidden := next((char for char in " ~^:?*[\\" if char in ref), ""):
        reason = "it has a space in it" if forbidden == " " else f"it has a {forbidden!r} in it"
    elif ".." in ref or "@{" in ref or ref == "@":
        reason = "it is an expression or a range"
    elif any(part.startswith(".") or part.endswith(".lock") or not part for part in ref.split("/") if ref):
        reason = "a part of it is empty, starts with '.' or ends with '.lock'"
    elif ref.endswith("."):
        reason = "it ends with '.'"
    elif len(ref) > 250:
        reason = f"it has {len(ref)} characters"
    if reason:
        raise UsageError(
            f"reference {ref[:100]!r} cannot exist: {reason}",
            hint="a reference is a branch, a tag, a commit id, pr/NUMBER or worktree",
        )
