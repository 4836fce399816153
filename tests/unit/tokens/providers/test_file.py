from __future__ import annotations

import os
from pathlib import Path

import pytest

from itb.process.runner import Runner
from itb.tokens.acquire import acquire
from itb.tokens.issuer import Issuer
from itb.tokens.private_file import read_private
from itb.tokens.providers.base import ProviderContext
from itb.tokens.request import AcquireError, TokenRequest

CE = "ce.example.org:9619"
REQUEST = TokenRequest(run_id="r", ce=CE, audience=CE)
VARIABLES = ("BEARER_TOKEN", "BEARER_TOKEN_FILE", "XDG_RUNTIME_DIR")


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ProviderContext:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return ProviderContext(runner=Runner(), issuer=Issuer.create(tmp_path / "issuer"))


def put(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


def subject(context: ProviderContext) -> str:
    return acquire("file", REQUEST, context)[0].subject


def test_the_discovery_order(context: ProviderContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert context.issuer is not None
    mint = context.issuer.mint
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    put(tmp_path / f"bt_u{os.geteuid()}", mint(CE, subject="runtime"))
    assert subject(context) == "runtime"
    monkeypatch.setenv(
        "BEARER_TOKEN_FILE", str(put(tmp_path / "named", f"\n {mint(CE, subject='named')} \n"))
    )
    assert subject(context) == "named"
    monkeypatch.setenv("BEARER_TOKEN", mint(CE, subject="variable"))
    assert subject(context) == "variable"
    named = put(tmp_path / "mine", mint(CE, subject="configured"))
    configured = ProviderContext(runner=Runner(), issuer=context.issuer, options={"file": {"path": str(named)}})
    assert subject(configured) == "configured"


def test_a_named_file_that_is_missing_is_not_replaced(
    context: ProviderContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEARER_TOKEN_FILE", str(tmp_path / "none"))
    with pytest.raises(AcquireError, match="none does not exist"):
        acquire("file", REQUEST, context)


def test_no_token_anywhere_says_where_it_looked(context: ProviderContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("itb.tokens.providers.file.discover", lambda: None)
    with pytest.raises(
        AcquireError, match=f"looked at BEARER_TOKEN, BEARER_TOKEN_FILE, /tmp/bt_u{os.geteuid()}"
    ):
        acquire("file", REQUEST, context)


def test_an_expired_token_somebody_forgot(
    context: ProviderContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert context.issuer is not None
    path = put(tmp_path / "t", context.issuer.mint_faulty(REQUEST, "expired"))
    monkeypatch.setenv("BEARER_TOKEN_FILE", str(path))
    with pytest.raises(AcquireError, match="token from file: expired at"):
        acquire("file", REQUEST, context)


def test_a_file_replaced_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path / "t", "old")
    real_read = os.read

    def read(descriptor: int, size: int) -> bytes:
        put(tmp_path / "new", "new").replace(path)
        return real_read(descriptor, size)

    monkeypatch.setattr(os, "read", read)
    with pytest.raises(AcquireError, match="was replaced while it was read"):
        read_private(path, what="token file")


def test_a_file_too_large(tmp_path: Path) -> None:
    with pytest.raises(AcquireError, match="larger than"):
        read_private(put(tmp_path / "t", "x" * 20000), what="token file")
    with pytest.raises(AcquireError, match="not plain text"):
        read_private(put(tmp_path / "u", "ü"), what="token file")
