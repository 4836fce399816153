"""A host of a run tries to reach this machine, a container of another network and the world."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from itb.containers import firewall
from itb.containers.engine import Engine
from itb.containers.host import Host
from itb.isolation import Isolation, Server
from itb.model import PlatformImages
from itb.process.request import Request
from itb.testbed.testbed import Testbed

# Prints which of the addresses answer. A socket that is bound to the device needs no route.
TRY = """
import concurrent.futures, json, socket, sys
port, addresses = int(sys.argv[1]), sys.argv[2:]
def answers(address, device):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    rest = (0, socket.if_nametoindex("eth0")) if ":" in address else ()
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        if device:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
        try:
            probe.connect((address, port, *rest))
        except OSError:
            return False
        return True
tries = [(address, device) for address in addresses for device in (True, False)]
with concurrent.futures.ThreadPoolExecutor(len(tries)) as pool:
    answered = list(pool.map(lambda one: answers(*one), tries))
print(json.dumps([address for (address, _), good in zip(tries, answered) if good]))
"""
# Tries for a while to connect, since the server may be starting; prints "open" or "refused".
CONNECT = """
import socket, sys, time
for _ in range(20):
    try:
        socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=2).close()
    except OSError as error:
        answer = "refused"
        time.sleep(0.1)
    else:
        answer = "open"
        break
print(answer)
"""
# Prints which system calls make a socket of AF_VSOCK, which belongs to no network namespace: the ordinary one, and
# socketcall (102) of 32-bit programs, which gets the family in memory, where the kernel's filter does not look.
VSOCK = r"""
import ctypes, mmap, platform, socket, struct
try:
    socket.socket(socket.AF_VSOCK)
    print("socket")
except OSError:
    pass
if platform.machine() == "x86_64":
    MAP_32BIT = 0x40
    memory = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_32BIT, prot=7)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    memory[512:524] = struct.pack("<III", socket.AF_VSOCK, socket.SOCK_STREAM, 0)
    registers = zip((b"\xb8", b"\xbb", b"\xb9"), (102, 1, address + 512))  # eax, ebx, ecx
    values = b"".join(operation + struct.pack("<I", value) for operation, value in registers)
    code = b"\x53" + values + b"\xcd\x80\x5b\xc3"  # push rbx; mov each; int 0x80; pop rbx; ret
    memory[: len(code)] = code
    if ctypes.CFUNCTYPE(ctypes.c_int)(address)() >= 0:
        print("socketcall")
"""
StartTestbed = Callable[..., contextlib.AbstractContextManager[Testbed]]
LISTEN = "import socket; s = socket.create_server(('', {port}))\nwhile True: s.accept()[0].close()"


@dataclass
class Outside:
    """Servers of one port: on this machine, and in containers of a private and of a public-looking network."""

    port: int
    machine: str
    private: str
    public: str


@pytest.fixture(scope="module")
def outside(engine: Engine, images: PlatformImages, own_label: str) -> Iterator[Outside]:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True))
        port = server.getsockname()[1]
        threading.Thread(target=accept, args=(server,), daemon=True).start()
        addresses = []
        for subnet in ((), ("--subnet", f"198.51.100.{16 * secrets.randbelow(16)}/28")):
            name = f"itb-test-{secrets.token_hex(4)}"
            engine.call("network", "create", "--label", own_label, *subnet, name)
            stack.callback(engine.run, Request(["network", "rm", "--force", name], check=False))
            image = images.references["bare"]
            options = ["--detach", "--label", own_label, "--name", name, "--network", name]
            engine.call("run", *options, image, "python3", "-c", LISTEN.format(port=port))
            stack.callback(engine.remove_containers, name, check=False)
            (network,) = engine.inspect(name)["NetworkSettings"]["Networks"].values()
            addresses.append(network["IPAddress"])
        machine = next(iter(firewall.own_addresses()))
        yield Outside(port, machine, *addresses)


def accept(server: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            server.accept()[0].close()


def reached(host: Host, outside: Outside, *more: str) -> set[str]:
    """Which servers a host reaches, by name."""
    network = host.engine.network(host.container.removesuffix(f"-{host.role}"))
    bridge = Path("/proc/net/if_inet6").read_text().splitlines()
    (link_local,) = [line.split()[0] for line in bridge if line.endswith(f" {firewall.bridge_of(network)}")]
    names = {
        firewall.gateway_of(network): "gateway",
        ":".join(link_local[i : i + 4] for i in range(0, 32, 4)): "link-local",
        outside.machine: "machine",
        outside.private: "private",
        outside.public: "public",
        **{address: address for address in more},
    }
    answer = host.run(Request(["python3", "-c", TRY, str(outside.port), *names], timeout=60))
    return {names[address] for address in json.loads(answer.stdout)}


def test_a_closed_network_leads_nowhere(
    engine: Engine, start_testbed: StartTestbed, outside: Outside
) -> None:
    """Not even for a program that binds to the device, asks a name server, makes packets or reboots."""
    with start_testbed(Isolation()) as testbed:
        host = testbed.host("bare")
        other = testbed.host("services")
        assert testbed.is_isolated()
        assert reached(host, outside) == set()
        assert not host.run(Request(["getent", "hosts", "deb.debian.org"], check=False, timeout=30)).ok
        raw = "import socket; socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)"
        assert "not permitted" in host.run(Request(["python3", "-c", raw], check=False)).stderr

        assert host.call("python3", "-c", VSOCK).stdout == "", "the machine's, and that of the one below it"

        listen = ["exec", "--detach", other.container, "python3", "-c", LISTEN.format(port=outside.port)]
        engine.call(*listen)
        for name in ("services.example.org", "services", "also.example.org", "bare"):
            assert host.call("getent", "hosts", name).ok, name
        script = f"for i in $(seq 50); do : </dev/tcp/services/{outside.port} && exit; sleep 0.1; done; exit 1"
        assert host.call("bash", "-c", script).ok, "hosts reach each other"

        engine.call("restart", "--time", "0", host.container)
        assert reached(host, outside) == set()
        network = engine.network(testbed.project)
    assert not firewall.is_set(engine, network)


TRACKED = Path("/proc/sys/net/netfilter/nf_conntrack_count")
FLOWS = """
import socket
for port in range(1024, 9024):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"", ("services", port))
"""


@pytest.mark.skipif(not TRACKED.exists() or os.geteuid() != 0, reason="the machine's table is not seen")
def test_connections_between_hosts_do_not_fill_the_machines_table(start_testbed: StartTestbed) -> None:
    """It has an end, and when it is full the machine and all others on it lose packets."""
    with start_testbed(Isolation()) as testbed:
        before = int(TRACKED.read_text())
        testbed.host("bare").run(Request(["python3", "-c", FLOWS], timeout=60))
        assert int(TRACKED.read_text()) - before < 4000


def test_a_declared_way_out_leads_to_public_addresses_and_named_servers(
    start_testbed: StartTestbed, outside: Outside
) -> None:
    with start_testbed(Isolation(internet=True)) as testbed:
        assert reached(testbed.host("bare"), outside) == {"public"}
        server = Server(name="mirror.example.org", address=outside.private, port=outside.port)
        assert not testbed.isolate(Isolation(servers=(server,))).problem
        assert reached(testbed.host("bare"), outside) == {"private"}


@pytest.mark.skipif(os.geteuid() != 0, reason="hosts of rootless podman are in a namespace of this user")
def test_other_users_of_the_machine_reach_no_host(start_testbed: StartTestbed) -> None:
    """They could ask its services, and fill their logs with errors, for which the candidate is blamed."""
    serve = "python3 -m http.server 8080 >/dev/null 2>&1 &"
    with start_testbed(Isolation(internet=True)) as testbed:
        testbed.host("bare").script(serve)
        argv = [sys.executable, "-I", "-c", CONNECT, f"{testbed.network_prefix()}.10", "8080"]
        runner = testbed.engine.runner
        assert runner.run(Request(argv, check=False)).stdout == "open\n"
        other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/python3", *argv[1:]]
        assert runner.run(Request(other, check=False)).stdout == "refused\n"


def test_the_packet_filter_of_a_network_that_is_gone_is_removed(engine: Engine) -> None:
    bridge = f"no{secrets.token_hex(4)}"
    if problem := firewall.set_rules(engine, {"network_interface": bridge}, Isolation()):
        pytest.fail(problem)
    assert firewall.remove_stale_rules(engine).count(bridge) == 1
    assert not firewall.is_set(engine, {"network_interface": bridge})


def test_a_table_of_the_machines_own_is_left_alone(engine: Engine) -> None:
    """Also if its name is like that of a network's packet filter."""
    table = f"itb-{secrets.token_hex(4)}"
    nft = ["nft", "-f", "-"]
    rules = f"table inet {table} {{\n chain input {{\n  type filter hook input priority 100;\n }}\n}}\n"
    engine.runner.run(Request(nft, input=rules.encode()))
    try:
        assert table.removeprefix("itb-") not in firewall.remove_stale_rules(engine)
        assert engine.runner.run(Request(["nft", "list", "table", "inet", table], check=False)).ok
    finally:
        engine.runner.run(Request(nft, input=f"table inet {table}\ndelete table inet {table}\n".encode()))
