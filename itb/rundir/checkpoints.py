"""What of a run is done, and on which containers: a resumed run reads it and repeats none of it.

Every piece of work writes that it begins and, once its value is in
``state/``, that it is done.  A piece stands in a resumed run if it is done
and the containers it was done on are still the same ones.  A host on which a
piece began that may leave it half-done (an interrupted dnf transaction) and
that never got done is not to be trusted: :meth:`Checkpoints.doubtful` names it.

What is done again, such as the installation of a role, is decided in this order:
hosts that cannot be trusted are removed (``itb/run/resume.py``), so that what was
done on them is not done any more; a command does its own kinds of work again
(``again`` of :meth:`Checkpoints.restore`, from ``itb/run/pipeline.py``); a value
that does not fit what there is now does not count (``holds`` of ``Cell.value_once``).
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pydantic import AliasChoices, Field, ValidationError

from itb.model import Record
from itb.rundir.directory import RunDir
from itb.util import files

FILE = "work.jsonl"


class CheckpointKind(StrEnum):
    """What kind of work a checkpoint is about; the value is what the run directory says."""

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
    """A piece of work: its kind and, where there are several of one kind, which one (a role, a commit)."""

    kind: CheckpointKind
    of: str = ""

    @property
    def name(self) -> str:
        """Return the name under which the run directory has it."""
        return f"{self.kind}.{self.of}" if self.of else str(self.kind)


SIGNING_KEY = CheckpointKey(CheckpointKind.SIGNING_KEY)
CE = CheckpointKey(CheckpointKind.CE)
PUBLISHED_PACKAGES = CheckpointKey(CheckpointKind.PUBLISHED_PACKAGES)
REPO = CheckpointKey(CheckpointKind.REPO)
SERVED_CHECKSUMS = CheckpointKey(CheckpointKind.REPO, "served")
USED_WORKSPACE = CheckpointKey(CheckpointKind.WORKSPACE, "used")  # the container in which something was built
PREVIOUS_REPO = CheckpointKey(CheckpointKind.REPO, "previous")
LINT = CheckpointKey(CheckpointKind.LINT)
TOKEN = CheckpointKey(CheckpointKind.TOKEN)


class CheckpointEntry(Record):
    """A piece of work that begins or, if ``done``, has ended well; ``hosts`` are container ids by role.

    ``taints`` are the roles whose hosts are left in an unknown state if it is cut off.
    """

    piece: str
    hosts: dict[str, str] = {}
    taints: tuple[str, ...] = Field((), validation_alias=AliasChoices("taints", "spoils"))  # as runs of 0.1 wrote
    done: bool = False


class Checkpoints:
    """The pieces of work of one run."""

    def __init__(self, rundir: RunDir) -> None:
        self._path = rundir.path / "state" / FILE
        self._lock = threading.Lock()
        self._done_pieces: set[str] = set()

    def begin(
        self, key: CheckpointKey, hosts: Mapping[str, str], *, taints: Sequence[str] = ()
    ) -> CheckpointEntry:
        """Write that a piece of work begins."""
        entry = CheckpointEntry(piece=key.name, hosts=dict(hosts), taints=tuple(taints))
        self._write(entry)
        return entry

    def done(self, entry: CheckpointEntry) -> None:
        """Write that a piece of work is done; its value must be in the run directory by now."""
        self._write(entry.model_copy(update={"done": True}))
        self._done_pieces.add(entry.piece)

    def _write(self, entry: CheckpointEntry) -> None:
        with self._lock:
            self._path.parent.mkdir(exist_ok=True)
            # The first byte ends a line that a crash may have cut off.
            files.append(self._path, f"\n{entry.model_dump_json()}")

    def is_done(self, key: CheckpointKey) -> bool:
        """Return whether the work was done, by this process or by an earlier attempt that it resumes."""
        return key.name in self._done_pieces

    def last(self, key: CheckpointKey) -> CheckpointEntry | None:
        """Return the last entry of a piece of work, of any attempt; None if it never began."""
        return self.entries().get(key.name)

    def holds(self, key: CheckpointKey, role: str, container: str) -> bool:
        """Return whether the work, done or not, began on this container of a role."""
        entry = self.last(key)
        return entry is not None and bool(container) and entry.hosts.get(role) == container

    def entries(self) -> dict[str, CheckpointEntry]:
        """Return the last entry of every piece of work."""
        try:
            lines = files.read(self._path).split(b"\n")
        except FileNotFoundError:
            return {}
        last_entries: dict[str, CheckpointEntry] = {}
        for line in lines:
            try:
                entry = CheckpointEntry.model_validate_json(line)
            except ValidationError:
                continue
            last_entries[entry.piece] = entry
        return last_entries

    def doubtful(self, running: Mapping[str, str]) -> dict[str, str]:
        """Return the roles whose running host (container ids by role) cannot be trusted: role -> piece."""
        return {
            role: entry.piece
            for entry in self.entries().values()
            for role in entry.taints
            if not entry.done and role in running and running[role] == entry.hosts.get(role)
        }

    def restore(self, running: Mapping[str, str], *, again: Collection[CheckpointKind] = ()) -> set[str]:
        """Restore the work that was done on containers that still run; return the names of its pieces.

        Work of the kinds ``again`` is to be done again in any case.
        """
        self._done_pieces = {
            piece
            for piece, entry in self.entries().items()
            if entry.done
            and piece.partition(".")[0] not in again
            and all(running.get(role) == container for role, container in entry.hosts.items())
        }
        return self._done_pieces
