"""ASGI callables without a framework, one for each round: the server's own cost shows."""

import asyncio
import os

PIECE = b"x" * 65536
QUESTION = b"q" * 64
TEXT = (b"content-type", b"text/plain; charset=utf-8")
THIRTEEN = (b"content-length", b"13")


async def hello(scope, receive, send):
    if scope["type"] == "lifespan":
        return await lifespan(receive, send)
    await send({"type": "http.response.start", "status": 200, "headers": [TEXT, THIRTEEN]})
    await send({"type": "http.response.body", "body": b"Hello, world!"})


async def sleep(scope, receive, send):
    """Gives the loop one turn first."""
    await asyncio.sleep(0)
    await hello(scope, receive, send)


async def upload(scope, receive, send):
    """Reads the whole request body and answers with its length."""
    if scope["type"] == "lifespan":
        return await lifespan(receive, send)
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    body = str(size).encode()
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [TEXT, length]})
    await send({"type": "http.response.body", "body": body})


async def stream(scope, receive, send, pieces=16):
    """Answers with 16 pieces of 64 KiB and no declared length."""
    if scope["type"] == "lifespan":
        return await lifespan(receive, send)
    await send({"type": "http.response.start", "status": 200, "headers": [TEXT]})
    for _ in range(pieces):
        await send({"type": "http.response.body", "body": PIECE, "more_body": True})
    await send({"type": "http.response.body"})


async def echo(scope, receive, send):
    """Sends each message of a WebSocket back."""
    if scope["type"] != "websocket":
        return await hello(scope, receive, send)
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


async def unread(scope, receive, send):
    """A short page; under /stream, and over a WebSocket after its first message, 60 MiB in pieces of 64 KiB."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
        for _ in range(960):
            await send({"type": "websocket.send", "bytes": PIECE})
        return await send({"type": "websocket.close"})
    await (stream(scope, receive, send, 960) if scope.get("path") == "/stream" else hello(scope, receive, send))


class Backend(asyncio.Protocol):
    """A connection to the backend as a database driver keeps it: a transport, and a future for the answer."""

    def connection_made(self, transport):
        self.transport = transport

    def ask(self, question):
        self.missing = len(question)
        self.answered = asyncio.get_running_loop().create_future()
        self.transport.write(question)
        return self.answered

    def data_received(self, data):
        self.missing -= len(data)
        if self.missing == 0:
            self.answered.set_result(None)


POOL = []


async def backend(scope, receive, send):
    """Asks the backend twice, one question after the other, over a connection out of a pool."""
    if scope["type"] == "lifespan":
        return await lifespan(receive, send)
    connection = POOL.pop() if POOL else await connect()
    await connection.ask(QUESTION)
    await connection.ask(QUESTION)
    POOL.append(connection)
    await hello(scope, receive, send)


async def connect():
    """The pool grows to the number of requests at a time."""
    port = int(os.environ["BENCH_BACKEND"])
    _, connection = await asyncio.get_running_loop().create_connection(Backend, "127.0.0.1", port)
    return connection


async def lifespan(receive, send):
    while (message := await receive())["type"] != "lifespan.shutdown":
        await send({"type": f"{message['type']}.complete"})
    await send({"type": "lifespan.shutdown.complete"})
