"""The values of a run that scripts on hosts get, from which their environment is made.

Code that needs such a value reads it from the record, never from the environment.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from itb.config.product import OwnTests, Page, TokenDelivery
from itb.config.scenario import Needs

TRACES = "/var/lib/itb/ran"  # folder on the CE in which jobs of scenarios leave a trace that they ran
OWN_TESTS = "/var/lib/itb/own-tests"  # folder on hosts of the product's own tests


@dataclass(frozen=True)
class ScriptContext:
    """The values of a run that scripts get.

    By role: ``hosts`` are full names, ``services`` units, ``packages`` names
    of the product's packages that are installed, ``requested_packages`` those
    that its definition asks dnf for, ``configure_scripts`` the files that
    configured them, as their hosts have them.  ``previous_repo`` is the id of
    the repository of ``previous_version``, empty if there is none of it; ``bad_tokens``
    the folder of tokens that a CE must refuse; ``pilot_logs`` a glob of the
    output of pilots that have ended; ``unchecked_files`` patterns of files that
    scenario packages does not look at; ``pages`` the product's web pages;
    ``own_tests`` its own tests, and ``has_source`` whether there is a source that
    has them; ``product_environment`` the variables that the product adds;
    ``duration`` the seconds that scenario soak lasts.
    """

    run: str = ""
    product: str = ""
    product_version: str = ""
    platform: str = ""
    ce_address: str = ""
    hosts: Mapping[str, str] = field(default_factory=dict)
    services: Mapping[str, Sequence[str]] = field(default_factory=dict)
    token: TokenDelivery | None = None

    product_environment: Mapping[str, str] = field(default_factory=dict)
    pilot_logs: str = ""
    unchecked_files: Sequence[str] = ()
    pages: Sequence[Page] = ()
    own_tests: OwnTests | None = None
    has_source: bool = True
    candidate_repo: str = ""
    packages: Mapping[str, Sequence[str]] = field(default_factory=dict)
    requested_packages: Mapping[str, Sequence[str]] = field(default_factory=dict)
    configure_scripts: Mapping[str, str] = field(default_factory=dict)
    previous_repo: str = ""
    previous_version: str = ""
    bad_tokens: str = ""
    duration: float = 300.0

    def unmet_need(self, needs: Needs) -> str:
        """Return why a scenario with these needs cannot be tried; empty if it can."""
        reasons = (
            (needs.token and not self.token, "needs a token, and the run has none"),
            (needs.previous and not self.previous_repo, self._no_previous()),
            (needs.pages and not self.pages, "needs web pages, and the product's definition names none (pages:)"),
            (
                needs.own_tests and not self.own_tests,
                "needs the product's own tests, and its definition names none (own_tests:)",
            ),
            (
                needs.own_tests and not self.has_source,
                "needs the source with the product's own tests, and published packages come without it",
            ),
        )
        if reason := next((text for is_unmet, text in reasons if is_unmet), ""):
            return reason
        restrictions = ("product", self.product, needs.products), ("platform", self.platform, needs.platforms)
        for kind, actual, allowed in restrictions:
            if allowed and actual not in allowed:
                return f"needs {kind} {' or '.join(allowed)}, this is {actual or 'unknown'}"
        return ""

    def _no_previous(self) -> str:
        if self.previous_version:
            return f"needs packages of version {self.previous_version}, and those could not be built or served"
        return "needs packages of a previous version, and there are none (--upgrade-from REF)"

    def environment(self, role: str) -> dict[str, str]:
        """Return the environment of scripts on a role's host."""
        env = {
            "ITB_RUN": self.run,
            "ITB_ROLE": role,
            "ITB_PRODUCT": self.product,
            "ITB_PRODUCT_VERSION": self.product_version,
            "ITB_PLATFORM": self.platform,
        }
        if self.ce_address:
            env["ITB_CE_ADDRESS"], env["ITB_TRACES"] = self.ce_address, TRACES
        for name, fqdn in self.hosts.items():
            env[f"ITB_HOST_{_variable(name)}"] = fqdn
        for name, services in self.services.items():
            env[f"ITB_SERVICES_{_variable(name)}"] = " ".join(services)
        if self.token:
            env["ITB_TOKEN_PATH"] = env["ITB_BEARER_TOKEN_FILE"] = self.token.path_on(role)
            env["ITB_TOKEN_ROLE"] = self.token.role
            for place in reversed(self.token.places):  # of several places of a role the first counts
                env[f"ITB_BEARER_TOKEN_FILE_{_variable(place.role)}"] = place.path
        return env

    def step_environment(self, role: str, scenario_environment: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of a scenario's steps on a role's host (scenarios/README.md)."""
        # The token's path is, on every role, that of the product's own role.
        env = {**self.environment(""), **self.product_environment}
        for name, packages in self.packages.items():
            env[f"ITB_PACKAGES_{_variable(name)}"] = " ".join(packages)
        for name, packages in self.requested_packages.items():
            env[f"ITB_INSTALL_{_variable(name)}"] = " ".join(packages)
        for name, script in self.configure_scripts.items():
            env[f"ITB_CONFIGURE_{_variable(name)}"] = script
        optional = {
            "ITB_PILOT_LOGS": self.pilot_logs,
            "ITB_PAGES": json.dumps(self._pages()) if self.pages else "",
            "ITB_UNCHECKED_FILES": "\n".join(self.unchecked_files),
            "ITB_CANDIDATE_REPO": self.candidate_repo,
            "ITB_PREVIOUS_REPO": self.previous_repo,
            "ITB_TOKEN_DIR": self.bad_tokens,
        }
        if self.own_tests:
            optional |= {
                "ITB_OWN_TESTS": OWN_TESTS,
                "ITB_OWN_TESTS_FOLDER": self.own_tests.folder,
                "ITB_OWN_TESTS_COMMAND": self.own_tests.command,
                "ITB_OWN_TESTS_PACKAGES": " ".join(self.own_tests.packages),
                "ITB_OWN_TESTS_MAY_LACK": " ".join(self.own_tests.may_lack),
                "ITB_OWN_TESTS_USER": self.own_tests.user,
            }
        env |= {name: value for name, value in optional.items() if value}
        if self.previous_repo:
            env["ITB_PREVIOUS_VERSION"] = self.previous_version
        env["ITB_DURATION"] = f"{self.duration:g}"
        env |= scenario_environment
        env["ITB_ROLE"] = role
        env["ITB_SERVICES"] = " ".join(self.services.get(role, ()))
        env["ITB_PACKAGES"] = " ".join(self.packages.get(role, ()))
        if self.token and role in [place.role for place in self.token.places]:
            env["ITB_BEARER_TOKEN_FILE"] = self.token.path_on(role)
        return env

    def _pages(self) -> list[dict[str, object]]:
        """Return the product's web pages with their URLs; those of hosts that are not there are left out."""
        return [
            {"url": f"{page.scheme}://{self.hosts[page.role]}{page.path}", **page.model_dump(mode="json")}
            for page in self.pages
            if page.role in self.hosts
        ]


def _variable(role: str) -> str:
    return role.upper().replace("-", "_")
