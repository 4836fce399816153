"""Delivering a token to a host: always to the same path, replacing the file as a whole."""

from __future__ import annotations

from pathlib import PurePosixPath

from itb.containers.host import Host
from itb.errors import InstallError, TestbedError
from itb.process.request import Request
from itb.tokens.request import Secret

_REPLACED_STATUS = 77  # exit status of the scripts: another program has replaced the token
_NO_PLACE_STATUS = 78  # the folder or the owner of the token is not there

# A fingerprint of the last delivery stays on the host, so that it outlives this process and a reboot: it tells
# whether a scenario has put another token there on purpose.  $1: the path
_FINGERPRINT = """
set -eu
seals=/var/lib/itb/delivered
seal=$seals/$(printf %s "$1" | sha256sum | cut -c-64)
replaced() {
    [ -e "$seal" ] && [ "$(cat -- "$1" 2>/dev/null | sha256sum)" != "$(cat "$seal")" ]
}
"""
_IS_OURS = f"{_FINGERPRINT}\nif replaced \"$1\"; then exit {_REPLACED_STATUS}; fi"

# The token comes by standard input: arguments are in process lists and logs.  It is read before anything else:
# of a program that ends while its input is still on the way, podman 4.3 may lose what it said.
_DELIVER = f"""{_FINGERPRINT}
path=$1 owner=$2 others=$3 folder=$(dirname "$1")
token=$(cat)
[ -n "$token" ] || {{ echo "no token arrived" >&2; exit 1; }}
[ -d "$folder" ] || {{ echo "folder $folder does not exist" >&2; exit {_NO_PLACE_STATUS}; }}
[ ! -d "$path" ] || {{ echo "$path is a folder" >&2; exit {_NO_PLACE_STATUS}; }}
umask 077
new=$(mktemp "$folder/.itb-token-XXXXXX")
trap 'rm -f "$new"' EXIT
printf '%s\\n' "$token" > "$new"
chown "$owner" "$new" || exit {_NO_PLACE_STATUS}
chmod 0600 "$new"
sync "$new"
mkdir -p "$seals"
if [ "$others" = stay ] && replaced "$path"; then exit {_REPLACED_STATUS}; fi
[ "$others" = instead ] || sha256sum <"$new" >"$seal.new"
mv -fT "$new" "$path"
[ "$others" = instead ] || mv -f "$seal.new" "$seal"
sync "$folder"
trap - EXIT
"""


def deliver(host: Host, secret: Secret, *, path: str, owner: str, force: bool = True) -> bool:
    """Put a token at ``path`` of a host, mode 0600, for ``owner`` (``user:group``).

    Readers see the old token or the new one, never a part: it is written
    beside the old one, synchronised to disk and renamed.  Without ``force``
    it keeps what another program put there since the last delivery, and
    returns False.  Raises InstallError if the folder or the owner does not
    exist on the host: the candidate's packages bring them.
    """
    return _deliver(host, secret, path=path, owner=owner, how="go" if force else "stay")


def deliver_instead(host: Host, secret: Secret, *, path: str, owner: str) -> None:
    """Put a token in the place of the run's own, as scenarios do: a renewal of that one leaves it there."""
    _deliver(host, secret, path=path, owner=owner, how="instead")


def is_ours(host: Host, path: str) -> bool:
    """Return whether the file at ``path`` is still the last delivery, neither replaced nor removed."""
    target = str(PurePosixPath(path))
    return _run(host, ["sh", "-c", _IS_OURS, "is-ours", target], about=f"look at the token at {target}")


def _deliver(host: Host, secret: Secret, *, path: str, owner: str, how: str) -> bool:
    target = str(PurePosixPath(path))
    return _run(
        host,
        ["sh", "-c", _DELIVER, "deliver-token", target, owner, how],
        about=f"deliver the token to {target}",
        content=secret.reveal().encode() + b"\n",
    )


def _run(host: Host, argv: list[str], *, about: str, content: bytes | None = None) -> bool:
    limit = host.engine.runner.limits("deliver")
    completed = host.run(Request(argv, input=content, timeout=limit, check=False, about=about))
    if completed.returncode == _REPLACED_STATUS:
        return False
    if not completed.ok:
        kind = InstallError if completed.returncode == _NO_PLACE_STATUS else TestbedError
        raise kind(f"host {host.role}: {about}: {completed.reason}", evidence=completed.output)
    return True
