"""The handshake of WebSockets from outside, rule by rule (RFC 6455 section 4.2.1), and what the deflate extension makes of it."""

import zlib

import pytest

from harness.websocket import ACCEPT, TEXT, frame, handshake

only_ferricorn = pytest.mark.only_ferricorn


@pytest.fixture(scope="module")
def server(serve_module):
    return serve_module("sockets:app")


def opened(server, request):
    """The answer to a request for an echo; it must work if it is 101."""
    with server.connect() as raw:
        answer = raw.send(request).response()
        if answer.status == 101:
            assert raw.send(frame(TEXT, b"a")).read_exactly(3) == b"\x81\x01a"
    return answer


# Good ones.


@pytest.mark.parametrize("fields", [
    [("Connection", "keep-alive, Upgrade")], [("Connection", "keep-alive"), ("Connection", "upgrade")],
    [("Connection", "UPGRADE")], [("connection", " upgrade ,close")],
], ids=str)
def test_connection_is_a_list_in_any_case(server, fields):
    answer = opened(server, handshake("/echo", *fields, without=["Connection"]))
    assert answer.status == 101


def test_upgrade_is_in_any_case(server):
    answer = opened(server, handshake("/echo", ("Upgrade", "WebSocket"), without=["Upgrade"]))
    assert (answer.status, answer.header("sec-websocket-accept")) == (101, ACCEPT)


@only_ferricorn("uvicorn answers only one offer of several")
def test_websocket_may_be_one_of_several_offers(server):
    assert opened(server, handshake("/echo", ("Upgrade", "foo/2, websocket"), without=["Upgrade"])).status == 101


def test_the_origin_is_the_apps_affair(server):
    assert opened(server, handshake("/echo", ("Origin", "https://elsewhere.example"))).status == 101


@only_ferricorn("uvicorn may lose them")
def test_frames_that_come_with_the_handshake_are_taken(server):
    with server.connect() as raw:
        raw.send(handshake("/echo") + frame(TEXT, b"early") + frame(TEXT, b"bird"))
        assert raw.read_head().status == 101
        assert raw.read_exactly(7 + 6) == b"\x81\x05early\x81\x04bird"


@only_ferricorn("uvicorn may lose what comes with it")
def test_it_follows_other_requests_on_its_connection(server):
    with server.connect() as raw:
        assert raw.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").response().status == 200
        raw.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + handshake("/echo") + frame(TEXT, b"a"))
        assert raw.response().status == 200
        assert raw.read_head().status == 101
        assert raw.read_exactly(3) == b"\x81\x01a"


# Bad ones.


def refused(server, request, status):
    """Insists that the request is refused, and that the app has not heard of it."""
    before = len(server.log)
    answer = opened(server, request)
    assert answer.status == status, answer
    assert "Traceback" not in server.log[before:]
    assert "panicked" not in server.log
    return answer


@only_ferricorn("uvicorn tells less apart")
@pytest.mark.parametrize("request_bytes", [
    handshake("/echo", without=["Sec-WebSocket-Key"]),
    handshake("/echo", ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")),
    handshake("/echo", ("Sec-WebSocket-Key", "c2hvcnQ="), without=["Sec-WebSocket-Key"]),
    handshake("/echo", ("Sec-WebSocket-Key", "x" * 24), without=["Sec-WebSocket-Key"]),
    handshake("/echo", ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ="), without=["Sec-WebSocket-Key"]),
    handshake("/echo", ("Sec-WebSocket-Key", "caf\xe9" * 6), without=["Sec-WebSocket-Key"]),
    handshake("/echo", ("Sec-WebSocket-Key", ""), without=["Sec-WebSocket-Key"]),
    handshake("/echo", ("Sec-WebSocket-Protocol", "caf\xe9")),
    handshake("/echo", ("Sec-WebSocket-Protocol", "chat, a b")),
    handshake("/echo", ("Sec-WebSocket-Protocol", "a\x80")),
    handshake("/echo", ("Sec-WebSocket-Protocol", "a(b)")),
    handshake("/echo", method="POST"),
    handshake("/echo", ("Content-Length", "0"), method="POST"),
], ids=["no key", "two keys", "short key", "no base64", "bad padding", "non-ASCII key", "empty key", "non-ASCII subprotocol",
        "a space in a subprotocol", "control in a subprotocol", "separators in a subprotocol", "POST", "POST with length"])
def test_what_breaks_a_rule_is_400(server, request_bytes):
    refused(server, request_bytes, 400)


@only_ferricorn("uvicorn goes by other words")
@pytest.mark.parametrize("version", ["8", "14", "0", "x", "13, 8", "013", ""])
def test_another_version_is_426(server, version):
    answer = refused(server, handshake("/echo", ("Sec-WebSocket-Version", version), without=["Sec-WebSocket-Version"]), 426)
    assert answer.header("sec-websocket-version") == "13"


@only_ferricorn("uvicorn goes by other words")
def test_no_version_is_426(server):
    answer = refused(server, handshake("/echo", without=["Sec-WebSocket-Version"]), 426)
    assert answer.header("sec-websocket-version") == "13"


# What is no handshake at all is an ordinary request; this app answers those with its process id.


@pytest.mark.parametrize("request_bytes", [
    handshake("/echo", without=["Upgrade"]),
    handshake("/echo", ("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABkAAQAAP__"), without=["Upgrade"]),
    handshake("/echo", ("Upgrade", "foo/1"), without=["Upgrade"]),
    handshake("/echo", ("Upgrade", "websocketx"), without=["Upgrade"]),
    handshake("/echo", without=["Connection"]),
    handshake("/echo", ("Connection", "keep-alive"), without=["Connection"]),
    handshake("/echo", ("Connection", "keep-alive"), ("Connection", "upgrades"), without=["Connection"]),
    handshake("/echo", without=["Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version"]),
], ids=["no Upgrade", "h2c", "foo", "websocketx", "no Connection", "Connection without upgrade", "Connection twice without it",
        "Upgrade alone"])
def test_what_asks_for_something_else_is_an_ordinary_request(server, request_bytes):
    with server.connect() as raw:
        for _ in range(2):
            answer = raw.send(request_bytes).response()
            assert answer.status == 200
            assert int(answer.body) > 0
            assert answer.all("upgrade") == []


@only_ferricorn("uvicorn opens it")
def test_http_1_0_knows_no_upgrade(server):
    assert opened(server, handshake("/echo", version="1.0")).status in (200, 400)


@only_ferricorn("uvicorn serves no WSGI app")
def test_a_wsgi_app_gets_an_ordinary_request(serve):
    server = serve("features:app")
    with server.connect() as raw:
        answer = raw.send(handshake("/")).response()
        assert (answer.status, answer.body) == (200, b"hello")
        assert raw.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").response().status == 200


# Compression (RFC 7692).


def inflated(told):
    """The payload of a first frame, compressed or not."""
    if not told.reserved:
        return told.payload
    assert told.reserved == 4
    return zlib.decompressobj(-15).decompress(told.payload + b"\0\0\xff\xff")


@pytest.mark.parametrize("offer, agreed", [
    ("permessage-deflate", True),
    ("permessage-deflate; client_max_window_bits", True),
    ("permessage-deflate; server_no_context_takeover; client_no_context_takeover", True),
    ("permessage-deflate; server_max_window_bits=7, permessage-deflate", True),
    ("permessage-deflate; server_max_window_bits=7", False),
    ("permessage-deflate; unknown=1", False),
    ("permessage-deflate; server_no_context_takeover; server_no_context_takeover", False),
    ("permessage-bzip2", False),
    ("x-webkit-deflate-frame", False),
])
def test_the_deflate_extension_is_agreed_upon(server, offer, agreed):
    with server.websocket("/echo", ("Sec-WebSocket-Extensions", offer)) as socket:
        assert socket.answer.status == 101
        answers = socket.answer.all("sec-websocket-extensions")
        assert [answer.split(";")[0] for answer in answers] == (["permessage-deflate"] if agreed else [])
        assert inflated(socket.say("not compressed, which is always allowed").read_frame()) == b"not compressed, which is always allowed"


def test_the_deflate_extension_can_be_turned_off(serve):
    server = serve("sockets:app", "--ws-per-message-deflate", "false")
    with server.websocket("/echo", ("Sec-WebSocket-Extensions", "permessage-deflate")) as socket:
        assert socket.answer.all("sec-websocket-extensions") == []
        assert socket.say("a").hear() == "a"
        assert socket.send(frame(TEXT, b"a", reserved=4)).farewell()[0] == 1002
