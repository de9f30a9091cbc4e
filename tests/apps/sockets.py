"""An ASGI app with a path for each thing that a WebSocket may do."""

import asyncio
import json
import os
from pathlib import Path
from urllib.parse import parse_qsl

from noting import note

PAGES = {}


def page(function):
    """Registers a conversation under its name, with hyphens. It gets the query as keyword arguments."""
    PAGES["/" + function.__name__.replace("_", "-")] = function
    return function


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return await live(scope, receive, send)
    if scope["type"] == "http":
        return await answer(scope, receive, send)
    query = dict(parse_qsl(scope["query_string"].decode()))
    await PAGES[scope["path"]](scope, receive, send, **query)


async def live(scope, receive, send):
    scope["state"]["from lifespan"] = [os.getpid()]
    while (message := await receive())["type"] != "lifespan.shutdown":
        await send({"type": message["type"] + ".complete"})
    note("shutdown")
    await send({"type": "lifespan.shutdown.complete"})


async def answer(scope, receive, send):
    body = str(os.getpid()).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


async def accept(receive, send, **more):
    assert await receive() == {"type": "websocket.connect"}
    await send({"type": "websocket.accept", **more})


async def messages(receive):
    """The messages up to the disconnect, which is noted."""
    while (message := await receive())["type"] == "websocket.receive":
        yield message
    note("disconnect", message)


@page
async def echo(scope, receive, send):
    await accept(receive, send)
    async for message in messages(receive):
        try:
            await send({**message, "type": "websocket.send"})
        except OSError:
            pass  # The client has left in the meantime; the disconnect comes next.


@page
async def show_scope(scope, receive, send, **query):
    await accept(receive, send)
    await send({"type": "websocket.send", "text": json.dumps(
        {**scope, "types": {key: type(value).__name__ for key, value in scope.items()}},
        default=lambda value: value.decode("latin-1") if isinstance(value, bytes) else repr(value))})
    async for _ in messages(receive):
        pass


@page
async def show_messages(scope, receive, send):
    await accept(receive, send)
    async for message in messages(receive):
        await send({"type": "websocket.send", "text": repr(message)})


@page
async def choose(scope, receive, send, **accepted):
    """Accepts with what the query says."""
    await accept(receive, send, **accepted)
    async for _ in messages(receive):
        pass


@page
async def headers(scope, receive, send):
    await accept(receive, send, headers=[(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"x-app", b"caf\xe9")])
    async for _ in messages(receive):
        pass


@page
async def send_all(scope, receive, send):
    """Each kind of send that the specification allows."""
    await accept(receive, send)
    await send({"type": "websocket.send", "text": "text alone"})
    await send({"type": "websocket.send", "text": "no bytes", "bytes": None})
    await send({"type": "websocket.send", "bytes": b"bytes alone"})
    await send({"type": "websocket.send", "bytes": b"no text", "text": None})
    await send({"type": "websocket.send", "text": ""})
    await send({"type": "websocket.send", "bytes": b""})
    await send({"type": "websocket.close"})
    note("closed", await receive())


@page
async def close(scope, receive, send, code=None, reason=None):
    await accept(receive, send)
    said = {"code": code and int(code), "reason": reason}
    await send({"type": "websocket.close", **{key: value for key, value in said.items() if value is not None}})
    note("after close", await receive())


@page
async def refuse(scope, receive, send):
    await receive()
    await send({"type": "websocket.close", "code": 4001, "reason": ["not you"]})  # A list, as FastAPI's.


@page
async def refuse_at_once(scope, receive, send):
    await send({"type": "websocket.close"})


@page
async def deny(scope, receive, send):
    await receive()
    assert "websocket.http.response" in scope["extensions"]
    await send({"type": "websocket.http.response.start", "status": 401, "headers": [
        (b"www-authenticate", b"Basic"), (b"content-type", b"text/plain")]})
    await send({"type": "websocket.http.response.body", "body": b"who ", "more_body": True})
    await send({"type": "websocket.http.response.body", "body": b"are you?"})


@page
async def fail(scope, receive, send, after="nothing"):
    if after != "nothing":
        await receive()
    if after in ("accept", "message"):
        await send({"type": "websocket.accept"})
    if after == "message":
        await receive()
    raise ValueError(f"on purpose, after {after}")


@page
async def leave(scope, receive, send, after="nothing"):
    if after != "nothing":
        await receive()
        await send({"type": "websocket.accept"})
        await receive()


WRONG = {
    "neither": {"type": "websocket.send"},
    "both None": {"type": "websocket.send", "text": None, "bytes": None},
    "both": {"type": "websocket.send", "text": "a", "bytes": b"b"},
    "text is bytes": {"type": "websocket.send", "text": b"a"},
    "bytes is text": {"type": "websocket.send", "bytes": "a"},
    "accept twice": {"type": "websocket.accept"},
    "denial after accept": {"type": "websocket.http.response.start", "status": 401, "headers": []},
    "unknown type": {"type": "websocket.sned", "text": "a"},
    "http": {"type": "http.response.start", "status": 200, "headers": []},
    "no type": {"text": "a"},
    "no dict": "websocket.send",
    "code 1005": {"type": "websocket.close", "code": 1005},
    "code 999": {"type": "websocket.close", "code": 999},
    "code is text": {"type": "websocket.close", "code": "1000"},
    "long reason": {"type": "websocket.close", "code": 1000, "reason": "x" * 124},
}

WRONG_AT_FIRST = {
    "send before accept": {"type": "websocket.send", "text": "a"},
    "subprotocol not offered": {"type": "websocket.accept", "subprotocol": "other"},
    "subprotocol is bytes": {"type": "websocket.accept", "subprotocol": b"chat"},
    "header is text": {"type": "websocket.accept", "headers": [("x-app", "1")]},
    "line feed in header": {"type": "websocket.accept", "headers": [(b"x-app", b"1\nset-cookie: a=1")]},
    "protocol in headers": {"type": "websocket.accept", "headers": [(b"sec-websocket-protocol", b"chat")]},
    "denial body first": {"type": "websocket.http.response.body", "body": b""},
}


@page
async def err(scope, receive, send, how):
    """Sends what is wrong, and tells what came of it. The WebSocket must still be good after it."""
    await receive()
    if how in WRONG_AT_FIRST:
        said = await tried(send, WRONG_AT_FIRST[how])
        await send({"type": "websocket.accept"})
    else:
        await send({"type": "websocket.accept"})
        said = await tried(send, WRONG[how])
    await send({"type": "websocket.send", "text": said})
    async for _ in messages(receive):
        pass


async def tried(send, message):
    """What sending a message raises, in one line."""
    try:
        await send(message)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "nothing was raised"


@page
async def go_on(scope, receive, send):
    """Uses everything once more after the disconnect."""
    await accept(receive, send)
    async for _ in messages(receive):
        pass
    try:
        await send({"type": "websocket.send", "text": "too late"})
    except Exception as error:
        note("late send", [isinstance(error, OSError), type(error).__name__, str(error)])
    try:
        note("late receive", await asyncio.wait_for(receive(), 5))
    except Exception as error:
        note("late receive", type(error).__name__)


@page
async def go_on_after_close(scope, receive, send):
    await accept(receive, send)
    await send({"type": "websocket.close"})
    note("send after close", await tried(send, {"type": "websocket.send", "text": "too late"}))
    note("close after close", await tried(send, {"type": "websocket.close"}))


@page
async def pour(scope, receive, send, size=65536, count=960, kind="bytes"):
    """Sends many pieces, and notes how far it got."""
    await accept(receive, send)
    piece = {"type": "websocket.send", kind: (b"x" if kind == "bytes" else "x") * int(size)}
    pace = [0]

    async def report():
        while True:
            Path("poured.new").write_text(str(pace[0]))
            os.replace("poured.new", "poured")
            await asyncio.sleep(0.05)

    reporter = asyncio.create_task(report())
    try:
        for number in range(int(count)):
            await send(piece)
            pace[0] = number + 1
        note("poured", pace[0])
        async for _ in messages(receive):
            pass
    except OSError as error:
        note("poured until", [pace[0], type(error).__name__])
    finally:
        reporter.cancel()


@page
async def deaf(scope, receive, send):
    """Takes no message until told to; then counts their bytes."""
    await accept(receive, send)
    note("deaf")
    while not Path("listen").exists():
        await asyncio.sleep(0.02)
    total = 0
    async for message in messages(receive):
        total += len(message.get("bytes") or message["text"])
        note("heard", total)


@page
async def clean_up(scope, receive, send, seconds=0.3):
    """Takes its time after the disconnect."""
    await accept(receive, send)
    note("open", os.getpid())
    async for message in messages(receive):
        await send({**message, "type": "websocket.send"})
    await asyncio.sleep(float(seconds))
    note("cleaned up")


@page
async def hold(scope, receive, send):
    """Never looks for the disconnect; waits for its cancellation."""
    await accept(receive, send)
    note("open", os.getpid())
    try:
        await asyncio.sleep(3600)
    finally:
        note("cancelled")


@page
async def slow_accept(scope, receive, send):
    await receive()
    note("asked")
    while not Path("accept").exists():
        await asyncio.sleep(0.02)
    await send({"type": "websocket.accept"})
    async for message in messages(receive):
        await send({**message, "type": "websocket.send"})
