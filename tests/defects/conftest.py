"""What tests of the catalogue share: whole runs, and the table of what they caught."""

from __future__ import annotations

import json
from typing import Any

from tests.acceptance.conftest import Finished, itb_run, read_run

__all__ = ["Finished", "itb_run", "read_run"]

SCORE = "defect"  # name of the property by which a test hands its lines of the table to the session


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The table: every defect, whether it was caught and with the true cause, and what its run took."""
    lines = [
        json.loads(value)
        for reports in terminalreporter.stats.values()
        for report in reports
        for name, value in getattr(report, "user_properties", [])
        if name == SCORE and getattr(report, "when", "") == "call"
    ]
    if not lines:
        return
    terminalreporter.section("defects")
    terminalreporter.write_line("| defect | caught | cause true | s |")
    terminalreporter.write_line("|---|---|---|---|")
    for line in sorted(lines, key=lambda item: (item["harmless"], item["name"])):
        caught = "harmless, " + ("taken for a defect" if line["caught"] else "green")
        caught = caught if line["harmless"] else "yes" if line["caught"] else "**no**"
        cause = "" if line["harmless"] else "yes" if line["true"] else "**no**"
        terminalreporter.write_line(f"| {line['name']} | {caught} | {cause} | {line['seconds']:.0f} |")
    defects = [line for line in lines if not line["harmless"]]
    good = sum(line["true"] for line in defects)
    false = sum(line["caught"] for line in lines if line["harmless"])
    terminalreporter.write_line(
        f"{len(defects)} defects: {good} caught with the true cause; "
        f"{len(lines) - len(defects)} harmless changes: {false} taken for a defect"
    )
