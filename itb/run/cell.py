"""One cell of a run: everything that its nodes need; nothing of it changes while it runs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from itb.config.platform import Platform
from itb.config.product import Product, RoleDefinition
from itb.config.scenario import Scenario
from itb.config.settings import Settings
from itb.containers.engine import Engine
from itb.containers.host import Host
from itb.model import Commit, Notes, Record, RunTrust, Trust
from itb.process.limits import Limits
from itb.roles import CE, CE_PORT, SERVICES, WORKSPACE
from itb.rundir.checkpoints import CheckpointKey, Checkpoints
from itb.rundir.directory import RunDir
from itb.rundir.journal import Journal
from itb.rundir.values import ValueKey
from itb.scenario.script_context import ScriptContext
from itb.testbed.testbed import Testbed
from itb.testbed.topology import Topology

R = TypeVar("R", bound=Record)
_LEAST_TRUST = RunTrust(level=Trust.PR, reference=Trust.PR)


@dataclass
class OpenCheckpoint:
    """A checkpoint whose work goes on; with ``must_repeat``, a resumed run does it again though it ended."""

    must_repeat: bool = False


@dataclass(frozen=True)
class Cell:
    """A product, a platform and scenarios, with their run directory and what works on it."""

    settings: Settings
    product: Product
    platform: Platform
    scenarios: Sequence[Scenario]
    topology: Topology
    commit: Commit
    rundir: RunDir
    journal: Journal
    engine: Engine
    checkpoints: Checkpoints
    previous_commit: Commit | None = None  # the version that scenarios upgrade from
    trust: RunTrust = _LEAST_TRUST

    @functools.cached_property
    def testbed(self) -> Testbed:
        """Return the testbed, which starts and removes this run's hosts."""
        runs, state = self.rundir.path.parent, self.rundir.state
        return Testbed(
            self.engine, self.topology, run=self.rundir.id, short_id=state.short_id, runs=runs,
            has_tools=state.has_tools, host_limits=self.settings.host_limits,
        )  # fmt: skip

    @contextmanager
    def checkpoint(
        self, key: CheckpointKey, *, on: Sequence[str] = (), taints: Sequence[str] = ()
    ) -> Iterator[OpenCheckpoint]:
        """Record a checkpoint: it is done if the block ends and no case of its hosts went wrong.

        ``on`` are the roles whose hosts the work is done on; ``taints`` those
        whose hosts are in an unknown state if it is cut off or fails.
        """
        roles = {*on, *taints}
        if roles - set(self.testbed.containers):
            self.testbed.find_running_roles()
        containers, before = dict.fromkeys(roles, "") | self.testbed.containers, len(self.journal.cases)
        checkpoint = self.checkpoints.begin(key, {role: containers[role] for role in roles}, taints=taints)
        open_checkpoint = OpenCheckpoint()
        yield open_checkpoint
        has_failed = any(case.is_bad and case.role in roles for case in self.journal.cases[before:])
        if not (has_failed or open_checkpoint.must_repeat):
            # Hosts that it taints need not be there for its value to be current.
            hosts = {role: containers[role] for role in on}
            self.checkpoints.mark_done(checkpoint.model_copy(update={"hosts": hosts}))

    def value_once(
        self,
        key: CheckpointKey,
        value_key: ValueKey[R],
        work: Callable[[], R],
        *,
        on: Sequence[str] = (),
        taints: Sequence[str] = (),
        is_current: Callable[[R], bool] = lambda _value: True,
    ) -> R:
        """Do the work of a checkpoint and save its value; if it is done and ``is_current(value)``, return that."""
        if self.checkpoints.is_done(key):
            value = self.rundir.load_if_readable(value_key)
            if value is not None and is_current(value):
                return value
        with self.checkpoint(key, on=on, taints=taints):
            value = work()
            self.rundir.save(value_key, value)
        return value

    def do_once(
        self, key: CheckpointKey, work: Callable[[], object], *, on: Sequence[str] = (), taints: Sequence[str] = ()
    ) -> None:
        """Do the work of a checkpoint that has no value, unless it is done."""
        if not self.checkpoints.is_done(key):
            with self.checkpoint(key, on=on, taints=taints):
                work()

    @property
    def limits(self) -> Limits:
        """Return the time limits of the run, in seconds by name."""
        return self.engine.runner.limits

    @property
    def roles(self) -> dict[str, RoleDefinition]:
        """Return the product's roles by name."""
        return self.product.roles

    @property
    def has_ce(self) -> bool:
        """Return whether the testbed has a Compute Entrypoint."""
        return CE in self.topology.hosts

    @property
    def testbed_roles(self) -> list[str]:
        """Return the roles of the bare hosts in the order of the testbed's file.

        An optional role is among them only if the product or a scenario uses it.
        """
        used = {*self.roles, *(role for scenario in self.scenarios for role in scenario.roles)}
        return [
            role
            for role in self.topology.hosts
            if role not in (SERVICES, WORKSPACE) and (role not in self.topology.optional or role in used)
        ]

    def host(self, role: str) -> Host:
        """Return the handle of a role's host."""
        return self.testbed.host(role)

    @property
    def notes(self) -> Notes:
        """Return the texts about product and platform for reports."""
        return Notes(
            product_title=self.product.title,
            platform_title=self.platform.title,
            platform_note=self.platform.note,
        )

    @property
    def ce_address(self) -> str:
        """Return the CE's host and port, which are also the audience of its tokens; empty without a CE."""
        return f"{self.topology.hosts[CE]}:{CE_PORT}" if self.has_ce else ""

    @property
    def script_context(self) -> ScriptContext:
        """Return the values that scripts on hosts get in their environment before anything is installed."""
        return ScriptContext(
            run=self.rundir.id,
            product=self.product.name,
            product_version=self.commit.version,
            platform=self.platform.name,
            ce_address=self.ce_address,
            hosts=self.topology.hosts,
            services=self.services,
            token=self.product.token,
        )

    @property
    def logs(self) -> dict[str, Sequence[str]]:
        """Return the globs of logs by role, with those that the product has on hosts which are not its own."""
        globs: dict[str, Sequence[str]] = {role: definition.logs for role, definition in self.roles.items()}
        globs[CE] = self.platform.ce.logs
        return {role: (*globs.get(role, ()), *self.product.evidence.get(role, ())) for role in self.testbed_roles}

    @property
    def services(self) -> dict[str, Sequence[str]]:
        """Return the units that must be up, in the order they are started, by role."""
        units: dict[str, Sequence[str]] = {role: definition.services for role, definition in self.roles.items()}
        return {**units, CE: self.platform.ce.services} if self.has_ce else units
