"""What scenario monitoring says of pages, from what they answered."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from itb.data import shipped
from tests.unit.data import scripts

SCENARIOS = shipped.folder("scenarios")
URL = "http://factory.example.org/wms/status.json"
PAGE: dict[str, Any] = {"url": URL, "status": 200, "contains": "", "counts": {}}


def load(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A script of the scenario as a module."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("ITB_LIB", str(SCENARIOS / "lib"))
    return scripts.load(SCENARIOS / "monitoring" / f"{name}.py")


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return load("pages", monkeypatch)


@pytest.mark.parametrize(
    ("page", "status", "content", "problem"),
    [
        ({}, 200, "{}", ""),
        ({}, 403, "<h1>Forbidden</h1>", f"{URL}: status 403 (Forbidden), expected 200"),
        ({}, 0, "Connection refused", f"{URL}: no answer: Connection refused"),
        ({}, 200, " \n", f"{URL} is empty"),
        ({}, 200, "{'a': 1}", f"{URL} is no JSON: Expecting property name enclosed in double quotes: "
                              "line 1 column 2 (char 1)"),
        ({}, 200, '{"load": NaN}', f"{URL} is no JSON: NaN is no value of JSON"),
        ({"contains": "jobs"}, 200, "{}", f"{URL} has nothing that matches jobs"),
        ({"status": 403}, 403, "Forbidden", ""),
        ({"status": 403}, 200, "[]", f"{URL}: status 200 ([]), expected 403"),
    ],
)  # fmt: skip
def test_answer(pages: ModuleType, page: dict[str, Any], status: int, content: str, problem: str) -> None:
    assert pages.answer({**PAGE, **page}, status, content) == problem


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('{"ended": 3}', ""),
        ('{"ended": 0} {"ended": 2}', ""),
        ('{"ended": 0}', f"{URL} says 0 of pilots that have ended after jobs have run"),
        ("{}", f'{URL} says nothing of pilots that have ended ("ended": (\\d+))'),
    ],
)
def test_figure(pages: ModuleType, content: str, problem: str) -> None:
    assert pages.figure(PAGE, 200, content, "pilots that have ended", r'"ended": (\d+)') == problem


def test_what_a_page_wants_is_asked_for(pages: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"http://factory.example.org/wms/good.js"}
    monkeypatch.setattr(pages, "fetch", lambda url: (200 if url in there else 404, ""))
    url = "http://factory.example.org/wms/index.html"
    content = (
        "<html><script src='good.js'></script><!-- <img src='no.png'> --><img src=\"../gone.png\">"
        "<link rel=stylesheet href='https://elsewhere.org/x.css'></html>"
    )
    assert pages.missing(url, content) == f"{url} wants what is not there: " + (
        "http://factory.example.org/gone.png (status 404)"
    )


def test_secrets_that_are_served(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    served = load("served", monkeypatch)
    key = "-----BEGIN PRIVATE KEY-----\n" + "A" * 64 + "\n-----END PRIVATE KEY-----\n"
    for name, content in (("stage/key.pem", key), ("private/key.pem", key), ("stage/pilot.sh", "#!/bin/bash\n")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    (tmp_path / "latest").symlink_to(tmp_path / "stage")
    answers = {
        "http://h/wms/stage/key.pem": b"key",
        "http://h/wms/private/": b"<title>Index of /wms/private</title>",
    }
    monkeypatch.setattr(served, "fetch", answers.get)
    assert list(served.exposed("http://h/wms", tmp_path)) == [
        f"http://h/wms/stage/key.pem gives everybody a private key: {tmp_path}/stage/key.pem",
        f"http://h/wms/private/ lists {tmp_path}/private, in which are secrets",
    ]
