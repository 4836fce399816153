"""What may be the name of a reference."""

from __future__ import annotations

from itb.errors import UsageError


def check(ref: str) -> None:
    """Refuse what can be no reference, before git sees it; the rules are git-check-ref-format's."""
    wrong = ""
    if any(ord(char) < 32 or ord(char) == 127 for char in ref):
        wrong = "it has a control character in it"
    elif bad := next((char for char in " ~^:?*[\\" if char in ref), ""):
        wrong = "it has a space in it" if bad == " " else f"it has a {bad!r} in it"
    elif ".." in ref or "@{" in ref or ref == "@":
        wrong = "it is an expression or a range"
    elif any(part.startswith(".") or part.endswith(".lock") or not part for part in ref.split("/") if ref):
        wrong = "a part of it is empty, starts with '.' or ends with '.lock'"
    elif ref.endswith("."):
        wrong = "it ends with '.'"
    elif len(ref) > 250:
        wrong = f"it has {len(ref)} characters"
    if wrong:
        raise UsageError(
            f"reference {ref[:100]!r} cannot exist: {wrong}",
            hint="a reference is a branch, a tag, a commit id, pr/NUMBER or worktree",
        )
