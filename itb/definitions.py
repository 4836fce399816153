"""Products, platforms and scenarios: what the YAML files of the data folders say.

A name is looked up among the user's own folders first, then among the ones
itb ships; a path to a folder works wherever a name does.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from itb import data, ownership, steplibrary, yamlfile
from itb.errors import UsageError
from itb.model import Environment, Record, Word
from itb.platformfile import Platform as Platform  # noqa: PLC0414  # platforms are found here as well

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Source(Record):
    """Where a product comes from: an embedded history or a git URL.

    ``default_ref`` is built when no reference is asked for: empty for the
    source's default branch, ``newest-version`` for the highest version tag,
    release candidates included, or any reference.
    """

    history: str | None = None
    url: str | None = None
    default_ref: str = ""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.history is None) == (self.url is None):
            raise ValueError("exactly one of history and url is expected")
        return self


class ReleaseManager(Record):
    """How a product builds its RPMs.

    ``checkout_name`` is the directory name it wants its clone in; ``env`` is
    set for it; ``timeout`` is in seconds; ``version_tags`` is a regular
    expression with the groups ``version`` and, optionally, ``rc``.
    """

    release_manager: str = "build/ReleaseManager/release.py"
    spec: str = ""
    checkout_name: str
    version_tags: str = r"v(?P<version>\d+(?:_\d+)+)(?:_rc(?P<rc>\d+))?"
    env: Environment = {}
    timeout: float = Field(default=900, gt=0)

    @model_validator(mode="after")
    def _groups(self) -> Self:
        try:
            groups = re.compile(self.version_tags).groupindex
        except re.error as error:
            raise ValueError(f"version_tags: not a regular expression: {error}") from None
        if "version" not in groups:
            raise ValueError("version_tags: the group (?P<version>...) is missing")
        return self


class RoleDefinition(Record):
    """What a release consists of on one role.

    ``packages`` are installed from the candidate; ``configure`` is a script
    run as root after the files were verified; ``services`` are started in
    this order and must stay up; ``logs`` are globs collected as evidence;
    ``probes`` are command lines, by unit, that run a service in the
    foreground: for one that fails and hides what it says; ``repositories``
    are ids of repositories that the hosts know and use for this role only.
    """

    packages: tuple[str, ...] = ()
    repositories: tuple[str, ...] = ()
    configure: str = ""
    services: tuple[str, ...] = ()
    logs: tuple[str, ...] = ()
    probes: dict[str, str] = {}
    timeout: float = Field(default=600, gt=0)


class TokenPlace(Record):
    """A role that gets the SciToken, where and for whom (``user:group``)."""

    role: str
    path: str = Field(pattern=r"^/.*[^/]$")
    owner: str = Field(default="root:root", pattern=r"^[A-Za-z0-9_][\w.-]*(:[A-Za-z0-9_][\w.-]*)?$")


class TokenDelivery(TokenPlace):
    """The SciToken a product wants and where it goes; ``also`` are further places that get the same one."""

    also: tuple[TokenPlace, ...] = ()
    scopes: tuple[str, ...] = ("condor:/READ", "condor:/WRITE")
    profile: str = "scitoken"
    min_lifetime: int = Field(default=1200, ge=0)

    @property
    def places(self) -> tuple[TokenPlace, ...]:
        """Every place the token goes to, the product's own first."""
        return (self, *self.also)

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        seen = [(place.role, place.path) for place in self.places]
        if double := next((item for item in seen if seen.count(item) > 1), None):
            raise ValueError(f"role {double[0]} gets the token at {double[1]} twice")
        return self

    def path_on(self, role: str) -> str:
        """Where the token is on a role's host, the first of several; the product's own path if it gets none."""
        return next((place.path for place in self.places if place.role == role), self.path)


class Trust(Record):
    """An HTCondor IDTOKEN made on one role and put on another (``to``; the same if left out)."""

    on: str
    identity: str
    to: str = ""
    path: str
    owner: str = "root:root"
    key: str = "POOL"
    lifetime: int = Field(default=86400, gt=0)


class Variant(Record):
    """What is different when a product is tested with ``--variant NAME``.

    ``more`` adds to a role's packages, services, logs and so on, and replaces
    its configuration script if it names one; ``instead`` replaces a role.
    What is given otherwise takes the place of the product's, ``env`` adds to
    it.  ``tested`` is false where nobody ran it; ``note`` is what to know.
    """

    title: str
    note: str = ""
    tested: bool = False
    testbed: str = ""
    more: dict[str, RoleDefinition] = {}
    instead: dict[str, RoleDefinition] = {}
    token: TokenDelivery | None = None
    trust: tuple[Trust, ...] = ()
    scenarios: tuple[str, ...] = ()
    env: Environment = {}


class Product(Record):
    """``product.yaml``; ``packages`` are globs of package names that belong to the product.

    ``env`` reaches every scenario step: what a general scenario has to know
    of this product.  ``evidence`` are globs of files the product leaves on
    hosts that are not its own, by role; ``ignored_errors`` are regular
    expressions of lines in its logs that look like errors and mean none;
    ``patience`` multiplies the time limits of scenarios: pilots of some
    products take longer to start than others'.
    """

    title: str
    source: Source
    packages: tuple[str, ...]
    build: ReleaseManager
    roles: dict[str, RoleDefinition]
    token: TokenDelivery | None = None
    trust: tuple[Trust, ...] = ()
    testbed: str = "three-hosts"
    scenarios: tuple[str, ...] = ("smoke",)
    env: Environment = {}
    evidence: dict[str, tuple[str, ...]] = {}
    ignored_errors: tuple[str, ...] = ()
    patience: float = Field(default=1, gt=0)
    variants: dict[str, Variant] = {}
    name: str = ""
    folder: Path = Path()

    @model_validator(mode="after")
    def _known_roles(self) -> Self:
        named = [("token", place.role) for place in self.token.places] if self.token else []
        named += [("trust", role) for trust in self.trust for role in (trust.on, trust.to or trust.on)]
        for what, role in named:
            if role not in self.roles:
                hint = yamlfile.nearest(role, list(self.roles))
                raise ValueError(f"{what}: the product has no role {role!r}{hint}")
        return self


class Eventually(Record):
    """Poll a step until it passes: seconds in all, seconds between tries."""

    within: float = Field(gt=0)
    every: float = Field(default=2, gt=0)


class KnownFailure(Record):
    """A failure that is expected up to and including a date."""

    until: date
    reason: str = Field(min_length=1)


class Step(Record):
    """One step of a scenario: a command line, a script or an action of the engine's on a role.

    ``timeout`` is in seconds, for one try; ``flaky`` the number of tries
    allowed after the first; ``action`` what no program inside a host can do
    to it.
    """

    name: str = Field(min_length=1, max_length=200)
    role: str
    run: Word | None = None
    script: Word | None = None
    action: Literal["reboot"] | None = None
    user: str = Field(default="root", pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*$")
    env: Environment = {}
    timeout: float = Field(default=120, gt=0)
    eventually: Eventually | None = None
    flaky: int = Field(default=0, ge=0, le=100)
    known_failure: KnownFailure | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(item is not None for item in (self.run, self.script, self.action)) != 1:
            raise ValueError("exactly one of run, script and action is expected")
        if self.action and self.eventually:
            raise ValueError("an action is not repeated: eventually goes with run or script")
        return self


class Needs(Record):
    """What a scenario needs to be tried at all; unmet needs are skips.

    ``previous``: packages of an earlier version, to upgrade from.
    """

    roles: tuple[str, ...] = ()
    token: bool = False
    previous: bool = False
    products: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()


class Scenario(Record):
    """``scenario.yaml``; ``always`` steps run however the steps ended.

    A step is not tried after one that failed, unless they are
    ``independent`` of each other.
    """

    title: str
    needs: Needs = Needs()
    independent: bool = False
    env: Environment = {}
    steps: tuple[Step, ...] = Field(min_length=1)
    always: tuple[Step, ...] = ()
    name: str = ""
    folder: Path = Path()

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        names = [step.name for step in (*self.steps, *self.always)]
        double = next((name for name in names if names.count(name) > 1), None)
        if double is not None:
            raise ValueError(f"two steps are named {double!r}; reports tell them apart by name")
        return self

    @property
    def roles(self) -> tuple[str, ...]:
        """Every role the scenario uses, in order of appearance."""
        used = (step.role for step in (*self.steps, *self.always))
        return tuple(dict.fromkeys([*self.needs.roles, *used]))

    @property
    def scripts(self) -> tuple[str, ...]:
        """Every script the steps name, once, in order of appearance."""
        return tuple(dict.fromkeys(step.script for step in (*self.steps, *self.always) if step.script))


def load_platform(name: str, folders: Sequence[Path] = ()) -> Platform:
    """Return the platform of this name or folder; UsageError with the nearest name if there is none."""
    folder = find("platform", name, [*folders, data.folder("build_ws") / "platforms"], "platform.yaml")
    platform = yamlfile.load(folder / "platform.yaml", Platform)
    return platform.model_copy(update={"name": folder.name, "folder": folder})


def load_product(name: str, folders: Sequence[Path] = ()) -> Product:
    """Return the product of this name or folder; UsageError with the nearest name if there is none."""
    folder = find("product", name, [*folders, data.folder("build_ws") / "products"], "product.yaml")
    product = yamlfile.load(folder / "product.yaml", Product)
    _check_roles(product, folder)
    for variant in product.variants:
        _check_roles(with_variants(product, [variant]), folder)
    if product.source.history:
        _check_file(folder, "product.yaml", "history", product.source.history)
    return product.model_copy(update={"name": folder.name, "folder": folder})


def _check_roles(product: Product, folder: Path) -> None:
    """Refuse a configuration script that is not there, and a probe of something that is no service."""
    for role, definition in product.roles.items():
        if definition.configure:
            _check_file(folder, "product.yaml", f"role {role}: script", definition.configure)
        for unit in definition.probes:
            if unit not in definition.services:
                hint = yamlfile.nearest(unit, list(definition.services))
                raise UsageError(f"{folder / 'product.yaml'}: role {role}: probe of {unit!r}, no service{hint}")


def with_variants(product: Product, names: Sequence[str]) -> Product:
    """Return the product as these variants make it, one after the other; UsageError for one it has not."""
    for name in names:
        variant = product.variants.get(name)
        if variant is None:
            known = sorted(product.variants)
            hint = yamlfile.nearest(name, known) or f"; known: {', '.join(known) or 'none'}"
            raise UsageError(f"product {product.name} has no variant {name!r}{hint}")
        for role in (*variant.more, *variant.instead):
            if role not in product.roles:
                raise UsageError(f"product {product.name}: variant {name}: the product has no role {role!r}")
        roles = {**product.roles, **variant.instead}
        roles |= {role: _more(roles[role], more) for role, more in variant.more.items()}
        changed = {
            field: value
            for field in ("testbed", "token", "trust", "scenarios")
            if (value := getattr(variant, field))
        }
        product = product.model_copy(update={**changed, "roles": roles, "env": {**product.env, **variant.env}})
    return product


def _more(role: RoleDefinition, more: RoleDefinition) -> RoleDefinition:
    """A role with what a variant adds to it."""
    lists = {
        field: tuple(dict.fromkeys([*getattr(role, field), *getattr(more, field)]))
        for field in ("packages", "repositories", "services", "logs")
    }
    script = more.configure or role.configure
    return role.model_copy(update={**lists, "configure": script, "probes": {**role.probes, **more.probes}})


def load_scenario(name: str, folders: Sequence[Path] = ()) -> Scenario:
    """Return the scenario of this name or folder; UsageError with the nearest name if there is none."""
    folder = find("scenario", name, [*folders, data.folder("scenarios")], "scenario.yaml")
    scenario = yamlfile.load(folder / "scenario.yaml", Scenario)
    check_scripts(scenario, folder)
    return scenario.model_copy(update={"name": folder.name, "folder": folder})


def check_scripts(scenario: Scenario, folder: Path) -> None:
    """Refuse a step whose script is neither a file inside the scenario's folder nor a step of itb's library."""
    for step in (*scenario.steps, *scenario.always):
        if step.script and not _is_inside(folder, step.script):
            steplibrary.check(step.script, f"{folder / 'scenario.yaml'}: step {step.name!r}: script", folder)


def _is_inside(folder: Path, name: str) -> bool:
    """True if the name is that of a file inside the folder."""
    try:
        path = (folder / name).resolve()
        return path.is_relative_to(folder.resolve()) and path.is_file()
    except (OSError, ValueError):  # a name no file can have
        return False


def _check_file(folder: Path, said_in: str, what: str, name: str) -> None:
    if not _is_inside(folder, name):
        raise UsageError(f"{folder / said_in}: {what} {name!r} is not a file in {folder}")


def find(kind: str, name: str, folders: Sequence[Path], file: str) -> Path:
    """Return the folder that holds ``file`` for a name or a path."""
    if "/" in name or name in (".", ".."):
        path = _expand(name)
        if path and (path / file).is_file():
            return _trusted(path.resolve())
        raise UsageError(f"{kind} {name[:200]!r}: no {file} in {str(path or name)[:200]}")
    for folder in folders:
        if NAME.fullmatch(name) and (folder / name / file).is_file():
            return _trusted((folder / name).absolute())
    known = sorted({path.parent.name for folder in folders for path in folder.glob(f"*/{file}")})
    hint = yamlfile.nearest(name, known) or f"; known: {', '.join(known)}"
    raise UsageError(f"unknown {kind} {name[:200]!r}{hint}")


def _trusted(folder: Path) -> Path:
    """Return a folder of definitions; UsageError for one somebody else can change, unless it came with itb."""
    if not any(folder.is_relative_to(data.folder(own)) for own in ("build_ws", "scenarios")):
        ownership.check_tree(folder)
    return folder


def _expand(name: str) -> Path | None:
    """Return the folder of a path; None if there is none: a user's who is not known, a name too long."""
    try:
        path = Path(name).expanduser()
        return path if path.is_dir() else None
    except (RuntimeError, OSError):
        return None
