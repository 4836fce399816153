"""Links of a neighbour, and a cache that is or was a neighbour's: they choose no file and no program."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from itb.config import lookup, settings
from itb.containers import connection
from itb.errors import UsageError
from itb.machine import cleanup
from itb.platforms import images
from itb.process.runner import Runner
from itb.source import git
from itb.source.origin import locate
from itb.util import ownership

NEIGHBOUR, GROUP = 54321, 54322
ITB = str(Path(sys.executable).with_name("itb"))
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder ``theirs``, of the neighbour, beside ``mine``; who runs the tests has set nothing."""
    for name in [name for name in os.environ if name.startswith(("ITB_", "SUDO_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("mine", "theirs"):
        (tmp_path / name).mkdir(0o755)
    return tmp_path


def _link(at: Path, to: Path) -> Path:
    at.symlink_to(to)
    os.chown(at, NEIGHBOUR, NEIGHBOUR, follow_symlinks=False)
    return at


def _commit(folder: Path) -> None:
    """Make a folder a repository with a commit."""
    for words in (("init", "--quiet"), ("commit", "--quiet", "--allow-empty", "--message", "first")):
        identity = ("-c", "user.name=t", "-c", "user.email=t@t")
        subprocess.run(["/usr/bin/env", "git", *identity, "-C", str(folder), *words], check=True)


@ROOT
def test_settings_a_neighbours_link_leads_to(places: Path) -> None:
    """A file of the user's, of another place, had its relative paths mean the neighbour's folders."""
    (places / "mine" / "itb.yaml").write_text("cache: cache\nproducts: [products]\n")
    link = _link(places / "theirs" / "itb.yaml", places / "mine" / "itb.yaml")
    with pytest.raises(UsageError, match=rf"theirs/itb\.yaml belongs to user {NEIGHBOUR}"):
        settings.load(cwd=places / "theirs")
    os.chown(link, 0, 0, follow_symlinks=False)
    assert settings.load(cwd=places / "theirs")[0].cache == "cache"


@ROOT
@pytest.mark.parametrize("deep", [False, True])
def test_program_a_neighbours_link_leads_to(places: Path, *, deep: bool) -> None:
    """It may lead elsewhere once it was looked at."""
    (places / "mine" / "podman").write_text("")
    link = _link(places / "link", places / "mine" / ("" if deep else "podman"))
    with pytest.raises(UsageError, match="link belongs to"):
        ownership.check(link / "podman" if deep else link)
    os.chown(link, 0, 0, follow_symlinks=False)
    ownership.check(link / "podman" if deep else link)


def test_links_in_a_circle_are_no_endless_work(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel follows 40 links: of two in a folder that lead back to it there are 2 ** 40 ways."""
    (places / "a").symlink_to(places / "b")
    (places / "b").symlink_to(places / "a")
    for name in ("up", "back"):
        (places / "mine" / name).symlink_to(places / "mine")
    left, check = iter(range(10)), ownership.check

    def count(path: Path) -> None:
        assert next(left, None) is not None, "it goes round and round"
        check(path)

    monkeypatch.setattr(ownership, "check", count)
    ownership.check_tree(places / "mine")
    with pytest.raises(UsageError, match="in a circle"):
        ownership.check(places / "a")


@ROOT
def test_folder_a_definition_has_a_link_to(places: Path) -> None:
    product = places / "mine" / "product"
    product.mkdir()
    (product / "product.yaml").write_text("")
    (product / "scripts").symlink_to(places / "shared")
    (places / "shared").mkdir()
    (places / "shared" / "configure.sh").write_text("")
    assert lookup.find("product", str(product), [], "product.yaml") == product
    os.chown(places / "shared" / "configure.sh", NEIGHBOUR, NEIGHBOUR)
    with pytest.raises(UsageError, match=r"configure\.sh belongs to"):
        lookup.find("product", str(product), [], "product.yaml")


@ROOT
def test_cache_of_a_neighbour(places: Path) -> None:
    """Its containers.conf names the engine's runtime, its git directories name programs."""
    _commit(places / "mine")
    os.chown(places / "theirs", NEIGHBOUR, NEIGHBOUR)
    for cache in (places / "theirs", places / "theirs" / "itb"):
        with pytest.raises(UsageError, match="theirs belongs to"):
            connection.connect(Runner(), "podman", cache)
        with pytest.raises(UsageError, match="theirs belongs to"):
            git.refresh(locate(str(places / "mine")), cache=cache, runner=Runner())


@ROOT
def test_what_a_neighbour_left_in_the_cache(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where everybody could write once: a file with the right words may get others a moment later."""
    monkeypatch.delenv("CONTAINERS_CONF", raising=False)
    monkeypatch.setattr(connection, "may_raise_limits", lambda: False)
    path = Path(connection.podman_env(places / "mine")["CONTAINERS_CONF"])
    text = path.read_text()
    os.chown(path, NEIGHBOUR, NEIGHBOUR)
    connection.podman_env(places / "mine")
    assert (path.stat().st_uid, path.read_text()) == (0, text)


@ROOT
def test_clone_of_a_neighbour(places: Path) -> None:
    source, cache = places / "mine", places / "cache"
    _commit(source)
    clone = git.refresh(locate(str(source)), cache=cache, runner=Runner())[0].directory
    assert clone is not None
    os.chown(clone / "config", NEIGHBOUR, NEIGHBOUR)
    with pytest.raises(UsageError, match="config belongs to"):
        git.refresh(locate(str(source)), cache=cache, runner=Runner())


@ROOT
def test_cleaning_a_cache_in_a_folder_of_everybody(places: Path) -> None:
    """Entries of the neighbour stay, and what is behind a link of theirs stays."""
    shared, name = places / "shared", "0123456789abcdef" * 2
    shared.mkdir(0o777)
    stays = [shared / "format-1/builds" / name, shared / "history/a-0123456789ab.git"]
    stays.append(places / "theirs/builds" / name)
    goes = [shared / "format-1" / "builds" / f"{name}-pr", shared / "builds" / name]
    for path in (*stays, *goes):
        path.mkdir(parents=True)
    for path in (stays[0], stays[1].parent):  # an entry, a folder of entries
        os.chown(path, NEIGHBOUR, NEIGHBOUR)
    _link(shared / "format-2", places / "theirs")
    cleanup.clean_cache(shared / "format-1", everything=True, report=lambda _: None)
    assert all(path.is_dir() for path in stays)
    assert not any(path.exists() for path in goes)


@pytest.mark.parametrize("umask", [0o000, 0o002, 0o077])
def test_cache_is_ones_own_whatever_the_umask(places: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        for _ in range(2):
            done = subprocess.run(
                [ITB, "refs", "--product", "pocketwms"], cwd=places, check=False, capture_output=True, text=True,
                env={**os.environ, "XDG_CACHE_HOME": str(places / "a" / "b")}, stdin=subprocess.DEVNULL,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
    finally:
        os.umask(before)
    cache = places / "a" / "b" / "itb"
    made = [cache, *cache.iterdir(), *cache.glob("*/*/*")]
    assert len(made) > 4
    assert all(path.stat().st_mode & 0o077 == 0 for path in made if path.is_dir() or path.suffix == ".lock")
    assert not [path for path in cache.rglob("*") if path.stat().st_mode & 0o022], "others may write it"


@pytest.mark.parametrize("value", ["--setup-hook=id", "-v"])
def test_option_of_a_platform_is_none_of_a_program(value: str) -> None:
    """mmdebstrap, which runs on this machine, took the suite for an option, and some run commands."""
    platform = lookup.load_platform("deb13")
    with pytest.raises(UsageError, match=r"option suite: .* begins with '-'"):
        images.effective(platform, {"suite": value})
    assert images.effective(platform, {"suite": "sid"})["suite"] == "sid"


@ROOT
def test_whom_the_user_trusts(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a CI container the work folder is a user's outside; a checkout may be a group's."""
    file = places / "theirs" / "file"
    file.write_text("")
    os.chown(places / "theirs", NEIGHBOUR, GROUP)
    with pytest.raises(UsageError, match="theirs belongs to") as caught:
        ownership.check(file)
    assert f"{ownership.USERS}={NEIGHBOUR}" in caught.value.hint
    monkeypatch.setenv(ownership.USERS, f"root, {NEIGHBOUR}")
    ownership.check(file)
    (places / "theirs").chmod(0o2775)
    with pytest.raises(UsageError, match=f"written by group {GROUP}") as caught:
        ownership.check(file)
    assert f"{ownership.GROUPS}={GROUP}" in caught.value.hint
    monkeypatch.setenv(ownership.GROUPS, f"{GROUP},")
    ownership.check(file)
    (places / "theirs").chmod(0o777)
    with pytest.raises(UsageError, match="written by everybody") as caught:
        ownership.check(file)
    assert ownership.GROUPS not in caught.value.hint
    (places / "theirs").chmod(0o755)
    monkeypatch.setenv(ownership.USERS, "nobody-of-this-name")
    with pytest.raises(UsageError, match="ITB_TRUSTED_USERS: there is no 'nobody-of-this-name'"):
        ownership.check(file)
