"""A host of a testbed: run, put, get; containers of an engine."""

from __future__ import annotations

import io
import math
import secrets
import shlex
import tarfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from itb.containers.engine import Engine
from itb.data import shipped
from itb.errors import InterruptedRunError, ItbError, TestbedError
from itb.process.result import Completed
from itb.process.runner import MARK

# Reads all of the script first: a command of it that reads standard input must not eat the rest.
_BACKSTOP = 60  # seconds beyond the limit after which a command ends by itself, were itb killed meanwhile
_SHELL = ("bash", "-euo", "pipefail", "-c", 'eval "$(cat)" </dev/null')


@dataclass(frozen=True)
class FileSpec:
    """A file to put on a host; ``owner`` is ``user:group`` as the host knows them."""

    path: str
    content: bytes
    mode: int = 0o644
    owner: str = "root:root"


@dataclass(frozen=True)
class Host:
    """One container that plays a role; ``fqdn`` is its name on the testbed network."""

    engine: Engine
    container: str
    role: str
    fqdn: str = ""

    def run(
        self,
        argv: Sequence[str],
        *,
        user: str = "",
        env: Mapping[str, str] | None = None,
        cwd: str = "",
        input: bytes | Path | None = None,
        timeout: float | None = None,
        check: bool = True,
        log: Path | None = None,
        stdout_to: Path | None = None,
        on_line: Callable[[str], None] | None = None,
        about: str = "",
    ) -> Completed:
        """Run a command on the host as ``user`` (root if empty).

        ``timeout`` is in seconds (default: the limit ``command``).  When it is
        over, or the run is told to stop, the command ends inside too, with all
        it started there: killing the engine's client alone would leave it alive.
        """
        stop, limits = self.engine.runner.stop, self.engine.runner.limits
        timeout = limits("command") if timeout is None else timeout
        mark = secrets.token_hex(8)
        bounded = ["timeout", "--kill-after=5", str(math.ceil(timeout) + _BACKSTOP), *argv]
        command = self.engine.exec_argv(
            self.container,
            bounded,
            user=user,
            env={**(env or {}), MARK: mark},
            cwd=cwd,
            interactive=input is not None,
        )
        if stop.event.is_set():
            raise stop.error()
        try:
            completed = self.engine.call(
                *command,
                input=input,
                env=self.engine.exec_env(env),
                timeout=timeout,
                at_limit=lambda: self._end(mark),
                check=False,
                log=log,
                stdout_to=stdout_to,
                on_line=on_line,
                host=self.role,
                shown=argv,
            )
            if stop.event.is_set():
                # podman exec ends with status 0 when it is told to end (4.3): that is no success.
                raise stop.error(completed)
        except InterruptedRunError as error:
            error.evidence = f"{error.evidence}\n{self._end(mark)}".strip()
            raise
        return self._judge(completed, check=check, about=about)

    def _end(self, mark: str) -> str:
        """End what a command has started here, to the last child; return what the host was doing before.

        Never raises: what is wrong with the engine is found by those who ask it next.
        """
        script = (shipped.folder("build_ws") / "hosts" / "reap.sh").read_text(encoding="utf-8")
        argv = ["timeout", "20", "bash", "-c", script, "reap", mark]
        reap = self.engine.exec_argv(self.container, argv, user="root")
        try:
            engine = self.engine.uninterruptible
            return engine.call(*reap, check=False, host=self.role, shown=["reap.sh", mark]).stdout
        except ItbError as error:
            return error.message

    def _judge(self, completed: Completed, *, check: bool, about: str) -> Completed:
        lost = completed.returncode in (125, 126, 127, 137, 143, 255) or completed.timed_out
        if lost and (gone := self.gone()):
            raise TestbedError(gone, evidence=completed.output, log=completed.log)
        if check and not completed.ok:
            what = about or shlex.join(completed.argv)[:200]
            raise TestbedError(
                f"host {self.role}: {what}: {completed.reason}", evidence=completed.output, log=completed.log
            )
        return completed

    def script(
        self,
        source: str | Path,
        args: Sequence[str] = (),
        *,
        user: str = "",
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
        check: bool = True,
        log: Path | None = None,
        on_line: Callable[[str], None] | None = None,
        about: str = "",
    ) -> Completed:
        """Run a bash script (its text or file) on the host; it travels by standard input."""
        text = source.read_bytes() if isinstance(source, Path) else source.encode()
        name = source.name if isinstance(source, Path) else "script"
        return self.run(
            [*_SHELL, name, *args],
            user=user,
            env=env,
            input=text,
            timeout=timeout,
            check=check,
            log=log,
            on_line=on_line,
            about=about or name,
        )

    def put(
        self, *files: FileSpec, then: str = "", args: Sequence[str] = (), log: Path | None = None, about: str = ""
    ) -> Completed:
        """Put files on the host, parents included; each replaces what was there atomically.

        ``then`` is a bash script run with ``args`` afterwards, in the same
        call of the engine: a call costs more than most of what it does.
        """
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for file in files:
                entry = tarfile.TarInfo(file.path.lstrip("/"))
                entry.size, entry.mode = len(file.content), file.mode
                entry.mtime = int(time.time())
                entry.uname, _, entry.gname = file.owner.partition(":")
                archive.addfile(entry, io.BytesIO(file.content))
        about = about or f"put {', '.join(file.path for file in files)}"
        return self._extract(buffer, about, then=then, args=args, log=log)

    def put_tree(self, source: Path, destination: str) -> None:
        """Copy a directory to the host, as ``destination``."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            archive.add(source, arcname=destination.strip("/"), filter=_as_root)
        self._extract(buffer, f"put {source.name} to {destination}")

    def put_into(
        self,
        folder: str,
        *sources: Path,
        then: str = "",
        args: Sequence[str] = (),
        log: Path | None = None,
        about: str = "",
    ) -> Completed:
        """Copy files and directories into a directory of the host, made if need be; the rest is as with put."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for source in sources:
                archive.add(source, arcname=f"{folder.strip('/')}/{source.name}", filter=_as_root)
        about = about or f"put {len(sources)} files into {folder}"
        return self._extract(buffer, about, then=then, args=args, log=log)

    def _extract(
        self,
        archive: io.BytesIO,
        about: str,
        *,
        then: str = "",
        args: Sequence[str] = (),
        log: Path | None = None,
    ) -> Completed:
        argv = ["tar", "--extract", "--file=-", "--directory=/", "--unlink-first"]
        if then:
            argv = ["bash", "-euo", "pipefail", "-c", f"{shlex.join(argv)}\nexec </dev/null\n{then}", "put", *args]
        return self.run(argv, input=archive.getvalue(), about=about, log=log)

    def get(self, path: str) -> bytes:
        """Return the content of a text file of the host, redacted."""
        return self.run(["cat", path], about=f"read {path}").stdout.encode()

    def get_archive(self, paths: Sequence[str], destination: Path) -> None:
        """Write a tar of files of the host, unredacted, to ``destination``."""
        self.run(["tar", "--create", "--file=-", "--ignore-failed-read", "--", *paths], stdout_to=destination)

    def alive(self) -> bool:
        """True while the container runs."""
        return not self.gone()

    def gone(self) -> str:
        """Say what became of the container if it does not run; the empty string if it does.

        Raises TestbedError if the engine cannot tell.
        """
        found = self.engine.inspect(self.container)
        state = found.get("State", {})
        if state.get("Running"):
            return ""
        if not found:
            return f"host {self.role}: container {self.container} does not exist any more"
        if state.get("Paused"):
            return f"host {self.role}: container {self.container} is paused"
        status = f"exit status {state.get('ExitCode', '?')}"
        why = f"{status}, out of memory" if state.get("OOMKilled") else status
        when = str(state.get("FinishedAt", ""))[11:19]
        ended = f", ended at {when}" if when and not when.startswith("00:00:00") else ""
        return f"host {self.role}: container {self.container} is not running ({why}{ended})"


def _as_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    return entry
