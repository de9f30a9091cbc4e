"""Loops that something blocks while no request is in flight: the worker is found and replaced all the same."""

import signal
import time

import pytest

pytestmark = pytest.mark.only_ferricorn("uvicorn does not watch its workers")

APP = '''
import asyncio
import time
from pathlib import Path


def block():
    Path("blocked").write_text("yes")
    time.sleep(60)


async def answer(send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})


async def left(receive, send):
    await receive()
    Path("waits").write_text("yes")
    assert (await receive())["type"] == "http.disconnect"


async def later():
    await asyncio.sleep(0)
    block()


async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        if (await receive())["type"] == "websocket.receive":
            block()
    elif scope["path"] == "/left":
        await left(receive, send)
        block()
    elif scope["path"] == "/spin":
        await left(receive, send)
        Path("blocked").write_text("yes")
        while True:
            await receive()
    elif scope["path"] == "/background":
        await answer(send)
        block()
    elif scope["path"] == "/task":
        app.task = asyncio.create_task(later())
        await answer(send)
    elif scope["type"] == "http":
        await answer(send)
    else:
        raise NotImplementedError
'''


def left(server):
    with server.connect() as client:
        client.send(b"GET /left HTTP/1.1\r\nHost: x\r\n\r\n")
        server.noted("waits")


def spin(server):
    with server.connect() as client:
        client.send(b"GET /spin HTTP/1.1\r\nHost: x\r\n\r\n")
        server.noted("waits")


def background(server):
    return server.connect().send(b"GET /background HTTP/1.1\r\nHost: x\r\n\r\n")


def task(server):
    return server.connect().send(b"GET /task HTTP/1.1\r\nHost: x\r\n\r\n")


def websocket(server):
    return server.websocket().say("now")


@pytest.mark.parametrize("begin", [left, background, task, websocket, spin])
def test_a_loop_that_is_blocked_by_no_request_is_ended_with_its_place(serve, loop, begin):
    server = serve(APP, "--asgi-loop", loop, "--asgi-lifespan", "off", "--timeout", "2")
    worker, = server.wait_workers(1)
    client = begin(server)
    server.noted("blocked")
    assert server.get().body == b"hello"
    if client:
        client.close()
    server.wait_for(rf"WORKER TIMEOUT \(pid:{worker}\)")
    server.wait_for(rf"The loop of worker \(pid:{worker}\) has not turned for [2-9]\.")
    server.wait_for(" in app" if begin is spin else " in block")
    server.wait_workers(1, without=[worker])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_a_quick_stop_does_not_wait_for_a_loop_that_is_blocked(serve, number):
    server = serve(APP, "--asgi-lifespan", "off", "--graceful-timeout", "600")
    with task(server):
        server.noted("blocked")
        assert server.stop(number) == 0
    server.wait_for(r"did not leave within 2\.\d s, though hurried by a quick stop, and is killed")


def test_nobody_needs_to_come_for_a_blocked_loop_that_has_a_connection_to_be_found(serve, loop):
    server = serve(APP, "--asgi-loop", loop, "--asgi-lifespan", "off", "--timeout", "2")
    worker, = server.wait_workers(1)
    with server.websocket() as client:
        client.say("now")
        server.wait_for(rf"WORKER TIMEOUT \(pid:{worker}\)")
    server.wait_workers(1, without=[worker])


def test_a_worker_whose_connections_are_idle_is_let_be(serve, loop):
    server = serve(APP, "--asgi-loop", loop, "--asgi-lifespan", "off", "--timeout", "1")
    worker, = server.wait_workers(1)
    with server.connect() as client, server.websocket():
        for _ in range(2):
            assert client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").response().body == b"hello"
            time.sleep(3)
    assert server.workers() == [worker]
    assert "TIMEOUT" not in server.log and "progress" not in server.log
