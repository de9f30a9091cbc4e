"""WebSockets over ASGI, message by message, as the specification has them (HTTP and WebSocket, version 2.5)."""

import ast
import json
import socket as network
import struct

import pytest

from harness.notes import noted
from harness.websocket import BINARY, TEXT, frame, handshake

only_ferricorn = pytest.mark.only_ferricorn


@pytest.fixture(scope="module")
def server(serve_module, loop):
    return serve_module("sockets:app", "--asgi-loop", loop)


def note_of(server, what, talk):
    """What the app notes under this name from now on, once the conversation was had."""
    (server.folder / "noted.jsonl").unlink(missing_ok=True)
    talk()
    return noted(server, what)


# The scope.


def scope_of(server, target="/show-scope", *fields):
    with server.websocket(target, *fields) as socket:
        scope = json.loads(socket.hear())
        assert socket.bye() == (1000, "")
    return scope


def test_the_scope(server):
    scope = scope_of(server, "/show%2Dscope?a=b%20c&d", ("X-Twice", "1"), ("Cookie", "a=b"), ("X-Twice", "caf\xe9"))
    assert scope["type"] == "websocket"
    assert scope["asgi"]["version"] == "3.0"
    assert scope["asgi"]["spec_version"] >= "2.3"
    assert (scope["http_version"], scope["scheme"]) == ("1.1", "ws")
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == ("/show-scope", "/show%2Dscope", "a=b%20c&d")
    assert scope["root_path"] == ""
    assert scope["server"] == list(server.address)
    assert scope["client"][0] == "127.0.0.1"
    assert scope["client"][1] > 0
    assert scope["subprotocols"] == []
    names = [name for name, _ in scope["headers"]]
    assert {"host", "connection", "upgrade", "sec-websocket-key", "sec-websocket-version"} < set(names)
    assert [value for name, value in scope["headers"] if name == "x-twice"] == ["1", "caf\xe9"]
    assert "method" not in scope
    assert scope["types"] == {**scope["types"], "raw_path": "bytes", "query_string": "bytes", "headers": "list",
                              "subprotocols": "list", "type": "str", "state": "dict", "extensions": "dict"}


def test_the_state_of_the_lifespan_is_in_the_scope(server):
    state = scope_of(server)["state"]
    assert list(state) == ["from lifespan"]


def test_subprotocols_come_in_the_clients_order(server):
    fields = [("Sec-WebSocket-Protocol", "chat, superchat"), ("Sec-WebSocket-Protocol", "v1.json")]
    assert scope_of(server, "/show-scope", *fields)["subprotocols"] == ["chat", "superchat", "v1.json"]


def test_a_trusted_proxy_says_that_it_is_wss(server):
    scope = scope_of(server, "/show-scope", ("X-Forwarded-Proto", "https"))
    assert scope["scheme"] == "wss"


def test_a_foreign_proxy_says_nothing(serve):
    server = serve("sockets:app", "--forwarded-allow-ips", "192.0.2.1")
    assert scope_of(server, "/show-scope", ("X-Forwarded-Proto", "https"))["scheme"] == "ws"


# Accept.


def test_accept(server):
    with server.websocket("/choose") as socket:
        answer = socket.answer
        assert answer.status == 101
        assert (answer.header("upgrade").lower(), answer.header("connection").lower()) == ("websocket", "upgrade")
        assert answer.header("sec-websocket-accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        assert answer.all("sec-websocket-protocol") == answer.all("sec-websocket-extensions") == []
        assert answer.all("content-length") == answer.all("transfer-encoding") == []
        assert socket.bye() == (1000, "")


def test_accept_with_a_subprotocol(server):
    with server.websocket("/choose?subprotocol=superchat", ("Sec-WebSocket-Protocol", "chat, superchat")) as socket:
        assert socket.answer.header("sec-websocket-protocol") == "superchat"


def test_accept_with_headers(server):
    with server.websocket("/headers") as socket:
        assert socket.answer.all("set-cookie") == ["a=1", "b=2"]
        assert socket.answer.header("x-app") == "caf\xe9"


def test_nothing_is_sent_before_the_accept_and_early_messages_are_kept(serve):
    server = serve("sockets:app")
    with server.connect() as raw:
        raw.send(handshake("/slow-accept"))
        noted(server, "asked")
        (server.folder / "accept").touch()
        assert raw.read_head().status == 101


# Messages.


@pytest.mark.parametrize("message", ["", "a", "caf\xe9 \u4e16\u754c \U0001f600 \0", "x" * 125, "x" * 126, "x" * 65535, "x" * 65536,
                                     "\xe9" * 500_000, b"", b"\0\xff" * 10, b"x" * 126, b"\xff" * 65536, bytes(5_000_000)],
                         ids=lambda message: f"{type(message).__name__}-{len(message)}")
def test_messages_come_back_whole(server, message):
    with server.websocket("/echo") as socket:
        assert socket.say(message).hear() == message
        assert socket.bye() == (1000, "")


def test_a_message_has_one_of_text_and_bytes(server):
    with server.websocket("/show-messages") as socket:
        assert ast.literal_eval(socket.say("caf\xe9").hear()) in one_of("text", "caf\xe9")
        assert ast.literal_eval(socket.say(b"\xff").hear()) in one_of("bytes", b"\xff")


def one_of(key, value):
    """Both forms that the specification allows: the other key is missing or None."""
    message = {"type": "websocket.receive", key: value}
    return message, {**message, "text" if key == "bytes" else "bytes": None}


def test_many_messages_in_one_packet_keep_their_order(server):
    with server.websocket("/echo") as socket:
        socket.send(b"".join(frame(TEXT, b"%d" % number) if number % 2 else frame(BINARY, b"%d" % number) for number in range(500)))
        assert [socket.hear() for _ in range(500)] == [str(number) if number % 2 else b"%d" % number for number in range(500)]


def test_every_form_of_send(server):
    def talk():
        with server.websocket("/send-all") as socket:
            assert [socket.hear() for _ in range(6)] == ["text alone", "no bytes", b"bytes alone", b"no text", "", b""]
            assert socket.farewell() == (1000, "")

    assert note_of(server, "closed", talk)["type"] == "websocket.disconnect"


# The end.


@pytest.mark.parametrize("query, seen", [
    ("", (1000, "")), ("code=1000", (1000, "")), ("code=1001&reason=away", (1001, "away")), ("code=1011", (1011, "")),
    ("code=3000", (3000, "")), ("code=4999&reason=caf%C3%A9", (4999, "caf\xe9")), ("reason=" + "x" * 123, (1000, "x" * 123)),
], ids=lambda value: value if isinstance(value, str) and len(value) < 40 else "")
def test_the_app_closes(server, query, seen):
    def talk():
        with server.websocket(f"/close?{query}") as socket:
            assert socket.farewell() == seen

    assert note_of(server, "after close", talk)["type"] == "websocket.disconnect"


@pytest.mark.parametrize("code, reason", [(1000, ""), (1000, "caf\xe9"), (1001, "away"), (3000, ""), (4999, "x" * 123)])
def test_the_client_closes(server, code, reason):
    def talk():
        with server.websocket("/echo") as socket:
            answer = socket.bye(code, reason)
            assert answer[0] == code

    disconnect = note_of(server, "disconnect", talk)
    assert disconnect == {"type": "websocket.disconnect", "code": code, "reason": reason}


def test_the_client_closes_without_a_code(server):
    def talk():
        with server.websocket("/echo") as socket:
            assert socket.send(frame(8)).farewell(answered=True)[0] in (1000, 1005)

    disconnect = note_of(server, "disconnect", talk)
    assert (disconnect["code"], disconnect.get("reason") or "") == (1005, "")


@only_ferricorn("the others say 1005, or what they like")
@pytest.mark.parametrize("how", ["end of stream", "reset", "within a frame"])
def test_a_connection_that_breaks_is_1006(server, how):
    def talk():
        with server.websocket("/echo") as socket:
            assert socket.say("a").hear() == "a"
            if how == "within a frame":
                socket.send(frame(TEXT, b"half", length=8))
            if how == "reset":
                socket.socket.setsockopt(network.SOL_SOCKET, network.SO_LINGER, struct.pack("ii", 1, 0))

    disconnect = note_of(server, "disconnect", talk)
    assert (disconnect["code"], disconnect.get("reason") or "") == (1006, "")


def test_a_send_after_the_disconnect_raises_an_OSError(server):
    def talk():
        with server.websocket("/go-on") as socket:
            socket.bye()

    is_os_error, name, _ = note_of(server, "late send", talk)
    assert is_os_error, name
    assert noted(server, "late receive") is not None


def test_a_send_after_the_apps_close_raises(server):
    def talk():
        with server.websocket("/go-on-after-close") as socket:
            assert socket.farewell() == (1000, "")

    assert note_of(server, "send after close", talk) != "nothing was raised"
    assert "websocket.close" in noted(server, "close after close")


# Refusals.


@pytest.mark.parametrize("path", ["/refuse", "/refuse-at-once"])
def test_close_before_accept_is_403(server, path):
    with server.websocket(path) as socket:
        assert socket.answer.status == 403


def test_a_denial_is_the_apps_own_response(server):
    with server.websocket("/deny") as socket:
        assert socket.answer.status == 401
        assert socket.answer.header("www-authenticate") == "Basic"
        assert socket.answer.body == b"who are you?"


@only_ferricorn("the others close")
def test_a_connection_serves_on_after_a_refusal(server):
    with server.websocket("/deny") as socket:
        assert socket.answer.status == 401
        assert socket.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").response().status == 200


# Apps that fail.


@pytest.mark.parametrize("after", ["nothing", "connect"])
def test_an_exception_before_accept_is_500(server, after):
    mark = server.mark()
    with server.websocket(f"/fail?after={after}") as socket:
        assert socket.answer.status == 500
    server.wait_for(f"ValueError: on purpose, after {after}", after=mark)


@only_ferricorn("uvicorn only ends the stream")
@pytest.mark.parametrize("after", ["accept", "message"])
def test_an_exception_after_accept_is_1011(server, after):
    mark = server.mark()
    with server.websocket(f"/fail?after={after}") as socket:
        if after == "message":
            socket.say("go")
        assert socket.farewell()[0] == 1011
    server.wait_for(f"ValueError: on purpose, after {after}", after=mark)


def test_an_app_that_returns_before_accept_is_500(server):
    with server.websocket("/leave") as socket:
        assert socket.answer.status == 500


@only_ferricorn("uvicorn only ends the stream")
def test_an_app_that_returns_after_accept_closes(server):
    with server.websocket("/leave?after=message") as socket:
        assert socket.say("go").farewell()[0] in (1000, 1006, 1011)


ERRORS = {
    "neither": "websocket.send", "both None": "websocket.send", "both": "websocket.send", "text is bytes": "websocket.send",
    "bytes is text": "websocket.send", "accept twice": "websocket.accept", "denial after accept": "websocket.http.response.start",
    "unknown type": "websocket.sned", "http": "http.response.start", "no type": "type", "no dict": "dict",
    "code 1005": "websocket.close", "code 999": "websocket.close", "code is text": "websocket.close", "long reason": "websocket.close",
    "send before accept": "websocket.send", "subprotocol not offered": "websocket.accept", "subprotocol is bytes": "websocket.accept",
    "header is text": "websocket.accept", "line feed in header": "websocket.accept", "protocol in headers": "websocket.accept",
    "denial body first": "websocket.http.response.body",
}


@only_ferricorn("others send some of these, or close")
@pytest.mark.parametrize("how", ERRORS)
def test_a_wrong_message_raises_in_the_app_and_spoils_nothing(server, how):
    with server.websocket(f"/err?how={how.replace(' ', '+')}", ("Sec-WebSocket-Protocol", "chat")) as socket:
        assert socket.answer.status == 101
        said = socket.hear()
        assert ERRORS[how] in said
        assert not said.startswith("nothing was raised")
        assert socket.bye() == (1000, "")
