"""Builds the RPMs of a commit in the build workspace, by the product's ReleaseManager or its build command.

Neither their output nor their exit status is trusted: the RPM files are checked.
"""

from __future__ import annotations

import functools
import re
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from itb.build import build_cases, builder_command
from itb.build import cache as build_cache
from itb.build import log as build_log
from itb.build import rpms as build_rpms
from itb.build.builder_command import BuilderCommand
from itb.build.cache import SourceCheck
from itb.build.source_check import BuiltPackages
from itb.build.workspace import Workspace
from itb.config.product import Product
from itb.containers.host import FileSpec, Host
from itb.data import shipped
from itb.errors import UNDECIDED, BuildError, TestbedError, UsageError
from itb.model import Build, Commit, CommitKind, Rpm
from itb.process import downloads
from itb.process.request import Request
from itb.process.result import Completed
from itb.rundir.directory import RunDir
from itb.rundir.journal import CaseRecorder, RunningCase
from itb.util import filelock, files, proxies
from itb.util.text import count, lines_of

LOG = build_cache.LOG

_HOME = "/var/lib/itb"  # in the workspace; the same in every build, since paths may end up in packages
_TOOLS = f"{_HOME}/tools"
_PATH = f"{_TOOLS}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Without these, the order, owners and times of files in a source archive would depend on host and hour.
_TAR_OPTIONS = "--sort=name --owner=0 --group=0 --numeric-owner --clamp-mtime"
_SETTLE = 30.0  # seconds beyond the time limit in which running processes are ended


def take_cached(
    commit: Commit, product: Product, *, workspace: Workspace, cache: Path, rundir: RunDir, journal: CaseRecorder
) -> Build | None:
    """Return the RPMs of an identical earlier build, copied to the run directory; None if there is none."""
    began = time.monotonic()
    name = _cache_name(commit, product, workspace)
    damaged: list[str] = []
    cached = build_cache.take(
        cache,
        name,
        commit=commit.id,
        trust=workspace.trust,
        rpms=rundir.build / "rpms",
        log=rundir.build / LOG,
        report=damaged.append,
    )
    if damaged:
        with journal.case(*build_cases.BUILT) as case:
            case.skip(f"RPMs kept from an earlier build are not used: {damaged[0]}; they are built again")
    if cached is None:
        return None
    build_cases.report_cached(cached, journal, log=rundir.build / LOG)
    return Build(
        commit=commit,
        platform=workspace.platform,
        directory=str(rundir.build / "rpms"),
        rpms=cached.rpms,
        source_rpm=cached.source_rpm,
        arguments=cached.arguments,
        cached=True,
        seconds=time.monotonic() - began,
    )


def build(
    commit: Commit,
    product: Product,
    *,
    clone: Path,
    workspace: Workspace,
    cache: Path,
    rundir: RunDir,
    journal: CaseRecorder,
    ignore_cache: bool = False,
) -> Build:
    """Build the RPMs of a commit and return them, copied to ``rundir.build/rpms``.

    ``clone`` is a throwaway clone of the commit (:func:`itb.source.checkout.checkout`),
    ``workspace.host`` a running container that can use the platform's
    repositories.  One process at a time builds the same; the others wait and
    take its RPMs from the cache.  ``ignore_cache``: build even if the cache has them.
    Raises BuildError with the cause in one line, the whole log being in
    ``rundir.build``; TestbedError if the workspace is at fault.
    """
    host = workspace.host
    assert host is not None
    lock = cache / "locks" / f"build-{_cache_name(commit, product, workspace)}.lock"
    runner = host.engine.runner
    hold = functools.partial(filelock.hold, lock, runner.stop.event, runner.limits("wait-for-build"))
    with ExitStack() as stack:
        if filelock.is_locked(lock):
            with journal.case(*build_cases.BUILT) as case:
                stack.enter_context(hold(waiting=case.note))
                case.skip("another run was building the same")  # a case of the same name follows
        else:
            stack.enter_context(hold())
        cached = None
        if not ignore_cache:
            cached = take_cached(commit, product, workspace=workspace, cache=cache, rundir=rundir, journal=journal)
        job = _BuildJob(commit, product, workspace, host, rundir)
        return cached or _build(job, clone, cache=cache, journal=journal)


def _build(job: _BuildJob, clone: Path, *, cache: Path, journal: CaseRecorder) -> Build:
    commit, workspace, rundir = job.commit, job.workspace, job.rundir
    began = time.monotonic()
    (rundir.build / LOG).unlink(missing_ok=True)
    job.prepare(clone)
    with journal.case(*build_cases.REQUIRES) as case:
        job.install_requires(case, clone)
    with journal.case(*build_cases.BUILT) as case:
        command = job.builder_command()
        listing = job.make(case, command)
    with journal.case(*build_cases.COMPLETE) as case:
        rpms, source_rpm = job.collect(case, listing, command.hint)
        packages = BuiltPackages(commit, job.product, rundir.build / "rpms", rpms, source_rpm, clone)
        reading = packages.read(workspace)
        new_build = Build(
            commit=commit,
            platform=workspace.platform,
            directory=str(rundir.build / "rpms"),
            rpms=rpms,
            source_rpm=source_rpm,
            arguments=command.arguments,
            seconds=time.monotonic() - began,
        )
    with journal.case(*build_cases.SOURCE) as case:
        check = packages.check_source(case, reading)
        if workspace.fresh and (problem := _keep(job, new_build, cache, check)):
            case.message += f"; {problem}"
    return new_build


def _keep(job: _BuildJob, new_build: Build, cache: Path, check: SourceCheck) -> str:
    """Put a build into the cache for later runs; return why that is not possible, empty if it is."""
    entry = build_cache.CachedBuild(
        name=_cache_name(job.commit, job.product, job.workspace),
        commit=job.commit.id,
        run=job.workspace.run,
        trust=job.workspace.trust,
        rpms=new_build.rpms,
        source_rpm=new_build.source_rpm,
        source_check=check,
        arguments=new_build.arguments,
        seconds=new_build.seconds,
        built=time.time(),
    )
    try:
        build_cache.store(cache, entry, Path(new_build.directory), job.rundir.build / LOG)
    except (OSError, UsageError) as error:  # a full disk, a cache of somebody else: this run has its RPMs
        reason = error.message if isinstance(error, UsageError) else f"{error.filename or cache}: {error.strerror}"
        return f"not kept for later runs: {reason}"
    return ""


def is_whole(build: Build) -> bool:
    """Return whether every file of a build is where it was put, unchanged."""
    if build.published:
        return True  # the files are in a repository of others
    folder = Path(build.directory)
    rpms = (*build.rpms, build.source_rpm) if build.source_rpm else build.rpms
    try:
        return all(files.sha256(folder / rpm.file) == rpm.sha256 for rpm in rpms)
    except OSError:
        return False


def _cache_name(commit: Commit, product: Product, workspace: Workspace) -> str:
    """Return the name of the cache entry: a checksum of everything that decides what the RPMs are."""
    facts: dict[str, Any] = {
        "shape": build_cache.record_version(),
        "commit": commit.id,  # a ReleaseManager may ask git, too
        "tree": commit.tree,
        "date": commit.date,
        **({"tags": sorted(commit.tags)} if commit.tags else {}),
        "version": [commit.version, commit.rc, commit.rpm_release],
        "product": product.build.model_dump(mode="json"),
        "wanted": [product.packages, sorted(build_rpms.required_packages(product))],
        "platform": [workspace.platform, workspace.image_id],
        "env": {**workspace.env, "TAR_OPTIONS": _TAR_OPTIONS},
        "tools": {file.path: build_cache.key({"": file.content.hex()}) for file in _tools()},
        **({"mock": workspace.mock} if workspace.mock else {}),
        **({"worktree": True} if commit.kind is CommitKind.WORKTREE else {}),  # nobody else has its files
    }
    return build_cache.key(facts)


def _tools() -> list[FileSpec]:
    folder = shipped.folder("build_ws") / "workspace"
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    return [FileSpec(f"{_TOOLS}/{name}", (folder / name).read_bytes(), 0o755) for name in names]


@dataclass(frozen=True)
class _BuildJob:
    """One build in one workspace."""

    commit: Commit
    product: Product
    workspace: Workspace
    host: Host
    rundir: RunDir

    @property
    def log(self) -> Path:
        return self.rundir.build / LOG

    @property
    def source(self) -> str:
        return f"{_HOME}/source/{self.product.checkout_name}"

    @property
    def rpm_folder(self) -> str:
        return f"{_HOME}/release"

    @property
    def builder(self) -> str:
        return builder_command.BUILD_COMMAND if self.product.build.command else builder_command.RELEASE_MANAGER

    @property
    def env(self) -> dict[str, str]:
        date = self.commit.epoch
        return {
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "HOME": "/root",
            "PYTHONUNBUFFERED": "1",
            "SOURCE_DATE_EPOCH": str(date),
            "TAR_OPTIONS": f"{_TAR_OPTIONS} --mtime=@{date}",
            **self.workspace.env,
            **self.product.build.env,
            "PATH": _PATH,
        }

    def prepare(self, clone: Path) -> None:
        """Put the clone and the tools into the workspace, after removing everything of an earlier build."""
        self.host.call("sh", "-c", 'rm -rf -- "$1" && mkdir -p -- "$2"', "-", _HOME, self.rpm_folder)
        self.host.put(*_tools())
        assert clone.name == self.product.checkout_name
        self.host.put_into(f"{_HOME}/source", clone)

    def install_requires(self, case: RunningCase, clone: Path) -> None:
        """Install the spec's BuildRequires; raise BuildError with those that no repository provides."""
        spec = self._spec(clone)
        if not spec:
            case.skip("no single spec file found; the product's definition can name it (build.spec)")
            return
        runner = self.host.engine.runner
        completed = runner.retry(
            lambda: self.host.run(Request(
                ["bash", f"{_TOOLS}/requires.sh", f"{self.source}/{spec}"],
                env={**self.env, **proxies.variables_for_candidate()},
                timeout=runner.limits("build-requires"),
                check=False,
                log=self.log,
            )),
            lambda completed: "" if completed.ok else downloads.find_line(downloads.DNF, completed.output),
        )
        lines = lines_of(completed.stdout)
        missing = [line.removeprefix("missing: ") for line in lines if line.startswith("missing: ")]
        needed = [line.removeprefix("needs: ") for line in lines if line.startswith("needs: ")]
        case.log = self.log
        if missing:
            raise completed.error(
                BuildError,
                f"BuildRequires no repository of {self.workspace.platform} provides: {', '.join(missing)}",
                quoted=f"missing: {missing[0]}",
            )
        if not completed.ok:
            is_testbed_fault = completed.timed_out or downloads.REPOSITORY.search(completed.output)
            # Undecided: the macros of a spec run programs as root, which may print what they like.
            kind, prefix = (TestbedError, f"{UNDECIDED}: ") if is_testbed_fault else (BuildError, "")
            problems = [line for line in lines if re.match(r"(Error|Problem)\b|\s+- ", line)]
            problem = problems[0].strip() if problems else completed.reason
            message = f"{prefix}BuildRequires of {spec} ({', '.join(needed)}) could not be installed: {problem}"
            raise completed.error(kind, message, quoted=problem)
        case.passed(f"installed {', '.join(needed)}" if needed else "")

    def _spec(self, clone: Path) -> str:
        if self.product.build.spec:
            return self.product.build.spec
        specs = [path.relative_to(clone) for path in clone.rglob("*.spec") if ".git" not in path.parts]
        return str(specs[0]) if len(specs) == 1 else ""

    def builder_command(self) -> BuilderCommand:
        """Return the command that makes the RPMs."""
        definition = self.product.build
        if definition.command:
            return builder_command.for_build_command(
                definition.command,
                self.commit,
                product=self.product.name,
                platform=self.workspace.platform,
                rpm_folder=self.rpm_folder,
            )
        return builder_command.for_release_manager(
            f"{self.source}/{definition.release_manager}",
            self.commit,
            host=self.host,
            env=self.env,
            source=self.source,
            rpm_folder=self.rpm_folder,
            mock=self.workspace.mock,
            log=self.log,
        )

    def make(self, case: RunningCase, command: BuilderCommand) -> str:
        """Run the builder to its end or its time limit; return the list of its RPMs that packages.sh makes."""
        limit = self.host.engine.runner.limits.of(self.product.build.timeout, "timeout of build")
        case.log = self.log

        def note(line: str) -> None:
            if text := build_log.milestone(line):
                case.note(text)

        completed = self.host.run(Request(
            ["python3", f"{_TOOLS}/supervise.py", f"{limit:.0f}", *command.argv],
            env={**self.env, **command.env},
            cwd=self.source,
            timeout=limit + _SETTLE,
            check=False,
            log=self.log,
            on_line=note,
        ))
        builder = command.builder
        if completed.returncode == 124:
            running = build_log.running_at_limit(completed.stdout)
            last = f"; what ran last: {running[-1][:200]}" if running else ""
            message = f"{builder} did not end within its time limit of {limit:.0f} s{last}"
            _fail(message, completed, quoted=running[-1] if running else "")
        if not completed.ok:
            failure = build_log.find_failure(completed.stdout)
            _fail(failure.reason, completed, quoted=failure.line)
        listing = self._list_packages()
        if not listing:
            failure = build_log.find_failure(completed.stdout)
            elsewhere = self._find_elsewhere()
            message = f"{builder} {command.no_rpm_message}: {elsewhere or failure.reason}"
            _fail(message, completed, quoted="" if elsewhere else failure.line)
        how = f": {' '.join([*command.program, *command.arguments])}" if command.program else ""
        case.passed(f"in {completed.seconds:.0f} s{how}")
        return listing

    def _list_packages(self) -> str:
        # The build is root there: what it has made of the tools meanwhile is none of itb's.
        command = f'bash {_TOOLS}/packages.sh "$1"'
        request = Request([self.rpm_folder], about="list the RPMs that were built")
        return self.host.put(*_tools(), then=command, request=request).stdout

    def _find_elsewhere(self) -> str:
        """Return a text that names an RPM which a build command has left elsewhere; empty if there is none."""
        if not self.product.build.command:
            return ""
        find = ["find", "/root", self.source, "-name", "*.rpm", "-not", "-path", "*/.git/*", "-print", "-quit"]
        place = self.host.run(Request(find, check=False)).stdout.strip()
        return f"there is {place}" if place else ""

    def collect(self, case: RunningCase, listing: str, hint: str) -> tuple[tuple[Rpm, ...], Rpm | None]:
        """Check that the RPMs are the commit's and complete, and copy them to the run directory."""
        packages, sources, paths = build_rpms.parse_listing(listing)
        problems = build_rpms.check(self.commit, self.product, packages)
        if problems:
            more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            evidence = "\n".join([*problems, "", listing])
            hint = hint if build_rpms.MISNAMED in problems[0] else ""
            raise BuildError(f"{problems[0]}{more}", hint=hint, evidence=evidence, log=self.log)
        build_rpms.fetch(self.host, [*packages, *sources], paths, self.rundir.build / "rpms")
        case.passed(f"{count(len(packages), 'RPM')} of {packages[0].version}-{packages[0].release}")
        case.evidence = build_cases.list_rpms(packages)
        return tuple(packages), sources[0] if len(sources) == 1 else None


def _fail(reason: str, completed: Completed, *, quoted: str) -> NoReturn:
    """Raise the error of a builder that failed; ``quoted`` is the line of its log that says why."""
    quotes = completed.quote(quoted, first=True)
    raise BuildError(reason, evidence=completed.stdout, log=completed.log, quotes=quotes)
