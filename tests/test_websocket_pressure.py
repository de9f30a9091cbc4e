"""WebSockets whose other side does not keep up: nothing is hoarded, everybody waits, and who is dead is let go."""

import time

import pytest

from harness import IS_UVICORN, anonymous_kib, until
from harness.notes import noted, notes
from harness.websocket import BINARY, PING, PONG, frame

only_ferricorn = pytest.mark.only_ferricorn

PIECE, COUNT = 65536, 960
"""60 MiB in pieces."""


def standstill(number, seconds=1.0):
    """Waits until a number has stopped growing, and returns it."""
    last, since = number(), time.monotonic()

    def still():
        nonlocal last, since
        if (now := number()) != last:
            last, since = now, time.monotonic()
        return time.monotonic() - since > seconds

    until(still, "a standstill", 30)
    return last


def poured(server):
    """How many pieces the app has got rid of."""
    told = server.folder / "poured"
    return int(told.read_text()) if told.exists() else 0


def test_an_app_that_sends_to_a_client_that_does_not_read_waits(serve, loop):
    server = serve("sockets:app", "--asgi-loop", loop, "--ws-ping-interval", "0")
    with server.websocket("/echo") as warm:
        warm.say(bytes(PIECE)).hear()
    worker = int(server.get().body)
    before = anonymous_kib(worker)
    with server.websocket(f"/pour?size={PIECE}&count={COUNT}", receive_buffer=65536, timeout=30) as socket:
        until(lambda: poured(server) > 0, "the first pieces")
        done = standstill(lambda: poured(server))
        grown = anonymous_kib(worker) - before
        assert done * PIECE < 8 << 20, "the rest waits in the app"
        assert grown < 2048, f"{grown} KiB for a client that does not read"
        assert server.get().status == 200
        for number in range(COUNT):
            assert len(socket.hear()) == PIECE, number
        assert noted(server, "poured") == COUNT


def test_a_client_that_sends_to_an_app_that_does_not_listen_waits(serve, loop):
    server = serve("sockets:app", "--asgi-loop", loop, "--ws-ping-interval", "0")
    worker = int(server.get().body)
    data = memoryview(frame(BINARY, bytes(PIECE)) * COUNT)
    with server.websocket("/deaf") as socket:
        noted(server, "deaf")
        before, sent = anonymous_kib(worker), 0
        socket.socket.settimeout(1)
        with pytest.raises(TimeoutError):
            while sent < len(data):
                sent += socket.socket.send(data[sent:sent + PIECE])
        assert sent < len(data) / 2
        assert anonymous_kib(worker) - before < 4096
        assert server.get().status == 200
        (server.folder / "listen").touch()
        socket.socket.settimeout(30)
        socket.send(data[sent:])
        until(lambda: notes(server)[-1] == ["heard", PIECE * COUNT], "all messages")


def test_a_client_that_leaves_while_the_app_sends_ends_the_send(serve, loop):
    server = serve("sockets:app", "--asgi-loop", loop)
    with server.websocket(f"/pour?size={PIECE}&count={COUNT}", receive_buffer=65536):
        until(lambda: poured(server) > 0, "the first pieces")
    assert noted(server, "poured until")[0] < COUNT


# Pings.


@pytest.fixture
def pinging(serve):
    return serve("sockets:app", "--ws-ping-interval", "1", "--ws-ping-timeout", "1")


def test_a_client_that_answers_pings_stays(pinging):
    with pinging.websocket("/echo") as socket:
        for _ in range(3):
            ping = socket.read_frame()
            assert ping.opcode == PING
            socket.send(frame(PONG, ping.payload))
        assert socket.say("still here").hear() == "still here"
        assert socket.bye() == (1000, "")


def test_a_client_that_answers_none_is_dead(pinging):
    with pinging.websocket("/echo") as socket:
        assert socket.read_frame().opcode == PING
        assert socket.farewell()[0] == 1011
    assert noted(pinging, "disconnect")["code"] in ({1005} if IS_UVICORN else {1006, 1011})


@only_ferricorn("uvicorn waits for the client")
def test_a_client_that_reads_nothing_is_dead_too(serve):
    server = serve("sockets:app", "--write-timeout", "2")
    with server.websocket(f"/pour?size={PIECE}&count={COUNT}", receive_buffer=4096):
        assert noted(server, "poured until", timeout=30)[0] < COUNT


def test_no_pings_when_told_so(serve):
    server = serve("sockets:app", "--ws-ping-interval", "0", "--ws-ping-timeout", "1")
    with server.websocket("/echo", timeout=2.5) as socket:
        with pytest.raises(TimeoutError):
            socket.socket.recv(1)
        socket.socket.settimeout(15)
        assert socket.say("a").hear() == "a"
