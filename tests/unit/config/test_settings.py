"""Settings in layers: who wins, where each value came from, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from itb.config import options
from itb.config import settings as config_settings
from itb.config.settings import Settings
from itb.errors import UsageError
from itb.util import known_secrets, ownership, yamlfile
from itb.util.redact import MARK, redact

MARKER = "<!-- settings -->"


@pytest.fixture(autouse=True)
def _clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("ITB_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))
    (tmp_path / "user" / "itb").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)


def test_defaults() -> None:
    settings, origins = config_settings.load()
    assert (settings.platform, settings.engine, settings.keep) == (("deb13",), "podman", "never")
    assert set(origins.values()) == {"default"}


def test_each_layer_wins_over_the_one_below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = ("jobs", "ref", "keep", "engine")
    (tmp_path / "user/itb/itb.yaml").write_text("jobs: 2\nref: a\nkeep: failed\nengine: user")
    (tmp_path / "itb.yaml").write_text("ref: b\nkeep: always\nengine: here")
    monkeypatch.setenv("ITB_KEEP", "never")
    monkeypatch.setenv("ITB_ENGINE", "env")
    settings, origins = config_settings.load({"engine": "docker"})
    assert [getattr(settings, key) for key in keys] == [2, "b", "never", "docker"]
    assert [origins[key] for key in keys] == [
        str(tmp_path / "user/itb/itb.yaml"), str(tmp_path / "itb.yaml"), "environment ITB_KEEP", "flag --engine",
    ]  # fmt: skip


def test_what_was_not_given() -> None:
    settings, origins = config_settings.load({"ref": "", "jobs": None, "scenario": (), "unknown": "x"})
    assert settings.ref == ""
    assert origins["ref"] == "default"


@pytest.mark.parametrize("key", ["ref", "platform", "jobs", "keep", "allow_unsigned", "token"])
@pytest.mark.parametrize("value", ["", "  "])
def test_a_variable_that_is_set_and_empty(key: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """``ITB_REF=$TAG`` of a job in which TAG is not set: the default would have been tested."""
    monkeypatch.setenv(f"ITB_{key.upper()}", value)
    with pytest.raises(UsageError, match=f"^environment ITB_{key.upper()} is empty$"):
        config_settings.load()


@pytest.mark.parametrize("value", [",", "smoke,", ",smoke", "smoke,,packages", "smoke, ,packages"])
def test_a_list_with_something_empty(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"^flag --scenario: one of '.*' is empty"):
        config_settings.load({"scenario": value})
    monkeypatch.setenv("ITB_SCENARIO", value)
    with pytest.raises(UsageError, match=r"^environment ITB_SCENARIO: one of '.*' is empty"):
        config_settings.load()


def test_text_becomes_what_the_key_wants(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ITB_JOBS", "3")
    monkeypatch.setenv("ITB_TIMEOUT_FACTOR", "1.5")
    settings, _ = config_settings.load({"platform": "el9, deb13", "scenario": "smoke"})
    assert (settings.jobs, settings.timeout_factor) == (3, 1.5)
    assert (settings.platform, settings.scenario) == (("el9", "deb13"), ("smoke",))


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("JOBS", "many", "environment ITB_JOBS: 'many' is not a whole number"),
        ("JOBS", "0", "environment ITB_JOBS: must be greater than or equal to 1"),
        ("JOBS", "1.5", "is not a whole number"),
        ("JOBS", "33", "environment ITB_JOBS: must be less than or equal to 32 (got 33)"),
        ("RETRIES", "-1", "ITB_RETRIES: must be greater than or equal to 0"),
        ("TIMEOUT_FACTOR", "0", "ITB_TIMEOUT_FACTOR: must be greater than 0"),
        ("TOKEN_MIN_LIFETIME", "-1", "ITB_TOKEN_MIN_LIFETIME: must be greater than or equal to 0"),
        ("RUN_TIMEOUT", "inf", "environment ITB_RUN_TIMEOUT: must be a finite number"),
        ("ALLOW_UNSIGNED", "maybe", "ITB_ALLOW_UNSIGNED: must be true or false"),
        ("KEEP", "sometimes", "environment ITB_KEEP: must be 'never', 'failed' or 'always'"),
        ("TOKEN", "x", "environment ITB_TOKEN: can only be set in a file"),
        ("PLATFORM", " , ", "environment ITB_PLATFORM: one of"),
    ],
)
def test_environment_that_is_refused(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, message: str
) -> None:
    monkeypatch.setenv(f"ITB_{variable}", value)
    with pytest.raises(UsageError) as caught:
        config_settings.load()
    assert message in caught.value.message


def test_variable_that_is_nearly_a_setting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own = ("ITB_RUN", "ITB_COMMAND", "ITB_LONG", "ITB_GLIDEINWMS", "ITB_FAULTS_X", "ITB_TOKEN_DIR", "ITB_PLATFORM")
    for name in ("ITB_PLATFOM", *own):
        monkeypatch.setenv(name, "deb13")
    config_settings._warn_of_variables.cache_clear()
    config_settings.load()
    config_settings.load()
    warning = "itb: environment ITB_PLATFOM: no such setting; did you mean ITB_PLATFORM?\n"
    assert capsys.readouterr().err == warning, "once"


def test_documentation_has_the_table_of_settings() -> None:
    """Wherever the marker stands; ``config.settings_table()`` makes it."""
    top = Path(__file__).resolve().parents[3]
    files = [path for path in top.rglob("*.md") if ".venv" not in path.parts]
    shown = [text.split(MARKER)[1].strip() for path in files if MARKER in (text := path.read_text())]
    assert shown == [config_settings.settings_table()]


def test_every_setting_is_declared() -> None:
    assert set(config_settings.declared()) == set(config_settings.Settings.model_fields)
    assert set(options.settings()) == set(config_settings.declared()) - {"publish", "host_limits"}
    for name, option in config_settings.declared().items():
        assert option.name == name
        assert option.help
        assert f"`{name}`" in config_settings.settings_table()


@pytest.mark.parametrize(("text", "value"), [("yes", True), ("TRUE", True), ("0", False), ("off", False)])
def test_a_switch_in_the_environment(text: str, value: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ITB_ALLOW_UNSIGNED", text)
    settings, origins = config_settings.load()
    assert settings.allow_unsigned is value
    assert origins["allow_unsigned"] == "environment ITB_ALLOW_UNSIGNED"


def test_flag_that_is_refused() -> None:
    with pytest.raises(UsageError, match="flag --jobs: 'x' is not a whole number"):
        config_settings.load({"jobs": "x"})
    with pytest.raises(UsageError, match="flag --token-hook"):
        config_settings.load({"token_hook": 3})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"produkt: x", r"itb\.yaml:1: unknown key 'produkt'; did you mean 'product'"),
        (b"\n\njobs: '3'", r"itb\.yaml:3: jobs: must be a whole number"),
        (b"platform: []", r"itb\.yaml.*platform: at least one is needed"),
        (b"jobs: \xff", r"itb\.yaml: not UTF-8 text"),
    ],
)
def test_file_that_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "itb.yaml").write_bytes(content)
    with pytest.raises(UsageError, match=message):
        config_settings.load()


@pytest.mark.parametrize("kind", ["folder", "pipe", "loop", "dangling"])
def test_what_is_no_file_is_not_passed_over(kind: str, tmp_path: Path) -> None:
    place = tmp_path / "itb.yaml"
    if kind == "folder":
        place.mkdir()
    elif kind == "pipe":
        os.mkfifo(place)
    else:
        place.symlink_to("itb.yaml" if kind == "loop" else "nowhere")
    with pytest.raises(UsageError, match=r"itb\.yaml: cannot be read: "):
        config_settings.load()


def test_file_that_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "itb.yaml").write_text("# nothing\n---\n")
    assert config_settings.load()[0].jobs == 1


def test_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    settings, _ = config_settings.load({"runs": "my runs"})
    assert settings.runs_dir == tmp_path / "my runs"
    assert settings.cache_dir == Path("/home/me/.cache/itb/format-1")
    assert config_settings.load({"cache": "~/c"})[0].cache_dir == Path("/home/me/c/format-1")


def test_options_of_a_misspelt_platform_are_refused(tmp_path: Path) -> None:
    (tmp_path / "itb.yaml").write_text("platform_options: {deb31: {date: x}}")
    with pytest.raises(UsageError, match=r"itb\.yaml: platform_options: there is no platform 'deb31'.*'deb13'"):
        config_settings.load()


@pytest.mark.parametrize(
    "more", ["platform: [elsewhere/deb31]", "platforms: [own]"], ids=["given by its path", "in a known folder"]
)
def test_options_of_a_platform_of_ones_own_are_taken(tmp_path: Path, more: str) -> None:
    (tmp_path / "own" / "deb31").mkdir(parents=True)
    (tmp_path / "own" / "deb31" / "platform.yaml").touch()
    (tmp_path / "itb.yaml").write_text(f"platform_options: {{deb31: {{date: x}}, another: {{}}}}\n{more}")
    assert config_settings.load()[0].platform_options["deb31"] == {"date": "x"}


def test_arguments_of_a_hook_are_not_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_secrets, "_texts", set())
    words = f"[/opt/hook, -v, --role, analysis-7, --password=swordfish1, --pin, '4711x2', {tmp_path}]"
    (tmp_path / "itb.yaml").write_text(f"token: {{command: {{command: {words}}}}}\nsource: https://ghp_a1b2c3@h/x\n")
    settings, _ = config_settings.load(cwd=tmp_path)
    recorded = settings.without_secrets()["token"]["command"]["command"]
    assert recorded == ["/opt/hook", "-v", "--role", MARK, MARK, "--pin", MARK, str(tmp_path)]
    assert settings.token["command"]["command"][4] == "--password=swordfish1"
    assert redact("swordfish1 4711x2 ghp_a1b2c3 analysis-7") == f"{MARK} {MARK} {MARK} analysis-7"


def test_what_variables_give_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ITB_TIMEOUT_FACTOR", "2")
    monkeypatch.setenv("ITB_RUN", "of a script")
    assert config_settings.names_from_environment() == ("timeout_factor",)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("memory: '4'", "'4' is not a size such as 4g or 800m"),
        ("memory: lots", "'lots' is not a size such as 4g or 800m"),
        ("memory: 100m", "100m is too little for any host: at least 512m"),
        ("tmpfs: 1k", "1k is too little for any host: at least 64m"),
        ("processes: 3", "must be greater than or equal to 512"),
        ("memry: 4g", "memory"),
    ],
)
def test_limits_of_hosts_that_no_host_could_live_with(tmp_path: Path, given: str, message: str) -> None:
    path = tmp_path / "itb.yaml"
    path.write_text(f"host_limits: {{{given}}}\n")
    with pytest.raises(UsageError, match=message):
        yamlfile.loads(path.read_text(), Settings, where=str(path))


def test_limits_of_hosts() -> None:
    limits = Settings.model_validate({"host_limits": {"memory": "2G"}}).host_limits
    assert limits.description == "memory: 2g, processes: 4096, tmpfs: 1g"


def test_a_secret_that_everybody_can_read_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Open:
        """What every folder above is, which others may go through."""

        parents = ()
        st_mode = 0o644

        def stat(self) -> Open:
            return self

        def __str__(self) -> str:
            return "/etc/itb.yaml"

    file = tmp_path / "itb.yaml"
    file.write_text("source: https://someone:hunter2hunter2@host/x.git\n")
    monkeypatch.setattr("itb.util.files.resolve", lambda path: path)
    ownership.warn_of_readers.cache_clear()
    file.chmod(0o600)
    config_settings.load()
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("itb.util.files.resolve", lambda _: Open())
    ownership.warn_of_readers.cache_clear()
    for _ in range(2):
        config_settings.load()
    err = capsys.readouterr().err
    assert err.count("everybody on this machine can read it\n     chmod go-r /etc/itb.yaml") == 1
    assert "hunter2" not in err


@pytest.mark.parametrize("variable", ["HOME", "XDG_CONFIG_HOME"])
def test_no_home_is_in_the_source_under_test(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """As where HOME=$PWD: the candidate's .config/itb/itb.yaml would be the user's, and so its cached builds."""
    clone, other = tmp_path / "clone", tmp_path / "other"
    other.mkdir()
    (clone / "home").mkdir(parents=True)
    monkeypatch.setenv(variable, str(clone / "home"))
    config_settings.load({"source": str(other)})
    with pytest.raises(UsageError, match="is in a source to be tested"):
        config_settings.load({"source": str(clone)})
    monkeypatch.setenv("ITB_SOURCE", clone.as_uri())
    with pytest.raises(UsageError, match="is in a source to be tested"):
        config_settings.load()
    monkeypatch.delenv("ITB_SOURCE")
    (clone / "build" / "ReleaseManager").mkdir(parents=True)
    with pytest.raises(UsageError, match="is in a source to be tested"):
        config_settings.load()
