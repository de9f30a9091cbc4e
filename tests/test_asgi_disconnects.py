"""Clients that leave, in every state of their request: the app is told, nothing spins, and nothing is left."""

import socket
import time
from ast import literal_eval

import pytest

from harness import IS_FERRICORN, descriptors, rests, until

only_ferricorn = pytest.mark.only_ferricorn

GONE = [{"type": "http.disconnect"}] * 2


@pytest.fixture(scope="module")
def server(serve_module, loop):
    """One worker for all, with a look at what is left in it at the end."""
    server = serve_module("features_asgi:app", "--asgi-loop", loop, "--asgi-disconnect-grace-period", "1", "-t", "20")
    server.get()
    worker = server.wait_workers(1)[0]
    opened, tasks = descriptors(worker), server.get("/tasks").text
    yield server
    until(lambda: descriptors(worker) <= opened, "descriptors are left open")
    until(lambda: server.get("/tasks").text == tasks, "tasks are left")
    assert server.workers() == [worker]


def ask(client, target, *fields):
    """Sends a request, whole unless the fields promise a body."""
    return client.send("\r\n".join([f"GET {target} HTTP/1.1", "Host: x", *fields, "", ""]).encode())


def reset(client):
    """Leaves at once, with a reset."""
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()


LEAVING = {"close": lambda client: client.close(), "reset": reset, "half-close": lambda client: client.finish()}


@pytest.mark.parametrize("how", LEAVING)
def test_while_the_app_waits_in_receive(server, how):
    """A client that shuts down only its writing side has left too: nothing else would show that it did."""
    name = f"wait-{how}"
    with server.connect() as client:
        ask(client, f"/wait?{name}")
        server.noted(f"{name}-entered")
        LEAVING[how](client)
        assert literal_eval(server.noted(f"{name}-left")) == GONE


def test_while_the_app_waits_for_the_body(server):
    with server.connect() as client:
        ask(client, "/wait?body", "Content-Length: 10").send(b"12345")
        server.noted("body-entered")
    assert literal_eval(server.noted("body-left")) == GONE


def test_behind_a_first_request(server):
    with server.connect() as client:
        assert ask(client, "/").response().body == b"hello"
        ask(client, "/wait?second")
        server.noted("second-entered")
    assert literal_eval(server.noted("second-left")) == GONE


@only_ferricorn("uvicorn cancels nothing")
def test_while_the_app_sleeps(server):
    """It is cancelled when the grace is over, and not before."""
    with server.connect() as client:
        ask(client, "/sleep?asleep=30")
        server.noted("asleep-entered")
        begin = time.monotonic()
    server.noted("asleep-cancelled")
    assert 0.8 < time.monotonic() - begin < 8
    assert "[ERROR]" not in server.log


def test_an_app_that_ends_within_the_grace_is_not_cancelled(server):
    with server.connect() as client:
        ask(client, "/sleep?short=0.3")
        server.noted("short-entered")
    server.noted("short-slept")
    assert not server.has("short-cancelled")


@only_ferricorn("uvicorn cancels nothing")
def test_without_a_grace_the_app_is_cancelled_at_once(serve, loop):
    server = serve("features_asgi:app", "--asgi-loop", loop, "--asgi-disconnect-grace-period", "0")
    with server.connect() as client:
        ask(client, "/sleep?now=30")
        server.noted("now-entered")
    server.noted("now-cancelled")


@pytest.mark.parametrize("leave", ["close", "reset"])
@only_ferricorn("uvicorn lets an app send on for ever to nobody")
def test_while_a_response_streams(serve, loop, leave):
    """send() raises, so that an app that never receives ends too; that is nobody's error."""
    server = serve("features_asgi:app", "--asgi-loop", loop)
    with server.connect() as client:
        ask(client, "/endless").read_head()
        client.read_exactly(200_000)
        LEAVING[leave](client)
        assert server.noted("closed") == "OSError"
    worker = server.wait_workers(1)[0]
    produced = server.noted("produced")
    until(lambda: rests(worker), "it to rest")
    assert server.noted("produced") == produced
    assert "[ERROR]" not in server.log and "Traceback" not in server.log


@only_ferricorn("uvicorn lets an app send on for ever to nobody")
def test_while_send_waits_for_a_client_that_does_not_read(serve, loop):
    server = serve("features_asgi:app", "--asgi-loop", loop)
    with server.connect(receive_buffer=4096) as client:
        ask(client, "/endless").read_head()

        def stalled():
            produced = server.noted("produced")
            time.sleep(0.3)
            return server.noted("produced") == produced

        until(stalled, "the app to wait in send()")
        assert not server.has("closed")
    server.noted("closed")
    assert "[ERROR]" not in server.log


@only_ferricorn("uvicorn is silent")
def test_sending_to_a_client_that_has_left_raises_an_oserror(server):
    """As the specification says since 2.4."""
    with server.connect() as client:
        ask(client, "/send-on?on")
        server.noted("on-entered")
    assert server.noted("on-sent") != "nothing"


def test_readers_of_event_streams_leave_nothing_that_spins(serve, loop):
    server = serve("features_asgi:app", "--asgi-loop", loop)
    tasks, worker = server.get("/tasks").text, server.wait_workers(1)[0]
    crowd = [server.connect() for _ in range(20)]
    for number, client in enumerate(crowd):
        assert ask(client, f"/events?{number}").read_head().header("content-type") == "text/event-stream"
        assert client.read_chunk() == b"data: 1\n\n"
        client.read_chunk()
    for client in crowd:
        client.close()
    for number in range(20):
        server.noted(f"{number}-left")
        server.noted(f"{number}-cleaned")
    until(lambda: server.get("/tasks").text == tasks, "the tasks of the streams to end")
    until(lambda: rests(worker), "it to rest")
    assert "Traceback" not in server.log


def test_what_the_app_does_after_its_response_is_not_cancelled(server):
    """Background tasks run to their end, with the client gone for longer than the grace."""
    with server.connect() as client:
        assert ask(client, "/late?later").response().body == b"complete"
    if IS_FERRICORN:  # uvicorn knows no grace.
        with server.connect() as witness:
            ask(witness, "/sleep?witness=30")
            server.noted("witness-entered")
        server.noted("witness-cancelled")
    server.touch("later")
    server.noted("later-done")


def test_before_the_app_was_called(server):
    """The loop was busy; what is called afterwards is told at once."""
    with server.connect() as blocking:
        ask(blocking, "/block?0.5")
        server.noted("blocking")
        (server.folder / "blocking").unlink()
        for _ in range(5):
            with server.connect() as client:
                ask(client, "/wait?never-heard")
        assert blocking.response().body == b"blocked"
    assert server.get().body == b"hello"
    if server.has("never-heard-entered"):
        count = server.noted("never-heard-entered").count("\n") + 1
        until(lambda: server.has("never-heard-left") and server.noted("never-heard-left").count("\n") + 1 >= count, "each to be told")


def test_clients_that_leave_at_every_moment_do_no_harm(server):
    mark = server.mark()
    for target in ("/", "/pieces", "/big?1000000", "/echo", "/status/204", "/raise-late", "/paced?nobody"):
        request = f"GET {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc".encode()
        for length in (10, len(request) - 1, len(request)):
            for leave in ("close", "reset"):
                with server.connect() as client:
                    client.send(request[:length])
                    LEAVING[leave](client)
    for number in "12":
        server.touch(f"nobody{number}")
    assert server.get().body == b"hello"
    assert "panic" not in server.log[mark:] and "never retrieved" not in server.log[mark:] and "was destroyed" not in server.log[mark:]
