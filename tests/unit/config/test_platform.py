"""The platforms that come with itb: their definitions are whole and agree with themselves."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from itb.config import lookup
from itb.config.platform import FINAL_STAGES
from itb.data import shipped
from itb.debtorpm import overrides
from itb.errors import UsageError
from itb.platforms import images

NAMES = ("deb13", "el8", "el9", "el10")
DEB13 = shipped.folder("build_ws") / "platforms/deb13"


@pytest.mark.parametrize("name", NAMES)
def test_definition_is_whole(name: str) -> None:
    platform = lookup.load_platform(name)
    assert set(FINAL_STAGES) <= set(platform.stages)
    folders = platform.folders
    for script in [platform.resolve, *(stage.script for stage in platform.stages.values())]:
        assert any((folder / script).is_file() for folder in folders), script
    for stage in platform.stages.values():
        assert {stage.from_, *stage.after} <= {"base", *platform.stages}
    assert (shipped.folder("build_ws") / "ce" / platform.ce.configure).is_file()
    assert platform.tested == (name == "deb13")
    assert platform.note, "what a reader of a report has to know of a platform that is not EL, or was not run"


@pytest.mark.parametrize("name", NAMES)
def test_scripts_use_declared_settings_only(name: str) -> None:
    platform = lookup.load_platform(name)
    text = "".join(
        path.read_text() for folder in platform.folders for path in folder.glob("*.sh")
    )
    used = {name.lower() for name in re.findall(r"\bITB_([A-Z_]+)\b", text)}
    assert used <= {*platform.settings, "ce_packages"}


def test_options_override_settings() -> None:
    platform = lookup.load_platform("deb13")
    assert images.effective(platform, {"mirror": "http://here"})["mirror"] == "http://here"
    with pytest.raises(UsageError, match=r"no option 'miror'.*mirror"):
        images.effective(platform, {"miror": "http://here"})
    with pytest.raises(UsageError, match=r"refresh_hours.*not a number"):
        images.effective(platform, {"refresh_hours": "daily"})


def test_digest_follows_what_images_are_made_from(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    for path in (lookup.load_platform("el9").folder.parent / "common-el").glob("*.sh"):
        (folder / path.name).write_bytes(path.read_bytes())
    text = (shipped.folder("build_ws") / "platforms/el9/platform.yaml").read_text()
    (folder / "platform.yaml").write_text(text.replace("shared: common-el\n", ""))

    def digest(**options: str) -> str:
        platform = lookup.load_platform(str(folder))
        return images.digest(platform, images.effective(platform, options))

    first = digest()
    (folder / "README.md").write_text("words")
    assert digest() == first, "documentation reaches no image"
    assert digest(refresh_hours="1") == first, "how often to look is not what is found"
    assert digest(osg="23") != first
    (folder / "bare.sh").write_text("#!/bin/bash\n")
    assert digest() != first


def test_same_files_are_left_out_by_dpkg_and_converter() -> None:
    root = (DEB13 / "root.sh").read_text()
    overridden = overrides.load(DEB13 / "names.toml")
    assert set(re.findall(r"^path-exclude=(.*)$", root, re.MULTILINE)) == set(overridden.drop)
    assert set(re.findall(r"^path-include=(.*)$", root, re.MULTILINE)) == set(overridden.keep)


def test_stand_ins_say_so() -> None:
    declared = set(lookup.load_platform("deb13").stand_ins)
    stand_ins = set()
    for path in (DEB13 / "rpms").glob("*.spec"):
        name = re.search(r"^Name:\s*(\S+)", path.read_text(), re.MULTILINE)
        assert name
        for part in re.split(r"^(?=%package )", path.read_text(), flags=re.MULTILINE):
            summary = re.search(r"^Summary:\s*(.*)$", part, re.MULTILINE)
            sub = re.match(r"%package (-n )?(\S+)", part)
            full = name[1] if sub is None else sub[2] if sub[1] else f"{name[1]}-{sub[2]}"
            if summary and "stand-in" in summary[1]:
                stand_ins.add(full)
    assert stand_ins == declared
