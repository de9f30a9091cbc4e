"""Slow clients: none of them delays another, and each is shown the door in time."""

import socket
import time

import pytest

from harness import rests, threads, until

only_ferricorn = pytest.mark.only_ferricorn("gunicorn enters the app, or waits in a thread, for each slow client")


@pytest.fixture
def server(serve):
    server = serve("features:app", "--timeout", "20")
    server.get()
    return server


@only_ferricorn
def test_half_sent_heads_and_a_slow_upload_delay_nobody(server):
    crowd = [server.connect() for _ in range(200)]
    try:
        for client in crowd:
            client.send(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        upload = server.connect()
        crowd.append(upload)
        upload.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n" + b"a" * 500)
        begin = time.monotonic()
        for _ in range(50):
            assert server.get(timeout=5).body == b"hello"
        assert time.monotonic() - begin < 5
        upload.send(b"a" * 500)
        assert upload.response().body == b"a" * 1000
        for client in crowd[:200]:
            client.send(b"1\r\n\r\n")
        assert [client.response().status for client in crowd[:200]] == [200] * 200
    finally:
        for client in crowd:
            client.close()


@only_ferricorn
def test_slow_readers_delay_nobody(server):
    crowd = [server.connect(receive_buffer=4096) for _ in range(20)]
    try:
        for client in crowd:
            client.send(b"GET /big?3000000 HTTP/1.1\r\nHost: x\r\n\r\n").read_head()
        assert server.get(timeout=5).body == b"hello"
        assert len(crowd[0].read_exactly(3_000_000)) == 3_000_000
    finally:
        for client in crowd:
            client.close()


@only_ferricorn
def test_a_slow_reader_of_a_generator_delays_nobody(server):
    with server.connect(receive_buffer=4096) as client:
        client.send(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n").read_head()
        for _ in range(20):
            assert server.get(timeout=5).body == b"hello"


@only_ferricorn
def test_idle_connections_cost_neither_threads_nor_time(server):
    worker = server.wait_workers(1)[0]
    crowd = [server.connect() for _ in range(200)]
    try:
        for client in crowd:
            assert client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").response().status == 200
        assert threads(worker) <= 4
        until(lambda: rests(worker), "it to rest")
        assert crowd[0].send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").response().status == 200
    finally:
        for client in crowd:
            client.close()


@only_ferricorn
def test_a_slow_app_call_does_not_hold_up_the_reading_of_others(serve):
    """One app thread: while it is held up, heads and bodies are still read, and refused requests answered."""
    server = serve("features:app")
    with server.connect() as slow, server.connect() as bad:
        bad.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").response()
        slow.send(b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n")
        server.noted("entered")
        assert bad.send(b"GARBAGE\r\n\r\n").response().status == 400
        server.touch("go")
        assert slow.response().body == b"held"


# Deadlines.


@only_ferricorn
def test_a_head_that_takes_too_long_is_ended(serve):
    server = serve("features:app", "--header-timeout", "1")
    with server.connect() as client:
        begin = time.monotonic()
        client.send(b"GET /enter HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        answer = client.read_to_end()
        assert 0.9 < time.monotonic() - begin < 5
        assert answer.startswith(b"HTTP/1.1 408 ")
    assert not (server.folder / "entered").exists()


@only_ferricorn
def test_dripping_bytes_do_not_extend_the_deadline_of_a_head(serve):
    server = serve("features:app", "--header-timeout", "1")
    with server.connect() as client:
        begin = time.monotonic()
        client.send(b"GET /enter HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        with pytest.raises(OSError):
            while time.monotonic() - begin < 10:
                client.send(b"a")
                time.sleep(0.1)
        assert time.monotonic() - begin < 6


@only_ferricorn
def test_a_body_that_stalls_is_ended(serve):
    server = serve("features:app", "--body-timeout", "1")
    with server.connect() as client:
        begin = time.monotonic()
        client.send(b"POST /enter HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345")
        answer = client.read_to_end()
        assert 0.9 < time.monotonic() - begin < 5
        assert answer.startswith(b"HTTP/1.1 408 ")
    assert not (server.folder / "entered").exists()


@only_ferricorn
def test_a_client_that_stops_reading_is_dropped(serve):
    server = serve("features:app", "--write-timeout", "1")
    with server.connect(receive_buffer=4096) as client:
        client.send(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n").read_head()
        until(lambda: (server.folder / "closed").exists(), "close() of the body that nobody reads", 8)


@only_ferricorn
@pytest.mark.parametrize("bind", ["127.0.0.1:0", "unix:app.sock"])
def test_a_client_that_reads_slowly_is_waited_for(serve, bind):
    """What it reads in the time is too little for the kernel to let the server write on; over TCP every second or third
    read is told to the server."""
    server = serve("features:app", "--write-timeout", "2", bind=bind)
    if bind.startswith("unix:"):
        server.address = str(server.folder / server.address)
    with server.connect(receive_buffer=65536) as client:
        client.send(b"GET /big?16000000 HTTP/1.1\r\nHost: x\r\n\r\n").read_head()
        left = 16_000_000
        for _ in range(12):
            left -= len(client.read_exactly(32768))
            time.sleep(0.4)
        assert len(client.read_exactly(left)) == left


WRITES = '''
import time


def app(environ, start_response):
    write = start_response("200 OK", [("Content-Length", "24000000")])
    time.sleep(float(environ["QUERY_STRING"]))
    for _ in range(3):
        write(b"y" * 8000000)
    return []
'''
"""More than the kernel holds between the two ends."""


@only_ferricorn
def test_write_waits_for_a_slow_reader_and_its_time_is_not_the_apps(serve):
    """The app works for longer than half of the timeout, and so does the client; together it is more than all of it."""
    server = serve(WRITES, "--timeout", "3")
    worker = server.wait_workers(1)
    with server.connect(receive_buffer=65536) as client:
        client.send(b"GET /write?2 HTTP/1.1\r\nHost: x\r\n\r\n").read_head()
        time.sleep(2)
        assert len(client.read_exactly(24_000_000)) == 24_000_000
    assert server.workers() == worker
    assert "WORKER TIMEOUT" not in server.log and "giving up" not in server.log


def test_a_client_that_leaves_at_once_does_no_harm(server):
    for _ in range(50):
        with server.connect() as client:
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.send(b"GET /big?1000000 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert server.get().body == b"hello"
