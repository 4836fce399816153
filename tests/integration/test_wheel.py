"""The wheel, installed where nothing else is: the command works, and site-packages gets itb and nothing more."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import sysconfig
import venv
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest

from itb.cli import documents

TOP = Path(__file__).resolve().parents[2]

# What `itb --help` must not import: each costs more than the help itself.
HEAVY = (
    "pydantic",
    "rich",
    "jinja2",
    "cryptography",
    "requests",
    "jwt",
    "junit_xml",
    "fabric",
    "paramiko",
)


def run(*argv: str | Path, **options: object) -> str:
    done = subprocess.run(
        [str(word) for word in argv], capture_output=True, text=True, check=False, **options
    )  # type: ignore[call-overload]
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of what git knows, so that the checkout stays as it is."""
    folder = tmp_path_factory.mktemp("wheel")
    names = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=TOP).split("\0")
    source = folder / "source"
    for name in filter(None, names):
        if (TOP / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((TOP / name).read_bytes())
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, source)
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of a clean environment with the wheel; requirements come from this one, nothing is downloaded."""
    folder = tmp_path_factory.mktemp("clean")
    venv.create(folder, with_pip=False, symlinks=True)
    made = folder / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", made, "install", "--quiet", "--no-deps", "--no-index", wheel)
    return made


def site_packages(python: Path) -> Path:
    return Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())


def itb(python: Path, *args: str) -> str:
    borrowed = {"PYTHONPATH": sysconfig.get_path("purelib"), "PATH": "/usr/bin:/bin"}
    return run(python.with_name("itb"), *args, cwd=python.parent, env=borrowed)


def test_nothing_but_itb(python: Path) -> None:
    installed_names = {path.name for path in site_packages(python).iterdir()}
    assert installed_names == {"itb", next(name for name in installed_names if name.endswith(".dist-info"))}


def test_all_data_inside(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("build_ws", "scenarios", "reports"):
        listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", folder, cwd=TOP)
        files = [name for name in listed.split("\0") if name and (TOP / name).is_file()]
        assert files
        missing = [name for name in files if f"itb/data/{name}" not in inside]
        assert not missing
    modules = [path.relative_to(TOP).as_posix() for path in (TOP / "itb").rglob("*.py")]
    assert set(modules) <= inside
    assert not [
        name
        for name in inside
        if "__pycache__" in name or name.startswith(("tests", "build_ws", "scenarios"))
    ]


@pytest.mark.parametrize("topic", documents.TOPICS)
def test_the_documentation_is_inside(python: Path, topic: str) -> None:
    assert itb(python, "help", topic) == documents.text(topic)


def test_the_version_of_a_checkout_names_its_commit() -> None:
    told = json.loads(run(sys.executable, "-m", "itb", "version", "--json", cwd=TOP))
    commit = run("git", "rev-parse", "HEAD", cwd=TOP).strip()
    assert told["commit"].removesuffix("-dirty") == commit[:12]


def test_no_test_is_inside(wheel: Path) -> None:
    inside = zipfile.ZipFile(wheel).namelist()
    # That product has tests of its own.
    own = [name for name in inside if "/products/pocketwms/source/" not in name]
    assert not [name for name in own if name.endswith("conftest.py") or Path(name).name.startswith("test_")]
    assert [name for name in inside if name.endswith("LICENSE")]


def test_on_a_terminal_help_is_rendered_in_a_pager(tmp_path: Path) -> None:
    """What the pager gets has colours, and no mark-up of tables any more."""
    got = tmp_path / "got"
    ours, theirs = pty.openpty()
    env = {"PATH": "/usr/bin:/bin", "PAGER": f"cat >{got}; echo paged", "TERM": "xterm", "HOME": str(tmp_path)}
    argv = [sys.executable, "-m", "itb", "help", "machine"]
    done = subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=theirs, env=env, cwd=TOP)
    os.close(theirs)
    shown = read_all(ours)
    assert done.wait() == 0
    assert b"paged" in shown
    text = got.read_text()
    assert "\x1b[" in text
    assert "The machine" in text
    assert "|---|" not in text


def read_all(terminal: int) -> bytes:
    """Read until the other side has gone, which Linux tells by EIO."""
    shown = b""
    with suppress(OSError):
        while data := os.read(terminal, 65536):
            shown += data
    os.close(terminal)
    return shown


def test_command(python: Path) -> None:
    # The wheel was made where there is no git.
    assert itb(python, "--version").strip() == itb(python, "version").strip() == "itb 0.1.0"
    assert "--token-hook" in itb(python, "run", "--help")
    listed = itb(python, "--list")
    for task in (
        "run",
        "build",
        "serve",
        "up",
        "install",
        "test",
        "report",
        "down",
        "refs",
        "doctor",
        "clean",
    ):
        assert f"  {task} " in listed or f"  {task}\n" in listed, listed


def test_data_is_found_where_it_is_installed(python: Path) -> None:
    code = (
        "import json; from itb.config import lookup; from itb.data import shipped;"
        "print(json.dumps([str(shipped.folder('reports')), lookup.load_product('pocketwms').title,"
        "lookup.load_platform('deb13').name, lookup.load_scenario('smoke').title]))"
    )
    borrowed = {"PYTHONPATH": f"{site_packages(python)}:{sysconfig.get_path('purelib')}"}
    where, title, platform, _ = json.loads(run(python, "-c", code, env=borrowed, cwd=python.parent))
    assert where == str(site_packages(python) / "itb" / "data" / "reports")
    assert (platform, bool(title)) == ("deb13", True)


@pytest.mark.parametrize("args", [["--help"], ["--version"], ["run", "--help"]])
def test_help_is_quick_because_it_imports_little(args: list[str]) -> None:
    code = (
        "import sys; sys.argv = ['itb', *sys.argv[1:]]\n"
        "from itb.__main__ import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *args], capture_output=True, text=True, check=True, cwd="/"
    )
    assert not [name for name in HEAVY if f"'{name}'" in done.stderr]
