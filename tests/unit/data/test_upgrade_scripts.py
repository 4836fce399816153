"""What the packages' own scripts did in an operation, and why dnf refused: read from their text."""

from __future__ import annotations

import pytest

from itb.data import shipped
from tests.unit.data.scripts import load

SCENARIOS = shipped.folder("scenarios")
scripts = load(SCENARIOS / "lib" / "package_scripts.py")
dnf_log = load(SCENARIOS / "lib" / "dnf_log.py")
MACRO = """
if [ $1 -eq 0 ] && [ -x /usr/bin/systemctl ]; then
    # Package removal, not upgrade
    if [ -d /run/systemd/system ]; then
        systemctl --no-reload disable --now pilot.service >/dev/null 2>&1 || :
    fi
fi
"""


@pytest.mark.parametrize(
    ("script", "number", "run"),
    [
        (MACRO, 1, []),
        (MACRO, 0, ["systemctl --no-reload disable --now pilot.service >/dev/null 2>&1 || :"]),
        ("if [ $1 -gt 1 ]; then systemctl stop x; fi", 2, ["systemctl stop x"]),
        ("if [ $1 -gt 1 ]; then systemctl stop x; fi", 1, []),
        ('if [ "$1" = 0 ]; then a; else b; fi', 1, ["b"]),
        ('if [ "$1" = 0 ]; then\n  a\nelse\n  b\nfi\nc', 0, ["a", "c"]),
        ('if [ "${1}" == "1" ]; then a; elif [ $1 -eq 2 ]; then b; fi', 2, ["b"]),
        ("[ $1 -gt 1 ] && a", 1, []),
        ("[ $1 -gt 0 ] || a", 0, ["[ $1 -gt 0 ] || a"]),
        ("test $1 -ge 1 && exit 0\na", 1, []),
        ("# systemctl stop x\na \\\n  b", 1, ["a    b"]),
        ("if [ -e /x ]; then a; else b; fi", 1, ["a", "b"]),
    ],
)
def test_statements_that_are_run(script: str, number: int, run: list[str]) -> None:
    assert [statement for statement, _ in scripts.statements(script, number)] == run


def recorded(nevra: str, **texts: str) -> dict[str, str]:
    kinds = ("pretrans", "pre", "post", "posttrans", "preun", "postun")
    return {**dict.fromkeys(kinds, ""), "nevra": nevra, **texts}


def test_blame_names_the_script_and_not_what_it_does_elsewhere() -> None:
    old = {"p": recorded("p-1", preun=MACRO)}
    new = {"p": recorded("p-2", post="systemctl try-restart pilot.service\nsystemctl disable other.service")}
    ran = scripts.run_in(old, new)
    assert scripts.blame(ran, scripts.STOPS, "pilot", "pilot.service") == ""
    assert scripts.blame(ran, scripts.STOPS, "other", "other.service") == (
        "%post of p-2: systemctl disable other.service"
    )
    assert scripts.blame(ran, scripts.RESTARTS, "pilot.service").startswith("%post of p-2")
    loop = {"p": recorded("p-2", post='for unit in a b; do systemctl stop "$unit"; done')}
    assert 'systemctl stop "$unit"' in scripts.blame(scripts.run_in(old, loop), scripts.STOPS, "a", "a.service")


def test_restart_enables_nothing() -> None:
    before = {"p": recorded("p-1", postun="systemd-update-helper mark-restart-system-units pilot.service")}
    ran = scripts.run_in(before, {"p": recorded("p-2", posttrans="systemctl enable pilot.service")})
    named = "%posttrans of p-2: systemctl enable pilot.service"
    assert scripts.blame(ran, scripts.ENABLES, "pilot.service") == named
    ran = scripts.run_in(before, {"p": recorded("p-2")})
    assert not scripts.blame(ran, scripts.ENABLES, "pilot.service")
    assert scripts.blame(ran, scripts.STARTS, "pilot.service").startswith("%postun of p-1")


def test_trigger_is_blamed_for_what_it_names() -> None:
    new = recorded("p-2") | {"trigger": "rm -rf /var/log/pilot/*\n"}
    ran = scripts.run_in({"p": recorded("p-1")}, {"p": new})
    assert scripts.blame(ran, scripts.LOSES_DATA, "/var/log/pilot") == "%trigger of p-2: rm -rf /var/log/pilot/*"
    assert not scripts.blame(ran, scripts.LOSES_DATA, "/var/log/other")
    assert not scripts.blame(ran, scripts.LOSES_DATA, "/var/log"), "what is done to another folder there"


def test_user_that_is_gone_was_removed_and_not_put_into_a_group() -> None:
    """As GlideinWMS' %pre does with its users in every upgrade."""
    new = recorded("p-2", pre="usermod --append --groups pilot pilot", postun="userdel --force pilot")
    ran = scripts.run_in({"p": new}, {"p": new})
    assert scripts.blame(ran, scripts.LOSES_USERS, "pilot") == "%postun of p-2: userdel --force pilot"
    assert scripts.blame(ran, scripts.CHANGES_USERS, "pilot").startswith("%postun of p-2")


def test_what_other_tests_decide_is_not_certain() -> None:
    script = "if [ $1 -ge 1 ] && [ -d /run ]; then\na\nif [ -e /x ]; then\nb\nfi\nfi"
    assert list(scripts.statements(script, 1)) == [("a", True), ("b", False)]


def test_what_a_removal_and_a_reinstallation_run() -> None:
    here = {"p": recorded("p-1", post="installed", preun=MACRO, postun="[ $1 -ge 1 ] && again")}
    assert [item[2] for item in scripts.run_in(here, here)] == ["installed", "[ $1 -ge 1 ] && again"]
    assert [item[0] for item in scripts.run_in(here, {})] == ["%preun"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "Error: \n Problem: conflicting requests\n  - package l-1 from c obsoletes h < 2 provided by h-1\n",
            "package l-1 from c obsoletes h < 2 provided by h-1",
        ),
        (
            "Error: \n Problem 1: package f-1 requires l = 1, but none of the providers can be installed\n"
            "  - conflicting requests\n  - nothing provides m needed by l-1\n",
            "nothing provides m needed by l-1",
        ),
        (" Problem: cannot install the best update\n  - package a conflicts with b provided by b-1\n",
         "package a conflicts with b provided by b-1"),
        ("Error: Transaction test error:\n  file /x from install of a-1 conflicts with file from package b-1\n",
         "file /x from install of a-1 conflicts with file from package b-1"),
        ("Complete!\n", ""),
    ],
)  # fmt: skip
def test_why_dnf_refused(text: str, reason: str) -> None:
    assert dnf_log.refused(text) == reason


def test_a_script_that_failed_says_what_it_printed() -> None:
    text = (
        "  Erasing          : a-1.noarch   1/1 \nno such thing\n"
        "error: %preun(a-1.noarch) scriptlet failed, exit status 3\n\nError in PREUN scriptlet in rpm package a\n"
    )
    assert [dnf_log.describe(item) for item in dnf_log.scriptlets(text)] == [
        "%preun of a-1.noarch failed, exit status 3: no such thing"
    ]


@pytest.mark.parametrize(
    "name",
    ["lib/version.sh", "lib/dnf_operation.py", "skew/upgrade.sh", "upgrade/install.sh", "own-tests/install.sh"],
)
def test_packages_stay_in_the_cache_of_dnf(name: str) -> None:
    """By them an inspection from outside knows whose a file is."""
    text = (shipped.folder("scenarios") / name).read_text(encoding="utf-8")
    assert text.count("--setopt=install_weak_deps=False") == text.count("--setopt=keepcache=True") > 0
