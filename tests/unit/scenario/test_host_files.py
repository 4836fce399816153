"""The files of a scenario that are put on hosts."""

from __future__ import annotations

from pathlib import Path

import pytest

from itb.errors import UsageError
from itb.scenario import host_files


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "passwd").symlink_to("/etc/passwd")
    with pytest.raises(UsageError, match="outside of the scenario's folder"):
        host_files.folder_files(tmp_path)
