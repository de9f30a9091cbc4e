"""WebSockets when their worker leaves: clients get 1012, apps their disconnect, and the worker leaves in time."""

import os
import signal

import pytest

from harness import IS_UVICORN, Unanswered, gone, until
from harness.notes import noted, notes
from harness.websocket import handshake

only_ferricorn = pytest.mark.only_ferricorn


def test_term_closes_with_1012_and_tells_the_app(serve, loop):
    server = serve("sockets:app", "--asgi-loop", loop)
    sockets = [server.websocket("/clean-up") for _ in range(5)]
    noted(server, "open", count=5)
    server.send(signal.SIGTERM)
    for socket in sockets:
        assert socket.farewell()[0] == 1012
        socket.close()
    server.expected_exit = {-signal.SIGTERM} if IS_UVICORN else {0}
    assert server.wait_exit() in server.expected_exit
    said = notes(server)
    disconnects = [value for what, value in said if what == "disconnect"]
    assert [value["code"] for value in disconnects] == [1012] * 5
    assert sum(what == "cleaned up" for what, _ in said) == 5, "the app ends in peace"
    assert said[-1][0] == "shutdown", "the lifespan ends last"


@only_ferricorn("uvicorn's graceful timeout counts otherwise")
@pytest.mark.parametrize("deaf_client", [True, False])
def test_who_does_not_leave_after_term_does_not_hold_the_worker(serve, loop, deaf_client):
    server = serve("sockets:app", "--asgi-loop", loop, "--graceful-timeout", "2")
    with server.websocket("/echo" if deaf_client else "/hold"):
        server.send(signal.SIGTERM)
        assert server.wait_exit() == 0
    said = [what for what, _ in notes(server)]
    assert sorted(said) == sorted(["disconnect", "shutdown"] if deaf_client else ["open", "shutdown", "cancelled"])


@only_ferricorn("uvicorn knows no QUIT")
def test_quit_leaves_at_once(serve):
    server = serve("sockets:app", "--graceful-timeout", "30")
    with server.websocket("/echo") as socket, server.websocket("/hold"):
        server.send(signal.SIGQUIT)
        assert server.wait_exit() == 0
        try:
            assert socket.farewell()[0] in (1001, 1012)
        except Unanswered:
            pass


@only_ferricorn("a single uvicorn has nobody to replace it")
def test_a_worker_that_is_killed_ends_its_sockets_and_is_replaced(serve):
    server = serve("sockets:app")
    with server.websocket("/echo") as socket:
        assert socket.say("a").hear() == "a"
        worker = server.wait_workers(1)[0]
        os.kill(worker, signal.SIGKILL)
        assert socket.at_end()
    server.wait_workers(1, without=[worker])
    with server.websocket("/echo") as socket:
        assert socket.say("a").hear() == "a"


@only_ferricorn("uvicorn knows no HUP here")
def test_hup_moves_clients_over(serve):
    server = serve("sockets:app")
    with server.websocket("/clean-up") as socket:
        old = server.wait_workers(1)[0]
        server.send(signal.SIGHUP)
        assert socket.farewell()[0] == 1012
    until(lambda: gone(old), "the old worker leaves")
    with server.websocket("/clean-up") as socket:
        assert noted(server, "open", count=2) != old
        assert socket.say("a").hear() == "a"


@only_ferricorn("uvicorn answers 503")
def test_worker_connections_counts_websockets(serve):
    server = serve("sockets:app", "--worker-connections", "2")
    first, second = server.websocket("/echo"), server.websocket("/echo")
    with server.connect(timeout=1) as third:
        third.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        with pytest.raises(Unanswered):
            third.read_head()
        assert first.say("a").hear() == "a"
        assert first.bye() == (1000, "")
        third.socket.settimeout(15)
        assert third.response().status == 200
    first.close()
    second.close()


@only_ferricorn("uvicorn breaks it off")
def test_a_handshake_in_progress_is_let_finish_after_term(serve):
    server = serve("sockets:app")
    with server.connect() as raw:
        raw.send(handshake("/slow-accept"))
        noted(server, "asked")
        server.send(signal.SIGTERM)
        server.wait_for("Handling signal: term")
        (server.folder / "accept").touch()
        assert raw.read_head().status in (101, 503)
    assert server.wait_exit() == 0
