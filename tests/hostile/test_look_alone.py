"""A look from outside loads nothing of the host: neither for what it finds there nor for an error of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from itb.data import shipped
from itb.install import outside

EVIL = """
import os
os.write(1, b'{"root": "", "packages": ["evil-1-1.noarch"]}')
os._exit(0)
"""
# The script with a folder as the host's root, and without rpm.
SCRIPT = """
import os, types
rpm = sys.modules["rpm"] = types.ModuleType("rpm")
rpm.TransactionSet = lambda: types.SimpleNamespace(dbMatch=lambda: [])
files = sys.modules["rpm_files"] = types.ModuleType("rpm_files")
files.__getattr__ = lambda name: {}
files.scriptlets = lambda *_: {}
files.Packages = lambda *_: types.SimpleNamespace(
    owned=OWNED, names=[], refused=[], read=lambda *_: None, own_folders=set,
)
sys.modules["host_root"].open_root = lambda: (os.open(ROOT, os.O_RDONLY), "")
sys.modules["host_root"].walk = lambda *_, **__: iter([("/etc/x", os.lstat("/etc"))])
"""


def look_at(root: Path, owned: str) -> subprocess.CompletedProcess[str]:
    folder = shipped.folder("build_ws") / "hosts"
    names = [name for name in outside._MODULES if name != "rpm_files"]
    modules = [word for name in names for word in (name, (folder / f"{name}.py").read_text())]
    query = dict.fromkeys(outside._InspectionQuery.model_fields, "") | {"trusted": [], "product": [], "most": 9}
    before, _, last = outside._WITH_MODULES.rpartition("exec(")
    script = f"{before}ROOT, OWNED = {str(root)!r}, {owned}\n{SCRIPT}exec({last}"
    return subprocess.run(
        [sys.executable, "-I", "-c", script, *modules, (folder / "outside.py").read_text()], check=False,
        input=json.dumps(query), capture_output=True, text=True, timeout=10,
    )  # fmt: skip


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The root of a host with code in place of what shows the errors of Python."""
    (tmp_path / "etc").mkdir()
    for name in ("outside.py", "accounts.py", "host_root.py"):
        (tmp_path / name).write_text("# coding: evil\n" * 500)
    for place in filter(None, sys.path):
        folder = tmp_path / place.lstrip("/")
        (folder / "encodings").mkdir(parents=True, exist_ok=True)
        for name in ("traceback.py", "linecache.py", "encodings/evil.py"):
            (folder / name).write_text(EVIL)
    return tmp_path


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change its root directory")
def test_folder_in_the_place_of_an_account_file(root: Path) -> None:
    """It ended the look with an error, and the host's modules showed it."""
    (root / "etc" / "gshadow").mkdir()
    done = look_at(root, "{}")
    assert "evil" not in done.stdout
    assert json.loads(done.stdout)["root"] == "", done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change its root directory")
def test_error_of_the_look_itself(root: Path) -> None:
    done = look_at(root, "None")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("outside.py:")
    assert done.stderr.endswith("AttributeError: 'NoneType' object has no attribute 'get'\n")
