"""The engine's filter of system calls for hosts of a run, narrowed by those that reach the kernel's keyrings.

Keyrings belong to a user of the machine, not to a container.  A host's root is the machine's where the engine
is not rootless: it could read what this user keeps there, such as Kerberos tickets, and leave something.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_KEYRINGS = ("add_key", "keyctl", "request_key")
_EPERM = 1


def without_keyrings(profile: str) -> str:
    """Return a filter of system calls, the text of a file of the engine's, that refuses those of keyrings."""
    content: dict[str, Any] = json.loads(profile)
    rules = [
        {**rule, "names": [name for name in rule.get("names", ()) if name not in _KEYRINGS]}
        for rule in content.get("syscalls") or ()
    ]
    refused = {"names": [*_KEYRINGS], "action": "SCMP_ACT_ERRNO", "errnoRet": _EPERM}
    content["syscalls"] = [*(rule for rule in rules if rule["names"]), refused]
    return json.dumps(content)


def write(profile: Path, file: Path) -> Path | None:
    """Write the narrowed filter to ``file`` and return it; None if the engine's own cannot be read."""
    try:
        text = without_keyrings(profile.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    file.write_text(text, encoding="utf-8")
    return file
