"""Levels of trust: who has which, what each allows, and who may change it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from itb.config import options, trust, untrusted_source
from itb.config import settings as config_settings
from itb.config.options import BY_REFERENCE
from itb.config.settings import Settings
from itb.errors import UsageError
from itb.model import Commit, CommitKind, RunTrust, Trust

ID = "a1" * 20
COMMIT = Commit(
    product="p", source="https://example.org/x.git", ref="v1_0", kind=CommitKind.TAG, id=ID, tree=ID,
    date="2026-11-20", subject="s", version="1.0",
)  # fmt: skip
BRANCH = {"kind": CommitKind.BRANCH, "ref": "main"}
BY_ID = {"kind": CommitKind.COMMIT, "ref": ID}
PULL = {"kind": CommitKind.PR, "ref": "pr/7"}


def commit(**changes: Any) -> Commit:
    return COMMIT.model_copy(update=changes)


@pytest.mark.parametrize(
    ("changes", "level"),
    [
        ({}, "release"),
        ({"rpm_release": "1.6.gabc"}, "branch"),  # a tag that is no version's
        (BRANCH, "branch"),
        (PULL, "pr"),
        (BRANCH | {"ref": "pr/7"}, "pr"),  # fetched into a branch
        (BRANCH | {"ref": "pull/7/merge"}, "pr"),
        (BRANCH | {"ref": "origin/merge-requests/7/head"}, "pr"),
        (BRANCH | {"ref": "origin/pull-requests/7/from"}, "pr"),
        (BRANCH | {"ref": "pr/seven"}, "branch"),
        (BRANCH | {"ref": "spr/7"}, "branch"),
        ({"kind": CommitKind.WORKTREE, "ref": "worktree"}, "branch"),
        ({"kind": CommitKind.PUBLISHED, "id": ""}, "branch"),
        (BY_ID, "release"),  # what itb suggests to test a release again
        (BY_ID | {"rpm_release": "1.6.gabc"}, "branch"),
        (BY_ID | {"ref": ID[:12]}, "branch"),
        (BY_ID | {"on_branch": False}, "pr"),  # of a pull request
        ({"source": "git://example.org/x.git"}, "pr"),
        (BY_ID | {"source": "http://example.org/x.git"}, "branch"),  # its tag came the same way
    ],
)
def test_level_is_of_the_kind_of_reference(changes: dict[str, Any], level: str) -> None:
    assert trust.of_reference(commit(**changes)) == level
    assert trust.of_run(Settings(), commit(**changes)) == RunTrust(level=Trust(level), reference=Trust(level))


def test_published_packages_that_nobody_has_signed() -> None:
    published = commit(kind=CommitKind.PUBLISHED, id="")
    assert trust.of_run(Settings(allow_unsigned=True, from_repo="x"), published).level is Trust.PR


def test_what_versions_share_has_the_lowest_level() -> None:
    """The version to upgrade from is on the hosts that get the candidate's token."""
    assert trust.of_run(Settings(), commit(), commit(**PULL)).level is Trust.PR
    assert trust.of_run(Settings(), commit(**PULL), commit()).level is Trust.PR
    assert trust.of_run(Settings(), commit(), commit(**BRANCH)).level is Trust.BRANCH
    assert trust.of_run(Settings(), commit(), None).level is Trust.RELEASE


@pytest.mark.parametrize(
    ("setting", "level", "text"),
    [
        ("release", Trust.RELEASE, "release, raised by the user; branch by its reference"),
        ("pr", Trust.PR, "pr, lowered by the user; branch by its reference"),
        ("branch", Trust.BRANCH, "branch"),
        (BY_REFERENCE, Trust.BRANCH, "branch"),
    ],
)
def test_the_user_chooses(setting: Any, level: Trust, text: str) -> None:
    run_trust = trust.of_run(Settings(trust=setting), commit(**BRANCH))
    assert (run_trust.level, run_trust.text) == (level, text)


def test_a_build_has_never_a_higher_level_than_its_reference() -> None:
    """Raised for one run, it would be taken for a branch or a release by later ones."""
    assert trust.of_build(Settings(trust="release"), commit(**PULL)) is Trust.PR
    assert trust.of_build(Settings(trust="pr"), commit()) is Trust.PR
    assert trust.of_build(Settings(), commit()) is Trust.RELEASE


@pytest.mark.parametrize("higher", [Trust.BRANCH, Trust.RELEASE])
def test_a_higher_level_allows_all_that_a_lower_one_does(higher: Trust) -> None:
    above, below = trust.LEVELS[higher], trust.LEVELS[[*Trust][[*Trust].index(higher) - 1]]
    for name in ("real_token", "privileged_build", "publish"):
        assert getattr(above, name) >= getattr(below, name)
    assert set(above.cached_builds) < set(below.cached_builds), "and takes fewer builds of others"


def test_no_level_opens_the_network() -> None:
    assert [*trust.LEVELS] == [*Trust]
    assert all(level.isolated_network for level in trust.LEVELS.values())


@pytest.mark.parametrize("hook", ["vault", "file", "command", "./mine"])
def test_pull_request_gets_no_real_token(hook: str) -> None:
    settings = Settings(token_hook=hook)
    pull = trust.of_run(settings, commit(**PULL))
    with pytest.raises(UsageError, match=f"level pr gets no token of '{hook}'") as caught:
        trust.check(settings, pull, has_token=True)
    assert "--trust branch" in caught.value.hint
    trust.check(settings, pull, has_token=False)
    trust.check(Settings(), pull, has_token=True)
    raised = Settings(token_hook=hook, trust="branch")
    trust.check(raised, trust.of_run(raised, commit(**PULL)), has_token=True)
    lowered = Settings(token_hook=hook, trust="pr")
    with pytest.raises(UsageError, match="level pr, lowered by the user; release by its reference gets no token"):
        trust.check(lowered, trust.of_run(lowered, commit()), has_token=True)


@pytest.mark.parametrize("level", [BY_REFERENCE, *Trust])
def test_pull_request_is_never_built_as_root_on_the_machine(level: Any) -> None:
    settings = Settings(builder="mock", allow_privileged=True, trust=level)
    with pytest.raises(UsageError, match="is not built with mock"):
        trust.check(settings, trust.of_run(settings, commit(**PULL)), has_token=False)
    if level != Trust.PR:
        trust.check(settings, trust.of_run(settings, commit(**BRANCH)), has_token=False)
    else:
        with pytest.raises(UsageError, match="is not built with mock"):
            trust.check(settings, trust.of_run(settings, commit(**BRANCH)), has_token=False)


def test_mock_is_allowed_in_so_many_words() -> None:
    with pytest.raises(UsageError, match="root on this machine") as caught:
        trust.check_builder(Settings(builder="mock"))
    assert "--allow-privileged" in caught.value.hint
    trust.check_builder(Settings(builder="mock", allow_privileged=True))
    trust.check_builder(Settings(builder="mock", from_repo="x"))


def test_the_setting_has_the_levels() -> None:
    assert options.settings()["trust"].choices == (BY_REFERENCE, *Trust)


@pytest.mark.parametrize("is_clone", [True, False])
@pytest.mark.parametrize("setting", ["trust: release", "allow_privileged: true"])
def test_a_folder_does_not_say_how_far_it_is_trusted(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    setting: str,
    *,
    is_clone: bool,
) -> None:
    """Only a flag, a variable and the file in the user's home do."""
    untrusted_source.warn_of_refused_keys.cache_clear()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))
    folder, own = tmp_path / "folder", tmp_path / "user" / "itb"
    for path in (folder, own):
        path.mkdir(parents=True)
        (path / "itb.yaml").write_text(f"{setting}\n")
    name = setting.partition(":")[0]
    flags = {"source": str(folder)} if is_clone else {}
    assert config_settings.load(flags, cwd=folder)[1][name] == str(own / "itb.yaml")
    (own / "itb.yaml").unlink()
    settings, origins = config_settings.load(flags, cwd=folder)
    assert (settings.trust, settings.allow_privileged, origins[name]) == (BY_REFERENCE, False, "default")
    assert f"not taken, since the folder may be the candidate's: {name}" in capsys.readouterr().err
    monkeypatch.setenv("ITB_TRUST", "branch")
    assert config_settings.load({}, cwd=folder)[1]["trust"] == "environment ITB_TRUST"
    assert config_settings.load({"trust": "pr"}, cwd=folder)[0].trust == "pr"


@pytest.mark.parametrize("source", ["https://else.example.org/x.git", "../other", "sub"])
def test_a_candidate_names_no_other_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    """The tag of another source had the level of a release, and its file's programs were taken."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))
    folder = tmp_path / "clone"
    for path in (folder / "sub", folder / ".git", tmp_path / "other", tmp_path / "user" / "itb"):
        path.mkdir(parents=True)
    (tmp_path / "user" / "itb" / "itb.yaml").write_text(f"source: {folder}\n")
    file = folder / "itb.yaml"
    file.write_text(f"source: {source}\nref: v9_0\ntoken_hook: ./evil\n")
    monkeypatch.chdir(folder)
    settings = config_settings.load()[0]
    assert (settings.source, settings.token_hook) == (str(folder), "local")
    (folder / "build" / "ReleaseManager").mkdir(parents=True)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    assert config_settings.load()[0].source == ""
    file.write_text("source: .\n")
    assert config_settings.load()[0].source == "."


# By each of these a candidate that fails acquitted itself, or had files written elsewhere.
BY_CANDIDATE: dict[str, Any] = {
    "limits": {"boot": 0.5}, "timeout_factor": 0.01, "run_timeout": 1, "retries": 0, "min_free_gb": 0,
    "scenario": ["services"], "upgrade_from": "main", "product": "hello", "ref": "v1_0", "variant": ["small"],
    "duration": 1, "fresh_build": False, "nevra": "1.0", "keep": "always", "runs": "/elsewhere", "jobs": 2,
    "progress": "quiet", "token_min_lifetime": 0, "cache": "/elsewhere", "report_dir": "/elsewhere",
}  # fmt: skip


@pytest.mark.parametrize("is_named", [True, False], ids=["source: .", "--source ."])
def test_a_candidate_says_its_platform_and_source_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, is_named: bool
) -> None:
    """`limits: {boot: 0.5}` made what is the candidate's fault one of the testbed."""
    untrusted_source.warn_of_refused_keys.cache_clear()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))
    file = tmp_path / "clone" / "itb.yaml"
    file.parent.mkdir()
    monkeypatch.chdir(file.parent)
    own = {"platform": ["el9"], **({"source": "."} if is_named else {})}
    file.write_text(json.dumps(BY_CANDIDATE | own))
    settings, origins = config_settings.load({} if is_named else {"source": "."})
    assert {key for key, origin in origins.items() if origin == str(file)} == {*own}
    assert settings.platform == ("el9",)
    assert f"may be the candidate's: {', '.join(BY_CANDIDATE)}\n" in capsys.readouterr().err
    (tmp_path / "user" / "itb").mkdir(parents=True)
    (tmp_path / "user" / "itb" / "itb.yaml").write_text("platform: [deb13]\nretries: 1\n")
    settings, origins = config_settings.load({"source": "."})
    assert (settings.platform, settings.retries) == (("deb13",), 1), "the user says otherwise"


def test_no_setting_is_taken_from_a_candidate_unless_it_is_named(tmp_path: Path) -> None:
    """A setting of tomorrow, too."""
    values = {key: getattr(Settings(), key) for key in Settings.model_fields} | {"source": str(tmp_path)}
    refused = untrusted_source.refused_keys(values, tmp_path, str(tmp_path))
    assert {*values} - {*refused} == {"platform", "source"}


def test_the_documentation_has_the_table() -> None:
    """``trust.table()`` makes it."""
    text = (Path(__file__).resolve().parents[3] / "SECURITY.md").read_text()
    assert text.split("<!-- levels of trust -->\n")[1] == f"{trust.table()}\n"
