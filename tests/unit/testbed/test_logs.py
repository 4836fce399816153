"""Archives a hostile host may send as its evidence, and errors that its logs name."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest

from itb.containers.engine import Engine
from itb.containers.host import Host
from itb.errors import LogLine
from itb.process.request import Request
from itb.process.result import Completed
from itb.process.runner import Runner
from itb.rundir.directory import RunDir
from itb.rundir.logs import list_logs
from itb.testbed import logs


def entry(name: str, *, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.size = kind, link, size
    return member


def pack(path: Path, *entries: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for info, content in entries:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def test_nothing_is_written_but_files_below_the_folder(tmp_path: Path) -> None:
    archive = pack(
        tmp_path / "evidence.tar",
        (entry("../escaped"), b"x"),
        (entry("a/../../escaped"), b"x"),
        (entry(f"{tmp_path}/absolute"), b"x"),
        (entry(f"{tmp_path}/absolute"[1:]), b"x"),
        (entry("link", kind=tarfile.SYMTYPE, link=str(tmp_path)), b""),
        (entry("link/through"), b"x"),
        (entry("hard", kind=tarfile.LNKTYPE, link="/etc/passwd"), b""),
        (entry("pipe", kind=tarfile.FIFOTYPE), b""),
        (entry("device", kind=tarfile.CHRTYPE), b""),
        (entry("var/log/a"), b"a file"),
        (entry("var/log/a/b"), b"below a file"),
        (entry("n" * 400), b"too long"),
        (entry("last"), b"last"),
    )
    out = tmp_path / "out"
    left_out = logs._unpack(archive, out)
    files = {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    absolute = str(tmp_path / "absolute").lstrip("/")
    assert files == {"var/log/a": b"a file", "link/through": b"x", absolute: b"x", "last": b"last"}
    assert not any(path.is_symlink() for path in out.rglob("*"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["evidence.tar", "out"]
    reasons = [*3 * ["leads elsewhere"], *4 * ["a link or a device"], "File exists", "File name too long"]
    assert [reason.partition(":")[0] for reason in left_out] == reasons


def test_too_much_is_left_out_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MAX_HOST_BYTES", 5000)
    archive = pack(tmp_path / "e.tar", (entry("a"), b"12345678"), (entry("b"), b"12345678"))
    assert logs._unpack(archive, tmp_path / "out") == ["too large: /b"]


@pytest.mark.parametrize("content", [b"", b"no archive", b"\0" * 600, b"x" * 512 + b"\xff" * 512])
def test_what_is_no_archive(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "e.tar").write_bytes(content)
    logs._unpack(tmp_path / "e.tar", tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*"))


class FoundRunner(Runner):
    """Stands for the container engine: whatever is run on a host prints this."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

    def run(self, request: Request) -> Completed:
        return Completed(tuple(request.argv), 0, self.text, "", 0.0)


def test_errors_in_logs_come_with_the_line_they_are_in(tmp_path: Path) -> None:
    """A host's log is named by its path there, what a service printed by the log of that; nonsense is left out."""
    log = tmp_path / "x-foreground.log"
    log.write_text("up\nKeyError: 'a'\n")
    rows = [
        ["ERROR: no entry", "/var/log/x/a.log", 7, "12:00 ERROR: no entry"],
        ["KeyError: 'a'", "-", 2, "KeyError: 'a'"],
        ["hostile", 3, -1, None],
    ]
    printed = "".join(f"{json.dumps(row)}\n" for row in rows) + "no JSON\n[]\n{}\n"
    host = Host(Engine(FoundRunner(printed)), "box", "factory")
    output = Completed(("x",), 1, "up\nKeyError: 'a'\n", "", 0.0, log=log)
    assert logs.find_errors(host, ["/var/log/x/*"], output=output) == [
        logs.LogError(
            "ERROR: no entry (a.log)",
            LogLine("12:00 ERROR: no entry", Path("/var/log/x/a.log"), 7, role="factory"),
        ),
        logs.LogError("KeyError: 'a'", LogLine("KeyError: 'a'", log, 2)),
    ]


def test_a_cause_that_logs_of_two_hosts_name_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"ce": "no file /x (SchedLog)", "factory": "no file /x (GridLog)", "frontend": "no file /y (x.log)"}
    hosts = {role: Host(Engine(Runner()), role, role) for role in said}
    monkeypatch.setattr(Host, "is_running", lambda _host: True)
    monkeypatch.setattr(
        logs, "find_errors", lambda host, *_, **__: [logs.LogError(said[host.role], LogLine("", role=host.role))]
    )
    found = logs.find_causes(hosts, {role: ["/var/log/*"] for role in said}, [])
    assert [item.message for item in found] == ["ce: no file /x (SchedLog)", "frontend: no file /y (x.log)"]


def test_evidence_is_never_beside_the_logs_of_itb(tmp_path: Path) -> None:
    """A host that sends an install.log of its own replaced the one that dnf had written here."""
    rundir = RunDir(tmp_path / "run")
    own = rundir.setup_logs("factory") / "install.log"
    own.parent.mkdir(parents=True)
    own.write_text("what dnf said")
    forged = [(entry(name), b"forged") for name in ("install.log", "../../setup/factory/install.log")]
    logs._unpack(pack(tmp_path / "e.tar", *forged), rundir.host("factory"))
    listed = [(log.place, log.path.read_text()) for log in list_logs(rundir)]
    assert listed == [("factory", "what dnf said"), ("factory", "forged")]
