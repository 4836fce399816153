"""A product and a scenario out of templates: green at once, in silence, with reports where CI wants them.

Its one host is then taken down, whatever happens meanwhile.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lxml import etree

from itb.containers import naming
from itb.containers.engine import Engine
from itb.data import shipped
from itb.rundir import seal
from itb.rundir.directory import RunDir


def test_what_is_new_works_at_once(
    itb: Callable[..., Any],
    started: Callable[..., Any],
    engine: Engine,
    run_dirs: Callable[[Path], list[Path]],
    tmp_path: Path,
) -> None:
    """Its RPMs are made by its build command, on a testbed without a Compute Entrypoint."""
    for command in (("product", "hello"), ("scenario", "mine", "--product", "hello")):
        assert itb("new", *command).code == 0
    done = itb(
        "run", "--product", "hello", "--scenario", "works,mine", "--fresh-build", "--keep", "always",
        "--progress", "quiet", "--report-dir", "reports",
    )  # fmt: skip
    assert (done.code, done.out, done.err) == (0, "", "")
    verdict = json.loads((tmp_path / "reports" / "verdict.json").read_text())
    assert verdict["exit_code"] == 0
    suites = etree.parse(tmp_path / "reports" / "junit.xml")
    etree.XMLSchema(etree.parse(shipped.folder("reports") / "junit.xsd")).assertValid(suites)
    names = {str(case.get("name")) for case in suites.iter("testcase")}
    assert {
        "works: the service says what it was configured to say",
        "mine: the product's packages are installed",
        "mine: all services are up",
    } <= names
    assert any(name.startswith("mine: logs and disk") and "no unit has failed" in name for name in names)
    assert not list(suites.iter("failure", "error"))
    (folder,) = run_dirs(tmp_path)
    check_taken_down(folder, itb, started, engine)


def check_taken_down(
    folder: Path, itb: Callable[..., Any], started: Callable[..., Any], engine: Engine
) -> None:
    """A signal while its logs are collected keeps neither hosts nor secrets, and does not change its verdict.

    Nor do settings of another version of itb keep it from being removed.
    """
    label = naming.runs_labels(folder.parent)
    assert engine.containers(label)
    state = json.loads((folder / "run.json").read_text())
    state["settings"] |= {"keeep": 1}
    (folder / "run.json").write_text(json.dumps(state))
    seal.write(RunDir(folder))  # as that version would have left it
    collected = (folder / "cases.jsonl").read_text().count('"phase":"evidence"')
    with started("down", "--run", folder.name, "--progress", "plain") as process:
        deadline = time.monotonic() + 240
        while (folder / "cases.jsonl").read_text().count('"phase":"evidence"') == collected:
            assert time.monotonic() < deadline, (folder.parents[1] / "err.txt").read_text()
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGINT)
        process.communicate(timeout=240)
    assert process.returncode == 130
    assert not engine.all_resources(label)
    assert not list((folder / "tokens").iterdir())
    state = json.loads((folder / "run.json").read_text())
    assert (state["exit_code"], state["kept"]) == (0, False)
    assert itb("report", folder.name).code == 0
    assert itb("down", "--run", folder.name).code == 0
