"""The records of a product's definition, product.yaml."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from itb.errors import UsageError
from itb.model import Environment, Record
from itb.util import yamlfile


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
    def _has_one_origin(self) -> Self:
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
    def _has_version_group(self) -> Self:
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
        """Return every place the token goes to, the product's own first."""
        return (self, *self.also)

    @model_validator(mode="after")
    def _has_distinct_paths(self) -> Self:
        paths = [(place.role, place.path) for place in self.places]
        if duplicate := next((path for path in paths if paths.count(path) > 1), None):
            raise ValueError(f"role {duplicate[0]} gets the token at {duplicate[1]} twice")
        return self

    def path_on(self, role: str) -> str:
        """Return the token's path on a role's host, the first of several; the product's own if it gets none."""
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
    of this product; ``pilot_logs``, a glob of the files the output of pilots
    comes back to, does as ITB_PILOT_LOGS.  ``evidence`` are globs of files the product leaves on
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
    pilot_logs: str = ""
    evidence: dict[str, tuple[str, ...]] = {}
    ignored_errors: tuple[str, ...] = ()
    patience: float = Field(default=1, gt=0)
    variants: dict[str, Variant] = {}
    name: str = ""
    folder: Path = Path()

    @model_validator(mode="after")
    def _names_known_roles(self) -> Self:
        users = [("token", place.role) for place in self.token.places] if self.token else []
        users += [("trust", role) for trust in self.trust for role in (trust.on, trust.to or trust.on)]
        for what, role in users:
            if role not in self.roles:
                hint = yamlfile.nearest(role, list(self.roles))
                raise ValueError(f"{what}: the product has no role {role!r}{hint}")
        return self


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
        roles |= {role: _with_more(roles[role], more) for role, more in variant.more.items()}
        changed = {
            field: value
            for field in ("testbed", "token", "trust", "scenarios")
            if (value := getattr(variant, field))
        }
        product = product.model_copy(update={**changed, "roles": roles, "env": {**product.env, **variant.env}})
    return product


def _with_more(role: RoleDefinition, more: RoleDefinition) -> RoleDefinition:
    """Return a role with what a variant adds to it."""
    lists = {
        field: tuple(dict.fromkeys([*getattr(role, field), *getattr(more, field)]))
        for field in ("packages", "repositories", "services", "logs")
    }
    script = more.configure or role.configure
    return role.model_copy(update={**lists, "configure": script, "probes": {**role.probes, **more.probes}})
