"""Which worker gets a client, and what requests on the connections of a busy worker wait for."""

import os
import resource
import signal
import threading
import time

import pytest

from harness import connections, until

APP = """
import os
import threading
import time

eaten = []


def wait():
    open("waits", "a").write(f"{os.getpid()}\\n")
    while not os.path.exists("go"):
        time.sleep(0.01)


def eat():
    # Every descriptor that the process may have, those that become free later too.
    while True:
        try:
            eaten.append(open("/dev/null"))
        except OSError:
            time.sleep(0.001)


def app(environ, start_response):
    path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
    {"/wait": wait, "/eat": threading.Thread(target=eat, daemon=True).start, "/sleep": lambda: time.sleep(float(query))}.get(path, lambda: None)()
    start_response("200 OK", [])
    return [str(os.getpid()).encode()]
"""

only_ferricorn = pytest.mark.only_ferricorn

@pytest.fixture
def serve(serve):
    """Lets all calls end, however a test ends."""
    servers = []

    def serve_and_note(*arguments, **options):
        servers.append(serve(*arguments, **options))
        return servers[-1]

    yield serve_and_note
    for server in servers:
        server.touch("go")


def wait_inside(server, count):
    """The workers in which so many calls wait for the file `go`."""
    waiting = lambda: (server.folder / "waits").read_text().split() if server.has("waits") else []  # noqa: E731
    return until(lambda: len(waiting()) >= count and waiting(), f"{count} calls")


def started(server, count):
    """The workers, once each of them serves."""
    pids, seen = set(map(str, server.wait_workers(count))), set()
    until(lambda: seen.update(served(asked(server, "/sleep?0.05", count))) or seen >= pids, "all to serve")
    return pids


def asked(server, target, count=1):
    return [server.connect().send(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()) for _ in range(count)]


def served(clients):
    """Who served them."""
    pids = []
    for client in clients:
        response = client.response()
        assert response.status == 200
        pids.append(response.text)
        client.close()
    return pids


@only_ferricorn("a busy worker of its sync class never accepts, but one of gthread does")
@pytest.mark.parametrize("number", [1, 2])
def test_clients_go_to_the_worker_that_is_free(serve, number):
    server = serve(APP, "-w", "3", "--threads", number)
    workers = started(server, 3)
    clients, taken = [], set()
    # Until all app threads of two workers are taken.
    while len(taken) < 2:
        clients += asked(server, "/wait")
        inside = wait_inside(server, len(clients))
        taken = {pid for pid in inside if inside.count(pid) == number}
        assert all(inside.count(pid) <= number for pid in inside)
        time.sleep(0.05)
    free, = workers - taken
    for _ in range(20):
        assert served(asked(server, "/")) == [free]
    server.touch("go")
    served(clients)


@pytest.mark.parametrize("workers, threads", [(2, 1), (4, 1), (2, 2), (4, 2), (2, 4)])
def test_clients_who_come_at_once_are_served_at_once(serve, workers, threads):
    server = serve(APP, "-w", workers, "-k", "gthread" if threads > 1 else "sync", "--threads", threads)
    started(server, workers)
    clients = asked(server, "/wait", workers * threads)
    inside = wait_inside(server, workers * threads)
    assert {inside.count(pid) for pid in inside} == {threads}
    server.touch("go")
    served(clients)


def test_clients_who_come_while_all_are_busy_are_served_when_one_is_free(serve):
    server = serve(APP, "-w", "2", "-k", "sync")
    started(server, 2)
    busy = asked(server, "/wait", 2)
    assert len(set(wait_inside(server, 2))) == 2
    late = asked(server, "/", 10)
    server.touch("go")
    assert len(set(served(busy))) == 2
    assert len(served(late)) == 10


@only_ferricorn("it waits until it can accept again, whoever else could")
def test_a_worker_that_is_out_of_descriptors_passes_its_clients_on(serve):
    limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))  # noqa: E731
    server = serve(APP, "-w", "2", preexec=limit)
    started(server, 2)
    # With one client at a time the kernel wakes the same one first, again and again.
    eater, = served(asked(server, "/eat"))
    # A connection that ends yet would leave one.
    until(lambda: not connections(server.port) and len(os.listdir(f"/proc/{eater}/fd")) == 100, "all to be gone")
    for _ in range(10):
        assert served(asked(server, "/")) != [eater]


@only_ferricorn("it has no such queue")
def test_a_request_that_waits_too_long_for_an_app_thread_is_told_to_try_again(serve):
    server = serve(APP, "--queue-timeout", "0.3", "--access-logfile", "-", "--access-logformat", "%(U)s %(s)s %(queue)s")
    with server.connect() as kept, server.connect() as busy:
        kept.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").response()
        busy.send(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_inside(server, 1)
        response = kept.send(b"GET /late HTTP/1.1\r\nHost: x\r\n\r\n").response()
        assert (response.status, response.header("retry-after"), response.header("connection")) == (503, "1", "close")
        server.wait_for(r"No app thread became free for GET /late within 0\.3 s \(--queue-timeout\)")
        server.touch("go")
        assert busy.response().status == 200
    assert server.get().status == 200
    lines = until(lambda: len(server.access_log) == 4 and server.access_log, "the access lines")
    path, status, wait = next(line for line in lines if line.startswith("/late")).split()
    assert status == "503" and 0.3 <= float(wait) < 5


@only_ferricorn("it has no deadline for requests")
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGKILL])
def test_clients_are_served_though_threads_are_busy_and_interrupted_and_their_worker_goes(serve, number):
    server = serve(APP, "-w", "2", "--threads", "2", "--request-timeout", "0.3", "--graceful-timeout", "2")
    workers = server.wait_workers(2)
    answers, stop = [], threading.Event()

    def ask():
        while not stop.is_set():
            # What takes longer than it may, and what does not.
            for target in ("/sleep?0.02", "/sleep?0.6", "/"):
                try:
                    answers.append(server.get(target).status)
                except Exception as error:  # noqa: BLE001
                    answers.append(repr(error))

    clients = [threading.Thread(target=ask) for _ in range(6)]
    for client in clients:
        client.start()
    until(lambda: answers.count(504) >= 6, "deadlines")
    if number == signal.SIGHUP:
        server.send(number)
    else:
        server.send(number, workers[0])
        server.send(number, workers[1])
    server.wait_workers(2, without=workers)
    before = len(answers)
    until(lambda: answers[before:].count(504) >= 6 and answers[before:].count(200) >= 12, "both from the new workers")
    stop.set()
    for client in clients:
        client.join()
    lost = [answer for answer in answers if answer not in (200, 504)]
    # What was in flight in a worker that is killed is lost, and nothing else.
    assert len(lost) <= (6 if number == signal.SIGKILL else 0), lost
