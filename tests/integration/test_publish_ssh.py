"""Publishing by ssh to a real sshd, and each way that can go wrong; on a host of its own."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import pytest

from itb.config import lookup
from itb.containers.host import FileSpec, Host
from itb.errors import InterruptedRunError, ItbError, TestbedError, UsageError
from itb.process import ssh
from itb.process.limits import Limits
from itb.process.request import Request
from itb.process.result import CommandRecord
from itb.process.runner import Runner
from itb.repository import export
from itb.repository.export import Target

SSHD = 22
# No host of a testbed is reached by ssh, so their images have no sshd.
SETUP = """
echo "deb $1 trixie main" >/etc/apt/sources.list
apt-get -qq update || exit 77
DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends openssh-server >/dev/null
echo 'PermitUserEnvironment yes' >/etc/ssh/sshd_config.d/test.conf
printf '%s\n' 'Match User second' 'AuthenticationMethods publickey,password' >/etc/ssh/sshd_config.d/second.conf
install -d /srv/there /srv/full
for user in user second; do
    useradd --create-home --shell /bin/bash "$user"
    install -d -o "$user" -m 0700 "/home/$user/.ssh"
    install -o "$user" -m 0600 "$2" "/home/$user/.ssh/authorized_keys"
done
chown user /srv/there /srv/full
mkdir -m 0700 /srv/closed
systemctl start ssh
"""
# What a key may do besides logging in.
KEYS = {
    "key": "",
    "python": 'environment="PATH=/nowhere" ',
    "slow": 'command="sleep 600" ',
    "forced": 'command="true" ',
    "lost": 'command="kill -9 $PPID" ',
}


@dataclass(frozen=True)
class There:
    """A host with sshd: where it listens on this machine, its line of known_hosts, keys that may log in."""

    host: Host
    port: int
    known: str
    keys: Path
    package: Path

    def settle(self, home: Path, *first: str, key: str = "key", known: str = "") -> None:
        """Write ~/.ssh of a user; ``there`` is the host, lines that come ``first`` count more."""
        folder = home / ".ssh"
        folder.mkdir(mode=0o700)
        if key:
            shutil.copy(self.keys / key, folder / "id_ed25519")
        (folder / "known_hosts").write_text(known or self.known)
        own = ("Host there*", "HostName 127.0.0.1", f"Port {self.port}", "User user")
        (folder / "config").write_text("\n".join((*first, *own, "")))


def make_key(path: Path, passphrase: str = "") -> str:
    """Return the public part of a new key."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", str(path)], check=True)
    return path.with_name(f"{path.name}.pub").read_text()


@pytest.fixture(scope="module")
def there(module_hosts: Callable[..., Host], tmp_path_factory: pytest.TempPathFactory) -> There:
    host = module_hosts("services", "--publish", f"127.0.0.1::{SSHD}", "--tmpfs", "/srv/full:size=64k")
    folder = tmp_path_factory.mktemp("there")
    allowed = "".join(options + make_key(folder / name) for name, options in KEYS.items())
    mirror = str(lookup.load_platform("deb13").settings["mirror"])
    host.put(FileSpec("/root/allowed", allowed.encode()), then=SETUP, request=Request([mirror, "/root/allowed"]))
    port = int(host.engine.call("port", host.container, f"{SSHD}/tcp").stdout.rpartition(":")[2])
    key = host.get("/etc/ssh/ssh_host_ed25519_key.pub").decode()
    (largest, *_) = host.call("sh", "-c", "ls -S /srv/repo/platform/*.rpm | sed -n 10p").stdout.split()
    package = folder / Path(largest).name
    host.run(Request(["cat", largest], stdout_to=package))
    return There(host, port, f"[127.0.0.1]:{port} {key}", folder, package)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory that is empty, of a user without an agent."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return tmp_path


def test_published_twice(there: There, home: Path) -> None:
    """By an alias, with hashed known_hosts; the second time everything is there already."""
    there.settle(home, "Host repo", "HostName 127.0.0.1", "User user", f"Port {there.port}")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(home / ".ssh" / "known_hosts")], check=True)
    noted: list[CommandRecord] = []
    runner = Runner(record=noted.append)
    first = export.copy([there.package], Target("/srv/there/a b", "repo"), runner)
    assert (first.added, first.packages) == ((there.package.name,), 1)
    assert export.copy([there.package], Target("/srv/there/a b", "user@repo"), runner).kept == first.added
    assert there.host.call("stat", "-c", "%s %U", f"/srv/there/a b/{there.package.name}").stdout.split() == [
        str(there.package.stat().st_size), "user",
    ]  # fmt: skip
    assert [(line.host, line.returncode) for line in noted] == [("repo", 0), ("user@repo", 0)]
    assert noted[0].argv == ("receive.py", "/srv/there/a b")

    other = there.package.with_name("other") / there.package.name
    other.parent.mkdir()
    other.write_bytes(there.package.read_bytes()[:-4] + b"none")
    with pytest.raises(UsageError, match=r"^repo:/srv/there/a b: .* is there already, with another content"):
        export.copy([other], Target("/srv/there/a b", "repo"), runner)


def test_way_over_another_host(there: There, home: Path) -> None:
    """Each one's key is checked."""
    key = there.known.partition(" ")[2]
    behind = ("Host behind", "HostName localhost", f"Port {SSHD}", "User user", "ProxyJump there-first")
    there.settle(home, *behind, known=f"{there.known}localhost {key}")
    assert export.copy([there.package], Target("/srv/there/behind", "behind"), Runner()).packages == 1


def failure(host: str, path: str = "/srv/there/x", *, package: Path) -> ItbError:
    """What publishing fails with, in one line."""
    with pytest.raises(ItbError) as caught:
        export.copy([package], Target(path, host), Runner())
    assert "\n" not in caught.value.message + caught.value.hint
    assert caught.value.message.startswith((host, "there-first"))
    return caught.value


@pytest.mark.parametrize(
    ("line", "known", "words", "hint"),
    [
        ("", "other {key}", "its host key is not known: Server '[127.0.0.1]:{port}'", "ssh there"),
        ("StrictHostKeyChecking no", "other {key}", "is not known", "accept it once"),
        ("UserKnownHostsFile ~/.ssh/none", "[127.0.0.1]:{port} {key}", "is not known", "accept it once"),
        ("", "[127.0.0.1]:{port} {other}", "is not the one in known_hosts: ssh-ed25519 S", "another machine"),
        ("", "[127.0.0.1]:{port} {key}@revoked * {key}", "@revoked * ssh-ed25519", "UserKnownHostsFile"),
        ("ProxyJump there-first", "behind {key}", "is not known", "ssh there-first"),
    ],
)
def test_host_key_that_is_not_trusted(
    line: str, known: str, words: str, hint: str, there: There, home: Path
) -> None:
    facts = {"key": there.known.partition(" ")[2], "other": make_key(home / "other"), "port": there.port}
    name = "behind" if "ProxyJump" in line else "there"
    there.settle(home, f"Host {name}", line, known=known.format(**facts))
    error = failure(name, package=there.package)
    assert words.format(**facts) in error.message
    assert hint in error.hint


def test_login_that_is_refused(there: There, home: Path) -> None:
    there.settle(home, key="")
    make_key(home / ".ssh" / "id_ed25519", "secret words")
    error = failure("there", package=there.package)
    assert error.message == "there: no login as user: Private key file is encrypted"
    assert "ssh-add" in error.hint


def test_nobody_is_asked_for_a_second_factor(there: There, home: Path) -> None:
    there.settle(home, "Host there", "User second")
    error = failure("there", package=there.package)
    assert error.message == "there: no login as second: something besides the key is asked for"


def test_key_of_an_agent(there: There, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there.settle(home, key="")
    sock = home / "agent"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(sock)], stdout=subprocess.DEVNULL)
    try:
        while not sock.exists():
            time.sleep(0.01)
        monkeypatch.setenv("SSH_AUTH_SOCK", str(sock))
        subprocess.run(["ssh-add", "-q", str(there.keys / "key")], check=True)
        assert export.copy([there.package], Target("/srv/there/agent", "there"), Runner()).packages == 1
    finally:
        agent.terminate()
        agent.wait()


@pytest.mark.parametrize(
    ("lines", "words", "hint"),
    [
        ("HostName no-such-host.invalid", "unknown host name no-such-host.invalid", "spelled right"),
        ("HostName 127.0.0.1\nPort {free}", "127.0.0.1 port {free}: Connection refused", "does an SSH server run"),
        ("HostName 127.0.0.1\nPort {silent}", "no SSH server answers on 127.0.0.1 port {silent}", "ssh -o"),
        ("HostName 127.0.0.2\nPort {full}", "no answer from 127.0.0.2 port {full} within 1 s", "firewall"),
        ("ProxyJump there\nPort 9", "no way to elsewhere port 9: Connect failed", "ssh -o"),
        ("Nonsense", "Unparsable line Nonsense", "look into ~/.ssh/config"),
    ],
)
def test_host_that_cannot_be_reached(
    lines: str, words: str, hint: str, there: There, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "{silent}" in lines or "{full}" in lines:
        monkeypatch.setattr(ssh, "CONNECT_TIMEOUT", 1)
    with contextlib.ExitStack() as stack:
        silent, full = (
            stack.enter_context(socket.create_server((address, 0), backlog=0))
            for address in ("127.0.0.1", "127.0.0.2")
        )
        unheard = stack.enter_context(socket.socket())  # nobody else can take its port, and nobody listens there
        unheard.bind(("127.0.0.1", 0))
        stack.enter_context(socket.create_connection(full.getsockname()))  # the only one it has room for
        heard = {"free": unheard, "silent": silent, "full": full}
        ports = {name: one.getsockname()[1] for name, one in heard.items()}
        there.settle(home, "Host elsewhere", lines.format(**ports))
        error = failure("elsewhere", package=there.package)
    assert words.format(**ports) in error.message
    assert hint in error.hint


@pytest.mark.parametrize(
    ("key", "path", "words", "hint"),
    [
        ("python", "/srv/there/x", "python3", "install python3 on there"),
        ("key", "/srv/closed/x", "Permission denied", "must be able to write there"),
        ("key", "/srv/full", "No space left", "make room on there"),
        ("forced", "/srv/there/x", "the answer is not that of receive.py", ""),
        ("lost", "/srv/there/x", "the connection was lost", "publish again"),
    ],
)
def test_directory_that_cannot_take_it(
    key: str, path: str, words: str, hint: str, there: There, home: Path
) -> None:
    there.settle(home, key=key)
    error = failure("there", path, package=there.package)
    assert words in error.message
    assert hint in error.hint


def test_limit_is_kept(there: There, home: Path) -> None:
    there.settle(home, key="slow")
    runner = Runner(limits=Limits(overrides={"publish-copy": 2}))
    with pytest.raises(TestbedError, match=r"no end within 2 s \(limit 'publish-copy'\)"):
        export.copy([there.package], Target("/srv/there", "there"), runner)


@pytest.mark.parametrize("by", ["signal", "stop"])
def test_interruption_is_heeded(by: str, there: There, home: Path) -> None:
    there.settle(home, key="slow")
    runner = Runner()

    def interrupt(number: int, _frame: FrameType | None) -> None:
        if by == "signal":
            raise InterruptedRunError("interrupted")
        runner.stop.request()

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 1.5)
        with pytest.raises(InterruptedRunError, match="interrupted"):
            export.copy([there.package], Target("/srv/there", "there"), runner)
    finally:
        signal.signal(signal.SIGALRM, before)
    for thread in threading.enumerate():
        if "paramiko" in type(thread).__module__:
            thread.join(5)
            assert not thread.is_alive()
