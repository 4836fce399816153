"""Packages that a repository cannot have: the candidate's trouble, and not that of the host that serves them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from itb.containers.host import Host
from itb.errors import BuildError
from itb.model import Build, Commit, Rpm
from itb.repository import server as repository_server
from itb.testbed.certificates import RunCA
from itb.testbed.testbed import install_trust

SPEC = """%package garbled
Summary: a%(printf '\\001')b
%description garbled
.
%files garbled
"""


def test_a_package_that_cannot_be_indexed_is_the_candidates(
    build_rpms: Callable[[str, str], dict[str, Path]], module_hosts: Callable[..., Host], tmp_path: Path
) -> None:
    path = build_rpms("", SPEC)["garbled"]
    nobody = "0" * 40
    commit = Commit(
        product="probe", source="s", ref="r", kind="tag", id=nobody, tree=nobody, date="", subject="",
        version="1.0",
    )  # fmt: skip
    rpm = Rpm(
        name="hostile-garbled", version="1.0", release="1", arch="noarch", file=path.name,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(), size=path.stat().st_size,
    )  # fmt: skip
    build = Build(commit=commit, platform="deb13", directory=str(path.parent), rpms=(rpm,))
    services = module_hosts("services", fqdn="services-workspace.glideinwms.org")
    ca = RunCA.load_or_create(tmp_path / "ca", name="test")
    install_trust(services, ca, names=["services-workspace.glideinwms.org", repository_server.REPO_HOST])
    key = repository_server.prepare(services, {"itb/jwks.json": b"{}"}, tmp_path / "key")
    with pytest.raises(BuildError, match=r"Cannot dump XML for hostile-garbled .*control chars"):
        repository_server.sign_and_serve(services, build, log=tmp_path / "publish.log", key=key)
