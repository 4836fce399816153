"""Running podman or docker: containers, networks and volumes, found and removed by their labels.

Everything itb creates is labelled (:mod:`itb.containers.naming`), so that it
can be found and removed without any file of the run.
"""

from __future__ import annotations

import copy
import functools
import json
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from itb.containers import firewall, naming
from itb.containers.description import container_name, has_labels, resource_name, subnet_of
from itb.errors import TestbedError
from itb.process.request import Request
from itb.process.result import CommandError, Completed
from itb.process.runner import Runner
from itb.process.stop import Stop
from itb.util import proxies
from itb.util.redact import redact
from itb.util.text import clean, one_line

_MEMORY = 4 << 30  # bytes of a container that runs one command: what it reads, the candidate may have made large
MOUNT = "/srv/folder"  # where a container that runs one command sees a folder of the machine
_OBJECT_KINDS = ("container", "image", "network", "volume")  # of commands such as "network create"
# Errors of podman (storage, network) and docker while another process of theirs works on the same.
_TRANSIENT_ERROR = re.compile(
    r"database is locked|resource temporarily unavailable|layer not known|connection (?:refused|reset)"
    r"|i/o timeout|TLS handshake timeout|unexpected EOF|failed to (?:acquire|obtain) (?:the )?lock"
    r"|device or resource busy"
    r"|locating (?:item named|image with ID)"  # podman 4.3 lists images while one is removed
    r"|did not die within timeout",  # on a busy machine, killed processes take longer than podman waits
    re.IGNORECASE,
)
_ABSENT = re.compile(r"no such (container|object)", re.IGNORECASE)


class _AnswerObject(dict[str, Any]):
    """A JSON object of an engine's answer; reading a key that it lacks raises TestbedError."""

    error_of: Callable[[str], TestbedError]

    def __missing__(self, key: str) -> NoReturn:
        raise self.error_of(f" (no {key!r})")


class Engine:
    """Runs the command line of one container engine."""

    def __init__(self, runner: Runner, program: str = "podman", *, env: Mapping[str, str] | None = None) -> None:
        self.runner = runner
        self.program = program
        self.env = dict(env or {})
        self.storage: Path | None = None  # the folder of this machine, or of another, with its containers' files
        self.state: Path | None = None  # podman's folder with what they have only while they run, often in memory
        self.options: tuple[str, ...] = ()  # of new containers
        self.calls = 0
        self.controllers: frozenset[str] = frozenset()  # of control groups, that limit containers
        self.syscall_filter: Path | None = None  # podman's file with the system calls that containers may make
        self.is_remote = False  # its containers run on another machine than this one
        self._unresponsive = threading.Event()  # set while the engine has not answered the last call

    @property
    def is_podman(self) -> bool:
        """Return whether the program is podman, by its name or its path."""
        return Path(self.program).name.startswith("podman")

    def call(self, *argv: str) -> Completed:
        """Run ``podman ARGV`` with the defaults of a request."""
        return self.run(Request(argv))

    def run(self, request: Request) -> Completed:
        """Run ``podman ARGV`` as the request says.

        A request without a timeout is one that an engine answers at once: it
        gets the limit ``engine`` and is repeated after a failure that may pass.
        Raises TestbedError, even without ``check``, if the engine does not answer.
        """
        self.calls += 1
        own = replace(request, argv=[self.program, *request.argv], env={**self.env, **request.env})
        if request.timeout is not None:
            return self.runner.run(own)
        limits = self.runner.limits
        limit = min(limits("engine"), limits("engine-again")) if self._unresponsive.is_set() else limits("engine")
        own = replace(own, check=False, timeout=limit)
        completed = self.runner.retry(lambda: self.runner.run(own), _transient_error)
        if completed.timed_out:
            self._unresponsive.set()
            raise TestbedError(
                f"container engine {self.program!r} does not answer: {request.argv[0]}: {completed.reason}",
                hint="itb doctor explains; itb clean removes what is left once it answers again",
                evidence=completed.output,
            )
        self._unresponsive.clear()
        if request.check and not completed.ok:
            subcommand = request.argv[: 2 if request.argv[0] in _OBJECT_KINDS else 1]
            about = f"container engine {self.program!r} fails: {' '.join(subcommand)}"
            raise CommandError(completed, about=request.about or about)
        return completed

    def query(self, *argv: str, count: int | None = None) -> list[dict[str, Any]]:
        """Call the engine and return the objects of its answer, as :meth:`parse_answer` does."""
        return self.parse_answer(self.call(*argv), count=count)

    def parse_answer(self, completed: Completed, *, count: int | None = None) -> list[dict[str, Any]]:
        """Return the JSON objects of an answer, which stand one after the other or in a list.

        ``count`` is the number that is expected.  Raises TestbedError for any
        other answer: a wrapper of the engine may print text of its own.
        """

        def error_of(why: str = "") -> TestbedError:
            text = one_line(clean(completed.stdout), 100) or "nothing"
            command = " ".join(completed.argv[1:3])
            message = f"container engine {self.program!r} answers {command} with what itb cannot read{why}: {text}"
            return TestbedError(message, hint="itb doctor looks at the engine", evidence=completed.output)

        def object_of(pairs: list[tuple[str, Any]]) -> _AnswerObject:
            answer_object = _AnswerObject(pairs)
            answer_object.error_of = error_of
            return answer_object

        decoder = json.JSONDecoder(object_pairs_hook=object_of)
        objects: list[Any] = []
        text = completed.stdout.strip()
        try:
            while text:
                value, end = decoder.raw_decode(text)
                objects += value if isinstance(value, list) else [] if value is None else [value]
                text = text[end:].lstrip()
        except (ValueError, RecursionError):
            raise error_of() from None
        if not all(isinstance(item, _AnswerObject) for item in objects) or count not in (None, len(objects)):
            raise error_of()
        return objects

    def call_info(self, *, check: bool = True) -> Completed:
        """Call the engine for a description of itself and its setup."""
        return self.run(Request(["info", "--format", "json" if self.is_podman else "{{json .}}"], check=check))

    def info(self) -> dict[str, Any]:
        """Return the engine's description of itself and its setup; the keys are the engine's own."""
        return self.parse_answer(self.call_info(), count=1)[0]

    @functools.cached_property
    def uninterruptible(self) -> Engine:
        """Return this engine with calls that ignore interruptions, for a cleanup, which must run to its end."""
        runner = copy.copy(self.runner)
        runner.stop = Stop()
        engine = Engine(runner, self.program, env=self.env)
        engine.options, engine.is_remote, engine.controllers = self.options, self.is_remote, self.controllers
        engine.storage, engine._unresponsive = self.storage, self._unresponsive
        return engine

    def exec_request(
        self, container: str, request: Request, *, interactive: bool = False, tty: bool = False
    ) -> Request:
        """Return the request to the engine that runs a request's command in a container.

        A variable that holds a secret is passed by name only; the engine takes its value from its own environment.
        """
        options = ["exec"]
        if interactive or request.input is not None:
            options.append("--interactive")
        if tty:
            options.append("--tty")
        if request.user:
            options += ["--user", request.user]
        if request.cwd:
            options += ["--workdir", str(request.cwd)]
        for key, value in request.env.items():
            options += ["--env", key if _is_secret(value) else f"{key}={value}"]
        secret = {key: value for key, value in request.env.items() if _is_secret(value)}
        return replace(request, argv=[*options, container, *request.argv], env=secret, user="", cwd="")

    @property
    def new_container(self) -> tuple[str, ...]:
        """Return the command that makes and starts a container, without the proxies of this machine.

        Engines give these to every container, with the logins in them: podman
        those of its environment, docker those of its configuration.
        """
        return ("run", *self.create_options)

    @property
    def create_options(self) -> tuple[str, ...]:
        """Return the options that every new container gets, however it is made."""
        return (*self.no_proxies, *self.options)

    @property
    def no_proxies(self) -> tuple[str, ...]:
        """Return the options that keep the machine's proxies out of a new container."""
        if self.is_podman:
            return ("--http-proxy=false",)
        return tuple(f"--env={name}=" for name in proxies.NAMES)

    def run_once(
        self, image: str, request: Request, *, labels: Mapping[str, str], folder: str = "", scratch: str = ""
    ) -> Completed:
        """Run a command in a new container of an image, without a network; remove the container afterwards.

        It sees a ``folder`` of the machine as ``MOUNT``, which it cannot change; ``scratch`` is the path and
        size in bytes (PATH:size=BYTES) of a folder in memory.
        """
        source = f"source={folder}".replace('"', '""')  # one field of a line of CSV
        bind = f'type=bind,"{source}",target={MOUNT},readonly'
        mounts = ["--security-opt", "label=disable", "--mount", bind] if folder else []
        mounts += ["--tmpfs", scratch] if scratch else []
        scratch_size = int(scratch.rpartition("=")[2]) if scratch else 0
        return self._run_once(image, request, *mounts, *naming.options(labels), memory=_MEMORY + scratch_size)

    def run_beside(self, container: str, image: str, request: Request, *, labels: Mapping[str, str]) -> Completed:
        """Run a command in a new container that sees the processes of another one; remove the new one afterwards.

        The command finds the other container's file system at /proc/1/root.
        The other's processes cannot affect the command: they lack a capability that it has.
        """
        shares = ("--interactive", "--pid", f"container:{container}", "--cap-add", "SYS_PTRACE")
        return self._run_once(image, request, *shares, *naming.options(labels))

    def _run_once(self, image: str, request: Request, *options: str, memory: int = _MEMORY) -> Completed:
        # What it prints is for itb: an engine that logs to the machine's journal would leave it there.
        once = ("--rm", "--name", naming.once(), "--network", "none", "--log-driver", "none")
        limits = ("--memory", f"{memory}b", "--memory-swap", f"{memory}b") if "memory" in self.controllers else ()
        argv = [*self.new_container, *once, *limits, *options, image, *request.argv]
        return self.run(replace(request, argv=argv))

    def command_line(
        self, image: str, command: Sequence[str], *, folder: str, labels: Mapping[str, str]
    ) -> list[str]:
        """Return the command line, for any process, that runs a command in a new container of an image.

        The container sees a folder of the machine at its own path, and has no network.
        """
        program = ["env", *(f"{name}={value}" for name, value in self.env.items()), self.program]
        options = ["--network", "none", "--security-opt", "label=disable", "--volume", f"{folder}:{folder}"]
        options += ["--name", naming.once(), *naming.options(labels)]
        return [*program, *self.new_container, "--rm", *options, image, *command]

    def create_volume(self, name: str, labels: Mapping[str, str]) -> None:
        """Create a volume."""
        self.call("volume", "create", *naming.options(labels), name)

    def start_idle(self, name: str, image: str, *, volume: str, mount: str, labels: Mapping[str, str]) -> None:
        """Start a container that waits for commands, with a volume at ``mount`` and the machine's network."""
        self.call(
            *(*self.new_container, "--detach", "--name", name, *naming.options(labels), "--network", "host"),
            *("--volume", f"{volume}:{mount}", "--entrypoint", "", image, "sleep", "infinity"),
        )

    def start_system(self, name: str, image: str, *, network: str, labels: Mapping[str, str]) -> None:
        """Start a container of a network in which systemd runs as the first process."""
        systemd = ("--systemd", "always") if self.is_podman else ("--privileged",)
        self.call(
            *(*self.new_container, "--detach", "--name", name, *naming.options(labels)),
            *("--network", network, *systemd, image),
        )

    def start(self, container: str) -> None:
        """Start a container that exists."""
        self.call("start", container)

    def last_output(self, container: str, lines: int) -> str:
        """Return the last lines that the first process of a container has printed."""
        return self.run(Request(["logs", "--tail", str(lines), container], check=False)).output

    def remove_containers(self, *names: str, check: bool = True) -> Completed:
        """Remove containers and their anonymous volumes; running ones are killed without a grace period."""
        no_grace = ("--time", "0") if self.is_podman else ()
        argv = ["rm", "--force", *no_grace, "--volumes", *names]
        return self.run(Request(argv, check=check, uninterruptible=True))

    def inspect(self, container: str) -> dict[str, Any]:
        """Return the engine's description of a container; empty if there is none."""
        answer = self.run(Request(["container", "inspect", container], check=False))
        if not answer.ok:
            if _ABSENT.search(answer.stderr):
                return {}
            raise TestbedError(f"container engine {self.program!r} fails: {answer.reason}", evidence=answer.output)
        return next(iter(self.parse_answer(answer)), {})

    def inspect_all(self, containers: Sequence[str]) -> list[dict[str, Any]]:
        """Return the engine's descriptions of containers that exist, in this order."""
        return self.query("container", "inspect", *containers, count=len(containers))

    def own_sizes(self, containers: Sequence[str]) -> list[int]:
        """Return the bytes of what was written in each of some containers that exist."""
        described = self.query("container", "inspect", "--size", *containers, count=len(containers))
        return [int(item["SizeRw"]) for item in described]

    def create_network(
        self, name: str, labels: Mapping[str, str], *, internal: bool = False, names: bool = True
    ) -> str:
        """Create a bridge network and return its subnet (CIDR), which the engine chooses.

        An ``internal`` one has no route to elsewhere.  Without ``names`` podman answers no names on it:
        its name server asks those of this machine for what it does not know, also on an internal network.
        """
        options = [*(("--internal",) if internal else ())]
        options += ["--disable-dns"] if self.is_podman and not names else []
        self.call("network", "create", *options, *naming.options(labels), name)
        if subnet := subnet_of(self.query("network", "inspect", name, count=1)[0]):
            return subnet
        raise TestbedError(f"network {name}: the engine gave it no IPv4 subnet")

    def network(self, name: str) -> dict[str, Any]:
        """Return the engine's description of a network; empty if there is none."""
        answer = self.run(Request(["network", "inspect", name], check=False))
        return next(iter(self.parse_answer(answer)), {}) if answer.ok else {}

    def subnet(self, network: str) -> str:
        """Return the subnet (CIDR) of a network; empty if there is none."""
        return subnet_of(self.network(network))

    def containers(self, filters: Mapping[str, str], *, foreign: bool = False) -> list[dict[str, Any]]:
        """List the containers, stopped ones too, that have all these labels (empty value: any).

        With ``foreign`` those that have the labels from an image, and a name that is not one of itb's.
        """
        return self._list("ps", "--all", filters=filters, foreign=foreign)

    def networks(self, filters: Mapping[str, str]) -> list[dict[str, Any]]:
        """List the networks that have all these labels (empty value: any)."""
        return self._list("network", "ls", filters=filters)

    def volumes(self, filters: Mapping[str, str]) -> list[dict[str, Any]]:
        """List the volumes that have all these labels (empty value: any)."""
        return self._list("volume", "ls", filters=filters)

    def all_resources(self, filters: Mapping[str, str]) -> list[dict[str, Any]]:
        """List the containers, networks and volumes that have all these labels (empty value: any)."""
        return [*self.containers(filters), *self.networks(filters), *self.volumes(filters)]

    def _list(self, *argv: str, filters: Mapping[str, str], foreign: bool = False) -> list[dict[str, Any]]:
        if self.is_podman:
            # podman takes a filter for comma-separated values with quotes, and several labels of a
            # volume for "any of them" (4.3).  What is listed may be removed, so values are compared here.
            labels = [f"label={key}" for key in filters]
            items = self.query(*argv, *_repeat("--filter", labels), "--format", "json")
            items = [item for item in items if has_labels(item, filters)]
        else:
            labels = [f"label={key}={value}" if value else f"label={key}" for key, value in filters.items()]
            items = self.query(*argv, *_repeat("--filter", labels), "--format", "{{json .}}")
        return [item for item in items if not filters or naming.is_own(resource_name(item)) != foreign]

    def remove_labelled(self, filters: Mapping[str, str]) -> list[str]:
        """Remove every container, network and volume with these labels; return their kinds and names.

        Another process may be removing the same ones, so only what remains is
        an error: a TestbedError that names it.
        """
        removed = []
        if names := [container_name(item) for item in self.containers(filters)]:
            completed = self.remove_containers(*names, check=False)
            remaining = [] if completed.ok else [container_name(item) for item in self.containers(filters)]
            _check_removed("container", remaining, completed)
            removed += [f"container {name}" for name in names]
        for kind, list_kind in (("network", self.networks), ("volume", self.volumes)):
            items = list_kind(filters)
            if names := [resource_name(item) for item in items]:
                completed = self.run(Request([kind, "rm", *names], check=False, uninterruptible=True))
                remaining = [] if completed.ok else [resource_name(item) for item in list_kind(filters)]
                _check_removed(kind, remaining, completed)
                if kind == "network":
                    firewall.remove_rules(self, items)
                removed += [f"{kind} {name}" for name in names]
        return removed


def _transient_error(completed: Completed) -> str:
    """Return the failure of a call that another try may cure, such as contention; empty for any other result."""
    match = None if completed.ok or completed.timed_out else _TRANSIENT_ERROR.search(completed.stderr)
    return f"{completed.argv[1]}: {completed.reason}" if match else ""


def _is_secret(value: str) -> bool:
    return redact(value) != value


def _check_removed(kind: str, remaining: Sequence[str], completed: Completed) -> None:
    if remaining:
        error = TestbedError(
            f"{kind} {', '.join(remaining)} cannot be removed: {completed.reason}",
            hint="itb clean",
            evidence=completed.output,
        )
        error.conclusive = True  # hosts that are gone by now are not the cause
        raise error


def _repeat(option: str, values: Sequence[str]) -> list[str]:
    """Return the arguments that give an option several values."""
    return [argument for value in values for argument in (option, value)]
