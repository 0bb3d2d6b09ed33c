"""Literal https URLs against real TLS servers: what is wrong with a certificate, and what would mend it."""

import socket
import ssl
import threading
from pathlib import Path

import pytest

from ota.contract.load import load_bytes
from ota.readiness.named import ProbeAnswer, ask
from ota.resolve.plan import Request
from ota.resolve.probes import ResolvedProbe, resolve_probe
from ota.resolve.scope import Scope
from ota.system.host import observe_host
from readiness.liar_services import Behaviour, Service, answer, read_request, serving, silent
from support.certificates import Authority

pytestmark = pytest.mark.edge

HERE = "DNS:localhost,IP:127.0.0.1,IP:::1"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def trusted(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Authority:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.trusted))
    return authority


def speaking(certificate: Path, *, status: int = 200, body: bytes = b"ok", headers: str = "") -> Behaviour:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def behave(connection: socket.socket, _number: int, _over: threading.Event) -> None:
        try:
            secure = context.wrap_socket(connection, server_side=True)
        except (ssl.SSLError, ConnectionError):
            return  # a client that does not trust us hangs up
        with secure:
            read_request(secure)
            secure.sendall(answer(status, body, headers))

    return behave


def probe_at(url: str, more: str = "") -> ResolvedProbe:
    text = (
        "version: 1\nproject: {name: x}\nreadiness: {probes: {p: {kind: http, "
        f"url: '{url}', timeout: 10s{more}}}}}}}\n"
    )
    loaded = load_bytes(text.encode(), Path("/repo/ota.yaml"), "ota.yaml")
    resolved = resolve_probe(Scope(loaded, Request(), observe_host()), "p")
    assert isinstance(resolved, ResolvedProbe)
    return resolved


def asked(service: Service, *, host: str = "localhost", path: str = "/", more: str = "") -> ProbeAnswer:
    return ask(probe_at(f"https://{host}:{service.port}{path}", more))


def test_a_trusted_certificate_is_ready(trusted: Authority) -> None:
    certificate = trusted.signed("good", HERE)
    with serving(speaking(certificate, body=b'{"status":"UP"}')) as service:
        assert asked(service, path="/health?deep=1", more=", body: {contains: UP}").holds
        assert asked(service, host="127.0.0.1").holds
        wrong = asked(service, more=", body: {contains: DOWN}")
    assert "lacks" in wrong.why
    with serving(speaking(certificate), address="::1") as service:
        assert asked(service, host="[::1]").holds


@pytest.mark.parametrize(
    ("name", "fact", "fix"),
    [
        ("expired", "the certificate of localhost has expired", "renew its certificate"),
        ("stranger", "the certificate of localhost is made out to another name", "a name that stands in its"),
        ("selfish", "the certificate of localhost is self-signed", "point `target` at its listener"),
        ("unknown", "is signed by an authority that this machine does not know", "SSL_CERT_FILE"),
    ],
)
def test_certificate_trouble_is_named_with_its_remedy(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, name: str, fact: str, fix: str
) -> None:
    if name != "unknown":
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.trusted))
    certificate = {
        "expired": lambda: authority.signed("expired", HERE, until="20210101000000Z"),
        "stranger": lambda: authority.signed("stranger", "DNS:elsewhere.test"),
        "selfish": lambda: authority.self_signed("selfish", HERE),
        "unknown": lambda: authority.signed("unknown", HERE),
    }[name]()
    with serving(speaking(certificate)) as service:
        found = asked(service)
    assert not found.holds
    assert found.result is not None
    assert found.result.cause == "certificate"
    assert fact in found.why
    assert fix in found.next


def test_an_address_that_the_certificate_does_not_name_is_told(trusted: Authority) -> None:
    with serving(speaking(trusted.signed("named", "DNS:localhost"))) as service:
        found = asked(service, host="127.0.0.1")
    assert "the certificate of 127.0.0.1 is made out to another address" in found.why


def test_a_redirect_over_tls_is_not_followed_and_counts_when_it_is_accepted(trusted: Authority) -> None:
    certificate = trusted.signed("moved", HERE)
    with serving(speaking(certificate, status=302, headers="Location: /login\r\n")) as service:
        refused = asked(service)
        accepted = asked(service, more=", expect_status: 302")
    assert "redirect 302 to /login (not followed; expected 200)" in refused.why
    assert accepted.holds


def test_a_plain_server_behind_an_https_url_is_named() -> None:
    def plain(connection: socket.socket, _number: int, _over: threading.Event) -> None:
        connection.recv(4096)
        connection.sendall(answer(400))

    with serving(plain) as service:
        assert "does not speak TLS (plain http?)" in asked(service).why


def test_a_server_that_never_shakes_hands_ends_with_the_attempt() -> None:
    with serving(silent) as service:
        found = ask(probe_at(f"https://localhost:{service.port}/"), timeout_s=0.2)
    assert found.is_timed_out
    assert "no TLS handshake within" in found.why


def test_the_default_port_of_an_https_url_is_443() -> None:
    found = probe_at("https://status.example.test/live?full=1")
    assert (found.scheme, found.port, found.path, found.is_verified) == ("https", 443, "/live?full=1", True)
    assert probe_at("http://status.example.test").port == 80
