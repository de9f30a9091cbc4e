"""The `websockets` package as the client: an independent reading of RFC 6455 and RFC 7692."""

import asyncio
import random
import signal

import pytest
from websockets.asyncio.client import connect as connect_async
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.sync.client import connect

from harness.notes import noted

only_ferricorn = pytest.mark.only_ferricorn


@pytest.fixture(scope="module")
def server(serve_module):
    return serve_module("sockets:app", "--websocket-max-message-size", str(8 << 20))


def url(server, path):
    return f"ws://127.0.0.1:{server.port}{path}"


TEXTS = ["", "a", "caf\xe9", "\U0001f600" * 1000, "word " * 50_000]
BYTES = [b"", b"\0", bytes(range(256)) * 300, random.Random(1).randbytes(1_000_000)]
DEFLATES = {
    "none": None,
    "usual": ClientPerMessageDeflateFactory(),
    "no context": ClientPerMessageDeflateFactory(server_no_context_takeover=True, client_no_context_takeover=True),
    "small windows": ClientPerMessageDeflateFactory(server_max_window_bits=10, client_max_window_bits=10),
}


@pytest.mark.parametrize("deflate", DEFLATES)
def test_echo(server, deflate):
    factory = DEFLATES[deflate]
    with connect(url(server, "/echo"), compression=None, extensions=[factory] if factory else None, max_size=None) as socket:
        assert [each.name for each in socket.protocol.extensions] == (["permessage-deflate"] if factory else [])
        for message in [*TEXTS, *BYTES, *TEXTS]:
            socket.send(message)
            assert socket.recv(timeout=15) == message
        assert socket.ping().wait(15)
    assert socket.close_code == 1000


@pytest.mark.parametrize("deflate", ["none", "usual"])
def test_fragments(server, deflate):
    factory = DEFLATES[deflate]
    with connect(url(server, "/echo"), compression=None, extensions=[factory] if factory else None) as socket:
        socket.send(["many ", "small ", "fragments ", ""])
        assert socket.recv(timeout=15) == "many small fragments "
        socket.send(bytes([number % 256]) * 50 for number in range(200))
        assert len(socket.recv(timeout=15)) == 10_000


def test_subprotocols(server):
    with connect(url(server, "/choose?subprotocol=v2.json"), subprotocols=["v1.json", "v2.json"]) as socket:
        assert socket.subprotocol == "v2.json"
    with connect(url(server, "/choose"), subprotocols=["v1.json"]) as socket:
        assert socket.subprotocol is None


@pytest.mark.parametrize("path, status", [("/refuse", 403), ("/deny", 401), ("/fail", 500)])
def test_refusals(server, path, status):
    with pytest.raises(InvalidStatus) as refusal:
        connect(url(server, path))
    assert refusal.value.response.status_code == status


def test_the_servers_close(server):
    with connect(url(server, "/close?code=4001&reason=enough")) as socket:
        with pytest.raises(ConnectionClosed) as end:
            socket.recv(timeout=15)
    assert (end.value.rcvd.code, end.value.rcvd.reason) == (4001, "enough")


def test_a_message_that_is_too_long(server):
    with connect(url(server, "/echo"), max_size=None) as socket:
        with pytest.raises(ConnectionClosed) as end:
            socket.send(bytes((8 << 20) + 1))
            socket.recv(timeout=15)
    assert end.value.rcvd.code == 1009


def test_200_at_once(server):
    async def talk(number):
        async with connect_async(url(server, "/echo")) as socket:
            for turn in range(10):
                await socket.send(f"{number}.{turn}")
                assert await socket.recv() == f"{number}.{turn}"

    async def all_at_once():
        await asyncio.wait_for(asyncio.gather(*(talk(number) for number in range(200))), 60)

    asyncio.run(all_at_once())


def test_both_ways_at_once(server):
    """Nobody waits for the other: 20 MiB go there while 20 MiB come back."""
    async def talk():
        async with connect_async(url(server, "/echo"), compression=None, max_queue=4) as socket:
            async def send():
                for _ in range(320):
                    await socket.send(bytes(65536))

            async def receive():
                for _ in range(320):
                    assert len(await socket.recv()) == 65536

            await asyncio.gather(send(), receive())

    asyncio.run(asyncio.wait_for(talk(), 60))


def test_term_is_1012(serve):
    server = serve("sockets:app")
    with connect(url(server, "/echo")) as socket:
        server.send(signal.SIGTERM)
        with pytest.raises(ConnectionClosed) as end:
            socket.recv(timeout=15)
    assert end.value.rcvd.code == 1012
    assert noted(server, "disconnect")["code"] == 1012
