"""A host of a testbed: run, put, get; containers of an engine."""

from __future__ import annotations

import io
import math
import shlex
import tarfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from itb.engine import Engine
from itb.errors import InterruptedRunError, TestbedError
from itb.runners import Completed

# Reads all of the script first: a command of it that reads standard input must not eat the rest.
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
        timeout: float = 300,
        check: bool = True,
        log: Path | None = None,
        stdout_to: Path | None = None,
        on_line: Callable[[str], None] | None = None,
        about: str = "",
    ) -> Completed:
        """Run a command on the host as ``user`` (root if empty).

        The time limit holds inside too: killing the engine's client alone
        would leave the process in the container alive.
        """
        # Rounded up: to timeout(1), 0 means no limit.
        bounded = ["timeout", "--kill-after=5", str(math.ceil(timeout)), *argv]
        command = self.engine.exec_argv(
            self.container, bounded, user=user, env=env, cwd=cwd, interactive=input is not None
        )
        completed = self.engine.call(
            *command,
            input=input,
            timeout=timeout + 15,
            check=False,
            log=log,
            stdout_to=stdout_to,
            on_line=on_line,
            host=self.role,
            shown=argv,
        )
        # timeout(1): 124 if the command ended as it was told to, 137 if it had to be killed.
        if completed.returncode in (124, 137) and completed.seconds >= timeout:
            completed = replace(completed, timed_out=True)
        if self.engine.runner.stop.event.is_set():
            # podman exec ends with status 0 when it is told to end (4.3): that is no success.
            raise InterruptedRunError("interrupted")
        return self._judge(completed, check=check, about=about)

    def _judge(self, completed: Completed, *, check: bool, about: str) -> Completed:
        lost = completed.returncode in (125, 126, 127, 137, 143, 255) and not completed.timed_out
        if lost and not self.alive():
            raise TestbedError(
                f"host {self.role}: container {self.container} is not running: {completed.reason}",
                evidence=completed.output,
            )
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
        timeout: float = 300,
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
        state = self.engine.inspect(self.container).get("State", {})
        return bool(state.get("Running"))


def _as_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    return entry
