"""The checkpoints of a run: which of its work is done, and on which containers; a resumed run repeats none of it.

A checkpoint is one recorded, repeatable unit of work.  A line is written when
it begins and, once its value is in ``state/``, when it is done.  In a resumed
run it is still done if the containers it was done on are the same.  A
checkpoint may leave hosts in an unknown state until it is done (an interrupted
dnf transaction): :meth:`Checkpoints.tainted_hosts` names these hosts.

What is done again, such as the installation of a role, is decided in this order:
hosts that cannot be trusted are removed (``itb/run/resume.py``), so that what was
done on them is not done any more; a command does its own kinds of work again
(``again`` of :meth:`Checkpoints.restore`, from ``itb/run/pipeline.py``); a value
that does not fit what there is now does not count (``is_current`` of ``Cell.value_once``).
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pydantic import AliasChoices, ConfigDict, Field, ValidationError

from itb.model import Record
from itb.rundir.directory import RunDir
from itb.util import files

FILE = "work.jsonl"


class CheckpointKind(StrEnum):
    """The kind of work of a checkpoint; the value is what the run directory says."""

    WORKSPACE = "workspace"
    BOOT = "boot"
    SIGNING_KEY = "key"
    CE = "ce"
    PUBLISHED_PACKAGES = "supply"  # chosen and checked where they were published
    BUILD = "build"
    REPO = "repo"
    LINT = "linted"
    INSTALLATION = "installed"
    CONFIGURATION = "configured"
    INSPECTION = "looked"
    TOKEN = "token"
    SCENARIO = "scenario"
    TESTS = "tested"


@dataclass(frozen=True)
class CheckpointKey:
    """Identifies a checkpoint: its kind of work and, where one kind has several, which one (a role, a commit)."""

    kind: CheckpointKind
    of: str = ""

    @property
    def name(self) -> str:
        """Return the checkpoint's name in the run directory."""
        return f"{self.kind}.{self.of}" if self.of else str(self.kind)


SIGNING_KEY_CREATED = CheckpointKey(CheckpointKind.SIGNING_KEY)
CE_PREPARED = CheckpointKey(CheckpointKind.CE)
PACKAGES_CHOSEN = CheckpointKey(CheckpointKind.PUBLISHED_PACKAGES)  # of those that were published
REPO_SERVED = CheckpointKey(CheckpointKind.REPO)
SERVED_CHECKSUMS = CheckpointKey(CheckpointKind.REPO, "served")
USED_WORKSPACE = CheckpointKey(CheckpointKind.WORKSPACE, "used")  # the container in which something was built
PREVIOUS_REPO_SERVED = CheckpointKey(CheckpointKind.REPO, "previous")
RPMS_LINTED = CheckpointKey(CheckpointKind.LINT)
TOKEN_DELIVERED = CheckpointKey(CheckpointKind.TOKEN)


class Checkpoint(Record):
    """A checkpoint as it is recorded: begun or, with ``done``, ended well; ``hosts`` are container ids by role.

    ``taints`` are the roles whose hosts are in an unknown state until it is done.
    """

    model_config = ConfigDict(populate_by_name=True)

    name: str = Field(alias="piece")  # the key in the file
    hosts: dict[str, str] = {}
    taints: tuple[str, ...] = Field((), validation_alias=AliasChoices("taints", "spoils"))  # as runs of 0.1 wrote
    done: bool = False


class Checkpoints:
    """The checkpoints of one run."""

    def __init__(self, rundir: RunDir) -> None:
        self._path = rundir.path / "state" / FILE
        self._lock = threading.Lock()
        self._done_names: set[str] = set()

    def begin(self, key: CheckpointKey, hosts: Mapping[str, str], *, taints: Sequence[str] = ()) -> Checkpoint:
        """Record that a checkpoint begins."""
        checkpoint = Checkpoint(name=key.name, hosts=dict(hosts), taints=tuple(taints))
        self._write(checkpoint)
        return checkpoint

    def mark_done(self, checkpoint: Checkpoint) -> None:
        """Record that a checkpoint is done; its value must be in the run directory by now."""
        self._write(checkpoint.model_copy(update={"done": True}))
        self._done_names.add(checkpoint.name)

    def _write(self, checkpoint: Checkpoint) -> None:
        with self._lock:
            self._path.parent.mkdir(exist_ok=True)
            # The first byte ends a line that a crash may have cut off.
            files.append(self._path, f"\n{checkpoint.model_dump_json(by_alias=True)}")

    def is_done(self, key: CheckpointKey) -> bool:
        """Return whether a checkpoint was done, by this process or by an earlier attempt that it resumes."""
        return key.name in self._done_names

    def last(self, key: CheckpointKey) -> Checkpoint | None:
        """Return what was recorded last of a checkpoint, by any attempt; None if it never began."""
        return self.recorded().get(key.name)

    def began_on(self, key: CheckpointKey, role: str, container: str) -> bool:
        """Return whether a checkpoint, done or not, began on this container of a role."""
        checkpoint = self.last(key)
        return checkpoint is not None and bool(container) and checkpoint.hosts.get(role) == container

    def recorded(self) -> dict[str, Checkpoint]:
        """Return what was recorded last of every checkpoint, by name; a line that cannot be read is left out."""
        try:
            lines = files.read(self._path).split(b"\n")
        except FileNotFoundError:
            return {}
        checkpoints: dict[str, Checkpoint] = {}
        for line in lines:
            try:
                checkpoint = Checkpoint.model_validate_json(line)
            except ValidationError:
                continue
            checkpoints[checkpoint.name] = checkpoint
        return checkpoints

    def tainted_hosts(self, running: Mapping[str, str]) -> dict[str, str]:
        """Return the roles whose running host (container ids by role) cannot be trusted, with its checkpoint."""
        return {
            role: checkpoint.name
            for checkpoint in self.recorded().values()
            for role in checkpoint.taints
            if not checkpoint.done and role in running and running[role] == checkpoint.hosts.get(role)
        }

    def restore(self, running: Mapping[str, str], *, again: Collection[CheckpointKind] = ()) -> set[str]:
        """Restore the checkpoints that were done on containers that still run; return their names.

        Those of the kinds ``again`` are to be done again in any case.
        """
        self._done_names = {
            name
            for name, checkpoint in self.recorded().items()
            if checkpoint.done
            and name.partition(".")[0] not in again
            and all(running.get(role) == container for role, container in checkpoint.hosts.items())
        }
        return self._done_names
