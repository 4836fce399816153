"""What is seen of services while they run: errors in their journals, what they hold, and why one is not up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from itb.config import step_library
from itb.containers.host import FileSpec, Host
from itb.data import shipped
from itb.process.request import Request
from itb.testbed import growth, logs

_LEAK = """
import time
kept = []
while True:
    kept.append(open("/dev/null"))
    time.sleep(0.05)
"""


@contextmanager
def unit(host: Host, name: str, *command: str) -> Iterator[None]:
    host.call("systemd-run", "--quiet", f"--unit={name}", *command)
    try:
        yield
    finally:
        ended = f"systemctl stop {name}; systemctl reset-failed {name}; rm --force /var/lib/itb/errors.json"
        host.script(ended, Request(check=False))


def test_errors_of_a_units_journal(shared_host: Host) -> None:
    """By the level that the unit gave them, and by their text; what was skipped does not count."""
    say = 'for n in 1 2 3; do echo "<3>lost $n"; echo "<6>fine"; echo "demo: error: gone"; done; sleep 600'
    with unit(shared_host, "demo-errors", "bash", "-c", say):
        has_ended = "journalctl --unit=demo-errors --output=cat | grep 'lost 3' >/dev/null"
        shared_host.script(f"until {has_ended}; do sleep 0.1; done")
        assert logs.count_errors(shared_host, [], ["demo-errors"], verb="keep") == []
        assert logs.count_errors(shared_host, [], ["demo-errors"], verb="skip") == []
        errors = logs.count_errors(shared_host, [], ["demo-errors"])
        assert [(error.kind, error.times, error.log) for error in errors] == [
            ("lost #", 3, "journal.txt"), ("demo: error: gone", 3, "journal.txt"),
        ]  # fmt: skip
        assert logs.count_errors(shared_host, [], ["demo-errors"]) == []


def test_what_a_unit_holds(shared_host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "_LEAST_SECONDS", 2.0)
    monkeypatch.setattr(growth, "_WARM_UP", 0.2)
    sampler = (shipped.folder("build_ws") / "hosts" / "sampler.py").read_bytes()
    argv = ["python3", "-I", "-", growth.SAMPLES, "0.2", "16", "demo-leak", "demo-gone", "--", "/var/log/*"]
    with unit(shared_host, "demo-leak", "--property=User=nobody", "python3", "-c", _LEAK):
        shared_host.run(Request(argv, input=sampler))
        (found,) = growth.growing(growth.read_samples(shared_host), ["demo-leak", "demo-gone"])
        assert (found.what, found.figure) == ("demo-leak", "descriptors")
        assert found.limit > 0
        assert growth.owner(shared_host, "demo-leak") == ""
    shared_host.call("rm", growth.SAMPLES)


def test_why_a_unit_is_not_up(shared_host: Host) -> None:
    """The step says it in the unit's own words, not in those of systemd."""
    scripts = [step_library.folder() / name for name in ("units.sh", "services.sh")]
    shared_host.put(*(FileSpec(f"/tmp/operation/{path.name}", source=path) for path in scripts))
    fail = 'echo "FileNotFoundError: /run/demo"; echo "that was all"; exit 3'
    with unit(shared_host, "demo-fails", "bash", "-c", fail):
        shared_host.script("while systemctl is-active --quiet demo-fails; do sleep 0.1; done")
        env = {"ITB_LIB": "/tmp/operation", "ITB_ROLE": "bare", "ITB_SERVICES": "demo-fails demo-gone"}
        said = shared_host.run(Request(["bash", "/tmp/operation/services.sh"], env=env, check=False))
        assert not said.ok
        assert said.stdout.splitlines()[-1] == "demo-fails is failed (exit-code): FileNotFoundError: /run/demo"
        env["ITB_SERVICES"] = "demo-gone"
        said = shared_host.run(Request(["bash", "/tmp/operation/services.sh"], env=env, check=False))
        assert said.stdout.splitlines()[-1].startswith("demo-gone is inactive: stopped, or not started since ")
