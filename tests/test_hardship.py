"""Apps and clients that misbehave: each costs itself, and never the worker or its neighbours."""

import os
import signal
import time

import pytest

from harness import until

only_ferricorn = pytest.mark.only_ferricorn("gunicorn goes on in the wrong process, or waits for the client")

FORKING = '''
import os
import sys


def app(environ, start_response):
    child = environ["QUERY_STRING"]
    body = b"parent"
    if child:
        pid = os.fork()
        if pid == 0:
            if child == "exit":
                sys.exit(3)
            if child == "raise":
                raise ValueError("in the child")
            start_response("200 OK", [])
            return [b"the child answers"]
        body = str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
'''

WRITING = '''
def app(environ, start_response):
    if environ["PATH_INFO"] == "/":
        start_response("200 OK", [])
        return [b"hello"]
    write = start_response("200 OK", [])
    try:
        for _ in range(400):
            write(b"x" * 65536)
    except OSError as error:
        environ["wsgi.errors"].write(f"write failed: {type(error).__name__}\\n")
        raise
    return []
'''

CRASHING = '''
import os
import os
import signal


def app(environ, start_response):
    if environ["PATH_INFO"] == "/crash":
        os.kill(os.getpid(), signal.SIGKILL)
    start_response("200 OK", [])
    return [str(os.getpid()).encode()]
'''

DEAF = '''
import os


def app(environ, start_response):
    if environ["PATH_INFO"] == "/deafen":
        os.closerange(3, 64)
    start_response("200 OK", [])
    return [str(os.getpid()).encode()]
'''


@only_ferricorn
@pytest.mark.parametrize("child, status", [("exit", b"3"), ("raise", b"1"), ("return", b"0")])
def test_a_forked_child_that_comes_back_ends_and_the_worker_serves_on(serve, child, status):
    server = serve(FORKING)
    workers = server.wait_workers(1)
    for _ in range(3):
        assert server.get(f"/?{child}").body == status
        assert server.get().body == b"parent"
    assert server.workers() == workers
    assert ("in the child" in server.log) == (child == "raise")


@only_ferricorn
def test_a_client_that_does_not_read_what_is_written_costs_no_worker(serve):
    server = serve(WRITING, "--timeout", "4")
    workers = server.wait_workers(1)
    with server.connect(receive_buffer=4096) as client:
        client.send(b"GET /write HTTP/1.1\r\nHost: x\r\n\r\n").read_head()
        assert server.get(timeout=10).body == b"hello"
        server.wait_for(r"The app has waited 4 s in write\(\) for a client .* At least \d+ bytes were sent to it")
        server.wait_for("write failed: BrokenPipeError")
    assert server.workers() == workers and "WORKER TIMEOUT" not in server.log


@only_ferricorn
def test_a_half_sent_head_does_not_hold_up_a_stop(serve):
    server = serve("features:app", "--graceful-timeout", "30")
    server.get()
    with server.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHo")
        server.get()
        begin = time.monotonic()
        assert server.stop(timeout=20) == 0
        assert time.monotonic() - begin < 15
        assert client.response().status == 408


@only_ferricorn
def test_a_worker_that_has_lost_its_descriptors_is_replaced(serve):
    server = serve(DEAF)
    server.may_panic = True
    workers = server.wait_workers(1)
    with server.connect() as client:
        client.send(b"GET /deafen HTTP/1.1\r\nHost: x\r\n\r\n")
        server.wait_workers(1, without=workers)
    assert server.get(timeout=10).status == 200


def test_workers_that_served_are_replaced_at_once_however_often_they_crash(serve):
    server = serve(CRASHING)
    for _ in range(5):
        pid = int(server.get(timeout=10).body)
        time.sleep(0.3)
        with server.connect() as client:
            client.send(b"GET /crash HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.at_end()
        until(lambda: server.workers() and pid not in server.workers(), "another worker", 5)
    assert "the next one is started in" not in server.log
    assert server.get(timeout=10).status == 200
    assert server.stop(signal.SIGTERM) == 0

CHATTY = '''
def app(environ, start_response):
    environ["wsgi.errors"].write("the app complains\\n")
    print("the app prints")
    if environ["PATH_INFO"] == "/boom":
        raise RuntimeError("boom")
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]
'''


@only_ferricorn
def test_a_server_without_standard_streams_keeps_its_log_from_clients(serve, tmp_path):
    log = tmp_path / "error.log"
    server = serve(CHATTY, "--error-logfile", log, log_file=log, preexec=lambda: os.closerange(0, 3))
    with server.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /boom HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (client.response().status, client.response().status) == (200, 500)
    assert "the app complains" in server.log
    for pid in [server.pid, *server.workers()]:
        assert [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in range(3)] == ["/dev/null"] * 3


@only_ferricorn
def test_a_log_that_nobody_reads_is_not_sent_to_clients(serve, tmp_path):
    path = tmp_path / "socket"
    server = serve(CHATTY, bind=f"unix:{path}", listening=False, preexec=lambda: os.closerange(0, 3))
    until(path.exists, "the socket")
    server.address = str(path)
    with server.connect() as client:
        client.send(b"GET /boom HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = client.read_to_end()
    assert answer.startswith(b"HTTP/1.1 500 ") and b"boom" not in answer and b"complains" not in answer
