"""A copied run directory beside the hosts of the original: they stay as they are, as does the packet filter."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest

from itb.containers import firewall
from itb.errors import UsageError
from itb.isolation import Isolation
from itb.model import PlatformImages
from itb.testbed.testbed import Testbed


def test_hosts_of_the_original_stay(
    start_testbed: Callable[..., contextlib.AbstractContextManager[Testbed]],
    images: PlatformImages,
    tmp_path: Path,
) -> None:
    """`itb run --resume COPY` had Compose make them anew, and set the filter that the copy asked for."""
    with start_testbed(Isolation()) as original:
        original.find_running_roles()
        before = dict(original.containers)
        engine, short = original.engine, original.short_id
        rules = engine.network(original.project)
        assert firewall.is_set(engine, rules)
        for runs, run in ((tmp_path / "elsewhere", original.run), (original.runs, "copy")):
            copy = Testbed(engine, original.topology, run=run, short_id=short, runs=runs)
            with pytest.raises(UsageError, match=f"network itb-{short} belongs to run {original.run} in "):
                copy.isolate(Isolation(internet=True))
            with pytest.raises(UsageError, match="belongs to run"):
                copy.up(["bare"], {"bare": images.references["bare"]}, original.network_prefix(), None)
            assert copy.down() == []
        assert original.find_running_roles() == {"bare", "services"}
        assert original.containers == before
