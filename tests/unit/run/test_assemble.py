"""Places itb is started in or told to use: refused by name where they cannot be used."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from itb.cli.commands import inspect, new_run
from itb.config import settings
from itb.config.settings import Settings
from itb.errors import UsageError
from itb.process.runner import Runner
from itb.run import assemble

SCENARIO = "title: T\nsteps: [{name: n, role: frontend, run: 'true'}]\n"


@pytest.fixture(autouse=True)
def _own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "no-config"))
    monkeypatch.chdir(tmp_path)


def test_a_directory_that_was_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(UsageError, match="the current directory does not exist any more"):
        settings.load()


@pytest.mark.parametrize("key", ["runs", "cache"])
@pytest.mark.parametrize("folder", ["/dev/null", "/dev/null/deep/er"])
def test_a_folder_that_can_be_none(key: str, folder: str) -> None:
    with pytest.raises(UsageError, match=rf"{key} is {folder} \(flag --{key}\), but /dev/null is not") as caught:
        settings.load({key: folder})
    assert caught.value.hint == f"--{key} DIR chooses another"


def test_a_directory_whose_name_no_run_can_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = os.fsencode(tmp_path) + b"/\xff"
    os.mkdir(odd)  # noqa: PTH102 - its name is bytes
    assemble.check_working_directory()
    monkeypatch.chdir(os.fsdecode(odd))
    with pytest.raises(UsageError, match=r"udcff', is not UTF-8 text") as caught:
        new_run.run(Settings(product="pocketwms"))
    caught.value.message.encode()
    with pytest.raises(UsageError, match=r"flag --runs: .*not valid UTF-8"):
        settings.load({"runs": "\udcff"})


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("d1/same", "./d2/same"), "two scenarios have the name same: {here}/d1/same and {here}/d2/same"),
        (("d1/same", "smoke", "./d1/same"), "scenario same is named twice"),
        (("smoke", "smoke"), "scenario smoke is named twice"),
    ],
)
def test_two_scenarios_of_one_name(names: tuple[str, ...], message: str, tmp_path: Path) -> None:
    for name in ("d1/same", "d2/same"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "scenario.yaml").write_text(SCENARIO)
    with pytest.raises(UsageError) as caught:
        assemble.find_definitions(Settings(product="pocketwms", scenario=names))
    assert caught.value.message == message.format(here=tmp_path)
    (definitions,) = assemble.find_definitions(Settings(product="pocketwms", scenario=("smoke", "d2/same")))
    assert len(definitions.scenarios) == 2


def test_a_set_stands_for_its_scenarios_each_of_which_is_tried_once() -> None:
    (release,) = assemble.find_definitions(Settings(product="pocketwms", scenario=("release", "smoke")))
    names = [scenario.name for scenario in release.scenarios]
    assert sorted(set(names)) == sorted(names)
    assert {"smoke", "packages", "upgrade", "used", "skew"} <= set(names)
    with pytest.raises(UsageError, match="unknown scenario 'releases'"):
        assemble.find_definitions(Settings(product="pocketwms", scenario=("releases",)))


PRODUCT = """
title: t
source: {url: src}
packages: [x]
build: {command: make}
testbed: one-host
scenarios: [own]
roles: {server: {packages: [x]}}
"""


@pytest.fixture
def product(tmp_path: Path) -> Path:
    """A product on one host, with a scenario and a source of its own."""
    folder = tmp_path / "x"
    (folder / "scenarios" / "own").mkdir(parents=True)
    (folder / "src").mkdir()
    (folder / "product.yaml").write_text(PRODUCT)
    (folder / "scenarios" / "own" / "scenario.yaml").write_text(SCENARIO.replace("frontend", "server"))
    return folder


def test_a_product_brings_scenarios_and_testbeds(product: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are found from any directory, before itb's own."""
    (part,) = assemble.find_definitions(Settings(product=str(product)))
    assert part.topology.file.name == "one-host.compose.yaml"
    assert [scenario.folder for scenario in part.scenarios] == [product / "scenarios" / "own"]
    ours = part.topology.file.with_name("three-hosts.compose.yaml").read_text()
    for name, written in (("one-host", "one-host"), ("mine", "./mine.compose.yaml")):
        (product / f"{name}.compose.yaml").write_text(ours)
        (product / "product.yaml").write_text(
            PRODUCT.replace("one-host", written).replace("server", "factory").replace("[own]", "[services]")
        )
        (part,) = assemble.find_definitions(Settings(product=str(product)))
        assert part.topology.file == product / f"{name}.compose.yaml"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{server: {packages", "{serv: {packages",
         "product x: testbed one-host has no host for role 'serv'; did you mean 'server'?; it has: bare, server"),
        ("server", "workspace",
         "product x: testbed one-host has no host for role 'workspace'; it has: bare, server"),
        ("title: t", "title: t\ntoken: {role: server, path: /t}",
         "product x: it has a token, but testbed one-host no Compute Entrypoint"),
        ("one-host", "one-hots", "unknown testbed 'one-hots'; did you mean 'one-host'?"),
        ("[own]", "[owm]", "unknown scenario 'owm'; did you mean 'own'?"),
    ],
)  # fmt: skip
def test_products_that_do_not_fit_their_testbed(product: Path, old: str, new: str, message: str) -> None:
    (product / "product.yaml").write_text(PRODUCT.replace(old, new))
    wrong = Settings(product=str(product))
    for refuse in (
        lambda: assemble.find_definitions(wrong),
        lambda: inspect.show_product(str(product), as_json=False),
    ):
        with pytest.raises(UsageError) as caught:
            refuse()
        assert caught.value.message == message


def test_a_build_command_is_not_told_to_use_mock(product: Path) -> None:
    with pytest.raises(UsageError, match="product x is built by a command of its own"):
        assemble.find_definitions(Settings(product=str(product), builder="mock"))


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("src", "{product}/src"), (".", "{product}"), ("..", "{above}"), ("/", "/"), ("gone", "gone"),
        ("https://example.org/src", "https://example.org/src"), ("git@host:src", "git@host:src"),
    ],
)  # fmt: skip
def test_source_that_is_a_path_is_relative_to_the_product(product: Path, url: str, origin: str) -> None:
    (product / "product.yaml").write_text(PRODUCT.replace("{url: src}", f"{{url: '{url}'}}"))
    settings = Settings(product=str(product))
    expected = origin.format(product=product, above=product.parent)
    assert assemble.locate_source(assemble.load_product(settings), settings, Runner()) == expected
    given = Settings(product=str(product), source="elsewhere")
    assert assemble.locate_source(assemble.load_product(given), given, Runner()) == "elsewhere"


def test_two_platforms_of_one_name() -> None:
    with pytest.raises(UsageError, match="platform deb13 is named twice"):
        assemble.find_definitions(Settings(product="pocketwms", platform=("deb13", "deb13")))
