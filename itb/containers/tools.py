"""The programs that itb relies on on a host: they come with itb, and none of the host takes their place.

Every host of a testbed has them read-only at ``FOLDER``, made from the clean
image of its platform, with a loader and libraries of their own: what was put
into /etc/ld.so.preload, the loader's cache or a folder of libraries, for good or
for a while, does not reach them, and whoever may not mount cannot replace them.
Steps find them before the host's own, and nothing in /usr/local.

What HTCondor, systemd, dnf and Python of a host say is the host's own word all
the same, and root there may do to a process what it likes: files that stay
changed are found from outside (``itb/install/outside.py``), and that jobs have
run is counted at the CE (``scenarios/lib/ran.sh``).
"""

from __future__ import annotations

# A shell's command that runs a Python program given as its first argument, with those that follow.
# EL 8 has its Python where only the system's own tools look.
RUN_PYTHON = 'exec "$(command -v python3 || echo /usr/libexec/platform-python)" -I -c "$@"'

FOLDER = "/itb"  # as long as /etc, whose name it replaces in the loader
PATH = f"{FOLDER}/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Those of step.sh, reap.sh, the library's steps and this package; what an image has not is left out.
NAMES = (
    "awk", "basename", "bash", "cat", "chmod", "chown", "cmp", "cp", "cut", "date", "dirname", "env", "expr",
    "find", "gawk", "grep", "head", "install", "ln", "ls", "mkdir", "mkfifo", "mktemp", "mv", "paste", "readlink",
    "realpath", "rm", "rmdir", "sed", "seq", "setpriv", "sha256sum", "sleep", "sort", "stat", "tail", "tar", "tee",
    "timeout", "touch", "tr", "uniq", "wc", "xargs",
)  # fmt: skip
