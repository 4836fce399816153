"""What scenario packages says of the files that packages bring, where no checker has to be started for it."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from itb.data import shipped

FOLDER = shipped.folder("scenarios") / "packages"
NAMES = ("files", "programs", "formats", "configuration", "names", "lowest", "system_files")
RPM = SimpleNamespace(RPMTAG_REQUIRENAME=1, RPMTAG_REQUIREFLAGS=2, RPMTAG_REQUIREVERSION=3, RPMSENSE_GREATER=4)


@pytest.fixture(scope="module")
def checks() -> Iterator[dict[str, ModuleType]]:
    """The modules of the scenario by name, as its steps import them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "dont_write_bytecode", True)  # what is in the folder is shipped
        patch.setitem(sys.modules, "rpm", RPM)
        patch.syspath_prepend(str(FOLDER))
        yield {name: importlib.import_module(name) for name in NAMES}
    for name in NAMES:
        del sys.modules[name]


class Files:
    """Files of a package, below a folder of the test's."""

    def __init__(self, checks: dict[str, ModuleType], folder: Path) -> None:
        self._checks, self.folder, self.all = checks, folder, []

    def add(self, name: str, content: str, mode: int = 0o644) -> str:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        path.chmod(mode)
        self.all.append(self._checks["files"].BroughtFile(str(path)))
        return str(path)


@pytest.fixture
def brought(checks: dict[str, ModuleType], tmp_path: Path) -> Files:
    return Files(checks, tmp_path)


def test_interpreters(checks: dict[str, ModuleType], brought: Files) -> None:
    paths = [
        brought.add("drain", "#!/usr/bin/env nosuchpython -u\n", 0o755),
        brought.add("clean", "#!/opt/nosuch/bash -e\n", 0o755),
        brought.add("windows", "#!/bin/sh\r\n", 0o755),
    ]
    brought.add("good", "#!/usr/bin/env -S A=1 sh -e\n", 0o755)
    brought.add("module", "#!/usr/bin/nosuchpython\n")  # nobody runs it
    assert list(checks["programs"].interpreters(brought.all)) == [
        f"{paths[0]}:1: no nosuchpython on PATH (#!/usr/bin/env nosuchpython -u)",
        f"{paths[1]}:1: interpreter /opt/nosuch/bash does not exist",
        f"{paths[2]}:1: ends with a carriage return, which is taken for a part of '/bin/sh'",
    ]


def test_python_syntax(checks: dict[str, ModuleType], brought: Files) -> None:
    path = brought.add("bad.py", "import sys\n\nprint 1\n")
    brought.add("good.py", "print('\\d')  # an escape that Python warns of\n")
    brought.add("polyglot.py", "#!/bin/sh\n\"\"\"\":\nexec python3 $0\n\"\"\"\nprint(1)\n")
    brought.add("old", "#!/usr/bin/python2\nprint 1\n")  # for an interpreter that is not here
    found = list(checks["programs"].python_syntax(brought.all))
    assert len(found) == 1
    assert found[0].startswith(f"{path}:3: Missing parentheses")
    assert found[0].endswith(": print 1")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("if (n := 1):\n    pass\n", "1: Assignment expressions are only supported in Python 3.8 and greater"),
        ("\nfrom __future__ import annotations\n", "2: future feature annotations is not defined"),
        ("import os\nimport tomllib\n", "2: module tomllib is of Python 3.11"),
        ("try:\n    import tomllib\nexcept ImportError:\n    tomllib = None\n", ""),
        ("import dataclasses\n", ""),  # its package requires python3-dataclasses
        ("def f(a, b=1):\n    return f'{a!r:>{b}} {a[\"b\"]}'\n", ""),
    ],
)
def test_lowest_python(checks: dict[str, ModuleType], brought: Files, content: str, problem: str) -> None:
    brought.add("tool.py", content)
    assert checks["lowest"].problem_of(brought.all[0], 6, {"python3-dataclasses"}) == problem


@pytest.mark.skipif(sys.version_info < (3, 12), reason="this Python does not read what is tried")
def test_f_strings_of_newer_python(checks: dict[str, ModuleType]) -> None:
    nested = checks["lowest"].nested
    later = ": f-strings with the same quotes, \\ or # inside are of Python 3.12"
    assert nested(b"x = 1\ny = f'{a[\'b\']}'\n".replace(b"\\'", b"'")) == f"2{later}"
    assert nested(b"y = f'{\"\\n\".join(a)}'\n") == f"1{later}"
    assert not nested(b"y = f'\\n{a[\"b\"]}' + f\"\"\"{'x'} {\"y\"}\"\"\"\n")


def test_lowest_python_that_packages_allow(checks: dict[str, ModuleType], brought: Files) -> None:
    lowest = checks["lowest"]
    libs = {1: ["bash", "python3", "python(abi)"], 2: [0, 12, 8], 3: ["", "3.6", "3.13"]}
    tools = {1: [b"python3"], 2: [12], 3: [b"3.8"]}
    assert [lowest.allows(header) for header in (libs, tools, {1: ["python3"], 2: [0], 3: [""]})] == [6, 8, 0]
    path = brought.add("walrus.py", "(n := 1)\n")
    for name, found in (("libs", True), ("tools", False), ("other", True)):
        brought.all[0].package = name
        line = f"{path}:1: Assignment expressions are only supported in Python 3.8 and greater"
        expected = [f"{line}, and its package allows Python 3.6"] if found else []
        assert list(lowest.check(brought.all, {"libs": libs, "tools": tools})) == expected
    assert not list(lowest.check(brought.all, {}))


@pytest.mark.skipif(not shutil.which("perl"), reason="no perl is here")
def test_perl(checks: dict[str, ModuleType], brought: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"bad.pl": ("syntax error", 2), "module": ("Can't locate No/Such.pm in @INC (you ...)", 3)}

    def run(command: list[str]) -> str:
        what, line = said.get(Path(command[-1]).name, ("", 0))
        return what and f'{what} at {command[-1]} line {line}, near "}}"'

    monkeypatch.setattr(checks["programs"], "_run", run)
    bad = brought.add("bad.pl", "my $x = 1\n}\n")
    module = brought.add("module", "#!/usr/bin/perl\n\nuse No::Such;\n", 0o755)
    brought.add("good.pm", "1;\n")
    brought.add("shell", "#!/bin/sh\n")
    assert list(checks["programs"].perl(brought.all)) == [
        f"{bad}:2: syntax error",
        f"{module}:3: Can't locate No/Such.pm in @INC (you ...)",
    ]


def test_imports_that_are_always_done(checks: dict[str, ModuleType], brought: Files) -> None:
    bad = brought.add("lib/wms/tool.py", "import os, nosuch.part\nfrom wms import pool\nimport wms.gone\n")
    brought.add("lib/wms/__init__.py", "")
    brought.add("lib/wms/pool.py", "from . import later\nfrom wms.tool import x\n")
    brought.add(
        "lib/wms/optional.py",
        "import sys\ntry:\n    import nosuch1\nexcept ImportError:\n    pass\n"
        "try:\n    import nosuch2\nexcept (ValueError, Exception):\n    pass\n"
        "if sys.version_info < (3,):\n    import nosuch3\ndef draw():\n    import nosuch4\n",
    )
    assert list(checks["programs"].imports(brought.all)) == [
        f"{bad}:1: No module named 'nosuch'",
        f"{bad}:3: No module named 'wms.gone'",
    ]


@pytest.mark.parametrize(
    ("kind", "name", "content", "line"),
    [
        ("XML", "a.xml", "<a>\n<b>\n</a>", "3: mismatched tag"),
        ("XML", "good.xml", '<?xml version="1.0"?><a/>', ""),
        ("XML", "jinja.xml", "{% for x in y %}<a>{% endfor %}", ""),
        ("JSON", "a.json", '{"a": 1,\n // why\n "b": 2}', "2: Expecting property name enclosed in double quotes"),
        ("JSON", "template.json", '{"port": @PORT@}', ""),
        ("JSON", "b.json", '[1, NaN]', "1: NaN is no value of JSON"),
        ("JSON", "good.json", "\ufeff[1]", ""),
        ("YAML", "a.yaml", "a: b\nc: d: e\n", "2: mapping values are not allowed here"),
        ("YAML", "good.yml", "a: !own {b: c}\n---\nd: e\n", ""),
    ],
)
def test_formats(
    checks: dict[str, ModuleType], brought: Files, kind: str, name: str, content: str, line: str
) -> None:
    path = brought.add(name, content)
    assert list(checks["formats"].check(kind, brought.all)) == ([f"{path}:{line}"] if line else [])


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("# 17 4 * * * nothing", ""),
        ("MAILTO=root", ""),
        ("17 4 * * * root find /tmp", ""),
        ("*/5 1-3,7 * jan mon-fri root true", ""),
        ("@daily root true", ""),
        ("17 4 * * * /usr/bin/find /tmp", "no user /usr/bin/find on this host"),
        ("17 4 * * root true", "no such time: root"),
        ("@dayly root true", "no such time: @dayly"),
        ("17 4 * * * root", "a line has a time, a user and a command"),
    ],
)
def test_lines_of_cron(checks: dict[str, ModuleType], line: str, problem: str) -> None:
    assert checks["configuration"].cron_line(line) == problem


def test_what_is_left_out(checks: dict[str, ModuleType]) -> None:
    is_left_out = checks["files"].is_left_out
    assert is_left_out("/usr/share/doc/x/example.py", [])
    assert is_left_out("/usr/share/x/x.service.in", [])
    assert is_left_out("/usr/share/x/initd_template", [])
    assert is_left_out("/usr/share/x/deep/a.json", ["/usr/share/x/*.json"])
    assert not is_left_out("/usr/share/x/a.json", ["/usr/share/y/*"])


def test_cron_runs_programs_that_are_there(checks: dict[str, ModuleType]) -> None:
    line = checks["configuration"].cron_line
    assert line("17 4 * * * root /usr/libexec/no-such --all") == "/usr/libexec/no-such does not exist"
    assert not line("17 4 * * * root [ -x /usr/libexec/no-such ] && /usr/libexec/no-such")
    assert not line("@daily root /usr/bin/env true")


def test_names_that_modules_do_not_have(checks: dict[str, ModuleType], brought: Files) -> None:
    bad = brought.add(
        "lib/wms/tool.py",
        "import collections, time\nfrom collections import Mapping\nfrom wms.pool import load_file\n"
        "from . import later, gone\nfrom .pool import load\ndef wait(x):\n    if x:\n        time.clock()\n"
        "    with open(x):\n        return collections.Callable, collections.OrderedDict\n",
    )
    brought.add("lib/wms/__init__.py", "")
    brought.add("lib/wms/later.py", "def __getattr__(name):\n    return name\n")
    brought.add("lib/wms/pool.py", "try:\n    load = open\nexcept NameError:\n    load = None\n")
    assert list(checks["names"].check(brought.all)) == [
        f"{bad}:2: cannot import name 'Mapping' from 'collections'",
        f"{bad}:3: cannot import name 'load_file' from 'wms.pool'",
        f"{bad}:4: cannot import name 'gone' from '.'",
        f"{bad}:8: module 'time' has no attribute 'clock'",
        f"{bad}:10: module 'collections' has no attribute 'Callable'",
    ]


@pytest.mark.parametrize(
    "content",
    [
        "try:\n    from collections.abc import Set\nexcept ImportError:\n    from collections import Set\n",
        "import sys\nif sys.version_info < (3,):\n    from itertools import izip\n",
        "import time\nnow = time.clock() if hasattr(time, 'clock') else time.time()\n",
        "import time\nclock = getattr(time, 'clock', None)\n",
        "import time\ntry:\n    now = time.clock()\nexcept AttributeError:\n    now = 0\n",
        "import os, subprocess, sys\nos.startfile\nsubprocess.STARTUPINFO\nsys.getwindowsversion\n",
        "import string\nclass Own:\n    def run(self, string):\n        return string.letters\n",
        "import os.path\nos.path.join\nfrom os import path\nfrom xml import dom\nfrom importlib import util\n",
        "import nosuchmodule\nnosuchmodule.x\nfrom nosuchmodule import y\n",
        "from pool import made_as_it_runs\n",
        "#!/usr/bin/no-such-python\nfrom string import letters\n",
    ],
)
def test_names_that_may_be_meant_otherwise(checks: dict[str, ModuleType], brought: Files, content: str) -> None:
    brought.add("pool.py", "globals().update(made_as_it_runs=1)\n")
    brought.add("tool.py", content, 0o755)
    assert not list(checks["names"].check(brought.all))


def test_distributions_that_scripts_of_pip_ask_for(checks: dict[str, ModuleType], brought: Files) -> None:
    asks = "from importlib.metadata import distribution\n"
    bad = brought.add("bad.py", asks + "def load():\n    return distribution('no-such==1.0').entry_points\n")
    guarded = "try:\n    distribution('x')\nexcept ImportError:\n    pass\n"
    brought.add("good.py", asks + "distribution('pytest')\n" + guarded)
    brought.add("other.py", "import random\nrandom.distribution = print\nrandom.distribution('no-such')\n")
    told = f"{bad}:3: no distribution 'no-such' is installed, whose metadata it asks for"
    assert list(checks["names"].check(brought.all)) == [told]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("import sys\nfrom datetime import UTC\n", "2: datetime.UTC is of Python 3.11"),
        ("import shlex\nprint(shlex.join([]))\n", "2: shlex.join is of Python 3.8"),
        ("import sys\nif sys.version_info >= (3, 11):\n    from datetime import UTC\n", ""),
        ("from functools import lru_cache\n", ""),
    ],
)
def test_names_of_newer_python(
    checks: dict[str, ModuleType], brought: Files, content: str, problem: str
) -> None:
    brought.add("tool.py", content)
    assert checks["lowest"].problem_of(brought.all[0], 6) == problem


def test_scripts_source_what_is_there(checks: dict[str, ModuleType], brought: Files) -> None:
    source = ". /usr/share/no-such.sh\n"
    guarded = f"[ ! -e /usr/share/no-such.sh ] || {source}if true; then\n  {source}fi\n"
    brought.add("good.sh", f"#!/bin/sh\n. /usr/lib/os-release\n{guarded}. \"$HOME/x.sh\"\n", 0o755)
    bad = brought.add("bad.sh", "#!/bin/sh\nset -e\nsource '/usr/share/no-such.sh'  # functions\n", 0o755)
    found = [line for file in brought.all for line in checks["programs"].lost_sources(file)]
    assert found == [f"{bad}:3: sources /usr/share/no-such.sh, which is not there"]


def test_files_that_the_system_reads(
    checks: dict[str, ModuleType], brought: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = checks["system_files"]
    monkeypatch.setattr(module, "_of", lambda files, _: files)
    monkeypatch.setattr(checks["configuration"], "exists", lambda _, name: name == "wms")
    path = brought.add("a.conf", "# why\n; why\nnet.core.somaxconn = 1\n-net.x\nnet.core.rmem_max 4\n")
    assert list(module.sysctl(brought.all)) == [f"{path}:5: a line has a key, = and a value: net.core.rmem_max 4"]
    path = brought.add("b.conf", "wms soft nofile 9\n@wms - nproc 9\n\nwsm soft nofile 9\nwms nofile 9\n")
    del brought.all[0]
    brought.all[0].path = path
    assert list(module.limits(brought.all)) == [
        f"{path}:4: no user wsm on this host",
        f"{path}:5: a line has a name, soft, hard or -, an item and a value: wms nofile 9",
    ]
