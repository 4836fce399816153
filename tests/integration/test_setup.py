"""Setting up machines that lack things; the package managers are pretended, the script is the real one."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
NEEDED = ("bash", "dirname", "cat", "cksum", "uname", "env", "touch", "chmod")
PRESENT = ("podman", "runc", "git", "mmdebstrap", "iptables")

Machine = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A checkout whose virtual environment is as it should be, and nothing on the path yet."""
    place = tmp_path / "check out"
    script = place / "build_ws" / "machine" / "setup.sh"
    script.parent.mkdir(parents=True)
    shutil.copy(TOP / "build_ws" / "machine" / "setup.sh", script)
    (place / "pyproject.toml").write_text("x")
    program(place / ".venv" / "bin" / "itb", "")
    stamp = subprocess.run(["bash", "-c", "(cat pyproject.toml; echo python3) | cksum"], cwd=place,
                           capture_output=True, check=True)  # fmt: skip
    (place / ".venv" / ".itb-run").write_bytes(stamp.stdout)
    (tmp_path / "bin").mkdir()
    for name in NEEDED:
        (tmp_path / "bin" / name).symlink_to(shutil.which(name) or "/bin/false")
    (tmp_path / "bin" / "python3").symlink_to(sys.executable)
    return place


def program(path: Path, body: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/bash\n{body}\n")
    path.chmod(0o755)


@pytest.fixture
def setup(place: Path, tmp_path: Path) -> Machine:
    """Run the script on a machine that has these programs; ``root`` says who runs it."""

    def run(*programs: str, root: bool = True, **managers: str) -> subprocess.CompletedProcess[str]:
        for name in programs:
            program(tmp_path / "bin" / name, "")
        program(tmp_path / "bin" / "id", f"echo {0 if root else 1000}")
        for name, body in managers.items():
            log = f'echo "{name} $*" >> "{tmp_path}/calls"\n'
            program(tmp_path / "bin" / name.replace("_", "-"), log + body)
        return subprocess.run(
            [shutil.which("bash") or "bash", str(place / "build_ws/machine/setup.sh")],
            env={"PATH": str(tmp_path / "bin")}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    return run


def calls(tmp_path: Path) -> str:
    return (tmp_path / "calls").read_text() if (tmp_path / "calls").exists() else ""


needs_netavark = pytest.mark.skipif(
    not any(Path(folder, "netavark").exists() for folder in ("/usr/lib/podman", "/usr/libexec/podman")),
    reason="podman's helpers are looked for where they are installed",
)


@needs_netavark
def test_nothing_is_done_where_nothing_is_missing(setup: Machine, tmp_path: Path) -> None:
    for _ in range(2):
        done = setup(*PRESENT, apt_get="")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert calls(tmp_path) == ""


def test_no_package_manager(setup: Machine) -> None:
    done = setup("git")
    assert done.returncode == 1
    assert "missing: podman" in done.stderr
    assert "no package manager known here" in done.stderr


@pytest.mark.parametrize(
    ("manager", "command"),
    [("apt_get", "apt-get install --yes"), ("dnf", "dnf install"), ("zypper", "zypper --non-interactive install")],
)
def test_neither_root_nor_sudo_gets_the_command(
    setup: Machine, tmp_path: Path, manager: str, command: str
) -> None:
    done = setup("git", "mmdebstrap", root=False, **{manager: ""})
    assert done.returncode == 1
    assert "as root, run:\n" in done.stderr
    assert command in done.stderr
    assert " podman" in done.stderr.splitlines()[-1]
    assert calls(tmp_path) == "", "nothing is tried without the rights to"


@needs_netavark
@pytest.mark.parametrize("root", [True, False])
def test_missing_ones_are_installed(setup: Machine, tmp_path: Path, root: bool) -> None:
    folder = tmp_path / "bin"
    make = f'[ "$1" = update ] || for p in {folder}/podman {folder}/runc; do touch $p; chmod +x $p; done'
    note = 'echo "frontend $DEBIAN_FRONTEND" >> ' + f'"{tmp_path}/calls"\n'
    sudo = {} if root else {"sudo": '[ "$1" = -n ] || exec "$@"'}
    done = setup("git", "mmdebstrap", "iptables", root=root, apt_get=note + make, **sudo)
    assert done.returncode == 0, done.stderr
    assert "missing: podman; installing: apt-get install" in done.stderr
    assert "apt_get update" in calls(tmp_path)
    assert "apt_get install --yes" in calls(tmp_path)
    assert "frontend noninteractive" in calls(tmp_path), "also through sudo"
    assert done.stdout == ""


def test_installation_that_brought_nothing(setup: Machine) -> None:
    done = setup("git", "mmdebstrap", dnf="")
    assert done.returncode == 1
    assert "still missing after the installation: podman" in done.stderr


def test_installation_that_failed(setup: Machine) -> None:
    assert setup("git", dnf="echo no network >&2; exit 3").returncode == 3
