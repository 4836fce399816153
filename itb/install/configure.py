"""Configuring a role: running the product's script on the host, and comparing the files with the packages' own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from itb.containers.host import FileSpec, Host
from itb.errors import InstallError
from itb.model import InstalledPackage
from itb.process.request import Request
from itb.util.redact import redact

FOLDER = "/var/lib/itb/configure"
_SHIPPED = f"{FOLDER}/shipped"
_NOTE = "note: "
_INTERPRETERS = {".py": "python3", ".sh": "bash"}

# Whole folders of /etc are copied, since files added beside the shipped ones count too; of /etc itself only files.
_COPYFOLDERS = """
shipped=$1
shift
rm -rf "$shipped"
mkdir -p "$shipped"
rpm --query --configfiles "$@" | sed -n 's|^\\(/etc/[^/]*\\).*|\\1|p' | sort -u | while read -r path; do
    [ ! -e "$path" ] || cp --archive --parents "$path" "$shipped"
done
"""
_COMPARE = """
cd "$1"
for path in etc/*; do
    [ -e "$path" ] || continue  # packages without configuration
    diff --unified --recursive --new-file --no-dereference "$path" "/$path" || [ "$?" -eq 1 ]
done
"""


def differences(host: Host) -> str:
    """Return a unified diff from the configuration that :func:`configure` copied to the present one."""
    request = Request([_SHIPPED], about="compare configuration")
    completed = host.script(f"[ ! -d {_SHIPPED} ] || {{ {_COMPARE}\n}}", request)
    return redact(completed.stdout).replace(f"{_SHIPPED}/", "shipped/")


def changed_files(diff: str) -> list[str]:
    """Return the files that a unified diff of :func:`differences` changes."""
    lines = diff.splitlines()
    return [
        line.removeprefix("+++ ").partition("\t")[0]
        for number, line in enumerate(lines)
        if line.startswith("+++ /") and lines[number - 1].startswith("--- ")
    ]


def configure(
    host: Host,
    script: Path,
    env: Mapping[str, str],
    *,
    log: Path,
    timeout: float,
    shipped_by: Sequence[InstalledPackage] = (),
) -> list[str]:
    """Run a role's configuration script as root, with the other files of its folder beside it.

    A ``.py`` script is run by the platform's Python, any other by bash.  Before it, the
    configuration in /etc is copied for :func:`differences`, as the product's packages
    among ``shipped_by`` have shipped it.  Returns the script's notes for the report: its
    lines that begin with "note: ".
    Raises InstallError with the last line of its output if it fails.
    """
    files = [path for path in sorted(script.parent.iterdir()) if path.is_file()]
    packages = [package.nevra for package in shipped_by if package.candidate]
    host.put(
        *(FileSpec(f"{FOLDER}/{path.name}", source=path, mode=0o755) for path in files),
        then=_COPYFOLDERS if packages else "",
        request=Request([_SHIPPED, *packages] if packages else (), about=f"put {script.parent}"),
    )
    interpreter = _INTERPRETERS.get(script.suffix, "bash")
    argv = [interpreter, f"{FOLDER}/{script.name}"]
    completed = host.run(Request(argv, env=env, timeout=timeout, check=False, log=log))
    if not completed.ok:
        raise completed.error(InstallError, completed.reason)
    return [line.removeprefix(_NOTE) for line in completed.stdout.splitlines() if line.startswith(_NOTE)]
