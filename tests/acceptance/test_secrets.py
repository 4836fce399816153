"""Secrets planted wherever a run collects from: none is in anything it leaves, prints or shows in ps."""

from __future__ import annotations

import base64
import functools
import gzip
import http.server
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from itb.data import shipped
from itb.source import embedded

KEY = "\n".join("MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQ" + letter * 14 for letter in "abcdefgh")
PIN = "8391-2274-55"
PASSWORD = "wirelock-tangent-7"
SECRETS = {
    "token": "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJwbGFudGVkLWFsbC1vdmVyIn0.MEUCIQDplantedsignature0123456789",
    "Vault token": "hvs.CAESIplantedplantedplantedplanted01",
    "old Vault token": "s.plantedplanted0123456789",
    "bearer": "Authorization: Bearer opaque-planted-bearer-value",
    "header": '{"X-Vault-Token": "opaque-planted-header-value"}',
    "URL": "https://someone:plantedpassword@example.org/x",
    "key": f"-----BEGIN PRIVATE KEY-----\n{KEY}\n-----END PRIVATE KEY-----",
    "PIN": f"pin {PIN}",
}
# What must be nowhere: of each secret the part that is one.
NEEDLES = {
    "token": "eyJzdWIiOiJwbGFudGVkLWFsbC1vdmVyIn0",
    "signature": "MEUCIQDplantedsignature",
    "Vault token": "CAESIplanted",
    "old Vault token": "s.plantedplanted",
    "bearer": "opaque-planted-bearer",
    "header": "opaque-planted-header",
    "URL": "plantedpassword",
    "key": "ggSjAgEAAoIBAQ",
    "PIN": PIN,
    "password of the source": PASSWORD,
    "caller's bearer token": "opaque-bearer-token-of",
}
BEARER = "opaque-bearer-token-of-the-caller"  # in the environment itb is started in
ON_A_COMMAND_LINE = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJpbi1wcyJ9.MEQCIcommandline0123456789"
EVERYTHING = "".join(f"{secret}\n" for secret in SECRETS.values())
# Nothing that is on a command line of the test's own, or in a file that is no artifact, is a secret in clear.
PRINT = f"echo {base64.b64encode(EVERYTHING.encode()).decode()} | base64 -d"

CONFIGURE = f"""
say() {{ {PRINT}; }}
say
say >&2
folder=/var/log/pocketwms/factory
say >$folder/plain.log
say | gzip >$folder/packed.log.gz
{{ say; printf '\\0'; }} >$folder/binary.log
say | iconv --to-code=utf-16 >$folder/wide.log
say | xz >$folder/packed.log.xz
{{ printf '\177ELF'; say; }} >$folder/core.4711.log
tar --create --file=$folder/packed.tar.log --directory=$folder plain.log
say | base64 >$folder/encoded.log
echo "data:$(say | base64 --wrap=0)" >>$folder/encoded.log
say | fold --width=64 >$folder/folded.log
{{ head --bytes=1048570 /dev/zero | tr '\\0' x; echo; say; }} >$folder/long.log
touch "$folder/$(say | head --lines=1).log"
say | sed 's/^/# /' >>/etc/pocketwms/factory.yaml
say | systemd-cat --identifier=planted
env "TOKEN=$(say | head --lines=1)" env
"""

SCENARIO = f"""
title: Prints all it knows
independent: true
needs: {{roles: [frontend, factory], token: true}}
steps:
  - name: prints and fails
    role: frontend
    run: {PRINT}; {PRINT} >&2; exit 1
  - name: prints TAP
    role: frontend
    script: tap.sh
  - name: writes JUnit XML
    role: frontend
    script: junit.sh
  - name: prints the run's own token
    role: frontend
    run: cat "$ITB_BEARER_TOKEN_FILE" >&2; exit 1
  - name: leaves a process with a token
    role: factory
    run: setsid sh -c 'exec -a "worker --token={ON_A_COMMAND_LINE}" sleep 900' >/dev/null 2>&1 </dev/null &
"""

TAP = f"""#!/bin/bash
token=$({PRINT} | head --lines=1)
echo 1..2
echo "ok 1 - $token is good"
echo "not ok 2 - no $token"
{PRINT} | sed 's/^/# /'
"""

JUNIT = f"""#!/bin/bash
mkdir -p "$ITB_RESULTS"
say() {{ {PRINT}; }}
token=$(say | head --lines=1)
cat >"$ITB_RESULTS/results.xml" <<XML
<testsuite name="$token">
<testcase classname="c" name="$token"><failure message="no $token"><![CDATA[$(say)]]></failure></testcase>
<system-out><![CDATA[$(say)]]></system-out></testsuite>
XML
say | gzip >"$ITB_RESULTS/packed.gz"
say >"$ITB_RESULTS/$token.txt"
"""

HOOK = """#!{python}
import base64, json, os, pathlib, sys
from itb.tokens.issuer import Issuer
asked = json.load(sys.stdin)
run = pathlib.Path({runs!r}) / asked["run_id"]
token = Issuer.load(run / "tokens").mint(asked["audience"])
print(base64.b64decode({everything!r}).decode(), dict(os.environ), token, file=sys.stderr)
with pathlib.Path({minted!r}).open("a") as file:
    print(token, file=file)
if pathlib.Path({minted!r}).read_text().count("\\n") == 1:
    sys.exit(4)
print(json.dumps({{"version": 1, "token": token}}))
"""


@pytest.fixture
def product(tmp_path: Path) -> str:
    """Folder of a pocketwms whose configuration script says too much."""
    folder = tmp_path / "products" / "pocketwms"
    shutil.copytree(shipped.folder("build_ws") / "products" / "pocketwms", folder)
    with (folder / "factory.sh").open("a") as script:
        script.write(CONFIGURE)
    return str(folder)


@pytest.fixture
def source(tmp_path: Path) -> Iterator[str]:
    """URL with a password of a source whose ReleaseManager, scriptlets and commit say too much."""
    file = shipped.folder("build_ws") / "products" / "pocketwms" / "history.yaml"
    bare = embedded.make_repository(file, tmp_path / "served")
    work = tmp_path / "work"
    git = functools.partial(subprocess.run, check=True, capture_output=True)
    git(["git", "clone", "--quiet", "--branch", "main", bare, work])
    manager = work / "build" / "ReleaseManager" / "release.py"
    text = manager.read_text()
    encoded = base64.b64encode(EVERYTHING.encode()).decode()
    planted = f"import base64\nprint(base64.b64decode({encoded!r}).decode(), flush=True)\nimport argparse\n"
    manager.write_text(text.replace("import argparse\n", planted, 1))
    spec = work / "build" / "packaging" / "rpm" / "pocketwms.spec"
    spec.write_text(f"{spec.read_text()}\n%posttrans libs\n{PRINT}\n")
    commit = ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "--quiet", "--all"]
    git(["git", "-C", work, *commit, "--message", f"say {SECRETS['token']}"])
    git(["git", "-C", work, "push", "--quiet", bare, "HEAD:refs/heads/planted"])
    git(["git", f"--git-dir={bare}", "update-server-info"])
    with serve(bare.parent) as port:
        yield f"http://someone:{PASSWORD}@127.0.0.1:{port}/{bare.name}"


@contextmanager
def serve(folder: Path) -> Iterator[int]:
    """Serve a folder to whoever has the password; yields the port."""
    wanted = "Basic " + base64.b64encode(f"someone:{PASSWORD}".encode()).decode()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            GIT_SEEN.wait(20)  # git lives for a moment only: nothing is served before it was looked at
            if self.headers.get("Authorization") != wanted:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="x"')
                self.end_headers()
                return
            super().do_GET()

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()


class Processes(set[str]):
    """Command lines; ``heirs`` are those of processes other than itb that have the caller's bearer token."""

    def __init__(self) -> None:
        super().__init__()
        self.heirs: set[str] = set()


GIT_SEEN = threading.Event()  # set by watched_processes when it has seen git fetch


@contextmanager
def watched_processes() -> Iterator[Processes]:
    """Every command line of the machine while the block runs."""
    seen = Processes()
    ended = threading.Event()

    def watch() -> None:
        known: set[tuple[str, bytes]] = set()
        while not ended.wait(0.1):
            for process in Path("/proc").glob("[0-9]*"):
                try:
                    line = (process / "cmdline").read_bytes()
                    if (process.name, line) in known:
                        continue
                    shown = line.replace(b"\0", b" ").decode("utf-8", "replace")
                    seen.add(shown)
                    if " run --platform " not in shown and BEARER.encode() in (process / "environ").read_bytes():
                        seen.heirs.add(shown)
                    if b"git-remote-http" in line:
                        GIT_SEEN.set()
                    known.add((process.name, line))
                except OSError:
                    continue  # it has ended

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()


def plant(tmp_path: Path) -> tuple[Path, str]:
    """Write scenario, hook and configuration; return where the hook notes its tokens, and the scenario."""
    folder = tmp_path / "chatty"
    folder.mkdir()
    for name, text in (("scenario.yaml", SCENARIO), ("tap.sh", TAP), ("junit.sh", JUNIT)):
        (folder / name).write_text(text)
    minted = tmp_path / "minted"
    hook = tmp_path / "hook"
    runs, everything = str(tmp_path / "runs"), base64.b64encode(EVERYTHING.encode()).decode()
    hook.write_text(HOOK.format(python=sys.executable, runs=runs, everything=everything, minted=str(minted)))
    hook.chmod(0o755)
    (tmp_path / "itb.yaml").write_text(f"token: {{command: {{command: [{hook}], pass_env: [HOOK_PIN]}}}}\n")
    return minted, str(folder)


def test_no_secret_is_left(itb_run: Callable[..., Any], tmp_path: Path, product: str, source: str) -> None:
    minted, scenario = plant(tmp_path)
    options = ("--ref", "planted", "--scenario", scenario, "--token-hook", "command")
    with watched_processes() as processes:
        env = {"HOOK_PIN": PIN, "ITB_SOURCE": source, "BEARER_TOKEN": BEARER}
        run = itb_run(*options, product=product, env=env)
    needles = {**NEEDLES, "on a command line": "MEQCIcommandline"}
    for number, token in enumerate(minted.read_text().split()):
        needles[f"token {number} of the run"] = token.rpartition(".")[2]
        needles[f"payload of token {number}"] = token.split(".")[1]
    assert any("git-remote-http" in line for line in processes)  # what shows the password, had it one
    leaks = [f"{what} in ps: {line[:200]}" for what, needle in needles.items() for line in processes
             if needle in line and "worker --token" not in line]  # fmt: skip
    leaks += [f"{what} in the output" for what, needle in needles.items() if needle in run.out + run.err]
    leaks += list(search(run.folder, needles))
    leaks += [f"the caller's bearer token in the environment of {line[:200]}" for line in processes.heirs]
    assert not leaks, "\n".join(leaks) + run.story
    assert not any((run.folder / "tokens").iterdir())
    assert run.code == 2, run.story
    check_that_it_was_looked_for(run)


def search(folder: Path, needles: dict[str, str]) -> Iterator[str]:
    """Say which needle is in which file or name below a folder; packed files are unpacked."""
    for path in folder.rglob("*"):
        content = os.fsencode(str(path.relative_to(folder))) + b"\n"
        if path.is_file() and path.suffix != ".rpm":  # the candidate's own, signed as it is
            content += path.read_bytes()
            if content.partition(b"\n")[2].startswith(b"\x1f\x8b"):
                content += gzip.decompress(path.read_bytes())
        content += content.replace(b"\0", b"")  # UTF-16
        for what, needle in needles.items():
            if any(form in content for form in (needle.encode(), *in_base64(needle))):
                yield f"{what} in {path}"


def in_base64(needle: str) -> Iterator[bytes]:
    """What stands in the base64 of a text that has the needle in it, wherever it begins."""
    for before in range(3):
        whole = base64.b64encode(bytes(before) + needle.encode())
        yield whole[(8 * before + 5) // 6 : 8 * (before + len(needle)) // 6]


def check_that_it_was_looked_for(run: Any) -> None:
    """The places were collected from, or their files left out by name."""
    host, setup = run.folder / "hosts" / "factory", run.folder / "setup" / "factory"
    logs = host / "var" / "log" / "pocketwms" / "factory"
    results = run.folder / "results" / "chatty"
    places = [
        run.folder / "run.json", run.folder / "cases.jsonl", run.folder / "junit.xml", run.folder / "report.html",
        run.folder / "state" / "commit.json", setup / "install.log", setup / "configure.log",
        setup / "configuration.diff", host / "journal.txt", host / "processes.txt", logs / "plain.log",
        logs / "long.log", logs / "encoded.log", logs / "folded.log",
        results / "01-prints-and-fails.log", results / "02-prints-tap.log",
        results / "04-prints-the-run-s-own-token.log", results / "03-writes-junit-xml" / "results.xml",
        results / "03-writes-junit-xml" / "[redacted].txt", run.folder / "build" / "release-manager.log",
    ]  # fmt: skip
    silent = [str(path) for path in places if not path.is_file() or b"[redacted]" not in path.read_bytes()]
    assert not silent
    assert (logs / "[redacted].log").is_file()
    left_out = (host / "left-out.txt").read_text()
    assert all(name in left_out for name in (
        "packed.log.gz", "packed.log.xz", "packed.tar.log", "core.4711.log", "binary.log", "wide.log",
    ))  # fmt: skip
    assert "packed.gz" in next(results.glob("03-*/left-out.txt")).read_text()
