"""Tokens in whole runs: one that ends in the middle, one that cannot be renewed, one that is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from itb.data import shipped

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

# One that puts an expired token there, waits until the other role has got a new one, and leaves it there.
SPOILT = """
title: Puts another token in the place of the run's own
needs: {roles: [factory, frontend], token: true}
steps:
  - {name: it expires, role: frontend, run: cat "$ITB_TOKEN_DIR/expired" >"$ITB_BEARER_TOKEN_FILE"}
  - {name: the other role has its own path, role: factory, run: cp "$ITB_BEARER_TOKEN_FILE" /root/before}
  - name: the other role gets a new one
    role: factory
    run: >-
      ! cmp --quiet "$ITB_BEARER_TOKEN_FILE" /root/before && [ "$ITB_BEARER_TOKEN_FILE" = /srv/also.scitoken ] &&
      [ "$(stat --format '%U %a' /srv/also.scitoken)" = 'pocketfactory 600' ]
    eventually: {within: 90, every: 1}
  - {name: it stays expired, role: frontend, run: cmp "$ITB_TOKEN_DIR/expired" "$ITB_BEARER_TOKEN_FILE"}
"""

AFTER = """
title: Finds the run's own token again
needs: {roles: [frontend], token: true}
steps:
  - name: it is not the expired one
    role: frontend
    run: >-
      . "$ITB_LIB/tokens.sh"; ! cmp --quiet "$ITB_TOKEN_DIR/expired" "$ITB_BEARER_TOKEN_FILE";
      with_token "$ITB_BEARER_TOKEN_FILE" condor_ping -addr "$(schedd_address)" -type schedd WRITE
"""

PLAIN = """
title: Does without a token
steps: [{name: needs none, role: ce, run: "true"}]
"""

UNTIL_A_SCENARIO_BEGINS = """
if list((run / "results").glob("outlive/*")):
    print("the token service is down", file=sys.stderr)
    sys.exit(4)
token = Issuer.load(run / "tokens").mint(asked["audience"], lifetime=24)
"""

@pytest.fixture
def scenario(tmp_path: Path) -> str:
    """Folder of the scenario."""
    (tmp_path / "outlive").mkdir()
    (tmp_path / "outlive" / "scenario.yaml").write_text(SCENARIO)
    return str(tmp_path / "outlive")


@pytest.mark.long
def test_a_token_that_ends_in_the_middle_is_renewed_before(
    itb_run: Callable[..., Any], tmp_path: Path, scenario: str
) -> None:
    (tmp_path / "itb.yaml").write_text("token: {local: {lifetime: 24}}\ntoken_min_lifetime: 10\n")
    folder = tmp_path / "products" / "pocketwms"
    shutil.copytree(shipped.folder("build_ws") / "products" / "pocketwms", folder)
    text = (folder / "product.yaml").read_text()
    also = "token:\n  also: [{role: factory, path: /srv/also.scitoken, owner: pocketfactory}]\n"
    (folder / "product.yaml").write_text(text.replace("token:\n", also, 1))
    for name, play in (("spoilt", SPOILT), ("after", AFTER)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "scenario.yaml").write_text(play)
    run = itb_run("--scenario", f"{scenario},{tmp_path}/spoilt,{tmp_path}/after", product=str(folder))
    assert run.code == 0, run.story
    (renewed,) = [case for case in run.cases if "stays valid" in case.name]
    assert (renewed.phase, renewed.kind) == ("token", "passed")
    told = [json.loads(line) for line in (run.folder / "cases.jsonl").read_text().splitlines()]
    messages = [case["message"] for case in told if case.get("name") == renewed.name]
    assert len([message for message in messages if message.startswith("renewed with")]) >= 3, messages
    assert any("holds what a scenario put there, which stays" in message for message in messages)
    assert any("put back where a scenario left another" in message for message in messages)
    assert [case for case in run.cases if case.name.startswith("outlive: a job is submitted")]


@pytest.mark.whole
def test_a_token_that_cannot_be_renewed_serves_to_its_end(
    itb_run: Callable[..., Any], write_hook: Callable[..., None], tmp_path: Path, scenario: str
) -> None:
    (tmp_path / "itb.yaml").write_text("hooks: [hooks]\ntoken_min_lifetime: 10\n")
    write_hook("flaky", UNTIL_A_SCENARIO_BEGINS)
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "scenario.yaml").write_text(PLAIN)
    run = itb_run("--scenario", f"{scenario},smoke,{tmp_path / 'plain'}", "--token-hook", "flaky")
    assert run.code == 6, run.story
    (failed,) = [case for case in run.of_kind("error") if "stays valid" in case.name]
    assert (failed.phase, failed.kind) == ("token", "error")
    assert "the token service is down" in failed.message
    # It was said at once, while the old one lived; the report has how it ended.
    told = [json.loads(line) for line in (run.folder / "cases.jsonl").read_text().splitlines()]
    tries = [case["message"] for case in told if case.get("name") == failed.name and case["outcome"] == "error"]
    assert "the old token serves until" in tries[0]
    assert "the old token has expired" in tries[-1]
    assert tries[0] != failed.message
    kinds = {case.name.partition(": ")[2]: case for case in run.cases if case.name.startswith("outlive")}
    assert kinds["the first token ends"].kind == "passed"  # the run went on
    assert kinds["a job is submitted with what is on the path now"].kind == "error"
    assert "expired at" in kinds["a job is submitted with what is on the path now"].message
    smoke = [case for case in run.cases if case.name.startswith("smoke")]
    assert {case.kind for case in smoke} == {"error", "skipped"}  # it was not started ...
    assert "the token lives 0 s more" in smoke[0].message
    assert "plain: needs none" in [case.name for case in run.of_kind("passed")]  # ... this was


def test_a_token_that_is_refused_is_known_in_seconds(
    itb_run: Callable[..., Any], write_hook: Callable[..., None], tmp_path: Path
) -> None:
    (tmp_path / "itb.yaml").write_text("hooks: [hooks]\n")
    write_hook("old", 'token = Issuer.load(run / "tokens").mint(asked["audience"], lifetime=-5)')
    run = itb_run("--token-hook", "old")
    assert run.code == 6, run.story
    (refused,) = run.of_kind("error")
    assert (refused.phase, refused.role) == ("token", "frontend")
    assert "token from old: expired at" in refused.message
    assert {case.kind for case in run.cases if case.phase in ("build", "up", "install")} == {"skipped"}
    assert all("token from old: expired at" in case.message for case in run.of_kind("skipped"))
    assert not list((run.folder / "tokens").iterdir())
