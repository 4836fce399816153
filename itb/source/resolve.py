"""From a reference of a product's source to an exact commit, and from a commit to its files."""

from __future__ import annotations

import re
import shutil
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from itb import versions
from itb.config.product import Product
from itb.errors import BuildError, UsageError
from itb.model import Commit, CommitKind, Record
from itb.process.request import Request
from itb.process.runner import Runner
from itb.source import worktree
from itb.source.git import Git, Origin, fetch_one, hold, inside, locate, refresh

WORKTREE = CommitKind.WORKTREE.value  # asked for by the name of its kind
NEWEST = "newest-version"  # as a product's default reference: its highest version tag, candidates included

_PULL = re.compile(r"pr/(\d{1,9})")
_PULL_REFS = ("refs/pull/{}/head", "refs/merge-requests/{}/head")  # GitHub and Gitea; GitLab
_HEX = re.compile(r"[0-9a-f]{4,40}")
_LAST = 253_402_300_799  # 9999-12-31T23:59:59Z, in seconds since the epoch
_SPACES = {
    "refs/heads/": CommitKind.BRANCH,
    "refs/tags/": CommitKind.TAG,
    "refs/remotes/": CommitKind.BRANCH,
}


@dataclass(frozen=True)
class Found:
    """Something a reference names; ``name`` is its full name for people, ``short`` what the user may call it."""

    kind: CommitKind
    short: str
    id: str
    full: str = ""

    @property
    def title(self) -> str:
        """As messages name it."""
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
    """Return the exact commit a reference names now.

    ``source`` is a URL or a folder, ``ref`` a branch, tag, full or short
    commit id, ``pr/N`` or ``worktree``; empty for the product's default.
    Nothing is written anywhere but in ``cache``.

    Raises UsageError when the reference or the source is wrong, TestbedError
    when the source does not answer, BuildError when the commit has no
    ReleaseManager.
    """
    origin = locate(source)
    check(ref)
    git, default = refresh(origin, cache=cache, runner=runner)
    if not default:
        raise UsageError(f"source {origin.shown} has no commit yet")
    tags = names_for(git, "refs/tags/")
    wanted = ref or product.source.default_ref
    if wanted == NEWEST and not ref:
        newest = versions.highest(tags, _pattern(product))
        wanted = newest.tag if newest else ""
    found = _find(git, origin, wanted or "HEAD", default)
    _keep(git, found)
    _check_release_manager(git, product, found, origin)
    return _describe(git, product, origin, found)


def refs(*, source: str, cache: Path, runner: Runner) -> list[Reference]:
    """List the branches and tags of a source, newest first."""
    git, _ = refresh(locate(source), cache=cache, runner=runner)
    form = "%00".join(
        ["%(refname)", "%(objectname)", "%(*objectname)", "%(creatordate:unix)", "%(*subject)", "%(subject)"]
    )
    spaces = list(_SPACES)
    listed = git.text("for-each-ref", "--sort=refname", "--sort=-creatordate", f"--format={form}", *spaces)
    found = []
    for line in listed.splitlines():
        name, id, peeled, created, commit_subject, subject = line.split("\0")
        space = next(item for item in spaces if name.startswith(item))
        if not created:
            continue  # a tag of a file or a folder
        found.append(
            Reference(
                name=name.removeprefix(space),
                kind=_SPACES[space],
                id=peeled or id,
                date=_iso(created),
                subject=commit_subject or subject,
            )
        )
    return found


def _pattern(product: Product) -> re.Pattern[str]:
    return versions.compile_pattern(product.build.version_tags)


def names_for(git: Git, space: str, *options: str) -> list[str]:
    lines = git.text("for-each-ref", "--format=%(refname)", *options, space).splitlines()
    return [line.removeprefix(space) for line in lines]


def _find(git: Git, origin: Origin, ref: str, default: str) -> Found:
    """Return the one thing a reference names; UsageError if it is none or several."""
    if ref == "HEAD":
        kind = CommitKind.COMMIT if default == "HEAD" else CommitKind.BRANCH
        return Found(kind, default.removeprefix("refs/heads/"), commit_of(git, "refs/itb/HEAD"), default)
    found = _named(git, ref)
    if match := _PULL.fullmatch(ref):
        found += _pull(git, origin, match[1])
    if ref == WORKTREE:
        found += _worktree(git, origin, required=not found)
    if _HEX.fullmatch(ref.lower()):
        found += _by_id(git, origin, ref.lower())
    if not (found := found or _named(git, f"refs/remotes/origin/{ref}")):  # as git checkout does
        raise _unknown(git, origin, ref)
    if len({item.id for item in found}) > 1:
        raise _ambiguous(git, ref, found)
    # Of names of one commit the tag says most: it is the version.
    return next((item for item in found if item.kind is CommitKind.TAG), found[0])


def _named(git: Git, ref: str) -> list[Found]:
    """Branches and tags of this name, whole or without its name space."""
    names = [ref] if ref.startswith("refs/") else [space + ref for space in _SPACES]
    found = []
    for name in names:
        space = next((item for item in _SPACES if name.startswith(item)), "")
        commit = commit_of(git, name) if space else ""
        if commit:
            found.append(Found(_SPACES[space], name.removeprefix(space), commit, name))
    return found


def commit_of(git: Git, name: str) -> str:
    """Id of the commit a full reference name stands for; empty if there is none."""
    verify = ["rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"]
    seen = git.run(Request(verify, check=False))
    return seen.stdout.strip() if seen.ok else ""


def _pull(git: Git, origin: Origin, number: str) -> list[Found]:
    for form in _PULL_REFS:
        name = form.format(number)
        kept = f"refs/itb/pull/{number}"
        with hold(git.directory or Path(), git.runner):
            if fetch_one(git, origin, name, kept):
                return [Found(CommitKind.PR, f"pr/{number}", commit_of(git, kept), name)]
    return []


def _by_id(git: Git, origin: Origin, prefix: str) -> list[Found]:
    """Commits whose id starts so; a full id is asked of the source when no reference leads to it."""
    seen = git.run(Request(["rev-parse", f"--disambiguate={prefix}"], check=False))
    objects = seen.stdout.split()
    if not objects and len(prefix) == 40:
        with hold(git.directory or Path(), git.runner):
            objects = [prefix] if fetch_one(git, origin, prefix, f"refs/itb/commit/{prefix}") else []
    if not objects:
        return []
    ask = ["cat-file", "--batch-check=%(objectname) %(objecttype)"]
    kinds = git.run(Request(ask, input="\n".join(objects).encode() + b"\n"))
    ids = [line.split()[0] for line in kinds.stdout.splitlines() if line.endswith(" commit")]
    return [Found(CommitKind.COMMIT, prefix, id) for id in ids]


def _worktree(git: Git, origin: Origin, *, required: bool) -> list[Found]:
    """Make a commit of the files of a local source as they are, untracked ones that are not ignored included.

    Objects go to the mirror and the index is a copy: the user's repository
    is only read.
    """
    if origin.local is None or _is_bare(origin.local, git.runner):
        if not required:
            return []
        raise UsageError(
            f"reference 'worktree' needs a source with files, and {origin.shown} is "
            + ("a bare repository" if origin.local else "a URL"),
            hint="--source FOLDER names a clone on this machine",
        )
    head = commit_of(git, "refs/itb/HEAD")
    tree = _tree_of_files(git, origin.local)
    return [Found(CommitKind.WORKTREE, WORKTREE, _commit_tree(git, tree, head), WORKTREE)]


def _tree_of_files(git: Git, folder: Path) -> str:
    """Write the files of a user's work tree to the mirror; return the tree's id."""
    assert git.directory is not None

    index, exclude = (inside(folder, name, git.runner) for name in ("index", "info/exclude"))
    with (
        hold(git.directory, git.runner),
        tempfile.TemporaryDirectory(prefix=".index-", dir=git.directory.parent) as temporary,
    ):
        copied = Path(temporary) / "index"
        if index.is_file():
            shutil.copyfile(index, copied)
        (git.directory / "info").mkdir(exist_ok=True)
        (git.directory / "info" / "exclude").write_bytes(exclude.read_bytes() if exclude.is_file() else b"")
        env = {"GIT_INDEX_FILE": str(copied), "GIT_WORK_TREE": str(folder)}
        worktree.add_all(git, folder, Path(temporary) / "names", env)
        return git.run(Request(["write-tree"], env=env)).stdout.removesuffix("\n")


def _commit_tree(git: Git, tree: str, head: str) -> str:
    """Return the commit that stands for a work tree: HEAD itself when nothing differs.

    The same files on the same HEAD always give the same id: its date is the
    second after HEAD's.
    """
    if tree == git.text("rev-parse", f"{head}^{{tree}}"):
        return head
    when = min(int(git.text("rev-list", "-1", "--timestamp", head).split()[0]), _LAST) + 1
    who = {
        f"GIT_{role}_{what}": value
        for role in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "itb"), ("EMAIL", "itb@localhost"), ("DATE", f"@{when} +0000"))
    }
    commit = ["commit-tree", tree, "-p", head, "-m", "files of the work tree as they are"]
    return git.run(Request(commit, env=who)).stdout.strip()


def _is_bare(folder: Path, runner: Runner) -> bool:
    return Git(runner).text("-C", str(folder), "rev-parse", "--is-bare-repository", users=True) == "true"


def _unknown(git: Git, origin: Origin, ref: str) -> UsageError:
    if match := _PULL.fullmatch(ref):
        return UsageError(f"{origin.shown} has no pull request {match[1]}, or does not offer it by git")
    for space, kind in _SPACES.items():
        seen = git.run(Request(["cat-file", "-t", f"{space}{ref}^{{}}"], check=False))
        if seen.ok:
            return UsageError(f"{kind} {ref!r} of {origin.shown} is of a {seen.stdout.strip()}, not of a commit")
    names = [name for space in _SPACES for name in names_for(git, space)]
    close = versions.nearest(ref, [*names, *([WORKTREE] if origin.local else [])])
    hint = f"nearest: {', '.join(close)}" if close else "itb refs lists what there is"
    return UsageError(f"{origin.shown} has no branch, tag or commit {ref!r}", hint=hint)


def _ambiguous(git: Git, ref: str, found: list[Found]) -> UsageError:
    named = []
    for item in found[:5]:
        date, subject = _headline(git, item.id)
        named.append(f"{item.title} ({item.id[:12]}, {date[:10]}, {subject[:50]!r})")
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    ways = [item.full or item.id for item in found[:5]]
    return UsageError(
        f"reference {ref!r} names {len(found)} things: {' and '.join(named)}{more}",
        hint=f"say {' or '.join(ways)}",
    )


def _headline(git: Git, commit: str) -> tuple[str, str]:
    """ISO date (UTC) and subject of a commit."""
    text = git.text("rev-list", "-1", "--format=%ct%n%s", commit)
    _, when, *subject = text.split("\n")
    return _iso(when), "\n".join(subject)


def _iso(seconds: str) -> str:
    """ISO date (UTC) of a commit, which may claim any; the nearest one that can be written."""
    return datetime.fromtimestamp(min(int(seconds or 0), _LAST), UTC).isoformat().replace("+00:00", "Z")


def _keep(git: Git, found: Found) -> None:
    """Hold on to a commit while the branch that led to it may move on."""
    git.call("update-ref", f"refs/itb/kept/{found.id}", found.id)


def _check_release_manager(git: Git, product: Product, found: Found, origin: Origin) -> None:
    path = product.build.release_manager
    kind = git.run(Request(["cat-file", "-t", f"{found.id}:{path}"], check=False))
    if kind.stdout.strip() != "blob":
        raise BuildError(
            f"{found.title} ({found.id[:12]}) of {origin.shown} has no ReleaseManager: {path} is not in it",
            hint=f"is it the source of {product.name}? its definition says where the ReleaseManager is",
        )


def _describe(git: Git, product: Product, origin: Origin, found: Found) -> Commit:
    """Look at a commit and derive its version."""
    date, subject = _headline(git, found.id)
    dirty = found.kind is CommitKind.WORKTREE and found.id != commit_of(git, "refs/itb/HEAD")
    derived = versions.derive(
        pattern=_pattern(product),
        asked=found.short if found.kind is CommitKind.TAG else "",
        here=names_for(git, "refs/tags/", f"--points-at={found.id}"),
        reachable=names_for(git, "refs/tags/", f"--merged={found.id}"),
        commit=found.id,
        count=lambda tag: _count(git, tag, found.id),
        dirty=dirty,
    )
    return Commit(
        product=product.name,
        source=origin.shown,
        ref=found.short,
        kind=found.kind,
        id=found.id,
        tree=git.text("rev-parse", f"{found.id}^{{tree}}"),
        date=date,
        subject=subject,
        describe=derived.describe,
        version=derived.version,
        rc=derived.rc,
        rpm_release=derived.rpm_release,
    )


def _count(git: Git, tag: str, commit: str) -> int:
    without = [f"^refs/tags/{tag}"] if tag else []
    return int(git.text("rev-list", "--count", commit, *without))


def check(ref: str) -> None:
    """Refuse what can be no reference, before git sees it; the rules are git-check-ref-format's."""
    wrong = ""
    if any(ord(char) < 32 or ord(char) == 127 for char in ref):
        wrong = "it has a control character in it"
    elif bad := next((char for char in " ~^:?*[\\" if char in ref), ""):
        wrong = "it has a space in it" if bad == " " else f"it has a {bad!r} in it"
    elif ".." in ref or "@{" in ref or ref == "@":
        wrong = "it is an expression or a range"
    elif any(part.startswith(".") or part.endswith(".lock") or not part for part in ref.split("/") if ref):
        wrong = "a part of it is empty, starts with '.' or ends with '.lock'"
    elif ref.endswith("."):
        wrong = "it ends with '.'"
    elif len(ref) > 250:
        wrong = f"it has {len(ref)} characters"
    if wrong:
        raise UsageError(
            f"reference {ref[:100]!r} cannot exist: {wrong}",
            hint="a reference is a branch, a tag, a commit id, pr/NUMBER or worktree",
        )
