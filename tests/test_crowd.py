"""Crowds of slow clients on one worker with one app thread, and what becomes of each when places run out."""

import resource
import select
import time

import pytest

from harness import Crowd, Unanswered, anonymous_kib, cpu_seconds, descriptors, until

pytestmark = pytest.mark.only_ferricorn("one slow client is enough to block gunicorn's sync worker")

STREAM_SIZE = 60 << 20

APP = f'''
PIECE = b"y" * 65536
HELD = []


def app(environ, start_response):
    if environ["PATH_INFO"] == "/stream":
        start_response("200 OK", [("Content-Length", "{STREAM_SIZE}")])
        return (PIECE for _ in range({STREAM_SIZE} // 65536))
    if environ["PATH_INFO"] == "/hold":
        HELD.extend(open("/dev/null") for _ in range(12))
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]
'''

ASK = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
HOLD = b"GET /hold HTTP/1.1\r\nHost: x\r\n\r\n"
"""Has the app open twelve files, and keep them."""


def serving(serve, *flags, **options):
    server = serve(APP, "-k", "sync", "-w", "1", *flags, **options)
    server.get()
    return server, server.wait_workers(1)[0]


@pytest.mark.parametrize("kinds", [["heads"], ["silent"], ["bodies"], ["stalled"], []], ids=lambda kinds: kinds[0] if kinds else "all")
def test_a_crowd_of_slow_clients_delays_nobody_and_costs_little_memory(serve, kinds):
    server, worker = serving(serve)
    before, open_before = anonymous_kib(worker), descriptors(worker)
    with Crowd(server.address, *kinds) as crowd:
        for client in crowd.stalled:
            assert client.read_head().status == 200
        # The connection of the first request may have been open before.
        until(lambda: descriptors(worker) >= open_before + len(crowd) - 1, "the whole crowd to be let in")
        with server.connect(timeout=5) as kept:
            for _ in range(30):
                assert kept.send(ASK).response().body == b"hello"
                assert server.get(timeout=5).body == b"hello"
        assert anonymous_kib(worker) - before < 100 * 1024
    assert server.workers() == [worker]


def test_each_slow_client_is_ended_by_its_own_deadline(serve):
    """Those who send a byte now and then too: the deadline of a head is total, and a body has a least rate."""
    server, worker = serving(serve, "--header-timeout", "2", "--body-timeout", "2", "--write-timeout", "2")
    open_before = descriptors(worker)
    with Crowd(server.address) as crowd:
        assert {client.response().status for client in crowd.heads} == {408}
        assert {client.read_to_end() for client in crowd.silent} == {b""}
        assert {client.response().status for client in crowd.bodies} == {408}
        for client in crowd.stalled:
            client.read_head()
        until(lambda: descriptors(worker) <= open_before, "the last slow client to be dropped")
        assert server.get().body == b"hello"
        for client in crowd.stalled:
            with pytest.raises(Unanswered):
                client.read_exactly(STREAM_SIZE)


# When places run out.


def test_a_newcomer_gets_the_place_of_the_longest_idle(serve):
    server, worker = serving(serve, "--worker-connections", "10")
    clients = [server.connect() for _ in range(10)]
    try:
        for client in clients:
            assert client.send(ASK).response().body == b"hello"
        assert clients[0].send(ASK).response().body == b"hello"
        with server.connect() as newcomer:
            assert newcomer.send(ASK).response().body == b"hello"
            assert clients[1].socket.recv(1) == b"", "the longest idle connection did not end in order"
            for client in (clients[0], *clients[2:], newcomer):
                assert client.send(ASK).response().body == b"hello"
    finally:
        for client in clients:
            client.close()


HALF = b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "


def test_a_newcomer_gets_the_place_of_the_idle_and_then_that_of_a_half_head(serve):
    server, worker = serving(serve, "--worker-connections", "10")
    clients = [server.connect() for _ in range(10)]
    idle, *heads = clients
    try:
        for client in heads:
            client.send(HALF)
        assert idle.send(ASK).response().body == b"hello"
        with server.connect() as first:
            assert first.send(ASK).response().body == b"hello"
            assert idle.socket.recv(1) == b"", "the idle connection did not end first"
            first.send(HALF)
            with server.connect() as second:
                assert second.send(ASK).response().body == b"hello"
            ended = select.select([client.socket for client in heads], [], [], 0)[0]
            (cut,) = [client for client in heads if client.socket in ended]
            assert cut.response().status == 408
            assert cut.at_end()
            assert first.send(b"1\r\n\r\n").response().body == b"hello", "not the longest one was cut"
    finally:
        for client in clients:
            client.close()
    assert server.workers() == [worker]


def test_a_head_that_has_just_begun_keeps_its_place(serve):
    server, worker = serving(serve, "--worker-connections", "5")
    clients = [server.connect() for _ in range(5)]
    try:
        for client in clients:
            client.send(HALF)
        with server.connect(timeout=0.3) as sixth:
            sixth.send(ASK)
            with pytest.raises(Unanswered, match="silence"):
                sixth.response()
            for client in clients:
                assert client.send(b"1\r\n\r\n").response().body == b"hello"
            sixth.socket.settimeout(10)
            assert sixth.response().body == b"hello"
    finally:
        for client in clients:
            client.close()


def test_clients_that_are_being_served_keep_their_places(serve):
    server, worker = serving(serve, "--worker-connections", "5")
    clients = [server.connect(receive_buffer=4096) for _ in range(5)]
    try:
        for client in clients:
            assert client.send(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n").read_head().status == 200
        with server.connect(timeout=1) as sixth:
            sixth.send(ASK)
            with pytest.raises(Unanswered, match="silence"):
                sixth.response()
            for client in clients[:4]:
                assert len(client.read_exactly(1 << 20)) == 1 << 20
            clients[4].close()
            sixth.socket.settimeout(10)
            assert sixth.response().body == b"hello"
    finally:
        for client in clients:
            client.close()


def few_descriptors():
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))


def test_the_limit_of_open_files_lowers_that_of_connections(serve):
    """Each of many clients is served at once, those that were served last stay open, and the app can open files."""
    server, worker = serving(serve, preexec=few_descriptors)
    server.wait_for("Only 64 files may be open, so this worker holds 32 connections at most and not 1000")
    clients = []
    try:
        for _ in range(100):
            clients.append(server.connect(timeout=5))
            assert clients[-1].send(ASK).response().body == b"hello"
        for client in clients[-20:]:
            assert client.send(ASK).response().body == b"hello"
        assert clients[0].socket.recv(1) == b"", "the longest idle connection did not end in order"
        assert clients[-1].send(HOLD).response().body == b"hello"
    finally:
        for client in clients:
            client.close()
    assert server.workers() == [worker]


def test_descriptors_that_the_app_has_used_up_are_taken_from_the_idle(serve):
    server, worker = serving(serve, preexec=few_descriptors)
    for _ in range(2):
        assert server.get("/hold").body == b"hello"
    clients = []
    try:
        for _ in range(100):
            clients.append(server.connect(timeout=5))
            assert clients[-1].send(ASK).response().body == b"hello"
        for client in clients[-5:]:
            assert client.send(ASK).response().body == b"hello"
        assert clients[0].socket.recv(1) == b"", "the longest idle connection did not end in order"
        assert server.log.count("Cannot accept another connection") == 1
    finally:
        for client in clients:
            client.close()
    assert server.workers() == [worker]


def test_a_table_of_descriptors_full_of_busy_clients_pauses_and_recovers(serve):
    server, worker = serving(serve, preexec=few_descriptors)
    for _ in range(2):
        assert server.get("/hold").body == b"hello"
    crowd = [server.connect() for _ in range(100)]
    try:
        for client in crowd:
            client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345")
        server.wait_for("Cannot accept another connection")
        before = cpu_seconds(worker)
        time.sleep(1)
        assert cpu_seconds(worker) - before < 0.5, "it spins"
        assert server.log.count("[ERROR]") + server.log.count("[WARNING]") < 10, "it floods the log"
    finally:
        for client in crowd:
            client.close()
    assert server.get(timeout=10).body == b"hello"
    assert server.workers() == [worker]
