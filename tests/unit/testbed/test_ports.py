"""What listens on a host, compared with what listened before and with what a product declares."""

from __future__ import annotations

import pytest

from itb.testbed import ports
from itb.testbed.ports import Socket, Sockets

HTTPD = Socket(protocol="tcp", address="::", port=80, process="httpd", unit="httpd.service")
DEBUG = Socket(protocol="tcp", address="0.0.0.0", port=8765, process="python3", unit="wms.service")
INSIDE = Socket(protocol="tcp", address="127.0.0.1", port=5432, process="a process of postgres")


@pytest.mark.parametrize(
    ("address", "scope"),
    [
        ("0.0.0.0", "any"), ("::", "any"), ("10.89.0.5", "any"), ("fe80::1", "any"), ("no address", "any"),
        ("127.0.0.53", "local"), ("::1", "local"), ("::ffff:127.0.0.1", "local"), ("::ffff:10.0.0.1", "any"),
    ],
)  # fmt: skip
def test_scope(address: str, scope: str) -> None:
    assert Socket(protocol="tcp", address=address, port=1).scope == scope


def test_what_is_as_declared() -> None:
    assert not list(ports.compare([HTTPD, INSIDE], {"80/tcp": "any", "5432/tcp": "local"}))
    assert not list(ports.compare([DEBUG], {"8000-9000/tcp": "any", "9600-9700/tcp": "any"}))


def test_ports_of_one_holder_are_named_together() -> None:
    condor = [Socket(protocol="tcp", address="0.0.0.0", port=port, process="c") for port in (9618, 9620, 9621)]
    assert Socket.describe_all([HTTPD, *condor]) == "80/tcp on [::] (httpd), 9618+9620-9621/tcp on 0.0.0.0 (c)"
    assert Socket.describe_all([]) == "nothing"


@pytest.mark.parametrize(
    ("sockets", "declared", "difference"),
    [
        ([DEBUG], {}, "8765/tcp on 0.0.0.0 (python3 of wms) listens and is not declared"),
        ([HTTPD], {"80/udp": "any"}, "80/tcp on [::] (httpd) listens and is not declared"),
        ([INSIDE], {}, "5432/tcp on 127.0.0.1 (a process of postgres) listens and is not declared"),
        ([HTTPD], {"80/tcp": "local"}, "80/tcp on [::] (httpd) listens for others, and is declared as local"),
        ([INSIDE], {"5432/tcp": "any"},
         "5432/tcp on 127.0.0.1 (a process of postgres) listens for this host only, and is declared as any"),
        ([], {"80/tcp": "any"}, "80/tcp is declared, and nothing listens there"),
    ],
)  # fmt: skip
def test_what_differs(sockets: list[Socket], declared: dict[str, str], difference: str) -> None:
    assert next(ports.compare(sockets, declared)) == difference


def test_what_counts_is_new_and_no_port_that_the_kernel_chose() -> None:
    resolver = Socket(protocol="tcp", address="127.0.0.53", port=53)
    client = Socket(protocol="udp", address="0.0.0.0", port=40000)
    own = Socket(protocol="tcp", address="127.0.0.1", port=40001)
    condor = Socket(protocol="tcp", address="0.0.0.0", port=40002, unit="condor.service", package="condor")
    reached = Socket(protocol="tcp", address="0.0.0.0", port=40003, unit="wms.service", package="wms-factory")
    now = Sockets(sockets=(reached, condor, HTTPD, resolver, client, own, DEBUG))
    assert ports.opened(now, Sockets(sockets=(resolver,)), ["wms*"]) == [HTTPD, DEBUG, reached]
