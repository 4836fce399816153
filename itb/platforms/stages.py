"""Making a platform's images: each stage runs a script in a container, which is then committed as an image.

A build uses only ``run``, ``exec`` and ``commit``, which every engine has.
All containers of a build share one volume at /mnt: it holds the definition's
files, the resolved packages, and files that one stage leaves for another.

The label of a build's containers and volume is the path of the lock file that
its process holds: so the leftovers of a killed build can be told from a build
that is in progress.  Images have another label, since containers inherit the
labels of their image.
"""

from __future__ import annotations

import contextvars
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from itb.config.platform import BASE, CE_STAGE, FINAL_STAGES, Platform
from itb.containers import naming
from itb.containers.description import labels_of
from itb.containers.engine import Engine
from itb.containers.host import Host
from itb.containers.image_store import ImageStore
from itb.containers.naming import ImageLabels
from itb.data import shipped
from itb.errors import TestbedError
from itb.platforms.mirror import download_error
from itb.process import downloads
from itb.process.request import Request
from itb.process.result import Completed
from itb.util import filelock, proxies
from itb.util.filelock import user_lock

INIT = "/usr/lib/systemd/systemd"

REFRESH_HOURS = "refresh_hours"  # the one setting that does not change the images

Note = Callable[[str], None]


class _SkippedStageError(TestbedError):
    """A stage was skipped because another one failed."""


def lock_file(name: str) -> Path:
    """Return the lock file of a platform: one for all caches of a user, since they share one image store."""
    return user_lock(f"platform-{name}")


def remove_leftovers(engine: Engine, *, own: Path | None = None) -> list[str]:
    """Remove the containers and volumes of builds whose process has ended; return their names.

    ``own`` is a lock file that the caller itself holds.
    """
    locks = set()
    labels = naming.build_labels()
    for resource in (*engine.containers(labels), *engine.volumes(labels)):
        locks.add(naming.lock_of(labels_of(resource)))
    removed = []
    for lock in sorted(locks - {""}):
        # While the lock is held, no new build can begin, whose containers would be removed too.
        with filelock.hold_if_free(Path(lock), is_checked=False) as free:
            if free or lock == str(own):
                removed += engine.remove_labelled(naming.build_labels(lock))
    return removed


@dataclass
class ImageBuild:
    """One build of a platform's images: its volume, its containers and the images committed so far.

    Scripts find ``settings`` as ITB_<NAME>; ``logs`` is the folder for the
    output of the stages; ``lock`` is the lock file that the process holds.
    """

    platform: Platform
    engine: Engine
    settings: Mapping[str, str]
    logs: Path
    lock: Path
    note: Note
    labels: ImageLabels = field(default_factory=ImageLabels)
    images: dict[str, str] = field(default_factory=dict)
    _build_id: str = field(default_factory=lambda: secrets.token_hex(4))
    _stage_failed: threading.Event = field(default_factory=threading.Event)

    @property
    def name(self) -> str:
        """Return the prefix of the names of everything this build creates."""
        return naming.prefix_of(self.platform.name, self._build_id)

    @contextmanager
    def open(self, base: str) -> Iterator[None]:
        """Create the volume with the definition on it; remove it and all containers when the block ends."""
        self.images[BASE] = base
        try:
            self.engine.create_volume(self.name, naming.build_labels(self.lock))
            self._copy_definition()
            yield
        finally:
            self.engine.uninterruptible.remove_labelled(naming.build_labels(self.lock))

    def _copy_definition(self) -> None:
        with self.container("furnish", self.images[BASE]) as host:
            for folder in self.platform.folders:
                host.put_tree(folder, "/mnt/definition")
            if self.platform.converter:
                host.put_tree(shipped.converter(), "/mnt/debtorpm")

    @contextmanager
    def container(self, stage: str, image: str) -> Iterator[Host]:
        """Start a container of an image with the volume at /mnt; remove it when the block ends."""
        name = f"{self.name}-{stage}"
        # The machine's network: a build needs name resolution and a mirror, and no isolation.
        labels = naming.build_labels(self.lock)
        self.engine.start_idle(name, image, volume=self.name, mount="/mnt", labels=labels)
        try:
            yield Host(self.engine, name, f"{self.platform.name}-{stage}")
        finally:
            self.engine.uninterruptible.remove_containers(name, check=False)

    def resolve(self) -> str:
        """Run the platform's resolve script on the base; save and return the packages that it prints."""
        if not self.platform.resolve:
            return ""
        self.note("resolve: reading the mirror's index")

        def save_packages(host: Host, packages: str) -> None:
            host.run(Request(["tee", "/mnt/resolved"], input=packages.encode()))

        packages = self._run("resolve", BASE, self.platform.resolve, then=save_packages)
        if not packages.strip():
            raise TestbedError(f"platform {self.platform.name}: {self.platform.resolve} printed no package")
        return packages

    def run_stages(self) -> None:
        """Run every stage as soon as the stages it needs have ended; add the image ids to ``images``."""
        order = self._sort_stages()
        futures: dict[str, Future[None]] = {}
        with ThreadPoolExecutor(max_workers=len(order)) as pool:
            for stage in order:
                needs = [futures[need] for need in self._needed_stages(stage)]
                # In this thread's context, retries are counted for the case that runs in it.
                context = contextvars.copy_context()
                futures[stage] = pool.submit(context.run, self._run_stage, stage, needs)
        errors = [error for future in futures.values() if (error := future.exception())]
        # The cause comes first: a skipped stage is only a consequence.
        errors.sort(key=lambda error: isinstance(error, _SkippedStageError))
        if errors:
            self._remove_images()
            raise errors[0]

    def _remove_images(self) -> None:
        """Remove the images of a build that failed: nothing will use them."""
        images = [image for stage, image in self.images.items() if stage != BASE]
        for image in reversed(images):  # an image cannot be removed before those made from it
            ImageStore(self.engine.uninterruptible).remove(image, uninterruptible=True)

    def _needed_stages(self, stage: str) -> list[str]:
        definition = self.platform.stages[stage]
        return [need for need in (definition.from_, *definition.after) if need != BASE]

    def _sort_stages(self) -> list[str]:
        """Return the stages in an order in which each follows those it needs; TestbedError if there is none."""
        order: list[str] = []
        waiting = dict.fromkeys(self.platform.stages)
        while waiting:
            ready = [stage for stage in waiting if all(need in order for need in self._needed_stages(stage))]
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
            if self._stage_failed.is_set():
                raise _SkippedStageError(f"stage {stage}: another stage failed")
            self._run_and_save(stage)
        except BaseException:  # no other stage may begin, whatever the error: its image would be of no use
            self._stage_failed.set()
            raise

    def _run_and_save(self, stage: str) -> None:
        definition = self.platform.stages[stage]
        is_used = stage in (*FINAL_STAGES, CE_STAGE)
        keep_image = is_used or any(stage == other.from_ for other in self.platform.stages.values())

        def save(host: Host, _: str) -> None:
            self.note(f"{stage}: saving the image")
            self.images[stage] = self._commit(host.container, stage)

        self._run(stage, definition.from_, definition.script, then=save if keep_image else None)

    def _run(self, stage: str, image: str, script: str, *, then: Callable[[Host, str], None] | None = None) -> str:
        """Run a script in a container of an image; call ``then`` with host and output; return the output.

        Every attempt gets a new container, without files of the failed one.
        """
        log = self.logs / f"{stage}.log"
        log.unlink(missing_ok=True)

        def attempt() -> Completed:
            with self.container(stage, self.images[image]) as host:
                self.note(f"{stage}: {script}")
                completed = self._run_script(host, stage, script, log)
                if completed.ok and then:
                    then(host, completed.stdout)
                return completed

        completed = self.retry_while_transient(stage, attempt)
        if not completed.ok:
            message = f"host {self.platform.name}-{stage}: {script}: {completed.reason}"
            problem = download_error(self.platform.name, self.settings, completed.output, log=log)
            raise problem or completed.error(TestbedError, message)
        return completed.stdout

    def retry_while_transient(self, label: str, work: Callable[[], Completed]) -> Completed:
        """Do some work, and repeat it while it fails because of a network, mirror or registry that may recover."""

        def cause_of(completed: Completed) -> str:
            # Work that has reached its time limit would take as long again.
            cause = "" if completed.ok or completed.timed_out else downloads.find_transient_error(completed.output)
            if cause:
                self.note(f"{label}: trying again after: {cause}")
            return f"{label}: {cause}" if cause else ""

        return self.engine.runner.retry(work, cause_of)

    def _run_script(self, host: Host, stage: str, script: str, log: Path) -> Completed:
        env = {f"ITB_{name.upper()}": value for name, value in self.settings.items()}
        if stage == CE_STAGE:
            env["ITB_CE_PACKAGES"] = " ".join(self.platform.ce.packages)
        env |= proxies.variables()  # for this call only: neither the container nor the image keeps them
        return host.run(Request(
            ["bash", f"/mnt/definition/{script}"],
            env=env,
            timeout=self.engine.runner.limits("image-stage"),
            log=log,
            on_line=lambda line: self.note(f"{stage}: {line}"),
            check=False,
        ))

    def _commit(self, container: str, stage: str) -> str:
        # Containers of the image inherit the container's labels, so the build's label is emptied.
        labels = replace(self.labels, platform=self.platform.name, stage=stage, build_lock=str(self.lock)).labels
        return ImageStore(self.engine).commit(
            container,
            {**naming.build_labels(), **labels},
            command=INIT,
            stop_signal="SIGRTMIN+3",  # systemd's signal to shut down
            timeout=self.engine.runner.limits("image-save"),
        )
