"""The build workspace that a build runs in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from itb.build.clean_rpm import CleanImage
from itb.containers.host import Host
from itb.model import Trust


@dataclass(frozen=True)
class Workspace:
    """The host that a build runs on; ``env`` is what the platform sets for a ReleaseManager.

    ``host`` is None where only the cache is looked up.  ``mock`` is the Python
    that mock has to install; empty to build with rpmbuild.  ``run`` is the run
    that the workspace belongs to, ``fresh`` whether nothing was built in it
    before: a build runs as root and could change the next one, so only what a
    fresh workspace made is put into the cache.  ``trust`` is the level of the
    build there, ``labels`` are those of the run's containers.
    """

    platform: str
    image_id: str
    env: Mapping[str, str] = field(default_factory=dict)
    host: Host | None = None
    mock: str = ""
    run: str = ""
    fresh: bool = False
    trust: Trust = Trust.PR
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def clean_image(self) -> CleanImage:
        """Return the workspace's image, in which nothing was built."""
        assert self.host is not None
        return CleanImage(self.host.engine, self.image_id, self.labels)
