"""Products, platforms, scenarios: those we ship are sound, those that are not are refused at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from itb.config import lookup, step_library
from itb.config.settings import Settings
from itb.data import shipped as data_shipped
from itb.errors import UsageError
from itb.run import assemble

PRODUCT = """
title: t
source: {url: "https://example.org/x.git"}
packages: ["x*"]
build: {checkout_name: x}
roles:
  factory: {packages: [x-factory], configure: conf.sh, services: [condor]}
  frontend: {packages: [x-frontend]}
"""
SCENARIO = "title: t\nsteps:\n- {name: a, role: ce, script: a.sh}\n"


@pytest.mark.parametrize("path", sorted(data_shipped.folder("build_ws").glob("products/*/product.yaml")), ids=str)
def test_products_of_ours(path: Path) -> None:
    product = lookup.load_product(path.parent.name)
    assert product.name == path.parent.name
    for scenario in product.scenarios:
        lookup.load_scenario(scenario)


PLATFORMS = sorted(data_shipped.folder("build_ws").glob("platforms/*/platform.yaml"))


@pytest.mark.parametrize("path", PLATFORMS, ids=str)
def test_platforms_of_ours(path: Path) -> None:
    platform = lookup.load_platform(path.parent.name)
    assert {"bare", "build", "services"} <= set(platform.stages)
    assert (data_shipped.folder("build_ws") / "ce" / platform.ce.configure).is_file()


@pytest.mark.parametrize("path", sorted(data_shipped.folder("scenarios").glob("*/scenario.yaml")), ids=str)
def test_scenarios_of_ours(path: Path) -> None:
    scenario = lookup.load_scenario(path.parent.name)
    assert scenario.title
    assert scenario.roles


PLATFORM = """
title: t
base: {image: i}
stages: {bare: {from: base, script: s.sh}, build: {from: bare, script: s.sh}, services: {from: bare, script: s.sh}}
ce: {packages: [condor], configure: condor.sh, services: [condor]}
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("services: {from: bare, script: s.sh}", "", "no stage 'services'; a run needs bare, build, services"),
        ("build: {from: bare, script: s.sh}", "build: {from: bar, script: s.sh}",
         "stage build: there is no stage 'bar'; did you mean 'bare'?"),
        ("bare: {from: base, script: s.sh}", "bare: {from: base, script: t.sh}",
         "stage bare: script 't.sh' is not a file in {folder}"),
        ("bare: {from: base,", "bare: {from: build,", "stages wait for each other: "),
        ("title: t", "title: t\nresolve: r.sh", "resolve: script 'r.sh' is not a file in {folder}"),
        ("title: t", "title: t\nshared: gone", "shared 'gone': there is no folder "),
    ],
)  # fmt: skip
def test_platforms_that_are_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    folder = tmp_path / "p"
    folder.mkdir()
    (folder / "s.sh").touch()
    (folder / "platform.yaml").write_text(PLATFORM)
    assert lookup.load_platform(str(folder)).name == "p"
    assert old in PLATFORM
    (folder / "platform.yaml").write_text(PLATFORM.replace(old, new))
    with pytest.raises(UsageError) as caught:
        lookup.load_platform(str(folder))
    assert message.replace("{folder}", str(folder)) in caught.value.message
    assert "platform.yaml" in caught.value.message


def test_platform_that_shares_the_files_of_ours(tmp_path: Path) -> None:
    """A folder beside its own of that name comes first."""
    folder = tmp_path / "p"
    folder.mkdir()
    text = PLATFORM.replace("s.sh", "bare.sh").replace("title: t", "title: t\nshared: common-el")
    (folder / "platform.yaml").write_text(text)
    ours = data_shipped.folder("build_ws") / "platforms" / "common-el"
    assert lookup.load_platform(str(folder)).folders == (ours, folder)
    (tmp_path / "common-el").mkdir()
    (tmp_path / "common-el" / "bare.sh").touch()
    assert lookup.load_platform(str(folder)).folders == (tmp_path / "common-el", folder)


@pytest.fixture
def product(tmp_path: Path) -> Path:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "conf.sh").touch()
    (tmp_path / "x" / "product.yaml").write_text(PRODUCT)
    return tmp_path / "x"


def test_by_name_and_by_path(product: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert lookup.load_product("x", [tmp_path]).folder == product
    assert lookup.load_product(str(product)).name == "x"
    monkeypatch.chdir(product)
    assert lookup.load_product(".").folder == product


def test_a_folder_here_is_taken_by_its_path_only(
    product: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name may be in a file of the directory, which may be a candidate's; what to write is said."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="unknown product 'x'") as caught:
        lookup.load_product("x")
    assert caught.value.hint == "--product ./x takes the folder of that name here"
    assert lookup.load_product("./x").folder == product


def test_own_ones_come_first(product: Path, tmp_path: Path) -> None:
    product.rename(tmp_path / "pocketwms")
    assert lookup.load_product("pocketwms", [tmp_path]).title == "t"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("pocketwm", "unknown product 'pocketwm'; did you mean 'pocketwms'?"),
        ("zzz", "unknown product 'zzz'; known: "),
        ("-x", "unknown product '-x'"),
        ("a b; $(id)", "unknown product 'a b; $(id)'"),
        ("a\0b", "unknown product"),
        ("no/where", "product 'no/where': no product.yaml in no/where"),
        ("..", "product '..': no product.yaml in .."),
        ("~no-such-user/x", "product '~no-such-user/x': no product.yaml in"),
        ("a\0/b", "no product.yaml in"),
        ("x" * 5000 + "/y", "no product.yaml in"),
    ],
)
def test_names_that_lead_nowhere(name: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        lookup.load_product(name)
    assert caught.value.message.startswith(message) or message in caught.value.message


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("conf.sh", "gone.sh", "role factory: script 'gone.sh' is not a file in"),
        ("conf.sh", "../x.sh", "is not a file in"),
        ('{url: "https://example.org/x.git"}', "{}", "source: exactly one of history and url is expected"),
        ('{url: "https://example.org/x.git"}', "{history: h.yaml}", "history 'h.yaml' is not a file in"),
        ("{checkout_name: x}", "{checkout_name: x, version_tags: 'v(1'}", "version_tags: not a regular"),
        ("{checkout_name: x}", "{checkout_name: x, version_tags: v1}", "the group (?P<version>...) is missing"),
        ("{checkout_name: x}", "{checkout_name: x, timeout: 0}", "build.timeout: must be greater than 0"),
        ("{checkout_name: x}", "{checkout_name: a/b}", "build.checkout_name: "),
        (
            "{checkout_name: x}",
            "{command: make, release_manager: release.py}",
            ":5: build: one of release_manager and command is expected, not both",
        ),
        ("{checkout_name: x}", "{command: ' '}", ":5: build: command is empty"),
        ("{checkout_name: x}", "{comand: make}", ":5: unknown key 'build.comand'; did you mean 'command'?"),
        # What itb adds to what it has read.
        ("title: t", "title: t\nname: y", ":3: unknown key 'name'"),
        ("title: t", "title: t\nfolder: /y", ":3: unknown key 'folder'"),
        ("title: t", "title: t\ntoken: {role: fronted, path: /t}", "token: the product has no role 'fronted';"),
        (
            "title: t",
            "title: t\ntoken: {role: frontend, path: /t, also: [{role: factry, path: /t}]}",
            "token: the product has no role 'factry'; did you mean 'factory'?",
        ),
        (
            "title: t",
            "title: t\ntoken:\n  role: frontend\n  path: /t\n  also:\n  - {role: frontend, pth: /u}",
            ":7: unknown key 'token.also.0.pth'; did you mean 'path'?",
        ),
        ("title: t", "title: t\ntoken: {role: frontend, path: t}", "token.path"),
        (
            "title: t",
            "title: t\ntoken: {role: frontend, path: /t, also: [{role: frontend, path: /t}]}",
            "role frontend gets the token at /t twice",
        ),
        ("title: t", "title: t\ntrust: [{on: ce, identity: i, path: /t}]", "trust: the product has no role 'ce'"),
    ],
)
def test_products_that_are_refused(product: Path, old: str, new: str, message: str) -> None:
    (product / "product.yaml").write_text(PRODUCT.replace(old, new))
    with pytest.raises(UsageError) as caught:
        lookup.load_product(str(product))
    assert message in caught.value.message
    assert "product.yaml" in caught.value.message


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("a.sh", "b.sh", "step 'a': script 'b.sh' is not a file in"),
        ("a.sh", "lib/sumbit.sh", "itb's library has no such step; did you mean 'lib/submit.sh'?"),
        ("a.sh", "lib/jobs.sh", "and itb's library has no such step; "),  # is only sourced: it would pass
        ("a.sh", "lib/../smoke/submit.sh", "itb's library has no such step"),
        ("a.sh", "/etc/passwd", "is not a file in"),
        ("a.sh", "../s/../../x", "is not a file in"),
        ("script: a.sh", "script: a.sh, run: x", "exactly one of run, script and action"),
        ("script: a.sh", "action: dance", "steps.0.action: must be 'reboot'"),
        ("script: a.sh", "run: x, user: '; rm'", "steps.0.user: String should match pattern"),
        ("script: a.sh", "run: x, flaky: -1", "steps.0.flaky: must be greater than or equal to 0"),
        ("script: a.sh", "run: x, eventually: {within: 0}", "steps.0.eventually.within: must be greater"),
        ("script: a.sh", "run: x, known_failure: {until: soon, reason: r}", "known_failure.until: must be"),
        ("script: a.sh", 'run: "a\\0b"', ":3: steps.0.run: a NUL cannot be part of a command (got 'a\\x00b')"),
        ("script: a.sh", f"run: {'x' * 131_000}", ":3: steps.0.run: longer than 127 KiB, more than a command may"),
        ("script: a.sh", f"run: {'ä' * 66_000}", ":3: steps.0.run: longer than 127 KiB"),
        ("script: a.sh", f"run: x, env: {{A: {'x' * 131_000}}}", ":3: steps.0.env.A: longer than 127 KiB"),
        ("script: a.sh", 'run: x, env: {A: "a\\0"}', ":3: steps.0.env.A: a NUL cannot"),
        ("title: t", 'title: t\nenv:\n  A: "a\\0"', ":3: env.A: a NUL cannot"),
        (
            "title: t",
            "title: t\nenv:\n" + "".join(f"  A{number}: {'x' * 110_000}\n" for number in range(5)),
            ":2: env: more than 512 KiB in all",
        ),
        ("script: a.sh", 'script: "a\\0.sh"', "steps.0.script: a NUL cannot"),
        ("script: a.sh", f"script: {'x' * 300}", "is not a file in"),
        (
            "script: a.sh",
            "run: x, known_failure: {until: 2026-13-45, reason: r}",
            ":3: steps.0.known_failure.until: must be a valid date",
        ),
        ("- {", "- {name: a, role: ce, run: x}\n- {", "two steps are named 'a'"),
        ("steps:\n- {name: a, role: ce, script: a.sh}", "steps: []", "steps: "),
    ],
)
def test_scenarios_that_are_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "a.sh").touch()
    (tmp_path / "s" / "scenario.yaml").write_text(SCENARIO.replace(old, new))
    with pytest.raises(UsageError) as caught:
        lookup.load_scenario("s", [tmp_path])
    assert message in caught.value.message


def test_steps_of_the_library(tmp_path: Path) -> None:
    own = tmp_path / "s"
    own.mkdir()
    (own / "scenario.yaml").write_text(SCENARIO.replace("a.sh", "lib/submit.sh"))
    loaded = lookup.load_scenario("s", [tmp_path])
    shipped = data_shipped.folder("scenarios") / "lib" / "submit.sh"
    assert step_library.script_file(own, "lib/submit.sh") == shipped
    assert step_library.library_scripts(own, loaded.scripts) == {"lib/submit.sh": shipped}
    assert step_library.checksum(own, loaded.scripts) != data_shipped.checksum(own)
    # A scenario's own file of that name comes first: it was there before the library had one.
    (own / "lib").mkdir()
    (own / "lib" / "submit.sh").touch()
    assert step_library.library_scripts(own, lookup.load_scenario("s", [tmp_path]).scripts) == {}
    assert step_library.checksum(own, loaded.scripts) == data_shipped.checksum(own)


def test_no_script_is_in_two_scenarios() -> None:
    """What two scenarios share lives in the library."""
    contents: dict[bytes, Path] = {}
    for path in sorted(data_shipped.folder("scenarios").glob("*/*.sh")):
        other = contents.setdefault(path.read_bytes(), path)
        assert other == path, f"{path} is the same as {other}"


def test_a_command_may_be_nearly_as_long_as_the_kernel_allows(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    line = f"run: {'x' * 130_000}, known_failure: {{until: 2026-12-31, reason: r}}"
    (tmp_path / "s" / "scenario.yaml").write_text(SCENARIO.replace("script: a.sh", line))
    (step,) = lookup.load_scenario("s", [tmp_path]).steps
    assert step.known_failure is not None
    assert step.known_failure.until.isoformat() == "2026-12-31"


def test_roles_in_order_of_appearance(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    text = "title: t\nneeds: {roles: [frontend]}\nsteps:\n- {name: a, role: ce, run: x}\n"
    (tmp_path / "s" / "scenario.yaml").write_text(text + "always:\n- {name: b, role: factory, run: x}\n")
    assert lookup.load_scenario("s", [tmp_path]).roles == ("frontend", "ce", "factory")


@pytest.mark.parametrize("platform", ["el8", "el9", "el10"])
def test_mock_where_the_platform_has_it(platform: str) -> None:
    settings = Settings(product="pocketwms", platform=(platform,), builder="mock", allow_privileged=True)
    (part,) = assemble.find_definitions(settings)
    assert [path.name for path in part.topology.overlays] == ["privileged-workspace.yaml"]
    assert part.topology.overlays[0].is_file()
    other_builder = settings.model_copy(update={"builder": "rpmbuild"})
    assert assemble.find_definitions(other_builder)[0].topology.overlays == ()


def test_mock_is_refused_where_it_cannot_be() -> None:
    with pytest.raises(UsageError, match="deb13 cannot build with mock: mock has configurations for Enterprise"):
        assemble.find_definitions(Settings(product="pocketwms", builder="mock"))
