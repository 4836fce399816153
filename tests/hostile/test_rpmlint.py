"""A package whose payload names another file than its header: rpmlint unpacks packages, as root."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from itb.containers.engine import Engine
from itb.model import PlatformImages
from itb.repository import rpmlint

INSTALL = "install -d %{buildroot}/root; echo escaped >%{buildroot}/root/escaped"
SPEC = (
    "%define _binary_payload w.ufdio\n%package payload\nSummary: .\n%description payload\n.\n"
    "%files payload\n/root/escaped\n"
)


def test_rpmlint_gets_a_container_of_its_own(
    engine: Engine,
    images: PlatformImages,
    own_label: str,
    build_rpms: Callable[..., dict[str, Path]],
    tmp_path: Path,
) -> None:
    built = build_rpms(INSTALL, SPEC)["payload"]
    content = built.read_bytes()
    assert b"./root/escaped\0" in content
    file = tmp_path / built.name
    file.write_bytes(content.replace(b"./root/escaped\0", b"//root/escaped\0"))
    key, _, value = own_label.partition("=")
    image, labels = images.services.id, {key: value}

    findings = rpmlint.lint(engine, image, tmp_path, [file.name], labels=labels, log=tmp_path / rpmlint.LOG)
    assert findings
    assert "error" in findings[0]
    assert "no-signature" not in findings[1]
