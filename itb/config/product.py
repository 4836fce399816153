"""The records of a product's definition, product.yaml."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from itb.config.command import ArgumentText, Environment
from itb.config.scenario import KnownFailure
from itb.config.yaml_record import YamlRecord, at_most_one, exactly_one
from itb.errors import UsageError
from itb.util import yamlfile

_PORT = r"^[0-9]{1,5}(-[0-9]{1,5})?/(tcp|udp)$"


class Source(YamlRecord):
    """Where a product's source comes from: a git repository, or a history that is kept as files."""

    model_config = ConfigDict(json_schema_extra=exactly_one("history", "url"))

    url: str | None = None
    """Git URL, or the path of a clone on this machine, relative to product.yaml."""
    history: str | None = None
    """File beside product.yaml that lists commits and tags of a repository kept as files (history.yaml)."""
    default_ref: str = ""
    """What is tested when no reference is asked for: a branch, tag or commit, or newest-version for the
    highest version tag, release candidates included. Empty: the source's default branch."""

    @model_validator(mode="after")
    def _has_one_origin(self) -> Self:
        if (self.history is None) == (self.url is None):
            raise ValueError("exactly one of history and url is expected")
        return self


class SourceRpm(YamlRecord):
    """How the source RPM differs from the commit's files. Everything else that differs is an error."""

    generated: tuple[str, ...] = ()
    """Files that the builder makes or changes; patterns as those of tar --exclude: a name of a file or folder
    anywhere, or the end of a path, with * and ? in it."""
    left_out: tuple[str, ...] = ()
    """Files of the commit that the source RPM does not have; patterns as in generated."""


class BuildDefinition(YamlRecord):
    """How a product's RPMs are built: by its own ReleaseManager, or by a command."""

    model_config = ConfigDict(json_schema_extra=at_most_one("release_manager", "command"))

    release_manager: str = "build/ReleaseManager/release.py"
    """The product's ReleaseManager, a file of its source that Python runs. It has to offer --release-version,
    --source-dir and --release-dir, and leaves the RPMs below the latter."""
    command: ArgumentText | None = None
    """A command line for bash that makes the RPMs instead, in a checkout of the commit. It leaves them in or
    below $ITB_RPM_DIR, with the version $ITB_PRODUCT_VERSION and the Release $ITB_RPM_RELEASE."""
    spec: str = ""
    """The spec file, a path in the source: its BuildRequires are installed. Empty: the only one there is."""
    checkout_name: str = Field(default="", pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]*)?$")
    """Name of the folder the source is checked out to. Empty: the product's name."""
    version_tags: str = r"v(?P<version>\d+(?:_\d+)+)(?:_rc(?P<rc>\d+))?"
    """Regular expression that a whole version tag matches, in upper or lower case. Its group "version" holds
    numbers between underscores, dots or dashes, its group "rc", if it has one, the number of a candidate."""
    env: Environment = {}
    """Environment of the build."""
    timeout: float = Field(default=900, gt=0)
    """Seconds that a build may take."""
    source_rpm: SourceRpm | None = None
    """What may differ in the source RPM from the commit's files. Without it differences are only listed."""

    @model_validator(mode="after")
    def _has_one_builder(self) -> Self:
        if self.command is not None and "release_manager" in self.model_fields_set:
            raise ValueError("one of release_manager and command is expected, not both")
        if self.command is not None and not self.command.strip():
            raise ValueError("command is empty")
        return self

    @model_validator(mode="after")
    def _has_version_group(self) -> Self:
        try:
            groups = re.compile(self.version_tags).groupindex
        except re.error as error:
            raise ValueError(f"version_tags: not a regular expression: {error}") from None
        if "version" not in groups:
            raise ValueError("version_tags: the group (?P<version>...) is missing")
        return self


class RoleDefinition(YamlRecord):
    """What a release consists of on one role."""

    packages: tuple[str, ...] = ()
    """Packages that dnf installs, from the candidate's repository or the platform's."""
    repositories: tuple[str, ...] = ()
    """Ids of repositories that the host knows and uses for this role only."""
    configure: str = ""
    """Script beside product.yaml that configures the role, run as root after its files were verified."""
    services: tuple[str, ...] = ()
    """systemd units that are started, in this order, and must stay up."""
    logs: tuple[str, ...] = ()
    """Globs of log files that are kept as evidence and searched for causes."""
    probes: dict[str, str] = {}
    """By unit, a command line that runs a service in the foreground: for one that fails and hides what it says."""
    ports: dict[Annotated[str, Field(pattern=_PORT)], Literal["any", "local"]] | None = None
    """By a port or a range, and its protocol, such as 443/tcp, who reaches what listens there: any, or local for
    the host itself only. What else listens, and did not before the installation, is a failure, and a port without
    a listener; without this key what listens is only named."""
    timeout: float = Field(default=600, gt=0)
    """Seconds that installing the packages may take."""


class Page(YamlRecord):
    """A web page of the product, and what it has to say."""

    role: str
    """The role whose host has it."""
    path: str = Field(pattern=r"^/")
    """Its path on this host, such as /hello/status.json; one that ends in .json or .xml is parsed."""
    scheme: Literal["http", "https"] = "http"
    """By which it is asked for."""
    status: int = 200
    """How the server has to answer, after it may have led elsewhere."""
    contains: str = ""
    """Regular expression of something that is in it."""
    counts: dict[str, str] = {}
    """By what is counted, such as jobs that have ended, a regular expression with the number as its group: after
    jobs have run it is 1 or more."""

    @model_validator(mode="after")
    def _has_valid_patterns(self) -> Self:
        for name, pattern in {"contains": self.contains, **self.counts}.items():
            try:
                groups = re.compile(pattern).groups
            except re.error as error:
                raise ValueError(f"{name}: not a regular expression: {error}") from None
            if name in self.counts and groups != 1:
                raise ValueError(f"counts: {name}: one group is expected, that of the number")
        return self


class OwnTests(YamlRecord):
    """The product's own tests, which scenario own-tests runs against the packages as they are installed."""

    folder: str = Field(pattern=r"^[A-Za-z0-9_][\w./-]*$")
    """Folder of the source that is put on the host, and in which the command is run."""
    also: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9_][\w./-]*$")], ...] = ()
    """Other folders of the source that the tests read, by paths relative to their own."""
    command: ArgumentText = 'python3 "$ITB_LIB/run_unittests.py"'
    """A command line for bash that runs them, and prints TAP or writes JUnit XML into $ITB_RESULTS. Default: a
    program of itb's that runs those of Python's unittest."""
    packages: tuple[str, ...] = ()
    """Packages that only the tests need; one that no repository has is passed over."""
    may_lack: tuple[str, ...] = ()
    """Modules that only the tests need: by default, tests that do not find one of these are skipped."""
    user: str = Field(default="nobody", pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*$")
    """Who runs them, in a copy of the folder."""
    known_failures: dict[str, KnownFailure] = {}
    """By the name of a test or a pattern of names, a failure that is expected for a while."""


class TokenPlace(YamlRecord):
    """A role that gets the SciToken."""

    role: str
    """The role that gets the token."""
    path: str = Field(pattern=r"^/.*[^/]$")
    """Absolute path that the token is put to."""
    owner: str = Field(default="root:root", pattern=r"^[A-Za-z0-9_][\w.-]*(:[A-Za-z0-9_][\w.-]*)?$")
    """User and group that own the file."""


class TokenDelivery(TokenPlace):
    """The SciToken that a product wants, and where it goes."""

    also: tuple[TokenPlace, ...] = ()
    """Further places that get the same token."""
    scopes: tuple[str, ...] = ("condor:/READ", "condor:/WRITE")
    """Scopes that are asked for."""
    profile: str = "scitoken"
    """Profile of the token."""
    min_lifetime: int = Field(default=1200, ge=0)
    """Seconds that the token has to live to be taken."""

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


class IdToken(YamlRecord):
    """An HTCondor IDTOKEN made on one role and put on another."""

    on: str
    """The role whose HTCondor makes it."""
    identity: str
    """The identity it stands for: USER@HOST."""
    to: str = ""
    """The role it is put on. Empty: the one that makes it."""
    path: str
    """Absolute path that it is put to."""
    owner: str = "root:root"
    """User and group that own the file."""
    key: str = "POOL"
    """Name of the signing key."""
    lifetime: int = Field(default=86400, gt=0)
    """Seconds that it is valid."""


class Variant(YamlRecord):
    """What is different when a product is tested with --variant NAME.

    What is given takes the place of the product's; env adds to it.
    """

    title: str
    """What the variant is, in one line."""
    note: str = ""
    """What to know before it is tested."""
    tested: bool = False
    """Whether somebody ran it."""
    testbed: str = ""
    """Another testbed than the product's."""
    more: dict[str, RoleDefinition] = {}
    """By role, what is added to its packages, services, logs and so on; configure replaces its script."""
    instead: dict[str, RoleDefinition] = {}
    """By role, what takes its place."""
    token: TokenDelivery | None = None
    """The SciToken, if it goes elsewhere."""
    id_tokens: tuple[IdToken, ...] = Field(default=(), alias="trust")
    """Other IDTOKENs than the product's."""
    internet: bool = False
    """Whether hosts need the internet for it."""
    scenarios: tuple[str, ...] = ()
    """Other scenarios than the product's."""
    env: Environment = {}
    """What is added to the environment of scenario steps."""


class ProductFile(YamlRecord):
    """A product: what is released, how it is built, and what a release consists of on each role."""

    title: str
    """What the product is, in one line."""
    source: Source
    packages: tuple[str, ...]
    """Globs of the names of all packages that belong to the product, such as "hello*"."""
    build: BuildDefinition = BuildDefinition()
    roles: dict[str, RoleDefinition]
    """What is installed and started where: the name of a role is that of a host of the testbed."""
    token: TokenDelivery | None = None
    """The SciToken, for products that submit to a Compute Entrypoint."""
    id_tokens: tuple[IdToken, ...] = Field(default=(), alias="trust")
    """IDTOKENs, made where HTCondor runs, before the product's other services start."""
    testbed: str = "three-hosts"
    """Testbed: NAME.compose.yaml beside product.yaml, or one that itb has (three-hosts, one-host, ...)."""
    internet: bool = False
    """Whether hosts need the internet, such as for a build that downloads; as internet of a platform."""
    scenarios: tuple[str, ...] = ("smoke",)
    """Scenarios that are tried unless others are asked for, of folder scenarios beside product.yaml or itb's.
    smoke is for pilot systems and needs a token."""
    scenario_sets: dict[str, tuple[str, ...]] = {}
    """By name, scenarios that this name stands for, as in --scenario release: all that a release deserves."""
    env: Environment = {}
    """Environment of every scenario step: what a general scenario has to know of this product."""
    pages: tuple[Page, ...] = ()
    """Web pages that scenario monitoring asks for."""
    own_tests: OwnTests | None = None
    """The product's own tests, for scenario own-tests."""
    pilot_logs: str = ""
    """Glob of the files that the output of pilots comes back to; steps find it as ITB_PILOT_LOGS."""
    evidence: dict[str, tuple[str, ...]] = {}
    """By role, globs of files that the product leaves on hosts that are not its own."""
    ignored_errors: tuple[str, ...] = ()
    """Regular expressions of log lines that look like errors and mean none."""
    errors: Literal["fail", "warn"] = "fail"
    """What errors are that come again and again in the logs of a run in which all else is well."""
    loop_seconds: float = Field(default=0, ge=0)
    """Seconds of a loop of its services as configure has set them: growth is told by loop. 0: by minute."""
    unchecked_files: dict[str, str] = {}
    """By a pattern of paths, such as /usr/share/hello/*.json, why scenario packages does not look at these files:
    neither whether they are what their names say nor at their permissions."""
    patience: float = Field(default=1, gt=0)
    """Multiplies the time limits of scenarios: pilots of some products take longer to start than others'."""
    variants: dict[str, Variant] = {}
    """By name, what --variant NAME changes."""

    @model_validator(mode="after")
    def _names_known_roles(self) -> Self:
        users = [("token", place.role) for place in self.token.places] if self.token else []
        users += [("pages", page.role) for page in self.pages]
        users += [("trust", role) for token in self.id_tokens for role in (token.on, token.to or token.on)]
        for what, role in users:
            if role not in self.roles:
                hint = yamlfile.nearest(role, list(self.roles))
                raise ValueError(f"{what}: the product has no role {role!r}{hint}")
        return self


class Product(ProductFile):
    """A product as it was read: what ``product.yaml`` says, its name and its folder."""

    model_config = ConfigDict(populate_by_name=True)  # it is made from the fields of the file's record

    name: str = ""
    folder: Path = Path()

    @property
    def checkout_name(self) -> str:
        """Return the name of the folder that the source is checked out to."""
        return self.build.checkout_name or self.name

    def with_sets(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return names of scenarios, sets among them replaced by their scenarios, of which each is named once."""
        if not self.scenario_sets.keys() & set(names):
            return tuple(names)
        return tuple(dict.fromkeys(part for name in names for part in self.scenario_sets.get(name, (name,))))


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
            for field in ("testbed", "token", "id_tokens", "internet", "scenarios")
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
    ports = None if role.ports is more.ports is None else {**(role.ports or {}), **(more.ports or {})}
    probes = {**role.probes, **more.probes}
    return role.model_copy(update={**lists, "configure": script, "probes": probes, "ports": ports})
