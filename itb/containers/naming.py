"""Labels, names and addresses of what itb has engines make: the only place that makes and parses them.

Whatever belongs to a run carries its name and the folder its directory is
in: the same name may be in two folders, and a cleanup looks there whether
the run is alive.  A testbed's Compose file writes the labels itself, of the
variables it is given; :func:`missing_labels` looks that it does.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_RUN = "itb.run"
_RUNS = "itb.runs"  # the folder that holds the run's directory
ROLE = "itb.role"
_BUILDING = "itb.building"  # of what a build of images needs while it lasts: its lock file
_BUILDER = "itb.builder"  # of images: the lock file of the build that made them
_PLATFORM = "itb.platform"  # of images: the platform's name
_IMAGE = "itb.image"  # of images: their stage
_KEY = "itb.key"  # of images: the set they belong to
_IMAGES = "localhost/itb/"  # begins the names of itb's images in an engine's store
_DEFINITION = "itb.definition"  # of images: the checksum of what defines them

_CONTAINER_NAME = re.compile(r"itb-(?:[\w.-]+-)?([0-9a-f]{8})-[\w.-]+")  # of a run or a platform's build

Labels = dict[str, str]  # an empty value of a filter means any


def run_labels(run: str, runs: Path | str = "") -> Labels:
    """Return the labels of everything that belongs to a run; with no folder its directory may be in any."""
    return {_RUN: run, **({_RUNS: str(runs)} if str(runs) else {})}


def options(labels: Mapping[str, str]) -> list[str]:
    """Return the engine's options that give labels to what it makes."""
    return [word for key, value in labels.items() for word in ("--label", f"{key}={value}")]


def any_run() -> Labels:
    """Return the filter of what belongs to some run."""
    return {_RUN: ""}


def runs_labels(runs: Path | str = "") -> Labels:
    """Return the filter of what belongs to the runs of a folder; to those of any that has one if empty."""
    return {_RUNS: str(runs)}


def run_of(labels: Mapping[str, str]) -> tuple[str, str]:
    """Return the name of the run something belongs to, and the folder its directory is in."""
    return labels.get(_RUN, ""), labels.get(_RUNS, "")


def role_of(labels: Mapping[str, str]) -> str:
    """Return the role a container plays; empty if it has none."""
    return str(labels.get(ROLE, ""))


def missing_labels(labels: Mapping[str, str]) -> str:
    """Return which labels a Compose service must have to be found again; empty if it has them."""
    wanted = {_RUN: "${ITB_RUN}", _RUNS: "${ITB_RUNS}"}
    if all(labels.get(label) == value for label, value in wanted.items()):
        return ""
    return " and ".join(f'{label}: "{value}"' for label, value in wanted.items())


def project(short: str) -> str:
    """Return the name of a run's Compose project and of its network; ``short`` is the run's own number."""
    return f"itb-{short}"


def container(short: str, role: str) -> str:
    """Return the name of the container that plays a role in a run."""
    return f"{project(short)}-{role}"


def container_role(name: str, short: str) -> str:
    """Return the role that a container of a run plays, by its name."""
    return name.removeprefix(f"{project(short)}-")


def short_of(name: str) -> str:
    """Return the number of the run or build a container belongs to by its name; empty if it is none of ours."""
    match = _CONTAINER_NAME.fullmatch(name)
    return match[1] if match else ""


def mac_prefix(short: str) -> str:
    """Return the first five bytes of a run's hardware addresses."""
    # 02: locally administered; the rest keeps runs apart on one machine.
    return ":".join(["02", *(short[i : i + 2] for i in range(0, 8, 2))])


def address_prefix(subnet: str) -> str:
    """Return the first three bytes of the addresses of a network (CIDR); empty for none."""
    return ".".join(str(ipaddress.ip_network(subnet).network_address).split(".")[:3]) if subnet else ""


def prefix_of(what: str, short: str) -> str:
    """Return the prefix of all that something else than a run creates: a build of a platform's images, a case."""
    return f"itb-{what}-{short}"


def build_labels(lock: Path | str = "") -> Labels:
    """Return the labels of everything that a build of images needs while it lasts; of any build if empty."""
    return {_BUILDING: str(lock)}


def lock_of(labels: Mapping[str, str]) -> str:
    """Return the lock file of the build that needs something; empty if none does."""
    return labels.get(_BUILDING, "")


def image_name(platform: str, kind: str, key: str) -> str:
    """Return the name of a platform's image: ``kind`` is base or one of its stages, ``key`` that of its set."""
    return f"{_IMAGES}{platform}-{kind}:{key}"


def is_image_name(name: str) -> bool:
    """Return whether a name of an image is one that itb gives."""
    return name.startswith(_IMAGES)


def base_image_pattern(platform: str) -> str:
    """Return the pattern of the names of a platform's base images, of any key."""
    return f"{_IMAGES}{platform}-base"


def image_filter(platform: str = "") -> str:
    """Return the label of the images of a platform, or the one of those of any."""
    return f"{_PLATFORM}={platform}" if platform else _PLATFORM


@dataclass(frozen=True)
class ImageLabels:
    """What the labels of an image tell; empty where there is no such label.

    ``builder`` is the lock file of the build that made it, ``key`` the set
    it belongs to, ``definition`` the checksum of what defines it.
    """

    platform: str = ""
    stage: str = ""
    builder: str = ""
    key: str = ""
    definition: str = ""

    @classmethod
    def read(cls, labels: Mapping[str, str]) -> ImageLabels:
        """Return what the labels of an image tell."""
        return cls(*(labels.get(name, "") for name in (_PLATFORM, _IMAGE, _BUILDER, _KEY, _DEFINITION)))

    @property
    def labels(self) -> Labels:
        """Return the labels, in the order in which they are written."""
        labels = {_BUILDER: self.builder, _PLATFORM: self.platform, _IMAGE: self.stage}
        labels |= {_KEY: self.key, _DEFINITION: self.definition}
        return {name: value for name, value in labels.items() if value}
