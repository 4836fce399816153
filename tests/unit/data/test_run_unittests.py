"""What itb's program for tests of unittest says of a module; that it starts one for each is not tried here."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from itb.data import shipped
from tests.unit.data import scripts

TESTS = '''
import unittest
class T(unittest.TestCase):
    def test_fail(self): self.assertEqual(1, 2)
    def test_ok(self): pass
    @unittest.skip("why not")
    def test_skip(self): pass
    def test_sub(self):
        for i in range(3):
            with self.subTest(i=i): self.assertEqual(i % 2, 0)
    @unittest.expectedFailure
    def test_xfail(self): self.fail("x")
    @unittest.expectedFailure
    def test_xpass(self): pass
class U(unittest.TestCase):
    @classmethod
    def setUpClass(cls): raise RuntimeError("no class")
    def test_a(self): pass
'''


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(tmp_path)
    path = shipped.folder("scenarios") / "lib" / "run_unittests.py"
    return scripts.load(path)


def results(runner: ModuleType, name: str, text: str, *, package: str = "") -> list[str]:
    Path(f"{name}.py").write_text(text)
    assert runner.run_module(name, "results", package=package) == 0
    *lines, end = Path("results").read_text().splitlines()
    assert end == "# end"
    return [line for line in lines if not line.startswith(("# Trace", "#  ", "# During", "# "))]


def test_each_test_has_a_result(runner: ModuleType) -> None:
    assert results(runner, "own_tests_a", TESTS) == [
        "not ok - own_tests_a.T.test_fail",
        "ok - own_tests_a.T.test_ok",
        "ok - own_tests_a.T.test_skip # SKIP why not",
        "not ok - own_tests_a.T.test_sub",
        "ok - own_tests_a.T.test_xfail # SKIP expected to fail: AssertionError: x",
        "not ok - own_tests_a.T.test_xpass",
        "not ok - setUpClass (own_tests_a.U)",
    ]
    lines = Path("results").read_text().splitlines()
    assert lines[lines.index("not ok - own_tests_a.T.test_fail") + 1] == "# AssertionError: 1 != 2"
    assert lines[lines.index("not ok - setUpClass (own_tests_a.U)") + 1] == "# RuntimeError: no class"


def test_what_only_tests_need_skips_a_module(runner: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    assert results(runner, "own_tests_e", "import nosuch\n") == ["not ok - own_tests_e"]
    monkeypatch.setenv("ITB_OWN_TESTS_MAY_LACK", "hypothesis nosuch")
    assert results(runner, "own_tests_b", "import nosuch\n") == [
        "ok - own_tests_b # SKIP it needs nosuch, which is not here"
    ]
    text = "import xmlrunner\nfrom json.gone import x\n"
    assert results(runner, "own_tests_c", text) == ["not ok - own_tests_c"]
    assert "ModuleNotFoundError: No module named 'json.gone'" in Path("results").read_text()


def test_modules_of_a_package(runner: ModuleType) -> None:
    text = "import unittest\nclass T(unittest.TestCase):\n    def test_a(self): pass\n"
    Path("__init__.py").touch()
    found = results(runner, "own_tests_d", text, package="json.checks")
    assert found == ["ok - json.checks.own_tests_d.T.test_a"]
