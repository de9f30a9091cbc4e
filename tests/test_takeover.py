"""`gunicorn.socket`: apps that ask about their client's connection, or take it over, by themselves and with the usual libraries."""

import contextlib
import json
import os
import signal

import pytest

from harness import Unanswered, until
from harness.notes import noted, notes
from harness.websocket import CLOSE, PING, TEXT, WebSocket, close_payload, frame, handshake

only_ferricorn = pytest.mark.only_ferricorn


@pytest.fixture(scope="module", params=[[], ["-k", "gevent"]], ids=["threads", "greenlets"])
def kind(request):
    """What runs the app."""
    return request.param


@pytest.fixture(scope="module")
def server(serve_module, kind):
    return serve_module("taking:app", *kind, "-t", "20", "--access-logfile", "-")


@pytest.fixture(scope="module")
def flask(serve_module, kind):
    return serve_module("taking:flask", *kind)


def get(target, *fields):
    return "\r\n".join([f"GET {target} HTTP/1.1", "Host: x", *fields, "", ""]).encode()


# The socket itself.


def test_the_app_reads_and_writes_alone(server):
    with server.connect() as client:
        assert client.send(get("/echo")).read_exactly(6) == b"hello "
        assert client.send(b"one").read_exactly(3) == b"one"
        client.send(get("/"))
        assert client.read_until(b"\r\n\r\n") == get("/")
        client.finish()
        assert client.at_end()
    assert server.get("/").text == "plain"


@only_ferricorn("gunicorn has read on, and loses it")
def test_what_came_with_the_request_is_read_first(server):
    for request in [get("/echo"), handshake("/echo")]:
        with server.connect() as client:
            client.send(get("/") + request + b"and more" + get("/"))
            assert client.response().text == "plain"
            assert client.read_until(b"\r\n\r\n") == b"hello and more" + get("/")
            client.finish()
            assert client.at_end()


@only_ferricorn("gunicorn without TLS has the same, but its socket blocks")
def test_to_ask_is_not_to_take(server):
    with server.connect() as client:
        for _ in range(3):
            seen = client.send(get("/look")).response().json()
            assert seen == {"class": True, "family": "AF_INET", "type": "SOCK_STREAM", "peer": True, "own": True, "quiet": True,
                            "error": 0, "none": "none", "timeout": None}


@only_ferricorn("gunicorn sends the answer behind")
def test_an_answer_is_dropped(server):
    with server.connect() as client:
        assert client.send(get("/answers")).read_to_end() == b"taken;"


def test_a_file_of_the_socket_outlives_its_close(server):
    with server.connect() as client:
        assert client.send(get("/file")).read_exactly(6) == b"hello "
        assert client.send(b"word\n").read_exactly(10) == b"word\nword\n"


def test_a_socket_that_is_closed_is_closed_at_once(server):
    with server.connect() as client:
        assert client.send(get("/closes")).read_to_end() == b"closed"
    server.touch("seen")


def test_the_timeout_that_was_set_holds(server):
    with server.connect() as client:
        assert client.send(get("/waits")).read_exactly(8) == b"too late"


@only_ferricorn("gunicorn writes a 500 behind")
def test_an_exception_is_told_and_not_sent(server):
    with server.connect() as client:
        assert client.send(get("/fails")).read_to_end() == b"so far"
    server.wait_for(r"Error handling request GET /fails\n(.*\n)+ValueError: after the takeover")


def test_a_client_that_leaves_is_no_error(server):
    client = server.connect()
    client.send(get("/left")).read_exactly(2)
    client.close()
    assert server.get("/").text == "plain"
    assert "BrokenPipe" not in server.log and "ConnectionReset" not in server.log


@only_ferricorn("gunicorn has nothing against it")
def test_another_thread_or_a_response_that_has_begun_cannot_take(serve):
    with serve("taking:app").connect() as client:
        assert client.send(get("/late")).response().text == "begun RuntimeError OSError"


@only_ferricorn("gunicorn has nothing against it")
def test_the_socket_of_another_connection_cannot_be_used(server):
    refusal = "gunicorn.socket can be used while the application is called for a request of this connection"
    with server.connect() as client:
        assert client.send(get("/keeps")).response().text == "kept"
        assert server.get("/kept").text.count(refusal) == 2
    assert server.get("/kept").text.count(refusal) == 2


def test_a_client_of_http_1_0_is_taken_over_too(server):
    with server.connect() as client:
        client.send(b"GET /echo HTTP/1.0\r\n\r\n").read_exactly(6)
        assert client.send(b"x").read_exactly(1) == b"x"


def test_a_unix_socket_is_asked_and_taken_over(serve, kind, tmp_path):
    server = serve("taking:app", *kind, bind=f"unix:{tmp_path}/s")
    with server.connect() as client:
        assert client.send(get("/peer")).response().text == f"AF_UNIX {(os.getpid(), os.getuid(), os.getgid())}"
        client.send(get("/echo")).read_exactly(6)
        assert client.send(b"x").read_exactly(1) == b"x"
        client.finish()
        assert client.at_end()


@only_ferricorn("gunicorn writes no line")
def test_the_access_log_has_a_line_of_each(server):
    with server.connect() as client:
        assert client.send(handshake("/echo?line=socket")).finish().read_to_end() == b"hello "
    with server.connect() as client:
        assert client.send(get("/echo?line=other")).finish().read_to_end() == b"hello "
    server.get("/?line=plain")
    lines = until(lambda: len(lines := [line for line in server.access_log if "?line=" in line]) >= 3 and lines, "the lines")
    assert [line.split('"')[1:3] for line in lines] == [
        ["GET /echo?line=socket HTTP/1.1", " 101 0 "], ["GET /echo?line=other HTTP/1.1", " - 0 "], ["GET /?line=plain HTTP/1.1", " 200 5 "]]


@only_ferricorn("gunicorn waits for the graceful timeout")
def test_a_worker_that_stops_ends_the_connection(serve, kind):
    server = serve("taking:app", *kind, "--graceful-timeout", "20")
    with server.connect() as client:
        client.send(get("/echo")).read_exactly(6)
        server.send(signal.SIGTERM)
        assert client.at_end()
    assert server.wait_exit() == 0
    assert noted(server, "ended") == "/echo"


def test_a_worker_that_dies_takes_its_connections_with_it(serve, kind):
    server = serve("taking:app", *kind)
    old = server.wait_workers(1)
    with server.connect() as client:
        client.send(get("/echo")).read_exactly(6)
        server.send(signal.SIGKILL, old[0])
        assert client.at_end()
    server.wait_workers(1, without=old)
    with server.connect() as client:
        client.send(get("/echo")).read_exactly(6)


@only_ferricorn("gunicorn's sync worker would be killed")
def test_a_connection_that_is_taken_over_has_no_timeout(serve):
    server = serve("taking:app", "-t", "1")
    worker = server.wait_workers(1)
    with server.connect() as client:
        client.send(get("/echo")).read_exactly(6)
        # The master looks four times in each timeout, so it would have seen by then.
        with pytest.raises(TimeoutError):
            client.socket.settimeout(3)
            client.socket.recv(1)
        client.socket.settimeout(15)
        assert client.send(b"y").read_exactly(1) == b"y"
    assert server.workers() == worker


# simple-websocket, with Flask-Sock.


def test_a_websocket_of_flask_sock(flask):
    with WebSocket(flask.address, "/echo", ("Sec-WebSocket-Extensions", "permessage-deflate")) as client:
        assert client.answer.header("Sec-WebSocket-Extensions") == "permessage-deflate"
    with flask.websocket("/echo") as client:
        for message in ["a", "caf\xe9", "x" * 100_000, b"\0" * 70_000, "last"]:
            client.say(message)
            assert client.hear() == message
        client.send(frame(PING, b"there?"))
        assert client.read_frame().payload == b"there?"
    assert flask.get("/").text == "plain"
    assert "Error" not in flask.log and "Traceback" not in flask.log


@only_ferricorn("gunicorn closes before the library's thread has answered")
def test_a_client_that_says_goodbye_is_answered(flask):
    for _ in range(5):
        with flask.websocket("/echo") as client:
            assert client.bye(1000, "enough") == (1000, "enough")


def test_a_handler_that_ends_closes_the_websocket(flask):
    with flask.websocket("/said") as client:
        assert [client.hear(), client.hear()] == ["one", b"two"]
        assert client.farewell()[0] == 1000


def test_a_client_that_leaves_ends_the_handler(flask):
    before = len([name for name, _ in notes(flask) if name == "ended"])
    client = flask.websocket("/ends")
    client.close()
    noted(flask, "ended", before + 1)
    assert flask.get("/").text == "plain"


@only_ferricorn("gunicorn has read on, and loses it")
def test_frames_that_came_with_the_handshake_are_heard(flask):
    with flask.connect() as client:
        client.send(handshake("/echo") + frame(TEXT, b"early"))
        assert client.read_head().status == 101
        assert client.read_exactly(7) == b"\x81\x05early"
        client.send(frame(CLOSE, close_payload(1000)))
        assert client.read_exactly(4) == b"\x88\x02\x03\xe8"
        assert client.at_end()


def test_a_request_that_is_no_websocket_is_answered(flask):
    assert flask.get("/echo").status == 400


@only_ferricorn("gunicorn waits for the graceful timeout")
def test_a_reload_ends_websockets_and_the_new_worker_has_new_ones(serve, kind):
    server = serve("taking:flask", *kind, "--graceful-timeout", "20")
    old = server.wait_workers(1)
    with server.websocket("/echo") as client:
        client.say("x")
        assert client.hear() == "x"
        server.send(signal.SIGHUP)
        assert client.at_end()
    server.wait_workers(1, without=old)
    with server.websocket("/echo") as client:
        client.say("y")
        assert client.hear() == "y"


@pytest.mark.parametrize("flags", [("-k", "gthread", "--threads", "3"), ("--threads", "3", "-t", "1")])
def test_with_threads_there_are_so_many_at_once(serve, flags):
    server = serve("taking:flask", *flags)
    worker = server.wait_workers(1)
    opened = [server.websocket("/echo") for _ in range(3)]
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(client) for client in opened]
        for turn in range(3):
            for client in clients:
                client.say(f"word {turn}")
            assert [client.hear() for client in clients] == [f"word {turn}"] * 3
        # Nobody is left to answer, and that is no reason to end the worker.
        with server.connect(timeout=3) as waiting, pytest.raises(Unanswered):
            waiting.send(get("/")).read_head()
        clients[0].close()
        assert server.get("/").text == "plain"
        clients[1].say("still")
        assert clients[1].hear() == "still"
        assert server.workers() == worker


# Greenlets.


@pytest.fixture
def greenlets(serve):
    return serve("taking:app", "-k", "gevent", "--graceful-timeout", "5")


@only_ferricorn("gunicorn's socket is always there")
def test_a_greenlet_may_give_up_its_wait_for_the_connection(greenlets):
    with greenlets.connect() as client:
        assert client.send(get("/given_up?again")).read_to_end() == b"after all"
    with greenlets.connect() as client:
        assert client.send(get("/given_up")).response().text == "instead"
        assert client.send(get("/")).response().text == "plain"
    assert "Traceback" not in greenlets.log


@only_ferricorn("gunicorn's socket is always there")
def test_another_greenlet_may_take_the_connection_over_but_only_one(greenlets):
    with greenlets.connect() as client:
        assert client.send(get("/aside")).read_to_end() == b"word;end"
    assert noted(greenlets, "aside") == "['None', 'OSError: the connection was taken over already']"


@only_ferricorn("gunicorn does not begin another request before")
def test_a_greenlet_that_goes_on_does_not_take_the_next_request_over(greenlets):
    with greenlets.connect() as client:
        assert client.send(get("/stale")).response().text == "whole"
        assert client.send(get("/next")).response().text == "plain"
    assert "gunicorn.socket can be used while" in noted(greenlets, "stale")


def test_a_greenlet_that_is_killed_leaves_the_connection(greenlets):
    with greenlets.connect() as client:
        assert client.send(get("/killed")).read_to_end() == b"word"
    assert noted(greenlets, "killed")
    assert greenlets.get("/").text == "plain"


def test_as_many_greenlets_as_there_are_clients_have_their_connections(serve):
    server = serve("taking:flask", "-k", "gevent")
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.websocket("/echo")) for _ in range(100)]
        for turn in range(3):
            for client in clients:
                client.say(f"word {turn}")
            assert [client.hear() for client in clients] == [f"word {turn}"] * 100
        assert server.get("/").text == "plain"
    assert server.get("/").text == "plain"
    assert server.stop() == 0
    assert "Traceback" not in server.log


# Flask-SocketIO.


@pytest.mark.parametrize("flags, mode", [([], "threading"), (["-k", "gevent"], "gevent")])
def test_flask_socketio(serve, flags, mode):
    server = serve(f"taking:socketio_app('{mode}')", *flags)
    with server.websocket("/socket.io/?EIO=4&transport=websocket") as client:
        opened = json.loads(client.hear().removeprefix("0"))
        assert opened["sid"]
        client.say("40")
        assert client.hear().startswith("40{")
        client.say('42["ask","word"]')
        assert client.hear() == '42["answer","WORD"]'
        client.send(frame(CLOSE, close_payload(1000)))
    polled = server.get("/socket.io/?EIO=4&transport=polling")
    assert polled.status == 200 and polled.text.startswith("0{")
    assert "Traceback" not in server.log
