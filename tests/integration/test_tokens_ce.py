"""A table of tokens, shown to a real HTCondor and to the preflight: the verdicts are the same.

Where the preflight is stricter the table says why; it is laxer nowhere.
"""

from __future__ import annotations

import base64
import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from itb.containers.engine import Engine
from itb.containers.host import FileSpec, Host
from itb.data import shipped
from itb.errors import InstallError
from itb.install import configure
from itb.model import PlatformImages
from itb.process.request import Request
from itb.repository import server as repository_server
from itb.testbed.certificates import RunCA
from itb.testbed.testbed import install_trust, wait_booted
from itb.tokens.ce import find_refusal, issuer_problem
from itb.tokens.check import explain, request_for
from itb.tokens.delivery import deliver, deliver_instead, is_ours
from itb.tokens.issuer import Issuer
from itb.tokens.request import SCOPES, Secret

pytestmark = pytest.mark.long

FQDN = "ce-workspace.glideinwms.org"
CE = f"{FQDN}:9619"
WLCG = " ".join(SCOPES["wlcg"])
ANY_WLCG = "https://wlcg.cern.ch/jwt/v1/any"
PLAIN = {"ver": None}
AS_WLCG = {"ver": None, "wlcg.ver": "1.0", "scope": WLCG}


@dataclass(frozen=True)
class In:
    """A time so many seconds from now."""

    seconds: float


@dataclass(frozen=True)
class Row:
    """A token, whether HTCondor takes it for submission, and why the preflight is stricter if it is."""

    name: str
    ce: bool
    claims: Mapping[str, Any] = field(default_factory=dict)
    header: Mapping[str, Any] = field(default_factory=dict)
    mint: Mapping[str, Any] = field(default_factory=dict)
    text: Callable[[str, Issuer], str] = lambda token, _: token
    stricter: str = ""


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def unsigned(token: str, algorithm: str) -> str:
    return f"{part({'alg': algorithm})}.{token.split('.')[1]}."


def mislabelled(token: str, issuer: Issuer, algorithm: str) -> str:
    header = {"alg": algorithm, "kid": issuer.jwks()["keys"][0]["kid"]}
    return f"{part(header)}.{token.partition('.')[2]}"


def tampered(token: str, issuer: Issuer) -> str:
    head, _, signature = token.split(".")
    return f"{head}.{issuer.mint(CE, subject='root').split('.')[1]}.{signature}"


def signed(issuer: Issuer, payload: bytes, header: bytes = b"", key: str = "ES256") -> str:
    """A token of just these bytes; ``key`` is an algorithm, or the id of one of the odd keys."""
    algorithm = "RS256" if key.startswith("RSA") else "ES256"
    private = ODD_KEYS[key] if key in ODD_KEYS else issuer._keys["ES256"].private
    kid = key if key in ODD_KEYS else issuer.jwks()["keys"][0]["kid"]
    if key == "P-384 as ES384":
        algorithm = "ES384"
    header = header or json.dumps({"alg": algorithm, "kid": kid}).encode()
    text = f"{encode(header)}.{encode(payload)}"
    return f"{text}.{encode(jwt.get_algorithm_by_name(algorithm).sign(text.encode(), private))}"


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def payload_of(token: str) -> bytes:
    return base64.urlsafe_b64decode(token.split(".")[1] + "==")


def padded(token: str) -> str:
    return ".".join(item + "=" * (-len(item) % 4) for item in token.split("."))


ODD_KEYS: dict[str, Any] = {
    "P-384": ec.generate_private_key(ec.SECP384R1()),
    "P-384 as ES384": ec.generate_private_key(ec.SECP384R1()),
    "RSA 1024": rsa.generate_private_key(public_exponent=65537, key_size=1024),
}


class Generous(Issuer):
    """Publishes keys a CE may not take as well."""

    def jwks(self) -> dict[str, Any]:
        more = []
        for kid, key in ODD_KEYS.items():
            algorithm = jwt.get_algorithm_by_name("RS256" if kid.startswith("RSA") else "ES384")
            more.append({**json.loads(algorithm.to_jwk(key.public_key())), "kid": kid, "use": "sig"})
        return {"keys": [*super().jwks()["keys"], *more]}


TWICE = "two readers of the token may see two different values"
LUCK = "HTCondor's client cuts a token file into shape; other readers of the file do not"
NBF = "GlideinWMS and other software want nbf, and whoever mints is told to set it"
# fmt: off
ACCEPTED = [
    Row("ES256", True),
    Row("RS256", True, mint={"algorithm": "RS256"}),
    Row("WLCG profile", True, AS_WLCG),
    Row("WLCG profile, RS256", True, AS_WLCG, mint={"algorithm": "RS256"}),
    Row("no ver", True, PLAIN),
    Row("ver scitokens:2.0", True, {"ver": "scitokens:2.0"}),
    Row("ver scitokens:1.0", True, {"ver": "scitokens:1.0"}),
    Row("ver and wlcg.ver: ver counts", True, {"wlcg.ver": "1.0"}),
    Row("WLCG profile with condor scopes", True, {"ver": None, "wlcg.ver": "1.0"}),
    Row("compute scopes with paths", True, {**AS_WLCG, "scope": WLCG.replace(" ", ":/x ")}),
    Row("WLCG without compute.read: writing implies reading", True, {**AS_WLCG, "scope": WLCG[13:]}),
    Row("WRITE alone implies READ", True, {"scope": "condor:/WRITE"}),
    Row("DAEMON implies both", True, {"scope": "condor:/DAEMON"}),
    Row("ADMINISTRATOR implies both", True, {"scope": "condor:/ADMINISTRATOR"}),
    Row("scopes in lower case", True, {"scope": "condor:/read condor:/write"}),
    Row("scopes without slash", True, {"scope": "condor:READ condor:WRITE"}),
    Row("scopes with many slashes", True, {"scope": "condor://READ/ condor:/x/../WRITE"}),
    Row("scopes of others beside", True, {"scope": "storage.read:/ condor:/READ condor:/WRITE condor:/ODD"}),
    Row("two blanks between scopes", True, {"scope": " condor:/READ  condor:/WRITE "}),
    Row("audience in a list", True, {"aud": ["other:1", CE]}),
    Row("audience ANY of a SciToken", True, {"aud": "ANY"}),
    Row("any audience of WLCG", True, {**AS_WLCG, "aud": ANY_WLCG}),
    Row("five minutes left", True, {"exp": In(300)}),
    Row("an expiry far away", True, {"exp": 10**15}),
    Row("issued in 1970", True, {"iat": 0, "nbf": -1}),
    Row("no jti", True, {"jti": None}),
    Row("further claims with a profile", True, {"foo": {"a": [1]}, "wlcg.groups": ["/x"]}),
    Row("further claims in an access token", True, {**PLAIN, "foo": 1}, {"typ": "at+jwt"}),
    Row("subject with comma and blank", True, {"sub": "a, b"}),
    Row("no typ", True, header={"typ": None}),
    Row("8 KB", True, {"groups": [f"/group/{number}" for number in range(400)]}),
    Row("blanks in the JSON", True, text=lambda token, issuer: signed(issuer, b" " + payload_of(token) + b"\n ")),
    Row("ANY in a list of audiences", True, {"aud": ["other:1", "ANY"]}),
    Row("16000 bytes", True, {"pad": "x" * 11400}),
]
REFUSED = [
    Row("wrong audience", False, {"aud": "other.glideinwms.org:9619"}),
    Row("audience without port", False, {"aud": FQDN}),
    Row("audience in capitals", False, {"aud": CE.upper()}),
    Row("audience as URL", False, {"aud": f"https://{CE}"}),
    Row("audience with a blank", False, {"aud": f"{CE} "}),
    Row("no audience", False, {"aud": None}),
    Row("empty list of audiences", False, {"aud": []}),
    Row("a number among audiences", False, {"aud": [CE, 3]}),
    Row("audience ANY without ver", False, {**PLAIN, "aud": "ANY"}),
    Row("audience ANY of a WLCG token", False, {**AS_WLCG, "aud": "ANY"}),
    Row("any audience of WLCG in a SciToken", False, {"aud": ANY_WLCG}),
    Row("expired", False, {"exp": In(-10)}),
    Row("no exp", False, {"exp": None}),
    Row("exp with a fraction", False, {"exp": In(3600.5)}),
    Row("exp as text", False, {"exp": "4000000000"}),
    Row("exp true", False, {"exp": True}),
    Row("exp beyond 64 bits", False, {"exp": 10**30}),
    Row("exp 2^62", False, {"exp": 2**62}),
    Row("no iat", False, {"iat": None}),
    Row("iat in the future", False, {"iat": In(600)}),
    Row("iat with a fraction", False, {"iat": In(-60.5)}),
    Row("nbf in the future", False, {"nbf": In(600)}),
    Row("nbf with a fraction", False, {"nbf": In(-60.5)}),
    Row("nbf in a list", False, {"nbf": [1]}),
    Row("http issuer", False, {"iss": "http://tokens.glideinwms.org/itb"}),
    Row("issuer with a slash at its end", False, {"iss": "https://tokens.glideinwms.org/itb/"}),
    Row("issuer without path", False, {"iss": "https://tokens.glideinwms.org"}),
    Row("another issuer of the same host", False, {"iss": "https://tokens.glideinwms.org/other"}),
    Row("issuer with its port", False, {"iss": "https://tokens.glideinwms.org:443/itb"}),
    Row("no issuer", False, {"iss": None}),
    Row("no subject", False, {"sub": None}),
    Row("subject is a number", False, {"sub": 5}),
    Row("jti is a number", False, {"jti": 5}),
    Row("jti is a list", False, {"jti": ["x"]}),
    Row("no scope", False, {"scope": None}),
    Row("empty scope", False, {"scope": ""}),
    Row("scopes in a list", False, {"scope": ["condor:/READ", "condor:/WRITE"]}),
    Row("READ alone", False, {"scope": "condor:/READ"}),
    Row("a tab between scopes", False, {"scope": "condor:/READ\tcondor:/WRITE"}),
    Row("scope condor:/", False, {"scope": "condor:/"}),
    Row("scope with a path below", False, {"scope": "condor:/READ/x condor:/WRITE/x"}),
    Row("storage scopes", False, {"scope": "storage.read:/ storage.modify:/"}),
    Row("compute scopes with ver", False, {"scope": WLCG}),
    Row("compute scopes without any profile", False, {**PLAIN, "scope": WLCG}),
    Row("WLCG lacking cancel", False, {**AS_WLCG, "scope": "compute.read compute.create compute.modify"}),
    Row("compute scopes in capitals", False, {**AS_WLCG, "scope": WLCG.upper()}),
    Row("unknown ver", False, {"ver": "scitoken:3.0"}),
    Row("ver is a number", False, {"ver": 2}),
    Row("wlcg.ver 1.1", False, {**AS_WLCG, "wlcg.ver": "1.1"}),
    Row("wlcg.ver is a number", False, {**AS_WLCG, "wlcg.ver": 1.0}),
    Row("further claims without profile", False, {**PLAIN, "client_id": "x"}),
    Row("further claims with ver scitokens:1.0", False, {"ver": "scitokens:1.0", "foo": "x"}),
    Row("another key", False, mint={"fault": "other-key"}),
    Row("unknown kid", False, header={"kid": "nobody"}),
    Row("no kid, two keys published", False, header={"kid": None}),
    Row("alg none", False, text=lambda token, _: unsigned(token, "none")),
    Row("alg HS256", False, text=lambda token, issuer: mislabelled(token, issuer, "HS256")),
    Row("alg ES384", False, text=lambda token, issuer: mislabelled(token, issuer, "ES384")),
    Row(
        "alg RS256 on an elliptic key", False, text=lambda token, issuer: mislabelled(token, issuer, "RS256")
    ),
    Row("payload exchanged", False, text=tampered),
    Row("no signature", False, text=lambda token, _: token.rpartition(".")[0] + "."),
    Row("signature cut", False, text=lambda token, _: token[:-4]),
    Row("padded with =", False, text=lambda token, _: padded(token)),
    Row("exp as 4e9", False, text=lambda token, issuer: signed(issuer, payload_of(token).replace(
        b'"exp": ' + payload_of(token).partition(b'"exp": ')[2][:10], b'"exp": 4e9'))),
    Row("exp null", False, text=lambda token, issuer: signed(issuer, payload_of(token).replace(
        b'"exp": ' + payload_of(token).partition(b'"exp": ')[2][:10], b'"exp": null'))),
    Row("key id is a number", False, text=lambda token, issuer: signed(
        issuer, payload_of(token), b'{"alg": "ES256", "kid": 5}')),
    Row("alg es256", False, text=lambda token, issuer: mislabelled(token, issuer, "es256")),
    Row("ES256 with a key of P-384", False, text=lambda token, issuer: signed(
        issuer, payload_of(token), key="P-384")),
    Row("ES384, well signed", False, text=lambda token, issuer: signed(
        issuer, payload_of(token), key="P-384 as ES384")),
    Row("byte order mark before it", False, text=lambda token, _: f"\ufeff{token}"),
    Row("a list as payload", False, text=lambda token, issuer: signed(issuer, b"[" + payload_of(token) + b"]")),
    Row("issuer's host in capitals", False, {"iss": "https://TOKENS.glideinwms.org/itb"}),
    Row("Bearer before it", False, text=lambda token, _: f"Bearer {token}"),
    Row("in quotes", False, text=lambda token, _: f'"{token}"'),
    Row("not a token", False, text=lambda _, __: "hello"),
    Row("16384 bytes and more", False, {"pad": "x" * 12000}),
]
STRICTER = [
    Row("no nbf", True, {"nbf": None}, stricter=NBF),
    Row("no nbf, WLCG", True, {**AS_WLCG, "nbf": None}, stricter=NBF),
    Row("empty subject", True, {"sub": ""}, stricter="nobody could tell whose job it is"),
    Row(
        "critical extension", True, header={"crit": ["x"], "x": 1}, stricter="RFC 7515 says: must be refused"
    ),
    Row("an RSA key of 1024 bits", True, text=lambda token, issuer: signed(
        issuer, payload_of(token), key="RSA 1024"), stricter="RFC 7518, 3.3: 2048 bits or more"),
    Row("aud twice", True, text=lambda token, issuer: signed(
        issuer, payload_of(token).replace(b"{", b'{"aud": "other:1", ', 1)), stricter=TWICE),
    Row("alg twice", True, text=lambda token, issuer: signed(
        issuer, payload_of(token), b'{"alg": "none", "alg": "ES256", "kid": "%s"}'
        % issuer.jwks()["keys"][0]["kid"].encode()), stricter=TWICE),
    Row("text after the payload", True, text=lambda token, issuer: signed(issuer, payload_of(token) + b"x"),
        stricter="it is no JSON; a CE reads no further than the object"),
    Row("carriage return and line end", True, text=lambda token, _: f"{token}\r\n", stricter=LUCK),
    Row("line end", True, text=lambda token, _: f"{token}\n", stricter=LUCK),
    Row("blank before", True, text=lambda token, _: f" {token}", stricter=LUCK),
    Row("two lines", True, text=lambda token, _: f"{token}\nmore", stricter=LUCK),
    Row("comment before", True, text=lambda token, _: f"# mine\n{token}", stricter=LUCK),
]
# fmt: on
ROWS = [*ACCEPTED, *REFUSED, *STRICTER]

# Every token of /root/tokens in turn: its name and whether the schedd lets submit with it.
ASK = """
schedd=$(head -n 1 "$(condor_config_val SCHEDD_ADDRESS_FILE)")
export schedd
ask() {
    said=$(_condor_SEC_CLIENT_AUTHENTICATION_METHODS=SCITOKENS _condor_SCITOKENS_FILE="/root/tokens/$1" \
        timeout 40 condor_ping -addr "$schedd" -type schedd WRITE 2>&1)
    [[ $said == *"WRITE command using"*succeeded* ]] && echo "$1 yes" || echo "$1 no"
}
export -f ask
ls /root/tokens | xargs -P 3 -I{} bash -c 'ask {}'
"""

# Three hundred clients connect and say nothing; meanwhile forty ask for the keys as a CE does.
STALL = """
import concurrent.futures, socket, subprocess
stalled = [socket.create_connection(("tokens.glideinwms.org", 443)) for _ in range(300)]
def ask(_):
    done = subprocess.run(["curl", "-sf", "--max-time", "60", "https://tokens.glideinwms.org/itb/jwks.json"],
                          stdout=subprocess.DEVNULL)
    return done.returncode
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    answers = list(pool.map(ask, range(40)))
print(max(answers))
"""


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Issuer:
    return Generous.create(tmp_path_factory.mktemp("issuer"))


@pytest.fixture(scope="module")
def ce(
    engine: Engine,
    images: PlatformImages,
    own_label: str,
    issuer: Issuer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Host]:
    """One host that is all in one: repository, issuer and CE."""
    names = [FQDN, repository_server.REPO_HOST, repository_server.TOKEN_HOST]
    local = [option for name in names for option in ("--add-host", f"{name}:127.0.0.1")]
    container = f"itb-test-tokens-{own_label[-8:]}"
    engine.call(
        *("run", "--detach", "--name", container, "--label", own_label, "--hostname", FQDN, *local),
        *(("--systemd", "always") if engine.is_podman else ("--privileged",)),
        images.references["services"],
    )
    try:
        host = Host(engine, container, "ce", FQDN)
        wait_booted(host)
        install_trust(host, RunCA.create(tmp_path_factory.mktemp("ca"), "itb test"), names=names)
        repository_server.prepare(host, issuer.files(), tmp_path_factory.mktemp("key") / "key")
        host.run(Request(["dnf", "--assumeyes", "--quiet", "install", "condor"], timeout=300))
        script = shipped.folder("build_ws") / "ce" / "condor.sh"
        log = tmp_path_factory.mktemp("ce") / "configure.log"
        configure.configure(host, script, {"ITB_CE_ADDRESS": CE}, log=log, timeout=120)
        host.call("systemctl", "start", "condor")
        ready = "until condor_ping -type schedd WRITE >/dev/null 2>&1; do sleep 0.2; done"
        host.script(ready, Request(timeout=300))
        yield host
    finally:
        engine.run(Request(["rm", "--force", "--volumes", container], check=False))


def make(row: Row, issuer: Issuer) -> str:
    now = int(time.time())
    claims = {
        key: now + value.seconds if isinstance(value, In) else value for key, value in row.claims.items()
    }
    options = dict(row.mint)
    if "fault" in options:
        return issuer.mint_faulty(request_for(CE), options["fault"])
    return row.text(issuer.mint(CE, claims=claims, header=row.header, **options), issuer)


def ask(ce: Host, tokens: list[str]) -> list[bool]:
    ce.call("rm", "-rf", "/root/tokens")
    ce.put(*(FileSpec(f"/root/tokens/{n:03}", text.encode(), mode=0o600) for n, text in enumerate(tokens)))
    lines = ce.script(ASK, Request(timeout=300)).stdout.splitlines()
    accepted = {int(line.split()[0]): line.endswith(" yes") for line in lines}
    return [accepted[number] for number in range(len(tokens))]


def test_the_ce_and_the_preflight_agree(ce: Host, issuer: Issuer) -> None:
    assert len(ROWS) > 100
    assert len({row.name for row in ROWS}) == len(ROWS)
    tokens = [make(row, issuer) for row in ROWS]
    request = request_for(CE, issuer=issuer.url)
    verdicts = [explain(token, request, issuer.jwks()) for token in tokens]
    wrong = []
    for row, checks, by_ce in zip(ROWS, verdicts, ask(ce, tokens), strict=True):
        refused = [verdict for verdict in checks if not verdict.ok]
        if by_ce != row.ce:
            wrong.append(f"{row.name}: the CE says {by_ce}")
        if (not refused) != (row.ce and not row.stricter):
            wrong.append(f"{row.name}: the preflight says {[verdict.reason for verdict in refused] or True}")
        if row.stricter and refused and not refused[0].stricter:
            wrong.append(f"{row.name}: the preflight does not say that it is stricter")
    assert not wrong, "\n".join(wrong)


def test_case_14_the_issuer_dies(ce: Host, issuer: Issuer) -> None:
    token = issuer.mint(CE)
    assert ask(ce, [token]) == [True]
    assert issuer_problem(ce, issuer.url) == ""
    ce.call("systemctl", "stop", "nginx")
    try:
        assert "the issuer's web server is down" in issuer_problem(ce, issuer.url)
        assert "web server is down" in find_refusal(ce, issuer.url)
    finally:
        ce.call("systemctl", "start", "nginx")
    ce.call("mv", "/srv/issuer/itb", "/srv/issuer/gone")
    assert "does not have it" in issuer_problem(ce, issuer.url)
    ce.call("mv", "/srv/issuer/gone", "/srv/issuer/itb")
    assert "does not know the name" in issuer_problem(ce, "https://nowhere.invalid/itb")
    assert ask(ce, [token]) == [True]


def test_case_14_the_ca_leaves_the_bundle(ce: Host, issuer: Issuer) -> None:
    anchor = "/usr/local/share/ca-certificates/itb-run.crt"
    ce.script(f"mv {anchor} /root/; update-ca-certificates --fresh")
    try:
        assert "its CA is not in the CE's system bundle" in issuer_problem(ce, issuer.url)
        assert ask(ce, [issuer.mint(CE)]) == [False]
    finally:
        ce.script(f"mv /root/itb-run.crt {anchor}; update-ca-certificates --fresh")
    assert ask(ce, [issuer.mint(CE)]) == [True]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("wrong-audience", "another audience"),
        ("expired", "expired"),
        ("other-key", "signature does not fit"),
        ("unknown-kid", "does not publish the key"),
    ],
)
def test_why_the_ce_refused(ce: Host, issuer: Issuer, fault: str, expected: str) -> None:
    assert ask(ce, [issuer.mint_faulty(request_for(CE), fault)]) == [False]
    assert expected in find_refusal(ce, issuer.url)
    assert find_refusal(ce, issuer.url, since=time.time() + 60) == ""  # older ones do not count


def test_delivery_replaces_the_token_as_a_whole(ce: Host, issuer: Issuer) -> None:
    path = "/var/lib/condor/itb test/ce.scitoken"
    ce.call("install", "-d", "-o", "condor", "/var/lib/condor/itb test")
    for text in (issuer.mint(CE), issuer.mint(CE)):
        assert deliver(ce, Secret(text), path=path, owner="condor:condor", force=False)
        assert ce.call("stat", "-c", "%U:%G %a %F", path).stdout.strip() == "condor:condor 600 regular file"
        same = ce.run(Request(["cmp", path, "-"], input=text.encode() + b"\n", check=False))
        assert same.ok, same.output
    assert ce.call("ls", "-A", "/var/lib/condor/itb test").stdout.split() == ["ce.scitoken"]
    for where, owner, problem in [
        ("/no/such/t", "root:root", "folder /no/such does not exist"),
        ("/root/t", "nobody.here:root", "invalid user"),
        ("/var/lib/condor", "root:root", "is a folder"),
    ]:
        with pytest.raises(InstallError, match=problem):
            deliver(ce, Secret(issuer.mint(CE)), path=where, owner=owner)
    assert ".itb-token" not in ce.call("ls", "-A", "/root", "/var/lib").stdout


def test_what_somebody_put_in_its_place_is_known_and_stays(ce: Host, issuer: Issuer) -> None:
    path, first, second = "/root/mine/t", Secret(issuer.mint(CE)), Secret(issuer.mint(CE))
    ce.call("mkdir", "/root/mine")
    assert deliver(ce, first, path=path, owner="root:root")
    assert is_ours(ce, path)
    deliver_instead(ce, second, path=path, owner="root:root")
    assert not is_ours(ce, path)
    ce.script(f"echo other >{path}.new; mv {path}.new {path}")
    assert not is_ours(ce, path)
    assert not deliver(ce, second, path=path, owner="root:root", force=False)
    assert ce.call("cat", path).stdout == "other\n"
    assert ce.call("ls", "-A", "/root/mine").stdout.split() == ["t"]
    ce.call("rm", path)
    assert not is_ours(ce, path)
    assert deliver(ce, second, path=path, owner="root:root")
    assert is_ours(ce, path)


def test_the_issuer_survives_stalled_and_many_clients(ce: Host) -> None:
    assert ce.run(Request(["python3", "-c", STALL], timeout=600)).stdout == "0\n"


@pytest.mark.parametrize(
    "path", ["", "itb/", "itb/.well-known/", "itb/issuer.json", "itb/../../etc/passwd", "ca.key"]
)
def test_the_issuer_serves_only_what_it_should(ce: Host, path: str) -> None:
    url = f"https://{repository_server.TOKEN_HOST}/{path}"
    status = ce.call("curl", "-s", "--path-as-is", "-o", "/dev/null", "-w", "%{http_code}", url).stdout
    assert status in ("400", "403", "404")
    posted = ce.call("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-d", "x=y", url).stdout
    assert posted in ("400", "403", "404", "405")


def test_a_token_on_its_way_is_in_no_process_list(ce: Host, issuer: Issuer) -> None:
    text = issuer.mint(CE)
    wanted = text.rpartition(".")[2].encode()
    seen: list[str] = []
    ended = threading.Event()

    def watch() -> None:
        while not ended.is_set():
            for path in Path("/proc").glob("[0-9]*"):
                for name in ("cmdline", "environ"):
                    with contextlib.suppress(OSError):
                        if wanted in (path / name).read_bytes():
                            seen.append(f"{path}/{name}")

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for _ in range(5):
            deliver(ce, Secret(text), path="/root/t", owner="root:root")
    finally:
        ended.set()
        watcher.join()
    assert not seen
