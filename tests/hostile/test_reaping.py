"""What another user, such as a pilot's at the CE, says while root ends a command."""

from __future__ import annotations

import os
import secrets
import subprocess
from pathlib import Path

import pytest

from itb.data import shipped

PILOT = 54321
# Whoever has the user of this program may have it print what they like.
GREP = """#!/bin/bash
[ "$EUID" = 0 ] || { echo "/proc/$VICTIM/environ"; }
exec /usr/bin/grep "$@"
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root ends what is another user's")
def test_process_that_another_user_names_is_not_ended(tmp_path: Path) -> None:
    """Root asks as that user which processes belong to a command; a pilot could name any of root's."""
    tmp_path.chmod(0o755)
    for folder in tmp_path.parents[:2]:
        folder.chmod(0o755)
    fake = tmp_path / "grep"
    fake.write_text(GREP)
    fake.chmod(0o755)
    mark = f"hostile-{secrets.token_hex(8)}"
    own = ["setpriv", "--reuid", str(PILOT), "--regid", str(PILOT), "--clear-groups", "sleep", "60"]
    with (
        subprocess.Popen(["sleep", "60"], start_new_session=True) as victim,
        subprocess.Popen(own, start_new_session=True, env={**os.environ, "ITB_COMMAND": mark}) as marked,
    ):
        try:
            script = (shipped.folder("build_ws") / "hosts" / "reap.sh").read_text()
            done = subprocess.run(
                ["bash", "-c", script, "reap", mark], check=False, capture_output=True, text=True, timeout=30,
                env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "VICTIM": str(victim.pid)},
            )  # fmt: skip
            assert victim.poll() is None, done.stdout
            assert marked.wait(5) != 0, done.stdout + done.stderr
        finally:
            victim.kill()
            marked.kill()
