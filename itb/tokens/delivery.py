"""A token onto a host: the same path always, replaced as a whole."""

from __future__ import annotations

from pathlib import PurePosixPath

from itb.hosts import Host
from itb.model import Token
from itb.tokens.request import Secret

# The token comes by standard input, so that it is in no process list and no log.
_SCRIPT = """
set -eu
path=$1 owner=$2 folder=$(dirname "$1")
[ -d "$folder" ] || { echo "folder $folder does not exist" >&2; exit 1; }
umask 077
new=$(mktemp "$folder/.itb-token-XXXXXX")
trap 'rm -f "$new"' EXIT
cat > "$new"
[ -s "$new" ] || { echo "no token arrived" >&2; exit 1; }
chown "$owner" "$new"
chmod 0600 "$new"
sync "$new"
mv -fT "$new" "$path"
sync "$folder"
trap - EXIT
"""


def deliver(host: Host, secret: Secret, token: Token, *, path: str, owner: str) -> Token:
    """Put a token at ``path`` of a host, mode 0600, for ``owner`` (``user:group``); return its record with both.

    Readers see the old token or the new one, never a part: it is written
    beside the old one, synchronised to disk and renamed.  Raises
    TestbedError when the folder or the owner does not exist there.
    """
    where = str(PurePosixPath(path))
    host.run(
        ["sh", "-c", _SCRIPT, "deliver-token", where, owner],
        input=secret.reveal().encode() + b"\n",
        timeout=60,
        about=f"deliver the token to {where}",
    )
    return token.model_copy(update={"role": host.role, "path": where})


def withdraw(host: Host, path: str) -> None:
    """Remove a delivered token; one that is gone already is no error."""
    host.run(["rm", "-f", "--", path], timeout=30, check=False)
