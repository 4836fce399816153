"""Making images from a platform's stages: containers in which scripts run, committed as they end.

A platform is built with ``run``, ``exec`` and ``commit`` alone, which every
engine has.  All containers of a build share one volume at /mnt: the
definition's files, what was resolved, and whatever stages leave to each other.

Everything a build creates carries a label with the path of the lock file its
process holds, so that the leftovers of a build that was killed can be told
from a build that is going on; images another one, since what runs from them
would inherit the first.
"""

from __future__ import annotations

import contextvars
import os
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from itb.config.platform import Platform
from itb.containers import naming
from itb.containers.engine import Engine, labels_of
from itb.containers.host import Host
from itb.containers.naming import ImageLabels
from itb.data import shipped
from itb.errors import TestbedError
from itb.process import retry
from itb.process.request import Request
from itb.process.result import Completed
from itb.util import filelock
from itb.util.filelock import user_lock

INIT = "/usr/lib/systemd/systemd"
_PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")

REFRESH_HOURS = "refresh_hours"  # the setting that is no part of what images are made from
FINAL = ("bare", "build", "services")  # the stages a run is made of; every platform has them

Note = Callable[[str], None]


class _Abandoned(TestbedError):
    """A stage was not run because another one failed."""


def lock_file(name: str) -> Path:
    """Return the lock of a platform: one for all of a user's caches, as there is one engine's store."""
    return user_lock(f"platform-{name}")


def reference(name: str, kind: str, key: str) -> str:
    """Name of an image in the engine's store."""
    return f"localhost/itb/{name}-{kind}:{key}"


def ingredients(platform: Platform) -> list[Path]:
    """Folders a platform's scripts come from, general ones first."""
    shared = [platform.folder.parent / platform.shared] if platform.shared else []
    return [*shared, platform.folder]


def remove_leftovers(engine: Engine, *, own: Path | None = None) -> list[str]:
    """Remove what builds left behind whose process is gone; ``own`` is a lock the caller holds itself."""
    files = set()
    for item in [*engine.containers(naming.build_labels()), *engine.listing("volume", naming.build_labels())]:
        files.add(naming.lock_of(labels_of(item)))
    gone = []
    for lock in sorted(files - {""}):
        # Held meanwhile, so that no build begins whose things would go too.
        with filelock.hold_if_free(Path(lock)) as free:
            if free or lock == str(own):
                gone += engine.remove_run(naming.build_labels(lock))
    return gone


@dataclass
class Workshop:
    """One build of a platform: its volume, its containers and the images committed so far.

    ``settings`` reach the scripts as ITB_<NAME>; ``logs`` is the folder of the
    stages' whole output; ``lock`` the lock file the process holds.
    """

    platform: Platform
    engine: Engine
    settings: Mapping[str, str]
    logs: Path
    lock: Path
    note: Note
    labels: ImageLabels = field(default_factory=ImageLabels)
    images: dict[str, str] = field(default_factory=dict)
    _id: str = field(default_factory=lambda: secrets.token_hex(4))
    _failed: threading.Event = field(default_factory=threading.Event)

    @property
    def name(self) -> str:
        """Prefix of everything this build creates."""
        return naming.prefix_of(self.platform.name, self._id)

    @contextmanager
    def open(self, base: str) -> Iterator[None]:
        """Make the volume and put the definition there; remove all containers and the volume in the end."""
        self.images["base"] = base
        try:
            self.engine.call("volume", "create", *naming.options(naming.build_labels(self.lock)), self.name)
            self._furnish()
            yield
        finally:
            self.engine.uninterruptible.remove_run(naming.build_labels(self.lock))

    def _furnish(self) -> None:
        with self.container("furnish", self.images["base"]) as host:
            for folder in ingredients(self.platform):
                host.put_tree(folder, "/mnt/definition")
            if self.platform.converter:
                host.put_tree(shipped.converter(), "/mnt/debtorpm")

    @contextmanager
    def container(self, stage: str, image: str) -> Iterator[Host]:
        """Start a container of an image with the volume at /mnt; remove it in the end."""
        name = f"{self.name}-{stage}"
        # The network of the machine itself: a build needs names and a mirror, not isolation.
        self.engine.call(
            *("run", "--detach", "--name", name, *naming.options(naming.build_labels(self.lock))),
            *("--network", "host"),
            *("--volume", f"{self.name}:/mnt", "--entrypoint", "", image, "sleep", "infinity"),
        )
        try:
            yield Host(self.engine, name, f"{self.platform.name}-{stage}")
        finally:
            quick = ("--time", "0") if self.engine.is_podman else ()
            self.engine.uninterruptible.run(Request(["rm", "--force", *quick, name], check=False, spare=True))

    def resolve(self) -> str:
        """Run the platform's resolve script on the base; return what it printed and leave it to the stages."""
        if not self.platform.resolve:
            return ""
        self.note("resolve: reading the mirror's index")

        def leave(host: Host, found: str) -> None:
            host.run(Request(["tee", "/mnt/resolved"], input=found.encode()))

        found = self._run("resolve", "base", self.platform.resolve, then=leave)
        if not found.strip():
            raise TestbedError(f"platform {self.platform.name}: {self.platform.resolve} printed no package")
        return found

    def build(self) -> None:
        """Run every stage, each as soon as what it needs is there; fill ``images`` with image ids."""
        order = self._order()
        futures: dict[str, Future[None]] = {}
        with ThreadPoolExecutor(max_workers=len(order)) as pool:
            for stage in order:
                needs = [futures[need] for need in self._needs(stage)]
                # In this thread's context: what is tried again belongs to the case that goes on here.
                context = contextvars.copy_context()
                futures[stage] = pool.submit(context.run, self._run_stage, stage, needs)
        errors = [error for future in futures.values() if (error := future.exception())]
        # A stage that never ran because of another one says so only if nothing better is known.
        errors.sort(key=lambda error: isinstance(error, _Abandoned))
        if errors:
            self._discard()
            raise errors[0]

    def _discard(self) -> None:
        """Remove the images of a build that failed: nothing starts from them any more."""
        made = [image for stage, image in self.images.items() if stage != "base"]
        for image in reversed(made):  # none goes before what was made from it
            self.engine.uninterruptible.run(Request(["rmi", image], check=False, spare=True))

    def _needs(self, stage: str) -> list[str]:
        definition = self.platform.stages[stage]
        return [need for need in (definition.from_, *definition.after) if need != "base"]

    def _order(self) -> list[str]:
        """Stages such that each comes after those it needs; TestbedError if that cannot be."""
        order: list[str] = []
        waiting = dict.fromkeys(self.platform.stages)
        while waiting:
            ready = [stage for stage in waiting if all(need in order for need in self._needs(stage))]
            if not ready:
                raise TestbedError(
                    f"platform {self.platform.name}: stages wait for each other: {', '.join(waiting)}"
                )
            for stage in ready:
                order.append(stage)
                del waiting[stage]
        return order

    def _run_stage(self, stage: str, needs: list[Future[None]]) -> None:
        try:
            for need in needs:
                need.result()
            if self._failed.is_set():
                raise _Abandoned(f"stage {stage}: another stage failed")
            self._make(stage)
        except BaseException:
            self._failed.set()
            raise

    def _make(self, stage: str) -> None:
        definition = self.platform.stages[stage]
        wanted = stage in FINAL or any(stage == other.from_ for other in self.platform.stages.values())

        def save(host: Host, _: str) -> None:
            self.note(f"{stage}: saving the image")
            self.images[stage] = self._commit(host.container, stage)

        self._run(stage, definition.from_, definition.script, then=save if wanted else None)

    def _run(self, stage: str, image: str, script: str, *, then: Callable[[Host, str], None] | None = None) -> str:
        """Run a script in a container of an image, then ``then`` with the host and the output; return the output.

        A try after a failed one gets a container of its own: what is half done is not built upon.
        """
        log = self.logs / f"{stage}.log"
        log.unlink(missing_ok=True)

        def attempt() -> Completed:
            with self.container(stage, self.images[image]) as host:
                self.note(f"{stage}: {script}")
                done = self._script(host, stage, script, log)
                if done.ok and then:
                    then(host, done.stdout)
                return done

        done = self.persist(stage, attempt)
        if not done.ok:
            raise TestbedError(
                f"host {self.platform.name}-{stage}: {script}: {done.reason}", evidence=done.output, log=log
            )
        return done.stdout

    def persist(self, what: str, work: Callable[[], Completed]) -> Completed:
        """Do some work again while passing trouble of a network, a mirror or a registry keeps it from working."""

        def cause_of(done: Completed) -> str:
            # What had all of its time is not given as much once more.
            cause = "" if done.ok or done.timed_out else retry.download(done.output)
            if cause:
                self.note(f"{what}: trying again after: {cause}")
            return f"{what}: {cause}" if cause else ""

        return self.engine.runner.again(work, cause_of)

    def _script(self, host: Host, stage: str, script: str, log: Path) -> Completed:
        env = {f"ITB_{name.upper()}": value for name, value in self.settings.items()}
        env |= {name: os.environ[name] for name in _PROXIES if name in os.environ}
        return host.run(Request(
            ["bash", f"/mnt/definition/{script}"],
            env=env,
            timeout=self.engine.runner.limits("image-stage"),
            log=log,
            on_line=lambda line: self.note(f"{stage}: {line}"),
            check=False,
        ))

    def _commit(self, container: str, stage: str) -> str:
        # Labels of the container would go on to every container of the image: the build's is emptied.
        labels = replace(self.labels, platform=self.platform.name, stage=stage, builder=str(self.lock)).labels
        changes = [f'LABEL {key}="{value}"' for key, value in {**naming.build_labels(), **labels}.items()]
        changes += [f'CMD ["{INIT}"]', "STOPSIGNAL SIGRTMIN+3"]
        options = [part for change in changes for part in ("--change", change)]
        limit = self.engine.runner.limits("image-save")
        made = self.engine.run(Request(["commit", *options, container], timeout=limit))
        said, stop = made.stdout.split(), self.engine.runner.stop
        if not said and stop.event.is_set():
            raise stop.error(made)  # podman ends with status 0 when it is told to end (4.3): that is no success
        if not said:
            raise TestbedError(f"image of stage {stage}: the engine did not say its name", evidence=made.output)
        return said[-1].removeprefix("sha256:")
