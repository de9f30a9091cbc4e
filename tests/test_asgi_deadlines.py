"""Deadlines of requests to ASGI apps: 504, the task cancelled and named, its neighbours served on."""

import time

import pytest

from harness import Unanswered, until

pytestmark = pytest.mark.only_ferricorn("uvicorn has no deadline for a request")

APP = '''
import asyncio
from pathlib import Path


async def deep():
    await asyncio.sleep(60)


async def wait():
    try:
        await deep()
    except asyncio.CancelledError:
        Path("cancelled").write_text("yes")
        raise


async def refuse():
    try:
        await deep()
    except asyncio.CancelledError:
        raise ValueError("instead")


async def go_on():
    try:
        await deep()
    except asyncio.CancelledError:
        await asyncio.sleep(0.2)
        Path("went-on").write_text("yes")


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        raise NotImplementedError
    path = scope["path"][1:]
    if scope["type"] == "websocket":
        if path == "never":
            await wait()
        await send({"type": "websocket.accept"})
        await asyncio.sleep(1)
        await send({"type": "websocket.send", "text": "still here"})
        return await deep()
    body = b"hello"
    if path == "longer":
        left = scope["extensions"]["ferricorn.deadline"]["extend"](30)
        await asyncio.sleep(1.5)
        body = str(29 < left < 32).encode()
    elif path == "extensions":
        body = str("ferricorn.deadline" in scope["extensions"]).encode()
    elif path not in ("", "stream", "background"):
        await globals()[path]()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body, "more_body": path == "stream"})
    if path == "stream":
        await wait()
    if path == "background":
        await asyncio.sleep(1)
        Path("done").write_text("yes")
'''


@pytest.fixture
def server(serve, loop):
    return serve(APP, "--request-timeout", "0.5", "--access-logfile", "-", "--asgi-loop", loop)


def test_a_call_that_takes_too_long_is_cancelled_and_its_neighbours_go_on(server):
    worker, = server.wait_workers(1)
    begin = time.monotonic()
    clients = [server.connect().send(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n") for _ in range(20)]
    assert server.get().body == b"hello"
    for client in clients:
        response = client.response()
        assert response.status == 504 and b"The app did not answer in time." in response.body
        client.close()
    assert time.monotonic() - begin < 5
    assert server.noted("cancelled") == "yes"
    server.wait_for(rf"REQUEST TIMEOUT \(pid:{worker}\): GET /wait has taken (0\.[5-9]|[1-9]\.\d) s; its client gets a 504", 20)
    server.wait_for(r"The call is at:\n(.*\n)*?.*in app\n(.*\n)*?.*in wait\n(.*\n)*?.*in deep\n")
    assert server.workers() == [worker] and "Traceback" not in server.log
    until(lambda: sum('"GET /wait HTTP/1.1" 504' in line for line in server.access_log) == 20, "the access lines")


def test_what_a_call_raises_in_place_of_its_cancellation_is_told(server):
    assert server.get("/refuse").status == 504
    server.wait_for("ValueError: instead")
    assert server.get().status == 200


def test_a_call_may_take_its_time_to_end(server):
    assert server.get("/go_on").status == 504
    assert server.noted("went-on") == "yes"
    assert server.get().status == 200


def test_a_response_that_has_begun_is_cut_off(server):
    with server.connect() as client:
        client.send(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n").read_head()
        assert client.read_chunk() == b"hello"
        with pytest.raises(Unanswered, match="end of stream|reset"):
            client.read_chunk()
    assert server.noted("cancelled") == "yes"
    server.wait_for(r"GET /stream has taken (0\.[5-9]|[1-9]\.\d) s; its client's connection is closed")


def test_an_app_may_put_its_deadline_off(server):
    assert server.get("/longer").body == b"True"


def test_what_follows_a_response_has_no_deadline(server):
    assert server.get("/background").body == b"hello"
    assert server.noted("done") == "yes"
    assert "REQUEST TIMEOUT" not in server.log


def test_a_websocket_has_a_deadline_for_its_handshake_alone(server):
    refused = server.websocket("/never")
    assert refused.answer.status == 504
    refused.close()
    with server.websocket("/") as client:
        assert client.hear() == "still here"
    assert server.log.count("REQUEST TIMEOUT") == 1


def test_without_the_setting_there_is_no_deadline(serve, loop):
    assert serve(APP, "--asgi-loop", loop).get("/extensions").body == b"False"
