"""Running a command on another machine by ssh with fabric, within a time limit and without any prompt.

The connection runs in its own thread, so that the time limit and an
interruption take effect even while it waits for a name server.
"""

from __future__ import annotations

import logging
import shlex
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import paramiko
from fabric import Config, Connection
from paramiko.ssh_exception import NoValidConnectionsError

from itb.errors import ItbError, TestbedError, UsageError
from itb.process.request import Request
from itb.process.result import CommandRecord, Completed
from itb.process.runner import Runner
from itb.util import ownership
from itb.util.redact import redact

CONNECT_TIMEOUT = 20  # seconds; ConnectTimeout of ssh_config replaces it
LOST = 255  # ssh's status, in commands.log, for a command that has no status of its own
_MAX_OUTPUT = 1 << 20  # bytes of each stream that are kept

# Without a handler, paramiko logs failed connections to the terminal, with tracebacks.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


def run(request: Request, runner: Runner) -> Completed:
    """Run a command on the request's host (USER@HOST, or a name of ssh_config) with a file as standard input.

    ``runner`` records the command, gives its default limit (``command``) and
    stops it.  Raises TestbedError with the cause, and a hint what to do, if
    the host cannot be reached.
    """
    started, clock = time.time(), time.monotonic()
    timeout = runner.limits("command") if request.timeout is None else request.timeout
    assert isinstance(request.input, Path), "the input is a file"
    session = _Session(request.host, shlex.join(request.argv), request.input)
    session.start()
    try:
        while session.is_alive() and (seconds_left := clock + timeout - time.monotonic()) > 0:
            if runner.stop.event.is_set():
                raise runner.stop.error()
            session.join(min(0.2, seconds_left))  # interval of checks for an interruption
    finally:
        timed_out = session.is_alive()
        session.hang_up()
    status, seconds = LOST if timed_out else session.status, time.monotonic() - clock
    if runner.record:
        runner.record(CommandRecord(started, request.host, tuple(request.logged_argv), status, seconds))
    if session.error and not timed_out:
        raise session.error
    stdout, stderr = (redact(text.decode("utf-8", "replace")) for text in (session.stdout, session.stderr))
    argv = tuple(request.logged_argv)
    return Completed(argv, status, stdout, stderr, seconds, timed_out=timed_out, limit=timeout)


class _Session(threading.Thread):
    """Connects, runs the command, feeds it and reads its output."""

    def __init__(self, host: str, command: str, input: Path) -> None:
        super().__init__(daemon=True)  # a name server that does not answer must not keep itb from ending
        self.error: ItbError | None = None
        self.status, self.stdout, self.stderr = LOST, b"", b""
        self._host, self._command, self._input = host, command, input
        self._hops: list[Connection] = []
        self._hung_up = threading.Event()

    def run(self) -> None:
        """Connect and run the command; an exception is saved as ``error``."""
        hop = None
        try:
            self._hops = _connections(self._host)
            for hop in self._hops:
                hop.open()
                if self._hung_up.is_set():
                    self.hang_up()
                    return
            self._run_command(self._hops[-1].transport.open_session())
        except ItbError as error:
            self.error = error
        except Exception as error:  # noqa: BLE001 - else lost with the thread, and an invalid key file may raise anything
            self.error = _explain(error, hop)

    def hang_up(self) -> None:
        """Close all connections; one that is still being made is closed when it is open."""
        self._hung_up.set()
        for hop in reversed(self._hops):
            if transport := hop.client.get_transport():  # fabric's close() knows whole connections only
                with suppress(OSError):
                    transport.close()

    def _run_command(self, channel: paramiko.Channel) -> None:
        channel.exec_command(self._command)
        # A command may end before it has read all of its input: its status tells whether that is an error.
        with self._input.open("rb") as file, suppress(OSError):
            while chunk := file.read(1 << 15):
                channel.sendall(chunk)
            channel.shutdown_write()
        self.stdout = channel.makefile("rb").read(_MAX_OUTPUT)
        self.stderr = channel.makefile_stderr("rb").read(_MAX_OUTPUT)
        if (status := channel.recv_exit_status()) < 0:
            raise EOFError
        self.status = status


class _Transport(paramiko.Transport):  # type: ignore[misc] # paramiko has no types
    def auth_interactive_dumb(self, *_: Any, **__: Any) -> None:
        """Refuse a second factor, for which paramiko would ask on the terminal."""
        raise paramiko.AuthenticationException("something besides the key is asked for")


def _connections(host: str) -> list[Connection]:
    """Return the connections to a host, not open yet: those of ProxyJump first, its own last."""
    overrides = {
        "timeouts": {"connect": CONNECT_TIMEOUT},
        "connect_kwargs": {"channel_timeout": CONNECT_TIMEOUT, "transport_factory": _Transport},
    }
    try:
        if (own := Path("~/.ssh/config").expanduser()).exists():
            ownership.read(own)  # it names programs (ProxyCommand); ssh looks at its owner, paramiko does not
        config = Config(overrides=overrides, lazy=True)  # else it would run the code of any ~/.fabric.py
        config.load_ssh_config()
        hops = [Connection(host, config=config)]
        while isinstance(hops[0].gateway, Connection):
            hops.insert(0, hops[0].gateway)
        for hop in hops:
            hop.client.set_missing_host_key_policy(paramiko.RejectPolicy())  # fabric's takes any key
            for path in _known_hosts(hop.ssh_config):
                hop.client.load_system_host_keys(path)
    except UsageError:
        raise
    except Exception as error:  # noqa: BLE001 - each library raises its own for an invalid line
        hint = "look into ~/.ssh/config and known_hosts; UserKnownHostsFile may name one without @ lines"
        raise UsageError(f"{host}: {error}", hint=hint) from None
    return hops


def _known_hosts(settings: Mapping[str, str]) -> list[Path]:
    users = settings.get("userknownhostsfile", "~/.ssh/known_hosts")
    names = f"{users} {settings.get('globalknownhostsfile', '/etc/ssh/ssh_known_hosts')}"
    return [path for path in map(Path.expanduser, map(Path, shlex.split(names))) if path.is_file()]


def _explain(error: Exception, hop: Connection) -> TestbedError:
    """Return an error with the cause in one line, and a hint what to do about it."""
    name, where, reason = hop.original_host, f"{hop.host} port {hop.port}", str(error) or type(error).__name__
    hint = f"ssh -o BatchMode=yes {name} must work"
    if isinstance(error, socket.gaierror):
        reason = f"unknown host name {hop.host}: {error.strerror}"
        hint = "is it spelled right? HostName in ~/.ssh/config gives an alias its real name"
    elif isinstance(error, NoValidConnectionsError):
        reason = f"{where}: {next(iter(error.errors.values())).strerror}"
        hint = "does an SSH server run there, on that port? Port in ~/.ssh/config names another"
    elif isinstance(error, TimeoutError):
        reason = f"no answer from {where} within {hop.connect_timeout} s"
        hint = "is it up, and does a firewall let you through?"
    elif isinstance(error, EOFError):
        reason = "the connection was lost, or what ran there was killed"
        hint = "publish again: what is there already stays as it is"
    elif isinstance(error, paramiko.ChannelException):
        reason = f"no way to {where}: {error.text}"
    elif isinstance(error, paramiko.BadHostKeyException):
        reason = f"its host key is not the one in known_hosts: {error.key.get_name()} {error.key.fingerprint}"
        hint = f"if it was set up anew, ssh {name} says how to forget the old key; if not, this is another machine"
    elif "not found in known_hosts" in reason:
        reason = f"its host key is not known: {reason}"
        hint = f"accept it once, after you have compared it with the host's: ssh {name}"
    elif "protocol banner" in reason or "No existing session" in reason:
        reason = f"no SSH server answers on {where}"
    elif hop.client.get_transport() and not hop.transport:
        reason = f"no login as {hop.user}: {reason}"
        hint = "it takes keys of the agent (ssh-add) or, without a passphrase, of IdentityFile and ~/.ssh/id_*"
    return TestbedError(f"{name}: {reason}", hint=hint)
