"""New definitions made from templates: a product, a scenario, a hook or a platform that works at once.

A template is a folder of ``build_ws/templates``; in its files and their
names ``newproduct`` and the like stand for the name.  The JSON schemas that
its YAML files name for editors are written with it.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from itb.config import lookup
from itb.config.platform import Platform
from itb.data import shipped
from itb.errors import UsageError
from itb.util import ownership
from itb.util.files import write_atomically

Files = dict[str, str]  # the content of each file by its path below the definition's folder
SCHEMA_ENDING = ".schema.json"
_SCHEMA_LINE = re.compile(r"^# yaml-language-server: \$schema=(\S+)$", re.MULTILINE)
_LOWER = re.compile(r"[a-z0-9]+([_-][a-z0-9]+)*")


class TemplateKind(StrEnum):
    """A kind of definition that a template makes."""

    PRODUCT = "product"
    SCENARIO = "scenario"
    HOOK = "hook"
    PLATFORM = "platform"

    @property
    def setting(self) -> str:
        """Return the setting that lists the folders in which definitions of this kind are looked up."""
        return f"{self}s"


def check_name(kind: TemplateKind, name: str) -> None:
    """Raise UsageError for a name that a definition of this kind cannot have."""
    if not lookup.NAME.fullmatch(name):
        raise UsageError(
            f"{kind} {name[:100]!r}: not a name",
            hint="letters, digits, '.', '_' and '-', at most 64, the first one a letter or a digit",
        )
    named_after = {TemplateKind.PLATFORM: "images", TemplateKind.PRODUCT: "package and service"}.get(kind)
    if named_after and not _LOWER.fullmatch(name):
        raise UsageError(
            f"{kind} {name!r}: its {named_after} are named after it, in lower case",
            hint="lower-case letters and digits, with one '_' or '-' between them",
        )


def fill_template(kind: TemplateKind, words: Mapping[str, str]) -> Files:
    """Return the files of a template with words replaced, in their names too."""

    def fill(text: str) -> str:
        for word, value in words.items():
            text = text.replace(word, value)
        return text

    template = shipped.folder("build_ws") / "templates" / kind
    files = [path for path in sorted(template.rglob("*")) if path.is_file()]
    return {fill(str(path.relative_to(template))): fill(path.read_text(encoding="utf-8")) for path in files}


def platform_like(other: Platform, name: str) -> Files:
    """Return the files of a new platform that works like another one until it is changed."""
    (head,) = fill_template(TemplateKind.PLATFORM, {"@LIKE@": other.name}).values()
    text = (other.folder / "platform.yaml").read_text(encoding="utf-8")
    lines = {r"title: .*": f"title: {name}, made like {other.name}", r"tested: true": "tested: false"}
    if not other.shared:
        lines[r"(resolve: .*)"] = rf"shared: {other.name}\n\1"
    for line, changed in lines.items():
        text = re.sub(f"^{line}$", changed, text, count=1, flags=re.MULTILINE)
    return {"platform.yaml": head + text}


def with_schemas(files: Mapping[str, str], schema: Callable[[str], Mapping[str, Any]]) -> Files:
    """Return files with the schemas that the YAML files among them name; ``schema`` gives one by its name."""
    schemas = {}
    for name, text in files.items():
        if match := _SCHEMA_LINE.search(text):
            path = os.path.normpath(Path(name).parent / match[1])
            schemas[path] = json.dumps(schema(Path(path).name.removesuffix(SCHEMA_ENDING)), indent=1) + "\n"
    return {**files, **schemas}


def write(target: Path, files: Mapping[str, str]) -> None:
    """Write files to a new folder, which appears whole or not at all; one file without a name becomes the target.

    Files that begin with ``#!`` can be executed.  Raises UsageError if there
    is something at the target, or if others could change what is there.
    """
    if os.path.lexists(target):
        raise UsageError(f"{target} is there already", hint="choose another name, or remove it")
    above = next(place for place in target.parents if place.exists())
    if not above.is_dir():
        raise UsageError(f"{target} cannot be made: {above} is not a directory")
    ownership.check(above)
    first = next(place for place in (*reversed(target.parents), target) if not place.exists())
    try:
        for place in reversed(target.parents):
            if not place.exists():
                place.mkdir(0o755)
        with tempfile.TemporaryDirectory(prefix=".itb-new-", dir=target.parent) as temporary:
            new = Path(temporary) / "new"
            for name, text in files.items():
                path = new / name if name else new
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
                path.chmod(0o755 if text.startswith("#!") else 0o644)
            for folder in (new, *new.rglob("*")):
                if folder.is_dir():
                    folder.chmod(0o755)  # whatever the umask is: what others may write to would not be believed
            new.rename(target)
    except OSError as error:
        raise UsageError(f"{target} cannot be made: {error.strerror}") from None
    ownership.give_to_caller(first)


def add_folder_setting(file: Path, key: str, folder: str, check: Callable[[str], object]) -> bool:
    """Add a line to an ``itb.yaml`` that has definitions looked up in a folder; return whether it could be added.

    A file that is not there is made.  ``check`` raises UsageError for a text
    that is no ``itb.yaml`` any more; the file then stays as it is.
    """
    line = f"{key}: [{folder}]\n"
    try:
        old = ownership.read(file).decode() if os.path.lexists(file) else "# Settings (itb help configuration)\n"
        new = old + ("" if old.endswith("\n") or not old else "\n") + line
        check(new)
        before = file.stat() if file.exists() else None
        write_atomically(file.resolve(), new, mode=before.st_mode & 0o777 if before else 0o644)
        if before is None:
            ownership.give_to_caller(file.resolve())
        elif os.geteuid() == 0:
            os.chown(file.resolve(), before.st_uid, before.st_gid)
    except (OSError, UnicodeDecodeError, UsageError):
        return False
    return True
