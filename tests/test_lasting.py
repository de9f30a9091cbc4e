"""Calls that last too long: how they end, and what becomes of the worker and of the requests beside them."""

import os
import signal

import pytest

from harness import Unanswered, alive, until

pytestmark = pytest.mark.only_ferricorn("gunicorn's workers have one request each, and die with it")

APP = """
import atexit
import time
from collections import deque
from itertools import repeat

atexit.register(lambda: open("bye", "a").write("bye"))


def hang():
    time.sleep(60)


def caught():
    try:
        hang()
    except BaseException:
        pass


class Pieces:
    def __init__(self, then=None, at_the_end=None):
        self.pieces, self.then, self.at_the_end = [b"one", b"two"], then, at_the_end

    def __iter__(self):
        return self

    def __next__(self):
        if not self.pieces:
            raise StopIteration
        if self.then and len(self.pieces) == 1:
            self.then()
        return self.pieces.pop(0)

    def close(self):
        if self.at_the_end:
            self.at_the_end()


def app(environ, start_response):
    path = environ["PATH_INFO"]
    open("entered", "w").close()
    if path == "/call":
        hang()
    if path == "/call-caught":
        caught()
    if path == "/gil":
        deque(repeat(None), maxlen=0)  # for ever, in C
    if path == "/sleep":
        time.sleep(0.05)
    write = start_response("200 OK", [])
    if path == "/write":
        write(b"one")
        hang()
    if path == "/write-caught":
        write(b"one")
        caught()
    return {
        "/next": lambda: Pieces(hang), "/next-caught": lambda: Pieces(caught),
        "/close": lambda: Pieces(None, hang), "/close-caught": lambda: Pieces(None, caught),
    }.get(path, lambda: [b"fine"])()
"""
CAUGHT = ["call-caught", "next-caught", "write-caught", "close-caught", "close"]
"""What the app makes a whole response of."""


@pytest.mark.parametrize("place", ["call", "next", "write", *CAUGHT])
def test_a_call_that_is_aborted_ends_its_worker_and_no_other_request(serve, place):
    server = serve(APP, "-w", "2", "-t", "1", "--access-logfile", "-")
    server.wait_workers(2)
    with server.load("/sleep", clients=3, keepalive=False) as fresh, server.load("/sleep", clients=2) as kept:
        fresh.wait_answered(5)
        kept.wait_answered(5)
        with server.connect() as client:
            client.send(f"GET /{place} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            victim = int(server.wait_for(r"WORKER TIMEOUT \(pid:(\d+)\)").group(1))
            try:
                assert client.response().status == (200 if place in CAUGHT else 500)
                assert place in (*CAUGHT, "call")
            except Unanswered:
                assert place in ("next", "write")
        server.wait_for(rf"Worker exiting \(pid: {victim}\)")
        server.wait_for(rf"Worker \(pid:{victim}\) ended at SIGABRT")
        fresh.wait_answered(20)
    assert fresh.failures == kept.failures == [] and fresh.refused == kept.refused == 0
    assert (server.folder / "bye").read_text() == "bye"
    assert "killed" not in server.log and "SystemExit" not in server.log
    assert server.log.count("WORKER TIMEOUT") == 1 and "in hang" in server.log
    until(lambda: [line for line in server.access_log if f"GET /{place} " in line], "the access line", 5)
    assert len([line for line in server.access_log if f"GET /{place} " in line]) == 1


@pytest.mark.parametrize("place", ["call", "gil"])
def test_a_worker_without_a_master_does_not_outlive_a_call_that_lasts(serve, place):
    server = serve(APP, "-w", "1", "-t", "0", "--graceful-timeout", "1")
    workers = server.wait_workers(1)
    with server.connect() as client:
        client.send(f"GET /{place} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        until(lambda: (server.folder / "entered").exists(), "the call")
        os.kill(server.pid, signal.SIGKILL)
        server.expected_exit = {-signal.SIGKILL}
        assert server.wait_exit() == -signal.SIGKILL
        until(lambda: not any(alive(pid) for pid in workers), "the worker's end", 8)
    told = [line for line in server.log.splitlines() if "after its master had died" in line]
    assert len(told) == 1 and f"GET /{place}" in told[0], server.log


@pytest.mark.parametrize("error, code", [("SystemExit(5)", 5), ("KeyboardInterrupt()", 130)])
@pytest.mark.parametrize("place", ["next", "close", "write"])
def test_what_asks_to_leave_after_the_head_ends_the_worker(serve, place, error, code):
    server = serve(APP.replace("time.sleep(60)", f"raise {error}"), "-w", "1")
    workers = server.wait_workers(1)
    with server.connect() as client:
        client.send(f"GET /{place} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        assert client.read_to_end().startswith(b"HTTP/1.1 200")
    server.wait_for(rf"Worker \(pid:{workers[0]}\) exited with code {code}")
    server.wait_workers(1, without=workers)
    assert server.get().body == b"fine"


@pytest.mark.parametrize("place, told", [
    ("next", "Error in the body of GET /next"),
    ("close", "Error while closing the response to GET /close"),
    ("write", "Error handling request GET /write"),
])
def test_what_fails_after_the_head_is_told_with_its_request_and_its_place(serve, place, told):
    server = serve(APP.replace("time.sleep(60)", "raise ValueError('no more')"), "-w", "1")
    with server.connect() as client:
        client.send(f"GET /{place} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        client.read_to_end()
    server.wait_for(told)
    assert server.log.count("ValueError: no more") == 1 and server.log.count("[ERROR]") == 1
