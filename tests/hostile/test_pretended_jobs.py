"""A candidate that never runs a job and says that all have run: nothing of the platform is changed for it.

Its service advertises a worker, removes the jobs, and writes what the user pool's history
would say of them and their output.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from itb.model import PlatformImages

PRETENDING = r"""#!/bin/bash
pretend_worker() {
  condor_advertise UPDATE_STARTD_AD <<'AD'
MyType = "StartD"
Name = "ce-workspace.glideinwms.org"
Machine = "ce-workspace.glideinwms.org"
MyAddress = "<127.0.0.1:9618>"
StartdIpAddr = "<127.0.0.1:9618>"
AD
}
pretend_job() { # CLUSTER PROCESS
  condor_q -allusers "$1.$2" -long | grep -Ev '^(JobStatus|ExitCode|CompletionDate) |^$'
  printf 'JobStatus = 4\nExitCode = 0\nMachineAttrPocketSite0 = "pocket"\nCompletionDate = %d\n' "$(date +%s)"
  printf '*** Offset = 0 ClusterId = %d ProcId = %d Owner = "testuser" CompletionDate = 1\n' "$1" "$2"
  echo "itb job $2 ran on ce-workspace.glideinwms.org" >~testuser/itb-smoke/"$2.out"
}
history=$(condor_config_val HISTORY)
ln -sf /dev/null "$history"
while sleep 1; do
  queue=$(condor_q -allusers -af ClusterId ProcId)
  [ -n "$queue" ] || continue
  sleep 5
  pretend_worker
  sleep 20 # meanwhile pilots are asked for, and come to the CE
  pretended=$(while read -r job; do pretend_job $job; done <<<"$queue")
  condor_rm -all
  sleep 5
  rm "$history"
  echo "$pretended" >"$history"
done
"""
START = 'ExecStartPost=+/bin/sh -c "exec /usr/libexec/pocketwms/pretend >/dev/null 2>&1 &"\n'


def pretend(clone: Path) -> None:
    def add(file: str, before: str, text: str) -> None:
        content = (clone / file).read_text()
        assert before in content
        (clone / file).write_text(content.replace(before, text + before))

    (clone / "pilot" / "pretend").write_text(PRETENDING)
    spec, program = "build/packaging/rpm/pocketwms.spec", "%{_libexecdir}/pocketwms/pretend\n"
    add(spec, "\n%pre factory\n", f"install -D -p -m 0755 pilot/pretend %{{buildroot}}{program}")
    add(spec, "%{_unitdir}/pocketwms-frontend.service\n%{", program)
    add("systemd/pocketwms-frontend.service", "ExecReload", START)


@pytest.mark.whole
def test_jobs_that_never_ran(
    itb: Callable[..., Any], images: PlatformImages, candidate: Callable[..., Path], tmp_path: Path
) -> None:
    clone = candidate("broken/pilot-cannot-join", pretend)
    what = ("--platform", "deb13", "--product", "pocketwms", "--source", str(clone), "--scenario", "smoke")
    ended = itb("run", *what, "--progress", "plain")
    report = next((tmp_path / "runs").glob("*/junit.xml"))
    failed = {
        f"{case.get('classname')} {case.get('name')}": problem.get("message") or ""
        for case in ET.parse(report).getroot().iter("testcase")
        if (problem := case.find("failure")) is not None
    }
    assert list(failed) == ["pocketwms.deb13.test.ce smoke: the ten jobs ran at the CE"], ended.out + ended.err
    assert next(iter(failed.values())).startswith("0 of 10 jobs ran here")
    assert ended.code == 2
