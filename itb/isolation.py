"""Records of what the hosts of a run may reach beside each other, and of what keeps them from everything else."""

from __future__ import annotations

from itb.model import Record

REMEDY = "install nftables (nft) on this machine, and run the engine on it: podman, or docker as root"
# What stands for every audience: in a SciToken, in a token of profile wlcg.
ANY_AUDIENCE = frozenset({"ANY", "https://wlcg.cern.ch/jwt/v1/any"})


class Server(Record):
    """A server outside of the testbed that a user has named, with the one address that hosts know it by."""

    name: str
    address: str  # IPv4
    port: int


class OutsideIssuer(Record):
    """The issuer of a run's token where it is not the run's own: the CE asks it for its keys."""

    url: str


class Isolation(Record):
    """What hosts may reach beside each other: nothing, unless it is declared.

    ``internet`` opens public addresses; ``servers`` are reached wherever they are.
    ``problem`` says why hosts reach more than that; empty if they do not.
    ``unlimited`` names the controllers of control groups that the engine cannot
    limit hosts with, ``writable_cgroup`` a control group of the machine that
    hosts can write to.
    """

    internet: bool = False
    servers: tuple[Server, ...] = ()
    problem: str = ""
    unlimited: tuple[str, ...] = ()
    writable_cgroup: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Return the servers as entries of ``extra_hosts``."""
        return tuple(dict.fromkeys(f"{server.name}:{server.address}" for server in self.servers))

    @property
    def is_closed(self) -> bool:
        """Return whether nothing outside of the testbed may be reached."""
        return not (self.internet or self.servers)

    @property
    def remedy(self) -> str:
        """Return what to do about the problem."""
        return REMEDY if self.problem else ""

    @property
    def description(self) -> str:
        """Return what hosts may reach, for people."""
        names = dict.fromkeys(f"{server.name}:{server.port}" for server in self.servers)
        reached = [*(("public addresses",) if self.internet else ()), *names]
        return f"hosts reach each other and {', '.join(reached) or 'nothing else'}"
