"""Tokens in whole runs: one that expires in the middle, one that cannot be renewed, one of another issuer."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# The steps say what a CE says of the first token after its end, and of the one on the same path then.
SCENARIO = """
title: The first token ends meanwhile
needs: {roles: [ce, frontend], token: true}
steps:
  - name: the first token ends
    role: frontend
    timeout: 180
    run: >-
      cp "$ITB_BEARER_TOKEN_FILE" /root/first;
      python3 -c 'import base64, json, time; claims = open("/root/first").read().split(".")[1];
      time.sleep(max(0, json.loads(base64.urlsafe_b64decode(claims + "=="))["exp"] + 3 - time.time()))'
  - name: the first token is refused
    role: frontend
    run: >-
      . "$ITB_LIB/tokens.sh"; address=$(schedd_address) || address="<$ITB_CE_ADDRESS>";
      ! with_token /root/first condor_ping -addr "$address" -type schedd WRITE
  - name: a job is submitted with what is on the path now
    role: frontend
    run: >-
      . "$ITB_LIB/tokens.sh"; cd /tmp;
      printf '%s\\n' 'executable = /bin/true' 'transfer_executable = false' queue >sub;
      with_token "$ITB_BEARER_TOKEN_FILE" condor_submit -spool -pool "$ITB_CE_ADDRESS" -name "$ITB_HOST_CE" sub
"""

PLAIN = """
title: Does without a token
steps: [{name: needs none, role: ce, run: "true"}]
"""

# A hook that borrows the key of the run's own issuer.
HOOK = """\
#!{python}
import json, pathlib, subprocess, sys
from itb.tokens.issuer import Issuer
asked = json.load(sys.stdin)
run = pathlib.Path({runs!r}) / asked["run_id"]
{body}
print(json.dumps({{"version": 1, "token": token}}))
"""

ONCE = """
mark = run / "tokens" / "asked"
if mark.exists():
    print("the token service is down", file=sys.stderr)
    sys.exit(4)
mark.touch()
token = Issuer.load(run / "tokens").mint(asked["audience"], lifetime=130)
"""

# Published beside the run's own issuer, by the same web server.
OTHER = """
issuer = Issuer.load_or_create(run / "tokens" / "other", "https://tokens.glideinwms.org/other.one")
short = json.loads((run / "run.json").read_text())["short"]
for name, content in issuer.files().items():
    command = f'mkdir -p "/srv/issuer/$(dirname {name})"; cat > "/srv/issuer/{name}"'
    services = f"itb-{short}-services"
    subprocess.run([{engine!r}, "exec", "-i", services, "sh", "-c", command], input=content, check=True)
token = issuer.mint(asked["audience"])
"""


@pytest.fixture
def scenario(tmp_path: Path) -> str:
    """Folder of the scenario."""
    (tmp_path / "outlive").mkdir()
    (tmp_path / "outlive" / "scenario.yaml").write_text(SCENARIO)
    return str(tmp_path / "outlive")


def write_hook(tmp_path: Path, name: str, body: str) -> None:
    """Put a hook into the folder the configuration names."""
    (tmp_path / "hooks").mkdir(exist_ok=True)
    text = HOOK.format(python=sys.executable, runs=str(tmp_path / "runs"), body=textwrap.dedent(body).strip())
    (tmp_path / "hooks" / name).write_text(text)
    (tmp_path / "hooks" / name).chmod(0o755)


def test_a_token_that_ends_in_the_middle_is_renewed_before(
    itb_run: Callable[..., Any], tmp_path: Path, scenario: str
) -> None:
    (tmp_path / "itb.yaml").write_text("token: {local: {lifetime: 75}}\ntoken_min_lifetime: 30\n")
    run = itb_run("--scenario", scenario)
    assert run.code == 0, run.story
    renewals = [case for case in run.cases if "renewal" in case.name]
    assert len(renewals) >= 3
    assert {case.phase for case in renewals} == {"token"}
    assert [case.name for case in run.cases if case.name.startswith("outlive: a job is submitted")]


def test_a_token_that_cannot_be_renewed_serves_to_its_end(
    itb_run: Callable[..., Any], tmp_path: Path, scenario: str
) -> None:
    (tmp_path / "itb.yaml").write_text("hooks: [hooks]\ntoken_min_lifetime: 30\n")
    write_hook(tmp_path, "once", ONCE)
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "scenario.yaml").write_text(PLAIN)
    run = itb_run("--scenario", f"{scenario},smoke,{tmp_path / 'plain'}", "--token-hook", "once")
    assert run.code == 6, run.story
    first, *_ = [case for case in run.cases if "renewal 1" in case.name]
    assert (first.phase, first.kind) == ("token", "error")
    assert "the token service is down" in first.message
    assert "the old token serves until" in first.message
    kinds = {case.name.partition(": ")[2]: case for case in run.cases if case.name.startswith("outlive")}
    assert kinds["the first token ends"].kind == "passed"  # the run went on
    assert kinds["a job is submitted with what is on the path now"].kind == "error"
    assert "expired at" in kinds["a job is submitted with what is on the path now"].message
    smoke = [case for case in run.cases if case.name.startswith("smoke")]
    assert len(smoke) == 1  # it was not started ...
    assert "the token lives 0 s more" in smoke[0].message
    assert "plain: needs none" in [case.name for case in run.of_kind("passed")]  # ... this was


def test_a_token_of_another_issuer_is_mapped(itb_run: Callable[..., Any], engine: Any, tmp_path: Path) -> None:
    (tmp_path / "itb.yaml").write_text("hooks: [hooks]\n")
    write_hook(tmp_path, "other", OTHER.replace("{engine!r}", repr(engine.program)))
    run = itb_run("--scenario", "tokens", "--token-hook", "other")
    assert run.code == 0, run.story
    passed = [case.name for case in run.of_kind("passed")]
    assert "CE maps tokens of https://tokens.glideinwms.org/other.one" in passed
    assert "tokens: the job runs at the CE and carries the token's claims" in passed
    assert run.properties["token.issuer"] == "https://tokens.glideinwms.org/other.one", run.properties
