"""WebSockets of real frameworks: Starlette, FastAPI, Quart, Litestar, Django Channels."""

import json

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from harness.notes import noted


def url(server, path):
    return f"ws://127.0.0.1:{server.port}{path}"


STARLETTE = """
from noting import note
from starlette.applications import Starlette
from starlette.endpoints import WebSocketEndpoint
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocketDisconnect


class Echo(WebSocketEndpoint):
    encoding = "json"

    async def on_connect(self, websocket):
        await websocket.accept(subprotocol="json", headers=[(b"x-room", websocket.path_params["room"].encode())])

    async def on_receive(self, websocket, data):
        await websocket.send_json({"heard": data, "query": dict(websocket.query_params), "cookie": websocket.cookies.get("a")})

    async def on_disconnect(self, websocket, close_code):
        note("gone", close_code)


async def count(websocket):
    await websocket.accept()
    try:
        async for text in websocket.iter_text():
            await websocket.send_bytes(str(len(text)).encode())
        note("counted")
    finally:
        note("left")


async def deny(websocket):
    await websocket.send_denial_response(PlainTextResponse("members only", status_code=401))


async def late(websocket):
    await websocket.accept()
    try:
        while True:
            await websocket.send_text("x" * 1000)
    except WebSocketDisconnect as error:
        note("stopped", error.code)


app = Starlette(routes=[WebSocketRoute("/rooms/{room}", Echo), WebSocketRoute("/count", count), WebSocketRoute("/deny", deny),
                        WebSocketRoute("/late", late), Route("/", lambda request: PlainTextResponse("page"))])
"""


@pytest.fixture(scope="module")
def starlette(serve_module):
    return serve_module(STARLETTE)


def test_starlette_endpoint(starlette):
    with connect(url(starlette, "/rooms/blue?x=1"), subprotocols=["json"], additional_headers={"Cookie": "a=b"}) as socket:
        assert socket.subprotocol == "json"
        assert socket.response.headers["x-room"] == "blue"
        socket.send(json.dumps([1, "two"]))
        assert json.loads(socket.recv(timeout=15)) == {"heard": [1, "two"], "query": {"x": "1"}, "cookie": "b"}
        socket.close(4000)
    assert noted(starlette, "gone") == 4000


def test_starlette_closes_on_what_it_does_not_understand(starlette):
    with connect(url(starlette, "/rooms/blue"), subprotocols=["json"]) as socket:
        socket.send("no json")
        with pytest.raises(ConnectionClosed) as end:
            socket.recv(timeout=15)
    assert end.value.rcvd.code == 1003


def test_starlette_iterates(starlette):
    with connect(url(starlette, "/count")) as socket:
        for text in ["", "a", "caf\xe9"]:
            socket.send(text)
            assert socket.recv(timeout=15) == str(len(text)).encode()
    assert noted(starlette, "left") is None
    noted(starlette, "counted")


def test_starlette_denies_with_a_response(starlette):
    with pytest.raises(InvalidStatus) as refusal:
        connect(url(starlette, "/deny"))
    assert (refusal.value.response.status_code, refusal.value.response.body) == (401, b"members only")


def test_starlette_refuses_an_unknown_path(starlette):
    with pytest.raises(InvalidStatus) as refusal:
        connect(url(starlette, "/nowhere"))
    assert refusal.value.response.status_code in (403, 404)


@pytest.mark.only_ferricorn("uvicorn reads no close frame of a client that does not read")
def test_starlette_learns_of_the_disconnect_when_it_sends(starlette):
    with connect(url(starlette, "/late"), close_timeout=1) as socket:
        assert len(socket.recv(timeout=15)) == 1000
    assert noted(starlette, "stopped") == 1006


FASTAPI = """
from typing import Annotated

from fastapi import Depends, FastAPI, Query, WebSocket, WebSocketException
from noting import note

app = FastAPI()


async def token(websocket: WebSocket, token: Annotated[str | None, Query()] = None):
    if token != "good":
        raise WebSocketException(code=1008)
    return token


async def session():
    note("session open")
    yield {"id": 7}
    note("session closed")


@app.websocket("/items/{item}")
async def items(websocket: WebSocket, item: int, token: Annotated[str, Depends(token)], session: Annotated[dict, Depends(session)]):
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_json([item, token, session["id"], text])
"""


def test_fastapi_with_dependencies(serve):
    server = serve(FASTAPI)
    with connect(url(server, "/items/3?token=good")) as socket:
        socket.send("hello")
        assert json.loads(socket.recv(timeout=15)) == [3, "good", 7, "hello"]
        noted(server, "session open")
    noted(server, "session closed")
    for path in "/items/3?token=bad", "/items/x?token=good":
        with pytest.raises(InvalidStatus) as refusal:
            connect(url(server, path))
        assert refusal.value.response.status_code == 403


QUART = """
from noting import note
from quart import Quart, request, websocket

app = Quart(__name__)


@app.get("/")
async def page():
    return "page"


@app.websocket("/echo")
async def echo():
    try:
        while True:
            data = await websocket.receive()
            await websocket.send(data if websocket.args.get("same") else f"{websocket.path}: {data}")
    finally:
        note("left")


@app.websocket("/close")
async def close():
    await websocket.accept()
    await websocket.close(4002, "enough")
"""


def test_quart(serve):
    server = serve(QUART)
    assert server.get("/").text == "page"
    with connect(url(server, "/echo")) as socket:
        socket.send("hello")
        assert socket.recv(timeout=15) == "/echo: hello"
    noted(server, "left")
    with connect(url(server, "/close")) as socket:
        with pytest.raises(ConnectionClosed) as end:
            socket.recv(timeout=15)
    assert (end.value.rcvd.code, end.value.rcvd.reason) == (4002, "enough")


LITESTAR = """
from litestar import Litestar, WebSocket, websocket, websocket_listener
from noting import note


@websocket_listener("/listen")
async def listen(data: dict) -> dict:
    return {"heard": data}


@websocket("/raw/{room:str}")
async def raw(socket: WebSocket, room: str) -> None:
    await socket.accept(headers={"x-room": room})
    await socket.send_text(await socket.receive_text())
    await socket.close(4003, "done")


app = Litestar([listen, raw])
"""


def test_litestar(serve):
    server = serve(LITESTAR)
    with connect(url(server, "/listen")) as socket:
        socket.send(json.dumps({"a": 1}))
        assert json.loads(socket.recv(timeout=15)) == {"heard": {"a": 1}}
    with connect(url(server, "/raw/blue")) as socket:
        assert socket.response.headers["x-room"] == "blue"
        socket.send("back")
        assert socket.recv(timeout=15) == "back"
        with pytest.raises(ConnectionClosed) as end:
            socket.recv(timeout=15)
    assert (end.value.rcvd.code, end.value.rcvd.reason) == (4003, "done")


CHANNELS = """
import django
from channels.generic.websocket import AsyncJsonWebsocketConsumer, WebsocketConsumer
from channels.layers import get_channel_layer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.urls import path

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="for a test",
                   CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}})
django.setup()
urlpatterns = []


class Room(AsyncJsonWebsocketConsumer):
    groups = ["room"]

    async def receive_json(self, content):
        await self.channel_layer.group_send("room", {"type": "said", "words": content})

    async def said(self, event):
        await self.send_json(event["words"])


class Blocking(WebsocketConsumer):
    def receive(self, text_data=None, bytes_data=None):
        self.send(text_data=text_data.upper())
        self.close(4004, "loud")


app = ProtocolTypeRouter({"http": get_asgi_application(), "websocket": URLRouter([
    path("room", Room.as_asgi()), path("blocking", Blocking.as_asgi())])})
"""


def test_channels(serve):
    pytest.importorskip("channels", reason="Django Channels is not installed")
    server = serve(CHANNELS)
    with connect(url(server, "/room")) as first, connect(url(server, "/room")) as second:
        first.send(json.dumps({"hello": 1}))
        assert json.loads(first.recv(timeout=15)) == json.loads(second.recv(timeout=15)) == {"hello": 1}
    with connect(url(server, "/blocking")) as socket:
        socket.send("hello")
        assert socket.recv(timeout=15) == "HELLO"
        with pytest.raises(ConnectionClosed) as end:
            socket.recv(timeout=15)
    assert (end.value.rcvd.code, end.value.rcvd.reason) == (4004, "loud")
