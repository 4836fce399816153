"""Platform deb13 as its hosts see it: a truthful RPM database, EL's names, services that work."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from itb.containers.engine import Engine
from itb.containers.host import FileSpec, Host
from itb.model import PlatformImages
from itb.process.request import Request
from tests.conftest import NewHost

# README of the platform, "What rpm -Va says".
EXPLAINED = {"/etc/dnf/dnf.conf"}
# What GlideinWMS's packages have required over the years, besides each other.
_NAMES = """
condor python3-condor httpd mod_ssl php php-fpm composer initscripts fetch-crl ganglia javascriptrrd
osg-wn-client vo-client voms-clients-cpp rrdtool python3-rrdtool python3-m2crypto python3-requests
python3-jwt python3-cryptography python3-pyyaml python3-scitokens /sbin/chkconfig /sbin/service
/usr/sbin/useradd /usr/sbin/usermod systemd sudo cronie shadow-utils procps-ng which git-core
python3-devel systemd-rpm-macros rpm-build createrepo_c
"""
_VERSIONED = ["python(abi) = 3.13", "httpd >= 2.4", "javascriptrrd >= 1.1.0", "condor >= 8.9.5"]
WANTED = [*_NAMES.split(), *_VERSIONED]


@pytest.fixture(scope="module")
def packages(engine: Engine, images: PlatformImages, own_label: str) -> Iterator[str]:
    """Name of a volume with the platform's repository, for hosts to mount at /srv/repo."""
    name = f"itb-test-{own_label[-6:]}-packages"
    engine.call("volume", "create", "--label", own_label, name)
    try:
        # A new volume takes over what the image has at its mount point.
        mounted = ("--volume", f"{name}:/srv/repo", images.services.reference, "true")
        engine.call("run", "--rm", "--label", own_label, *mounted)
        yield name
    finally:
        engine.call("volume", "rm", "--force", name)


def machine(make: NewHost, kind: str, packages: str) -> Host:
    """A booted host that finds the platform's repository on its own disk."""
    host = make(kind, "--volume", f"{packages}:/srv/repo")
    text = "[itb-platform]\nname=platform\nbaseurl=file:///srv/repo/platform\ngpgcheck=0\n"
    host.put(FileSpec("/etc/yum.repos.d/itb-platform.repo", text.encode()))
    return host


@pytest.fixture(scope="module")
def served(module_hosts: NewHost, packages: str) -> Host:
    """A bare host on which HTCondor and the web server were installed."""
    host = machine(module_hosts, "bare", packages)
    wanted = ["condor", "httpd", "mod_ssl", "php", "python3-pyyaml"]
    host.run(Request(["dnf", "--assumeyes", "install", *wanted], timeout=300))
    return host


def test_database_of_a_fresh_host_is_true(shared_host: Host) -> None:
    lines = shared_host.run(Request(["rpm", "--verify", "--all"], check=False)).stdout.splitlines()
    assert {line.split()[-1] for line in lines} <= EXPLAINED, lines
    known = set(shared_host.call("rpm", "--query", "--all", "--queryformat", "%{name}\n").stdout.split())
    debian = set(shared_host.call("dpkg-query", "--show", "--showformat", "${Package}\n").stdout.split())
    assert known - debian == {"debtorpm-support", "deb13-release", "ca-certificates-el"}
    assert not debian - known


def test_bare_is_bare(shared_host: Host) -> None:
    known = set(shared_host.call("rpm", "--query", "--all", "--queryformat", "%{name}\n").stdout.split())
    assert not known & {"condor", "httpd", "apache2-bin", "nginx", "rpm-build", "git", "python3-yaml", "sudo"}
    assert shared_host.call("readlink", "/proc/1/exe").stdout.strip() == "/usr/lib/systemd/systemd"
    assert shared_host.call("readlink", "--canonicalize", "/bin/sh").stdout.strip() == "/usr/bin/bash"
    assert shared_host.call("systemctl", "list-units", "--failed", "--no-legend").stdout == ""
    timers = shared_host.call("systemctl", "list-timers", "--no-legend", "--all").stdout
    assert "apt" not in timers
    assert "dnf" not in timers


def test_hosts_have_ids_of_their_own(new_host: NewHost, shared_host: Host) -> None:
    ids = {host.call("cat", "/etc/machine-id").stdout.strip() for host in (shared_host, new_host())}
    assert len(ids) == 2
    assert all(len(one) == 32 for one in ids)


def test_repository_is_closed(module_hosts: NewHost, packages: str) -> None:
    host = machine(module_hosts, "build", packages)
    look = ["dnf", "repoclosure", "--repo", "itb-platform", "--check", "itb-platform"]
    done = host.run(Request(look, check=False))
    assert done.ok, done.output


def test_names_of_el_are_met(module_hosts: NewHost, packages: str) -> None:
    host = machine(module_hosts, "bare", packages)
    host.run(Request(["dnf", "--assumeyes", "--downloadonly", "install", *WANTED], timeout=300))


def test_nothing_is_started_or_enabled_by_an_installation(served: Host) -> None:
    for unit in ("condor", "httpd", "php-fpm"):
        assert served.run(Request(["systemctl", "is-enabled", unit], check=False)).stdout.strip() == "disabled"
        assert served.run(Request(["systemctl", "is-active", unit], check=False)).stdout.strip() == "inactive"


def test_installed_packages_verify(served: Host) -> None:
    lines = served.run(Request(["rpm", "--verify", "--all"], check=False)).stdout.splitlines()
    assert {line.split()[-1] for line in lines} <= {*EXPLAINED, "/etc/yum.repos.d/itb-platform.repo"}, lines


def test_web_server_in_els_layout(served: Host) -> None:
    served.put(
        FileSpec(
            "/etc/httpd/conf.d/own.conf",
            b"Alias /own /srv/own\n<Directory /srv/own>\nRequire all granted\n</Directory>\n",
        ),
        FileSpec("/srv/own/file", b"served\n"),
        FileSpec("/var/www/html/x.php", b"<?php echo 6 * 7;"),
    )
    served.call("systemctl", "start", "httpd")  # which brings php-fpm with it
    assert served.call("curl", "-sS", "http://localhost/own/file").stdout == "served\n"
    assert served.call("curl", "-sSk", "https://localhost/own/file").stdout == "served\n"
    assert served.call("curl", "-sS", "http://localhost/x.php").stdout == "42"
    status = ["curl", "-sS", "--output", "/dev/null", "--write-out", "%{http_code}", "http://localhost/"]
    assert served.call(*status).stdout == "403", "EL lists no empty document root"
    users = served.call("ps", "-o", "user=", "-C", "apache2").stdout.split()
    assert set(users) == {"root", "apache"}
    served.put(FileSpec("/etc/httpd/conf.d/own.conf", b"Nonsense on\n"))
    assert not served.run(Request(["systemctl", "restart", "httpd"], check=False)).ok, (
        "a syntax error keeps it from starting"
    )


def test_an_update_of_the_web_server_leaves_it_enabled_and_removing_it_does_not(served: Host) -> None:
    names = ["httpd", "php-fpm"]
    served.call("systemctl", "enable", *names)
    served.run(Request(["dnf", "--assumeyes", "reinstall", *names], timeout=120))
    assert served.call("systemctl", "is-enabled", *names).stdout.split() == ["enabled", "enabled"]
    served.call("systemctl", "disable", "--now", *names)


def test_htcondor_runs_a_job(served: Host) -> None:
    config = b"""CONDOR_HOST = 127.0.0.1
DAEMON_LIST = MASTER, COLLECTOR, NEGOTIATOR, SCHEDD, STARTD
SEC_DEFAULT_AUTHENTICATION_METHODS = FS
NEGOTIATOR_INTERVAL = 2
NEGOTIATOR_MIN_INTERVAL = 1
NEGOTIATOR_CYCLE_DELAY = 1
SCHEDD_INTERVAL = 2
RUNBENCHMARKS = False
START = True
"""
    served.put(FileSpec("/etc/condor/config.d/90-test.conf", config))
    served.call("systemctl", "start", "condor")
    served.script(
        "for i in $(seq 60); do condor_status -startd -af Name 2>/dev/null | grep -q . && break; sleep 0.5; done"
    )
    served.script("useradd --create-home worker")
    served.put(
        FileSpec(
            "/home/worker/job", b"executable=/bin/id\ntransfer_executable=false\noutput=out\nlog=log\nqueue\n"
        )
    )
    served.call("chown", "-R", "worker:", "/home/worker")
    served.run(Request(["condor_submit", "job"], user="worker", cwd="/home/worker"))
    served.run(Request(["condor_wait", "-wait", "60", "log"], user="worker", cwd="/home/worker", timeout=90))
    assert "(" in served.call("cat", "/home/worker/out").stdout


def test_trust_is_added_either_way(shared_host: Host) -> None:
    verified = shared_host.script(
        """
        cd "$(mktemp -d)"
        openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=itb-trust-test -keyout k -out c.pem 2>/dev/null
        before=$(wc -c </etc/pki/tls/cert.pem)
        cp c.pem /etc/pki/ca-trust/source/anchors/itb-test.pem && update-ca-trust
        openssl verify -CAfile /etc/pki/tls/certs/ca-bundle.crt c.pem
        rm /etc/pki/ca-trust/source/anchors/itb-test.pem && update-ca-trust
        [ "$before" = "$(wc -c </etc/pki/tls/cert.pem)" ] && echo as before
        """
    )
    assert verified.stdout == "c.pem: OK\nas before\n"
