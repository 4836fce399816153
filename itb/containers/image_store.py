"""The images in an engine's store: finding them by name and label, making and removing them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from itb.containers import naming
from itb.containers.engine import Engine
from itb.containers.naming import ImageLabels
from itb.errors import TestbedError
from itb.process.request import Request
from itb.process.result import Completed
from itb.util import proxies

_ID_PREFIX = "sha256:"


@dataclass(frozen=True)
class StoredImage:
    """An image as the engine describes it: ``names`` are its tags, ``parent`` is an id, ``size`` is in bytes."""

    id: str
    names: tuple[str, ...]
    labels: ImageLabels
    parent: str
    created: str
    size: int


class ImageStore:
    """Finds, makes, names and removes the images of one engine."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def find_id(self, name: str) -> str:
        """Return the id of an image; empty if there is none of this name."""
        answer = self.engine.run(Request(["image", "inspect", "--format", "{{.Id}}", name], check=False))
        return answer.stdout.strip().removeprefix(_ID_PREFIX) if answer.ok else ""

    def find_all(self, names: Iterable[str]) -> list[StoredImage]:
        """Return the images of these names, in this order; none if one of them is missing.

        One made behind a proxy with a login counts as missing: every container of it would have the login.
        """
        names = list(names)
        answer = self.engine.run(Request(["image", "inspect", *names], check=False))
        if not answer.ok:
            return []
        items = self.engine.parse_answer(answer, count=len(names))
        if any(proxies.have_login(item.get("Config", {}).get("Env") or ()) for item in items):
            return []
        return [_read(item) for item in items]

    def of_platform(self, platform: str = "") -> list[StoredImage]:
        """Return the images that itb has made for a platform, or for any, newest first, with a name or without."""
        label = f"label={naming.image_filter(platform)}"
        ids = self.engine.call("images", "--all", "--quiet", "--no-trunc", "--filter", label).stdout.split()
        if not ids:
            return []
        answer = self.engine.run(Request(["image", "inspect", *dict.fromkeys(ids)], check=False))
        return [_read(item) for item in self.engine.parse_answer(answer)]

    def base_names(self, platform: str) -> list[str]:
        """Return the names of a platform's base images: a pulled one has none of itb's labels to find it by."""
        pattern = f"reference={naming.base_image_pattern(platform)}"
        answer = self.engine.call("images", "--format", "{{.Repository}}:{{.Tag}}", "--filter", pattern)
        return answer.stdout.split()

    def pull(self, name: str, *, timeout: float) -> Completed:
        """Pull an image from its registry, if that can be done."""
        return self.engine.run(Request(["pull", name], timeout=timeout, check=False))

    def add_name(self, image: str, name: str) -> None:
        """Give an image another name."""
        self.engine.call("tag", image, name)

    def load_archive(self, archive: Path, name: str, *, platform: str, timeout: float) -> str:
        """Make an image of a tar archive of its files, labelled as a platform's; return its id."""
        label = ("--change", f"LABEL {naming.image_filter(platform)}")
        self.engine.run(Request(["import", *label, str(archive), name], timeout=timeout))
        return self.find_id(name)

    def commit(
        self, container: str, labels: Mapping[str, str], *, command: str, stop_signal: str, timeout: float
    ) -> str:
        """Make an image of a container and return its id; ``command`` is what its containers run.

        Raises TestbedError if the engine does not print the id.
        """
        changes = [f'LABEL {key}="{value}"' for key, value in labels.items()]
        changes += [f'CMD ["{command}"]', f"STOPSIGNAL {stop_signal}"]
        options = [part for change in changes for part in ("--change", change)]
        completed = self.engine.run(Request(["commit", *options, container], timeout=timeout))
        printed, stop = completed.stdout.split(), self.engine.runner.stop
        if not printed and stop.event.is_set():
            raise stop.error(completed)  # podman 4.3 exits with status 0 when it is told to end
        if not printed:
            message = f"image of container {container}: the engine did not print its id"
            raise TestbedError(message, evidence=completed.output)
        return printed[-1].removeprefix(_ID_PREFIX)

    def remove(self, name: str, *, uninterruptible: bool = False) -> bool:
        """Remove a name or an id of an image; return False if that cannot be done.

        It is not forced: an image stays while a container uses it or while it is the parent of another.
        """
        return self.engine.run(Request(["rmi", name], check=False, uninterruptible=uninterruptible)).ok

    def remove_image(self, image: StoredImage) -> list[str]:
        """Remove an image's names, or the one without a name by its id; return what was removed.

        A name that a user gave it stays.
        """
        names = [name for name in image.names if naming.is_image_name(name)]
        return [name for name in (names if image.names else [image.id]) if self.remove(name)]


def _read(item: Mapping[str, Any]) -> StoredImage:
    return StoredImage(
        id=str(item["Id"]).removeprefix(_ID_PREFIX),
        names=tuple(item.get("RepoTags") or ()),
        labels=ImageLabels.read(item.get("Config", {}).get("Labels") or {}),
        parent=str(item.get("Parent", "")).removeprefix(_ID_PREFIX),
        created=str(item["Created"]),
        size=int(item["Size"]),
    )
