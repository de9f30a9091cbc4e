"""ASGI under hardship: slow readers, stops and reloads with open streams, deaths, and loops that are blocked."""

import signal
import time

import pytest

from harness import Client, Unanswered, alive, anonymous_kib, rests, sleeps, until

only_ferricorn = pytest.mark.only_ferricorn

MIB = 1 << 20
PIECES = 960
"""60 MiB of `/stream`."""


def ask(client, target, *fields):
    return client.send("\r\n".join([f"GET {target} HTTP/1.1", "Host: x", *fields, "", ""]).encode())


def serving(serve, loop, *flags):
    server = serve("features_asgi:app", "--asgi-loop", loop, *flags)
    server.get("/pieces")
    return server, server.wait_workers(1)[0]


# Slow readers.


def test_200_slow_readers_of_a_large_stream_cost_little_and_delay_nobody(serve, loop):
    server, worker = serving(serve, loop)
    ask(server.connect(), "/stream?2").response()
    before = anonymous_kib(worker)
    crowd = [server.connect(receive_buffer=4096) for _ in range(200)]
    try:
        for client in crowd:
            assert ask(client, f"/stream?{PIECES}").read_head().status == 200
        for _ in range(20):
            assert server.get(timeout=5).body == b"hello"
        assert anonymous_kib(worker) - before < 100 * 1024
        assert len(crowd[7].read_exactly(PIECES * 65536)) == PIECES * 65536
        until(lambda: rests(worker), "it to rest")
    finally:
        for client in crowd:
            client.close()
    assert server.get(timeout=5).body == b"hello"


def test_a_client_that_reads_nothing_of_60_mib_costs_less_than_2(serve, loop):
    """And the app waits in send() until it does."""
    server, worker = serving(serve, loop)
    with server.connect() as client:
        ask(client, "/stream?20").response()
    before = anonymous_kib(worker)
    with server.connect(receive_buffer=4096) as client:
        ask(client, "/endless").read_head()

        def stalled():
            produced = int(server.noted("produced"))
            time.sleep(0.3)
            return int(server.noted("produced")) == produced and produced

        assert until(stalled, "the app to wait") < PIECES
        assert anonymous_kib(worker) - before < 2 * 1024


@only_ferricorn("uvicorn waits for ever")
def test_a_client_that_stops_reading_is_dropped(serve, loop):
    server, _ = serving(serve, loop, "--write-timeout", "1")
    with server.connect(receive_buffer=4096) as client:
        ask(client, "/endless").read_head()
        server.noted("closed")
    with server.connect(timeout=30) as client:
        assert ask(client, f"/stream?{PIECES}").response().status == 200


@only_ferricorn("uvicorn wakes ten times a second")
def test_idle_connections_wake_nobody(serve, loop):
    server, worker = serving(serve, loop)
    crowd = [server.connect() for _ in range(20)]
    try:
        for client in crowd:
            assert ask(client, "/").response().body == b"hello"

        def asleep():
            before = sleeps(worker)
            time.sleep(2)
            return sleeps(worker) == before

        until(asleep, "two seconds without a wake-up", 25)
        assert ask(crowd[3], "/").response().body == b"hello"
    finally:
        for client in crowd:
            client.close()


# Stops.


def paced(server, name):
    """A client in the midst of a stream."""
    client = server.connect()
    ask(client, f"/paced?{name}").read_head()
    assert client.read_chunk() == b"first\n"
    return client


def finish(server, client, name):
    for number in "12":
        server.touch(f"{name}{number}")
    assert [client.read_chunk() for _ in range(2)] == [b"second\n", b""]


def test_term_lets_open_streams_end_and_refuses_newcomers(serve, loop):
    server, _ = serving(serve, loop, "--graceful-timeout", "12")
    with paced(server, "stream") as client:
        server.send(signal.SIGTERM)

        def refused():
            try:
                server.connect(timeout=1).close()
            except ConnectionRefusedError:
                return True
            except TimeoutError:
                pass  # For a moment newcomers are left to try again.

        until(refused, "newcomers to be refused")
        assert not server.has("shutdown"), "the lifespan ends after the last request"
        finish(server, client, "stream")
        assert client.at_end()
    server.wait_exit()
    assert server.has("shutdown")


def test_term_on_a_unix_socket_is_heard_at_once(serve, loop):
    """That no more clients come must not keep the worker from hearing that it is to leave."""
    for _ in range(6):
        server = serve("features_asgi:app", "--asgi-loop", loop, bind="unix:a.sock")
        with Client(str(server.folder / "a.sock")) as client:
            assert ask(client, "/", "Connection: close").response().body == b"hello"
        begin = time.monotonic()
        server.stop()
        assert time.monotonic() - begin < 8


def test_term_ends_streams_that_do_not_at_the_graceful_timeout(serve, loop):
    server, _ = serving(serve, loop, "--graceful-timeout", "1")
    with paced(server, "never") as client:
        begin = time.monotonic()
        server.send(signal.SIGTERM)
        rest = client.read_to_end()
        assert b"0\r\n\r\n" not in rest, "the client takes it for a whole response"
        server.wait_exit()
        assert time.monotonic() - begin < 8
    server.expected_exit = {0}


@only_ferricorn("uvicorn tells nobody")
def test_an_app_that_listens_hears_of_the_end_at_the_graceful_timeout(serve, loop):
    """Its task is cancelled, or it is told that the client has gone, but it is not just stopped in its tracks."""
    server, _ = serving(serve, loop, "--graceful-timeout", "1")
    with server.connect() as client:
        ask(client, "/sleep?long=60")
        server.noted("long-entered")
        server.stop()
    assert server.has("long-cancelled")


@only_ferricorn("uvicorn has no quick stop")
def test_quit_does_not_wait_for_streams(serve, loop):
    server, _ = serving(serve, loop, "--graceful-timeout", "60")
    with paced(server, "never") as client:
        begin = time.monotonic()
        assert server.stop(signal.SIGQUIT) == 0
        assert time.monotonic() - begin < 9
        with pytest.raises(Unanswered):
            client.read_chunk()


@only_ferricorn("uvicorn alone reloads nothing")
def test_hup_lets_open_streams_end_in_the_old_worker(serve, loop):
    server, worker = serving(serve, loop)
    with paced(server, "old") as client:
        server.send(signal.SIGHUP)
        until(lambda: server.get("/pid").text != str(worker), "an answer of the new worker")
        assert alive(worker)
        finish(server, client, "old")
    until(lambda: not alive(worker), "the old worker's end")
    assert server.get().body == b"hello"


@only_ferricorn("uvicorn alone reloads nothing")
def test_no_request_is_lost_in_a_reload(serve, loop):
    server = serve("features_asgi:app", "--asgi-loop", loop, "-w", "2")
    workers = server.wait_workers(2)
    with server.load("/pieces", clients=4, limit=200_000) as load:
        load.wait_answered(100)
        server.send(signal.SIGHUP)
        server.wait_workers(2, without=workers)
        load.wait_answered(100)
    assert load.failures == [] and load.refused == 0


@only_ferricorn("uvicorn's connections are reset")
def test_no_request_is_lost_in_a_stop(serve, loop):
    server = serve("features_asgi:app", "--asgi-loop", loop, "-w", "2")
    server.wait_workers(2)
    with server.load("/", clients=6, reconnect=False, limit=200_000) as load:
        load.wait_answered(300)
        server.send(signal.SIGTERM)
        assert server.wait_exit() == 0
    assert load.failures == [] and load.refused == 0
    assert "ERROR" not in server.log


# Deaths.


@only_ferricorn("uvicorn alone replaces no worker")
@pytest.mark.parametrize("target", ["/paced?dead", "/stream?960"])
def test_a_worker_that_dies_breaks_its_responses(serve, loop, target):
    """A client sees that what it has is not whole, by its length or for want of the last chunk."""
    server, worker = serving(serve, loop)
    with server.connect(receive_buffer=65536) as client:
        ask(client, target).read_head()
        begun = client.read_exactly(8)
        server.send(signal.SIGKILL, worker)
        try:
            rest = begun + client.read_to_end()
        except ConnectionResetError:
            rest = b""
        assert not rest.endswith(b"0\r\n\r\n") and len(rest) < PIECES * 65536
    server.wait_workers(1, without=[worker])
    assert server.get().body == b"hello"


@only_ferricorn("uvicorn does not watch its workers")
def test_a_loop_that_is_blocked_is_ended_with_its_request_and_its_place(serve, loop):
    server, worker = serving(serve, loop, "--timeout", "1")
    with server.connect() as client:
        ask(client, "/block?60")
        server.wait_for(rf"WORKER TIMEOUT \(pid:{worker}\)")
        try:
            assert client.response().status == 500
        except (Unanswered, ConnectionError):
            pass
    server.wait_for("/block")
    server.wait_for("in block")
    server.wait_workers(1, without=[worker])
    assert server.get().body == b"hello"


def test_a_request_that_waits_longer_than_the_timeout_is_let_be(serve, loop):
    server, worker = serving(serve, loop, "-t", "1")
    with server.connect() as client:
        assert ask(client, "/sleep?long=2.5").response().body == b"slept"
    assert server.workers() == [worker]
    assert "TIMEOUT" not in server.log


def test_a_worker_that_waits_for_requests_is_let_be(serve, loop):
    server, worker = serving(serve, loop, "-t", "1")
    with server.connect() as client:
        assert ask(client, "/").response().body == b"hello"
        time.sleep(2.5)
        assert ask(client, "/pid").response().text == str(worker)


# Many requests.


def test_requests_cost_no_memory_for_good(serve, loop):
    server, worker = serving(serve, loop)

    def serve_some():
        for target in ("/pieces", "/no-answer", "/echo"):
            with server.load(target, clients=4, limit=600, body=b"x" * 2000) as load:
                until(lambda load=load: load.answered >= 600, "the load")

    serve_some()
    before = anonymous_kib(worker)
    for _ in range(3):
        serve_some()
    assert anonymous_kib(worker) - before < 4 * 1024


def test_many_clients_at_once_each_get_their_own(serve, loop):
    server, _ = serving(serve, loop)
    crowd = [server.connect() for _ in range(300)]
    try:
        for number, client in enumerate(crowd):
            body = b"%d" % number * 500
            client.send(b"POST /echo-stream HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        for number, client in enumerate(crowd):
            assert client.response().body == b"%d" % number * 500
    finally:
        for client in crowd:
            client.close()
