"""The seal of a run directory proves that this user's itb made it, at this path, with these settings.

The owner of the files proves nothing: a copied directory, or one that came
with a candidate's tree, belongs to the user as well.  The seal is a keyed
hash (HMAC) over the directory's path and what ``run.json`` says of settings and trust;
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
from typing import Any

from itb.errors import UsageError
from itb.rundir.directory import RunDir
from itb.util import files, known_secrets, ownership

NAME = ".seal"
_KEY_BYTES = 32


def write(rundir: RunDir) -> None:
    """Seal a new run directory; it gets no seal where the user has no private folder for the key."""
    with suppress(OSError, UsageError):
        path = _key_file()
        _make_key(path)
        files.write_atomically(rundir.path / NAME, _hash(rundir, _read_key(path)), mode=0o600)


def is_intact(rundir: RunDir) -> bool:
    """Return whether a run directory has this user's seal; UsageError if its ``run.json`` cannot be read."""
    try:
        key, seal = _read_key(_key_file()), files.read(rundir.path / NAME)
    except (OSError, UsageError):
        return False
    return hmac.compare_digest(seal, _hash(rundir, key).encode())


def _hash(rundir: RunDir, key: bytes) -> str:
    state = rundir.state
    content: list[Any] = [str(rundir.path.resolve()), state.id, state.cwd, state.settings]
    if state.trust:  # a run of an older version has none
        content.append(state.trust.model_dump(mode="json"))
    return hmac.new(key, json.dumps(content, sort_keys=True).encode(), hashlib.sha256).hexdigest()


def _key_file() -> Path:
    return files.xdg("XDG_STATE_HOME", ".local/state") / "itb" / "key"


def _read_key(path: Path) -> bytes:
    ownership.check(path)  # a user who can replace the file would know the key
    key = ownership.read(path)
    known_secrets.remember(key.decode("ascii", "replace"))
    return key


def _make_key(path: Path) -> None:
    """Make the key unless there is one; of two processes that make one at the same time, the first wins."""
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
