"""Reloads: new code and settings take over worker by worker, or everything stays as it was."""

import re
import signal
import socket

import pytest

from harness import Client, until
from harness.proxy import free_port

pytestmark = pytest.mark.only_ferricorn("gunicorn starts all new workers at once, and stops if they fail")

GOOD = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "1")])
    return [b"VERSION"]
"""

HANGING = "import time\ntime.sleep(600)\n"


def code(version):
    return GOOD.replace("VERSION", version)


def most_at_once(server):
    """How many workers there were at once, by what they say of themselves: that they begin, and that they are about to end."""
    now = most = 0
    for begins in re.findall(r"(Booting worker with|Worker exiting)", server.log):
        now += 1 if begins.startswith("Booting") else -1
        most = max(most, now)
    return most


def reload_to(server, version, workers, mark=None):
    """Has the server reload, and waits until all workers have that code."""
    mark = server.mark() if mark is None else mark
    old = server.workers()
    server.send(signal.SIGHUP)
    server.wait_for("Reloaded: a worker with the new code is ready", after=mark)
    until(lambda: not set(old) & set(server.workers()), "the old workers are gone")
    server.wait_workers(workers)
    assert {server.get().text for _ in range(5)} == {version}


@pytest.mark.parametrize("surge", [1, 3])
def test_workers_are_replaced_one_by_one_and_no_request_fails(serve, surge):
    server = serve("code:app", "-w", "3", "--reload-surge", surge, files={"code.py": code("a")})
    server.wait_workers(3)
    server.get()
    with server.load("/", clients=3, limit=100000) as kept, server.load("/", clients=2, keepalive=False, limit=100000) as new:
        for version in "bcd":
            (server.folder / "code.py").write_text(code(version))
            reload_to(server, version, 3)
        kept.wait_answered(20)
        new.wait_answered(20)
    assert kept.failures == new.failures == [] and kept.refused == new.refused == 0
    assert 4 <= most_at_once(server) <= 3 + surge
    assert kept.bodies == new.bodies == {b"a", b"b", b"c", b"d"}


BROKEN = {
    "syntax": ("def app(\n", r"SyntaxError(.|\n)*Reload failed: worker \(pid:\d+\) failed to boot"),
    "import": ("import no_such_module\n", r"No module named 'no_such_module'(.|\n)*Reload failed: worker"),
    "no app": ("x = 1\n", "Reload failed: worker"),
    "exit": ("import sys\nsys.exit('not today')\n", "Reload failed: worker"),
    "crash": ("import os\nos.kill(os.getpid(), 11)\n", r"SIGSEGV(.|\n)*Reload failed: worker \(pid:\d+\) ended before it was ready"),
    "hanging": (HANGING, r"code\.py(.|\n)*Reload failed: no worker was ready within 1\.0 s \(--boot-timeout\)"),
}


def test_bad_code_costs_no_request_and_good_code_heals(serve):
    server = serve("code:app", "-w", "2", "--boot-timeout", "1", files={"code.py": code("a")})
    workers = server.wait_workers(2)
    with server.load("/", clients=2, limit=100000) as kept, server.load("/", clients=2, keepalive=False, limit=100000) as new:
        # Both must have imported the code before it breaks.
        kept.wait_answered(50)
        for text, told in BROKEN.values():
            mark = server.mark()
            (server.folder / "code.py").write_text(text)
            server.send(signal.SIGHUP)
            server.wait_for(told, after=mark)
            server.wait_for(r"2 workers go on serving with the code and settings before", after=mark)
            server.wait_workers(2)
            assert server.workers() == workers
            assert server.log[mark:].count("Traceback") <= 1
        (server.folder / "code.py").write_text(code("b"))
        reload_to(server, "b", 2)
    assert kept.failures == new.failures == [] and kept.refused == new.refused == 0
    assert kept.bodies == new.bodies == {b"a", b"b"}


def test_a_reload_that_is_asked_for_during_another_follows_it(serve):
    slow = "import pathlib\nimport time\npathlib.Path('loading').touch()\ntime.sleep(0.7)\n"
    server = serve("code:app", "-w", "2", files={"code.py": code("a")})
    server.get()
    server.wait_workers(2)
    (server.folder / "code.py").write_text(slow + code("b"))
    server.send(signal.SIGHUP)
    until(lambda: (server.folder / "loading").exists(), "the new code is read")
    (server.folder / "code.py").write_text(code("c"))
    server.send(signal.SIGHUP)
    server.wait_for("A reload is under way; the next one begins when it is over")
    server.wait_for("Reloaded", count=2)
    until(lambda: {server.get().text for _ in range(5)} == {"c"}, "the last code")
    assert server.log.count("Hang up: Master") == 2


def test_a_reload_that_fails_leaves_logs_and_pidfile_alone(serve):
    settings = "pidfile = {!r}\nerrorlog = {!r}\nproc_name = {!r}\n"
    folder = serve.folder()
    first, second = folder / "first.log", folder / "second.log"
    server = serve("code:app", files={"code.py": code("a"), "gunicorn.conf.py": settings.format("first.pid", str(first), "one")},
                   log_file=first)
    server.get()
    pidfile = server.folder / "first.pid"
    (server.folder / "gunicorn.conf.py").write_text(settings.format("second.pid", str(second), "two"))
    (server.folder / "code.py").write_text("import no_such_module\n")
    server.send(signal.SIGHUP)
    server.wait_for("Reload failed")
    assert "no_such_module" in second.read_text()
    until(lambda: not (server.folder / "second.pid").exists(), "its pidfile is gone")
    assert pidfile.read_text() == f"{server.pid}\n"
    mark = server.mark()
    server.send(signal.SIGTTIN)
    server.wait_for("Handling signal: ttin", after=mark)
    server.wait_for("Booting worker", after=mark)
    (server.folder / "code.py").write_text(code("b"))
    server.send(signal.SIGHUP)
    until(lambda: "Reloaded" in second.read_text(), "the reload")
    until(lambda: (server.folder / "second.pid").exists() and not pidfile.exists(), "the new pidfile")
    assert server.get().text == "b"


# Replacement.


def test_workers_that_have_served_enough_are_replaced_one_at_a_time(serve):
    server = serve("features:app", "-w", "3", "--max-requests", "100", "--max-requests-jitter", "50")
    server.wait_workers(3)
    with server.load("/pid", clients=3, limit=200000) as kept, server.load("/pid", clients=2, keepalive=False, limit=200000) as new:
        server.wait_for("Booting worker", count=9)
    assert kept.failures == new.failures == [] and kept.refused == new.refused == 0
    assert most_at_once(server) == 4
    assert len(kept.bodies | new.bodies) >= 8
    # The next one was ready before each left, and each of them left.
    assert len(re.findall("leaves when the next one is ready: it has served as many requests", server.log)) >= 6


def test_workers_that_are_old_are_replaced(serve):
    server = serve("features:app", "-w", "2", "--max-worker-lifetime", "0.5")
    first = server.wait_workers(2)
    with server.load("/", clients=2, limit=200000) as load:
        server.wait_for(r"is replaced, and leaves when the next one is ready: it has been ready for (0\.[5-9]|[1-9]\.\d) s", count=2)
        until(lambda: not set(first) & set(server.workers()), "the first ones are gone")
    assert load.failures == [] and load.refused == 0
    assert most_at_once(server) == 3


def test_a_replacement_that_does_not_load_leaves_the_old_worker_serving(serve):
    server = serve("code:app", "--max-requests", "3", files={"code.py": code("a")})
    server.get()
    worker = server.wait_workers(1)
    (server.folder / "code.py").write_text("import no_such_module\n")
    with server.load("/", clients=2, limit=200000) as load:
        server.wait_for("exited with code 3", count=3)
        assert worker[0] in server.workers()
        (server.folder / "code.py").write_text(code("b"))
        until(lambda: b"b" in load.bodies, "the replacement")
    assert load.failures == [] and load.refused == 0
    assert server.log.count("Traceback") == 1


# Addresses and settings.


@pytest.mark.parametrize("before, after", [("127.0.0.1", "0.0.0.0"), ("0.0.0.0", "127.0.0.1"), ("127.0.0.1", "localhost")])
def test_an_address_that_leaves_no_room_for_the_next_one_is_changed_under_load(serve, before, after):
    port = free_port()
    settings = "bind = '{}:%d'\nworkers = 2\n" % port
    server = serve("features:app", bind=None, files={"gunicorn.conf.py": settings.format(before)})
    workers = server.wait_workers(2)
    server.address = ("127.0.0.1", port)
    with server.load("/pid", clients=2, limit=100000) as kept, server.load("/pid", clients=3, keepalive=False, limit=100000) as new:
        kept.wait_answered(50)
        (server.folder / "gunicorn.conf.py").write_text(settings.format(after))
        server.send(signal.SIGHUP)
        server.wait_for("Reloaded")
        until(lambda: not set(workers) & set(server.workers()), "the old workers are gone")
        kept.wait_answered(50)
        new.wait_answered(50)
    assert kept.failures == new.failures == [] and kept.refused == new.refused == 0
    if after == "0.0.0.0":
        with Client(("127.0.0.2", port)) as client:
            assert client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").response().body == b"hello"
    elif before == "0.0.0.0":
        with pytest.raises(ConnectionRefusedError):
            Client(("127.0.0.2", port))


def test_an_address_that_is_given_up_serves_whom_it_has_let_in(serve):
    ports = [free_port(), free_port()]
    settings = "bind = '127.0.0.1:{}'\nworkers = 2\n"
    files = {"gunicorn.conf.py": settings.format(ports[0])}
    server = serve("features:app", "--log-level", "debug", bind=None, files=files)
    server.wait_for("is ready", count=2)
    # More than both workers can take at once: they wait in the kernel's queue.
    clients = [Client(("127.0.0.1", ports[0])) for _ in range(30)]
    for client in clients:
        client.send(b"GET /sleep?0.1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    (server.folder / "gunicorn.conf.py").write_text(settings.format(ports[1]))
    server.send(signal.SIGHUP)
    for client in clients:
        assert client.response().body == b"slept"
        client.close()
    server.wait_for(f"Listening at: http://127.0.0.1:{ports[1]}")

    def refused():
        try:
            Client(("127.0.0.1", ports[0]), timeout=5).close()
        except (ConnectionRefusedError, TimeoutError):
            return True
        return False

    until(refused, "nobody listens at the old address")
    server.address = ("127.0.0.1", ports[1])
    assert server.get().body == b"hello"


def test_an_address_that_another_program_has_fails_the_reload(serve):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        server = serve("features:app", bind=None, files={"gunicorn.conf.py": "bind = '127.0.0.1:0'\n"})
        worker = server.wait_workers(1)
        server.get()
        (server.folder / "gunicorn.conf.py").write_text(f"bind = ['127.0.0.1:0', '127.0.0.1:{other.getsockname()[1]}']\n")
        server.send(signal.SIGHUP)
        server.wait_for(r"Reload failed, the workers go on as before: Can't connect to .*the address is in use")
        assert server.get().body == b"hello" and server.workers() == worker


def test_what_a_reload_cannot_change_is_told(serve):
    server = serve("features:app", files={"gunicorn.conf.py": "umask = 0o22\nbacklog = 100\n"})
    server.get()
    for _ in range(2):
        mark = server.mark()
        (server.folder / "gunicorn.conf.py").write_text("umask = 0o77\nbacklog = 200\n")
        server.send(signal.SIGHUP)
        server.wait_for(r"\[WARNING\] umask is 0o77 now; that needs a restart, and a reload leaves it at 0o22", after=mark)
        server.wait_for("Reloaded", after=mark)
        until(lambda: len(server.workers()) == 1, "the end of the reload")
    assert "backlog" not in server.log
