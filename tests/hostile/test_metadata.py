"""A repository of a few megabytes whose metadata unpacks to gigabytes: it was all read into memory."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from itb.containers.host import Host
from itb.errors import TestbedError
from itb.process.request import Request
from itb.repository import published

# Several compressed files one after the other are one; createrepo_c's tools would unpack them on the disk.
MAKE = r"""
mkdir -p /srv/good
createrepo_c --quiet /srv/good
cp -r /srv/good /srv/zeros
cp -r /srv/good /srv/letters
cat > /root/bomb.py <<'END'
import gzip, hashlib, re, sys
name, kind, folder = sys.argv[1:]
fill = {"zeros": b"\0", "letters": b"x"}[name]
start = b"<?xml version='1.0'?><metadata><package><name>" if kind == "primary" else b""
data = gzip.compress(start) + 48 * gzip.compress(fill * (64 << 20), 1)
open(f"{folder}/bomb.gz", "wb").write(data)
index = re.sub(rf'<data type="{kind}">.*?</data>', "", open(f"{folder}/repomd.xml").read(), flags=re.DOTALL)
entry = (f'<data type="{kind}"><checksum type="sha256">{hashlib.sha256(data).hexdigest()}</checksum>'
         f'<location href="repodata/bomb.gz"/><timestamp>1</timestamp><size>{len(data)}</size></data></repomd>')
open(f"{folder}/repomd.xml", "w").write(index.replace("</repomd>", entry))
END
python3 -I /root/bomb.py zeros modules /srv/zeros/repodata
python3 -I /root/bomb.py letters primary /srv/letters/repodata
"""


@pytest.fixture(scope="module")
def host(module_hosts: Callable[..., Host]) -> Host:
    builder = module_hosts("build")
    builder.script(MAKE, Request(about="make repositories"))
    return builder


def test_good_repository_is_read(host: Host) -> None:
    assert published.list_packages(host, "file:///srv/good", ["*"]) == []


@pytest.mark.parametrize("name", ["zeros", pytest.param("letters", marks=pytest.mark.whole)])
def test_metadata_has_bounds(host: Host, name: str) -> None:
    with pytest.raises(TestbedError, match=f"/srv/{name} cannot be used: ") as caught:
        published.list_packages(host, f"file:///srv/{name}", ["*"])
    assert "memory" in caught.value.message
