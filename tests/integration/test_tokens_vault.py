"""The provider ``vault`` against a stand-in that speaks Vault's REST interface, over real TLS."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from itb.errors import UsageError
from itb.process.runner import Runner
from itb.testbed.certificates import RunCA
from itb.tokens.acquire import acquire
from itb.tokens.issuer import Issuer
from itb.tokens.providers.base import ProviderContext
from itb.tokens.request import AcquireCause, AcquireError, TokenRequest

CE = "ce-workspace.glideinwms.org:9619"
REQUEST = TokenRequest(run_id="r1", ce=CE, audience=CE, deadline_s=3)
VAULT_TOKEN = "hvs." + "CAESIJ" * 8
PATH = "/v1/secret/oauth/sts/fermilab/someone:default"

Reply = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class StandIn:
    """A Vault; ``replies`` maps paths to what is done there, ``seen`` are the requests."""

    port: int = 0
    replies: dict[str, Reply] = field(default_factory=dict)
    seen: list[tuple[str, dict[str, list[str]], str]] = field(default_factory=list)


def reply(status: int, value: object = None, **headers: str) -> Reply:
    def send(handler: BaseHTTPRequestHandler) -> None:
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        handler.send_response(status)
        for name, text in {**headers, "Content-Length": str(len(body))}.items():
            handler.send_header(name.replace("_", "-"), text)
        handler.end_headers()
        handler.wfile.write(body)

    return send


def errors(status: int, *texts: str) -> Reply:
    return reply(status, {"errors": list(texts)})


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[StandIn]:
    stand_in = StandIn()

    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            stand_in.seen.append((url.path, parse_qs(url.query), self.headers.get("X-Vault-Token", "")))
            stand_in.replies.get(url.path, errors(404))(self)

        def log_message(self, format: str, *args: object) -> None:
            pass

    certificate = RunCA.create(tmp_path / "ca", "vault test").issue("localhost", addresses=["127.0.0.1"])
    (tmp_path / "host.pem").write_bytes(certificate.certificate_pem + certificate.key_pem)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "host.pem")

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def finish_request(self, request: Any, client_address: Any) -> None:
            # The handshake belongs to the connection's thread, or one stalled peer would block everybody.
            request.settimeout(10)
            try:
                with tls.wrap_socket(request, server_side=True) as secure:
                    Handler(secure, client_address, self)
            except OSError:
                return

    server = Server(("127.0.0.1", 0), Handler)
    stand_in.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield stand_in
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    return Issuer.create(tmp_path / "issuer")


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "vt"
    path.write_text(VAULT_TOKEN + "\n")
    path.chmod(0o400)  # as Managed Tokens leaves it
    return path


def context(
    vault: StandIn, token_file: Path, tmp_path: Path, issuer: Issuer | None = None, **more: Any
) -> ProviderContext:
    options = {
        "server": f"localhost:{vault.port}", "issuer": "fermilab", "credkey": "someone",
        "vault_token_file": str(token_file), "ca": str(tmp_path / "ca" / "ca.pem"), **more,
    }  # fmt: skip
    return ProviderContext(runner=Runner(), options={"vault": options}, issuer=issuer)


def problem(given: ProviderContext) -> AcquireError:
    with pytest.raises(AcquireError) as caught:
        acquire("vault", REQUEST, given)
    error = caught.value
    shown = f"{error!r} {error.evidence} {error.hint}"
    assert VAULT_TOKEN not in shown
    assert "\n" not in error.message
    assert error.exit_code == 6
    return error


def test_a_vault_token_becomes_a_bearer_token(
    vault: StandIn, issuer: Issuer, token_file: Path, tmp_path: Path
) -> None:
    vault.replies[PATH] = reply(200, {"data": {"access_token": issuer.mint(CE)}})
    token, _ = acquire("vault", REQUEST, context(vault, token_file, tmp_path, issuer))
    assert token.verified
    assert token.provider == "vault"
    path, query, header = vault.seen[0]
    assert path == PATH
    assert header == VAULT_TOKEN
    assert query == {
        "minimum_seconds": ["1200"], "audience": [CE], "scopes": ["condor:/READ,condor:/WRITE"],
    }  # fmt: skip


def test_the_stored_token_is_taken_as_it_is(
    vault: StandIn, issuer: Issuer, token_file: Path, tmp_path: Path
) -> None:
    path = PATH.replace("/sts/", "/creds/")
    vault.replies[path] = reply(200, {"data": {"access_token": issuer.mint(CE)}})
    acquire(
        "vault", REQUEST, context(vault, token_file, tmp_path, issuer, restrict=False, minimum_seconds=60)
    )
    assert vault.seen[0][:2] == (path, {"minimum_seconds": ["60"]})


def test_what_vault_gives_is_checked_too(
    vault: StandIn, issuer: Issuer, token_file: Path, tmp_path: Path
) -> None:
    vault.replies[PATH] = reply(200, {"data": {"access_token": issuer.mint_faulty(REQUEST, "no-port")}})
    assert "token from vault: audience" in problem(context(vault, token_file, tmp_path, issuer)).message


@pytest.mark.parametrize(
    ("answer", "cause", "expected"),
    [
        (errors(403, "permission denied"), AcquireCause.PERSON, "has expired or was revoked: permission denied"),
        (
            errors(400, "invalid_scope"),
            AcquireCause.REFUSED,
            "the issuer refused someone:default of issuer fermilab: inva",
        ),
        (errors(404), AcquireCause.CONFIGURATION, "knows no credential someone:default of issuer fermilab"),
        (errors(503, "Vault is sealed"), AcquireCause.TEMPORARY, "Vault is sealed"),
        (errors(502, "upstream"), AcquireCause.TEMPORARY, "status 502): upstream"),
        (errors(429, "slow down"), AcquireCause.TEMPORARY, "status 429"),
        (reply(418, b"teapot"), AcquireCause.CONFIGURATION, "status 418"),
        (
            reply(307, b"", Location="https://elsewhere:8200/"),
            AcquireCause.CONFIGURATION,
            "redirects to https://elsewhere",
        ),
        (reply(200, b"x" * 200_000), AcquireCause.CONFIGURATION, "answered more than 65536 bytes"),
        (reply(200, b"hello"), AcquireCause.CONFIGURATION, "answers without a token"),
        (reply(200, {"data": {}}), AcquireCause.CONFIGURATION, "answers without a token"),
        (reply(200, ["data"]), AcquireCause.CONFIGURATION, "answers without a token"),
        (reply(403, {"errors": None}), AcquireCause.PERSON, "revoked"),
        (reply(403, b"x" * 200_000), AcquireCause.PERSON, "revoked"),
        (errors(412, "required index state not present"), AcquireCause.TEMPORARY, "status 412"),
        (errors(473), AcquireCause.TEMPORARY, "status 473"),
        (errors(401, "no"), AcquireCause.PERSON, "revoked"),
        (reply(200, b'{"data": {"access_token": ["x"]}}'), AcquireCause.CONFIGURATION, "answers without a token"),
        (reply(200, b"[" * 60_000), AcquireCause.CONFIGURATION, "answers without a token"),
    ],
)
def test_case_13_statuses_by_cause(
    *, vault: StandIn, token_file: Path, tmp_path: Path, answer: Reply, cause: AcquireCause, expected: str
) -> None:
    vault.replies[PATH] = answer
    vault.replies["/v1/auth/token/lookup-self"] = errors(403, "permission denied")
    error = problem(context(vault, token_file, tmp_path))
    assert expected in error.message
    assert error.cause is cause


def test_case_13_a_wrong_credkey_is_told_from_a_revoked_token(
    vault: StandIn, token_file: Path, tmp_path: Path
) -> None:
    vault.replies["/v1/auth/token/lookup-self"] = reply(200, {"data": {"ttl": 600000}})
    vault.replies[PATH.replace("someone", "x%2Fy%20z")] = errors(403, "permission denied")
    error = problem(context(vault, token_file, tmp_path, credkey="x/y z"))
    assert "the Vault token is good, but not for x/y z:default" in error.message
    assert error.cause is AcquireCause.CONFIGURATION


def test_a_redirect_is_not_followed(vault: StandIn, token_file: Path, tmp_path: Path) -> None:
    vault.replies[PATH] = reply(302, b"", Location=f"https://localhost:{vault.port}/thief")
    problem(context(vault, token_file, tmp_path))
    assert [path for path, _, _ in vault.seen] == [PATH]


@pytest.mark.parametrize("drip", [False, True])
def test_a_server_that_hangs_ends_at_the_deadline(
    vault: StandIn, token_file: Path, tmp_path: Path, drip: bool
) -> None:
    ended = threading.Event()

    def hang(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while not ended.wait(0.2):
            if drip:
                handler.wfile.write(b"X-Pad: x\r\n")

    vault.replies[PATH] = hang
    try:
        error = problem(context(vault, token_file, tmp_path))
    finally:
        ended.set()
    assert "no answer within 3 s" in error.message
    assert error.cause is AcquireCause.TEMPORARY


def test_a_busy_vault_is_asked_again(vault: StandIn, issuer: Issuer, token_file: Path, tmp_path: Path) -> None:
    def busy_once(handler: BaseHTTPRequestHandler) -> None:
        answers = {1: errors(503, "upstream")}
        answers.get(len(vault.seen), reply(200, {"data": {"access_token": issuer.mint(CE)}}))(handler)

    vault.replies[PATH] = busy_once
    acquire("vault", REQUEST, context(vault, token_file, tmp_path, issuer))
    assert len(vault.seen) == 2


def test_the_environments_proxy_is_not_used_and_a_configured_one_is(
    vault: StandIn, issuer: Issuer, token_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.replies[PATH] = reply(200, {"data": {"access_token": issuer.mint(CE)}})
    seen: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as proxy:

        def refuse() -> None:
            with contextlib.suppress(OSError):  # closed below
                while True:  # every try comes here
                    connection, _ = proxy.accept()
                    with connection:
                        seen.append(connection.recv(4096))
                        connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

        threading.Thread(target=refuse, daemon=True).start()
        url = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, url)
        acquire("vault", REQUEST, context(vault, token_file, tmp_path, issuer))
        assert not seen
        error = problem(context(vault, token_file, tmp_path, proxy=url))
    assert "the proxy " in error.message
    assert seen[0].startswith(b"CONNECT localhost:")
    assert VAULT_TOKEN.encode() not in seen[0]


def test_a_namespace_is_named(vault: StandIn, issuer: Issuer, token_file: Path, tmp_path: Path) -> None:
    names: list[str] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        names.extend([handler.headers["X-Vault-Namespace"], handler.headers["X-Vault-Request"]])
        reply(200, {"data": {"access_token": issuer.mint(CE)}})(handler)

    vault.replies[PATH] = answer
    acquire("vault", REQUEST, context(vault, token_file, tmp_path, issuer, namespace="ns/x"))
    assert names == ["ns/x", "true"]


def test_a_ca_that_cannot_be_read(vault: StandIn, token_file: Path, tmp_path: Path) -> None:
    error = problem(context(vault, token_file, tmp_path, ca=str(tmp_path / "none.pem")))
    assert "none.pem cannot be read" in error.message
    assert error.cause is AcquireCause.CONFIGURATION
    assert vault.seen == []


@pytest.mark.parametrize("server", ["::1", "[::1]", "fe80::1", "h", "10.0.0.1", "vault.example.org:443"])
def test_a_server_by_any_address(server: str, tmp_path: Path) -> None:
    """Nobody is asked: there is no Vault token."""
    options = {"server": server, "issuer": "x", "credkey": "y", "vault_token_file": str(tmp_path / "none")}
    with pytest.raises(AcquireError, match="does not exist"):
        acquire("vault", REQUEST, ProviderContext(runner=Runner(), options={"vault": options}))


@pytest.mark.parametrize("server", ["", "https://v/", "h:x", "h:0", "h:99999", "[::1", "u:p@h", "a b", "h/x"])
def test_a_server_that_is_none(server: str) -> None:
    options = {"server": server, "issuer": "x", "credkey": "y"}
    with pytest.raises(UsageError, match="HOST or HOST:PORT"):
        acquire("vault", REQUEST, ProviderContext(runner=Runner(), options={"vault": options}))


def test_an_ipv6_server_is_asked_there(issuer: Issuer, token_file: Path, tmp_path: Path) -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as taken:
        port = taken.getsockname()[1]
    error = problem(context(StandIn(), token_file, tmp_path, server=f"[::1]:{port}", ca=""))
    assert "refuses the connection" in error.message


def test_a_ca_nobody_believes(vault: StandIn, token_file: Path, tmp_path: Path) -> None:
    error = problem(context(vault, token_file, tmp_path, ca=""))
    assert "not signed by a CA this machine believes" in error.message
    assert "ca: FILE" in error.hint
    assert vault.seen == []


def test_a_refused_connection(vault: StandIn, token_file: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    error = problem(context(vault, token_file, tmp_path, server=f"localhost:{port}"))
    assert "refuses the connection" in error.message
    assert error.cause is AcquireCause.TEMPORARY


def test_no_vault_token(vault: StandIn, token_file: Path, tmp_path: Path) -> None:
    assert "does not exist" in problem(context(vault, tmp_path / "none", tmp_path)).message
    token_file.chmod(0o644)
    assert "open to others" in problem(context(vault, token_file, tmp_path)).message
    token_file.chmod(0o600)
    token_file.write_text("\n")
    assert "holds no Vault token" in problem(context(vault, token_file, tmp_path)).message
    token_file.write_text("a\nb")
    assert "holds no Vault token" in problem(context(vault, token_file, tmp_path)).message
    assert vault.seen == []


def test_wrong_options_are_named() -> None:
    runner = Runner()
    options = {"vault": {"issuer": "x", "credkey": "y"}}
    with pytest.raises(UsageError, match=r"vault: key 'server' is missing"):
        acquire("vault", REQUEST, ProviderContext(runner=runner, options=options))
    url = {"server": "https://v/", "issuer": "x", "credkey": "y"}
    with pytest.raises(UsageError, match="HOST or HOST:PORT"):
        acquire("vault", REQUEST, ProviderContext(runner=runner, options={"vault": url}))


def htgettoken(tmp_path: Path, body: str) -> ProviderContext:
    program = tmp_path / "htgettoken"
    program.write_text(f"#!/bin/bash\n{body}\n")
    program.chmod(0o755)
    options = {
        "server": "vault.example.org", "issuer": "fermilab", "credkey": "someone",
        "vault_token_file": "/tmp/vt", "program": str(program),
    }  # fmt: skip
    return ProviderContext(runner=Runner(), options={"htgettoken": options})


def test_htgettoken_is_run_without_a_person(
    issuer: Issuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTGETTOKENOPTS", "--debug")
    body = f"""echo "$@" > {tmp_path}/args; env > {tmp_path}/env
    while [ "$1" != -o ]; do shift; done; umask 077; echo '{issuer.mint(CE)}' > "$2" """
    given = htgettoken(tmp_path, body)
    acquire("htgettoken", REQUEST, ProviderContext(runner=Runner(), options=given.options, issuer=issuer))
    arguments = (tmp_path / "args").read_text()
    for option in (
        "--novaulttoken",
        "--credkey someone",
        "--minsecs 1200",
        f"--audience {CE}",
        "-a vault.example",
    ):
        assert option in arguments
    assert "HTGETTOKENOPTS" not in (tmp_path / "env").read_text()


@pytest.mark.parametrize(
    ("said", "status", "cause", "expected"),
    [
        (
            "Read token from https://v failed: HTTPError: Forbidden: permission denied",
            1,
            AcquireCause.PERSON,
            "revoked",
        ),
        ("HTTPError: Not Found:", 1, AcquireCause.CONFIGURATION, "no such credential"),
        ("HTTPError: Bad Request: invalid_scope", 1, AcquireCause.REFUSED, "refused"),
        ("HTTPError: Service Unavailable: Vault is sealed", 1, AcquireCause.TEMPORARY, "Vault is sealed"),
        ("MaxRetryError: [Errno 111] Connection refused", 1, AcquireCause.TEMPORARY, "cannot reach"),
        ("SSLError: CERTIFICATE_VERIFY_FAILED", 1, AcquireCause.CONFIGURATION, "does not believe"),
        ("htgettoken: error: no such option: --novaulttoken", 2, AcquireCause.CONFIGURATION, "too old"),
        ("/tmp/vt does not yet exist", 1, AcquireCause.PERSON, "there is no Vault token"),
        ("something new", 1, AcquireCause.PERSON, "exit 1: something new"),
        ("usage: odd", 2, AcquireCause.CONFIGURATION, "exit 2"),
    ],
)
def test_htgettokens_words(tmp_path: Path, said: str, status: int, cause: AcquireCause, expected: str) -> None:
    request = REQUEST.model_copy(update={"deadline_s": 1})
    with pytest.raises(AcquireError) as caught:
        acquire("htgettoken", request, htgettoken(tmp_path, f"echo '{said}'; exit {status}"))
    assert expected in caught.value.message
    assert caught.value.cause is cause


def test_htgettoken_that_says_it_did_and_did_not(tmp_path: Path) -> None:
    with pytest.raises(AcquireError, match=r"token file .* does not exist"):
        acquire("htgettoken", REQUEST, htgettoken(tmp_path, "exit 0"))


def test_htgettoken_missing(tmp_path: Path) -> None:
    given = htgettoken(tmp_path, "")
    (tmp_path / "htgettoken").unlink()
    with pytest.raises(AcquireError, match="is not installed"):
        acquire("htgettoken", REQUEST, given)
