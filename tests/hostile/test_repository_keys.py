"""A repository whose server, or somebody on the way to it, gives out a foreign key or leads to plain http."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from itb.containers.host import Host
from itb.errors import InstallError, TestbedError
from itb.model import Rpm
from itb.process.request import Request
from itb.repository import keys, published
from itb.repository.keys import RepositoryKey

GLOBS = ("probe",)
# Server "safe" serves everything by https; the others lead to http, all of it or what their name says.
SETUP = r"""
exec 2>&1
mkdir -p /srv/there/Packages /srv/there/repodata /root/probe
cat >/root/probe/probe.spec <<'END'
Name: probe
Version: 1
Release: 1
Summary: .
License: none
BuildArch: noarch
%description
.
%files
END
rpmbuild -bb --quiet --define '_rpmdir /root/probe' --define '_build_name_fmt %%{NAME}.rpm' /root/probe/probe.spec
cp /root/probe/probe.rpm /srv/there/Packages/
export GNUPGHOME=/root/keys
install -d -m 700 "$GNUPGHOME"
for name in owner stranger; do
    gpg --batch --quiet --pinentry-mode loopback --passphrase '' --quick-generate-key "$name" ed25519 sign
    gpg --batch --armor --export "$name" >"/root/$name.asc"
done
createrepo_c --quiet /srv/there
cat /root/owner.asc /root/stranger.asc >/srv/there/RPM-GPG-KEY-itb

cd /root
names=(safe keys index packages)
alt=$(printf ',DNS:%s.example.org' "${names[@]}")
openssl req -quiet -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=there -addext "subjectAltName=${alt#,}" \
    -keyout key.pem -out cert.pem
cat cert.pem >>/etc/ssl/certs/ca-certificates.crt
printf '127.0.0.1 %s.example.org\n' "${names[@]}" plain >>/etc/hosts
cat >server.py <<'END'
import functools, http.server, ssl, sys, threading
OPEN = {"keys": "KEY", "index": "repomd.xml", "packages": ".rpm"}
class Server(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        part = OPEN.get(self.headers["Host"].partition(".")[0])
        if part and part in self.path:
            self.send_response(302)
            self.send_header("Location", "http://plain.example.org" + self.path)
            self.end_headers()
        else:
            super().do_GET()
def serve(port, context=None):
    server = http.server.ThreadingHTTPServer(("", port), functools.partial(Server, directory="/srv/there"))
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever).start()
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("cert.pem", "key.pem")
serve(443, context)
serve(80)
END
systemd-run --quiet --working-directory=/root python3 server.py
for _ in {1..50}; do
    ! curl --silent --fail --output /dev/null https://safe.example.org/repodata/repomd.xml || break
    sleep 0.1
done
"""


@pytest.fixture(scope="module")
def host(module_hosts: Callable[..., Host]) -> Host:
    services = module_hosts("build")
    services.script(SETUP, Request(about="make a repository and serve it"))
    return services


@pytest.fixture(scope="module")
def owner(host: Host) -> str:
    """The fingerprint of the key that its owners tell everybody."""
    (fingerprint,) = keys.fingerprints(host, "/root/owner.asc")
    return fingerprint


def url(server: str) -> str:
    return f"{'http' if server == 'plain' else 'https'}://{server}.example.org"


def find_key(host: Host, server: str) -> None:
    assert keys.provide(host, keys.NO_KEY, url(server), "/root/taken.asc")


def read_index(host: Host, server: str) -> None:
    assert published.list_packages(host, url(server), GLOBS)


def fetch_packages(host: Host, server: str) -> None:
    rpm = Rpm(name="probe", version="1", release="1", arch="noarch", file="probe.rpm", sha256="", size=1)
    assert published.check(host, url(server), [rpm], "").headers


WAYS = {
    "keys": (find_key, InstallError, "/RPM-GPG-KEY-itb"),
    "index": (read_index, TestbedError, "/repodata/repomd.xml"),
    "packages": (fetch_packages, TestbedError, "/Packages/probe.rpm"),
}


def test_https_all_along_is_taken(host: Host) -> None:
    for fetch in (find_key, fetch_packages):
        fetch(host, "safe")


@pytest.mark.parametrize("server", WAYS)
def test_https_that_leads_to_http_is_refused(host: Host, server: str) -> None:
    fetch, kind, file = WAYS[server]
    with pytest.raises(kind, match=f"{url(server)}{file}: the server leads to an address without https"):
        fetch(host, server)


def test_key_of_its_own_url_must_not_lead_to_http(host: Host) -> None:
    key = RepositoryKey((f"{url('keys')}/RPM-GPG-KEY-itb",))
    with pytest.raises(InstallError, match="leads to an address without https"):
        keys.provide(host, key, url("plain"), "/root/taken.asc")


def test_pinned_key_may_come_by_any_way(host: Host, owner: str) -> None:
    """And it alone: what was added to the file would be trusted like it."""
    assert len(keys.fingerprints(host, "/srv/there/RPM-GPG-KEY-itb")) == 2
    assert keys.provide(host, RepositoryKey(pin=owner), url("plain"), "/root/taken.asc")
    assert keys.fingerprints(host, "/root/taken.asc") == [owner]


def test_other_key_than_the_pinned_one_is_refused(host: Host) -> None:
    key = RepositoryKey(("/root/owner.asc",), on_host=True, pin="A" * 40)
    with pytest.raises(InstallError, match=f"not the pinned {'A' * 40}"):
        keys.provide(host, key, url("plain"), "/root/taken.asc")
