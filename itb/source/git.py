"""git as itb uses it: never asking, never trusting a name, and mirrors of sources in the cache.

Every source is read through a bare repository of itb's own in the cache.
Of a remote source it is a mirror, fetched into when the source has changed.
Of a local source it has the references only and borrows the objects where
they are, so that partial and shallow clones serve as well.  A source is
never written to.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from itb.errors import ItbError, TestbedError, UsageError
from itb.process import retry
from itb.process.request import Request
from itb.process.result import CommandError, Completed
from itb.process.runner import Runner, inherited
from itb.util import filelock
from itb.util.files import expand, write_atomically
from itb.util.redact import remember
from itb.util.text import one_line

SCHEMES = ("https", "http", "ssh", "git", "file")

# What a repository's own configuration may name as programs, of a work tree's submodules too.
_NO_PROGRAMS = ("-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}")

# Variables that would make git work on another repository than the one it
# is told (itb may be run from a git hook); list: git rev-parse --local-env-vars.
_FOREIGN = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_CONFIG_PARAMETERS",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_NAMESPACE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
)


@dataclass(frozen=True)
class Origin:
    """Where a source is: ``address`` as git takes it, ``shown`` without credentials, ``local`` if a folder.

    ``login`` is the user and password of its URL: they reach git by environment, not by its command line.
    """

    address: str
    shown: str
    local: Path | None = None
    login: tuple[str, str] | None = field(default=None, repr=False)

    @property
    def env(self) -> dict[str, str]:
        """What git needs in its environment to answer the source's question for a password."""
        if self.login is None:
            return {}
        first = int(os.environ.get("GIT_CONFIG_COUNT") or 0)
        # The empty one makes git forget the user's own helpers: the URL comes first.
        helpers = ["", '!echo "username=$ITB_GIT_USER"; echo "password=$ITB_GIT_PASSWORD"; :']
        config = {f"GIT_CONFIG_KEY_{first + number}": "credential.helper" for number in range(2)}
        config |= {f"GIT_CONFIG_VALUE_{first + number}": helper for number, helper in enumerate(helpers)}
        user, password = self.login
        return {
            **config,
            "GIT_CONFIG_COUNT": str(first + 2),
            "ITB_GIT_USER": user,
            "ITB_GIT_PASSWORD": password,
        }


def locate(source: str) -> Origin:
    """Tell a folder of this machine from a URL; UsageError if it is neither."""
    shown = repr(one_line(source, 200))
    if not source or any(ord(char) < 32 or ord(char) == 127 for char in source):
        raise UsageError(f"source {shown} is neither a folder nor a URL")
    try:
        path = expand(source)
        if path.exists():
            if not path.is_dir():
                raise UsageError(f"source {shown} is a file; a git repository is a folder")
            real = path.resolve()
            return Origin(str(real), str(real), real)
    except OSError as error:  # a folder nobody may look into, a name too long
        if "://" not in source:
            raise UsageError(f"source {shown} cannot be looked at: {error.strerror}") from None
    scheme = source.partition("://")[0] if "://" in source else ""
    if scheme in SCHEMES:
        try:
            return _of_url(source)
        except ValueError as error:
            raise UsageError(f"source {shown} is not a valid URL: {one_line(str(error), 100)}") from None
    if not scheme and re.fullmatch(r"(?!-)(?:[\w.-]+@)?[\w.-]+:(?!:|//|-).+", source):
        return Origin(source, source)  # host:path, by ssh
    raise UsageError(
        f"source {shown} is neither a folder here nor a URL git may use",
        hint=f"URLs start with {', '.join(f'{item}://' for item in SCHEMES)} or look like git@host:path",
    )


def _of_url(url: str) -> Origin:
    """The origin of a URL, its credentials aside; ValueError if it is none."""
    parts = urlsplit(url)
    _ = parts.port  # looked at only when asked for
    shown = _without_credentials(url)
    own = parts.password or len(parts.username or "") >= 20  # else the user's own helper knows the password
    if parts.scheme in ("http", "https") and own:
        return Origin(shown, shown, login=(unquote(parts.username or ""), unquote(parts.password or "")))
    return Origin(url, shown)


def _without_credentials(url: str) -> str:
    parts = urlsplit(url)
    if parts.password:
        remember(parts.password)
    elif parts.username and len(parts.username) >= 20:
        remember(parts.username)  # a bare token, not somebody's name
    if parts.scheme == "ssh" and not parts.password:
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


@dataclass(frozen=True)
class Git:
    """git on one repository (``directory`` is its git directory)."""

    runner: Runner
    directory: Path | None = None

    def call(self, *args: str, users: bool = False) -> Completed:
        """Run git, of which there is nothing more to say."""
        return self.run(Request(args), users=users)

    def run(self, request: Request, *, users: bool = False) -> Completed:
        """Run git; ``users`` with the user's own configuration (credentials, proxies, filters).

        Without it nothing but the repository's configuration counts, so
        that the same commit becomes the same files everywhere.  The default
        of its time is the limit ``git``.
        """
        where = [f"--git-dir={self.directory}"] if self.directory else []
        own = replace(
            request,
            argv=["git", *_NO_PROGRAMS, *where, *request.argv],
            env={**environment(users=users), **request.env},
            clean_env=True,
            timeout=self.runner.limits("git") if request.timeout is None else request.timeout,
        )
        try:
            return self.runner.run(own)
        except CommandError as error:
            said = [line for line in error.completed.stderr.splitlines() if line.startswith(("fatal:", "error:"))]
            reason = said[0] if said and not error.completed.timed_out else error.completed.reason
            raise TestbedError(f"git {request.argv[0]}: {reason}", evidence=error.evidence) from None

    def text(self, *args: str, users: bool = False) -> str:
        """Run git, of which there is nothing more to say, and return its output without the last newline."""
        return self.call(*args, users=users).stdout.removesuffix("\n")


def environment(*, users: bool) -> dict[str, str]:
    """Return git's environment: no question is asked, no other repository meant, no lock taken for looking."""
    env = {key: value for key, value in inherited().items() if key not in _FOREIGN}
    ssh = env.get("GIT_SSH_COMMAND", "ssh")
    env |= {
        "LC_ALL": "C.UTF-8",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "false",
        "SSH_ASKPASS": "false",
        "SSH_ASKPASS_REQUIRE": "never",
        "GIT_SSH_COMMAND": f"{ssh} -oBatchMode=yes -oConnectTimeout=20",
        "GIT_HTTP_LOW_SPEED_LIMIT": "1000",
        "GIT_HTTP_LOW_SPEED_TIME": "30",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_ALLOW_PROTOCOL": ":".join(SCHEMES),
    }
    if not users:
        for key in [key for key in env if key.startswith("GIT_CONFIG_")]:
            del env[key]
        env |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_ATTR_NOSYSTEM": "1"}
    return env


def mirror_path(cache: Path, shown: str) -> Path:
    """Return where the mirror of a source is kept."""
    name = re.sub(r"[^A-Za-z0-9.-]+", "-", Path(urlsplit(shown).path).name.removesuffix(".git"))[:40].strip("-.")
    return cache / "sources" / f"{name or 'source'}-{hashlib.sha256(shown.encode()).hexdigest()[:16]}.git"


def hold(mirror: Path, runner: Runner) -> AbstractContextManager[None]:
    """Hold a mirror for this process; another run waits until it is fresh."""
    return filelock.hold(mirror.with_suffix(".lock"), runner.stop.event)


def refresh(origin: Origin, *, cache: Path, runner: Runner) -> tuple[Git, str]:
    """Bring the mirror of a source up to date; return it and the full name of the source's default branch.

    The name is ``HEAD`` where the source's head is detached, empty where
    the source has no commit yet.
    """
    if origin.local is not None:
        _check_local(origin.local, runner)
    refs, default = _advertised(origin, runner)
    mirror = mirror_path(cache, origin.shown)
    with hold(mirror, runner):
        if not (mirror / "HEAD").is_file():
            _create(mirror, runner)
        git = Git(runner, mirror)
        wanted = {name: id for name, id in refs.items() if name.startswith(_spaces(origin)) or name == "HEAD"}
        known = _mirrored(git)
        if origin.local is not None:
            _borrow(git, origin.local)
            _copy_refs(git, wanted, known)
        elif wanted != known:
            _fetch(git, origin, "HEAD" in refs)
    return git, default


def _spaces(origin: Origin) -> tuple[str, ...]:
    """Namespaces that are mirrored: of a remote repository its own branches only."""
    return ("refs/heads/", "refs/tags/", *(("refs/remotes/",) if origin.local else ()))


def _check_local(folder: Path, runner: Runner) -> None:
    ask = ["-C", str(folder), "rev-parse", "--is-bare-repository", "--show-cdup"]
    seen = Git(runner).run(Request(ask, check=False), users=True)
    if not seen.ok:
        if "dubious ownership" in seen.stderr:
            raise UsageError(
                f"source {str(folder)!r} belongs to another user, and git does not trust it",
                hint=f"git config --global --add safe.directory {folder}",
            )
        raise UsageError(f"source {str(folder)!r} is not a git repository")
    bare, _, above = seen.stdout.partition("\n")
    if bare == "false" and above.strip():
        raise UsageError(
            f"source {str(folder)!r} is not a git repository, only a folder inside of one",
            hint=f"--source {(folder / above.strip()).resolve()}",
        )


def _advertised(origin: Origin, runner: Runner) -> tuple[dict[str, str], str]:
    """Ask a source for its references: name -> object id, and what its HEAD stands for."""
    ask = ["ls-remote", "--symref", "--", origin.address]
    request = Request(ask, env=origin.env, check=False, timeout=runner.limits("git-answer"))
    seen = runner.again(lambda: Git(runner).run(request, users=True), _passing)
    if not seen.ok:
        raise _refusal(origin, seen)
    refs: dict[str, str] = {}
    default = ""
    for line in seen.stdout.splitlines():
        value, _, name = line.partition("\t")
        if value.startswith("ref: "):
            default = value.removeprefix("ref: ") if name == "HEAD" else default
        elif not name.endswith("^{}"):
            refs[name] = value
    if "HEAD" not in refs:
        return refs, ""
    return refs, default or "HEAD"


def _passing(seen: Completed) -> str:
    """Return the trouble of a network that another try may cure."""
    if seen.ok or seen.timed_out:
        return ""
    return retry.line(retry.GIT, seen.stderr)


def _refusal(origin: Origin, seen: Completed) -> ItbError:
    """Say why a source could not be read: its address is wrong, or the network is."""
    if seen.timed_out:
        return TestbedError(
            f"source {origin.shown} did not answer: {seen.reason}",
            hint="itb doctor looks at the network",
        )
    said = [line.strip() for line in seen.stderr.splitlines() if line.strip()]
    fatal = next((line for line in said if line.startswith("fatal:")), seen.reason).removeprefix("fatal: ")
    telling = [line for line in said if retry.GIT.search(line.replace(origin.address, ""))]
    if telling and "returned error: 4" not in seen.stderr:
        reason = telling[0].removeprefix("fatal: ")
        return TestbedError(
            f"source {origin.shown} does not answer: {reason}",
            hint="itb doctor looks at the network",
            evidence=seen.output,
        )
    return UsageError(
        f"source {origin.shown} is not a git repository, or one that may not be read: {fatal}",
        evidence=seen.output,
    )


def _mirrored(git: Git) -> dict[str, str]:
    listed = git.text("for-each-ref", "--format=%(objectname) %(refname)").splitlines()
    refs = {name: id for id, _, name in (line.partition(" ") for line in listed)}
    found = {name: id for name, id in refs.items() if not name.startswith("refs/itb/")}
    return {**found, **({"HEAD": refs["refs/itb/HEAD"]} if "refs/itb/HEAD" in refs else {})}


def _create(mirror: Path, runner: Runner) -> None:
    """Make an empty mirror; it appears whole or not at all."""
    with tempfile.TemporaryDirectory(prefix=".new-", dir=mirror.parent) as temporary:
        new = Path(temporary) / "git"
        git = Git(runner, new)
        Git(runner).call("init", "--quiet", "--bare", "--template=", "--", str(new))
        git.call("config", "gc.auto", "0")  # a clone may be reading it
        shutil.rmtree(mirror, ignore_errors=True)
        new.replace(mirror)


def _borrow(git: Git, folder: Path) -> None:
    """Let a mirror find the objects of a local source where they are, as shallow as they are."""
    assert git.directory is not None
    objects, shallow = (inside(folder, name, git.runner) for name in ("objects", "shallow"))
    (git.directory / "objects" / "info").mkdir(parents=True, exist_ok=True)
    write_atomically(git.directory / "objects" / "info" / "alternates", f"{objects}\n")
    write_atomically(git.directory / "shallow", shallow.read_bytes() if shallow.is_file() else b"")


def inside(folder: Path, name: str, runner: Runner) -> Path:
    """Return the path of something inside the git directory of a local source."""
    return Path(
        Git(runner).text("-C", str(folder), "rev-parse", "--path-format=absolute", "--git-path", name, users=True)
    )


def _copy_refs(git: Git, wanted: Mapping[str, str], known: Mapping[str, str]) -> None:
    """Make a mirror's references those of its local source."""
    own = {"HEAD": "refs/itb/HEAD"}
    gone = [f"delete {own.get(name, name)}" for name in known if name not in wanted]
    new = [f"update {own.get(name, name)} {id}" for name, id in wanted.items() if known.get(name) != id]
    for lines in (gone, new):  # apart, since a branch may now be where a folder of branches was
        if lines:
            git.run(Request(["update-ref", "--stdin"], input=("\n".join(lines) + "\n").encode()))


def _fetch(git: Git, origin: Origin, has_head: bool) -> None:
    specs = [f"+{space}*:{space}*" for space in _spaces(origin)]
    if has_head:
        specs.append("+HEAD:refs/itb/HEAD")
    fetch = [
        "fetch",
        "--quiet",
        "--prune",
        "--no-tags",
        "--no-write-fetch-head",
        "--no-auto-maintenance",
        "--no-recurse-submodules",
        "--",
        origin.address,
        *specs,
    ]
    request = Request(fetch, env=origin.env, check=False, timeout=git.runner.limits("git-fetch"))
    done = git.runner.again(lambda: git.run(request, users=True), _passing)
    if not done.ok:
        raise _refusal(origin, done)


def fetch_one(git: Git, origin: Origin, wanted: str, into: str) -> bool:
    """Fetch one reference or full commit id of a source; False if the source does not have it."""
    fetch = [
        "fetch",
        "--quiet",
        "--no-tags",
        "--no-write-fetch-head",
        "--no-auto-maintenance",
        "--",
        origin.address,
        f"+{wanted}:{into}",
    ]
    request = Request(fetch, env=origin.env, check=False, timeout=git.runner.limits("git-fetch"))
    done = git.run(request, users=True)
    if done.timed_out or (not done.ok and retry.GIT.search(done.stderr)):
        raise _refusal(origin, done)
    return done.ok
