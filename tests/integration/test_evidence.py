"""Evidence of real hosts: whole, redacted, and never a way out of its folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from itb.containers.host import FileSpec, Host
from itb.process.request import Request
from itb.process.result import Completed
from itb.testbed import logs as testbed_logs
from itb.util.redact import MARK

JWT = b"eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJpdGIifQ.MEUCIQDxabcdefgh"


@pytest.fixture
def logs(shared_host: Host) -> Iterator[str]:
    """A directory of logs on the shared host that goes as the test ends."""
    new_folder = shared_host.call("mktemp", "-d", "/var/log/itb test.XXXXXX").stdout.strip()
    yield new_folder
    shared_host.call("rm", "-rf", new_folder)


def collect(host: Host, folder: Path, *globs: str) -> tuple[dict[str, bytes], list[str]]:
    """Collect and return what came below the logs' directory, and what was left out."""
    left_out = testbed_logs.collect(host, globs, folder)
    paths = [path for path in folder.glob("var/log/itb test*/**/*") if path.is_file()]
    return {"/".join(path.relative_to(folder).parts[3:]): path.read_bytes() for path in paths}, left_out


def test_state_of_the_host(shared_host: Host, tmp_path: Path) -> None:
    assert not testbed_logs.collect(shared_host, [], tmp_path)
    texts = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert "systemd" in texts["journal.txt"]
    assert "systemd-journald.service" in texts["units.txt"]
    assert "systemd-" in texts["packages.txt"]
    assert "trixie" in texts["os-release.txt"]
    assert {"processes.txt", "addresses.txt", "resources.txt"} <= set(texts)


def test_globs_and_odd_names(shared_host: Host, logs: str, tmp_path: Path) -> None:
    names = ["a.log", "b c.log", "-x.log", "$(id).log", "new\nline.log", "ü.log", "deep/er/d.log", "not.txt"]
    shared_host.put(*(FileSpec(f"{logs}/{name}", name.encode()) for name in names))
    collected, left_out = collect(shared_host, tmp_path, f"{logs}/**/*.log", f"{logs}/no-such-*")
    assert collected == {name: name.encode() for name in names[:-1]}
    assert not left_out


def test_name_that_is_no_text(shared_host: Host, logs: str, tmp_path: Path) -> None:
    shared_host.script(r"""cd "$1"; echo fine > $'bad\xff.log'; printf '\0' > $'bin\xff.log'""", Request([logs]))
    collected, left_out = collect(shared_host, tmp_path, f"{logs}/*")
    assert list(collected.values()) == [b"fine\n"]
    assert len(left_out) == 1
    assert "bin\\" in (tmp_path / "left-out.txt").read_text()


def test_secrets_are_redacted_wherever_they_are(shared_host: Host, logs: str, tmp_path: Path) -> None:
    across = b"x" * ((1 << 20) - 20) + b" " + JWT + b" tail\n"
    key = b"-----BEGIN EC PRIVATE KEY-----\n" + b"QUJD" * 16 + b"\n-----END EC PRIVATE KEY-----\n"
    shared_host.put(FileSpec(f"{logs}/across", across), FileSpec(f"{logs}/key.pem", b"a\n" + key + b"z\n"))
    collected, _ = collect(shared_host, tmp_path, f"{logs}/*")
    assert collected["across"].endswith(f" {MARK} tail\n".encode())
    assert collected["key.pem"] == f"a\n{MARK}\nz\n".encode()


def test_what_cannot_be_redacted_is_left_out_by_name(
    shared_host: Host, logs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(testbed_logs, "MAX_FILE_MB", 1)
    make = 'cd "$1"; echo x | gzip > old.log.gz; cp /bin/true core; head -c 3000000 /dev/zero | tr "\\0" x > big'
    shared_host.script(make, Request([logs]))
    collected, left_out = collect(shared_host, tmp_path, f"{logs}/*")
    assert collected == {"big": b"[itb: the middle of 3000000 bytes is left out]\n"}
    left_out_text = (tmp_path / "left-out.txt").read_text()
    cut = f"cut: the middle of {logs}/big (3000000 bytes)"
    assert cut in left_out
    for words in (f"binary: {logs}/old.log.gz", f"binary: {logs}/core", cut):
        assert words in left_out_text


def test_large_log_keeps_head_and_tail(
    shared_host: Host, logs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In whole lines; of a key that the cut goes through, nothing is kept that nobody would know for one."""
    monkeypatch.setattr(testbed_logs, "MAX_FILE_MB", 1)
    key = 'printf "$2\\n%.0s" $(seq 4033); echo "-----END K-----"'
    make = f'cd "$1"; {{ echo first; seq 200000; {key}; echo last; }} > big'
    shared_host.script(make, Request([logs, "QUJD" * 16]))
    collected, left_out = collect(shared_host, tmp_path, f"{logs}/*")
    head, middle, tail = collected["big"].partition(b"[itb: the middle of ")
    assert head.startswith(b"first\n1\n2\n")
    assert len(head) > 250_000
    assert head.endswith(b"\n")
    assert middle
    assert tail.splitlines()[1:] == [b"last"]
    assert [line for line in left_out if line.startswith("cut: ")]


def test_links_pipes_and_directories(shared_host: Host, logs: str, tmp_path: Path) -> None:
    make = 'cd "$1"; ln -s /etc/shadow link; ln -s . loop; mkfifo pipe; mkdir dir.log; ln -s nowhere dead'
    shared_host.script(make, Request([logs]))
    collected, _ = collect(shared_host, tmp_path, f"{logs}/*", f"{logs}/../../../etc/hostname")
    assert not collected
    assert not list(tmp_path.rglob("shadow"))
    assert all(path.is_relative_to(tmp_path) for path in tmp_path.rglob("*"))


def test_growing_file(shared_host: Host, logs: str, tmp_path: Path) -> None:
    grow = 'cd "$1"; seq 1000 > grows; systemd-notify --ready; while true; do seq 1000 >> grows; sleep 0.02; done'
    unit = ("--unit=grow", "--collect", "--property=Type=notify", "--property=NotifyAccess=all")
    shared_host.call("systemd-run", "--quiet", *unit, "bash", "-c", grow, "grow", logs)
    try:
        for _ in range(3):
            collected, _ = collect(shared_host, tmp_path, f"{logs}/*")
    finally:
        shared_host.call("systemctl", "stop", "grow")
    assert collected["grows"].startswith(b"1\n2\n")


def test_host_that_is_gone(new_host: object, tmp_path: Path) -> None:
    from itb.errors import TestbedError

    host: Host = new_host(boot=False)  # type: ignore[operator]
    host.engine.call("kill", host.container)
    with pytest.raises(TestbedError, match="is not running"):
        testbed_logs.collect(host, [], tmp_path)
    assert not (tmp_path / ".evidence.tar").exists()


def test_host_that_is_cut_off(
    shared_host: Host, logs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What had come by then is kept, and the rest is named."""
    shared_host.put(FileSpec(f"{logs}/big", b"text\n" * 1000))
    real = Host.run

    def cut(host: Host, request: Request) -> Completed:
        done, archive = real(host, request), request.stdout_to
        assert archive is not None
        archive.write_bytes(archive.read_bytes().rstrip(b"\0")[:-3000])  # the end is padding
        return done

    monkeypatch.setattr(Host, "run", cut)
    _, left_out = collect(shared_host, tmp_path, f"{logs}/*")
    assert left_out[-1].startswith("the rest: the host did not send all")
    assert (tmp_path / "journal.txt").stat().st_size
