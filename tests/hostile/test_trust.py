"""A pull request of anybody's, whatever name it is asked for by: no real token, no root on this machine."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from itb.config import lookup, trust
from itb.config.settings import Settings
from itb.data import shipped
from itb.errors import UsageError
from itb.model import Commit, CommitKind, RunTrust, Trust
from itb.process.runner import Runner
from itb.rundir import seal, values
from itb.rundir.directory import RunDir, RunState
from itb.source import checkout, embedded, resolve

COMMIT = Commit(
    product="pocketwms", source="/x", ref="v1_0", kind=CommitKind.TAG, id="1" * 40, tree="1" * 40,
    date="2026-11-20T00:00:00Z", subject="s", version="1.0",
)  # fmt: skip
CHOSEN = {"ITB_TOKEN_HOOK": "file"}  # what else a copied run directory does not choose
WHAT = ("--product", "pocketwms", "--platform", "deb13")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A repository of pocketwms with pull request 7, whose commit no branch has."""
    history = shipped.folder("build_ws") / "products" / "pocketwms" / "history.yaml"
    clone = tmp_path / "source"
    git("clone", "--quiet", "--mirror", str(embedded.make_repository(history, tmp_path / "h")), str(clone))
    proposed = git("-C", str(clone), "commit-tree", "main^{tree}", "-p", "main", "-m", "x")
    git("-C", str(clone), "update-ref", "refs/pull/7/head", proposed)
    return clone


def git(*words: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@t")
    return subprocess.run(["git", *identity, *words], check=True, capture_output=True, text=True).stdout.strip()


def level(source: Path, ref: str) -> Trust:
    cache = source.parent / "cache"
    product = lookup.load_product("pocketwms")
    return trust.of_reference(resolve.resolve(product, ref=ref, source=str(source), cache=cache, runner=Runner()))


def look_up(source: Path, ref: str) -> Commit:
    cache, product = source.parent / "cache", lookup.load_product("pocketwms")
    return resolve.resolve(product, ref=ref, source=str(source), cache=cache, runner=Runner())


def test_tags_as_they_were(source: Path, tmp_path: Path) -> None:
    """A tag that was moved or added after the commit was looked up made another version of its build."""
    git("-C", str(source), "tag", "v8_0_0", "main")
    commit, older = look_up(source, "v8_0_0"), look_up(source, "v8_0_0")
    git("-C", str(source), "tag", "--force", "v8_0_0", "main~1")
    git("-C", str(source), "tag", "v9_0_0", "main")
    look_up(source, "main")  # another run fetches them into the same cache
    tags = []
    for number, found in enumerate((commit, older.model_copy(update={"tags": None}))):
        clone = checkout.checkout(found, tmp_path / f"clone{number}", cache=tmp_path / "cache", runner=Runner())
        tags.append(git("-C", str(clone), "tag", "--list", "v8*", "v9*").split())
    assert tags == [["v8_0_0"], ["v9_0_0"]]


def test_whole_id_is_no_name(source: Path) -> None:
    """A branch or tag whose name is the whole id of a commit stood for that commit."""
    absent, proposed = "d" * 40, git("-C", str(source), "rev-parse", "refs/pull/7/head")
    git("-C", str(source), "update-ref", f"refs/tags/{absent}", "main")
    git("-C", str(source), "update-ref", f"refs/heads/{proposed}", "main")
    assert look_up(source, proposed).id == proposed
    with pytest.raises(UsageError, match=f"no commit '{absent}', only a name"):
        look_up(source, absent)


def test_pull_request_by_any_name(source: Path) -> None:
    assert level(source, "pr/7") is Trust.PR
    proposed, main = (git("-C", str(source), "rev-parse", ref) for ref in ("refs/pull/7/head", "main"))
    assert level(source, proposed) is Trust.PR
    assert level(source, proposed[:12]) is Trust.PR
    git("-C", str(source), "update-ref", "refs/remotes/pull/7/merge", proposed)  # as CI services fetch it
    assert level(source, proposed) is Trust.PR
    assert level(source, "pull/7/merge") is Trust.PR
    git("-C", str(source), "update-ref", "refs/heads/pr/7", proposed)
    assert level(source, "pr/7") is Trust.PR
    assert level(source, main) is Trust.BRANCH
    git("-C", str(source), "update-ref", "refs/heads/merged", proposed)
    assert level(source, proposed) is Trust.BRANCH
    tagged = git("-C", str(source), "rev-parse", "v1_1_0^{commit}")
    assert (level(source, "v1_1_0"), level(source, tagged)) == (Trust.RELEASE, Trust.RELEASE)


@pytest.mark.parametrize(
    ("words", "said", "remedy"),
    [
        (("--ref", "pr/7", "--token-hook", "file"), "level pr gets no token of 'file'", "--trust branch"),
        (
            ("--scenario", "upgrade", "--upgrade-from", "pr/7", "--token-hook", "./hook"),
            "level pr gets no token of './hook'",
            "--trust branch",
        ),
    ],
)
def test_it_is_refused_before_anything_starts(
    itb: Callable[..., Any], source: Path, tmp_path: Path, words: tuple[str, ...], said: str, remedy: str
) -> None:
    hook = tmp_path / "hook"
    hook.write_text(f"#!/bin/sh\n: >{tmp_path}/ran\n")
    hook.chmod(0o755)
    (tmp_path / "itb.yaml").write_text("trust: branch\n")  # not the user's word: it may be anybody's folder
    ended = itb("run", *WHAT, "--source", str(source), *words, "--progress", "plain")
    assert (ended.code, said in ended.err, remedy in ended.err) == (1, True, True), ended.err
    assert not (tmp_path / "runs").exists()
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("sealed", [True, False])
def test_it_is_refused_when_a_run_goes_on(
    itb: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, sealed: bool
) -> None:
    """Of a copied run directory nobody knows what its commit is."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    run = RunDir(tmp_path / "runs" / "20260101T000000Z-pocketwms-12345678-deb13")
    run.path.mkdir(parents=True)
    settings = Settings(product="pocketwms", token_hook="file")
    reference = Trust.PR if sealed else Trust.RELEASE
    run.write_state(
        RunState(
            id=run.id, short_id="12345678", product="pocketwms", platform="deb13", ref="pr/7", started=1.0,
            settings=settings.model_dump(mode="json"), cwd=str(tmp_path), scenarios=("smoke",),
            trust=RunTrust(level=reference, reference=reference),
        )
    )  # fmt: skip
    run.save(values.COMMIT, COMMIT)
    if sealed:
        seal.write(run)
    ended = itb("run", "--resume", run.id, env={} if sealed else CHOSEN)
    assert (ended.code, "level pr gets no token of 'file'" in ended.err) == (1, True), ended.err
    assert "--trust branch" in ended.err
    assert not run.cases()


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85"])
@pytest.mark.parametrize("as_url", [False, True], ids=["folder", "url"])
def test_a_reference_never_stands_for_one_that_its_name_begins_with(
    source: Path, separator: str, as_url: bool
) -> None:
    """For Python these end a line, for git they are letters of a name."""
    real = {ref: git("-C", str(source), "rev-parse", f"{ref}^{{commit}}") for ref in ("main", "v1_1_0")}
    proposed = git("-C", str(source), "rev-parse", "refs/pull/7/head")
    names = [f"heads/main{separator}x", f"tags/v1_1_0{separator}x", f"tags/z{separator}v9_0_0"]
    for name in names:
        git("-C", str(source), "update-ref", f"refs/{name}", proposed)
    product, address = lookup.load_product("pocketwms"), source.as_uri() if as_url else str(source)
    where: dict[str, Any] = {"source": address, "cache": source.parent / "cache", "runner": Runner()}
    for ref, commit in real.items():
        assert resolve.resolve(product, ref=ref, **where).id == commit
    assert resolve.resolve(product, ref=f"main{separator}x", **where).version == "1.2.0"
    found = {reference.name: reference.id for reference in resolve.refs(**where)}
    assert found["main"] == real["main"]
    assert set(found) >= {name.partition("/")[2] for name in names}
