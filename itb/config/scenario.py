"""The records of a scenario's definition, scenario.yaml."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from itb.model import Environment, Record, Word


class Eventually(Record):
    """Poll a step until it passes: seconds in all, seconds between tries."""

    within: float = Field(gt=0)
    every: float = Field(default=2, gt=0)


class KnownFailure(Record):
    """A failure that is expected up to and including a date."""

    until: date
    reason: str = Field(min_length=1)


class Step(Record):
    """One step of a scenario: a command line, a script or an action of the engine's on a role.

    ``timeout`` is in seconds, for one try; ``flaky`` the number of tries
    allowed after the first; ``action`` what no program inside a host can do
    to it.
    """

    name: str = Field(min_length=1, max_length=200)
    role: str
    run: Word | None = None
    script: Word | None = None
    action: Literal["reboot"] | None = None
    user: str = Field(default="root", pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*$")
    env: Environment = {}
    timeout: float = Field(default=120, gt=0)
    eventually: Eventually | None = None
    flaky: int = Field(default=0, ge=0, le=100)
    known_failure: KnownFailure | None = None

    @model_validator(mode="after")
    def _does_one_thing(self) -> Self:
        if sum(value is not None for value in (self.run, self.script, self.action)) != 1:
            raise ValueError("exactly one of run, script and action is expected")
        if self.action and self.eventually:
            raise ValueError("an action is not repeated: eventually goes with run or script")
        return self


class Needs(Record):
    """What a scenario needs to be tried at all; unmet needs are skips.

    ``previous``: packages of an earlier version, to upgrade from.
    """

    roles: tuple[str, ...] = ()
    token: bool = False
    previous: bool = False
    products: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()


class Scenario(Record):
    """``scenario.yaml``; ``always`` steps run however the steps ended.

    A step is not tried after one that failed, unless they are
    ``independent`` of each other.
    """

    title: str
    needs: Needs = Needs()
    independent: bool = False
    env: Environment = {}
    steps: tuple[Step, ...] = Field(min_length=1)
    always: tuple[Step, ...] = ()
    name: str = ""
    folder: Path = Path()

    @model_validator(mode="after")
    def _has_distinct_names(self) -> Self:
        names = [step.name for step in (*self.steps, *self.always)]
        duplicate = next((name for name in names if names.count(name) > 1), None)
        if duplicate is not None:
            raise ValueError(f"two steps are named {duplicate!r}; reports tell them apart by name")
        return self

    @property
    def roles(self) -> tuple[str, ...]:
        """Return every role the scenario uses, in order of appearance."""
        used = (step.role for step in (*self.steps, *self.always))
        return tuple(dict.fromkeys([*self.needs.roles, *used]))

    @property
    def scripts(self) -> tuple[str, ...]:
        """Return every script the steps name, once, in order of appearance."""
        return tuple(dict.fromkeys(step.script for step in (*self.steps, *self.always) if step.script))
