"""Hooks tried as a run would use them."""

from __future__ import annotations

from pathlib import Path

import pytest

from itb.process.runner import Runner
from itb.tokens.issuer import Issuer
from itb.tokens.providers.base import ProviderContext
from itb.tokens.request import TokenRequest
from itb.tokens.try_hook import try_hook

CE = "ce-workspace.glideinwms.org:9619"
REQUEST = TokenRequest(run_id="try", ce=CE, audience=CE, deadline_s=10)


def hook(folder: Path, body: str) -> ProviderContext:
    path = folder / "mine"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return ProviderContext(runner=Runner(), issuer=Issuer.create(folder / "issuer"), hook_dirs=(folder,))


def test_a_good_hook(tmp_path: Path) -> None:
    issuer = Issuer.create(tmp_path / "issuer")
    token = issuer.mint(CE)
    body = f'echo hello {token} >&2; echo \'{{"version": 1, "token": "{token}"}}\''
    context = hook(tmp_path, body)
    seen = try_hook("mine", REQUEST, ProviderContext(runner=Runner(), issuer=issuer, hook_dirs=context.hook_dirs))
    assert seen.good
    assert seen.exit_code == 0
    assert seen.output_bytes > len(token)
    assert "hello [redacted]" in seen.diagnostics
    assert '"audience"' in seen.asked
    assert "ITB_TOKEN_CE" in seen.environment
    assert token not in seen.model_dump_json()
    assert token.rpartition(".")[2] not in seen.model_dump_json()


def test_a_hook_with_a_bad_token_is_explained_claim_by_claim(tmp_path: Path) -> None:
    issuer = Issuer.create(tmp_path / "issuer")
    context = hook(tmp_path, f'echo \'{{"version": 1, "token": "{issuer.mint_faulty(REQUEST, "expired")}"}}\'')
    seen = try_hook("mine", REQUEST, context)
    assert not seen.good
    assert not seen.problem
    assert [verdict.claim for verdict in seen.verdicts if not verdict.ok][-1] == "exp"


def test_a_hook_that_breaks_the_protocol(tmp_path: Path) -> None:
    seen = try_hook("mine", REQUEST, hook(tmp_path, "echo thinking >&2; exit 9"))
    assert not seen.good
    assert seen.exit_code == 9
    assert "exit 9, which the protocol does not know: thinking" in seen.problem
    assert "itb help tokens" in seen.hint
    assert "token try" not in seen.hint, "it was typed a moment ago"


@pytest.mark.parametrize("code", [2, 3, 4, 5])
def test_no_next_step_is_what_was_typed(code: int, tmp_path: Path) -> None:
    seen = try_hook("mine", REQUEST, hook(tmp_path, f"exit {code}"))
    assert seen.hint
    assert "token try" not in seen.hint


def test_a_provider_that_is_no_program(tmp_path: Path) -> None:
    assert try_hook("local", REQUEST, hook(tmp_path, "true")).good
    assert "no issuer" in try_hook("local", REQUEST, ProviderContext(runner=Runner())).problem
