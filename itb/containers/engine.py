"""Running podman or docker: images, networks and containers, found and removed by their labels.

Everything itb creates is labelled (:mod:`itb.containers.naming`), so that it
can be found and removed without any file of the run.
"""

from __future__ import annotations

import copy
import functools
import json
import os
import re
import resource
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from itb.containers import naming, tools
from itb.errors import TestbedError, UsageError
from itb.process import retry
from itb.process.request import Request
from itb.process.result import CommandError, Completed
from itb.process.runner import Runner
from itb.process.stop import Stop
from itb.util import files, ownership
from itb.util.files import write_atomically
from itb.util.redact import redact
from itb.util.text import clean, one_line

_PODMAN_NOFILE = 1048576  # podman's own default, refused without CAP_SYS_RESOURCE when the limit is lower
_ABSENT = re.compile(r"no such (container|object)", re.IGNORECASE)
_CAPS = (("CapAdd", "beyond the engine's own:"), ("CapDrop", "dropped:"))
_CAP_SYS_RESOURCE = 24  # linux/capability.h


class _Answer(dict[str, Any]):
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
        self.calls = 0
        self._unresponsive = threading.Event()  # it did not answer the last call

    @property
    def is_podman(self) -> bool:
        """Return whether the program is podman, by its name or its path."""
        return Path(self.program).name.startswith("podman")

    @property
    def info(self) -> tuple[str, ...]:
        """Return the arguments of the call that describes the engine and its setup."""
        return ("info", "--format", "json" if self.is_podman else "{{json .}}")

    def call(self, *argv: str) -> Completed:
        """Run ``podman ARGV`` with the defaults of a request."""
        return self.run(Request(argv))

    def run(self, request: Request) -> Completed:
        """Run ``podman ARGV`` as the request says.

        An engine answers a request without a timeout at once: the limit is
        ``engine``, and trouble that may pass is tried again.  Raises
        TestbedError, even without ``check``, if there is no answer.
        """
        self.calls += 1
        own = replace(request, argv=[self.program, *request.argv], env={**self.env, **request.env})
        if request.timeout is not None:
            return self.runner.run(own)
        limits = self.runner.limits
        limit = min(limits("engine"), limits("engine-again")) if self._unresponsive.is_set() else limits("engine")
        own = replace(own, check=False, timeout=limit)
        completed = self.runner.retry(lambda: self.runner.run(own), _transient_trouble)
        if completed.timed_out:
            self._unresponsive.set()
            raise TestbedError(
                f"container engine {self.program!r} does not answer: {request.argv[0]}: {completed.reason}",
                hint="itb doctor explains; itb clean removes what is left once it answers again",
                evidence=completed.output,
            )
        self._unresponsive.clear()
        if request.check and not completed.ok:
            words = request.argv[: 2 if request.argv[0] in ("container", "image", "network", "volume") else 1]
            about = f"container engine {self.program!r} fails: {' '.join(words)}"
            raise CommandError(completed, about=request.about or about)
        return completed

    def query(self, *argv: str, count: int | None = None) -> list[dict[str, Any]]:
        """Call the engine and return the objects of its answer, as :meth:`parse_answer` does."""
        return self.parse_answer(self.call(*argv), count=count)

    def parse_answer(self, completed: Completed, *, count: int | None = None) -> list[dict[str, Any]]:
        """Return the JSON objects of an answer, which stand one after the other or in a list.

        ``count`` is the number that is expected.  Raises TestbedError for any
        other answer: a program in between may print words of its own.
        """

        def error_of(why: str = "") -> TestbedError:
            text = one_line(clean(completed.stdout), 100) or "nothing"
            words = " ".join(completed.argv[1:3])
            message = f"container engine {self.program!r} answers {words} with what itb cannot read{why}: {text}"
            return TestbedError(message, hint="itb doctor looks at the engine", evidence=completed.output)

        def answer_of(pairs: list[tuple[str, Any]]) -> _Answer:
            answer = _Answer(pairs)
            answer.error_of = error_of
            return answer

        decoder = json.JSONDecoder(object_pairs_hook=answer_of)
        objects: list[Any] = []
        text = completed.stdout.strip()
        try:
            while text:
                value, end = decoder.raw_decode(text)
                objects += value if isinstance(value, list) else [] if value is None else [value]
                text = text[end:].lstrip()
        except (ValueError, RecursionError):
            raise error_of() from None
        if not all(isinstance(item, _Answer) for item in objects) or count not in (None, len(objects)):
            raise error_of()
        return objects

    @functools.cached_property
    def uninterruptible(self) -> Engine:
        """Return the same engine, whose calls ignore interruptions: these must not keep a cleanup from running."""
        runner = copy.copy(self.runner)
        runner.stop = Stop()
        engine = Engine(runner, self.program, env=self.env)
        engine._unresponsive = self._unresponsive
        return engine

    def exec_request(
        self, container: str, request: Request, *, interactive: bool = False, tty: bool = False
    ) -> Request:
        """Return the request to the engine that runs a request's command in a container.

        A variable that holds a secret is passed by its name: the engine finds the value in its own environment.
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

    def run_beside(self, container: str, image: str, request: Request, *, labels: Mapping[str, str]) -> Completed:
        """Run a command in a new container of ``image`` that sees a container's processes; remove it afterwards.

        The command finds the other's file system at /proc/1/root.  The other's
        processes cannot touch the command: they lack a capability that it has.
        """
        options = ["run", "--rm", "--interactive", "--network", "none", "--pid", f"container:{container}"]
        options += ["--cap-add", "SYS_PTRACE", *naming.options(labels)]
        return self.run(replace(request, argv=[*options, image, *request.argv]))

    def image_id(self, reference: str) -> str:
        """Return the id of a local image; empty if there is none."""
        answer = self.run(Request(["image", "inspect", "--format", "{{.Id}}", reference], check=False))
        return answer.stdout.strip().removeprefix("sha256:") if answer.ok else ""

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

    def create_network(self, name: str, labels: Mapping[str, str]) -> str:
        """Create a bridge network and return its subnet (CIDR), which the engine chooses."""
        self.call("network", "create", *naming.options(labels), name)
        if subnet := _subnet(self.query("network", "inspect", name, count=1)[0]):
            return subnet
        raise TestbedError(f"network {name}: the engine gave it no IPv4 subnet")

    def subnet(self, network: str) -> str:
        """Return the subnet (CIDR) of a network; empty if there is none."""
        answer = self.run(Request(["network", "inspect", network], check=False))
        return next(filter(None, map(_subnet, self.parse_answer(answer))), "") if answer.ok else ""

    def containers(self, filters: Mapping[str, str]) -> list[dict[str, Any]]:
        """List the containers, stopped ones too, that have all these labels (empty value: any)."""
        return self._list("ps", "--all", filters=filters)

    def labelled(self, kind: str, filters: Mapping[str, str]) -> list[str]:
        """Return the names of the networks or volumes that have all these labels."""
        return [str(item.get("Name") or item.get("name")) for item in self.listing(kind, filters)]

    def listing(self, kind: str, filters: Mapping[str, str]) -> list[dict[str, Any]]:
        """Return the engine's descriptions of its networks or volumes that have all these labels."""
        return self._list(kind, "ls", filters=filters)

    def _list(self, *argv: str, filters: Mapping[str, str]) -> list[dict[str, Any]]:
        if not self.is_podman:
            wanted = [f"label={key}={value}" if value else f"label={key}" for key, value in filters.items()]
            return self.query(*argv, *_each("--filter", wanted), "--format", "{{json .}}")
        # podman takes a filter for comma-separated values with quotes, and several labels of a
        # volume for "any of them" (4.3).  What is listed may be removed, so values are compared here.
        wanted = [f"label={key}" for key in filters]
        items = self.query(*argv, *_each("--filter", wanted), "--format", "json")
        return [item for item in items if _has_labels(labels_of(item), filters)]

    def remove_run(self, filters: Mapping[str, str]) -> list[str]:
        """Remove every container, network and volume with these labels; return what was removed.

        Another process may be removing the same: what counts is that it is
        gone.  Raises TestbedError naming what is still there.
        """
        removed = []
        names = [container_name(item) for item in self.containers(filters)]
        if names:
            no_grace = ("--time", "0") if self.is_podman else ()
            remove = ["rm", "--force", *no_grace, "--volumes", *names]
            completed = self.run(Request(remove, check=False, uninterruptible=True))
            left = [] if completed.ok else [container_name(item) for item in self.containers(filters)]
            _must_be_gone("container", left, completed)
            removed += [f"container {name}" for name in names]
        for kind in ("network", "volume"):
            names = self.labelled(kind, filters)
            if names:
                completed = self.run(Request([kind, "rm", *names], check=False, uninterruptible=True))
                _must_be_gone(kind, [] if completed.ok else self.labelled(kind, filters), completed)
                removed += [f"{kind} {name}" for name in names]
        return removed


def _transient_trouble(completed: Completed) -> str:
    """Return the trouble of an engine that another try may cure, such as contention; empty for any other end."""
    match = None if completed.ok or completed.timed_out else retry.ENGINE.search(completed.stderr)
    return f"{completed.argv[1]}: {completed.reason}" if match else ""


def _subnet(network: Mapping[str, Any]) -> str:
    """Return the IPv4 subnet of a network in either engine's words; empty if it has none."""
    subnets = network.get("subnets") or network.get("IPAM", {}).get("Config") or []
    addresses = (str(subnet.get("subnet") or subnet.get("Subnet")) for subnet in subnets)
    return next((address for address in addresses if ":" not in address), "")


def _is_secret(value: str) -> bool:
    return redact(value) != value


def _must_be_gone(kind: str, left: Sequence[str], completed: Completed) -> None:
    if left:
        raise TestbedError(
            f"{kind} {', '.join(left)} cannot be removed: {completed.reason}",
            hint="itb clean",
            evidence=completed.output,
        )


def container_name(item: Mapping[str, Any]) -> str:
    """Return the name of a container in either engine's listing."""
    names = item.get("Names") or item.get("Name") or ""
    return str(names[0] if isinstance(names, list) else names).lstrip("/")


def privileges_of(details: Mapping[str, Any]) -> str:
    """Return what a container may do, in words, from the engine's description of it."""
    host = details.get("HostConfig", {})
    parts = ["PRIVILEGED"] if host.get("Privileged") else ["not privileged"]
    if (caps := details.get("EffectiveCaps")) is not None:  # podman's; docker tells differences only
        names = " ".join(sorted(str(name).removeprefix("CAP_") for name in caps))
        parts.append(f"{len(caps)} capabilities ({names})" if caps else "no capabilities")
    else:
        parts += [f"capabilities {word} {' '.join(host[key])}" for key, word in _CAPS if host.get(key)]
    if options := host.get("SecurityOpt"):
        parts.append(f"security options {' '.join(map(str, options))}")
    kinds = ("Pid", "Ipc", "UTS", "Network")
    shared = [f"{kind} namespace" for kind in kinds if host.get(f"{kind}Mode") == "host"]
    devices = [str(item.get("PathOnHost", item)) for item in host.get("Devices") or []]
    bound = [item for item in details.get("Mounts") or [] if item.get("Type") == "bind"]
    folders = [item for item in bound if item.get("RW", True) or item.get("Destination") != tools.FOLDER]
    mounts = [str(item.get("Source")) for item in folders]
    for what, items in (("the machine's ", shared), ("devices ", devices), ("the machine's folders ", mounts)):
        if items:
            parts.append(what + ", ".join(items))
    return "; ".join(parts)


def labels_of(item: Mapping[str, Any]) -> dict[str, str]:
    """Return the labels of a container, network or volume in either engine's listing."""
    labels = item.get("Labels") or item.get("labels") or {}
    if isinstance(labels, str):  # docker
        labels = dict(part.partition("=")[::2] for part in labels.split(","))
    return {str(key): str(value) for key, value in labels.items()}


def _has_labels(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(key in labels and value in ("", labels[key]) for key, value in wanted.items())


def _each(option: str, values: Sequence[str]) -> list[str]:
    return [word for value in values for word in (option, value)]


def connect(runner: Runner, program: str, cache: Path) -> Engine:
    """Return the engine of this name, with a containers.conf of itb's own where the machine needs one.

    Raises TestbedError with what to install when it is missing or unusable.
    """
    program = files.program(program)
    ownership.check(cache)  # containers.conf in it names programs, as git directories do
    if shutil.which(program) is None:
        raise TestbedError(
            f"container engine {program!r} is not installed",
            hint="install podman with the machine's package manager, or choose another with --engine; "
            "itb doctor explains",
        )
    if "/" in program:
        ownership.check(Path(program))
    engine = Engine(runner, program)
    if engine.is_podman:
        engine.env.update(podman_env(cache))
    answer = engine.run(Request(engine.info, check=False))
    if not answer.ok or (not engine.is_podman and '"ServerErrors"' in answer.stdout):
        raise TestbedError(
            f"container engine {program!r} does not answer: {answer.reason}",
            hint="itb doctor explains",
            evidence=answer.output,
        )
    engine.parse_answer(answer, count=1)
    return engine


def podman_env(cache: Path) -> dict[str, str]:
    """Return the environment podman needs here: empty, or a CONTAINERS_CONF without what the machine refuses.

    A user's own CONTAINERS_CONF is never replaced.  Source of the three
    limits: podman 4.3 on a machine without CAP_SYS_RESOURCE, with hybrid
    cgroups, without a systemd of its own.
    """
    if "CONTAINERS_CONF" in os.environ or not Path("/proc/self/status").exists():
        return {}
    containers: list[str] = []
    engine: list[str] = []
    if not may_raise_limits():
        nofile = min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], _PODMAN_NOFILE)
        nproc = min(resource.getrlimit(resource.RLIMIT_NPROC)[1], 4096)
        containers.append(f'default_ulimits = ["nofile={nofile}:{nofile}", "nproc={nproc}:{nproc}"]')
    if not Path("/sys/fs/cgroup/cgroup.controllers").exists() and shutil.which("runc"):
        engine.append('runtime = "runc"')  # crun 1.8 refuses hybrid cgroups
    if not Path("/run/systemd/system").exists():
        engine += ['cgroup_manager = "cgroupfs"', 'events_logger = "file"']
    if not containers and not engine:
        return {}
    text = "\n".join(
        ["# Made by itb for what this machine refuses.", "[containers]", *containers, "[engine]", *engine]
    )
    path = ownership.own_folder(cache) / "containers.conf"
    try:
        is_there = ownership.read(path) == f"{text}\n".encode()
    except (FileNotFoundError, UsageError):  # another user's goes
        is_there = False
    if not is_there:
        write_atomically(path, text + "\n")
    return {"CONTAINERS_CONF": str(path)}


def may_raise_limits() -> bool:
    """Return whether this process has CAP_SYS_RESOURCE."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> _CAP_SYS_RESOURCE & 1)
    return True
