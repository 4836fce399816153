"""What a host is like before and after an operation: units, users, groups and data of the product."""

import grp
import os
import pwd
import subprocess
import time
from pathlib import Path

import package_scripts

MARKER = "itb-was-here"
_MAY_GO = ("/var/cache/", "/var/tmp/", "/var/run/", "/var/lock/")  # nobody keeps anything there
_PROPERTIES = (
    "Id", "ActiveState", "SubState", "Result", "MainPID", "NRestarts", "ExecMainStartTimestampMonotonic"
)  # fmt: skip
_SETTLES = 15  # seconds within which a unit that a script has started is up


def systemctl(*arguments, limit=90):
    """Run systemctl; return its exit status."""
    try:
        command, null = ["systemctl", *arguments], subprocess.DEVNULL
        return subprocess.run(command, stdout=null, stderr=null, timeout=limit, check=False).returncode
    except subprocess.TimeoutExpired:
        return 1


def output(*command):
    """Return what a command prints."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    return done.stdout.decode("utf-8", "replace")


def unit_state(unit):
    """Return the state of a unit: its properties, and whether it is enabled."""
    shown = output("systemctl", "show", *("--property=" + name for name in _PROPERTIES), unit)
    state = dict(line.partition("=")[::2] for line in shown.split("\n"))
    state["enabled"] = is_enabled(unit)
    if state["enabled"] == "alias":  # another name of a unit, which is enabled or not
        state["enabled"] = is_enabled(state.get("Id") or unit)
    return state


def is_enabled(unit):
    """Return what systemctl says of a unit, such as enabled or disabled."""
    return (output("systemctl", "is-enabled", unit).strip().splitlines() or ["unknown"])[-1]


def is_up(state):
    """Return whether a unit runs, or has done what it is for."""
    return state.get("ActiveState") == "active"


def snapshot(units, markers):
    """Return the state of a host."""
    return {
        "units": {unit: unit_state(unit) for unit in units},
        "users": {entry.pw_name: entry.pw_uid for entry in pwd.getpwall()},
        "groups": {entry.gr_name: entry.gr_gid for entry in grp.getgrall()},
        "data": {path: owned(path) for path in markers},
        "since": time.monotonic(),
    }


def owned(path):
    """Return who owns a file, by number; None if it is gone."""
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return [status.st_uid, status.st_gid]


def put_markers(names):
    """Put a file into every folder below /var that packages own, as data of the site's; return their paths."""
    listed = output("rpm", "--query", "--list", *names).strip("\n").split("\n")
    markers = []
    paths = {line for line in listed if line.startswith("/var/") and not line.startswith(_MAY_GO)}
    for folder in map(Path, sorted(paths)):
        if folder.is_dir() and not folder.is_symlink():
            status = folder.stat()
            marker = folder / MARKER
            marker.write_text("data of the site's\n")
            os.chown(str(marker), status.st_uid, status.st_gid)
            marker.chmod(0o640)
            markers.append(str(marker))
    return markers


def wait_settled(before, units):
    """Wait until the units that were up are up again, or will not be."""
    deadline = time.monotonic() + _SETTLES
    while time.monotonic() < deadline:
        now = {unit: unit_state(unit) for unit in units if is_up(before["units"][unit])}
        if all(state["ActiveState"] in ("active", "failed", "inactive") for state in now.values()):
            return
        time.sleep(0.5)


def last_error(unit):
    """Return the last line of a unit's journal that tells of an error."""
    own = output("systemctl", "show", "--value", "--property=Id", unit).strip() or unit
    shown = output("journalctl", "--unit=" + own, "--output=cat", "--no-pager", "--quiet", "--lines=60")
    told = [line for line in shown.splitlines() if "rror" in line or "ERROR" in line or "ailed" in line]
    # What systemd says of any unit that failed is no cause.
    generic = ("Failed to start ", "Failed with result")
    causes = [line for line in told if not any(text in line for text in generic)]
    return (causes or told or [""])[-1].strip()


class Change:
    """What an operation made of a host: the state before and after, what scripts ran, and how it is called."""

    def __init__(self, before, after, ran, what):
        self.before, self.after, self.ran, self.what = before, after, ran, what

    def blame(self, verbs, *words):
        """Return the statement of a script that did it, to be put after a colon; empty if none did."""
        cause = package_scripts.blame(self.ran, verbs, *words)
        return cause and ": " + cause


def unit_finding(unit, change):
    """Return what is wrong with a unit after an operation, in one line; empty if nothing is."""
    before, after, what = change.before["units"][unit], change.after["units"][unit], change.what
    words = (unit, unit + ".service")
    if before["enabled"] == "enabled" and after["enabled"] != "enabled":
        gone = "no package has it any more" if after["enabled"] in ("unknown", "not-found") else after["enabled"]
        cause = change.blame(package_scripts.STOPS, *words)
        return f"{unit} was enabled before {what}, and is not after it ({gone}){cause}"
    if is_up(before) and not is_up(after):
        cause = change.blame(package_scripts.STOPS, *words)
        if after["ActiveState"] in ("failed", "activating"):
            cause = ": " + last_error(unit)
        return f"{unit} ran before {what}, and is {after['ActiveState']} after it{cause}"
    if is_up(before) and after["MainPID"] != "0":
        certain = [item for item in change.ran if item[3] and any(word in item[2].split() for word in words)]
        cause = package_scripts.blame(certain, package_scripts.RESTARTS, *words)
        if cause and int(after["ExecMainStartTimestampMonotonic"] or 0) / 1e6 < change.before["since"]:
            return f"{unit} still runs what it ran before {what}, although a script restarts it: {cause}"
    if before["enabled"] == "disabled" and not is_up(before):
        if after["enabled"] == "enabled":
            cause = change.blame(package_scripts.ENABLES, *words)
            return f"{unit} was disabled before {what}, and is enabled by it{cause}"
        if is_up(after):
            cause = change.blame(package_scripts.STARTS, *words)
            return f"{unit} was disabled and stopped before {what}, and is started by it{cause}"
    return ""


def account_findings(change):
    """Return what is wrong with users and groups after an operation."""
    found = []
    for kind, one in (("users", "user"), ("groups", "group")):
        after = change.after[kind]
        for name, number in change.before[kind].items():
            if after.get(name) != number:
                now, verbs = "is gone", package_scripts.LOSES_USERS
                if name in after:
                    now, verbs = f"is {after[name]}, not {number}", package_scripts.CHANGES_USERS
                cause = change.blame(verbs, name)
                found.append(f"{one} {name} {now} after {change.what}{cause}")
    return found


def data_findings(change):
    """Return what is wrong with the site's data after an operation; the folders first that others are in."""
    found = []
    for path, was in change.before["data"].items():
        now = change.after["data"].get(path)
        if was is None or now == was:
            continue
        folder = Path(path).parent
        cause = change.blame(package_scripts.LOSES_DATA, *map(str, (folder, *list(folder.parents)[:-1])))
        how = "are gone" if now is None else f"have another owner: {_show(now)}, not {_show(was)}"
        found.append(f"the site's data in {folder} {how} after {change.what}{cause}")
    return found


def _show(owner):
    uid, gid = owner
    try:
        names = pwd.getpwuid(uid).pw_name, grp.getgrgid(gid).gr_name
    except KeyError:
        names = uid, gid
    return "{}:{}".format(*names)


def restart_findings(units):
    """Restart units that run; return {unit: why it does not run then}."""
    began, wrong = {}, {}
    for unit in units:
        if systemctl("restart", unit) != 0:
            wrong[unit] = last_error(unit)
        began[unit] = unit_state(unit)
    time.sleep(2 if units else 0)  # what dies of its configuration has done so by then
    for unit in units:
        now = unit_state(unit)
        same = all(now[key] == began[unit][key] for key in ("MainPID", "NRestarts"))
        if unit not in wrong and not (is_up(now) and same):
            wrong[unit] = last_error(unit)
    return wrong
