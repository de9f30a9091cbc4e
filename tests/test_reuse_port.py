"""Several sockets at one address (--reuse-port): the master keeps them, so no client is lost when workers change."""

import re
import signal

import pytest

from harness import listeners, until
from harness.proxy import free_port

pytestmark = pytest.mark.only_ferricorn("gunicorn resets who waits for a worker that leaves")


@pytest.fixture
def server(serve):
    server = serve("features:app", "-w", "3", "--reuse-port")
    server.wait_workers(3)
    return server


def test_there_is_a_socket_for_each_worker(server):
    assert len(listeners(server.port)) == 3
    assert re.search(r"Listening at: http://127.0.0.1:\d+ \(", server.log), "an address is named once"
    pids = until(lambda: pids if len(pids := {server.get("/pid").text for _ in range(60)}) > 1 else None, "several workers")
    assert pids <= {str(pid) for pid in server.workers()}


def test_nobody_is_reset_while_workers_come_and_go(server):
    with server.load("/", clients=6, keepalive=False, limit=60000) as load:
        for number, count in [(signal.SIGTTOU, 2), (signal.SIGTTOU, 1), (signal.SIGTTIN, 2)]:
            server.send(number)
            server.wait_workers(count)
            load.wait_answered(100)
        workers = server.workers()
        server.send(signal.SIGHUP)
        server.wait_workers(3, without=workers)
        load.wait_answered(100)
    assert load.failures == [] and load.refused == 0
    assert len(listeners(server.port)) == 3


def test_who_waits_at_any_of_the_sockets_is_served_by_whoever_is_free(serve):
    server = serve("features:app", "-w", "2", "--reuse-port")
    server.wait_workers(2)
    busy = server.connect().send(b"GET /sleep?2 HTTP/1.1\r\nHost: x\r\n\r\n")
    until(lambda: server.has("entered"), "the call")
    for _ in range(20):
        assert server.get().body == b"hello"
    busy.close()


def test_another_server_may_listen_there_too(serve):
    port = free_port()
    first = serve("features:app", "--reuse-port", bind=f"127.0.0.1:{port}")
    second = serve("features:app", "--reuse-port", bind=f"127.0.0.1:{port}")
    first.wait_workers(1)
    second.wait_workers(1)
    wanted = {str(pid) for server in (first, second) for pid in server.workers()}
    seen = set()
    until(lambda: wanted == seen or seen.add(first.get("/pid").text), "both servers")
    second.stop()
    second.address = None
    assert first.get().body == b"hello"


def test_an_upgrade_takes_them_all_over(server):
    server.send(signal.SIGUSR2)
    new = int(server.wait_for(r"Started a new master \(pid:(\d+)\)").group(1))
    server.wait_for("Booting worker", count=6)
    assert len(listeners(server.port)) == 3
    with server.load("/", clients=6, keepalive=False, limit=60000) as load:
        load.wait_answered(100)
        server.send(signal.SIGTERM)
        server.wait_exit()
        server.follow(new).wait_for("Master has been promoted.")
        load.wait_answered(100)
    assert load.failures == [] and load.refused == 0
    assert len(listeners(server.port)) == 3
