"""Hostile bytes against one running worker: each attack gets its answer, and the worker serves on as before, be its app
a WSGI or an ASGI one."""

import json
import threading

import pytest

from attacks import ATTACKS, SMUGGLED
from harness import IS_GUNICORN, Client, Unanswered, anonymous_kib, descriptors, until

WSGI = '''
import json
import os

SEEN = []


def app(environ, start_response):
    target = environ["RAW_URI"]
    if target == "/raise":
        raise LookupError("as asked for")
    if target == "/seen":
        body = json.dumps({"pid": os.getpid(), "seen": SEEN}).encode()
        SEEN.clear()
    elif target == "/large":
        body = b"z" * 65536
    else:
        SEEN.append(target)
        body = str(len(environ["wsgi.input"].read())).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
'''

ASGI = '''
import json
import os

SEEN = []


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        raise NotImplementedError
    if scope["type"] == "websocket":
        return await send({"type": "websocket.close"})
    target = scope["raw_path"].decode()
    if target == "/raise":
        raise LookupError("as asked for")
    if target == "/seen":
        body = json.dumps({"pid": os.getpid(), "seen": SEEN}).encode()
        SEEN.clear()
    elif target == "/large":
        body = b"z" * 65536
    else:
        SEEN.append(target)
        size, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            size, more = size + len(message["body"]), message["more_body"]
        body = str(size).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(body)).encode())]})
    await send({"type": "http.response.body", "body": body})
'''

OF_ASGI = {
    "fields-script-name": "200 +",
    # The client that shuts down its writing side has left.
    "pipelines-good-then-half": "| 200 | 200 400",
    # A WebSocket, which the app refuses, and one with a key that is none.
    "other-ways-upgrade-websocket": "403 +",
    "other-ways-upgrade-and-frames": "400",
}
"""What comes of an attack where an ASGI app is not the same as a WSGI app."""

GUNICORN = {
    "lines-absolute-without-host": "it serves the request",
    "lines-connect": "it serves the request",
    "lines-connect-path": "it serves the request",
    "fields-host-with-path": "it serves the request",
    "fields-host-with-user": "it serves the request",
    "fields-host-with-space": "it serves the request",
    "fields-host-list": "it serves the request",
    "fields-latin-1-host": "it serves the request",
    "fields-host-open-bracket": "it serves the request",
    "fields-host-angle-brackets": "it serves the request",
    "fields-host-large-port": "it serves the request",
    "fields-host-port-in-words": "it serves the request",
    "fields-host-two-ports": "it serves the request",
    "framing-length-2-63-less-1": "its app takes the five bytes for the whole body",
    "framing-length-2-63": "its app takes the five bytes for the whole body",
    "framing-length-2-64-less-1": "its app takes the five bytes for the whole body",
    "framing-length-2-64": "its app takes the five bytes for the whole body",
    "framing-length-2-64-and-5": "it waits for the body",
    "framing-length-of-1000-digits": "its app takes the five bytes for the whole body",
    "framing-length-cut": "its app takes the three bytes for the whole body",
    "chunks-size-2-63": "it waits for the chunk",
    "chunks-size-2-64-less-1": "it waits for the chunk",
    "chunks-size-2-64": "it waits for the chunk",
    "chunks-size-2-64-and-5": "it waits for the chunk",
}
"""What gunicorn does otherwise, by attack."""


@pytest.fixture(scope="module", params=[
    pytest.param(WSGI, id="wsgi"), pytest.param(ASGI, id="asgi", marks=pytest.mark.only_ferricorn("WSGI"))])
def server(request, serve_module):
    """One worker for all attacks, with a look at what is left of them at the end."""
    server = serve_module(request.param, "-w", "1", "-t", "20", *(["--threads", "4"] if IS_GUNICORN else []))
    for _ in range(50):
        server.get()
    server.seen = lambda: server.get("/seen").json()
    worker = server.wait_workers(1)[0]
    opened, memory = descriptors(worker), anonymous_kib(worker)
    server.worker, server.asgi = worker, request.param is ASGI
    yield server
    if not IS_GUNICORN:
        until(lambda: descriptors(worker) <= opened, "descriptors are left open")
        assert anonymous_kib(worker) - memory < 24 * 1024
        assert server.log.count("Traceback (most") == server.log.count("LookupError: as asked for")
        for word in ("panic", "bug", "internal error"):
            assert word not in server.log.lower()
    assert server.workers() == [worker]


def send(client, data, finish):
    """Sends it all beside the reading, for the server may answer and close in the middle."""
    def run():
        try:
            client.send(data)
            if finish:
                client.finish()
        except OSError:
            pass

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def outcome_of(client, expected, head_only):
    """What comes back, in the words of the table. `expected` tells for how many answers to wait, and whether to try
    the connection once more."""
    statuses = []
    most = max(len([word for word in one.split() if word not in ("+", "100")]) for one in expected)
    try:
        while len(statuses) < most:
            statuses.append(str(client.response(head_only).status))
            most += statuses[-1] == "100"
    except (Unanswered, ConnectionError) as error:
        assert "silence" not in str(error), f"{statuses}, then {error}"
        return " ".join(statuses)
    if not any(one.endswith("+") and one.split()[:-1] == statuses for one in expected):
        rest = client.read_to_end()
        assert rest == b"", f"{statuses}, then {rest[:200]!r}"
        return " ".join(statuses)
    try:
        again = client.send(b"GET /again HTTP/1.1\r\nHost: x\r\n\r\n").response()
    except (Unanswered, OSError):
        return " ".join(statuses)
    return " ".join([*statuses, "+" if again.status == 200 else str(again.status)])


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=pytest.mark.only_ferricorn(GUNICORN[name])) if name in GUNICORN else name for name in ATTACKS])
def test_an_attack_gets_its_answer_and_does_no_harm(server, name):
    data, outcomes, *finish = ATTACKS[name]
    outcomes = OF_ASGI.get(name, outcomes) if server.asgi else outcomes
    expected = [" ".join(one.split()) for one in outcomes.split("|")]
    server.seen()
    with server.connect(timeout=5) as client:
        sending = send(client, data, finish or "" in expected)
        outcome = outcome_of(client, expected, data.startswith(b"HEAD"))
    sending.join(10)
    assert outcome in expected
    after = server.seen()
    assert after["pid"] == server.worker
    assert "/smuggled" not in after["seen"]


@pytest.mark.only_ferricorn("each of gunicorn's threads that writes is blocked")
def test_answers_that_nobody_reads_are_not_heaped_up(server):
    """Ten clients ask for a thousand answers of 64 KiB each, and read none of them."""
    before = anonymous_kib(server.worker)
    clients = [server.connect(receive_buffer=4096) for _ in range(10)]
    try:
        for client in clients:
            client.send(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n" * 1000)
        for client in clients:
            assert client.response().status == 200
        for _ in range(50):
            assert server.get(timeout=5).status == 200
        assert anonymous_kib(server.worker) - before < 24 * 1024
    finally:
        for client in clients:
            client.close()
    assert server.seen()["pid"] == server.worker
