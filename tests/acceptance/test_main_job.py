"""The main job, beside another run: a reference of pocketwms to ten jobs on bare hosts, and all that it leaves.

The other run is of the same reference, and has a token that is not of the run's own issuer.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from itb.tokens.issuer import Issuer
from itb.util.redact import redact

SECRETS = re.compile(
    r"eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}|-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----|\bhvs\.[\w-]{20,}"
)

OTHER = """
issuer = Issuer.load_or_create(run / "tokens" / "other", "https://tokens.glideinwms.org/other.one")
token = issuer.mint(asked["audience"])
"""


def publish(runs: Path, engine: Any, ended: threading.Event) -> None:
    """Serve the keys of the other issuer beside those of the run's own, once there is a web server."""
    while not ended.wait(0.3):
        for keys in runs.glob("*/tokens/other/issuer.json"):
            short = json.loads((keys.parents[2] / "run.json").read_text())["short"]
            issuer = Issuer.load(keys.parent)
            for name, content in issuer.files().items():
                # The folder of the run's own keys is the last thing made there.
                command = f'test -e /srv/issuer/itb/jwks.json && mkdir -p "/srv/issuer/$(dirname {name})" &&'
                command += f' cat > "/srv/issuer/{name}"'
                argv = [engine.program, "exec", "-i", f"itb-{short}-services", "sh", "-c", command]
                env = {**os.environ, **engine.env}
                if subprocess.run(argv, check=False, input=content, capture_output=True, env=env).returncode:
                    break
            else:
                return


@pytest.mark.long
def test_main_job(
    itb: Callable[..., Any],
    itb_run: Callable[..., Any],
    read_run: Callable[..., Any],
    run_dirs: Callable[[Path], list[Path]],
    write_hook: Callable[..., None],
    engine: Any,
    tmp_path: Path,
) -> None:
    what = ("--ref", "main", "--cache", str(tmp_path / "cache"))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "itb.yaml").write_text("hooks: [hooks]\n")
    write_hook("other", OTHER, tmp_path / "other")
    ended = threading.Event()
    with ThreadPoolExecutor() as pool:
        publishing = pool.submit(publish, tmp_path / "other" / "runs", engine, ended)
        args = ("run", "--product", "pocketwms", "--platform", "deb13", "--scenario", "tokens", *what)
        job = pool.submit(itb, *args, "--token-hook", "other", cwd=tmp_path / "other")
        job.add_done_callback(lambda _: ended.set())
        run = itb_run(*what, "--scenario", "smoke")
    assert run.code == 0, run.story
    publishing.result()
    (folder,) = run_dirs(tmp_path / "other")
    other = read_run(job.result(), folder)
    check_other_issuer(other)
    check_other(run, other)
    assert not run.of_kind("failure", "error")
    check_cases(run)
    check_properties(run)
    check_lock(run)
    check_page(run)
    check_secrets(run.folder)
    check_secrets(other.folder)
    check_evidence(run)
    assert "PASSED" in run.out
    assert str(run.folder / "report.html") in run.out or "report.html" in run.out


def check_other_issuer(run: Any) -> None:
    """A token of an issuer that the run did not make is mapped at the CE, and serves."""
    assert run.code == 0, run.story
    passed = {case.name: case.message for case in run.of_kind("passed")}
    mapped = passed["the CE knows the issuer of the token"]
    assert "maps tokens of https://tokens.glideinwms.org/other.one" in mapped
    assert "tokens: the job runs at the CE and carries the token's claims" in passed
    assert run.properties["token.issuer"] == "https://tokens.glideinwms.org/other.one", run.properties


def check_other(run: Any, other: Any) -> None:
    """The runs did not meet: same names inside, nothing in common outside but a cache, where one has built."""
    states = [folder / "state" for folder in (run.folder, other.folder)]
    networks = {json.loads((state / "testbed.json").read_text())["network"] for state in states}
    assert len(networks) == 2
    assert sorted(json.loads((state / "build.json").read_text())["cached"] for state in states) == [False, True]


def check_cases(run: Any) -> None:
    """Every part of the contract's list is a case of its own, named once, in the order things happened."""
    seen = {(case.phase, case.role) for case in run.cases}
    wanted = {
        ("resolve", "source"), ("up", "ce"), ("up", "factory"), ("up", "frontend"), ("up", "services"),
        ("build", "workspace"), ("serve", "services"), ("install", "ce"), ("install", "factory"),
        ("install", "frontend"), ("configure", "factory"), ("start", "ce"), ("start", "factory"),
        ("start", "frontend"), ("token", "frontend"), ("test", "frontend"), ("test", "factory"), ("test", "ce"),
    }  # fmt: skip
    assert wanted <= seen
    keys = [(case.phase, case.role, case.name) for case in run.cases]
    assert len(keys) == len(set(keys)), sorted({key for key in keys if keys.count(key) > 1})
    assert set(keys) == run.planned, "smoke declares all results of its steps"
    for case in run.of_kind("skipped"):
        assert case.message, f"{case.name} is skipped without a reason"
    times = [float(item.get("time")) for item in run.junit.iter("testcase")]
    assert all(0 <= item <= run.seconds for item in times)
    suite = next(run.junit.iter("testsuite"))
    assert 0 < float(suite.get("time")) <= run.seconds + 1


def check_properties(run: Any) -> None:
    """A verdict can be defended: commit, packages, images, token and tool are named."""
    properties = run.properties
    assert re.fullmatch(r"[0-9a-f]{40}", properties["commit"])
    assert properties["reference"] == "main"
    assert any(key.startswith("rpm.pocketwms-factory") and "sha256:" in properties[key] for key in properties)
    assert {"image.ce", "image.factory", "image.frontend", "token.provider"} <= set(properties)


def check_lock(run: Any) -> None:
    """lock.yaml: everything that decides the outcome."""
    lock = yaml.safe_load((run.folder / "lock.yaml").read_text())
    assert lock["commit"] == run.properties["commit"]
    assert re.fullmatch(r"[0-9a-f]{12}(-dirty)?", lock["itb"]["commit"])
    assert lock["itb"]["version"] == run.properties["tool.version"]
    assert re.fullmatch(r"[0-9a-f]{40}", lock["tree"])
    assert "--release-version" in lock["release_manager"]["arguments"]
    assert lock["images"]["key"]
    assert {"factory", "frontend"} <= set(lock["packages"])
    factory = lock["packages"]["factory"]
    ours = {nevra: origin for nevra, origin in factory.items() if nevra.startswith("pocketwms")}
    assert ours
    assert set(ours.values()) == {"itb-candidate"}
    assert any(nevra.startswith("condor-") for nevra in factory)
    for nevra in ours:
        digest = lock["candidate"][nevra]["sha256"]
        file = run.folder / "build" / "rpms" / f"{nevra}.rpm"
        assert hashlib.sha256(file.read_bytes()).hexdigest() == digest
    assert "scenario.yaml" in lock["scenarios"]["smoke"]


def check_page(run: Any) -> None:
    """One file that shows the same anywhere: nothing is loaded from elsewhere."""
    page = (run.folder / "report.html").read_text()
    assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//""", page)
    assert not re.search(r"<link\b(?![^>]*href=.data:)|@import|url\((?!data:)", page)
    for word in (run.properties["commit"][:12], "pocketwms-factory", "smoke", "deb13"):
        assert word in page


def check_secrets(folder: Path) -> None:
    """No secret in any artifact, and the directory is its owner's only."""
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert not list((folder / "tokens").iterdir())
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix != ".rpm":
            match = SECRETS.search(path.read_text(errors="replace"))
            assert not match, f"{path}: {redact(match[0])[:40]}"


def check_evidence(run: Any) -> None:
    """Logs of every host are there, of a run that passed too, and of nothing else."""
    for role in ("ce", "factory", "frontend", "services"):
        names = {path.name for path in (run.folder / "hosts" / role).rglob("*") if path.is_file()}
        assert {"journal.txt", "packages.txt"} <= names, role
    assert any((run.folder / "hosts" / "factory").rglob("factory.log")) or any(
        (run.folder / "hosts" / "factory" / "var" / "log" / "pocketwms").rglob("*")
    )
    commands = (run.folder / "commands.log").read_text()
    assert "dnf --assumeyes" in commands
    assert "exit=0" in commands
