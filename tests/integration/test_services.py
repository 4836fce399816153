"""Services that behave badly on a real host: whose fault it is, and why, in one line."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from itb.containers.host import FileSpec, Host
from itb.errors import InstallError
from itb.install import services
from itb.process.request import Request

UNIT = """
[Service]
{}
[Install]
WantedBy=multi-user.target
"""
UNITS = {
    "probe-fine": "ExecStart=/usr/bin/sleep infinity",
    "probe-dies": "Type=notify\nExecStart=/usr/bin/python3 -c 'import no_such_module'",
    "probe-late": "ExecStart=/usr/bin/bash -c 'echo listening; sleep 1; echo FATAL: lost the disk; exit 3'",
    "probe-again": "ExecStart=/usr/bin/bash -c 'sleep 0.4; echo config.yaml:3: no such key; exit 1'\n"
    "Restart=always\nRestartSec=0.2\nStartLimitIntervalSec=0",
    "probe-ends": "ExecStart=/usr/bin/bash -c 'echo ERROR; mkdir /run/itb-once || exec sleep 99; sleep 0.2'\n"
    "Restart=always\nRestartSec=0.1",
    "probe-hangs": "Type=notify\nExecStart=/usr/bin/sleep infinity\nTimeoutStartSec=1",
    "probe-absent": "ExecStart=/usr/bin/no-such-program",
}


@pytest.fixture(scope="module")
def units(module_hosts: Callable[..., Host]) -> Host:
    """A host with units that behave badly."""
    host = module_hosts()
    host.put(
        *(
            FileSpec(f"/etc/systemd/system/{name}.service", UNIT.format(text).encode())
            for name, text in UNITS.items()
        )
    )
    host.call("systemctl", "daemon-reload")
    return host


def test_service_that_stays_up(units: Host) -> None:
    services.start_service(units, "probe-fine")
    assert services.check_stays_up(units, ["probe-fine", "dbus"], settle=0.5) == {}
    assert units.call("systemctl", "is-enabled", "probe-fine").stdout.strip() == "enabled"


def start_and_watch(units: Host, unit: str) -> None:
    """Raise the error of a unit whether systemd notices as it starts it or a moment later."""
    services.start_service(units, unit)
    for error in services.check_stays_up(units, [unit], settle=0.5).values():
        raise error


def test_service_that_was_started_again(units: Host) -> None:
    services.start_service(units, "probe-ends")
    assert services.check_stays_up(units, ["probe-ends"], settle=1, before="sleep 2; ") == {}
    errors = services.check_stays_up(units, ["probe-fine", "probe-ends"], settle=0, never_ended=True)
    assert [error.message for error in errors.values()] == [
        "probe-ends ends, and was started again by systemd (once): it ends by itself, with status 0"
    ]


@pytest.mark.parametrize(
    ("unit", "message"),
    [
        (
            "probe-dies",
            r"^probe-dies does not start \(.*status 1\): ModuleNotFoundError: No module named 'no_such_module'$",
        ),
        ("probe-hangs", r"^probe-hangs does not start \(timeout"),
        (
            "probe-absent",
            r"^probe-absent does not (start|stay up) \(exit-code, status 203\): .*no-such-program",
        ),
        ("no-such-unit", r"^no-such-unit does not start: its unit does not exist"),
    ],
)
def test_service_that_does_not_start(units: Host, unit: str, message: str) -> None:
    with pytest.raises(InstallError, match=message) as caught:
        start_and_watch(units, unit)
    assert caught.value.evidence


@pytest.mark.parametrize(
    ("unit", "cause"), [("probe-late", "FATAL: lost the disk"), ("probe-again", "config.yaml:3: no such key")]
)
def test_service_that_does_not_stay_up(units: Host, unit: str, cause: str) -> None:
    services.start_service(units, unit)
    errors = services.check_stays_up(units, ["probe-fine", unit], settle=3)
    assert list(errors) == [unit]
    assert errors[unit].message.endswith(cause)
    units.run(Request(["systemctl", "stop", unit], check=False))
