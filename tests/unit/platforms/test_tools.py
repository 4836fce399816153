"""The folders of programs for hosts; tests/hostile/test_tools.py runs them."""

from __future__ import annotations

from pathlib import Path

from itb.containers import tools
from itb.platforms import tools as platforms_tools


def test_folders_whose_images_are_gone_are_removed(tmp_path: Path) -> None:
    folder = tmp_path / "platforms" / "deb13"
    for name in ("tools-old-12345678/bin", "tools-new-12345678/bin", "logs"):
        (folder / name).mkdir(parents=True)
    platforms_tools.remove_unused(tmp_path, "deb13", {"new"})
    assert {path.name for path in folder.iterdir()} == {"tools-new-12345678", "logs"}
    platforms_tools.remove_unused(tmp_path, "el9", ())


def test_folder_takes_the_place_of_etc_in_a_loader() -> None:
    assert len(tools.FOLDER) == len("/etc")
    assert tools.PATH.split(":")[0] == f"{tools.FOLDER}/bin"
    assert not [folder for folder in tools.PATH.split(":") if folder.startswith("/usr/local")]
