"""The records of a scenario's definition, scenario.yaml."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from itb.config.command import ArgumentText, Environment
from itb.config.yaml_record import YamlRecord, exactly_one

_SERVICE = "{service}"


class Eventually(YamlRecord):
    """Poll a step until it passes."""

    within: float = Field(gt=0)
    """Seconds after which it has failed."""
    every: float = Field(default=2, gt=0)
    """Seconds between two tries."""


class KnownFailure(YamlRecord):
    """A failure that is expected for a while: it counts as a skip."""

    until: date
    """The last day, such as 2026-12-31."""
    reason: str = Field(min_length=1)
    """Why it fails, for reports."""


class IssuedToken(YamlRecord):
    """The times of a token that the run's own issuer issues, multiplied like all time limits."""

    lifetime: float | None = Field(default=None, gt=0)
    """Seconds from now on after which it ends; as long as the run's own if not given."""
    valid_in: float | None = None
    """Seconds from now on before which it is not valid, negative for the past; a minute ago if not given."""


class Step(YamlRecord):
    """One step of a scenario: a command line, a script, or an action of the engine's, on the host of a role."""

    model_config = ConfigDict(json_schema_extra=exactly_one("run", "script", "action"))

    name: str = Field(min_length=1, max_length=200)
    """What is tried, as reports show it; no two steps of a scenario have the same."""
    role: str
    """The host: a role of the testbed."""
    run: ArgumentText | None = None
    """A command line, run by bash."""
    script: ArgumentText | None = None
    """A file of the scenario's folder, or lib/NAME.sh of itb's library."""
    action: Literal["reboot", "token"] | None = None
    """What no program inside a host can do to it: a reboot, or another token in the place of the product's."""
    token: IssuedToken | None = None
    """For action token: the times of the new token."""
    user: str = Field(default="root", pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*$")
    """Who runs it."""
    env: Environment = {}
    """Environment of this step."""
    timeout: float = Field(default=120, gt=0)
    """Seconds that one try may take."""
    eventually: Eventually | None = None
    """Poll the step until it passes."""
    beside: bool = False
    """Whether it is tried at the same time as the step before it, which is on another host."""
    flaky: int = Field(default=0, ge=0, le=100)
    """How many more tries are allowed after one that failed."""
    known_failure: KnownFailure | None = None
    """A failure that is expected for a while."""
    preparation: bool = False
    """Whether it only prepares what is tried, such as a version before the candidate: what it cannot do is not
    the candidate's fault, and all that follows is skipped with the reason."""
    results: tuple[Annotated[str, Field(min_length=1, max_length=200)], ...] = ()
    """Names of results that its script lists in any case, one for each service of the role if with {service}."""

    def result_names(self, services: Mapping[str, Sequence[str]]) -> list[str]:
        """Return the names of its results on a testbed; ``services`` are units by role."""
        units = services.get(self.role, ())
        return [
            name.replace(_SERVICE, unit)
            for name in self.results
            for unit in (units if _SERVICE in name else ("",))
        ]

    @model_validator(mode="after")
    def _does_one_thing(self) -> Self:
        if sum(value is not None for value in (self.run, self.script, self.action)) != 1:
            raise ValueError("exactly one of run, script and action is expected")
        if self.token and self.action != "token":
            raise ValueError("token goes with action: token")
        if self.action and self.eventually:
            raise ValueError("an action is not repeated: eventually goes with run or script")
        if self.action == "token" and self.beside:
            raise ValueError("action token is not beside another step: all hosts may get the token")
        if self.action and self.results:
            raise ValueError("an action lists no results: they go with run or script")
        if self.preparation and self.results:
            raise ValueError("a preparation has no results: what fails of it is not the candidate's")
        if duplicate := next((name for name in self.results if self.results.count(name) > 1), None):
            raise ValueError(f"results: {duplicate!r} is named twice; reports tell them apart by name")
        return self


class Needs(YamlRecord):
    """What a scenario cannot be tried without; where a need is not met it is skipped with the reason."""

    roles: tuple[str, ...] = ()
    """Roles that scripts use besides those of the steps; one that the testbed has not is refused."""
    token: bool = False
    """A SciToken: the product has token: in its definition."""
    previous: bool = False
    """Packages of the previous version, to upgrade from."""
    pages: bool = False
    """Web pages: the product has pages: in its definition."""
    own_tests: bool = False
    """The product's own tests: the product has own_tests: in its definition, and its source is at hand."""
    products: tuple[str, ...] = ()
    """Names of the products it is for."""
    platforms: tuple[str, ...] = ()
    """Names of the platforms it is for."""


def steps_together(steps: Sequence[Step]) -> list[list[Step]]:
    """Return the steps in groups of those that are tried at the same time, in their order."""
    groups: list[list[Step]] = []
    for step in steps:
        if step.beside and groups:
            groups[-1].append(step)
        else:
            groups.append([step])
    return groups


class ScenarioFile(YamlRecord):
    """A scenario: what is tried on an installed testbed, step by step."""

    title: str
    """What the scenario shows, in one line."""
    needs: Needs = Needs()
    disturbs: bool = False
    """Whether it stops, breaks or replaces something: what logs say meanwhile is no error of the product."""
    independent: bool = False
    """Whether steps are tried though one before them failed."""
    env: Environment = {}
    """Environment of every step."""
    steps: tuple[Step, ...] = Field(min_length=1)
    """What is tried, in this order."""
    always: tuple[Step, ...] = ()
    """Steps that run however the others ended: evidence, clean-up."""

    @model_validator(mode="after")
    def _has_distinct_names(self) -> Self:
        names = [step.name for step in (*self.steps, *self.always)]
        duplicate = next((name for name in names if names.count(name) > 1), None)
        if duplicate is not None:
            raise ValueError(f"two steps are named {duplicate!r}; reports tell them apart by name")
        return self

    @model_validator(mode="after")
    def _has_hosts_for_steps_beside_others(self) -> Self:
        for steps in (self.steps, self.always):
            if steps and steps[0].beside:
                raise ValueError(f"step {steps[0].name!r}: there is no step before it that it could be beside")
            for group in steps_together(steps):
                roles = [step.role for step in group]
                if role := next((role for role in roles if roles.count(role) > 1), None):
                    names = ", ".join(repr(step.name) for step in group if step.role == role)
                    raise ValueError(f"steps {names} are both on {role}: beside: is for steps on different hosts")
                if len(group) > 1 and group[0].action == "token":
                    raise ValueError(f"step {group[1].name!r}: nothing is beside an action token")
        return self


class Scenario(ScenarioFile):
    """A scenario as it was read: what ``scenario.yaml`` says, its name and its folder."""

    name: str = ""
    folder: Path = Path()

    @property
    def roles(self) -> tuple[str, ...]:
        """Return every role the scenario uses, in order of appearance."""
        used = (step.role for step in (*self.steps, *self.always))
        return tuple(dict.fromkeys([*self.needs.roles, *used]))

    @property
    def scripts(self) -> tuple[str, ...]:
        """Return every script the steps name, once, in order of appearance."""
        return tuple(dict.fromkeys(step.script for step in (*self.steps, *self.always) if step.script))
