"""Examining whether a run can work on this machine; each finding has a remedy."""

from __future__ import annotations

import functools
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from itb.config import lookup
from itb.config.platform import Platform
from itb.config.settings import Settings
from itb.containers import cgroups, firewall, naming
from itb.containers.connection import connect, may_raise_limits, podman_env
from itb.containers.engine import Engine
from itb.containers.host import Host
from itb.errors import ExitCode, ItbError, TestbedError
from itb.isolation import REMEDY, Isolation
from itb.machine import cleanup, requirements
from itb.machine import network as machine_network
from itb.machine.requirements import Finding, Level, bad, ok, warn
from itb.platforms import images
from itb.process.request import Request
from itb.process.runner import Runner
from itb.rundir.directory import RunDir
from itb.testbed.testbed import wait_booted
from itb.util.text import count

_PLATFORM_GB = 4.0  # space in the engine's store that building a platform takes


def examine(settings: Settings, *, deep: bool = False) -> list[Finding]:
    """Examine everything that a run needs; with ``deep``, also start two containers of an existing image."""
    findings = [*requirements.examine_programs(), *requirements.examine_limits(), *requirements.examine_memory()]
    engine, info = None, {}
    try:
        engine = connect(Runner(limits=settings.time_limits), settings.engine, settings.cache_dir)
        info = engine.info()
    except TestbedError as error:
        findings.append(bad("engine", error.message, _engine_remedy(settings.engine)))
    if engine:
        findings += _report_errors(lambda: _examine_engine(engine, info, settings))
    findings += _examine_disks(settings, info)
    findings.append(machine_network.examine_proxies())
    for name in settings.platform:
        findings += _report_errors(functools.partial(_examine_platform, settings, name, engine))
    if engine:
        findings += _report_errors(lambda: [_examine_leftovers(engine, settings.runs_dir)])
        if deep:
            findings += _report_errors(lambda: _try_containers(engine))
    return _without_duplicates(findings)


def _report_errors(examine: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """Yield the findings of an examination; a failure of the engine, or an invalid answer, becomes a finding."""
    try:
        yield from examine()
    except TestbedError as error:
        yield bad("engine", error.message, "is the program of this name the engine itself?")


def exit_code(findings: Sequence[Finding]) -> int:
    """Return 5 if a finding keeps itb from working here, else 0."""
    is_bad = any(finding.level is Level.BAD for finding in findings)
    return TestbedError.exit_code if is_bad else ExitCode.PASSED


def _without_duplicates(findings: Sequence[Finding]) -> list[Finding]:
    return list({(finding.name, finding.observation): finding for finding in findings}.values())


def _engine_remedy(program: str) -> str:
    if shutil.which(program):
        on_machine = "; where it runs in a machine of its own: podman machine init && podman machine start"
        return f"try: {program} info{on_machine if program.endswith('podman') else ''}"
    packages = "podman runc netavark aardvark-dns iptables uidmap slirp4netns"
    return f"{requirements.install_hint(packages)}; or --engine docker"


def _examine_engine(engine: Engine, info: dict[str, Any], settings: Settings) -> Iterator[Finding]:
    yield _examine_isolation(engine)
    yield requirements.examine_controllers(engine.controllers)
    yield _examine_cgroups(engine)
    if not engine.is_podman:
        yield ok("engine", f"docker {info.get('ServerVersion', '')}")
        return
    host = info.get("host", {})
    rootless = bool(host.get("security", {}).get("rootless"))
    version = info.get("version", {}).get("Version", "")
    yield ok("engine", f"podman {version}, {'rootless' if rootless else 'as root'}")
    yield requirements.examine_runtime(info, requirements.cgroup_mode())
    yield from requirements.examine_network_helpers(info)
    if rootless and not host.get("serviceIsRemote"):
        yield from requirements.examine_rootless()
    yield _examine_own_configuration(settings.cache_dir)


def _examine_isolation(engine: Engine) -> Finding:
    """Examine whether hosts of a run can be kept from this machine and from other networks."""
    if problem := firewall.why_impossible(engine):
        remedy = requirements.install_hint("nftables") if "not installed" in problem else REMEDY
        return warn("isolation", f"hosts will reach this machine and other networks: {problem}", remedy)
    return ok("isolation", "hosts are kept from this machine and other networks by nftables")


def _examine_cgroups(engine: Engine) -> Finding:
    """Examine whether hosts see their own control groups only."""
    mode = requirements.cgroup_mode()
    if mode not in ("v1", "hybrid"):
        return ok("control groups", f"cgroup {mode or 'of another machine'}: hosts see their own only")
    if "hooks_dir" in _read_text(Path(engine.env.get("CONTAINERS_CONF", ""))):
        return ok("control groups", f"cgroup {mode}: hosts are kept from those of this machine; v2 is better")
    return warn("control groups", f"cgroup {mode}: hosts can write to those of this machine", cgroups.REMEDY)


def _examine_own_configuration(cache: Path) -> Finding:
    """Examine the containers.conf that itb writes where this machine does not allow podman's defaults."""
    users = os.environ.get("CONTAINERS_CONF", "")
    own = podman_env(cache).get("CONTAINERS_CONF", "")
    if users and not may_raise_limits() and "default_ulimits" not in _read_text(Path(users)):
        remedy = "unset CONTAINERS_CONF, and itb makes one; or set default_ulimits in it"
        return warn("containers.conf", f"{users} sets no default_ulimits, limits cannot be raised here", remedy)
    if users:
        return ok("containers.conf", f"your own: {users}")
    if not own:
        return ok("containers.conf", "none needed")
    keys = [line.split(" ")[0] for line in _read_text(Path(own)).splitlines() if " = " in line]
    return ok("containers.conf", f"{own} sets {', '.join(keys)} for this machine")


def _read_text(path: Path) -> str:
    return path.read_text() if path.is_file() else ""


def _examine_disks(settings: Settings, info: dict[str, Any]) -> Iterator[Finding]:
    yield requirements.examine_disk("runs", settings.runs_dir, settings.min_free_gb)
    yield requirements.examine_disk("cache", settings.cache_dir, settings.min_free_gb)
    local = not info.get("host", {}).get("serviceIsRemote")
    root = info.get("store", {}).get("graphRoot") or info.get("DockerRootDir")
    if root and local and Path(root).exists():
        yield requirements.examine_disk("images", Path(root), _PLATFORM_GB)


def _examine_platform(settings: Settings, name: str, engine: Engine | None) -> Iterator[Finding]:
    try:
        platform = lookup.load_platform(name, settings.folders("platforms"))
    except ItbError as error:
        yield bad(f"platform {name}", error.message, "itb platform list shows those there are")
        return
    existing = images.find_sets(engine, platform.name) if engine else []
    if existing:
        yield ok(f"platform {platform.name}", f"images {existing[0].key} of {existing[0].created}")
    elif engine:
        yield ok(f"platform {platform.name}", "no images yet: the first run makes them (some minutes)")
    yield from _examine_bootstrap(platform)
    yield from machine_network.examine(
        platform, settings.platform_options.get(platform.name, {}), images_there=bool(existing)
    )


def _examine_bootstrap(platform: Platform) -> Iterator[Finding]:
    if platform.base.debian and not shutil.which("mmdebstrap"):
        remedy = requirements.install_hint("mmdebstrap")
        yield warn("mmdebstrap", f"not found: {platform.name} needs it where no registry answers", remedy)


def _examine_leftovers(engine: Engine, runs: Path) -> Finding:
    leftovers, kept = [], 0
    for name, folder in cleanup.leftover_runs(engine):
        rundir = RunDir(Path(folder or runs) / name)
        if cleanup.is_kept(rundir):
            kept += 1
        elif not rundir.is_locked():
            leftovers.append(name)
    if leftovers:
        return warn("leftovers", f"hosts or networks of {', '.join(leftovers)}", "itb clean")
    return ok("leftovers", f"none but {count(kept, 'run')} kept on purpose" if kept else "none")


def _try_containers(engine: Engine) -> Iterator[Finding]:
    """Start two containers; check that systemd boots in them and that they find each other by name."""
    existing = images.find_sets(engine)
    if not existing:
        yield warn("systemd", "not tried: no image of a platform is there", "itb platform build deb13")
        return
    name = naming.prefix_of("doctor", secrets.token_hex(4))
    labels = naming.run_labels(name)
    try:
        engine.create_network(name, labels)
        image = existing[0].bare.reference
        hosts = [Host(engine, f"{name}-{side}", "doctor") for side in ("a", "b")]
        for host in hosts:
            engine.start_system(host.container, image, network=name, labels=labels)
        states = [wait_booted(host).splitlines()[0] for host in hosts]
        problem = firewall.set_rules(engine, engine.network(name), Isolation())
        remedy = requirements.install_hint("nftables")
        yield warn("packet filter", problem, remedy) if problem else ok("packet filter", "set for a network")
        yield ok("systemd", f"boots as the first process: {', '.join(states)}")
        answer = hosts[0].run(Request(["getent", "hosts", hosts[1].container], check=False))
        if answer.ok:
            yield ok("network", f"hosts find each other: {answer.stdout.split()[0]}")
        else:
            yield bad("network", "hosts do not find each other by name", requirements.install_hint("aardvark-dns"))
    except TestbedError as error:
        cause = next((line for line in error.evidence.splitlines() if "rror" in line), "")
        yield bad("containers", f"{error.message} {cause}".strip(), "the findings above may say why")
    finally:
        engine.remove_labelled(labels)
