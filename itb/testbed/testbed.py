"""The testbed: hosts of a Compose file on a network of their own, booted and trusting the run's CA."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from itb.config.settings import HostLimits
from itb.containers import cgroups, compose, firewall, naming, seccomp
from itb.containers.description import (
    container_name,
    has_labels,
    is_running,
    labels_of,
    privileges_of,
    resource_name,
    subnet_of,
)
from itb.containers.engine import Engine
from itb.containers.host import FileSpec, Host
from itb.errors import TestbedError, UsageError
from itb.isolation import Isolation
from itb.model import HostInfo, TestbedHosts
from itb.process.request import Request
from itb.roles import WORKSPACE
from itb.testbed import overlay
from itb.testbed.certificates import RunCA
from itb.testbed.topology import Topology
from itb.util.files import temporary_folder

# Debian and EL keep trusted certificates in different places; grid software uses
# the hashed directory.  On Debian this adds one certificate as
# update-ca-certificates does, which would take a second to read all the others;
# running that later changes nothing.
_TRUST_CA = """
if command -v update-ca-certificates >/dev/null; then
    anchor=/usr/local/share/ca-certificates/itb-run.crt certs=/etc/ssl/certs
    if ! cmp --quiet /etc/itb/ca.pem "$anchor"; then
        install -D -m 644 /etc/itb/ca.pem "$anchor"
        ln -sf "$anchor" "$certs/itb-run.pem"
        ln -sf itb-run.pem "$certs/$1.0"
        cat "$anchor" >>"$certs/ca-certificates.crt"
    fi
else
    install -D -m 644 /etc/itb/ca.pem /etc/pki/ca-trust/source/anchors/itb-run.pem
    update-ca-trust
fi
"""


_CLOSED = Isolation()
_DEFAULT_LIMITS = HostLimits()


class Testbed:
    """Brings the hosts of one run up and takes them down."""

    __test__ = False  # pytest would take it for a test by its name

    def __init__(
        self, engine: Engine, topology: Topology, *, run: str, short_id: str, runs: Path,
        has_tools: bool = False, host_limits: HostLimits = _DEFAULT_LIMITS,
    ) -> None:  # fmt: skip
        self.engine = engine
        self.has_tools = has_tools  # its hosts have itb's tools
        self.host_limits = host_limits
        self.topology = topology
        self.run = run
        self.short_id = short_id
        self.runs = runs
        self.project = naming.project(short_id)
        self.mac_prefix = naming.mac_prefix(short_id)
        self.labels = naming.run_labels(run, runs)
        self.containers: dict[str, str] = {}  # ids by role, of the hosts that ran when the engine was last asked
        self._pids: dict[str, int] = {}  # of their first processes, 0 where the engine does not list them
        self.started: set[str] = set()  # roles that this process has started or found running
        self.start_lock = threading.Lock()  # held while missing hosts are looked for and started
        self._known_running: set[str] = set()  # roles that find_stopped_host() has found running

    def create_network(self, isolation: Isolation = _CLOSED) -> str:
        """Create the run's network; return the first three bytes of its addresses.

        The engine answers names where there is something outside to be named, or a host has no fixed address.
        """
        names = isolation.internet or not self.topology.has_names
        subnet = self.engine.create_network(
            self.project, self.labels, internal=isolation.is_closed, names=names
        )
        return naming.address_prefix(subnet)

    def isolate(self, isolation: Isolation) -> Isolation:
        """Set the packet filter of the run's network, whose hosts run; return what is so now.

        Without root, the namespace that the filter is in exists only while a host runs.
        """
        problem = firewall.set_rules(self.engine, self._network(), isolation)
        unlimited = tuple(sorted({"memory", "pids"} - self.engine.controllers))
        found = (cgroups.writable_outside(self.containers[role], pid) for role, pid in self._pids.items())
        writable = next(filter(None, found), "")
        update = {"problem": problem, "unlimited": unlimited, "writable_cgroup": writable}
        return isolation.model_copy(update=update)

    def is_isolated(self) -> bool:
        """Return whether the run's network has its packet filter at this moment."""
        return firewall.is_set(self.engine, self._network())

    def network_prefix(self) -> str:
        """Return the address prefix of the run's network; empty if there is none."""
        return naming.address_prefix(subnet_of(self._network()))

    def _network(self) -> dict[str, Any]:
        """Return the engine's description of the run's network; empty if there is none.

        Raises UsageError if one of its name belongs to another run.
        """
        network = self.engine.network(self.project)
        if network and not has_labels(network, self.labels):
            raise self._not_ours("network", network)
        return network

    def _own_containers(self) -> list[dict[str, Any]]:
        """List the run's containers; UsageError if one of a name that it needs belongs to another run.

        A copied run directory has the short id of the original, so that names alone do not tell them apart.
        """
        names = {naming.container(self.short_id, role) for role in self.topology.hosts}
        listed = self.engine.containers({})
        for container in listed:
            if container_name(container) in names and not has_labels(container, self.labels):
                raise self._not_ours("container", container)
        return [container for container in listed if has_labels(container, self.labels)]

    def _not_ours(self, kind: str, item: Mapping[str, Any]) -> UsageError:
        run, folder = naming.run_of(labels_of(item))
        owner = f"run {run} in {folder or 'another folder'}" if run else "no run of itb"
        return UsageError(
            f"{kind} {resource_name(item)} belongs to {owner}, not to run {self.run} in {self.runs}",
            hint="go on with that run where it was made, or start a new one: "
            "a copied or renamed run directory has no hosts of its own",
        )

    def up(
        self,
        roles: Sequence[str],
        images: Mapping[str, str],
        prefix: str,
        tools_folder: Path | None,
        isolation: Isolation = _CLOSED,
    ) -> dict[str, Host]:
        """Start the containers of these roles; :func:`wait_booted` waits until they have booted.

        ``images`` are image names by kind: bare, build, services;
        ``tools_folder`` has itb's tools, None for a run whose hosts have none.
        """
        self._own_containers()  # Compose would make those of its names anew, whoever has them
        env = {
            "ITB_PROJECT": self.project,
            "ITB_RUN": self.run,
            "ITB_RUNS": str(self.runs),
            "ITB_NETWORK": self.project,
            "ITB_NET_PREFIX": prefix,
            "ITB_MAC_PREFIX": self.mac_prefix,
            **{f"ITB_IMAGE_{kind.upper()}": image for kind, image in images.items()},
        }
        with temporary_folder() as folder:
            ours = overlay.write(
                folder / "hosts.compose.yaml",
                self.topology.hosts,
                names=[*itertools.chain(*self.topology.names.values()), *isolation.names],
                tools_folder=tools_folder,
                limits=self.host_limits,
                controllers=self.engine.controllers,
                syscall_filter=self._write_syscall_filter(folder),
                unfiltered=[WORKSPACE] if self.topology.overlays else [],
            )
            compose.create_containers(
                self.engine,
                [self.topology.file, *self.topology.overlays, ours],
                roles,
                project=self.project,
                profiles=[role for role in roles if role in self.topology.optional],
                env=env,
            )
        return self._start_created(roles)

    def _start_created(self, roles: Sequence[str]) -> dict[str, Host]:
        """Start hosts whose containers have been created; TestbedError if one does not run then."""
        hosts = {role: self.host(role) for role in roles}
        self.started |= set(roles)
        # Compose programs start one container after the other.
        with ThreadPoolExecutor(max_workers=len(hosts)) as pool:
            list(pool.map(lambda host: self.engine.start(host.container), hosts.values()))
        running_roles = self.find_running_roles()
        for host in hosts.values():
            if host.role not in running_roles:
                message = f"host {host.role}: container {host.container} did not start"
                raise TestbedError(message, evidence=self.engine.last_output(host.container, 20))
        return hosts

    def _write_syscall_filter(self, folder: Path) -> Path | None:
        """Write the filter of system calls for hosts; None where the engine's own is as it should be."""
        profile = self.engine.syscall_filter
        return seccomp.write(profile, folder / seccomp.FILE) if profile else None

    def find_running_roles(self) -> set[str]:
        """Return the roles whose hosts run now, according to the engine, and remember their containers."""
        listed = {
            container_name(container): container
            for container in self._own_containers()
            if is_running(container)
        }
        running = {name: str(container.get("Id") or container.get("ID")) for name, container in listed.items()}
        names = {role: naming.container(self.short_id, role) for role in self.topology.hosts}
        self._pids = {role: int(listed[name].get("Pid") or 0) for role, name in names.items() if name in listed}
        self.containers = {role: running[name] for role, name in names.items() if name in running}
        self.started |= set(self.containers)
        return set(self.containers)

    def find_stopped_host(self, *, ignored: Iterable[str] = ()) -> str:
        """Return which host has stopped since an earlier call, and why; empty if none has.

        Hosts of the roles ``ignored`` may stop.  Raises TestbedError if the
        engine fails.
        """
        engine = self.engine.uninterruptible  # a host may stop while the run is being interrupted
        running = {
            role
            for container in engine.containers(self.labels)
            if (role := naming.role_of(labels_of(container))) in self.topology.hosts
            and container["State"] in ("running", "stopping", "restarting")
        }
        stopped = self._known_running - running - set(ignored)
        self._known_running |= running
        reasons = (Host(engine, self.host(role).container, role).why_not_running() for role in sorted(stopped))
        return next(filter(None, reasons), "")

    def roles_with_container(self) -> set[str]:
        """Return the roles that have a container, running or not."""
        names = {container_name(container) for container in self._own_containers()}
        return {role for role in self.topology.hosts if naming.container(self.short_id, role) in names}

    def remove(self, roles: Iterable[str]) -> None:
        """Remove the containers of these roles; the network and the others stay."""
        if names := [self.host(role).container for role in roles]:
            self.engine.remove_containers(*names)

    def host(self, role: str) -> Host:
        """Return the host of a role, whether it runs or not."""
        fqdn, container = self.topology.hosts[role], naming.container(self.short_id, role)
        return Host(self.engine, container, role, fqdn, has_tools=self.has_tools)

    def describe(self, roles: Sequence[str]) -> TestbedHosts:
        """Return the descriptions of the running hosts of these roles and their network."""
        hosts = [self.host(role) for role in roles]
        containers = self.engine.inspect_all([host.container for host in hosts])
        return TestbedHosts(
            name=self.topology.name,
            network=self.project,
            hosts=tuple(
                _host_info(host, inspected)
                for host, inspected in zip(hosts, containers, strict=True)
            ),
        )

    def down(self) -> list[str]:
        """Remove everything that has this run's labels; return the kinds and names of what was removed."""
        return self.engine.remove_labelled(self.labels)


def _host_info(host: Host, inspected: dict[str, Any]) -> HostInfo:
    networks = inspected.get("NetworkSettings", {}).get("Networks", {})
    address = next((str(network.get("IPAddress", "")) for network in networks.values()), "")
    return HostInfo(
        role=host.role,
        container=host.container,
        fqdn=host.fqdn,
        address=address,
        image=str(inspected.get("ImageName") or inspected.get("Config", {}).get("Image", "")),
        image_id=str(inspected.get("Image", "")).removeprefix("sha256:"),
        privileges=privileges_of(inspected),
    )


def wait_booted(host: Host) -> str:
    """Wait until systemd has booted; return its state (running or degraded), and a line for each failed unit.

    Raises TestbedError if it has not booted within the limit ``boot``.
    """
    completed = host.script(
        # The bus may not be there yet in the first moments; --wait then ends at once.
        "until state=$(systemctl is-system-running --wait 2>/dev/null) || [ \"$state\" = degraded ]; "
        "do sleep 0.1; done; echo \"$state\"; systemctl --failed --plain --no-legend || true",
        Request(timeout=host.engine.runner.limits("boot"), check=False),
    )
    if not completed.ok:
        raise TestbedError(
            f"host {host.role}: systemd is not up after {completed.seconds:.0f} s: {completed.reason}",
            evidence=host.run(Request(["journalctl", "--no-pager", "-n", "40"], check=False)).output,
        )
    return completed.stdout.strip()


def install_trust(host: Host, ca: RunCA, *, names: Sequence[str]) -> None:
    """Make a host trust the run's CA and give it a host certificate for its names."""
    certificates = "/etc/grid-security/certificates"
    ca_pem = ca.certificate_pem
    certificate = ca.issue(names[0], alt_names=names)
    host.put(
        FileSpec("/etc/itb/ca.pem", ca_pem),
        FileSpec(f"{certificates}/{ca.subject_hash}.0", ca_pem),
        FileSpec(f"{certificates}/{ca.subject_hash}.signing_policy", ca.signing_policy.encode()),
        FileSpec("/etc/grid-security/hostcert.pem", certificate.certificate_pem),
        FileSpec("/etc/grid-security/hostkey.pem", certificate.key_pem, mode=0o600),
        then=_TRUST_CA,
        request=Request([ca.subject_hash], about="trust the run's CA"),
    )
