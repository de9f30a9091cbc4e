"""Frames that no honest client sends, and honest ones of a rare form: each is answered as RFC 6455 says, and the app is told."""

import zlib

import pytest

from harness import anonymous_kib
from harness.notes import noted
from harness.websocket import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close_payload, frame

only_ferricorn = pytest.mark.only_ferricorn

MIB = 1 << 20
DEFLATE = ("Sec-WebSocket-Extensions", "permessage-deflate")


@pytest.fixture(scope="module")
def server(serve_module):
    return serve_module("sockets:app")


@pytest.fixture
def socket(server):
    """An open echo, with nothing noted so far."""
    (server.folder / "noted.jsonl").unlink(missing_ok=True)
    with server.websocket("/echo") as socket:
        yield socket


# Frames that are good.


def test_fragments_are_put_together(socket):
    socket.send(frame(TEXT, b"one, ", fin=False) + frame(CONTINUATION, b"two, ", fin=False) + frame(CONTINUATION, b"three"))
    assert socket.hear() == "one, two, three"


def test_fragments_may_part_a_character_and_may_be_empty(socket):
    for piece in frame(TEXT, b"\xf0", fin=False), frame(CONTINUATION, b"", fin=False), frame(CONTINUATION, b"\x9f\x98", fin=False):
        socket.send(piece)
    assert socket.send(frame(CONTINUATION, b"\x80")).hear() == "\U0001f600"


def test_control_frames_may_come_between_fragments(socket):
    socket.send(frame(TEXT, b"a", fin=False) + frame(PING, b"p") + frame(CONTINUATION, b"b", fin=False) + frame(PONG, b"?"))
    told = socket.read_frame()
    assert (told.opcode, told.payload) == (PONG, b"p")
    assert socket.send(frame(CONTINUATION, b"c")).hear() == "abc"


@pytest.mark.parametrize("payload", [b"", b"x", bytes(range(125))], ids=len)
def test_a_ping_is_answered_with_its_payload(socket, payload):
    told = socket.send(frame(PING, payload)).read_frame()
    assert (told.opcode, told.payload, told.fin) == (PONG, payload, True)


def test_a_pong_that_nobody_asked_for_is_ignored(socket):
    assert socket.send(frame(PONG, b"unasked")).say("a").hear() == "a"


def test_frames_that_come_byte_by_byte(socket):
    for byte in frame(TEXT, b"slow") + frame(PING, b"p") + frame(BINARY, bytes(130)):
        socket.send(bytes([byte]))
    told = [socket.read_frame() for _ in range(3)]  # A pong may overtake a message.
    assert [each.payload for each in told if each.opcode != PONG] == [b"slow", bytes(130)]
    assert [each.payload for each in told if each.opcode == PONG] == [b"p"]


# Frames that are not.


@pytest.mark.parametrize("data, code", [
    (frame(TEXT, b"a", mask=False), 1002),
    (frame(PING, b"a", mask=False), 1002),
    (frame(CLOSE, close_payload(1000), mask=False), 1002),
    (frame(TEXT, b"a", reserved=4), 1002),
    (frame(TEXT, b"a", reserved=2), 1002),
    (frame(TEXT, b"a", reserved=1), 1002),
    (frame(PING, b"a", reserved=4), 1002),
    *[(frame(opcode, b"a"), 1002) for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)],
    (frame(PING, bytes(126)), 1002),
    (frame(PONG, bytes(126)), 1002),
    (frame(CLOSE, close_payload(1000, bytes(124))), 1002),
    (frame(PING, b"a", fin=False), 1002),
    (frame(CLOSE, close_payload(1000), fin=False), 1002),
    (frame(CONTINUATION, b"a"), 1002),
    (frame(CONTINUATION, b"a", fin=False), 1002),
    (frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"), 1002),
    (frame(TEXT, b"a", fin=False) + frame(BINARY, b"b"), 1002),
    (frame(TEXT, b"a") + frame(CONTINUATION, b"b"), 1002),
    (frame(CLOSE, b"\x03"), 1002),
    *[(frame(CLOSE, close_payload(code)), 1002) for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)],
    (frame(CLOSE, close_payload(1000, b"\xff")), 1007),
    (frame(CLOSE, close_payload(1000, b"\xed\xa0\x80")), 1007),
    (frame(TEXT, b"\xff"), 1007),
    (frame(TEXT, b"abc\xc3"), 1007),
    (frame(TEXT, b"\xc0\x80"), 1007),
    (frame(TEXT, b"\xed\xa0\x80"), 1007),
    (frame(TEXT, b"\xf4\x90\x80\x80"), 1007),
    (frame(TEXT, b"\xc3", fin=False) + frame(CONTINUATION, b"a"), 1007),
], ids=lambda value: value[:10].hex() if isinstance(value, bytes) else str(value))
@only_ferricorn("others choose other codes for some")
def test_a_broken_rule_ends_it_with_the_code_for_that(server, socket, data, code):
    assert socket.send(data).farewell()[0] == code
    assert noted(server, "disconnect")["code"] in (code, 1006)


def test_a_length_has_no_highest_bit(socket):
    assert socket.send(b"\x82\xff" + b"\xff" * 8 + bytes(4)).farewell()[0] in (1002, 1009)


@only_ferricorn("uvicorn says 1005")
def test_what_follows_a_close_frame_is_ignored(server, socket):
    socket.send(frame(CLOSE, close_payload(1000)) + frame(TEXT, b"too late") + frame(CLOSE, close_payload(1001)))
    assert socket.farewell(answered=True) == (1000, "")
    assert noted(server, "disconnect")["code"] == 1000


@only_ferricorn("uvicorn forgets them")
def test_the_app_gets_what_came_before_the_break(server):
    (server.folder / "listen").touch()
    with server.websocket("/deaf") as socket:
        assert socket.send(frame(TEXT, b"good") + frame(TEXT, b"\xff")).farewell()[0] == 1007
        assert noted(server, "heard") == 4


# Limits.


@pytest.fixture(scope="module")
def narrow(serve_module):
    return serve_module("sockets:app", "--websocket-max-message-size", "1000")


@pytest.mark.parametrize("data", [
    frame(TEXT, b"x" * 1001), frame(BINARY, bytes(5000)), frame(TEXT, b"x" * 999, fin=False) + frame(CONTINUATION, b"xx"),
], ids=["one frame", "five times", "in fragments"])
def test_a_message_that_is_too_long_is_1009(narrow, data):
    with narrow.websocket("/echo") as socket:
        assert socket.send(data).farewell()[0] == 1009


def test_a_message_at_the_limit_passes(narrow):
    with narrow.websocket("/echo") as socket:
        assert socket.say("x" * 1000).hear() == "x" * 1000
        assert socket.send(frame(TEXT, b"x" * 500, fin=False) + frame(CONTINUATION, b"x" * 500)).hear() == "x" * 1000


def test_a_length_beyond_the_limit_is_refused_before_its_bytes_come(narrow):
    with narrow.websocket("/echo") as socket:
        assert socket.send(frame(BINARY, b"", length=1 << 40)).farewell()[0] == 1009


def test_the_limit_counts_utf_8(narrow):
    with narrow.websocket("/echo") as socket:
        assert socket.say("\xe9" * 501).farewell()[0] == 1009


def deflated(data):
    """A whole message as permessage-deflate has it."""
    squeezed = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (squeezed.compress(data) + squeezed.flush(zlib.Z_SYNC_FLUSH))[:-4]


@only_ferricorn("uvicorn keeps more")
def test_a_bomb_is_1009_and_costs_no_memory(serve):
    server = serve("sockets:app")
    worker = int(server.get().body)
    bomb = deflated(bytes(200 * MIB))
    assert len(bomb) < MIB
    before = anonymous_kib(worker)
    for _ in range(3):
        with server.websocket("/echo", DEFLATE) as socket:
            assert socket.answer.header("sec-websocket-extensions")
            assert socket.send(frame(BINARY, bomb, reserved=4)).farewell()[0] == 1009
    assert anonymous_kib(worker) - before < 40 * 1024


def test_a_small_bomb_keeps_to_a_small_limit(narrow):
    with narrow.websocket("/echo", DEFLATE) as socket:
        assert socket.send(frame(TEXT, deflated(b"x" * 1001), reserved=4)).farewell()[0] == 1009


@pytest.mark.parametrize("payload", [b"\xff" * 50, b"\x06"], ids=["no deflate", "a bad block"])
def test_what_does_not_inflate_ends_it(server, payload):
    with server.websocket("/echo", DEFLATE) as socket:
        assert socket.send(frame(TEXT, payload, reserved=4)).farewell()[0] in (1002, 1007)
        assert "panicked" not in server.log


def test_utf_8_is_checked_after_inflating(server):
    with server.websocket("/echo", DEFLATE) as socket:
        assert socket.send(frame(TEXT, deflated(b"\xff\xff"), reserved=4)).farewell()[0] == 1007


def test_only_the_first_frame_of_a_message_says_that_it_is_compressed(server):
    data = deflated(b"in two pieces " * 20)
    with server.websocket("/echo", DEFLATE) as socket:
        socket.send(frame(TEXT, data[:9], reserved=4, fin=False) + frame(CONTINUATION, data[9:]))
        assert zlib.decompressobj(-15).decompress(socket.read_frame().payload + b"\0\0\xff\xff") == b"in two pieces " * 20
        socket.send(frame(TEXT, data[:9], reserved=4, fin=False) + frame(CONTINUATION, data[9:], reserved=4))
        assert socket.farewell()[0] == 1002


@only_ferricorn("uvicorn counts bytes alone")
@pytest.mark.parametrize("piece", [frame(CONTINUATION, b"", fin=False), frame(CONTINUATION, b"x", fin=False)], ids=["empty", "one byte"])
def test_a_flood_of_fragments_ends(serve, piece):
    server = serve("sockets:app")
    worker = int(server.get().body)
    with server.websocket("/echo") as socket:
        before = anonymous_kib(worker)
        socket.send(frame(TEXT, b"", fin=False))
        try:
            for _ in range(1000):
                socket.send(piece * 1000)
        except OSError:
            pass
        assert anonymous_kib(worker) - before < 16 * 1024
    assert noted(server, "disconnect")["code"] in (1002, 1008, 1009, 1006)


@only_ferricorn("uvicorn keeps more")
def test_a_flood_of_pings_costs_no_memory_and_stalls_nobody(serve):
    server = serve("sockets:app")
    worker = int(server.get().body)
    flood = frame(PING, bytes(125)) * 1000
    with server.websocket("/echo", receive_buffer=4096, timeout=1) as socket, server.websocket("/echo") as other:
        before = anonymous_kib(worker)
        try:
            for _ in range(100):
                socket.send(flood)
        except OSError:
            pass  # It is read no further while its answers wait.
        assert other.say("still here").hear() == "still here"
        assert server.get().status == 200
        assert anonymous_kib(worker) - before < 8 * 1024
