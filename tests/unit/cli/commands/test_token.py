"""What ``itb token check`` and ``try`` say, and that they never say the token."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from itb.cli.commands import token as commands_token
from itb.errors import UsageError
from itb.tokens.issuer import Issuer
from itb.tokens.request import TokenRequest

AUDIENCE = "ce.example.org:9619"
REQUEST = TokenRequest(run_id="r", ce=AUDIENCE, audience=AUDIENCE)


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    return Issuer.create(tmp_path / "issuer")


def check(tmp_path: Path, token: str, *, as_json: bool = False) -> int:
    (tmp_path / "token").write_text(f"{token}\n")
    return commands_token.check(str(tmp_path / "token"), AUDIENCE, as_json=as_json)


@pytest.mark.parametrize(
    ("keys", "fault", "code", "verdict"),
    [
        (True, "", 0, "a CE would accept this token"),
        (False, "", 0, "unverified: nothing a CE would refuse, but the keys of https://tokens.glideinwms.org/itb"),
        (True, "other-key", 6, "a CE would refuse this token"),
        (False, "expired", 6, "a CE would refuse this token"),
        (True, "no-port", 6, "lacks the port"),
    ],
)
def test_check(
    keys: bool, fault: str, code: int, verdict: str,
    issuer: Issuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(commands_token, "fetch_jwks", lambda _: issuer.jwks() if keys else None)
    token = issuer.mint_faulty(REQUEST, fault) if fault else issuer.mint_for(REQUEST)
    assert check(tmp_path, token) == code
    out = capsys.readouterr().out
    assert verdict in out
    assert token not in out
    assert token.rpartition(".")[2] not in out
    if not keys:
        assert "would accept" not in out
    assert check(tmp_path, token, as_json=True) == code
    document = json.loads(printed := capsys.readouterr().out)
    assert token.rpartition(".")[2] not in printed
    assert document["exit_code"] == code
    assert document["verdict"] in out
    assert all(claim["ok"] for claim in document["claims"]) == (code == 0)


def test_check_of_no_file_and_of_no_token(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="No such file"):
        commands_token.check(str(tmp_path / "none"), AUDIENCE, as_json=False)
    assert check(tmp_path, "Bearer x") == 6
    assert "begins with the word 'Bearer'" in " ".join(capsys.readouterr().out.split())


def test_try_of_a_provider_that_needs_a_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert commands_token.try_hook("local", AUDIENCE, as_json=False) == 6
    assert "works inside a run only" in capsys.readouterr().out
    assert commands_token.try_hook("local", AUDIENCE, as_json=True) == 6
    document = json.loads(capsys.readouterr().out)
    assert (document["name"], document["usable"]) == ("local", False)
    assert "works inside a run only" in document["hint"]
