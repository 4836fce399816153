"""References of real repositories, by real git."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from itb.config.product import BuildDefinition, Product, RoleDefinition, Source
from itb.errors import BuildError, ItbError, TestbedError, UsageError
from itb.model import Commit
from itb.process.limits import DEFAULTS
from itb.process.runner import Runner
from itb.source import checkout, git
from itb.source import resolve as source_resolve

Resolve = Callable[..., Commit]

MANAGER = "build/ReleaseManager/release.py"
STRANGE = ["it's;$(touch${IFS}pwned)", "-x", "--upload-pack=touch", 'quo"te', "日本é", "a&b|c`id`"]


class Repository:
    """A repository made for one test; commits have fixed dates."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = 1_700_000_000
        self("init", "--quiet", "--initial-branch=main", str(path), at=False)

    def __call__(self, *args: str, at: bool = True, env: dict[str, str] | None = None) -> str:
        date = f"{self.clock} +0200"
        settled = {
            **os.environ,
            "GIT_AUTHOR_DATE": date,
            "GIT_COMMITTER_DATE": date,
            "GIT_CONFIG_GLOBAL": os.devnull,
        }
        identity = ["-c", "user.name=t", "-c", "user.email=t@t"]
        where = ["-C", str(self.path)] if at else []
        command = ["git", *identity, *where, *args]
        return subprocess.run(
            command, check=True, capture_output=True, text=True, env={**settled, **(env or {})}
        ).stdout.strip()

    def commit(self, subject: str, **files: str) -> str:
        """Commit these files (``__`` in a name is a slash) and return the id."""
        self.clock += 60
        for name, content in files.items():
            path = self.path / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        self("add", "--all")
        self("commit", "--quiet", "--allow-empty", "--message", subject)
        return self("rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """One commit tagged v1_0_0 with a ReleaseManager, two after it; branch next with v1_1_0_rc1."""
    made = Repository(tmp_path / "it's a repo; $(x)")
    manager = made.path / MANAGER
    manager.parent.mkdir(parents=True)
    manager.write_text("#!/bin/sh\n")
    manager.chmod(0o755)
    made.commit("first", README="one\n")
    made("tag", "--annotate", "--message", "release", "v1_0_0")
    made("checkout", "--quiet", "-b", "next")
    made.commit("candidate", README="two\n")
    made("tag", "v1_1_0_rc1")
    made("checkout", "--quiet", "main")
    made.commit("second", README="three\n")
    made.commit('third: it\'s "quoted" 日本', README="four\n")
    return made


@pytest.fixture
def product() -> Product:
    return Product(
        title="p",
        name="p",
        source=Source(url="https://host/p"),
        packages=("p*",),
        build=BuildDefinition(checkout_name="p"),
        roles={"factory": RoleDefinition(packages=("p",))},
    )


@pytest.fixture
def caches(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def resolve(product: Product, repository: Repository, caches: Path) -> Resolve:
    """Resolve a reference of the repository, read as a folder or as a URL."""

    def call(ref: str, where: str = "", of: Product = product) -> Commit:
        source = where or str(repository.path)
        return source_resolve.resolve(of, ref=ref, source=source, cache=caches, runner=Runner())

    return call


@pytest.mark.parametrize("as_url", [False, True], ids=["folder", "url"])
def test_a_clone_that_is_up_to_date_is_in_use(
    resolve: Resolve, repository: Repository, caches: Path, as_url: bool
) -> None:
    """itb clean --unused goes by when clones were changed: one that was only read stays, too."""
    where = repository.path.as_uri() if as_url else ""
    resolve("main", where)
    (clone,) = caches.glob("sources/*.git")
    os.utime(clone, (1, 1))
    resolve("main", where)
    assert clone.stat().st_mtime > 1


@pytest.fixture(params=["folder", "url"])
def where(request: pytest.FixtureRequest, repository: Repository) -> str:
    return str(repository.path) if request.param == "folder" else repository.path.as_uri()


def test_kinds_of_references(resolve: Resolve, repository: Repository, where: str) -> None:
    tip, first = repository("rev-parse", "main"), repository("rev-parse", "v1_0_0^{commit}")
    branch = resolve("main", where)
    assert (branch.kind, branch.id, branch.ref) == ("branch", tip, "main")
    assert (branch.version, branch.rc, branch.rpm_release) == ("1.0.0", 0, f"1.2.g{tip[:9]}")
    assert branch.describe == f"v1_0_0-2-g{tip[:9]}"
    assert branch.subject == 'third: it\'s "quoted" 日本'
    assert branch.date == "2023-11-14T22:17:20Z"
    tag = resolve("v1_0_0", where)
    assert (tag.kind, tag.id, tag.version, tag.rpm_release) == ("tag", first, "1.0.0", "")
    candidate = resolve("v1_1_0_rc1", where)
    assert (candidate.version, candidate.rc, candidate.rpm_release) == ("1.1.0", 1, "")
    for ref in (tip, tip[:7], tip[:12].upper()):
        assert (resolve(ref, where).kind, resolve(ref, where).id) == ("commit", tip)
    assert resolve("refs/tags/v1_0_0", where).id == first
    assert resolve("HEAD", where).ref == resolve("", where).ref == "main"


def test_default_reference_is_the_products(resolve: Resolve, product: Product) -> None:
    newest = Source(url="https://host/p", default_ref="newest-version")
    assert resolve("", of=product.model_copy(update={"source": newest})).ref == "v1_1_0_rc1"
    named = Source(url="https://host/p", default_ref="next")
    assert resolve("", of=product.model_copy(update={"source": named})).ref == "next"


def test_a_moving_branch_is_read_anew(resolve: Resolve, repository: Repository, where: str) -> None:
    before = resolve("main", where)
    after = repository.commit("fourth", README="five\n")
    assert resolve("main", where).id == after != before.id
    repository("branch", "--force", "main2", before.id)
    repository("branch", "--delete", "--force", "next")
    repository("branch", "next/one", before.id)  # a folder of branches where a branch was
    assert resolve("next/one", where).id == before.id
    with pytest.raises(UsageError, match="no branch, tag or commit 'next'"):
        resolve("next", where)


def test_pull_requests(resolve: Resolve, repository: Repository, where: str) -> None:
    wanted = repository("rev-parse", "next")
    repository("update-ref", "refs/pull/7/head", wanted)
    repository("update-ref", "refs/merge-requests/8/head", wanted)
    for ref in ("pr/7", "pr/8"):
        assert (resolve(ref, where).kind, resolve(ref, where).id) == ("pr", wanted)
    with pytest.raises(UsageError, match="no pull request 9"):
        resolve("pr/9", where)


def test_commit_no_reference_leads_to(resolve: Resolve, repository: Repository, where: str) -> None:
    lost = repository.commit("lost", README="x\n")
    repository("reset", "--quiet", "--hard", "HEAD~1")
    assert resolve(lost, where).id == lost
    with pytest.raises(UsageError, match="no branch, tag or commit"):
        resolve("1" * 40, where)


def test_ambiguous_references_name_both(resolve: Resolve, repository: Repository, where: str) -> None:
    tip, first = repository("rev-parse", "main"), repository("rev-parse", "v1_0_0^{commit}")
    repository("branch", "release", "main")
    repository("tag", "release", "v1_0_0^{commit}")
    with pytest.raises(UsageError, match="names 2 things") as caught:
        resolve("release", where)
    for part in ("branch release", "tag release", tip[:12], first[:12]):
        assert part in caught.value.message
    assert caught.value.hint == "say refs/heads/release or refs/tags/release"
    assert resolve("refs/heads/release", where).id == tip
    assert resolve("refs/tags/release", where).id == first
    repository("branch", tip[:8], first)  # a branch whose name starts a commit's id
    with pytest.raises(UsageError, match="names 2 things"):
        resolve(tip[:8], where)
    repository("branch", "same", "v1_0_0^{commit}")
    repository("tag", "same", "v1_0_0^{commit}")
    assert resolve("same", where).kind == "tag"  # two names of one commit


def test_short_id_of_two_commits(resolve: Resolve, repository: Repository) -> None:
    ids: dict[str, str] = {}
    tree, parent = repository("rev-parse", "HEAD^{tree}"), repository("rev-parse", "HEAD")
    for number in range(5000):
        made = repository("commit-tree", tree, "-p", parent, "-m", str(number))
        if made[:4] in ids:
            break
        ids[made[:4]] = made
    repository("branch", "one", made)
    repository("branch", "two", ids[made[:4]])
    with pytest.raises(UsageError, match="names 2 things") as caught:
        resolve(made[:4])
    assert made in caught.value.hint
    assert ids[made[:4]] in caught.value.hint


def test_unknown_reference_names_the_nearest(resolve: Resolve, where: str) -> None:
    with pytest.raises(UsageError, match=r"no branch, tag or commit 'v1\.1\.0-rc1'") as caught:
        resolve("v1.1.0-rc1", where)
    assert caught.value.hint.startswith("nearest: v1_1_0_rc1")
    assert caught.value.exit_code == 1


def test_unknown_reference_like_no_other(resolve: Resolve, where: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve("zzzz9q", where)
    assert caught.value.hint.startswith("itb refs, with the same --product and --source"), "refs alone is refused"


@pytest.mark.parametrize("name", STRANGE)
def test_strange_names(resolve: Resolve, repository: Repository, name: str, tmp_path: Path, where: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve(name, where)
    assert repr(name) in caught.value.message
    repository("update-ref", f"refs/heads/{name}", "main")
    assert resolve(name, where).ref == name
    assert not list(tmp_path.rglob("pwned"))


def test_work_tree(resolve: Resolve, repository: Repository, caches: Path, tmp_path: Path) -> None:
    (repository.path / ".gitignore").write_text("*.log\n")
    repository.commit("ignore logs")
    clean = resolve("worktree")
    assert (clean.kind, clean.id) == ("worktree", repository("rev-parse", "HEAD"))
    (repository.path / "README").write_text("changed\n")
    (repository.path / "new file;").write_text("new\n")
    (repository.path / "a.log").write_text("ignored\n")
    (repository.path / ".git" / "info" / "exclude").write_text("*.local\n")
    (repository.path / "x.local").write_text("excluded\n")
    (repository.path / "staged").write_text("s\n")
    repository("add", "staged")
    before = snapshot(repository.path)
    dirty = resolve("worktree")
    assert snapshot(repository.path) == before
    assert dirty.id != clean.id
    assert dirty.rpm_release == f"1.4.g{dirty.id[:9]}.dirty"
    assert resolve("worktree").id == dirty.id
    clone = checkout.checkout(dirty, tmp_path / "clone", cache=caches, runner=Runner())
    names = {str(path.relative_to(clone)) for path in clone.rglob("*") if ".git" not in path.parts}
    assert {"README", "new file;", "staged", MANAGER} <= names
    assert not {"a.log", "x.local"} & names
    assert (clone / "README").read_text() == "changed\n"


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file below a folder: time and content.

    Git marks an object it would write and finds in a borrowed store as used
    just now: times of objects do not count.
    """
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {
        str(path): (0 if "objects" in path.parts else path.stat().st_mtime_ns, path.read_bytes()) for path in files
    }


def test_work_tree_needs_files(resolve: Resolve, repository: Repository, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="needs a source with files, and file://"):
        resolve("worktree", repository.path.as_uri())
    bare = tmp_path / "bare"
    subprocess.run(["git", "clone", "--quiet", "--bare", str(repository.path), str(bare)], check=True)
    with pytest.raises(UsageError, match="a bare repository"):
        resolve("worktree", str(bare))
    assert resolve("main", str(bare)).ref == "main"


def test_no_release_manager(resolve: Resolve, repository: Repository) -> None:
    repository("rm", "--quiet", MANAGER)
    repository.commit("gone")
    with pytest.raises(BuildError, match=f"branch main .* has no ReleaseManager: {MANAGER}") as caught:
        resolve("main")
    assert caught.value.exit_code == 4


def test_folders_that_are_no_repository(resolve: Resolve, repository: Repository, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    with pytest.raises(UsageError, match="is not a git repository"):
        resolve("main", str(tmp_path / "plain"))
    with pytest.raises(UsageError, match="only a folder inside of one") as caught:
        resolve("main", str(repository.path / "build"))
    assert caught.value.hint == f"--source {repository.path}"
    empty = Repository(tmp_path / "empty")
    for where in (str(empty.path), empty.path.as_uri()):
        with pytest.raises(UsageError, match="no commit yet"):
            resolve("", where)


def test_urls_that_are_no_repository(resolve: Resolve, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a git repository"):
        resolve("main", (tmp_path / "nowhere").as_uri())


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        accepted: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    accepted.append(server.accept()[0])
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        for connection in accepted:
            connection.close()


def test_url_that_does_not_answer(resolve: Resolve, silent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DEFAULTS, "git-answer", 1.0)
    with pytest.raises(TestbedError, match=r"did not answer: no end within 1 s \(limit 'git-answer'\)"):
        resolve("main", f"git://127.0.0.1:{silent}/x")
    monkeypatch.setitem(DEFAULTS, "git-answer", 30.0)
    with pytest.raises(TestbedError, match=r"does not answer: .*[Cc]onnect"):
        resolve("main", "http://127.0.0.1:1/x.git")
    with pytest.raises(TestbedError, match=r"does not answer: .*(resolve|Name or service)"):
        resolve("main", "https://host.invalid/x.git")


def test_credentials_do_not_show(resolve: Resolve) -> None:
    with pytest.raises(ItbError) as caught:
        resolve("main", "http://me:verysecret1@127.0.0.1:1/x.git")
    assert "verysecret1" not in f"{caught.value.message}{caught.value.evidence}"


def test_checkout(resolve: Resolve, repository: Repository, caches: Path, tmp_path: Path, where: str) -> None:
    (repository.path / "link").symlink_to("README")
    repository.commit("a link")
    repository("tag", "v1_2_0")
    commit = resolve("v1_2_0", where)
    mask = os.umask(0o077)
    try:
        clone = checkout.checkout(commit, tmp_path / "a b" / "p", cache=caches, runner=Runner())
    finally:
        os.umask(mask)
    inside = Repository.__call__
    copy = Repository.__new__(Repository)
    copy.path, copy.clock = clone, 1_700_000_000
    assert inside(copy, "rev-parse", "HEAD") == commit.id
    assert inside(copy, "status", "--porcelain") == ""
    assert inside(copy, "remote") == ""
    assert inside(copy, "describe", "--tags") == "v1_2_0"
    assert inside(copy, "archive", "HEAD", "README")
    files = [path for path in [clone, *clone.rglob("*")] if ".git" not in path.parts]
    assert {int(path.lstat().st_mtime) for path in files} == {commit.epoch}
    assert (clone / MANAGER).stat().st_mode & 0o777 == 0o755
    assert (clone / "README").stat().st_mode & 0o777 == 0o644
    assert (clone / "link").is_symlink()
    # Whatever is done in it, the source does not notice.
    (clone / "README").write_text("x")
    inside(copy, "commit", "--quiet", "--all", "--message", "x")
    assert not list((clone / ".git").rglob("alternates"))
    assert repository("rev-parse", "main") == commit.id


def test_checkout_of_what_the_cache_lost(resolve: Resolve, caches: Path, tmp_path: Path) -> None:
    commit = resolve("main")
    with pytest.raises(TestbedError, match="no longer in the cache"):
        checkout.checkout(commit, tmp_path / "p", cache=tmp_path / "other", runner=Runner())


def test_checkout_of_a_branch_deleted_meanwhile(
    resolve, repository: Repository, caches: Path, tmp_path: Path
) -> None:
    commit = resolve("next", repository.path.as_uri())
    repository("tag", "--delete", "v1_1_0_rc1")
    repository("branch", "--delete", "--force", "next")
    resolve("main", repository.path.as_uri())
    assert checkout.checkout(commit, tmp_path / "p", cache=caches, runner=Runner()).is_dir()


def test_half_made_clone_is_made_anew(resolve: Resolve, repository: Repository, caches: Path, where: str) -> None:
    commit = resolve("main", where)
    clone = git.cached_clone_path(caches, commit.source)
    (clone / "HEAD").unlink()
    assert resolve("main", where) == commit


def test_branches_only_the_remote_of_a_clone_has_are_found(
    resolve: Resolve, repository: Repository, tmp_path: Path
) -> None:
    repository("branch", "elsewhere", "main")
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", repository.path.as_uri(), str(clone)], check=True)
    assert resolve("elsewhere", str(clone)).id == repository("rev-parse", "main")


def test_several_runs_at_once(product: Product, repository: Repository, caches: Path) -> None:
    found: list[str] = []

    def one() -> None:
        where = repository.path.as_uri()
        found.append(source_resolve.resolve(product, ref="main", source=where, cache=caches, runner=Runner()).id)

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [repository("rev-parse", "main")] * 4


@pytest.mark.parametrize(("encoding", "name"), [("ascii", "l\\xe4uft"), ("latin-1", "läuft"), ("utf-8", "läuft")])
def test_references_are_listed_whatever_the_terminal_can_show(
    repository: Repository, tmp_path: Path, encoding: str, name: str
) -> None:
    repository("branch", "läuft", "main")
    itb = [sys.executable, "-P", "-m", "itb", "refs", "--product", "pocketwms", "--cache", str(tmp_path / "cache")]
    env = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run([*itb, "--source", str(repository.path)], capture_output=True, check=True, env=env)
    assert f"{name} " in done.stdout.decode(encoding)


def test_listing(repository: Repository, caches: Path, where: str) -> None:
    listed = source_resolve.refs(source=where, cache=caches, runner=Runner())
    assert [item.name for item in listed] == ["main", "next", "v1_1_0_rc1", "v1_0_0"]
    assert [item.kind for item in listed] == ["branch", "branch", "tag", "tag"]
    assert listed[0].date == "2023-11-14T22:17:20Z"
    assert listed[0].subject.startswith("third")
    assert listed[-1].id == repository("rev-parse", "v1_0_0^{commit}")


@pytest.mark.parametrize("seconds", ["9999999999999", "253402300800", "9223372036854775807"])
def test_a_commit_may_claim_any_date(
    seconds: str, resolve: Resolve, repository: Repository, caches: Path, tmp_path: Path
) -> None:
    (repository.path / "README").write_text("five\n")
    absurd = {"GIT_COMMITTER_DATE": f"@{seconds} +0000"}
    repository("commit", "--quiet", "--all", "--message", "from the future", env=absurd)
    listed = source_resolve.refs(source=str(repository.path), cache=caches, runner=Runner())
    assert [(item.name, item.date[:10]) for item in listed if item.name in ("main", "v1_0_0")] == [
        ("main", "9999-12-31"), ("v1_0_0", "2023-11-14")
    ]  # fmt: skip
    commit = resolve("main")
    assert (commit.date, commit.epoch) == ("9999-12-31T23:59:59Z", 2**32 - 1)
    clone = checkout.checkout(commit, tmp_path / "clone", cache=caches, runner=Runner())
    assert (clone / "README").read_text() == "five\n"
    (repository.path / "README").write_text("six\n")
    assert resolve("worktree").kind == "worktree"


def test_a_commit_may_have_no_date(resolve: Resolve, repository: Repository) -> None:
    file = repository.path.parent / "commit"
    tree = repository("rev-parse", "HEAD^{tree}")
    file.write_text(f"tree {tree}\nauthor a <a@b>\ncommitter a <a@b>\n\nundated\n")
    made = repository("hash-object", "-t", "commit", "-w", "--literally", str(file))
    repository("update-ref", "refs/heads/undated", made)
    assert resolve("undated").date == "1970-01-01T00:00:00Z"


def test_tag_of_what_is_no_commit(resolve: Resolve, repository: Repository) -> None:
    repository("tag", "blobtag", "HEAD:README")
    repository("tag", "--annotate", "--message", "x", "treetag", "HEAD^{tree}")
    for tag, kind in (("blobtag", "blob"), ("treetag", "tree")):
        with pytest.raises(UsageError, match=f"^tag '{tag}' of .* is of a {kind}, not of a commit$"):
            resolve(tag)
