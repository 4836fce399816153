"""What names of packages look like, whoever wrote them: dnf's configuration, tables and messages repeat them."""

from __future__ import annotations

import re

# The characters that rpm allows in a spec file, without those of globs.
_NEVRA = re.compile(r"\w[\w.+~^%-]*(:[\w.+~^%-]+)?", re.ASCII)


def is_nevra(text: str) -> bool:
    """Return whether a text can be name-[epoch:]version-release.arch of a package: one word, not a glob."""
    return bool(_NEVRA.fullmatch(text))
