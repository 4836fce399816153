"""Labels, names and addresses of containers, networks, volumes and images; no other module makes or parses them.

The label of everything that belongs to a run has the run's name, and another
one the folder of the run's directory: two folders may have a run of the same
name, and a cleanup looks there whether the run is still in progress.  A
testbed's Compose file sets the labels itself, from variables;
:func:`missing_labels` checks that it does.

A run's or a build's *short id*, eight hexadecimal digits, is part of names.
"""

from __future__ import annotations

import ipaddress
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_RUN = "itb.run"
_RUNS = "itb.runs"  # the folder that holds the run's directory
ROLE = "itb.role"
_BUILDING = "itb.building"  # of a build's containers and volumes: the build's lock file
_BUILD_LOCK = "itb.builder"  # of images: the lock file of the build that made them
_PLATFORM = "itb.platform"  # of images: the platform's name
_IMAGE = "itb.image"  # of images: their stage
_KEY = "itb.key"  # of images: the set they belong to
_IMAGES = "localhost/itb/"  # begins the names of itb's images in an engine's store
_DEFINITION = "itb.definition"  # of images: the checksum of what defines them

_CONTAINER_NAME = re.compile(r"itb-(?:[\w.-]+-)?([0-9a-f]{8})-[\w.-]+")  # of a run or a platform's build
_NAME = re.compile(r"itb-(?:[\w.-]+-)?[0-9a-f]{8}(?:[_-][\w.-]+)?")  # of a container, network or volume

Labels = dict[str, str]  # an empty value of a filter means any


def run_labels(run: str, runs: Path | str = "") -> Labels:
    """Return the labels of everything that belongs to a run, of a folder or, if it is empty, of any."""
    return {_RUN: run, **({_RUNS: str(runs)} if str(runs) else {})}


def options(labels: Mapping[str, str]) -> list[str]:
    """Return the engine's options that add labels to a new container, network or volume."""
    return [argument for key, value in labels.items() for argument in ("--label", f"{key}={value}")]


def any_run() -> Labels:
    """Return the filter of everything that belongs to a run, whichever it is."""
    return {_RUN: ""}


def runs_labels(runs: Path | str = "") -> Labels:
    """Return the filter of everything that belongs to the runs of a folder, or of any folder if it is empty."""
    return {_RUNS: str(runs)}


def run_of(labels: Mapping[str, str]) -> tuple[str, str]:
    """Return the name of the run that a resource belongs to, and the folder of the run's directory."""
    return labels.get(_RUN, ""), labels.get(_RUNS, "")


def role_of(labels: Mapping[str, str]) -> str:
    """Return the role a container plays; empty if it has none."""
    return str(labels.get(ROLE, ""))


def missing_labels(labels: Mapping[str, str]) -> str:
    """Return the labels that a Compose service must have, as YAML; empty if it has them."""
    required = {_RUN: "${ITB_RUN}", _RUNS: "${ITB_RUNS}"}
    if all(labels.get(label) == value for label, value in required.items()):
        return ""
    return " and ".join(f'{label}: "{value}"' for label, value in required.items())


def compose_container(role: str) -> str:
    """Return the ``container_name`` of a Compose service, from which it makes that of :func:`container`."""
    return f"${{ITB_PROJECT}}-{role}"


def project(short_id: str) -> str:
    """Return the name of a run's Compose project and of its network, by the run's short id."""
    return f"itb-{short_id}"


def container(short_id: str, role: str) -> str:
    """Return the name of the container that plays a role in a run."""
    return f"{project(short_id)}-{role}"


def container_role(name: str, short_id: str) -> str:
    """Return the role that a container of a run plays, by its name."""
    return name.removeprefix(f"{project(short_id)}-")


def short_id_of(name: str) -> str:
    """Return the short id of the run or build that a container of this name belongs to; empty if none."""
    match = _CONTAINER_NAME.fullmatch(name)
    return match[1] if match else ""


def is_own(name: str) -> bool:
    """Return whether itb gives such names to containers, networks and volumes.

    Labels alone do not tell: a container inherits those of its image, and
    anybody may make an image of a host.
    """
    return _NAME.fullmatch(name) is not None


def once() -> str:
    """Return a name for a container that runs one command and goes."""
    return prefix_of("once", secrets.token_hex(4))


def mac_prefix(short_id: str) -> str:
    """Return the first five bytes of a run's hardware addresses."""
    # 02: locally administered; the rest keeps runs apart on one machine.
    return ":".join(["02", *(short_id[i : i + 2] for i in range(0, 8, 2))])


def address_prefix(subnet: str) -> str:
    """Return the first three bytes of the addresses of a network (CIDR); empty for none."""
    return ".".join(str(ipaddress.ip_network(subnet).network_address).split(".")[:3]) if subnet else ""


def prefix_of(purpose: str, short_id: str) -> str:
    """Return the prefix of names for another purpose than a run: a platform whose images are built, or doctor."""
    return f"itb-{purpose}-{short_id}"


def build_labels(lock: Path | str = "") -> Labels:
    """Return the labels of the containers and volumes of a build of images; of any build if ``lock`` is empty."""
    return {_BUILDING: str(lock)}


def lock_of(labels: Mapping[str, str]) -> str:
    """Return the lock file of the build that a container or volume belongs to; empty if there is none."""
    return labels.get(_BUILDING, "")


def image_name(platform: str, stage: str, key: str) -> str:
    """Return the name of a platform's image: ``stage`` is base or one of its stages, ``key`` that of its set."""
    return f"{_IMAGES}{platform}-{stage}:{key}"


def is_image_name(name: str) -> bool:
    """Return whether a name of an image is one that itb gives."""
    return name.startswith(_IMAGES)


def base_image_pattern(platform: str) -> str:
    """Return the pattern of the names of a platform's base images, of any key."""
    return f"{_IMAGES}{platform}-base"


def image_filter(platform: str = "") -> str:
    """Return the label by which the images of a platform are found, or those of all platforms."""
    return f"{_PLATFORM}={platform}" if platform else _PLATFORM


@dataclass(frozen=True)
class ImageLabels:
    """The values of an image's labels; empty for a label that it lacks.

    ``build_lock`` is the lock file of the build that made the image, ``key`` the
    set that it belongs to, ``definition`` the checksum of its definition.
    """

    platform: str = ""
    stage: str = ""
    build_lock: str = ""
    key: str = ""
    definition: str = ""

    @classmethod
    def read(cls, labels: Mapping[str, str]) -> ImageLabels:
        """Read the labels of an image."""
        return cls(*(labels.get(name, "") for name in (_PLATFORM, _IMAGE, _BUILD_LOCK, _KEY, _DEFINITION)))

    @property
    def labels(self) -> Labels:
        """Return the labels by name, in the order in which they are written."""
        labels = {_BUILD_LOCK: self.build_lock, _PLATFORM: self.platform, _IMAGE: self.stage}
        labels |= {_KEY: self.key, _DEFINITION: self.definition}
        return {name: value for name, value in labels.items() if value}
