#!/usr/bin/python3
"""Who may read, write and become whom through what the packages, and the configuration, have made; TAP.

Looked at is what the packages list, and everything below the folders that are theirs alone.
ITB_PACKAGES: names of the packages, or "all"; ITB_UNCHECKED_FILES: as in sound.py.
"""

import grp
import os
import pwd
import re
import stat
import struct
import sys
from pathlib import Path

sys.path.insert(0, os.environ["ITB_LIB"])
sys.path.insert(0, os.environ["ITB_SCENARIO_DIR"])

import files
import headers
import product_files
import rpm
import secret_files


def main():
    """Print one result for each thing that no file may be."""
    packages = headers.installed(os.environ.get("ITB_PACKAGES", ""), os.environ.get("ITB_CANDIDATE_REPO", ""))
    if not packages:
        print("no package of the product is installed on", os.environ["ITB_ROLE"])
        return 77
    exceptions = os.environ.get("ITB_UNCHECKED_FILES", "").splitlines()
    walked = product_files.walk(packages)
    found = {path: status for path, status in walked if not files.is_left_out(path, exceptions)}
    names = product_files.listed(packages)
    checks = [
        ("no secret is world-readable", list(secrets(found)), []),
        ("nothing is world-writable", list(writable(found)), []),
        ("everything has an owner", list(nameless(found)), []),
    ]
    if os.environ.get("ITB_FRESH") == "yes":  # there the version before can be looked at
        before = os.environ.get("ITB_PREVIOUS_REPO", "")
        checks.append(("no setuid or setgid is new", *privileged(found, before)))
        checks.append(("no file capability is new", *capable(found, before)))
    print(f"1..{len(checks)}")
    for number, (name, findings, notes) in enumerate(checks, 1):
        files.report(number, name, [finding + package(finding.split(": ")[0], names) for finding in findings])
        for note in notes:
            print("# note:", note)
    return 0


def package(path, names):
    """Return what says which package a file is from; empty for one that was made later."""
    return f" ({names[path]})" if path in names else ""


def describe(path, status, what=""):
    """Return a file with its kind and mode."""
    kind = what or ("folder" if stat.S_ISDIR(status.st_mode) else "file")
    return f"{path}: {kind}, mode {stat.S_IMODE(status.st_mode):04o}"


def secrets(found):
    """Yield private keys and tokens that everybody can read and reach."""
    for path, status in found.items():
        if not stat.S_ISREG(status.st_mode) or not status.st_mode & stat.S_IROTH or not _is_reachable(path):
            continue
        kind = secret_files.kind(path)
        if kind:
            yield describe(path, status, kind)


def _is_reachable(path):
    """True if everybody may go through the folders above."""
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in Path(path).parents)


def writable(found):
    """Yield files, and folders without the sticky bit, that everybody may write to and can reach."""
    for path, status in found.items():
        is_folder = stat.S_ISDIR(status.st_mode)
        if not (is_folder or stat.S_ISREG(status.st_mode)) or not status.st_mode & stat.S_IWOTH:
            continue
        if not (is_folder and status.st_mode & stat.S_ISVTX) and _is_reachable(path):
            yield describe(path, status) + (", no sticky bit" if is_folder else "")


def nameless(found):
    """Yield what belongs to an id that no user or group of this host has."""
    for path, status in found.items():
        for kind, number, look in (("user", status.st_uid, pwd.getpwuid), ("group", status.st_gid, grp.getgrgid)):
            try:
                look(number)
            except KeyError:
                yield f"{path}: {kind} id {number} has no name"
                break


def privileged(found, repository):
    """Return findings: programs that became setuid or setgid with this version; and notes of all others."""
    now = {
        path: status
        for path, status in found.items()
        if stat.S_ISREG(status.st_mode) and status.st_mode & (stat.S_ISUID | stat.S_ISGID)
    }
    before = {}
    earlier = headers.download(repository) if now and repository else {}
    for header in earlier.values():
        before.update({file.name: file.mode for file in rpm.files(header)})
    findings, notes = [], []
    for path, status in now.items():
        bits = status.st_mode & (stat.S_ISUID | stat.S_ISGID)
        kinds = []
        if bits & stat.S_ISUID:
            kinds.append("setuid " + pwd.getpwuid(status.st_uid).pw_name)
        if bits & stat.S_ISGID:
            kinds.append("setgid " + grp.getgrgid(status.st_gid).gr_name)
        line = describe(path, status, " and ".join(kinds))
        if earlier and bits & ~before.get(path, 0):
            findings.append(line + ", not so in " + os.environ.get("ITB_PREVIOUS_VERSION", "the version before"))
        else:
            notes.append(line)
    return findings, notes


def capable(found, repository):
    """Return findings: programs that got file capabilities with this version; and notes of all others."""
    now = {path: capabilities(path) for path, status in found.items() if stat.S_ISREG(status.st_mode)}
    now = {path: names for path, names in now.items() if names}
    before, earlier = {}, headers.download(repository) if now and repository else {}
    for header in earlier.values():
        texts = header[rpm.RPMTAG_FILECAPS]
        before.update(zip((file.name for file in rpm.files(header)), texts))  # noqa: B905  3.6
    findings, notes = [], []
    for path, names in now.items():
        line = describe(path, found[path], "capabilities " + ",".join(names))
        known = product_files.text(before.get(path) or "")
        if earlier and not set(names) <= set(re.findall(r"cap_\w+", known)):
            findings.append(line + ", not so in " + os.environ.get("ITB_PREVIOUS_VERSION", "the version before"))
        else:
            notes.append(line)
    return findings, notes


def capabilities(path):
    """Return the names of the capabilities that a file gives to whoever runs it."""
    try:
        value = os.getxattr(path, "security.capability", follow_symlinks=False)
    except OSError:
        return []
    # struct vfs_cap_data: flags, the low halves of permitted and inheritable, then their high halves
    words = struct.unpack(f"<{len(value) // 4}I", value[: len(value) // 4 * 4])
    bits = words[1] | (words[3] << 32 if len(words) > 3 else 0)
    known = dict(enumerate(_CAPABILITIES))
    return [f"cap_{known.get(bit, bit)}" for bit in range(64) if bits >> bit & 1]


# By their numbers in linux/capability.h.
_CAPABILITIES = (
    "chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap",
    "linux_immutable", "net_bind_service", "net_broadcast", "net_admin", "net_raw", "ipc_lock", "ipc_owner",
    "sys_module", "sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct", "sys_admin", "sys_boot", "sys_nice",
    "sys_resource", "sys_time", "sys_tty_config", "mknod", "lease", "audit_write", "audit_control", "setfcap",
    "mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf",
    "checkpoint_restore",
)  # fmt: skip

if __name__ == "__main__":
    sys.exit(main())
