"""Packet filter of a testbed's network: its hosts reach each other and what is declared, and nothing else.

An internal network of an engine has no route to elsewhere, which is not
enough: this machine's services answer at the network's own gateway, and a
process that binds its socket to the network's device, which needs no
privilege, reaches any address that this machine has.  So packets from the
network's bridge to this machine, and those that it would forward, are refused
by a table of nftables: as root in the machine's network namespace, without root
in the one that rootless podman has for its bridges.  There is one table for
each bridge, named after it; it changes nothing for other networks.  Hosts cannot change it,
and it stays while they are rebooted.

Where this machine has a way to the hosts, as it has to every network that has
a way out, so have all users of this machine: packets of other users than root
and the one who runs itb are refused, too.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from itb.containers.description import is_running, subnet_of
from itb.isolation import Isolation
from itb.process.request import Request
from itb.process.result import Completed
from itb.process.runner import Runner
from itb.util import ownership

_PREFIX = "itb-"
_CHAINS = {"input", "forward", "to-machine", "outside", "refuse"}
_LATER_CHAINS = {"between-hosts", "from-machine"}  # tables of earlier versions lack them
_TABLE = re.compile(rf"^table inet {_PREFIX}(\S+)$", re.MULTILINE)
# No public address: private and shared use, link-local, loopback, multicast, reserved (RFC 6890).
_NOT_PUBLIC = (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
    "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/3",
)  # fmt: skip
# ct state is that of a connection: what this machine has begun, a host may answer.  Connections between hosts
# are not remembered: they would be in the machine's table, which is then full for everybody.
_RULES = """
table inet {table}
delete table inet {table}
table inet {table} {{
    chain between-hosts {{
        type filter hook prerouting priority raw; policy accept;
        {untracked}
    }}
    chain input {{
        type filter hook input priority filter - 5; policy accept;
        iifname "{bridge}" ct state != {{ established, related }} jump to-machine
    }}
    chain from-machine {{
        type filter hook output priority filter - 5; policy accept;
        {others}
    }}
    chain forward {{
        type filter hook forward priority filter - 5; policy accept;
        iifname "{bridge}" oifname "{bridge}" accept
        iifname "{bridge}" ct state != {{ established, related }} jump outside
        oifname "{bridge}" ct state != {{ established, related }} jump refuse
    }}
    chain to-machine {{
        {to_machine}
        jump refuse
    }}
    chain outside {{
        {outside}
        jump refuse
    }}
    chain refuse {{
        meta l4proto tcp reject with tcp reset
        reject with icmpx admin-prohibited
    }}
}}
"""


class Engine(Protocol):
    """What is needed of an engine, whose module imports this one."""

    runner: Runner
    program: str
    env: dict[str, str]
    is_remote: bool

    @property
    def is_podman(self) -> bool:
        """Return whether the program is podman."""

    def networks(self, filters: Mapping[str, str]) -> list[dict[str, Any]]:
        """List the networks that have all these labels."""

    def containers(self, filters: Mapping[str, str]) -> list[dict[str, Any]]:
        """List the containers that have all these labels."""


def rules(
    bridge: str,
    isolation: Isolation,
    *,
    subnet: str,
    name_server: str,
    own: Sequence[str],
    users: Iterable[int] = (),
) -> str:
    """Return the table for a bridge, which replaces an earlier one at once.

    ``subnet`` is that of its hosts, empty if it is not known, ``name_server`` the address at which the engine
    answers names, empty if it does not; ``own`` are the addresses of this machine, ``users`` the ids of the only
    users of this machine whose packets reach the hosts, none if all do.
    """
    servers = [f"ip daddr {server.address} tcp dport {server.port} accept" for server in isolation.servers]
    names = [f"ip daddr {name_server} meta l4proto {{ tcp, udp }} th dport 53 accept"] if name_server else []
    machine = f"ip daddr != {{ {', '.join(own)} }} " if own else ""
    hosts = f'iifname "{bridge}" ip saddr {subnet} ip daddr {subnet} {machine}notrack' if subnet else ""
    ids = ", ".join(map(str, sorted(users)))
    to_hosts = f'oifname "{bridge}" ct state != {{ established, related }}'
    others = f"{to_hosts} meta skuid != {{ {ids} }} jump refuse" if ids else ""
    elsewhere = ", ".join(dict.fromkeys([*_NOT_PUBLIC, *own]))
    public = [f"ip daddr {{ {elsewhere} }} jump refuse", "meta nfproto ipv4 accept"] if isolation.internet else []
    return _RULES.format(
        table=f"{_PREFIX}{bridge}",
        bridge=bridge,
        untracked=hosts,
        others=others,
        to_machine="\n        ".join([*servers, *names]),
        outside="\n        ".join([*servers, *public]),
    )


def own_addresses(trie: Path = Path("/proc/net/fib_trie")) -> list[str]:
    """Return the IPv4 addresses of this machine that are not loopback."""
    lines = trie.read_text().splitlines() if trie.exists() else []
    pairs = itertools.pairwise(lines)
    found = {line.split()[-1] for line, kind in pairs if kind.strip() == "/32 host LOCAL"}
    return sorted(address for address in found if not address.startswith("127."))


def why_impossible(engine: Engine) -> str:
    """Return why no packet filter can be set for the engine's networks here; empty if it may be tried."""
    if engine.is_remote:
        return f"{engine.program} runs its containers on another machine"
    if not engine.is_podman and os.geteuid() != 0:
        return "the filter of docker's networks can only be set by root"
    return "" if _nft() else "nft is not installed"


def set_rules(engine: Engine, network: Mapping[str, Any], isolation: Isolation) -> str:
    """Set the packet filter of a network, as the engine describes it; return why that failed, empty if not."""
    bridge = bridge_of(network)
    problem = why_impossible(engine) or ("" if bridge else "the engine does not name the network's bridge")
    if problem:
        return problem
    name_server = gateway_of(network) if network.get("dns_enabled") else ""
    own = [*own_addresses(), *filter(None, [gateway_of(network)])]
    text = rules(
        bridge,
        isolation,
        subnet=subnet_of(network),
        name_server=name_server,
        own=list(dict.fromkeys(own)),
        # The namespace of rootless podman has no other users.
        users=ownership.trusted_users() if os.geteuid() == 0 else (),
    )
    completed = _run(engine, "-f", "-", text=text)
    return "" if completed.ok else f"nft cannot set the packet filter: {completed.reason}"


def is_set(engine: Engine, network: Mapping[str, Any]) -> bool:
    """Return whether a network, as the engine describes it, has its packet filter at this moment."""
    table = f"{_PREFIX}{bridge_of(network)}"
    return not why_impossible(engine) and _run(engine, "list", "table", "inet", table).ok


def remove_rules(engine: Engine, networks: Iterable[Mapping[str, Any]]) -> None:
    """Remove the packet filters of networks that the engine has listed and that were removed.

    Rootless podman removes the namespace with its tables when no container needs it any more: a program that is
    run there later would make another one, and processes of it that nobody ends.
    """
    if os.geteuid() != 0 and not any(is_running(item) and item.get("Networks") for item in engine.containers({})):
        return
    tables = [f"inet {_PREFIX}{bridge}" for network in networks if (bridge := bridge_of(network))]
    if tables and not why_impossible(engine):
        text = "".join(f"table {table}\ndelete table {table}\n" for table in tables)  # also if there is none
        _run(engine, "-f", "-", text=text)


def remove_stale_rules(engine: Engine) -> list[str]:
    """Remove the packet filters whose bridge belongs to no network of the engine; return these bridges.

    They are left where a network was removed by hand.  Other tables of a similar name stay.
    """
    if why_impossible(engine) or os.geteuid() != 0:  # without root they end with the namespace
        return []
    tables = _TABLE.findall(_run(engine, "list", "tables", "inet").stdout)
    bridges = {bridge_of(network) for network in engine.networks({})}
    stale = [table for table in tables if table not in bridges and not Path("/sys/class/net", table).exists()]
    names = {bridge: ("table", "inet", f"{_PREFIX}{bridge}") for bridge in stale}
    own = [bridge for bridge, name in names.items() if is_own(_run(engine, "list", *name).stdout, bridge)]
    return [bridge for bridge in own if _run(engine, "delete", *names[bridge]).ok]


def is_own(listing: str, bridge: str) -> bool:
    """Return whether nft's listing of a table is that of a bridge's packet filter.

    The name alone does not tell: this machine's own tables may have such names, too.
    """
    chains = set(re.findall(r"^[ \t]*chain (\S+) {$", listing, re.MULTILINE))
    return chains - _LATER_CHAINS == _CHAINS and f'iifname "{bridge}" oifname "{bridge}" accept' in listing


def bridge_of(network: Mapping[str, Any]) -> str:
    """Return the bridge of a network, of either engine's description or listing; empty if it is not known."""
    if name := network.get("network_interface"):
        return str(name)
    options = network.get("Options") or {}
    identity = str(network.get("Id") or network.get("ID") or "")
    return str(options.get("com.docker.network.bridge.name") or (f"br-{identity[:12]}" if identity else ""))


def gateway_of(network: Mapping[str, Any]) -> str:
    """Return this machine's IPv4 address on a network of podman; empty if it has none."""
    gateways = (str(subnet.get("gateway", "")) for subnet in network.get("subnets") or [])
    return next((gateway for gateway in gateways if gateway and ":" not in gateway), "")


def _nft() -> str:
    return shutil.which("nft", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") or ""


def _run(engine: Engine, *arguments: str, text: str = "") -> Completed:
    inside = [] if os.geteuid() == 0 else [engine.program, "unshare", "--rootless-netns"]
    request = Request(
        [*inside, _nft(), *arguments],
        input=text.encode(),
        env=engine.env,
        timeout=engine.runner.limits("engine"),
        check=False,
        uninterruptible=True,
    )
    return engine.runner.run(request)
