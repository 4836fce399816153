"""The seal of a run directory: this user's itb made it, here, and its settings are as they were.

A copied directory, or one that came with a candidate's tree, belongs to the
user as much as one of itb's: its owner tells nothing.  The seal is a keyed
hash (HMAC) over the directory's path and what ``run.json`` says of settings;
the key is the user's, outside of any run.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from contextlib import suppress
from pathlib import Path

from itb.errors import UsageError
from itb.rundir.directory import RunDir
from itb.util import files, ownership

NAME = ".seal"
_KEY_BYTES = 32


def put(rundir: RunDir) -> None:
    """Seal a run directory that was made just now; without a home of one's own for the key, it stays without."""
    with suppress(OSError, UsageError):
        path = _key_file()
        _make_key(path)
        files.write_atomically(rundir.path / NAME, _hash(rundir, _read_key(path)), mode=0o600)


def holds(rundir: RunDir) -> bool:
    """Return whether a run directory has this user's seal; UsageError if its ``run.json`` cannot be read."""
    try:
        key, seal = _read_key(_key_file()), files.read(rundir.path / NAME)
    except (OSError, UsageError):
        return False
    return hmac.compare_digest(seal, _hash(rundir, key).encode())


def _hash(rundir: RunDir, key: bytes) -> str:
    state = rundir.state
    sealed_content = json.dumps([str(rundir.path.resolve()), state.id, state.cwd, state.settings], sort_keys=True)
    return hmac.new(key, sealed_content.encode(), hashlib.sha256).hexdigest()


def _key_file() -> Path:
    return files.xdg("XDG_STATE_HOME", ".local/state") / "itb" / "key"


def _read_key(path: Path) -> bytes:
    ownership.check(path)  # who may put another file in its place knows what is in that
    return ownership.read(path)


def _make_key(path: Path) -> None:
    """Make the key unless there is one; it appears whole, and the first of two that are made at once stays."""
    if path.exists():
        return
    files.private_directory(path.parent)
    temporary = path.with_name(f".key.{secrets.token_hex(4)}")
    files.write_atomically(temporary, secrets.token_hex(_KEY_BYTES), mode=0o600)
    try:
        with suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        temporary.unlink()
