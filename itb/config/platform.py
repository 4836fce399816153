"""The records of a platform's definition, platform.yaml, and of side-effects.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import ConfigDict, Field, model_validator

from itb.config.yaml_record import YamlRecord, exactly_one
from itb.data import shipped

FINAL_STAGES = ("bare", "build", "services")  # the images a run uses; every platform has these stages
CE_STAGE = "ce"  # one that a platform may have: the bare host with the CE's packages
BASE = "base"  # the image that stages start from
SIDE_EFFECTS = "side-effects.yaml"  # beside platform.yaml, in the shared folder and in platforms/ itself


class Ce(YamlRecord):
    """How a Compute Entrypoint comes to be on a platform."""

    packages: tuple[str, ...]
    """Packages that dnf installs."""
    configure: str
    """Script of build_ws/ce that configures it."""
    services: tuple[str, ...]
    """systemd units that are started, in this order."""
    logs: tuple[str, ...] = ("/var/log/condor/*",)
    """Globs of log files that are kept as evidence."""


class BaseImage(YamlRecord):
    """Where a platform starts: a public image, or a mirror where no registry answers."""

    image: str
    """Name of the image."""
    debian: bool = False
    """Whether mmdebstrap makes the same from a Debian mirror where no registry answers."""


class ImageStage(YamlRecord):
    """One image: what a script makes of another one in a container."""

    from_: str = Field(alias="from")
    """The image it starts from: base, or another stage."""
    script: str
    """File of the folder, or of the shared one. It may be tried twice, each time in a fresh container."""
    after: tuple[str, ...] = ()
    """Stages that have to be there before."""


class Mock(YamlRecord):
    """How mock builds in the workspace, which then runs privileged."""

    model_config = ConfigDict(json_schema_extra=exactly_one("python_version", "refused"))

    python_version: str = ""
    """What a ReleaseManager has mock install (its --python-version)."""
    refused: str = ""
    """Why it cannot build with mock."""

    @model_validator(mode="after")
    def _has_version_or_refusal(self) -> Self:
        if bool(self.python_version) == bool(self.refused):
            raise ValueError("exactly one of python_version and refused is expected")
        return self


class WorkspaceDefinition(YamlRecord):
    """The build workspace."""

    env: dict[str, str] = {}
    """Environment that every build is run with."""
    mock: Mock = Mock(refused="its definition does not say how")


class PublishedRepository(YamlRecord):
    """A repository that packages are published in, for --from-repo NAME."""

    model_config = ConfigDict(json_schema_extra=exactly_one("url", "refused"))

    url: str = ""
    """Its URL; settings of the platform in braces and variables of dnf are filled in."""
    key: str = ""
    """Glob of key files on the platform's hosts."""
    fingerprint: str = Field(default="", pattern=r"^([0-9A-F]{40}|[0-9A-F]{64})?$")
    """Fingerprint of the key, in capital hex digits: no other key of these files, or of the repository, counts."""
    priority: int = Field(default=99, ge=1, le=99)
    """dnf's priority for what else is in it."""
    refused: str = ""
    """Why there is none on this platform."""

    @model_validator(mode="after")
    def _has_url_or_refusal(self) -> Self:
        if bool(self.url) == bool(self.refused):
            raise ValueError("exactly one of url and refused is expected")
        return self


class PlatformFile(YamlRecord):
    """A platform: an operating system, its images, its Compute Entrypoint and its repositories."""

    title: str
    """What the platform is, in one line."""
    note: str = ""
    """What a reader of a report has to know."""
    tested: bool = False
    """Whether somebody ran it."""
    base: BaseImage
    settings: dict[str, str] = {}
    """What scripts find as ITB_<NAME>; platform_options of itb.yaml override it."""
    shared: str = ""
    """A folder beside the platform's own, or one of itb's platforms, whose files are put with the own ones."""
    converter: bool = False
    """Whether itb's converter of Debian packages is put beside the scripts."""
    resolve: str = ""
    """Script that prints every package the images are made from: other ones make other images."""
    internet: bool = False
    """Whether hosts need the internet, such as for dnf to install from mirrors. Without it they reach each other
    and nothing else; with it public addresses too, and the servers of URLs in settings."""
    stages: dict[str, ImageStage]
    """The images. A run needs bare (hosts), build (the workspace) and services. Where there is a ce, it is bare
    with the CE's packages, which its script finds as ITB_CE_PACKAGES: no run has to install them then."""
    build: WorkspaceDefinition = WorkspaceDefinition()
    repository: str = ""
    """Folder on the services host that is served as https://repo.glideinwms.org/platform/."""
    stand_ins: tuple[str, ...] = ()
    """Packages that only carry the name of the real one; reports name them."""
    ce: Ce
    published: dict[str, PublishedRepository] = {}
    """By name, repositories for --from-repo."""


class Platform(PlatformFile):
    """A platform as it was read: what ``platform.yaml`` says, its name and its folder."""

    name: str = ""
    folder: Path = Path()

    @property
    def folders(self) -> tuple[Path, ...]:
        """Return the folders with its files, the shared one first."""
        if not self.shared:
            return (self.folder,)
        beside = self.folder.parent / self.shared
        return (beside if beside.is_dir() else shipped.folder("build_ws") / "platforms" / self.shared, self.folder)


class SideEffect(YamlRecord):
    """Files that installing packages changes or makes besides the packages' own, and why."""

    paths: tuple[str, ...] = Field(min_length=1)
    """Globs of whole paths: * stands for anything within a name, ** for anything."""
    reason: str = Field(min_length=1)
    """Why they differ."""
    new: bool = False
    """Whether only files that are made are meant, and none of the image's that is changed."""
    changed: bool = False
    """Whether only files of the image that are changed are meant, and none that is made."""
    packaged: bool = False
    """Whether packages' files belong here: a new file counts as the candidate is installed; later, a scenario may
    have installed more."""
    linked: bool = False
    """Whether only links are meant that lead to a file of a package; one of the image that is changed has to lead
    to a file of a package of the platform that was installed since."""
    elsewhere: bool = False
    """Whether files do not count in folders of the product: those in which nobody else has any."""


class SideEffects(YamlRecord):
    """What may differ on a host from image and packages, and where new files count.

    A file of the image that was changed always counts unless it is among the
    expected ones; one that no package has counts in watched places only.
    """

    watched: tuple[SideEffect, ...] = ()
    """Places where a new file counts."""
    expected: tuple[SideEffect, ...] = ()
    """What may differ."""
    reserved: tuple[SideEffect, ...] = ()
    """Places where no package of the product may have a file, unless it is expected."""
