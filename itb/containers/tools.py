"""The tools: itb's own copies of the programs that it runs on a host, which a candidate cannot replace.

Every host of a testbed has them read-only at ``FOLDER``.  They are copied from
the clean image of the platform, with their loader and libraries: an entry in
/etc/ld.so.preload, in the loader's cache or in a library folder of the host has
no effect on them, and they cannot be replaced without the right to mount.
Steps find them before the host's own programs, and nothing in /usr/local.

HTCondor, systemd, dnf and Python are still the host's own, and root on the host
can manipulate any process.  Therefore itb looks for changed files from outside
(``itb/install/outside.py``) and counts the jobs that ran at the CE
(``scenarios/lib/ran.sh``).
"""

from __future__ import annotations

# A shell command that runs the Python program in its first argument with the arguments that follow.
# EL 8 may have no other Python than platform-python, which is not in PATH.
RUN_PYTHON = 'exec "$(command -v python3 || echo /usr/libexec/platform-python)" -I -c "$@"'

FOLDER = "/itb"  # as long as /etc, whose name it replaces in the loader
PATH = f"{FOLDER}/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# The programs that step.sh, reap.sh, scenarios/lib and this package run; those that an image lacks are left out.
NAMES = (
    "awk", "basename", "bash", "cat", "chmod", "chown", "cmp", "cp", "cut", "date", "dirname", "env", "expr",
    "find", "gawk", "grep", "head", "install", "ln", "ls", "mkdir", "mkfifo", "mktemp", "mv", "paste", "readlink",
    "realpath", "rm", "rmdir", "sed", "seq", "setpriv", "sha256sum", "sleep", "sort", "stat", "tail", "tar", "tee",
    "timeout", "touch", "tr", "uniq", "wc", "xargs",
)  # fmt: skip
