"""The summary of rpmlint's findings."""

from __future__ import annotations

from itb.repository.rpmlint import summarise

OUTPUT = """============================ rpmlint session starts ============================
rpmlint: 2.7.0
packages: 2
(none): W: unable to load spellchecking dictionary for en_US.
probe-core.noarch: E: non-executable-script /usr/share/probe/run 644 /bin/bash
probe-core.noarch: W: dangerous-command-in-%post chown
probe-libs.noarch: E: zero-length /etc/probe.conf
probe-libs.noarch: E: non-executable-script /usr/share/probe/walk 644 /bin/bash
 2 packages and 0 specfiles checked; 3 errors, 1 warnings, 0 filtered, 3 badness; has taken 0.1 s
"""


def test_findings_are_counted_and_named() -> None:
    line, listed = summarise(OUTPUT)
    assert line == "3 errors, 1 warning: non-executable-script (2), zero-length (1)"
    assert listed.splitlines() == [
        "    2 E: non-executable-script: probe-core.noarch /usr/share/probe/run 644 /bin/bash",
        "    1 E: zero-length: probe-libs.noarch /etc/probe.conf",
        "    1 W: dangerous-command-in-%post: probe-core.noarch chown",
    ]


def test_many_kinds_are_cut() -> None:
    output = "".join(f"p.noarch: E: kind-{number}\n" for number in range(7))
    assert summarise(output)[0].endswith("kind-4 (1) and 2 more kinds")
    assert summarise(output[:-len("p.noarch: E: kind-6\n")])[0].endswith("kind-4 (1) and 1 more kind")
    assert summarise("")[0] == "0 errors, 0 warnings"
