"""The settings that an ``itb.yaml`` may not give where its folder may be the candidate's and not the user's.

The owner of the file decides nothing: whoever clones a candidate owns its files.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from itb.config.options import settings as declared_settings
from itb.errors import UsageError
from itb.util.files import expand

# What only the user allows, in words of their own: a flag, a variable, the file in their home.
_BY_USER_ONLY = ("trust", "allow_privileged")
# All that a candidate says: which of itb's or the user's platforms it is made for, and that it is the source.
# What else there is, one day too, could choose another version or weaker tests, or give the testbed the blame.
_TAKEN = ("platform", "source")
BY_NAME_ONLY = ("product", "platform", "scenario")  # a path would be a folder of definitions
_RELEASE_MANAGER = Path("build", "ReleaseManager")  # folder in the source of GlideinWMS and its relatives


def refused_keys(
    settings: Mapping[str, Any], folder: Path, source: str, *, given: Collection[str] = ()
) -> list[str]:
    """Return the keys of a folder's ``itb.yaml`` that are not taken; ``source`` is to be tested without that file.

    The file of a candidate may name platforms by their names, and its own folder
    as the source: what comes from another one could have a higher level of trust
    than the candidate.  It changes nothing that the user's own file says, whose
    keys are ``given``.

    In a folder that is not the candidate's, only an engine given by its path is
    refused, since a command that knows no source would start it, and what the
    user alone allows, since a candidate may be in a folder that looks like none.
    """
    own_source = str(settings.get("source", source))
    is_candidates = is_untrusted(folder, source)
    if is_candidates or is_untrusted(folder, own_source):
        taken = [key for key in _TAKEN if key not in given]
        if is_candidates and not _is_around(folder, own_source):
            taken = [key for key in taken if key != "source"]
        return [
            key for key, value in settings.items() if key not in taken or (key in BY_NAME_ONLY and is_path(value))
        ]
    return [
        key for key, value in settings.items() if key in _BY_USER_ONLY or (key == "engine" and is_path(value))
    ]


def is_untrusted(folder: Path, source: str) -> bool:
    """Return whether a folder is, is in or may share a work tree with the source, or looks like a candidate's."""
    here = folder.resolve()
    enclosing = (here, *here.parents)
    if any((path / _RELEASE_MANAGER).is_dir() for path in enclosing):
        return True
    local = _local_folder(source)
    if local is None:
        return False
    return local in enclosing or (here in local.parents and any((path / ".git").exists() for path in enclosing))


def check_users_folder(folder: Path, source: str) -> None:
    """Raise UsageError for a home or a folder of configuration that is in the source under test.

    What a candidate has there would be taken for the user's: settings, cached builds, the key of seals.
    """
    here = folder.resolve()
    enclosing = (here, *here.parents)
    if _local_folder(source) in enclosing or any((path / _RELEASE_MANAGER).is_dir() for path in enclosing):
        raise UsageError(
            f"{folder} is in a source to be tested, and what is there would be taken for yours",
            hint="let HOME, and XDG_CONFIG_HOME if it is set, name folders of your own",
        )


def _is_around(folder: Path, source: str) -> bool:
    """Return whether a source is a folder, or one that it is in."""
    local, here = _local_folder(source), folder.resolve()
    return local is not None and local in (here, *here.parents)


def _local_folder(source: str) -> Path | None:
    """Return the folder a source is, if it is one."""
    try:
        path = unquote(urlsplit(source).path) if source.startswith("file://") else source
        return expand(path).resolve() if path and expand(path).is_dir() else None
    except (OSError, ValueError, UsageError):  # no folder, then; whoever uses the source says so
        return None


def is_path(value: object) -> bool:
    """Return whether a setting that may be a name is a path, or a list with one."""
    values = value if isinstance(value, list | tuple) else [value]
    return any("/" in str(path) or str(path) in (".", "..") for path in values)


@functools.cache
def warn_of_refused_keys(file: Path, keys: tuple[str, ...], user_file: Path) -> None:
    """Print, once per file, which keys were refused and where to give them instead."""
    options = [declared_settings()[key] for key in keys if key in declared_settings()]
    flags = ", ".join(option.flag for option in options if option.heading)
    ways = f"by flag ({flags}) or in {user_file}" if flags else f"in {user_file}"
    print(
        f"itb: {file}: not taken, since the folder may be the candidate's: {', '.join(keys)}\n"
        f"     to use one of them all the same, give it {ways}",
        file=sys.stderr,
    )
