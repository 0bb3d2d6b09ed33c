"""Single attempts against real sockets: honest services, and each kind of liar."""

import os
import socket
import ssl
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ota.readiness.http import BODY_LIMIT, MalformedAnswerError, decode_chunks, encode_request, split_head
from ota.readiness.probes import (
    HttpProbe,
    OwnListenerProbe,
    TcpProbe,
    render_statuses,
    statuses_accepted,
)
from ota.readiness.timing import Timing
from ota.readiness.wait import Exhausted, Gate, Ready, wait_ready
from ota.system.sockets import AttemptDeadline
from readiness.liar_services import (
    Service,
    answer,
    answering,
    closing,
    dripping,
    read_request,
    sending_then_waiting,
    serving,
    silent,
    unused_port,
)
from support.certificates import Authority

pytestmark = pytest.mark.edge

OK_ONLY = ((200, 200),)


def http(service: Service, **fields: object) -> HttpProbe:
    return HttpProbe(host=service.address, port=service.port, **fields)  # type: ignore[arg-type]


# -- tcp ---------------------------------------------------------------------------------------------


def test_an_open_socket_is_ready() -> None:
    with serving(silent) as service:
        result = TcpProbe(host="127.0.0.1", port=service.port).attempt()
    assert result.ok
    assert result.note is None


def test_nobody_there_is_refused_and_known_to_be_local() -> None:
    result = TcpProbe(host="127.0.0.1", port=unused_port()).attempt()
    assert (result.ok, result.cause, result.refused_locally) == (False, "refused", True)


def test_accept_then_close_is_a_note_natively_and_a_failure_behind_an_engine() -> None:
    with serving(closing) as service:
        strict = TcpProbe(host="127.0.0.1", port=service.port, closed_at_once="fail").attempt()
    assert (strict.ok, strict.cause) == (False, "closed_at_once")
    with serving(closing) as service:
        results = [TcpProbe(host="127.0.0.1", port=service.port).attempt() for _ in range(20)]
    assert all(result.ok for result in results)
    assert any(result.note == "accepted, then closed at once" for result in results)


def test_a_server_that_speaks_first_is_not_taken_for_one_that_closes() -> None:
    def greeting(connection: socket.socket, _number: int, over: threading.Event) -> None:
        connection.sendall(b"220 ready\r\n")
        over.wait(20)

    with serving(greeting) as service:
        assert TcpProbe(host="127.0.0.1", port=service.port, closed_at_once="fail").attempt().ok


def test_localhost_is_both_loopbacks() -> None:
    for address in ("127.0.0.1", "::1"):
        with serving(silent, address) as service:
            result = TcpProbe(host="localhost", port=service.port).attempt()
            assert (result.ok, result.address) == (True, address)


def test_a_listener_on_ipv6_only_does_not_answer_on_ipv4() -> None:
    with serving(silent, "::1") as service:
        assert TcpProbe(host="127.0.0.1", port=service.port).attempt().cause == "refused"
        assert TcpProbe(host="[::1]", port=service.port).attempt().ok


def test_a_full_accept_queue_is_a_timed_out_connect() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            result = TcpProbe(host="127.0.0.1", port=port, timeout_s=0.2).attempt()
    assert result.cause == "connect_timed_out"
    assert "connect timed out after" in result.detail


def test_an_unknown_name_says_so() -> None:
    result = TcpProbe(host="nobody.invalid", port=80).attempt()
    assert result.cause == "name_unknown"
    assert "nobody.invalid" in result.detail


def test_an_impossible_name_is_no_traceback() -> None:
    assert TcpProbe(host="a" * 300, port=80).attempt().cause == "name_unknown"
    assert TcpProbe(host="a..b", port=80).attempt().cause == "name_unknown"


# -- http --------------------------------------------------------------------------------------------


def test_the_request_is_complete_and_declared_headers_win() -> None:
    with serving(answering(answer(), seen=(seen := []))) as service:
        probe = http(service, path="/health?deep=1", headers=(("host", "app.test"), ("X-Key", "a b")))
        assert probe.attempt().ok
        lines = seen[0].decode().split("\r\n")
        assert http(service).attempt().ok
    assert lines[0] == "GET /health?deep=1 HTTP/1.1"
    assert "host: app.test" in lines
    assert "X-Key: a b" in lines
    assert "Connection: close" in lines
    assert not any(line.startswith("Host:") for line in lines)
    assert f"Host: 127.0.0.1:{service.port}" in seen[1].decode()


def test_the_host_header_brackets_ipv6() -> None:
    with serving(answering(answer(), seen=(seen := [])), "::1") as service:
        assert http(service).attempt().ok
    assert f"Host: [::1]:{service.port}\r\n".encode() in seen[0]


@pytest.mark.parametrize("status", [200, 204, 301, 399])
def test_any_status_from_200_to_399_is_accepted_by_default(status: int) -> None:
    with serving(answering(answer(status))) as service:
        result = http(service).attempt()
    assert (result.ok, result.status) == (True, status)


@pytest.mark.parametrize("status", [400, 404, 500, 503])
def test_another_status_fails_with_what_was_expected(status: int) -> None:
    with serving(answering(answer(status))) as service:
        result = http(service).attempt()
    assert (result.ok, result.cause, result.status) == (False, "status", status)
    assert result.detail == f"status {status} (expected 200-399)"


def test_503_with_the_right_body_is_not_ready() -> None:
    with serving(answering(answer(503, b"all good"))) as service:
        assert http(service, body_contains="all good").attempt().cause == "status"


def test_a_redirect_is_not_followed() -> None:
    with serving(answering(answer(302, headers="Location: /login\r\n"))) as service:
        result = http(service, accepts=OK_ONLY).attempt()
        assert service.accepted == 1
    assert (result.cause, result.location) == ("redirect", "/login")
    assert result.detail == "redirect 302 to /login (not followed; expected 200)"


def test_a_body_with_the_text_is_ready_and_one_without_is_not() -> None:
    with serving(answering(answer(body=b'{"status": "up"}'))) as service:
        assert http(service, body_contains='"up"').attempt().ok
        result = http(service, body_contains='"down"').attempt()
    assert result.cause == "body"
    assert result.detail == 'status 200, body lacks ""down""'


def test_a_body_without_a_length_ends_with_the_connection() -> None:
    with serving(answering(answer(body=b"pong", length=False))) as service:
        assert http(service, body_contains="pong").attempt().ok
        assert http(service, body_contains="ping").attempt().cause == "body"


def test_a_chunked_body_is_decoded() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n6;x=y\r\nlo all\r\n0\r\n\r\n"
    with serving(answering(chunked)) as service:
        assert http(service, body_contains="hello all").attempt().ok
        assert http(service, body_contains="6;x").attempt().cause == "body"


def test_text_after_the_declared_length_is_no_body() -> None:
    with serving(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHIDDEN")) as service:
        assert http(service, body_contains="HIDDEN").attempt().cause == "body"


def test_a_huge_body_is_read_up_to_the_limit() -> None:
    huge = b"x" * BODY_LIMIT
    endless = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n" + huge * 3
    with serving(sending_then_waiting(endless)) as service:
        result = http(service, body_contains="y", timeout_s=10).attempt()
    assert result.detail == f'status 200, body lacks "y" in its first {BODY_LIMIT} bytes'
    with serving(answering(answer(body=huge + b"y"))) as service:
        assert http(service, body_contains="y").attempt().cause == "body"


def test_a_body_that_stalls_ends_with_the_attempt() -> None:
    stalled = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc"
    with serving(sending_then_waiting(stalled)) as service:
        assert http(service, body_contains="abc").attempt().ok
        result = http(service, body_contains="z", timeout_s=0.2).attempt()
    assert "incomplete after" in result.detail
    assert result.elapsed_ms < 2000


def test_a_status_is_enough_when_no_text_is_asked_for() -> None:
    with serving(sending_then_waiting(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")) as service:
        assert http(service, timeout_s=5).attempt().elapsed_ms < 2000


def test_head_has_no_body() -> None:
    with serving(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", seen=(seen := []))) as service:
        assert http(service, method="HEAD").attempt().ok
    assert seen[0].startswith(b"HEAD / HTTP/1.1\r\n")


def test_slow_headers_end_with_the_attempt() -> None:
    with serving(dripping(answer())) as service:
        result = http(service, timeout_s=0.2).attempt()
    assert result.cause == "no_answer"
    assert result.detail.startswith("headers not complete within")
    assert result.elapsed_ms < 2000


def test_slow_headers_that_arrive_in_time_are_read() -> None:
    with serving(dripping(answer(), 0.0)) as service:
        assert http(service, timeout_s=10).attempt().ok


def test_silence_is_no_answer() -> None:
    with serving(silent) as service:
        result = http(service, timeout_s=0.2).attempt()
    assert (result.cause, result.reached) == ("no_answer", "connection")
    assert result.detail.startswith("no answer within ")


def test_closing_without_a_word_is_told_from_refusing() -> None:
    with serving(closing) as service:
        result = http(service).attempt()
    assert result.cause == "closed_at_once"
    assert result.detail == "accepted, then closed without an answer"


def test_an_answer_cut_in_its_headers_says_so() -> None:
    with serving(answering(b"HTTP/1.1 200 OK\r\nContent")) as service:
        assert http(service).attempt().detail == "accepted, then closed in the middle of its headers"


def test_another_protocol_is_named_by_its_first_bytes() -> None:
    def ssh(connection: socket.socket, _number: int, _over: threading.Event) -> None:
        connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
        read_request(connection)

    with serving(ssh) as service:
        result = http(service).attempt()
    assert result.detail == "did not answer in HTTP: 'SSH-2.0-OpenSSH_9.2'"


def test_endless_headers_are_given_up() -> None:
    flood = b"HTTP/1.1 200 OK\r\n" + b"X-Junk: 1\r\n" * 20000
    with serving(answering(flood)) as service:
        assert "longer than 64 KiB" in http(service, timeout_s=10).attempt().detail


def test_interim_answers_are_passed_over() -> None:
    with serving(answering(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + answer(204))) as service:
        assert http(service).attempt().status == 204


def test_200_then_500_is_ready_only_while_it_says_so() -> None:
    with serving(answering(answer(), answer(500))) as service:
        assert http(service).attempt().ok
        assert http(service).attempt().status == 500


def test_any_address_of_a_name_may_satisfy_the_probe() -> None:
    with (
        serving(answering(answer(404)), "127.0.0.1") as wrong,
        serving(answering(answer(200)), "::1", wrong.port),
    ):
        result = HttpProbe(host="localhost", port=wrong.port, accepts=OK_ONLY).attempt()
    assert (result.ok, result.address) == (True, "::1")


def test_a_silent_address_leaves_time_for_the_next_one() -> None:
    with serving(silent, "127.0.0.1") as mute, serving(answering(answer()), "::1", mute.port):
        assert HttpProbe(host="localhost", port=mute.port, timeout_s=2.0).attempt().ok


def test_an_interruption_cuts_a_running_attempt() -> None:
    interrupted = threading.Event()

    def interrupting(connection: socket.socket, _number: int, over: threading.Event) -> None:
        read_request(connection)
        interrupted.set()
        over.wait(20)

    with serving(interrupting) as service:
        deadline = AttemptDeadline(30.0, lambda: 0.0 if interrupted.is_set() else None)
        began = time.monotonic()
        assert http(service).attempt(deadline).cause == "no_answer"
    assert time.monotonic() - began < 5


# -- tls ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Authority.make(tmp_path_factory.mktemp("tls")).self_signed(
        "listener", "DNS:localhost,IP:127.0.0.1"
    )


def tls(certificate: Path, body: bytes = b"ok"):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def behave(connection: socket.socket, _number: int, _over: threading.Event) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            read_request(secure)
            secure.sendall(answer(body=body))

    return behave


def test_an_https_listener_is_probed_without_trust_in_its_certificate(certificate: Path) -> None:
    with serving(tls(certificate, b"secure " * 3000 + b"end")) as service:
        assert http(service, scheme="https", body_contains="end").attempt().ok


def test_https_against_plain_http_and_back_are_named() -> None:
    def plain_answer(connection: socket.socket, _number: int, _over: threading.Event) -> None:
        connection.recv(4096)
        connection.sendall(answer(400))

    with serving(plain_answer) as plain:
        result = http(plain, scheme="https").attempt()
    assert (result.cause, result.detail) == ("tls", "does not speak TLS (plain http?)")
    alert = b"\x15\x03\x03\x00\x02\x02\x28"
    with serving(answering(alert)) as secure:
        assert http(secure).attempt().detail == "speaks TLS, not plain http"


def test_a_silent_tls_server_ends_with_the_attempt() -> None:
    with serving(silent) as service:
        result = http(service, scheme="https", timeout_s=0.2).attempt()
    assert result.detail.startswith("no TLS handshake within")


# -- own listener ------------------------------------------------------------------------------------


def test_a_strangers_listener_does_not_make_a_task_ready() -> None:
    with serving(silent) as service:
        mine = OwnListenerProbe(host="127.0.0.1", port=service.port, pids=lambda: [os.getpid()])
        theirs = OwnListenerProbe(host="127.0.0.1", port=service.port, pids=lambda: [os.getppid()])
        assert mine.attempt().ok
        assert theirs.attempt().cause == "not_own_listener"


def test_further_processes_are_looked_for_only_when_the_near_ones_do_not_listen() -> None:
    asked: list[str] = []

    def further() -> list[int]:
        asked.append("further")
        return [os.getpid()]

    with serving(silent) as service:
        near = OwnListenerProbe(
            host="127.0.0.1", port=service.port, pids=lambda: [os.getpid()], other_pids=further
        )
        moved = OwnListenerProbe(host="127.0.0.1", port=service.port, pids=lambda: [1], other_pids=further)
        assert near.attempt().ok
        assert asked == []
        assert moved.attempt().ok
        assert asked == ["further"]


# -- waiting for a real service ------------------------------------------------------------------------


def test_a_service_that_listens_late_is_waited_for() -> None:
    port = unused_port()
    tried = threading.Event()
    timing = Timing(retries=40, interval_s=0.25)
    opened: list[Service] = []

    def open_late() -> None:
        tried.wait(10)
        opened.append(Service(answering(answer(503), answer(200)), port=port))

    opener = threading.Thread(target=open_late)
    opener.start()
    probe = HttpProbe(host="127.0.0.1", port=port, accepts=OK_ONLY)
    outcome = wait_ready([Gate(name="http", probe=probe)], timing, on_attempt=lambda _: tried.set())
    opener.join()
    opened[0].stop()
    assert isinstance(outcome, Ready)
    details = [attempt.result.detail for attempt in outcome.last]
    assert details[-2:] == ["status 503 (expected 200)", "status 200"]


def test_the_liar_that_always_closes_uses_up_the_budget() -> None:
    with serving(closing) as service:
        outcome = wait_ready([Gate(name="http", probe=http(service))], Timing(interval_s=0.05, retries=3))
    assert isinstance(outcome, Exhausted)
    assert outcome.attempts == 3
    assert all(attempt.result.cause == "closed_at_once" for attempt in outcome.last)


@pytest.mark.proves("S003-77", "S003-78")
def test_timeout_bounds_an_attempt_and_retries_their_number() -> None:
    with serving(silent) as service:
        gate = Gate(name="slow", probe=http(service, timeout_s=0.2))
        began = time.monotonic()
        outcome = wait_ready([gate], Timing(interval_s=0.05, retries=4, timeout_s=0.2))
        took_s = time.monotonic() - began
    assert isinstance(outcome, Exhausted)
    assert (outcome.attempts, service.accepted) == (4, 4)
    assert all("no answer within" in attempt.result.detail for attempt in outcome.last)
    assert all(200 <= attempt.result.elapsed_ms < 2_000 for attempt in outcome.last)
    assert took_s >= 0.8


# -- pure parts --------------------------------------------------------------------------------------


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=40))
def test_no_text_can_break_out_of_the_request(path: str, name: str, value: str) -> None:
    head = encode_request("GET", path, "h", ((name, value),)).decode()
    assert head.endswith("\r\n\r\n")
    assert head.count("\r\n\r\n") == 1
    assert len(head.split("\r\n")[0].split(" ")) == 3


@given(st.lists(st.binary(min_size=1, max_size=50)), st.integers(1, 400))
def test_chunks_decode_to_what_was_sent_however_they_are_cut(chunks: list[bytes], cut: int) -> None:
    wire = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    assert decode_chunks(wire) == (b"".join(chunks), True)
    assert b"".join(chunks).startswith(decode_chunks(wire[:cut])[0])


@given(st.binary(max_size=300))
def test_any_bytes_are_an_answer_an_unfinished_answer_or_malformed(data: bytes) -> None:
    for start in (b"", b"HTTP/1.1 ", b"HTTP/1.1 200 OK\r\n"):
        try:
            split_head(start + data)
            decode_chunks(data)
        except MalformedAnswerError as error:
            assert len(str(error)) < 300


def test_statuses_read_naturally() -> None:
    assert render_statuses(statuses_accepted([])) == "200-399"
    assert render_statuses(statuses_accepted([204, 200, 200])) == "200 or 204"
