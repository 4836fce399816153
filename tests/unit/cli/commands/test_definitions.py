"""New products, scenarios, hooks and platforms: found by what is printed, valid, nothing replaced."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

from itb.cli.commands import definitions
from itb.config import lookup, settings
from itb.config.settings import Settings
from itb.errors import UsageError
from itb.process.runner import Runner
from itb.run import assemble
from itb.run.phases import token
from itb.source import embedded
from itb.tokens.lookup import find_provider
from itb.tokens.providers.command import HookProvider
from itb.util import yamlfile

KINDS = ("product", "scenario", "hook", "platform")
New = Callable[..., str]


@pytest.fixture
def new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> New:
    """Write a definition in an empty directory; return what was printed."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "no-config"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def call(kind: str, name: str, *, like: str = "deb13", **flags: str) -> str:
        definitions.new(kind, name, flags, like=like)
        return capsys.readouterr().out

    return call


def next_name(printed: str) -> str:
    """The name that the last command printed calls the definition by."""
    return printed.rsplit(maxsplit=1)[-1]


def check_whole(folder: Path) -> None:
    """Every YAML file is valid by the schema it names; scripts can be run; no word is left over."""
    for path in folder.rglob("*"):
        text = path.read_text() if path.is_file() else ""
        assert not re.search(r"new(product|scenario|hook|platform|role)|@[A-Z]+@", str(path.name) + text), path
        if text.startswith("#!"):
            assert os.access(path, os.X_OK)
        if path.suffix == ".yaml":
            match = re.match(r"# yaml-language-server: \$schema=(\S+)\n", text)
            assert match, path
            schema = json.loads((path.parent / match[1]).read_text())
            jsonschema.validate(yamlfile.parse(text, str(path))[0], schema, jsonschema.Draft202012Validator)


def test_a_product_that_can_be_run_by_its_name(new: New) -> None:
    printed = new("product", "hello")
    assert printed.splitlines()[-1] == "next: itb run --product hello"
    (part,) = assemble.find_definitions(settings.load({"product": "hello"})[0])
    assert part.product.folder == Path.cwd() / "products" / "hello"
    assert [scenario.name for scenario in part.scenarios] == ["works"]
    history = embedded.load(part.product.folder / "history.yaml")
    tree = embedded.read_tree(part.product.folder / history.source)
    assert {"hello", "hello.spec", "hello.service", "hello.conf"} == set(tree)
    embedded.import_stream(history, tree, where="hello")
    assert part.product.build.command
    check_whole(part.product.folder)


@pytest.mark.parametrize(("product", "role"), [("", "frontend"), ("glideinwms", "frontend"), ("hello", "server")])
def test_a_scenario_on_a_role_of_the_product(new: New, product: str, role: str) -> None:
    new("product", "hello")
    printed = new("scenario", "mine", **({"product": product} if product else {}))
    run_with = product or "pocketwms"
    assert printed.splitlines()[-1] == f"next: itb run --product {run_with} --scenario mine"
    (part,) = assemble.find_definitions(settings.load({"product": run_with, "scenario": "mine"})[0])
    assert part.scenarios[0].roles == (role,)
    check_whole(part.scenarios[0].folder)


def test_a_hook(new: New) -> None:
    printed = new("hook", "mine")
    assert "next: itb token try mine\n" in printed
    loaded = settings.load()[0]
    hook = find_provider("mine", token.provider_context(loaded, Runner()))
    assert isinstance(hook, HookProvider)
    assert hook.name == "mine"
    check_whole(Path.cwd() / "hooks")


@pytest.mark.parametrize("like", ["deb13", "el8", "el9", "el10"])
def test_a_platform_like_another(new: New, like: str) -> None:
    printed = new("platform", "mine", like=like)
    assert "next: itb platform build mine\n" in printed
    platform = lookup.load_platform("mine", [Path("platforms")])
    other = lookup.load_platform(like)
    own = {"title", "shared", "name", "folder", "tested"}
    assert platform.model_dump(exclude=own) == other.model_dump(exclude=own)
    assert not platform.tested
    assert platform.title == f"mine, made like {like}"
    check_whole(platform.folder)


def test_no_platform_to_be_like(new: New) -> None:
    with pytest.raises(UsageError, match="unknown platform 'el7'; did you mean 'el"):
        new("platform", "mine", like="el7")
    assert not list(Path.cwd().iterdir())


@pytest.mark.parametrize("kind", KINDS)
def test_a_path_is_where_it_goes(new: New, kind: str) -> None:
    """And nothing is written to itb.yaml; whatever the umask is, itb believes what it wrote."""
    before = os.umask(0)
    try:
        printed = new(kind, "./deep/mine")
    finally:
        os.umask(before)
    assert next_name(printed) == "./deep/mine"
    assert (Path("deep/mine")).exists()
    assert [path.name for path in Path.cwd().iterdir()] == ["deep"]
    {
        "product": lookup.load_product, "scenario": lookup.load_scenario, "platform": lookup.load_platform,
        "hook": lambda name: find_provider(name, token.provider_context(Settings(), Runner())),
    }[kind]("./deep/mine")  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_replaced(new: New, kind: str) -> None:
    new(kind, "mine")
    before = {path: path.read_bytes() for path in Path.cwd().rglob("*") if path.is_file()}
    with pytest.raises(UsageError, match="mine is there already"):
        new(kind, "mine")
    Path("link").symlink_to("nowhere")
    with pytest.raises(UsageError, match="link is there already"):
        new(kind, "./link")
    with pytest.raises(UsageError, match=r"cannot be made: .* is not a directory"):
        new(kind, "./itb.yaml/mine")
    assert {path: path.read_bytes() for path in Path.cwd().rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("product", "a b", "product 'a b': not a name"),
        ("product", "-x", "product '-x': not a name"),
        ("product", "./x/..", "product '..': not a name"),
        ("product", ".", "is there already"),
        ("product", "/", "not a name"),
        ("product", "x" * 65, "not a name"),
        ("product", "Hello", "its package and service are named after it, in lower case"),
        ("product", "hello.service", "its package and service are named after it"),
        ("platform", "EL9", "its images are named after it, in lower case"),
        ("platform", "a__b", "its images are named after it"),
        ("product", "pocketwms", "product 'pocketwms' is one of itb's own"),
        ("platform", "./deb13", "platform 'deb13' is one of itb's own"),
        ("scenario", "smoke", "scenario 'smoke' is one of itb's own"),
        ("scenario", "lib", "scenario 'lib' is one of itb's own"),
        ("hook", "vault", "hook 'vault' is one of itb's own"),
    ],
)
def test_names_that_are_refused(new: New, kind: str, name: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        new(kind, name)
    assert message in caught.value.message
    assert caught.value.hint
    assert not list(Path.cwd().iterdir())


def test_an_itb_yaml_keeps_what_it_says(new: New) -> None:
    Path("itb.yaml").write_text("# mine\nkeep: failed")
    Path("itb.yaml").chmod(0o600)
    new("product", "hello")
    assert Path("itb.yaml").read_text() == "# mine\nkeep: failed\nproducts: [products]\n"
    assert Path("itb.yaml").stat().st_mode & 0o777 == 0o600
    assert next_name(new("product", "other")) == "other"
    assert Path("itb.yaml").read_text().count("products") == 2


@pytest.mark.parametrize("text", ["{keep: failed}\n", "products: []\n"])
def test_an_itb_yaml_that_takes_no_further_line(new: New, text: str) -> None:
    """It stays as it is, and the path is what works."""
    Path("itb.yaml").write_text(text)
    assert next_name(new("product", "hello")) == "./products/hello"
    assert Path("itb.yaml").read_text() == text


def test_the_folder_of_the_setting(new: New, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ITB_PRODUCTS", f"{tmp_path}/all,other")
    assert next_name(new("product", "hello")) == "hello"
    assert (tmp_path / "all" / "hello" / "product.yaml").is_file()
    assert not list(Path.cwd().iterdir())


def test_in_a_candidate_itb_yaml_would_not_be_believed(new: New) -> None:
    Path("build/ReleaseManager").mkdir(parents=True)
    assert next_name(new("product", "hello")) == "./hello"
    assert not Path("itb.yaml").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("kind", KINDS)
def test_what_root_writes_belongs_to_who_used_sudo(new: New, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setenv("SUDO_UID", "54321")
    monkeypatch.setenv("SUDO_GID", "54321")
    new(kind, "mine")
    assert {path.stat().st_uid for path in Path.cwd().rglob("*")} == {54321}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("owner", [0, 54321])
def test_a_file_that_is_changed_keeps_its_owner(new: New, monkeypatch: pytest.MonkeyPatch, owner: int) -> None:
    """Root's own itb.yaml was the user's afterwards."""
    monkeypatch.setenv("SUDO_UID", "54321")
    monkeypatch.setenv("SUDO_GID", "54321")
    Path("itb.yaml").write_text("jobs: 2\n")
    os.chown("itb.yaml", owner, owner)
    new("product", "mine")
    assert "products: [products]" in Path("itb.yaml").read_text()
    assert (Path("itb.yaml").stat().st_uid, Path("itb.yaml").stat().st_gid) == (owner, owner)
    assert Path("products").stat().st_uid == 54321


def test_a_folder_that_others_can_change(new: New, tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(UsageError, match="open can be written by everybody"):
        new("product", str(tmp_path / "open" / "x"))
    assert not list((tmp_path / "open").iterdir())
