"""Declarations of settings and options, each once: here or at its command.

A setting's declaration makes the field of ``Settings`` (and so the key in
``itb.yaml``), the environment variable, the option of every command that
takes it, its help, ``itb show config`` and the table of the documentation.
``itb --help`` imports this module, so it imports nothing that takes time.
"""

from __future__ import annotations

import functools
from typing import Annotated, Any, Final, Literal

from itb.config.option import Continuation, Heading, Option, as_setting, fields
from itb.process.limits import DEFAULTS
from itb.process.retry import DEFAULT_RETRIES

_LIMITS = ", ".join(f"{name} {seconds:g}" for name, seconds in DEFAULTS.items())
_ENGINES = ("podman", "docker")  # names of the machine's own programs, which anybody may give
BY_REFERENCE: Final = "reference"  # the setting trust of who leaves the level to the kind of the reference
_MORE_FOLDERS = "more folders with {}, comma-separated"


class DeclaredSettings:
    """Every plain setting; ``Settings`` makes a checked record of them and adds the nested ones.

    Lists may be given as ``A,B`` in the environment and in options.
    """

    product: Annotated[
        str,
        Option(
            "what is released: a name or a folder with product.yaml", Heading.TESTED, "NAME", completes="products"
        ),
    ] = ""
    ref: Annotated[
        str,
        Option(
            "branch, tag, full or short commit id, pr/N, or worktree (uncommitted files of a local source)",
            Heading.TESTED,
            "REF",
            if_empty="the product's",
        ),
    ] = ""
    platform: Annotated[
        tuple[str, ...],
        Option(
            "operating systems, comma-separated: names or folders with platform.yaml",
            Heading.TESTED,
            "A,B",
            completes="platforms",
        ),
    ] = ("deb13",)
    scenario: Annotated[
        tuple[str, ...],
        Option(
            "what is tried, comma-separated: names or folders with scenario.yaml, or a set such as release",
            Heading.TESTED,
            "A,B",
            if_empty="the product's",
            completes="scenarios",
            changes=(Continuation.PHASE,),
        ),
    ] = ()
    source: Annotated[
        str,
        Option(
            "git URL or path to take the product from", Heading.TESTED, "URL|PATH", if_empty="the product's own"
        ),
    ] = ""
    variant: Annotated[
        tuple[str, ...],
        Option(
            "variants of the product, comma-separated (itb show product NAME lists them)",
            Heading.TESTED,
            "A,B",
            completes="variants",
        ),
    ] = ()
    builder: Annotated[
        Literal["rpmbuild", "mock"],
        Option(
            "what makes the RPMs: rpmbuild, or mock (EL platforms), which needs --allow-privileged",
            Heading.TESTED,
            "NAME",
        ),
    ] = "rpmbuild"
    allow_privileged: Annotated[
        bool,
        Option("let mock build in a privileged workspace: as root on this machine", Heading.TESTED),
    ] = False
    trust: Annotated[
        Literal["reference", "pr", "branch", "release"],
        Option(
            "how far the candidate is trusted: by its reference, or pr, branch, release (itb help security)",
            Heading.TESTED,
            "LEVEL",
            changes=(Continuation.RESUME,),
        ),
    ] = BY_REFERENCE
    fresh_build: Annotated[
        bool,
        Option(
            "build the candidate even if its RPMs are in the cache; itb publish accepts only such RPMs",
            Heading.TESTED,
        ),
    ] = False
    upgrade_from: Annotated[
        str,
        Option(
            "reference that scenario upgrade starts from",
            Heading.TESTED,
            "REF",
            if_empty="the final version before",
        ),
    ] = ""
    duration: Annotated[
        float,
        Option(
            "seconds that scenario soak lasts",
            Heading.TESTED,
            "SECONDS",
            above=0,
            at_most=10_800,
            changes=(Continuation.PHASE,),
        ),
    ] = 300.0
    from_repo: Annotated[
        str,
        Option(
            "install what is published here: URL, directory (with a / in it), or osg, osg-testing, "
            "osg-development where the platform has them",
            Heading.PUBLISHED,
            "REPO",
        ),
    ] = ""
    nevra: Annotated[
        str,
        Option(
            "VERSION, VERSION-RELEASE or NEVRA to install", Heading.PUBLISHED, "VERSION", if_empty="the newest"
        ),
    ] = ""
    repo_key: Annotated[
        str,
        Option(
            "URL, file or fingerprint of the key its packages are signed with",
            Heading.PUBLISHED,
            "URL|FILE|FPR",
            if_empty="the repository's own",
        ),
    ] = ""
    allow_unsigned: Annotated[
        bool, Option("do not check its packages' signatures; the reports say so", Heading.PUBLISHED)
    ] = False
    runs: Annotated[str, Option("folder of run directories", Heading.WHERE, "DIR", of_command=True)] = "runs"
    cache: Annotated[
        str,
        Option("folder of cached clones, RPMs and state of images", Heading.WHERE, "DIR", if_empty="~/.cache/itb"),
    ] = ""
    engine: Annotated[
        str, Option(f"container engine: {' or '.join(_ENGINES)}", Heading.WHERE, "NAME", choices=_ENGINES)
    ] = "podman"
    token_hook: Annotated[
        str,
        Option(
            "token provider: local, command, ... or a hook of your own (itb token hooks)",
            Heading.TOKENS,
            "NAME",
            completes="hooks",
            changes=(Continuation.PHASE,),
        ),
    ] = "local"
    token: Annotated[
        dict[str, dict[str, Any]], Option("options of token providers, by provider", in_files_only=True)
    ] = {}
    token_min_lifetime: Annotated[
        int | None,
        Option("shortest lifetime of a token that is accepted, in seconds", if_empty="the product's", at_least=0),
    ] = None
    keep: Annotated[
        Literal["never", "failed", "always"],
        Option(
            "keep the hosts afterwards: never, failed or always (--keep of itb clean counts run directories)",
            Heading.RUNNING,
            "WHEN",
            changes=(Continuation.RESUME,),
        ),
    ] = "never"
    jobs: Annotated[
        int,
        Option(
            "how many cells (product x platform) run at the same time",
            Heading.RUNNING,
            "N",
            at_least=1,
            at_most=32,
        ),
    ] = 1
    timeout_factor: Annotated[
        float, Option("multiplies every time limit; slow machines want more", above=0)
    ] = 1.0
    limits: Annotated[
        dict[str, float],
        Option("seconds per named time limit", if_empty=_LIMITS, in_files_only=True),
    ] = {}
    retries: Annotated[
        int,
        Option(
            "how many times work is tried again that failed because of the network or the engine",
            at_least=0,
            at_most=10,
        ),
    ] = DEFAULT_RETRIES
    run_timeout: Annotated[float, Option("seconds a run may take in all", above=0)] = 3600
    min_free_gb: Annotated[float, Option("free disk space, in GB, without which nothing starts", at_least=0)] = 4
    progress: Annotated[
        Literal["auto", "live", "plain", "quiet"],
        Option(
            "how progress is shown: auto, live, plain, or quiet (nothing, not even the summary of a green run)",
            Heading.OUTPUT,
            "HOW",
            changes=(Continuation.PHASE, Continuation.RESUME),
            of_command=True,
        ),
    ] = "auto"
    report_dir: Annotated[
        str,
        Option(
            "folder that gets junit.xml, report.html and verdict.json as well",
            Heading.OUTPUT,
            "DIR",
            of_command=True,
        ),
    ] = ""
    products: Annotated[tuple[str, ...], Option(_MORE_FOLDERS.format("products"))] = ()
    platforms: Annotated[tuple[str, ...], Option(_MORE_FOLDERS.format("platforms"))] = ()
    scenarios: Annotated[tuple[str, ...], Option(_MORE_FOLDERS.format("scenarios"))] = ()
    hooks: Annotated[tuple[str, ...], Option(_MORE_FOLDERS.format("token hooks"))] = ()
    platform_options: Annotated[
        dict[str, dict[str, str]], Option("by platform: mirror, suite, date, ...", in_files_only=True)
    ] = {}


class DeclaredKoji:
    """The settings in ``publish: {koji: ...}``; itb publish has an option for each with a heading."""

    program: Annotated[str, Option("koji, osg-koji or osg-build, by name or path")] = ""
    target: Annotated[
        str, Option("with --koji: what Koji builds for, such as osg-24-main-el9", Heading.ACTION)
    ] = ""
    tag: Annotated[str, Option("with --koji and osg-build: the tag the build goes to", Heading.ACTION)] = ""
    scratch: Annotated[bool, Option("with --koji: a build that stays, no scratch build", Heading.ACTION)] = True
    wait: Annotated[bool, Option("wait for the build in Koji")] = True
    options: Annotated[tuple[str, ...], Option("options that go before Koji's own arguments")] = ()


class DeclaredPublish:
    """The settings in ``publish: {...}`` beside ``koji``; itb publish has an option for each."""

    to: Annotated[
        str,
        Option(
            "directory, HOST:PATH or USER@HOST:PATH that is or becomes a YUM repository", Heading.ACTION, "PLACE"
        ),
    ] = ""
    sign_key: Annotated[
        str,
        Option("sign with this key of your gpg keyring", Heading.ACTION, "KEY", if_empty="as the run signed them"),
    ] = ""


class DeclaredHostLimits:
    """The settings in ``host_limits: {...}``: what a host, which may have the candidate on it, takes of this one.

    No good candidate that was seen comes near to the defaults.
    """

    memory: Annotated[str, Option("memory of a host, what it holds in tmpfs included: 4g, 800m")] = "4g"
    processes: Annotated[int, Option("processes and threads of a host", at_least=512)] = 4096
    tmpfs: Annotated[str, Option("size of each of a host's file systems in memory: /run, /tmp and so on")] = "1g"


# Options of several commands that are no settings.
JSON = Option("print the result as JSON", Heading.OUTPUT, name="json", default=False)
RUN = Option(
    "name of a run, or a unique part of it", Heading.WHERE, "RUN",
    if_empty="the newest", name="run", completes="runs",
)  # fmt: skip


@functools.cache
def settings() -> dict[str, Option]:
    """Return the declarations of the plain settings by name, in their order."""
    return {
        name: as_setting(name, option, option.default) for name, option in fields(DeclaredSettings).items()
    }
