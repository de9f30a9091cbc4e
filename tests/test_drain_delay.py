"""`--drain-delay`: after TERM the server goes on accepting for a while, and lets each connection end."""

import signal
import time

import pytest

from harness import alive, until

pytestmark = pytest.mark.only_ferricorn("gunicorn closes its sockets at once")

GET = b"GET /pid HTTP/1.1\r\nHost: x\r\n\r\n"


def delayed(serve, seconds, *flags):
    server = serve("features:app", "--drain-delay", seconds, *flags)
    server.get()
    return server


def test_newcomers_are_served_for_the_delay_and_connections_end_with_their_answers(serve):
    server = delayed(serve, "2.5", "-w", "2")
    with server.connect() as kept, server.load("/", clients=4, limit=100000) as load:
        assert kept.send(GET).response().header("Connection") is None
        load.wait_answered(20)
        begin = time.monotonic()
        server.send(signal.SIGTERM)
        server.wait_for(r"\[INFO\] Accepting clients for another 2.5 s, closing each connection")
        until(lambda: server.get("/pid", headers=[("Connection", "keep-alive")]).header("Connection") == "close", "a close")
        assert kept.send(GET).response().header("Connection") == "close"
        # More than the connections that were there.
        load.wait_answered(20)
        assert server.wait_exit() == 0
        until(lambda: load.refused, "a refusal")
    assert load.failures == []
    assert time.monotonic() - begin >= 2.5


def test_a_worker_that_dies_meanwhile_is_replaced(serve):
    server = delayed(serve, "30")
    worker = server.wait_workers(1)[0]
    server.send(signal.SIGTERM)
    server.wait_for("Accepting clients")
    server.send(signal.SIGKILL, worker)
    server.wait_workers(1, without=[worker])
    until(lambda: server.get("/pid").header("Connection") == "close", "a close")
    assert server.stop(signal.SIGINT) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_second_signal_ends_the_delay(serve, number):
    server = delayed(serve, "60")
    server.send(signal.SIGTERM)
    server.wait_for("Accepting clients")
    assert server.get().status == 200
    assert server.stop(number) == 0


def test_int_and_quit_know_no_delay(serve):
    server = delayed(serve, "60")
    assert server.stop(signal.SIGINT) == 0
    assert "Accepting clients" not in server.log


def test_a_reload_is_refused_meanwhile(serve):
    server = delayed(serve, "60")
    workers = server.wait_workers(1)
    server.send(signal.SIGTERM)
    server.wait_for("Accepting clients")
    server.send(signal.SIGHUP)
    server.wait_for("The server is about to end; nothing is reloaded")
    assert server.workers() == workers and alive(workers[0])
    assert server.stop() == 0


def test_asgi_apps_are_delayed_too(serve, loop):
    server = serve("features_asgi:app", "--drain-delay", "60", "--asgi-loop", loop)
    assert server.get().status == 200
    server.send(signal.SIGTERM)
    server.wait_for("Accepting clients")
    until(lambda: server.get().header("Connection") == "close", "a close")
    assert server.stop() == 0
