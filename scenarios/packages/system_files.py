"""Checks of files that programs read for everybody: sudo, sysctl, the limits of a login, and its shell."""

import re
import subprocess

import configuration

_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin", "HOME": "/", "LC_ALL": "C"}
_PIPES = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
_LIMITS = {
    "core", "data", "fsize", "memlock", "nofile", "rss", "stack", "cpu", "nproc", "as", "maxlogins",
    "maxsyslogins", "nonewprivs", "priority", "locks", "sigpending", "msgqueue", "nice", "rtprio", "chroot",
}  # fmt: skip


def sudoers(files):
    """Yield what sudo says of files that it reads; one that it does not like leaves a host without sudo."""
    own = [file for file in files if re.match(r"/etc/sudoers\.d/[^/.~]+$", file.path)]
    if not own:
        return
    with configuration.Tool("sudo", "visudo"):
        for file in own:
            if file.mode & 0o022:
                yield f"{file.path}: others than root may write to it, so sudo passes over it"
            for line in configuration.said(["visudo", "--check", "--file=" + file.path]):
                match = re.match(r"(?:>>> )?(/\S+?):(\d+)(?::\d+)?: (.*)", line)
                if match and match.group(1) == file.path:
                    yield f"{file.path}:{match.group(2)}: {match.group(3).rstrip()}"
                    break


def sysctl(files):
    """Yield lines that give no key a value."""
    for file in _of(files, r"(/usr/lib|/etc)/sysctl\.d/[^/]+\.conf$"):
        for number, line in _lines(file, "#;"):
            if "=" not in line and not line.startswith("-"):
                yield f"{file.path}:{number}: a line has a key, = and a value: {line}"


def limits(files):
    """Yield lines that pam_limits passes over."""
    for file in _of(files, r"/etc/security/limits\.d/[^/]+\.conf$"):
        for number, line in _lines(file, "#"):
            words = line.split()
            if len(words) < 2 or words[1] not in ("soft", "hard", "-"):
                yield f"{file.path}:{number}: a line has a name, soft, hard or -, an item and a value: {line}"
            elif len(words) > 2 and words[2] not in _LIMITS:
                yield f"{file.path}:{number}: no such item: {words[2]}"
            elif len(words) == 3:
                yield f"{file.path}:{number}: {words[2]} has no value"
            elif re.match(r"[A-Za-z_][\w.-]*$", words[0]) and not configuration.exists("User", words[0]):
                yield f"{file.path}:{number}: no user {words[0]} on this host"


def profile(files):
    """Yield what keeps a shell of a login from going on: who logs in has no other way round."""
    for file in _of(files, r"/etc/profile\.d/[^/]+\.sh$"):
        for shell in ("bash", "sh"):
            command = [shell, "-c", '. "$1"; echo itb-goes-on', shell, file.path]
            try:
                done = subprocess.run(command, check=False, timeout=20, env=_ENVIRONMENT, **_PIPES)
            except (OSError, subprocess.TimeoutExpired):
                yield f"{file.path}: {shell} does not come to its end"
                break
            said = done.stdout.decode("utf-8", "replace").splitlines()
            if "itb-goes-on" not in said:
                why = f": {said[-1]}" if said else ""
                yield f"{file.path}: ends the {shell} that reads it, and so every login{why}"
                break


def _of(files, pattern):
    return [file for file in files if re.match(pattern, file.path)]


def _lines(file, comments):
    """Yield number and text of each line that says something."""
    for number, line in enumerate(file.content().decode("utf-8", "replace").splitlines(), 1):
        if line.strip() and line.strip()[0] not in comments:
            yield number, line.strip()
