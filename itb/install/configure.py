"""A role's configuration: the product's script, run on its host, and what it changed of what was shipped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from itb.containers.host import FileSpec, Host
from itb.errors import InstallError
from itb.model import InstalledPackage
from itb.process.request import Request
from itb.util.redact import redact

_HOME = "/var/lib/itb/configure"
_SHIPPED = f"{_HOME}/shipped"
_NOTE = "note: "
_INTERPRETERS = {".py": "python3", ".sh": "bash"}

# Whole folders, since what a site adds beside the shipped files counts as well.
_REMEMBER = """
shipped=$1
shift
rm -rf "$shipped"
mkdir -p "$shipped"
rpm --query --configfiles "$@" | sed -n 's|^\\(/etc/[^/]*\\)/.*|\\1|p' | sort -u | while read -r folder; do
    cp --archive --parents "$folder" "$shipped"
done
"""
_COMPARE = """
cd "$1"
for folder in etc/*; do
    diff --unified --recursive --new-file --no-dereference "$folder" "/$folder" || [ "$?" -eq 1 ]
done
"""


def remember_shipped(host: Host, packages: Sequence[InstalledPackage]) -> None:
    """Keep a copy of every folder of /etc the product's packages have configuration in."""
    names = [item.nevra for item in packages if item.candidate]
    if names:
        host.script(_REMEMBER, Request([_SHIPPED, *names], about="keep the shipped configuration"))


def differences(host: Host) -> str:
    """Return, as a unified diff, how the configuration differs from what :func:`remember_shipped` kept."""
    request = Request([_SHIPPED], about="compare configuration")
    seen = host.script(f"[ ! -d {_SHIPPED} ] || {{ {_COMPARE}\n}}", request)
    return redact(seen.stdout).replace(f"{_SHIPPED}/", "shipped/")


def changed_files(diff: str) -> list[str]:
    """Return the files a unified diff of :func:`differences` is about."""
    lines = diff.splitlines()
    return [
        line.removeprefix("+++ ").partition("\t")[0]
        for number, line in enumerate(lines)
        if line.startswith("+++ /") and lines[number - 1].startswith("--- ")
    ]


def configure(host: Host, script: Path, env: Mapping[str, str], *, log: Path, timeout: float) -> list[str]:
    """Run a role's configuration script as root, beside the other files of its folder.

    A ``.py`` script is run by the platform's Python, any other by bash.
    Returns what it has to say to the report: its lines that begin with "note: ".
    Raises InstallError with the script's last words if it fails.
    """
    beside = [path for path in sorted(script.parent.iterdir()) if path.is_file()]
    host.put(*(FileSpec(f"{_HOME}/{path.name}", path.read_bytes(), 0o755) for path in beside))
    interpreter = _INTERPRETERS.get(script.suffix, "bash")
    argv = [interpreter, f"{_HOME}/{script.name}"]
    done = host.run(Request(argv, env=env, timeout=timeout, check=False, log=log))
    if not done.ok:
        raise InstallError(f"{script.name} on {host.role}: {done.reason}", evidence=done.output, log=log)
    return [line.removeprefix(_NOTE) for line in done.stdout.splitlines() if line.startswith(_NOTE)]
