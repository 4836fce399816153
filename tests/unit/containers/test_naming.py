"""Labels and names are parsed as they are made, and no other module knows them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from itb.containers import naming
from itb.containers.naming import ImageLabels

TOP = Path(__file__).resolve().parents[3]


def test_labels_of_a_run_say_whose_it_is() -> None:
    labels = naming.run_labels("r", Path("/runs"))
    assert naming.run_of(labels) == ("r", "/runs")
    assert naming.run_of(naming.run_labels("r")) == ("r", "")
    assert naming.options(labels) == ["--label", "itb.run=r", "--label", "itb.runs=/runs"]
    assert naming.any_run() == {"itb.run": ""}


@pytest.mark.parametrize(
    ("name", "short"),
    [
        (naming.container("0a1b2c3d", "ce"), "0a1b2c3d"),
        (naming.container("0a1b2c3d", "second-frontend"), "0a1b2c3d"),
        (f"{naming.prefix_of('deb13', '0a1b2c3d')}-root", "0a1b2c3d"),
        ("itb-test-12", ""),
        ("somebody-0a1b2c3d-ce", ""),
    ],
)
def test_names_of_containers(name: str, short: str) -> None:
    assert naming.short_id_of(name) == short


@pytest.mark.parametrize(
    "name",
    [
        naming.project("0a1b2c3d"),
        naming.container("0a1b2c3d", "ce"),
        naming.prefix_of("deb13", "0a1b2c3d"),
        f"{naming.project('0a1b2c3d')}_data",  # a volume of a Compose file
    ],
)
def test_itbs_own_names(name: str) -> None:
    assert naming.is_own(name)
    assert not naming.is_own(f"my-{name}")
    assert naming.is_own(naming.once())


def test_roles_may_have_dashes() -> None:
    name = naming.container("0a1b2c3d", "second-frontend")
    assert naming.container_role(name, "0a1b2c3d") == "second-frontend"


def test_compose_services_have_the_labels_of_their_run() -> None:
    labels = {"itb.run": "${ITB_RUN}", "itb.runs": "${ITB_RUNS}"}
    assert naming.missing_labels(labels) == ""
    assert naming.missing_labels({**labels, "itb.run": "mine"}).startswith('itb.run: "${ITB_RUN}" and itb.runs:')


def test_addresses() -> None:
    assert naming.address_prefix("10.89.3.0/24") == "10.89.3"
    assert naming.address_prefix("") == ""
    assert naming.mac_prefix("01020304") == "02:01:02:03:04"


def test_images_say_what_they_are() -> None:
    image_labels = ImageLabels(platform="deb13", stage="bare", build_lock="/lock", key="k", definition="d")
    assert ImageLabels.read(image_labels.labels) == image_labels
    assert ImageLabels.read({}) == ImageLabels()
    assert naming.image_filter("deb13") in [f"{name}={value}" for name, value in image_labels.labels.items()]


def test_nobody_else_writes_a_label() -> None:
    label = re.compile(r"""["']itb\.(run|runs|role|building|builder|platform|image|key|definition)["'=]""")
    files = [path for path in (TOP / "itb").rglob("*.py") if path.name != "naming.py"]
    assert len(files) > 50
    assert [str(path.relative_to(TOP)) for path in files if label.search(path.read_text())] == []
