"""What ``platform.yaml`` says: an operating system, its images, its Compute Entrypoint, its repositories."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from itb.model import Record

SIDE_EFFECTS = "side-effects.yaml"  # beside platform.yaml, in the shared folder and in platforms/ itself


class Ce(Record):
    """How a Compute Entrypoint comes to be on a platform; ``configure`` is a script of ``build_ws/ce``."""

    packages: tuple[str, ...]
    configure: str
    services: tuple[str, ...]
    logs: tuple[str, ...] = ("/var/log/condor/*",)


class BaseImage(Record):
    """Where a platform starts: a public image, or (``debian``) a mirror where no registry answers."""

    image: str
    debian: bool = False


class ImageStage(Record):
    """One image: a script run in a container of another stage (``from``), once those in ``after`` are there."""

    from_: str = Field(alias="from")
    script: str
    after: tuple[str, ...] = ()


class Mock(Record):
    """How mock builds in the workspace, which then runs privileged; ``refused`` is why it cannot.

    ``python_version`` is what a ReleaseManager has mock install (its ``--python-version``).
    """

    python_version: str = ""
    refused: str = ""

    @model_validator(mode="after")
    def _has_version_or_refusal(self) -> Self:
        if bool(self.python_version) == bool(self.refused):
            raise ValueError("exactly one of python_version and refused is expected")
        return self


class Workspace(Record):
    """The build workspace: environment every build is run with, and mock where the platform has it."""

    env: dict[str, str] = {}
    mock: Mock = Mock(refused="its definition does not say how")


class PublishedRepository(Record):
    """A repository a product's packages are published in, for ``--from-repo NAME``.

    ``url`` may hold settings of the platform in braces and dnf's variables;
    ``key`` is a glob of key files on the platform's hosts; ``priority`` is
    dnf's, for what else is in it.  ``refused`` is why there is none on this
    platform.
    """

    url: str = ""
    key: str = ""
    priority: int = Field(default=99, ge=1, le=99)
    refused: str = ""

    @model_validator(mode="after")
    def _has_url_or_refusal(self) -> Self:
        if bool(self.url) == bool(self.refused):
            raise ValueError("exactly one of url and refused is expected")
        return self


class Platform(Record):
    """``platform.yaml``: the stages ``bare``, ``build`` and ``services`` are what a run is made of.

    ``settings`` reach the scripts as ``ITB_<NAME>``; ``shared`` names a folder
    beside the definition's own whose files are put with them; ``resolve``
    prints every package the images are made from; ``stand_ins`` are packages that only
    carry the name of the real one; ``note`` is what a reader of a report has
    to know; ``tested`` is false where nobody ran it.
    """

    title: str
    note: str = ""
    tested: bool = False
    base: BaseImage
    settings: dict[str, str] = {}
    shared: str = ""
    converter: bool = False
    resolve: str = ""
    stages: dict[str, ImageStage]
    build: Workspace = Workspace()
    repository: str = ""
    stand_ins: tuple[str, ...] = ()
    ce: Ce
    published: dict[str, PublishedRepository] = {}
    name: str = ""
    folder: Path = Path()


class Explained(Record):
    """Files that installing packages changes or makes besides the packages' own, and why.

    In ``paths`` (globs of whole paths) ``*`` stands for anything within a
    name and ``**`` for anything.  With ``new`` they explain files that are
    made, and none of the image's that is changed.  Where packages' files
    belong (``packaged``), a new file counts as the candidate is installed:
    later, a scenario may have installed more.
    """

    paths: tuple[str, ...] = Field(min_length=1)
    reason: str = Field(min_length=1)
    new: bool = False
    packaged: bool = False


class SideEffects(Record):
    """``side-effects.yaml``: what may differ on a host from image and packages, and where new files count.

    A file of the image that was changed always counts unless it is among
    ``expected``; one that no package has counts in ``watched`` places only.
    """

    watched: tuple[Explained, ...] = ()
    expected: tuple[Explained, ...] = ()
