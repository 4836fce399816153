"""Checks of what other programs read: units, tmpfiles.d, sysusers.d, and files for logrotate, cron and httpd."""

import grp
import pwd
import re
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

_FOLDER = r"(?:/usr)?(?:/lib|/etc)/systemd/system/"
_UNIT = re.compile(_FOLDER + r"[^/]+\.(?:service|socket|timer|path|mount|automount|target|slice)$")
_DROP_IN = re.compile(_FOLDER + r"([^/]+)\.d/[^/]+\.conf$")
# systemd says so of units that it takes as they are.
_TAKEN = re.compile(
    r"legacy directory|deprecated|is marked (world-)?(executable|inaccessible|writable)|obsolete"
    r"|lacks a native systemd unit|(man|help) page|Duplicate line",
    re.IGNORECASE,
)
_USER = re.compile(r"(User|Group)\s*=\s*([A-Za-z_][\w.-]*)\s*$")
_AT = re.compile(r"^\[?(/[^:\]]+):(\d+)\]?:? (.*)")
_TIME = re.compile(r"(?:[*\d,/~-]|[A-Za-z]{3})+$")
_CRON_WORDS = {"@reboot", "@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"}


def units(files):
    """Yield what systemd says of the packages' own units, and users of theirs that nobody has made."""
    own = {file.path: file for file in files if _UNIT.match(file.path) or _DROP_IN.match(file.path)}
    names = sorted(path for path in own if _UNIT.match(path))
    names += sorted({_DROP_IN.match(path).group(1) for path in own if _DROP_IN.match(path)})
    if not names:
        return
    labels = {Path(path).name.replace("@.", "@"): path for path in own}
    seen = set()
    for line in said(["systemd-analyze", "verify", "--man=no", *names]):
        match = _AT.match(line)
        if match and match.group(1) in own:
            finding = f"{match.group(1)}:{match.group(2)}: {match.group(3)}"
        else:
            name = re.sub(r"@[^.]*\.", "@", line.split(": ")[0])
            if name not in labels:
                continue
            finding = f"{Path(labels[name]).parent}/{line}"
        if finding not in seen and not _TAKEN.search(line):
            seen.add(finding)
            yield finding
    for path, file in sorted(own.items()):
        text = file.content().decode("utf-8", "replace")
        for number, line in enumerate(text.splitlines(), 1):
            match = _USER.match(line)
            if match and "DynamicUser" not in text and not exists(*match.groups()):
                yield f"{path}:{number}: no {match.group(1).lower()} {match.group(2)} on this host"


def exists(kind, name):
    try:
        (pwd.getpwnam if kind == "User" else grp.getgrnam)(name)
    except KeyError:
        return False
    return True


def systemd_tool(files, folder, tool):
    """Yield what systemd-tmpfiles or systemd-sysusers says of files; it works in an empty root of its own."""
    pattern = re.compile(r"(/usr/lib|/etc)/" + re.escape(folder) + r"/[^/]+\.conf$")
    paths = [file.path for file in files if pattern.match(file.path)]
    with tempfile.TemporaryDirectory() as root:
        Path(root, "etc").mkdir()
        for name in ("passwd", "group"):
            shutil.copy("/etc/" + name, root + "/etc/" + name)
        for path in paths:
            Path(root + path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, root + path)
            create = ["--create"] if tool == "systemd-tmpfiles" else []
            for line in said([tool, "--root=" + root, *create, path]):
                match = _AT.match(line.replace(root, ""))
                if match and match.group(1) == path and not _TAKEN.search(line):
                    yield f"{path}:{match.group(2)}: {match.group(3)}"


def logrotate(files):
    """Yield what logrotate says of files, all of them at once: a log may be in one of them only."""
    paths = [file.path for file in files if re.match(r"/etc/logrotate\.d/[^/]+$", file.path)]
    if not paths:
        return
    with Tool("logrotate"):
        for line in said(["logrotate", "--debug", "--state", "/dev/null", *paths]):
            match = re.match(r"(?:error|warning): (/[^:]+):(\d+):? (.*)", line)
            if match and match.group(1) in paths:
                yield f"{match.group(1)}:{match.group(2)}: {match.group(3)}"
            elif line.startswith("error: Ignoring") and any(path in line for path in paths):
                yield next(path for path in paths if path in line) + ": " + line[7:]


class Tool:
    """A program that a host has for as long as it is needed, if a repository has it."""

    def __init__(self, name, program=""):
        self.name, self.program, self.is_ours = name, program or name, False

    def __enter__(self):
        if not shutil.which(self.program, path="/usr/sbin:/usr/bin"):
            command = ["dnf", "--assumeyes", "--quiet", "--setopt=install_weak_deps=False", "install", self.name]
            self.is_ours = not subprocess.run(command, check=False, **_QUIET).returncode

    def __exit__(self, *_):
        if self.is_ours:
            subprocess.run(["dnf", "--assumeyes", "--quiet", "remove", self.name], check=False, **_QUIET)


_QUIET = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def cron(files):
    """Yield what cron passes over: lines of other forms, users who are not there, files that it does not trust."""
    for file in files:
        if re.match(r"/etc/cron\.(hourly|daily|weekly|monthly)/[^/]+$", file.path) and not file.is_executable:
            yield f"{file.path}: is not executable, so cron passes over it"
        if not re.match(r"/etc/cron\.d/[^/]+$", file.path):
            continue
        if file.mode & 0o022:
            yield f"{file.path}: mode {stat.S_IMODE(file.mode):04o}, so cron passes over it"
        for number, line in enumerate(file.content().decode("utf-8", "replace").splitlines(), 1):
            problem = cron_line(line.strip())
            if problem:
                yield f"{file.path}:{number}: {problem}"


def cron_line(line):
    """Return what is wrong with a line of a file in cron.d; empty if nothing is."""
    if not line or line.startswith("#") or re.match(r"[A-Za-z_]\w*\s*=", line):
        return ""
    words = line.split()
    count = 1 if words[0].startswith("@") else 5
    times, rest = words[:count], words[count:]
    if count == 1 and words[0] not in _CRON_WORDS:
        return f"no such time: {words[0]}"
    for word in times if count > 1 else ():
        if not _TIME.match(word):
            return f"no such time: {word}"
    if len(rest) < 2:
        return "a line has a time, a user and a command"
    if not exists("User", rest[0].lstrip("-")):
        return f"no user {rest[0]} on this host"
    # A line that is to do without says so: [ -x PROGRAM ] && PROGRAM
    is_gone = re.match(r"/(usr/|s?bin/)[^\s$;|&]+$", rest[1]) and not Path(rest[1]).exists()
    return f"{rest[1]} does not exist" if is_gone else ""


def httpd(files):
    """Yield what httpd says of its configuration where it is a package's own file that it refuses."""
    paths = {file.path for file in files if re.match(r"/etc/httpd/conf(\.\w+)?\.d/|/etc/httpd/conf", file.path)}
    if not paths or not shutil.which("httpd"):
        return
    lines = said(["httpd", "-t"])
    for number, line in enumerate(lines):
        match = re.search(r"Syntax error on line (\d+) of ([^:]+):(.*)", line)
        if not match or match.group(2) not in paths:
            continue
        cause = " ".join([match.group(3), *lines[number + 1 : number + 2]]).strip()
        if not re.search(r"file .* does not exist|Cannot open", cause):  # a site makes its certificates
            yield f"{match.group(2)}:{match.group(1)}: {cause}"


def said(command):
    """Return the lines that a checker prints; none if it is not on this host."""
    env = {"PATH": "/usr/sbin:/usr/bin", "LC_ALL": "C", "SYSTEMD_COLORS": "0", "SYSTEMD_LOG_TARGET": "console"}
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
            timeout=120, env=env,
        )  # fmt: skip
    except OSError:
        return []
    return done.stdout.decode("utf-8", "replace").splitlines()
