"""Which control groups a container can write to, by what the kernel says of its mounts."""

from __future__ import annotations

from pathlib import Path

import pytest

from itb.containers import cgroups

OWN = "473 100 0:30 /libpod_parent/libpod-abc /sys/fs/cgroup/memory ro,nosuid - cgroup cgroup rw,memory"
NARROW = "487 100 0:37 /libpod_parent/libpod-abc /sys/fs/cgroup/systemd {} - cgroup cgroup rw,name=systemd"
WHOLE = "499 487 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd"
V2 = "30 29 0:26 {} /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw"


@pytest.mark.parametrize(
    ("mounts", "writable"),
    [
        ([OWN, NARROW.format("ro,nosuid"), WHOLE], "/ at /sys/fs/cgroup/systemd"),
        ([OWN, NARROW.format("rw,nosuid")], ""),
        ([V2.format("/user.slice/libpod-abc.scope/container")], ""),
        ([V2.format("/")], "/ at /sys/fs/cgroup"),
        (["20 1 8:1 / / rw - ext4 /dev/sda rw"], ""),
    ],
)
def test_control_groups_that_are_not_a_containers_own(tmp_path: Path, mounts: list[str], writable: str) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "mountinfo").write_text("\n".join(mounts))
    assert cgroups.writable_outside("abc", 7, tmp_path) == writable
    assert cgroups.writable_outside("abc", 8, tmp_path) == ""


def test_the_hook_is_written_once(tmp_path: Path) -> None:
    folder = cgroups.hooks_folder(tmp_path)
    (hook,) = folder.iterdir()
    written = hook.stat().st_mtime_ns
    assert cgroups.hooks_folder(tmp_path) == folder
    assert hook.stat().st_mtime_ns == written
