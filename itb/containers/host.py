"""A host of a testbed: a container in which commands are run and files are read and written."""

from __future__ import annotations

import math
import secrets
import shlex
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from itb.containers import archive, sending, tools
from itb.containers.archive import Bounds
from itb.containers.engine import Engine
from itb.containers.sending import Outgoing
from itb.data import shipped
from itb.errors import InterruptedRunError, ItbError, TestbedError
from itb.process.request import Request, Writer
from itb.process.result import Completed
from itb.process.runner import MARK

_BACKSTOP = 60  # seconds after its limit at which a command ends by itself, in case itb was killed
# The whole script is read first, so that no command of it can read the rest from standard input.
_SHELL = ("bash", "-euo", "pipefail", "-c", 'eval "$(cat)" </dev/null')
_PLAIN = Request()


@dataclass(frozen=True)
class FileSpec:
    """A file to put on a host; ``owner`` is ``user:group`` as the host knows them.

    Its content is ``content`` or, if it is given, that of the file ``source``.
    """

    path: str
    content: bytes = b""
    mode: int = 0o644
    owner: str = "root:root"
    source: Path | None = None


def _home(request: Request) -> dict[str, str]:
    """Return the home of root, where programs look for settings: the host's own accounts may say otherwise."""
    return {"HOME": "/root"} if request.user in ("", "root") else {}


@dataclass(frozen=True)
class Host:
    """One container that plays a role; ``fqdn`` is its name on the testbed network.

    A host that ``has_tools`` runs itb's own copies of programs (:mod:`itb.containers.tools`).
    """

    engine: Engine
    container: str
    role: str
    fqdn: str = ""
    has_tools: bool = False

    def call(self, *argv: str) -> Completed:
        """Run a command with the default options."""
        return self.run(Request(argv))

    def run(self, request: Request) -> Completed:
        """Run a command on the host; without a timeout it gets the limit ``command``.

        When the time is up or the run is interrupted, the command's processes on
        the host are ended too: killing the engine's client would leave them alive.
        An error that this raises has the role of this host.
        """
        try:
            return self._run(request)
        except ItbError as error:
            error.role = self.role
            raise

    def _run(self, request: Request) -> Completed:
        stop, limits = self.engine.runner.stop, self.engine.runner.limits
        timeout = limits("command") if request.timeout is None else request.timeout
        mark = secrets.token_hex(8)
        bounded = [self._timeout, "--kill-after=5", str(math.ceil(timeout) + _BACKSTOP), *request.argv]
        inside = replace(request, argv=bounded, env={**self._path, **_home(request), **request.env, MARK: mark})
        if stop.event.is_set():
            raise stop.error()
        try:
            completed = self.engine.run(
                replace(
                    self.engine.exec_request(self.container, inside),
                    timeout=timeout,
                    at_limit=lambda: self._end_command(mark),
                    check=False,
                    host=self.role,
                    alias=request.logged_argv,
                )
            )
            if stop.event.is_set():
                # podman exec (4.3) exits with status 0 when it is terminated, which is no success.
                raise stop.error(completed)
        except InterruptedRunError as error:
            error.evidence = f"{error.evidence}\n{self._end_command(mark)}".strip()
            raise
        return self._check_result(completed, request)

    def _end_command(self, mark: str) -> str:
        """End all processes that a command has started on the host; return a list of those that ran before.

        Never raises: an error of the engine is reported by the next call of it.
        """
        script = (shipped.folder("build_ws") / "hosts" / "reap.sh").read_text(encoding="utf-8")
        reap = Request(
            [self._timeout, "20", "bash", "-c", script, "reap", mark],
            user="root", env=self._path, check=False, host=self.role, alias=["reap.sh", mark],
        )  # fmt: skip
        try:
            engine = self.engine.uninterruptible
            return engine.run(engine.exec_request(self.container, reap)).stdout
        except ItbError as error:
            return error.message

    @property
    def _timeout(self) -> str:
        return f"{tools.FOLDER}/bin/timeout" if self.has_tools else "timeout"

    @property
    def _path(self) -> dict[str, str]:
        return {"PATH": tools.PATH} if self.has_tools else {}

    def _check_result(self, completed: Completed, request: Request) -> Completed:
        is_doubtful = completed.returncode in (125, 126, 127, 137, 143, 255) or completed.timed_out
        if is_doubtful and (reason := self.why_not_running()):
            raise completed.error(TestbedError, reason)
        if request.check and not completed.ok:
            about = request.about or shlex.join(completed.argv)[:200]
            raise completed.error(TestbedError, f"host {self.role}: {about}: {completed.reason}")
        return completed

    def script(self, source: str | Path, request: Request = _PLAIN) -> Completed:
        """Run a bash script (its text or file) on the host with the request's arguments; it is sent by stdin."""
        text = source.read_bytes() if isinstance(source, Path) else source.encode()
        name = source.name if isinstance(source, Path) else "script"
        argv = [*_SHELL, name, *request.argv]
        return self.run(replace(request, argv=argv, input=text, about=request.about or name))

    def put(self, *files: FileSpec, then: str = "", request: Request = _PLAIN) -> Completed:
        """Put files on the host, parents included; each replaces what was there atomically.

        ``then`` is a bash script that is run afterwards with the request's arguments, in
        the same call of the engine, because a call takes longer than most scripts.
        """
        members = [
            Outgoing(file.path, file.source or file.content, file.mode, *file.owner.partition(":")[::2])
            for file in files
        ]
        about = f"put {', '.join(file.path for file in files)}"
        return self._extract(sending.write_files(members), about, then, request)

    def put_tree(self, source: Path, destination: str) -> None:
        """Copy a directory to the host, as ``destination``; other files that are there stay."""
        archive = sending.write_trees({destination: source})
        self._extract(archive, f"put {source.name} to {destination}", "", _PLAIN)

    def put_into(
        self, folder: str, *sources: Path, then: str = "", request: Request = _PLAIN
    ) -> Completed:
        """Copy files and directories into a directory of the host, created if absent; ``then`` is as with put."""
        archive = sending.write_trees({f"{folder}/{source.name}": source for source in sources})
        return self._extract(archive, f"put {len(sources)} files into {folder}", then, request)

    def _extract(self, archive: Writer, about: str, then: str, request: Request) -> Completed:
        # Files and links on the host are replaced and never written through; folders keep their other files.
        argv = ["tar", "--extract", "--file=-", "--directory=/"]
        if then:
            script = f"{shlex.join(argv)}\nexec </dev/null\n{then}"
            argv = ["bash", "-euo", "pipefail", "-c", script, "put", *request.argv]
        return self.run(replace(request, argv=argv, input=archive, about=request.about or about))

    def get(self, path: str) -> bytes:
        """Return the content of a text file of the host, redacted."""
        return self.run(Request(["cat", path], about=f"read {path}")).stdout.encode()

    def get_files(self, targets: Mapping[str, Path], bounds: Bounds, private: Path) -> set[str]:
        """Write files of the host, unredacted, to the targets of their paths; return the paths that came.

        ``private`` is a folder of this user's that holds the archive until it
        is unpacked.  Raises TestbedError if they are more than ``bounds`` allow, or no files.
        """
        argv = ["tar", *archive.FORMAT, "--ignore-failed-read", "--", *targets]
        with tempfile.TemporaryDirectory(prefix=".files-", dir=private) as folder:
            tar = Path(folder) / "files.tar"
            self.run(Request(argv, stdout_to=tar, stdout_limit=bounds.total, about="copy files from it"))
            by_name = {path.lstrip("/"): target for path, target in targets.items()}
            try:
                names = archive.receive_files(tar, by_name, bounds)
            except archive.ArchiveError as error:
                refused = TestbedError(f"host {self.role}: its files cannot be copied: {error}")
                refused.role = self.role
                raise refused from None
        return {path for path in targets if path.lstrip("/") in names}

    def restart(self, *, timeout: float) -> None:
        """Restart the container; its first process has a minute to end by itself."""
        self.engine.run(Request(
            ["restart", "--time", "60", self.container],
            host=self.role,
            timeout=timeout,
            about=f"reboot of host {self.role}",
        ))

    def is_running(self) -> bool:
        """Return whether the container runs."""
        return not self.why_not_running()

    def why_not_running(self) -> str:
        """Return a message that says why the container does not run; empty if it runs.

        Raises TestbedError if the engine fails.
        """
        details = self.engine.inspect(self.container)
        state = details.get("State", {})
        if state.get("Running"):
            return ""
        if not details:
            return f"host {self.role}: container {self.container} does not exist any more"
        if state.get("Paused"):
            return f"host {self.role}: container {self.container} is paused"
        status = f"exit status {state.get('ExitCode', '?')}"
        why = f"{status}, out of memory" if state.get("OOMKilled") else status
        when = str(state.get("FinishedAt", ""))[11:19]
        ended = f", ended at {when}" if when and not when.startswith("00:00:00") else ""
        return f"host {self.role}: container {self.container} is not running ({why}{ended})"
