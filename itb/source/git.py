"""Runs git, which may not ask the user anything, and keeps clones of sources in the cache.

itb reads every source through a bare repository of its own in the cache.
That of a remote source is a cached clone, which is fetched when the source has
changed.  That of a local source has only references, and uses the source's
objects (alternates), so that partial and shallow clones work too.  itb never
writes to a source.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from itb.errors import BuildError, ItbError, TestbedError, UsageError
from itb.process import downloads
from itb.process.request import Request
from itb.process.result import CommandError, Completed
from itb.process.runner import Runner, inherited
from itb.source.origin import SCHEMES, Origin
from itb.util import filelock, ownership
from itb.util.files import write_atomically
from itb.util.text import lines_of

# The programs that the configuration of a repository or of a submodule could have git run.
_NO_PROGRAMS = ("-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}")

# What comes is one file, which has a limit; else git writes each object of a small fetch to a file of its own.
_ONE_PACK = ("-c", "fetch.unpackLimit=1")
_LARGEST_PACK = 8 << 30  # bytes; Linux has 5 GB

# An object may be larger than all of the repository, and git has objects in its memory as a whole.
_MEMORY = 4 << 30  # bytes

_FETCH = (
    "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance", "--update-shallow"
)  # fmt: skip

# These would make git work on another repository: a git hook that runs itb has
# them in its environment.  The list is that of git rev-parse --local-env-vars.
_REPOSITORY_VARIABLES = (
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
class Git:
    """Runs git on one repository, whose git directory is ``directory``; None for commands that need none."""

    runner: Runner
    directory: Path | None = None

    def call(self, *args: str, user_config: bool = False) -> Completed:
        """Run git with these arguments."""
        return self.run(Request(args), user_config=user_config)

    def run(self, request: Request, *, user_config: bool = False) -> Completed:
        """Run git; with ``user_config`` it reads the user's configuration (credentials, proxies, filters).

        Without it git reads only the repository's configuration, so that the
        same commit becomes the same files on every machine.  The default time
        limit is ``git``.  Raises TestbedError with git's message if it fails,
        BuildError if the repository has more in it than fits into the memory that git may have.
        """
        where = [f"--git-dir={self.directory}"] if self.directory else []
        own = replace(
            request,
            argv=["git", *_NO_PROGRAMS, *_ONE_PACK, *where, *request.argv],
            env={**environment(user_config=user_config), **request.env},
            clean_env=True,
            memory_limit=_MEMORY,
            timeout=self.runner.limits("git") if request.timeout is None else request.timeout,
        )
        try:
            return self.runner.run(own)
        except CommandError as error:
            lines = error.completed.stderr.splitlines()
            errors = [line for line in lines if line.startswith(("fatal:", "error:"))]
            reason = errors[0] if errors and not error.completed.timed_out else error.completed.reason
            kind = BuildError if "Out of memory" in reason else TestbedError
            raise kind(f"git {request.argv[0]}: {reason}", evidence=error.evidence) from None

    def text(self, *args: str, user_config: bool = False) -> str:
        """Run git with these arguments and return its output without the last newline."""
        return self.call(*args, user_config=user_config).stdout.removesuffix("\n")


def environment(*, user_config: bool) -> dict[str, str]:
    """Return an environment in which git asks nothing, uses no other repository and locks nothing to read."""
    env = {key: value for key, value in inherited().items() if key not in _REPOSITORY_VARIABLES}
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
    if not user_config:
        for key in [key for key in env if key.startswith("GIT_CONFIG_")]:
            del env[key]
        env |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_ATTR_NOSYSTEM": "1"}
    return env


def cached_clone_path(cache: Path, source: str) -> Path:
    """Return the path of the cached clone of a source."""
    name = re.sub(r"[^A-Za-z0-9.-]+", "-", Path(urlsplit(source).path).name.removesuffix(".git"))[:40].strip("-.")
    return cache / "sources" / f"{name or 'source'}-{hashlib.sha256(source.encode()).hexdigest()[:16]}.git"


def lock(clone: Path, runner: Runner) -> AbstractContextManager[None]:
    """Lock a cached clone while the block runs; other processes wait."""
    return filelock.hold(clone.with_suffix(".lock"), runner.stop.event, runner.limits("wait-for-build"))


def refresh(origin: Origin, *, cache: Path, runner: Runner) -> tuple[Git, str]:
    """Update the cached clone of a source; return it and the full name of the source's default branch.

    The name is ``HEAD`` if the source's HEAD is detached, and empty if the
    source has no commit.  Raises UsageError if the source is not a repository,
    TestbedError if it does not answer.
    """
    if origin.local is not None:
        _check_local(origin.local, runner)
    refs, default = _list_remote(origin, runner)
    clone = cached_clone_path(cache, origin.display_name)
    with lock(clone, runner):
        ownership.check_tree(clone)  # git runs programs that its configuration names
        if not (clone / "HEAD").is_file():
            _create(clone, runner)
        git = Git(runner, clone)
        _remove_partial_packs(clone)
        namespaces = _cloned_namespaces(origin)
        source_refs = {name: id for name, id in refs.items() if name.startswith(namespaces) or name == "HEAD"}
        cloned_refs = _cloned_refs(git)
        if origin.local is not None:
            _share_objects(git, origin.local)
            _copy_refs(git, source_refs, cloned_refs)
        elif source_refs != cloned_refs or _is_shallow(git):  # a shallow source may be whole by now
            _fetch(git, origin, "HEAD" in refs)
        os.utime(clone)  # itb clean --unused goes by it
    return git, default


def _cloned_namespaces(origin: Origin) -> tuple[str, ...]:
    """Return the namespaces to clone; remote-tracking branches are cloned of a local source only."""
    return ("refs/heads/", "refs/tags/", *(("refs/remotes/",) if origin.local else ()))


def _check_local(folder: Path, runner: Runner) -> None:
    ask = ["-C", str(folder), "rev-parse", "--is-bare-repository", "--show-cdup"]
    answer = Git(runner).run(Request(ask, check=False), user_config=True)
    if not answer.ok:
        if "dubious ownership" in answer.stderr:
            raise UsageError(
                f"source {str(folder)!r} belongs to another user, and git does not trust it",
                hint=f"git config --global --add safe.directory {folder}",
            )
        raise UsageError(f"source {str(folder)!r} is not a git repository")
    bare, _, path_to_top = answer.stdout.partition("\n")
    if bare == "false" and path_to_top.strip():
        raise UsageError(
            f"source {str(folder)!r} is not a git repository, only a folder inside of one",
            hint=f"--source {(folder / path_to_top.strip()).resolve()}",
        )


def _list_remote(origin: Origin, runner: Runner) -> tuple[dict[str, str], str]:
    """Return the references of a source, as object ids by name, and the branch that its HEAD points to."""
    wanted = [f"{space}*" for space in _cloned_namespaces(origin)]
    ask = ["ls-remote", "--symref", "--", origin.address, "HEAD", *wanted]
    request = Request(ask, env=origin.env, check=False, timeout=runner.limits("git-answer"))
    answer = runner.retry(lambda: Git(runner).run(request, user_config=True), _find_transient_error)
    if not answer.ok:
        raise _read_error(origin, answer)
    if answer.left_out:  # from its middle
        read = len(answer.stdout) + answer.left_out
        raise UsageError(f"source {origin.display_name} names more references than are read ({read:,} bytes)")
    refs: dict[str, str] = {}
    default = ""
    for line in lines_of(answer.stdout):
        value, _, name = line.partition("\t")
        if value.startswith("ref: "):
            default = value.removeprefix("ref: ") if name == "HEAD" else default
        elif not name.endswith("^{}"):
            refs[name] = value
    if "HEAD" not in refs:
        return refs, ""
    return refs, default or "HEAD"


def _find_transient_error(answer: Completed) -> str:
    """Return the line of git's output that names a transient error of the network; empty if there is none."""
    if answer.ok or answer.timed_out:
        return ""
    return downloads.find_line(downloads.GIT, answer.stderr)


def _read_error(origin: Origin, answer: Completed) -> ItbError:
    """Return the error of a source that git could not read: TestbedError for the network, else UsageError."""
    if answer.timed_out:
        return TestbedError(
            f"source {origin.display_name} did not answer: {answer.reason}",
            hint="itb doctor looks at the network",
        )
    lines = [line.strip() for line in answer.stderr.splitlines() if line.strip()]
    fatal = next((line for line in lines if line.startswith("fatal:")), answer.reason).removeprefix("fatal: ")
    network_errors = [line for line in lines if downloads.GIT.search(line.replace(origin.address, ""))]
    if network_errors and "returned error: 4" not in answer.stderr:
        reason = network_errors[0].removeprefix("fatal: ")
        return TestbedError(
            f"source {origin.display_name} does not answer: {reason}",
            hint="itb doctor looks at the network",
            evidence=answer.output,
        )
    return UsageError(
        f"source {origin.display_name} is not a git repository, or one that may not be read: {fatal}",
        evidence=answer.output,
    )


def _cloned_refs(git: Git) -> dict[str, str]:
    listing = git.text("for-each-ref", "--format=%(objectname) %(refname)")
    refs = {name: id for id, _, name in (line.partition(" ") for line in lines_of(listing))}
    own_refs = {name: id for name, id in refs.items() if not name.startswith("refs/itb/")}
    return {**own_refs, **({"HEAD": refs["refs/itb/HEAD"]} if "refs/itb/HEAD" in refs else {})}


def _create(clone: Path, runner: Runner) -> None:
    """Make an empty clone, which appears whole or not at all."""
    with tempfile.TemporaryDirectory(prefix=".new-", dir=clone.parent) as temporary:
        new = Path(temporary) / "git"
        git = Git(runner, new)
        Git(runner).call("init", "--quiet", "--bare", "--template=", "--", str(new))
        git.call("config", "gc.auto", "0")  # garbage collection would delete objects that a clone is reading
        shutil.rmtree(clone, ignore_errors=True)
        for place, mode in ((new, 0o700), (new / "config", 0o600)):
            place.chmod(mode)
        new.replace(clone)


def _share_objects(git: Git, folder: Path) -> None:
    """Let a cached clone use the objects of a local source (alternates), and copy its shallow boundary."""
    assert git.directory is not None
    objects, shallow = (git_path(folder, name, git.runner) for name in ("objects", "shallow"))
    (git.directory / "objects" / "info").mkdir(parents=True, exist_ok=True)
    write_atomically(git.directory / "objects" / "info" / "alternates", f"{objects}\n")
    write_atomically(git.directory / "shallow", shallow.read_bytes() if shallow.is_file() else b"")


def git_path(folder: Path, name: str, runner: Runner) -> Path:
    """Return the path of a file inside the git directory of a local source."""
    argv = ["-C", str(folder), "rev-parse", "--path-format=absolute", "--git-path", name]
    return Path(Git(runner).text(*argv, user_config=True))


def _copy_refs(git: Git, source_refs: Mapping[str, str], cloned_refs: Mapping[str, str]) -> None:
    """Give a cached clone the references of its local source."""
    renamed = {"HEAD": "refs/itb/HEAD"}
    deletions = [f"delete {renamed.get(name, name)}" for name in cloned_refs if name not in source_refs]
    changes = {name: id for name, id in source_refs.items() if cloned_refs.get(name) != id}
    updates = [f"update {renamed.get(name, name)} {id}" for name, id in changes.items()]
    # Deletions first: a new branch may have the name of a former folder of branches.
    for lines in (deletions, updates):
        if lines:
            git.run(Request(["update-ref", "--stdin"], input=("\n".join(lines) + "\n").encode()))


def _is_shallow(git: Git) -> bool:
    return (git.directory or Path()).joinpath("shallow").is_file()


def _fetch(git: Git, origin: Origin, has_head: bool) -> None:
    specs = [f"+{space}*:{space}*" for space in _cloned_namespaces(origin)]
    if has_head:
        specs.append("+HEAD:refs/itb/HEAD")
    unshallow = ["--unshallow"] if _is_shallow(git) else []
    fetch = [*_FETCH, "--prune", "--no-recurse-submodules", *unshallow, "--", origin.address, *specs]
    completed = git.runner.retry(lambda: _run_fetch(git, origin, fetch), _find_transient_error)
    if not completed.ok:
        raise _read_error(origin, completed)


def _run_fetch(git: Git, origin: Origin, fetch: Sequence[str]) -> Completed:
    """Run git fetch; leave nothing of a pack that was cut off.  Raises UsageError for one that is too large."""
    limit = git.runner.limits("git-fetch")
    request = Request(fetch, env=origin.env, check=False, timeout=limit, file_limit=_LARGEST_PACK)
    largest = 0
    try:
        completed = git.run(request, user_config=True)
    finally:
        largest = _remove_partial_packs(git.directory or Path())
    if not completed.ok and largest >= _LARGEST_PACK:
        message = f"source {origin.display_name} sends more than {_LARGEST_PACK >> 20:,} MiB"
        hint = "itb help products says how large a source may be"
        raise UsageError(message, hint=hint, evidence=completed.output)
    return completed


def _remove_partial_packs(clone: Path) -> int:
    """Remove what fetches have left that were cut off, under the clone's lock; return the size of the largest."""
    largest = 0
    for path in (clone / "objects" / "pack").glob("tmp_*"):
        largest = max(largest, path.lstat().st_size)
        path.unlink()
    return largest


def fetch_one(git: Git, origin: Origin, ref: str, target: str) -> bool:
    """Fetch one reference or full commit id into the reference ``target``; return False if the source lacks it."""
    completed = _run_fetch(git, origin, [*_FETCH, "--", origin.address, f"+{ref}:{target}"])
    if completed.timed_out or (not completed.ok and downloads.GIT.search(completed.stderr)):
        raise _read_error(origin, completed)
    return completed.ok
