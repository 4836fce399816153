"""The secrets of a run that an earlier process made: one that goes on with it knows them, too."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from itb.repository import signing_key
from itb.rundir import seal
from itb.rundir.directory import RunDir
from itb.testbed.certificates import RunCA
from itb.tokens.issuer import Issuer

SIGNING_KEY = "signing-key"  # the file of the run's private folder that has it


def remember(rundir: RunDir) -> None:
    """Remember the keys in the private folder of a run, before any output of its hosts is read.

    A copied run directory has none that matter.
    """
    if not seal.is_intact(rundir):
        return
    loads: tuple[Callable[[Path], object], ...] = (RunCA.load, Issuer.load, _load_signing_key)
    for load in loads:
        with suppress(Exception):  # not made yet, removed or damaged: what needs it says so
            load(rundir.tokens)


def _load_signing_key(folder: Path) -> str:
    return signing_key.remember(folder / SIGNING_KEY)
