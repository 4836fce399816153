"""GlideinWMS itself, end to end: needs a clone of its repository, which is not ours to carry."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

CLONE = os.environ.get("ITB_GLIDEINWMS", "")
SLOWLY = {"ITB_TIMEOUT_FACTOR": os.environ.get("ITB_TIMEOUT_FACTOR", "1")}  # of a machine that is busy
STAGES = (
    "smoke: frontend asks the factory for pilots",
    "smoke: factory submits pilots",
    "smoke: pilots arrive at the CE with their token's claims",
    "smoke: a pilot runs at the CE",
    "smoke: a worker joins the user pool",
    "smoke: ten jobs complete",
    "smoke: ten jobs ended with exit code 0 and brought their output",
    "smoke: the ten jobs ran at the CE",
    "smoke: jobs carry the site they ran at",
)

pytestmark = pytest.mark.skipif(not CLONE, reason="ITB_GLIDEINWMS=/path/to/clone of GlideinWMS is not set")


@pytest.mark.parametrize("ref", ["v3_10_17", "branch_v3_11"])
def test_ten_jobs_on_glideins(ref: str, itb_run: Callable[..., Any]) -> None:
    run = itb_run("--source", CLONE, "--ref", ref, product="glideinwms", env=SLOWLY, timeout=1800)
    assert run.code == 0, run.story
    assert set(STAGES) <= {case.name for case in run.of_kind("passed")}, run.story
    for role, file in (("factory", "glideinWMS.xml"), ("frontend", "frontend.xml")):
        diff = (run.folder / "setup" / role / "configuration.diff").read_text()
        assert f"/etc/gwms-{role}/{file}" in diff
