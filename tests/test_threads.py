"""Several app threads: how many calls run at once, on which thread, and what stops, reloads and time-outs do to them."""

import os
import signal
import threading

import pytest

from harness import Unanswered, alive, threads, until

only_ferricorn = pytest.mark.only_ferricorn

APP = """
import atexit
import os
import threading
import time
from collections import deque
from itertools import repeat

atexit.register(lambda: open("bye", "a").write("bye"))
together = threading.Barrier(4)
local = threading.local()
lock = threading.Lock()
inside = most = 0


class Stream:
    def __init__(self, pieces):
        self.pieces, self.threads = pieces, [threading.get_ident()]

    def __iter__(self):
        for number in range(self.pieces):
            time.sleep(0.003)
            self.threads.append(threading.get_ident())
            yield b"piece "

    def close(self):
        self.threads.append(threading.get_ident())
        with lock:
            open("streams", "a").write(f"{len(self.threads)} {len(set(self.threads))}\\n")


def crowd(seconds):
    global inside, most
    with lock:
        inside += 1
        most = max(most, inside)
    time.sleep(seconds)
    with lock:
        inside -= 1
    return str(most)


def count():
    local.count = getattr(local, "count", 0) + 1
    return f"{threading.get_ident()} {local.count}"


class LongClose(Stream):
    def close(self):
        wait()


def wait():
    open("waits", "a").write("x")
    while not os.path.exists("go"):
        time.sleep(0.01)
    return "waited"


def me():
    thread = threading.current_thread()
    return f"{type(thread).__name__} {thread.name} {thread.daemon} {thread in threading.enumerate()}"


def app(environ, start_response):
    start_response("200 OK", [])
    path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
    if path == "/stream":
        return Stream(20)
    if path == "/long-close":
        return LongClose(int(query))
    if path == "/large":
        open("large", "a").write("x")
        return (b"x" * 100_000 for _ in range(1000))
    if path == "/gil":
        open("entered", "w").close()
        deque(repeat(None), maxlen=0)  # for ever, in C
    return [{
        "/": lambda: "fine",
        "/multithread": lambda: str(environ["wsgi.multithread"]),
        "/meet": lambda: f"met {together.wait(10) >= 0}",
        "/crowd": lambda: crowd(float(query)),
        "/count": lambda: time.sleep(0.002) or count(),
        "/wait": wait,
        "/sleep": lambda: time.sleep(float(query)) or "slept",
        "/me": lambda: time.sleep(0.1) or me(),
        "/me0": me,
        "/pid": lambda: str(os.getpid()),
    }[path]().encode()]
"""


def ask_all(server, target, count):
    """The same request from so many clients at a time."""
    clients = [server.connect().send(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
               for _ in range(count)]
    bodies = [client.response().body.decode() for client in clients]
    for client in clients:
        client.close()
    return bodies


def wait_inside(server, count):
    """Waits until so many calls wait for the file `go`."""
    until(lambda: server.has("waits") and len((server.folder / "waits").read_text()) >= count, f"{count} calls")


@pytest.mark.parametrize("flags, several", [
    (["--threads", "4"], True),
    (["-k", "gthread", "--threads", "4"], True),
    (["-k", "sync", "--threads", "2"], True),
    (["-k", "sync"], False),
])
def test_multithread_says_whether_there_are_several(serve, flags, several):
    assert serve(APP, *flags).get("/multithread").text == str(several)


@only_ferricorn("its gthread with one thread says that there are several")
def test_one_thread_by_any_name_is_one(serve):
    server = serve(APP, "-k", "gthread")
    assert server.get("/multithread").text == "False"
    assert set(ask_all(server, "/crowd?0.01", 5)) == {"1"}


def test_as_many_calls_run_at_once_as_there_are_threads_and_no_more(serve):
    server = serve(APP, "-k", "gthread", "--threads", "4")
    for _ in range(3):
        assert ask_all(server, "/meet", 4) == ["met True"] * 4
    assert max(int(most) for most in ask_all(server, "/crowd?0.05", 12)) == 4


@only_ferricorn("it starts a thread for each of the first requests")
def test_calls_that_are_fast_stay_on_the_main_thread(serve):
    server = serve(APP, "--threads", "16")
    worker = server.wait_workers(1)[0]
    with server.load("/me0", clients=1) as load:
        load.wait_answered(300)
    # Beside it there is at most the one that never runs the app.
    assert load.bodies == {b"_MainThread MainThread False True"} and threads(worker) <= 2
    # One after the other they need no second one, however long each takes.
    assert "MainThread" in server.get("/me").text
    assert "MainThread" in server.get("/me").text


def test_each_thread_is_one_of_pythons_and_keeps_its_locals(serve):
    server = serve(APP, "-k", "gthread", "--threads", "4")
    with server.load("/count", clients=8, limit=2000) as load:
        load.wait_answered(600)
    counts = {}
    for body in load.bodies:
        ident, count = body.split()
        counts.setdefault(ident, set()).add(int(count))
    # No count is missing or double: nobody ever found its locals empty.
    assert not load.failures and 2 <= len(counts) <= 4
    assert sum(len(of) for of in counts.values()) == load.answered
    assert all(of == set(range(1, len(of) + 1)) for of in counts.values())


@only_ferricorn("its threads have names of the standard library's pool")
def test_what_python_knows_of_each_thread(serve):
    server = serve(APP, "--threads", "3")
    seen = set(ask_all(server, "/me", 9))
    assert seen == {f"{kind} {name} False True" for kind, name in [
        ("_MainThread", "MainThread"), ("Thread", "ferricorn-app-2"), ("Thread", "ferricorn-app-3")]}


def test_a_response_is_made_and_closed_by_the_thread_that_began_it(serve):
    server = serve(APP, "-k", "gthread", "--threads", "4")
    with server.load("/sleep?0.005", clients=3) as load:
        assert set(ask_all(server, "/stream", 8)) == {"piece " * 20}
        load.wait_answered(5)
    assert not load.failures
    lines = until(lambda: (lines := server.noted("streams").splitlines()) and len(lines) == 8 and lines, "all to be closed")
    assert set(lines) == {"22 1"}


@pytest.mark.parametrize("pieces", [1, 3])
def test_a_response_is_whole_before_its_iterable_is_closed(serve, pieces):
    server = serve(APP)
    with server.connect() as client:
        client.send(f"GET /long-close?{pieces} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert client.response().text == "piece " * pieces
    wait_inside(server, 1)
    server.touch("go")


def test_traffic_that_turns_from_fast_to_slow_and_back_is_answered(serve):
    server = serve(APP, "-k", "gthread", "--threads", "4")
    for _ in range(3):
        for target, answers in (("/", 400), ("/sleep?0.01", 60)):
            with server.load(target, clients=6) as load:
                load.wait_answered(answers)
            assert not load.failures
    assert server.get("/").text == "fine"


@only_ferricorn("its thread waits for the client")
@pytest.mark.parametrize("number", [1, 2])
def test_a_client_that_reads_slowly_keeps_no_thread(serve, number):
    server = serve(APP, "--threads", number)
    clients = [server.connect(receive_buffer=4096).send(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n") for _ in range(number)]
    until(lambda: len(server.noted("large")) == number, "the streams to begin")
    for _ in range(3):
        assert server.get("/").text == "fine"
    for client in clients:
        client.close()


@pytest.mark.parametrize("number", [1, 2])
def test_clients_that_keep_all_threads_busy_do_not_keep_others_out(serve, number):
    server = serve(APP, "-k", "gthread", "--threads", number)
    with server.load("/sleep?0.02", clients=4, seconds=60) as load:
        load.wait_answered(20)
        for _ in range(3):
            assert server.get("/").text == "fine"
        load.wait_answered(5)
    assert not load.failures


# Stopping.


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_calls_on_all_threads_end_before_their_worker_does(serve, number):
    server = serve(APP, "-k", "gthread", "--threads", "4", "-w", "1")
    workers = server.wait_workers(1)
    clients = [server.connect().send(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n") for _ in range(4)]
    wait_inside(server, 4)
    server.send(number)
    if number == signal.SIGHUP:
        successors = server.wait_workers(2)
        assert until(lambda: server.get("/pid").text, "an answer") in map(str, successors)
    else:
        server.wait_for("Handling signal: term")
    server.touch("go")
    for client in clients:
        assert client.response().body == b"waited"
        client.close()
    if number == signal.SIGHUP:
        server.wait_workers(1, without=workers)
    else:
        assert server.wait_exit() == 0
    assert server.noted("bye") == "bye"


@only_ferricorn("its calls are cut off")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_a_quick_stop_does_not_wait_for_threads(serve, number):
    server = serve(APP, "--threads", "2", "--graceful-timeout", "30")
    clients = [server.connect().send(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n") for _ in range(2)]
    wait_inside(server, 2)
    assert server.stop(number, timeout=5) == 0
    for client in clients:
        with pytest.raises(Unanswered):
            client.response()
        client.close()


@only_ferricorn("gunicorn names none of the requests")
def test_calls_that_outlast_the_graceful_timeout_are_killed_and_named(serve):
    server = serve(APP, "--threads", "3", "--graceful-timeout", "1")
    clients = [server.connect().send(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n") for _ in range(2)]
    wait_inside(server, 2)
    assert server.stop() == 0
    assert "in flight: GET /wait (" in server.log
    for client in clients:
        client.close()


def test_a_worker_that_is_killed_amid_calls_is_replaced(serve):
    server = serve(APP, "-k", "gthread", "--threads", "4", "-w", "1")
    worker = server.wait_workers(1)[0]
    with server.load("/sleep?0.01", clients=8, limit=4000) as load:
        load.wait_answered(30)
        server.send(signal.SIGKILL, worker)
        server.wait_workers(1, without=[worker])
        load.wait_answered(60)
    # What was in flight, or came over a connection that was open, is all that it costs.
    assert len(load.failures) <= 16


# Time-outs.


def test_one_long_call_among_several_threads_is_no_reason_to_kill(serve):
    server = serve(APP, "-k", "gthread", "--threads", "3", "-t", "1")
    with server.connect() as client:
        client.send(b"GET /sleep?3.5 HTTP/1.1\r\nHost: x\r\n\r\n")
        for _ in range(5):
            assert server.get("/sleep?0.2").text == "slept"
        assert client.response().body == b"slept"
    assert "WORKER TIMEOUT" not in server.log


@only_ferricorn("its heartbeat comes from a thread that runs no calls")
def test_a_worker_all_of_whose_threads_are_stuck_is_replaced(serve):
    server = serve(APP, "--threads", "2", "-t", "1", "-w", "1")
    worker = server.wait_workers(1)[0]
    clients = [server.connect().send(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n") for _ in range(2)]
    server.wait_for(rf"All 2 app threads of worker \(pid:{worker}\) have been busy for [1-9]\.\d s;.* in flight: GET /wait \(")
    server.wait_workers(1, without=[worker])
    assert server.get("/").text == "fine"
    assert server.log.count("in wait\n") >= 2, "both stacks"
    for client in clients:
        client.close()


@only_ferricorn("its heartbeat thread would be stuck as well, and it says nothing")
def test_a_call_that_keeps_the_gil_is_found_by_the_next_one(serve):
    server = serve(APP, "--threads", "3", "-t", "1", "-w", "1")
    worker = server.wait_workers(1)[0]
    with server.connect() as stuck, server.connect() as held:
        stuck.send(b"GET /gil HTTP/1.1\r\nHost: x\r\n\r\n")
        until(lambda: server.has("entered"), "the call")
        held.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        server.wait_for(rf"Python has let no app thread of worker \(pid:{worker}\) in for [1-9]\.\d s")
        until(lambda: not alive(worker), "its end")
    server.wait_workers(1, without=[worker])
    assert server.get("/").text == "fine"


# What relies on threads.

FLASK = """
import os
import socket
import sqlite3
import threading

from flask import Flask, Response, g, request, stream_with_context

app = Flask(__name__)
peers = threading.local()


def rows(query):
    # A connection to SQLite may be used by the thread that made it, and by no other.
    db = sqlite3.connect(":memory:")
    db.execute("create table t (n integer)")
    db.executemany("insert into t values (?)", [(n,) for n in range(5)])
    try:
        for (n,) in db.execute("select n from t"):
            yield f"{n} {query} {g.name} {request.path} {peer()};"
    finally:
        db.close()
        open("closed", "a").write("x")


def peer():
    if not hasattr(peers, "socket"):
        peers.socket = socket.create_connection(("127.0.0.1", int(os.environ["PEER"])))
    peers.socket.sendall(b"ask\\n")
    return peers.socket.recv(100).decode()


@app.get("/stream/<name>")
def stream(name):
    g.name = name
    return Response(stream_with_context(rows(request.args["q"])))


@app.get("/peer")
def ask():
    return peer()
"""


class SlowPeer:
    """A server beside the app that answers each line after a while."""

    def __init__(self, seconds):
        import socketserver
        import time

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                for _ in self.rfile:
                    time.sleep(seconds)
                    self.wfile.write(b"answer")

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def peer():
    peer = SlowPeer(0.02)
    yield peer
    peer.close()


@pytest.mark.parametrize("number", [pytest.param(1, marks=only_ferricorn("its one thread finishes a stream first")), 3, 10])
def test_flask_streams_from_sqlite_and_a_slow_peer(serve, peer, number):
    server = serve(FLASK, "-k", "gthread", "--threads", number, env={"PEER": str(peer.port)})
    with server.load("/peer", clients=3, seconds=20) as load:
        bodies = ask_all(server, "/stream/Ada?q=7", 6)
        load.wait_answered(5)
    assert set(bodies) == {"".join(f"{n} 7 Ada /stream/Ada answer;" for n in range(5))}
    assert not load.failures and load.bodies == {b"answer"}
    until(lambda: len(server.noted("closed")) == 6, "all databases to be closed")
    assert "Traceback" not in server.log


DJANGO = """
import time

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import path

settings.configure(
    ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="none",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "data.db", "CONN_MAX_AGE": 0}},
)


def count(request):
    with connection.cursor() as cursor:
        cursor.execute("select count(*) from t")
        return HttpResponse(str(cursor.fetchone()[0]))


def stream(request):
    def pieces():
        # Django refuses a connection that another thread has made.
        with connection.cursor() as cursor:
            for number in range(3):
                cursor.execute("select count(*) from t")
                yield f"{cursor.fetchone()[0]} "
                time.sleep(0.001)

    return StreamingHttpResponse(pieces())


urlpatterns = [path("count", count), path("stream", stream)]
app = get_wsgi_application()
with connection.cursor() as cursor:
    cursor.execute("create table if not exists t (n integer)")
    cursor.execute("insert into t values (1), (2)")
connection.close()
"""


def open_files(pid):
    """What the descriptors of a process stand for."""
    names = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            names.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
        except FileNotFoundError:
            pass
    return names


@pytest.mark.parametrize("number", [1, 2, 10])
def test_django_and_its_database_on_some_threads(serve, number):
    """Also where streams are open on all of them: what ends one request would close the database of another."""
    server = serve(DJANGO, "-k", "gthread", "--threads", number)
    with server.load("/count", clients=4, limit=2000) as counts, server.load("/stream", clients=4, limit=2000) as streams:
        counts.wait_answered(100)
        streams.wait_answered(100)
    assert not counts.failures and not streams.failures
    assert counts.bodies == {b"2"} and streams.bodies == {b"2 2 2 "}
    worker = server.workers()[0]
    # Each thread closed its own connection with its response.
    until(lambda: not any(name.endswith("data.db") for name in open_files(worker)), "all connections to be closed", 5)
    assert "Traceback" not in server.log
