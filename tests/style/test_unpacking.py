"""Whatever is unpacked on this machine goes through the bounded receiver, ``itb/containers/archive.py``."""

from __future__ import annotations

import re
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
UNPACKS = re.compile(
    r"extractall|extractfile|\.extract\(|unpack_archive|zipfile|ZipFile|cpio -|cpio \{"
    r"|tar(?:\"\,)? [\"']?(?:--extract|-?[a-z]*x[a-z]* )|dpkg-deb\"|bsdtar"
)
# Where it is not this machine that unpacks, or nothing that a candidate made as it likes.
ELSEWHERE = {
    "itb/containers/host.py": "on a host, what itb itself sends",
    "itb/debtorpm/batch.py": "in a container of the platform's images, packages of its mirror",
    "build_ws/hosts/clean_rpm.py": "in a container in which nothing else is, into a folder of bounded size",
    "build_ws/platforms/deb13/bare.sh": "in a container of the platform's images",
    "build_ws/publish/receive.py": "files by their last name only, in a folder of their own",
    "itb/repository/export.py": "an SRPM that has been checked, without names that lead elsewhere",
}


def test_nothing_else_unpacks() -> None:
    files = [*(TOP / "itb").rglob("*.py"), *(TOP / "build_ws").rglob("*.py"), *(TOP / "build_ws").rglob("*.sh")]
    files += (TOP / "scenarios").rglob("*.sh")
    found = {str(path.relative_to(TOP)) for path in files if UNPACKS.search(path.read_text())}
    assert found == set(ELSEWHERE)


def test_srpm_is_unpacked_below_its_folder() -> None:
    text = (TOP / "itb/repository/export.py").read_text()
    assert text.count("--extract") == text.count("--extract --quiet --no-absolute-filenames ") == 1
