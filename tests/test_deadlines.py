"""Deadlines of requests to WSGI apps: 504, the call interrupted and named, its neighbours served on."""

import signal
import time

import pytest

from harness import Unanswered, gone, until

pytestmark = pytest.mark.only_ferricorn("gunicorn has no deadline for a request")

APP = '''
import ctypes
import os
import socket
import threading
import time
from pathlib import Path

import ferricorn


kept = []


def sleep():
    time.sleep(60)


def lock():
    held = threading.Lock()
    held.acquire()
    held.acquire()


def receive():
    ours, _theirs = socket.socketpair()
    ours.recv(1)


def spin():
    while True:
        sum(range(1000))


def held():
    """C code that never looks whether there is a signal, and holds the interpreter's lock."""
    ctypes.PyDLL(None).sleep(60)


def holds():
    """The same, but it ends."""
    ctypes.PyDLL(None).sleep(2)


def naps():
    while True:
        time.sleep(0.05)


def stubborn():
    while not Path("free").exists():
        try:
            time.sleep(0.05)
        except ferricorn.RequestTimeout:
            Path("caught").write_text("yes")


def cleans():
    try:
        time.sleep(60)
    except ferricorn.RequestTimeout as error:
        Path("cleaned").write_text(f"{type(error).__mro__[1].__name__}: {error}")
        raise


def app(environ, start_response):
    path = environ["PATH_INFO"][1:]
    if path == "stream":
        start_response("200 OK", [])
        return stream()
    if path == "write":
        start_response("200 OK", [])(b"begun")
        sleep()
    body = str(os.getpid()).encode()
    if path == "longer":
        kept.append(environ["ferricorn.extend_deadline"])
        left = kept[-1](30)
        time.sleep(float(environ["QUERY_STRING"] or 1.5))
        body = str(29 < left < 32).encode()
    elif path == "kept":
        body = str(kept[-1](1)).encode()
    elif path:
        globals()[path]()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


class stream:
    def __init__(self):
        self.pieces = 0

    def __iter__(self):
        return self

    def __next__(self):
        self.pieces += 1
        if self.pieces > 1:
            sleep()
        return b"begun"

    def close(self):
        Path("closed").write_text("yes")
'''

LIMIT = ["--request-timeout", "0.5", "--access-logfile", "-"]


@pytest.fixture
def server(serve):
    return serve(APP, *LIMIT)


@pytest.mark.parametrize("wait", ["sleep", "lock", "receive", "spin"])
def test_a_call_that_takes_too_long_is_interrupted_and_its_worker_serves_on(server, wait):
    pid = server.get().body
    begin = time.monotonic()
    response = server.get(f"/{wait}?secret")
    assert response.status == 504 and b"The app did not answer in time." in response.body
    assert time.monotonic() - begin < 5
    server.wait_for(rf"REQUEST TIMEOUT \(pid:{pid.decode()}\): GET /{wait} has taken (0\.[5-9]|[1-9]\.\d) s; its client gets a 504")
    server.wait_for(rf"The call is at:\n  File .*inline.py.*, in app\n(.*\n)*.*in {wait}\n")
    assert server.get().body == pid
    assert "Traceback" not in server.log and "secret" not in server.log
    until(lambda: any(f'"GET /{wait}?secret HTTP/1.1" 504' in line for line in server.access_log), "the access line")


def test_the_app_can_clean_up(server):
    assert server.get("/cleans").status == 504
    assert server.noted("cleaned") == "BaseException: the request has taken longer than --request-timeout allows"
    assert server.get().status == 200


@pytest.mark.parametrize("path", ["stream", "write"])
def test_a_response_that_has_begun_is_cut_off(server, path):
    pid = server.get().body
    with server.connect() as client:
        client.send(f"GET /{path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        client.read_head()
        assert client.read_chunk() == b"begun"
        with pytest.raises(Unanswered, match="end of stream|reset"):
            client.read_chunk()
    server.wait_for(rf"GET /{path} has taken (0\.[5-9]|[1-9]\.\d) s; its client's connection is closed")
    server.wait_for(r"The call is at:\n(.*\n)*.*in sleep\n")
    assert path == "write" or server.noted("closed")
    assert server.get().body == pid


def test_an_app_may_put_its_deadline_off(server):
    assert server.get("/longer").body == b"True"
    # Not after its end.
    assert server.get("/kept").body == b"0.0"


def test_an_app_that_catches_the_interruption_costs_its_worker_when_all_else_is_done(server):
    worker, = server.wait_workers(1)
    assert server.get("/stubborn").status == 504
    assert server.noted("caught") == "yes"
    server.wait_for(r"GET /stubborn goes on 1 s after its interruption")
    # Another serves, and nobody is killed.
    assert server.get().body != str(worker).encode()
    server.touch("free")
    server.wait_workers(1, without=[worker])
    server.wait_for(rf"Worker exiting \(pid: {worker}\)")
    assert "killed" not in server.log


@pytest.mark.parametrize("threads", [1, 4])
def test_a_call_that_held_the_interpreter_for_too_long_lets_its_worker_end_in_order(serve, threads):
    server = serve(APP, *LIMIT, "--threads", threads)
    worker, = server.wait_workers(1)
    assert server.get("/holds").status == 504
    server.wait_for(r"GET /holds goes on 1 s after its interruption")
    server.wait_workers(1, without=[worker])
    server.wait_for(rf"Worker exiting \(pid: {worker}\)")
    until(lambda: gone(worker), "its end")
    assert server.get().body != str(worker).encode()
    assert f"(pid:{worker}) was sent" not in server.log and f"(pid:{worker}) exited" not in server.log


def test_a_call_that_cannot_be_interrupted_is_killed_with_its_worker_at_the_graceful_timeout(serve):
    server = serve(APP, *LIMIT, "--graceful-timeout", "2", "-w", "2")
    workers = server.wait_workers(2)
    # It holds the interpreter's lock, so not even its stack can be told.
    assert server.get("/held").status == 504
    server.wait_for(r"REQUEST TIMEOUT \(pid:\d+\): GET /held has taken (0\.[5-9]|[1-9]\.\d) s; its client gets a 504")
    server.wait_for(r"GET /held goes on 1 s after its interruption: a call, this one or another, keeps the interpreter to itself")
    server.wait_for(r"did not leave within the graceful timeout \(2\.0 s\) and is killed; no request was in flight, but calls "
                    r"go on: GET /held \(\d\.\d s\)")
    assert len(set(server.wait_workers(2)) - set(workers)) == 1
    assert "WORKER TIMEOUT" not in server.log


def test_a_stop_while_calls_are_interrupted(server):
    with server.connect() as one:
        one.send(b"GET /sleep HTTP/1.1\r\nHost: x\r\n\r\n")
        server.wait_for("REQUEST TIMEOUT")
        assert server.stop(signal.SIGTERM) == 0
        assert one.response().status == 504


def test_without_the_setting_there_is_no_deadline(serve):
    app = '''
def app(environ, start_response):
    start_response("200 OK", [])
    return [str("ferricorn.extend_deadline" in environ).encode()]
'''
    assert serve(app).get().body == b"False"


def test_a_timeout_that_comes_first_is_told(serve):
    server = serve(APP, "--request-timeout", "60")
    server.wait_for(r"request_timeout \(60 s\) is not shorter than timeout \(30 s\)")


def test_a_connection_that_the_app_has_taken_over_has_no_deadline(serve):
    server = serve("taking:app", *LIMIT)
    with server.connect() as client:
        assert client.send(b"GET /echo HTTP/1.1\r\nHost: x\r\n\r\n").read_exactly(6) == b"hello "
        time.sleep(1)
        assert client.send(b"one").read_exactly(3) == b"one"
    assert "REQUEST TIMEOUT" not in server.log


def sent(server, *paths):
    """Connections on which these were asked for at the same time."""
    return [server.connect().send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()) for path in paths]


def answers(clients):
    statuses = [client.response().status for client in clients]
    for client in clients:
        client.close()
    return statuses


def test_calls_on_other_threads_are_interrupted_too(serve):
    server = serve(APP, *LIMIT, "--threads", "4")
    pid = server.get().body
    for round in range(1, 3):
        assert answers(sent(server, *["/naps"] * 4)) == [504] * 4
        server.wait_for(r"GET /naps has taken .* the call is interrupted", 4 * round)
        server.wait_for(r"The call is at:\n  File .*inline.py.*, in app\n(.*\n)*?.*in naps\n", 4 * round)
    # All threads are free again, and what was meant for one call has hit no other.
    assert answers(sent(server, *["/longer?0.2"] * 4)) == [200] * 4
    assert server.get().body == pid
    assert "goes on" not in server.log


def test_a_stream_on_another_thread_is_interrupted(serve):
    server = serve(APP.replace("sleep()\n        return b", "naps()\n        return b"), *LIMIT, "--threads", "4")
    pid = server.get().body
    clients = sent(server, *["/stream"] * 4)
    for client in clients:
        client.read_head()
        assert client.read_chunk() == b"begun"
        with pytest.raises(Unanswered, match="end of stream|reset"):
            client.read_chunk()
        client.close()
    assert server.noted("closed")
    assert answers(sent(server, *["/longer?0.2"] * 4)) == [200] * 4
    assert server.get().body == pid


def test_a_thread_that_cannot_be_interrupted_is_given_up_and_its_neighbours_end(serve):
    server = serve(APP, *LIMIT, "--threads", "4", "--graceful-timeout", "3")
    worker, = server.wait_workers(1)
    neighbour, = sent(server, "/longer?2.5")
    assert answers(sent(server, "/sleep", "/sleep")) == [504] * 2
    # The sleep of the main thread ends, that of another does not.
    server.wait_for(r"GET /sleep goes on 1 s after its interruption")
    assert answers([neighbour]) == [200]
    assert server.get().body != str(worker).encode()
    server.wait_for(r"did not leave within the graceful timeout \(3\.0 s\) and is killed")
    server.wait_workers(1, without=[worker])


def test_a_worker_that_is_killed_or_reloaded_meanwhile_is_replaced(serve):
    server = serve(APP, *LIMIT, "--threads", "4")
    worker, = server.wait_workers(1)
    clients = sent(server, *["/naps"] * 3)
    server.send(signal.SIGHUP)
    assert answers(clients) == [504] * 3
    second, = server.wait_workers(1, without=[worker])
    for client in sent(server, *["/naps"] * 3):
        client.close()
    server.send(signal.SIGKILL, second)
    server.wait_workers(1, without=[worker, second])
    assert server.get().status == 200
