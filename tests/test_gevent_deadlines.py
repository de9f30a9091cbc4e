"""Deadlines of requests on greenlets: 504, the greenlet killed and named, its neighbours served on."""

import pytest

from harness import Unanswered

pytest.importorskip("gevent")
pytestmark = pytest.mark.only_ferricorn("gunicorn has no deadline for a request")

APP = '''
import time
from pathlib import Path

import ferricorn


def sleep():
    try:
        time.sleep(60)
    except ferricorn.RequestTimeout:
        Path("killed").write_text("yes")
        raise


def stream():
    yield b"begun"
    sleep()


def app(environ, start_response):
    path = environ["PATH_INFO"]
    start_response("200 OK", [])
    if path == "/sleep":
        sleep()
    if path == "/stream":
        return stream()
    if path == "/longer":
        left = environ["ferricorn.extend_deadline"](30)
        time.sleep(1.5)
        return [str(29 < left < 32).encode()]
    return [b"hello"]
'''


@pytest.fixture
def server(serve):
    return serve(APP, "-k", "gevent", "--request-timeout", "0.5")


def test_calls_that_take_too_long_are_killed_and_their_neighbours_go_on(server):
    worker, = server.wait_workers(1)
    clients = [server.connect().send(b"GET /sleep HTTP/1.1\r\nHost: x\r\n\r\n") for _ in range(10)]
    assert server.get().body == b"hello"
    for client in clients:
        assert client.response().status == 504
        client.close()
    server.wait_for(rf"REQUEST TIMEOUT \(pid:{worker}\): GET /sleep has taken (0\.[5-9]|[1-9]\.\d) s; its client gets a 504", 10)
    server.wait_for(r"The call is at:\n(.*\n)*?.*in app\n(.*\n)*?.*in sleep\n")
    assert server.noted("killed") == "yes"
    assert server.get().body == b"hello"
    assert server.workers() == [worker] and "Traceback" not in server.log


def test_a_response_that_has_begun_is_cut_off(server):
    with server.connect() as client:
        client.send(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n").read_head()
        assert client.read_chunk() == b"begun"
        with pytest.raises(Unanswered, match="end of stream|reset"):
            client.read_chunk()
    assert server.noted("killed") == "yes"


def test_an_app_may_put_its_deadline_off(server):
    assert server.get("/longer").body == b"True"


def test_a_request_for_which_no_greenlet_was_free_is_not_called(serve):
    app = APP.replace("    try:\n        time.sleep(60)", "    try:\n        time.sleep(2)").replace(
        "        raise\n", "        time.sleep(60)\n")
    server = serve(app, "-k", "gevent", "--request-timeout", "0.5", "--worker-connections", "1", "--graceful-timeout", "1")
    with server.connect() as client:
        assert client.send(b"GET /sleep HTTP/1.1\r\nHost: x\r\n\r\n").response().status == 504
    assert server.noted("killed") == "yes"
    assert server.get("/late").status == 504
    server.wait_for(r"GET /late has taken (0\.[5-9]|[1-9]\.\d) s; the app had no room for it in that time, and its client gets a 504")
