"""The values that a run computes; each is frozen, and written to the run directory once it is there."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from ipaddress import ip_address
from typing import Annotated, NamedTuple
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field


class Record(BaseModel):
    """The base of all values: frozen; an unknown key is an error, and so is an infinite number."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


# A moment is in seconds since the epoch. The limit is in the year 5138: far beyond it, calendar functions fail.
END_OF_TIME = 1e11
Moment = Annotated[float, Field(ge=0, le=END_OF_TIME)]
Seconds = Annotated[float, Field(ge=-END_OF_TIME, le=END_OF_TIME)]


class Outcome(StrEnum):
    """How a test case ended; the words are JUnit's."""

    PASSED = "passed"
    FAILED = "failed"  # the product's fault
    ERROR = "error"  # the testbed's, the tool's, or an interruption
    SKIPPED = "skipped"  # an unmet need, with its reason


class Remark(StrEnum):
    """Qualifies an outcome: it did not simply pass, or was not simply skipped."""

    FLAKY = "flaky"  # passed, and not at the first try
    KNOWN_FAILURE = "known failure"  # failed, and that was known: skipped
    WARNING = "warning"  # passed, and says what may be wrong


class CommitKind(StrEnum):
    """The kind of a reference, once it is resolved."""

    BRANCH = "branch"
    TAG = "tag"
    COMMIT = "commit"
    PR = "pr"
    WORKTREE = "worktree"  # files as they are, committed or not
    PUBLISHED = "published"  # no commit: packages that were published elsewhere


class CaseKey(NamedTuple):
    """Identifies a test case within a run, and from run to run.

    The name says what is tried and nothing of how it went this time: no
    reference, commit, version, number of tries, nor whether a cache had it.
    """

    phase: str
    role: str
    name: str


class PlannedCases(Record):
    """The cases of a run that gets to its end, in the order of its nodes."""

    cases: tuple[CaseKey, ...]


class Try(Record):
    """An earlier try of a case, which failed or was an error; its fields are those of a case."""

    outcome: Outcome
    message: str = ""
    evidence: str = ""
    log: str = ""
    started: Moment
    seconds: Seconds = 0.0


class Quote(Record):
    """A log line that a message quotes.

    ``file`` is its log's path in the run directory, empty if only the evidence
    has it; ``line`` its number from 1, or 0 where only the text is known: logs
    of hosts are collected later.  Without a text only the number is known.
    ``also``: it shows a further problem, not the one in the message.
    """

    file: str = ""
    line: int = 0
    text: str
    also: bool = False


class Case(Record):
    """A test case that has ended.

    ``started`` is seconds since the epoch, ``seconds`` the duration, ``log``
    a path relative to the run directory, ``quotes`` the log lines that its
    message quotes, the cause first.  ``exit_code`` is what this case
    contributes to the run's exit code (0 when it passed or was skipped).
    With ``supersedes``, it replaces the last case of the same key; ``tries``
    are earlier tries that failed or were errors.
    """

    phase: str
    role: str
    name: str
    outcome: Outcome
    message: str = ""
    evidence: str = ""
    log: str = ""
    quotes: tuple[Quote, ...] = ()
    started: Moment
    seconds: Seconds
    exit_code: int = 0
    supersedes: bool = False
    remark: Remark | None = None
    tries: tuple[Try, ...] = ()

    @property
    def key(self) -> CaseKey:
        """Return its key, which no other case of its run has."""
        return CaseKey(self.phase, self.role, self.name)

    @property
    def ended(self) -> float:
        """Return when it ended, in seconds since the epoch; a moment also if the record is damaged."""
        return min(max(self.started + self.seconds, 0.0), END_OF_TIME)

    @property
    def is_bad(self) -> bool:
        """Return whether it failed or was an error."""
        return self.outcome in (Outcome.FAILED, Outcome.ERROR)

    @property
    def bad_tries(self) -> tuple[Try, ...]:
        """Return its tries that failed or were errors; the case itself is the last of them if it is bad."""
        if not self.is_bad:
            return self.tries
        fields = self.model_dump(include=set(Try.model_fields))
        return (*self.tries, Try.model_validate(fields))


class Trust(StrEnum):
    """A level of trust, the lowest first; :mod:`itb.config.trust` says what has it and what it allows."""

    PR = "pr"
    BRANCH = "branch"
    RELEASE = "release"


class RunTrust(Record):
    """The level of trust of a run, and the one by the kinds of its references, from which the user may differ."""

    level: Trust
    reference: Trust

    @property
    def text(self) -> str:
        """Return the level, and what the user made of it."""
        if self.level is self.reference:
            return self.level
        raised = [*Trust].index(self.level) > [*Trust].index(self.reference)
        return f"{self.level}, {'raised' if raised else 'lowered'} by the user; {self.reference} by its reference"


class Commit(Record):
    """An exact commit of a product's source and what was asked for to get it.

    ``id`` and ``tree`` are 40-digit git object ids (``id`` of a worktree is a commit made of it);
    ``version`` is dotted (3.11.2), ``rc`` its release candidate number or 0
    for none, ``rpm_release`` orders builds of one version, see itb help products.
    ``tags`` are those it had when it was looked up, None in runs of older versions.
    ``on_branch`` is false if no branch or tag of the source leads to it.
    ``warnings`` say what its source lacks of it: tags, files of submodules.

    Packages that were published elsewhere have no commit: ``kind`` is
    published, ``source`` their repository, ``id``, ``tree`` empty and
    ``rpm_release`` the whole Release.
    """

    product: str
    source: str
    ref: str
    kind: CommitKind
    id: str
    tree: str
    date: str
    subject: str
    describe: str = ""
    version: str
    rc: int = 0
    rpm_release: str = ""
    on_branch: bool = True
    tags: tuple[str, ...] | None = None
    warnings: tuple[str, ...] = ()

    @property
    def open_transport(self) -> str:
        """Return the scheme of its source if anybody on the network may have changed what came, else nothing.

        A commit that was asked for by its whole id is what it was asked for, however it came.
        """
        if self.kind is CommitKind.PUBLISHED or self.ref.lower() == self.id or "://" not in self.source:
            return ""
        try:
            url = urlsplit(self.source)
            is_here = (url.hostname or "") == "localhost" or ip_address(url.hostname or "").is_loopback
        except ValueError:  # a name, not an address
            is_here = False
        scheme = self.source.partition("://")[0].lower()
        return scheme if scheme in ("git", "http") and not is_here else ""

    @property
    def epoch(self) -> int:
        """Return its date in seconds, of those an RPM's header can hold: SOURCE_DATE_EPOCH of its build."""
        return min(int(datetime.fromisoformat(self.date).timestamp()), 2**32 - 1)


class Rpm(Record):
    """A package file found after a build; ``file`` is its name only.

    ``header`` is the SHA-256 of the package's header, which holds the
    payload's checksum, where an installed package is to be compared with it.
    """

    name: str
    epoch: int = 0
    version: str
    release: str
    arch: str
    file: str
    sha256: str
    size: int
    header: str = ""

    @property
    def nevra(self) -> str:
        """Return name-[epoch:]version-release.arch as dnf and rpm print it."""
        epoch = f"{self.epoch}:" if self.epoch else ""
        return f"{self.name}-{epoch}{self.version}-{self.release}.{self.arch}"


class Build(Record):
    """The candidate's RPMs: built of a commit, or chosen from those published elsewhere.

    ``directory`` holds the files, ``arguments`` are ReleaseManager's, or the product's build command;
    ``published`` is the repository of RPMs that were not built here, in
    which case there are no files and no arguments.
    """

    commit: Commit
    platform: str
    directory: str
    rpms: tuple[Rpm, ...]
    source_rpm: Rpm | None = None
    arguments: tuple[str, ...] = ()
    cached: bool = False
    seconds: float = 0.0
    published: str = ""


class SigningKey(Record):
    """The run's own key, which signs packages and metadata; its secret part never leaves the services host."""

    fingerprint: str


class Repo(Record):
    """A YUM repository hosts install from: the run's own on the testbed network, or one published elsewhere.

    ``gpgcheck`` is false where packages without a signature were allowed,
    ``repo_gpgcheck`` where the metadata carries none.  ``include`` are the
    NEVRAs to take where it holds more than the candidate; hosts use the rest
    with dnf's ``priority``, the product's other versions aside.
    """

    id: str
    url: str
    key_url: str
    key_fingerprint: str
    packages: int
    gpgcheck: bool = True
    repo_gpgcheck: bool = True
    include: tuple[str, ...] = ()
    priority: int = 99


class HostInfo(Record):
    """A host of a testbed: container name, its full name on the network and what it was made from.

    ``privileges`` says what its container may do, as the engine tells.
    """

    role: str
    container: str
    fqdn: str
    address: str
    image: str
    image_id: str
    privileges: str = ""


class Image(Record):
    """An image in the engine's store: a name to run it by, and its id."""

    reference: str
    id: str


class PlatformImages(Record):
    """The images of a platform; ``notice`` says why they may be older than what the mirror has."""

    platform: str
    key: str
    bare: Image
    build: Image
    services: Image
    ce: Image | None = None  # a bare host with the CE's packages
    created: str = ""
    size: int = 0
    notice: str = ""

    @property
    def references(self) -> dict[str, str]:
        """Return the names to run the images by, by what they are for."""
        return {kind: image.reference for kind, image in self.kinds.items()}

    @property
    def kinds(self) -> dict[str, Image]:
        """Return the images by what they are for."""
        return {"bare": self.bare, "build": self.build, "services": self.services, "ce": self.ce or self.bare}


class TestbedHosts(Record):
    """The hosts of a run and their network."""

    __test__ = False

    name: str
    network: str
    hosts: tuple[HostInfo, ...]

    def host(self, role: str) -> HostInfo:
        """Return the host of a role; KeyError if the testbed has none."""
        for host in self.hosts:
            if host.role == role:
                return host
        raise KeyError(role)


class InstalledPackage(Record):
    """A package on a host; ``origin`` is the id of the repository it came from."""

    nevra: str
    origin: str
    candidate: bool = False


class Installed(Record):
    """The product's packages on each host after the install phase, by role."""

    packages: dict[str, tuple[InstalledPackage, ...]]


class Token(Record):
    """The claims of a token, which reports may show; its value is kept in no record.

    Times are seconds since the epoch; ``jti`` is a SHA-256 prefix of the
    token's id; ``verified`` says whether the signature was checked;
    ``role`` and ``path`` are the first of the places it was delivered to.
    """

    provider: str
    issuer: str
    subject: str
    audience: tuple[str, ...]
    scopes: tuple[str, ...]
    issued: int
    expires: int
    jti: str
    verified: bool
    role: str = ""
    path: str = ""


class Notes(Record):
    """Texts about product and platform that a report shows and the run directory does not have.

    ``platform_note`` is the platform's own caveat, such as that a pass on
    deb13 does not prove EL.
    """

    product_title: str = ""
    platform_title: str = ""
    platform_note: str = ""
