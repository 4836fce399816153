"""What scripts are told of a run, made of a record."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest

from itb.config.product import OwnTests, Page, TokenDelivery, TokenPlace
from itb.config.scenario import Needs
from itb.scenario.script_context import ScriptContext

TOP = Path(__file__).resolve().parents[3]
TOKEN = TokenDelivery(role="frontend", path="/t", also=(TokenPlace(role="factory", path="/u"),))
FACTS = ScriptContext(
    run="r", product="p", product_version="1.0", platform="deb13", ce_address="ce:9619", token=TOKEN,
    hosts={"ce": "ce.x.org"}, services={"ce": ("a", "b"), "second-frontend": ("c",)},
)  # fmt: skip


def test_host_is_told_of_itself_and_the_others() -> None:
    assert FACTS.environment("factory") == {
        "ITB_RUN": "r", "ITB_ROLE": "factory", "ITB_CE_ADDRESS": "ce:9619", "ITB_PRODUCT": "p",
        "ITB_PRODUCT_VERSION": "1.0", "ITB_PLATFORM": "deb13", "ITB_HOST_CE": "ce.x.org",
        "ITB_TRACES": "/var/lib/itb/ran", "ITB_SERVICES_CE": "a b", "ITB_SERVICES_SECOND_FRONTEND": "c",
        "ITB_TOKEN_PATH": "/u", "ITB_BEARER_TOKEN_FILE": "/u", "ITB_TOKEN_ROLE": "frontend",
        "ITB_BEARER_TOKEN_FILE_FRONTEND": "/t", "ITB_BEARER_TOKEN_FILE_FACTORY": "/u",
    }  # fmt: skip
    assert "ITB_BEARER_TOKEN_FILE" not in ScriptContext().environment("ce")


def test_step_is_told_what_its_role_has() -> None:
    context = ScriptContext(
        services={"ce": ("condor",)}, packages={"ce": ("one", "two")}, requested_packages={"ce": ("all",)},
        token=TOKEN, product_environment={"KEY": "product", "ITB_SITE_ATTRIBUTE": "Site"},
        pilot_logs="/logs/*", candidate_repo="c",
    )  # fmt: skip
    env = context.step_environment("ce", {"KEY": "scenario"})
    assert (env["ITB_SERVICES"], env["ITB_PACKAGES"]) == ("condor", "one two")
    assert env["ITB_PACKAGES_CE"] == "one two"
    assert (env["ITB_INSTALL_CE"], env["ITB_PILOT_LOGS"], env["ITB_CANDIDATE_REPO"]) == ("all", "/logs/*", "c")
    assert (env["KEY"], env["ITB_SITE_ATTRIBUTE"], env["ITB_ROLE"]) == ("scenario", "Site", "ce")
    assert env["ITB_BEARER_TOKEN_FILE"] == "/t", "a role that gets no token is told of the product's"
    assert context.step_environment("factory", {})["ITB_BEARER_TOKEN_FILE"] == "/u"
    assert context.step_environment("factory", {})["ITB_SERVICES"] == ""


def test_pages_are_told_with_their_urls() -> None:
    secure = Page(role="ce", path="/x", scheme="https")
    pages = (Page(role="ce", path="/ce/"), Page(role="nowhere", path="/"), secure)
    env = dataclasses.replace(FACTS, pages=pages).step_environment("factory", {})
    assert [page["url"] for page in json.loads(env["ITB_PAGES"])] == ["http://ce.x.org/ce/", "https://ce.x.org/x"]
    assert ScriptContext().unmet_need(Needs(pages=True)).endswith("names none (pages:)")


def test_what_there_is_not_is_not_told() -> None:
    env = ScriptContext().step_environment("ce", {})
    assert not {"ITB_PREVIOUS_REPO", "ITB_PREVIOUS_VERSION", "ITB_TOKEN_DIR", "ITB_PILOT_LOGS"} & set(env)
    earlier = ScriptContext(previous_repo="itb-previous", previous_version="0.9").step_environment("ce", {})
    assert (earlier["ITB_PREVIOUS_REPO"], earlier["ITB_PREVIOUS_VERSION"]) == ("itb-previous", "0.9")


def test_the_documentation_has_every_variable_of_steps() -> None:
    """Those of the context, and those that the execution of a step adds."""
    context = dataclasses.replace(
        FACTS, packages={"ce": ()}, requested_packages={"ce": ()}, configure_scripts={"ce": "ce.sh"},
        own_tests=OwnTests(folder="tests", packages=("x",), may_lack=("y",)),
        pilot_logs="/logs/*", unchecked_files=("/usr/*",), candidate_repo="c",
        previous_repo="p", bad_tokens="/bad", pages=(Page(role="ce", path="/ce/"),),
    )  # fmt: skip
    text = (TOP / "scenarios" / "README.md").read_text()
    section = text.partition("## Environment of steps")[2].partition("\n## ")[0]
    documented = set(re.findall(r"`(ITB_[A-Z_]+(?:<ROLE>)?)`", section))
    variables = {
        re.sub("_(CE|FRONTEND|FACTORY|SECOND_FRONTEND)$", "_<ROLE>", name)
        for name in context.step_environment("ce", {})
    }
    added = "".join((TOP / "itb" / "scenario" / name).read_text() for name in ("execution.py", "step.py"))
    assert documented == variables | set(re.findall(r'"(ITB_[A-Z_]+)":', added))


def test_nobody_reads_a_variable_of_scripts_back() -> None:
    who = r"(env\w*|environment\([^)]*\))"
    back = re.compile(rf"""{who}(\[|\.get\()f?["']ITB_\w*[^]=]*[])](?!\s*=[^=])""", re.IGNORECASE)
    assert back.search('cell.product.env.get("ITB_PILOT_LOGS", "")')
    assert back.search('self._environment(step)["ITB_RESULTS"]')
    allowed = [TOP / "itb" / "scenario" / "script_context.py"]
    files = [path for path in (TOP / "itb").rglob("*.py") if path not in allowed]
    lines = {line.strip() for path in files for line in path.read_text().splitlines() if back.search(line)}
    assert {line for line in lines if "os.environ" not in line} == set()


@pytest.mark.parametrize(
    ("repo", "version", "reason"),
    [
        ("", "", "needs packages of a previous version, and there are none (--upgrade-from REF)"),
        ("", "1.1.0", "needs packages of version 1.1.0, and those could not be built or served"),
        ("itb-previous", "1.1.0", ""),
    ],
)
def test_a_previous_version_that_was_given_is_not_said_to_be_missing(repo: str, version: str, reason: str) -> None:
    context = ScriptContext(previous_repo=repo, previous_version=version)
    assert context.unmet_need(Needs(previous=True)) == reason
