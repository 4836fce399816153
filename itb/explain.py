"""Why something failed, as the logs of the hosts tell it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from itb import data
from itb.hosts import Host

PROBE_SECONDS = 20


def find_errors(
    host: Host, globs: Sequence[str], *, ignored: Sequence[str] = (), text: str = "", ended: str = ""
) -> list[str]:
    """Return the errors in a host's logs and in ``text``, likeliest cause first, as "MESSAGE (FILE)".

    If there are none: what the files of the glob ``ended`` say last.
    """
    script = (data.folder("build_ws") / "hosts" / "findings.py").read_text()
    options = [word for pattern in ignored for word in ("-x", pattern)]
    options += ["-w", ended] if ended else []
    argv = ["python3", "-I", "-c", script, *options, *(["-"] if text else []), *globs]
    said = host.run(argv, input=text.encode() or None, timeout=60, check=False, about="look through logs")
    found = [line.partition("\t") for line in said.stdout.splitlines() if "\t" in line]
    return [message if name == "-" else f"{message} ({Path(name).name})" for message, _, name in found]


def probe(host: Host, command: str) -> str:
    """Return what a service says when it is run in the foreground: for those that hide it."""
    said = host.run(
        ["timeout", str(PROBE_SECONDS), "bash", "-c", command],
        timeout=PROBE_SECONDS + 10,
        check=False,
        about="run the service in the foreground",
    )
    return said.output


def across(
    hosts: Mapping[str, Host], globs: Mapping[str, Sequence[str]], ignored: Sequence[str], *, ended: str = ""
) -> str:
    """Return the likeliest cause of each host in one line, "ROLE: CAUSE; ROLE: CAUSE"; empty if logs name none.

    ``ended`` is a glob of the output of pilots that have ended, on whichever host it is.
    """
    causes = []
    for role, host in hosts.items():
        if globs.get(role) and host.alive():
            found = find_errors(host, globs[role], ignored=ignored, ended=ended)
            causes += [f"{role}: {error}" for error in found[:1]]
    return "; ".join(causes)
