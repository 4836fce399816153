"""Runs rpmlint on the candidate's packages; its findings are reported and never fail a run."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from itb.containers.engine import MOUNT, Engine
from itb.data import shipped
from itb.errors import TestbedError
from itb.process.request import Request
from itb.util.text import count

LOG = "rpmlint.log"
_CONFIG = "/root/rpmlint.toml"  # of the container
_NOT_INSTALLED = 127
_FINDING = re.compile(r"^(?P<package>[^\s:(]+): (?P<level>[EW]): (?P<kind>\S+)(?P<detail>.*)$", re.MULTILINE)
_LAST_LINE = re.compile(r"^.*packages? and \d+ spec\s?files? checked; .*$", re.MULTILINE)
_SHOWN = 5  # kinds of errors named in a message
# Version 1 of rpmlint reads only configurations in Python, so it gets none.
_SCRIPT = f"""
command -v rpmlint >/dev/null || exit {_NOT_INSTALLED}
printf '%s' "$1" >{_CONFIG}
shift
case $(rpmlint --version) in *"version 1"*) own=() ;; *) own=(--config {_CONFIG}) ;; esac
LC_ALL=C.UTF-8 nice rpmlint "${{own[@]}}" "$@" || [ $? -eq 64 ] || [ $? -eq 66 ]
"""


def lint(
    engine: Engine, image: str, folder: Path, files: Sequence[str], *, labels: Mapping[str, str], log: Path
) -> tuple[str, str] | None:
    """Run rpmlint on packages, files of a folder; return a summary line and a list of its findings.

    It runs in a container of its own, of the image of the services host: it unpacks the packages as root (before
    rpm 4.20 wherever their payloads say), and the services host says what the run's packages are.
    Returns None if the image has no rpmlint.  Writes all output to ``log``.
    Raises TestbedError if rpmlint did not run to its end.
    """
    config = (shipped.folder("build_ws") / "hosts" / "rpmlint.toml").read_text(encoding="utf-8")
    log.unlink(missing_ok=True)
    argv = ["bash", "-c", _SCRIPT, "rpmlint", config, *(f"{MOUNT}/{file}" for file in files)]
    limit = engine.runner.limits("lint")
    request = Request(argv, timeout=limit, check=False, log=log, alias=["rpmlint"], about="rpmlint")
    completed = engine.run_once(image, request, labels=labels, folder=str(folder.resolve()))
    if completed.returncode == _NOT_INSTALLED:
        return None
    if not _LAST_LINE.search(completed.stdout):
        raise completed.error(TestbedError, f"rpmlint: {completed.reason}")
    return summarise(completed.stdout)


def summarise(output: str) -> tuple[str, str]:
    """Return rpmlint's findings as one line, errors first, and as a list of their kinds with an example each."""
    findings = [match.groupdict() for match in _FINDING.finditer(output)]
    levels = Counter(finding["level"] for finding in findings)
    kinds = Counter((finding["level"], finding["kind"]) for finding in findings)
    ranked = sorted(kinds, key=lambda kind: (kind[0], -kinds[kind], kind[1]))
    examples = {(finding["level"], finding["kind"]): finding for finding in reversed(findings)}
    lines = [
        f"{kinds[kind]:>5} {kind[0]}: {kind[1]}: {examples[kind]['package']}{examples[kind]['detail'][:200]}"
        for kind in ranked
    ]
    errors = [f"{kind} ({kinds[level, kind]})" for level, kind in ranked if level == "E"]
    shown = f": {', '.join(errors[:_SHOWN])}" if errors else ""
    more = f" and {count(len(errors) - _SHOWN, 'more kind')}" if len(errors) > _SHOWN else ""
    return f"{count(levels['E'], 'error')}, {count(levels['W'], 'warning')}{shown}{more}", "\n".join(lines)
