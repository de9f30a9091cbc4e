"""What apps rely on in asyncio and around it, each on asyncio's own loop and on uvloop, as they know it from uvicorn."""

import json
import re
import signal
import sys
import time

import pytest

from harness import IS_UVICORN, Unanswered, until
from harness.notes import noted, notes

only_ferricorn = pytest.mark.only_ferricorn


@pytest.fixture(scope="module")
def server(serve_module, loop):
    return serve_module("aio:app", "--asgi-loop", loop)


def ask(server, target, **options):
    response = server.get(target, **options)
    assert response.status == 200, response
    return response.json()


# Where a handler runs.


def test_the_loop_and_the_task(server, loop):
    told = ask(server, "/where")
    told.pop("pid")
    assert told == {"kind": loop, "the loop of the lifespan": True, "get_event_loop": True, "task": True, "task among all": True,
                    "task class": "Task", "library": "asyncio", "main thread": True, "debug": False}


def test_uvloop_is_taken_where_it_is_installed(serve):
    pytest.importorskip("uvloop")
    assert ask(serve("aio:app"), "/where")["kind"] == "uvloop"


def test_each_request_has_a_context_of_its_own(server):
    clients = [server.connect() for _ in range(30)]
    for turn in range(3):
        for number, client in enumerate(clients):
            client.send(f"GET /context?who={number}.{turn} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        for number, client in enumerate(clients):
            who = f"{number}.{turn}"
            assert client.response().json() == ["nobody", who, who, who, who, who]
    for client in clients:
        client.close()


def test_the_task_is_the_same_from_first_to_last(server):
    assert ask(server, "/same-task") is True


# Receiving.


def test_receive_in_another_task(server):
    assert server.request("POST", "/receive-in-a-task", body=b"x" * 300_000).json() == "x" * 300_000


@pytest.mark.parametrize("how", ["gather", "wait", "shield", "wait_for", "as_completed"])
def test_receive_is_a_coroutine_for_all_of_asyncio(server, how):
    (server.folder / "noted.jsonl").unlink(missing_ok=True)
    with server.connect() as client:
        client.send(f"POST /receive-by-all-means?how={how} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n".encode())
        noted(server, "ready")
        client.send(b"first").send(b"other")
        assert client.response().json() == "firstother"


def test_a_receive_that_was_given_up_loses_nothing(server):
    (server.folder / "noted.jsonl").unlink(missing_ok=True)
    with server.connect() as client:
        client.send(b"POST /receive-with-timeout HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n")
        for count, piece in enumerate((b"first", b"other"), 1):
            noted(server, "gave up", count=2 * count)
            client.send(piece)
        assert client.response().json() == ["firstother", True]


# What asyncio offers.


@pytest.mark.parametrize("page, value", [
    ("/structured", ["first", "second", "timeout", "wait_for", "CancelledError"]),
    ("/callbacks", ["soon", "at", "later", "thread"]),
    ("/coroutine-from-a-thread", "from the loop"),
    ("/with-anyio", ["child", "stream", True, True, None, True]),
    ("/processes", [[200_000, "err\n", number] for number in range(5)] + [-9]),
    ("/blocking-process", [3, 1]),
    ("/signals", ["SIGUSR1", "SIGUSR2", "SIGALRM"]),
    ("/network", "round trip"),
])
def test_it_works(server, page, value):
    assert ask(server, page) == value
    assert ask(server, page) == value, "again"


def test_locks_and_queues_made_at_import(server):
    assert ask(server, "/made-at-import") == ["item", True, None]


AT_IMPORT = """
import asyncio
import warnings

from noting import note

with warnings.catch_warnings(action="ignore"):
    LOOP = asyncio.get_event_loop()


async def app(scope, receive, send):
    assert scope["type"] == "http"
    body = str(LOOP is asyncio.get_running_loop()).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
"""


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="3.14 has no loop before one runs")
def test_the_loop_may_be_asked_for_at_import(serve, loop):
    assert serve(AT_IMPORT, "--asgi-loop", loop).get().body in (b"True", b"False")


# What an app may set.


def test_a_task_factory_of_the_apps_is_used(serve, loop):
    server = serve("aio:app", "--asgi-loop", loop, env={"PREPARE": "own_tasks"})
    told = ask(server, "/where")
    assert (told["task class"], told["task"]) == ("Counted", True)
    for page in "/structured", "/with-anyio", "/context?who=me":
        ask(server, page)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="3.12 has it")
def test_eager_tasks(serve):
    server = serve("aio:app", "--asgi-loop", "asyncio", env={"PREPARE": "eager_tasks"})  # uvloop itself fails with that factory.
    assert ask(server, "/where")["task"] is True
    for page in "/structured", "/with-anyio", "/context?who=me", "/network", "/processes":
        ask(server, page)


def test_debug_mode(serve, loop):
    server = serve("aio:app", "--asgi-loop", loop, env={"PYTHONASYNCIODEBUG": "1"})
    assert ask(server, "/where")["debug"] is True
    for page in "/structured", "/callbacks", "/network", "/context?who=me":
        ask(server, page)
    assert not re.search("Traceback|never awaited|Non-thread-safe|never retrieved", server.log)


def test_development_mode(serve, loop):
    server = serve("aio:app", "--asgi-loop", loop, env={"PYTHONDEVMODE": "1", "PYTHONTRACEMALLOC": "1"})
    for page in "/where", "/structured", "/context?who=me":
        ask(server, page)
    server.expected_exit = {-signal.SIGTERM} if IS_UVICORN else {0}
    server.stop()
    assert not re.search("Traceback|never awaited|ResourceWarning", server.log), server.log


@only_ferricorn("uvicorn ends by the signal before its loop is closed")
def test_a_background_task_runs_between_requests(serve, loop):
    server = serve("aio:app", "--asgi-loop", loop, env={"PREPARE": "background"})
    before = ask(server, "/ticks")
    until(lambda: ask(server, "/ticks") > before + 10, "ten ticks")
    assert server.stop() == 0
    assert [what for what, _ in notes(server)] == ["shutdown", "background ended"]


@only_ferricorn("uvicorn has nobody else to tell it")
def test_an_app_that_takes_TERM_is_stopped_all_the_same(serve, loop):
    server = serve("aio:app", "--asgi-loop", loop, env={"PREPARE": "own_term"})
    ask(server, "/where")
    assert server.stop() == 0
    assert notes(server)[-1][0] == "shutdown"


# Many at once.


def test_500_requests_at_the_same_time(serve, loop):
    server = serve("aio:app", "--asgi-loop", loop)
    clients = [server.connect(timeout=30) for _ in range(500)]
    for client in clients:
        client.send(b"GET /meet?count=500 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert [client.response().json() for client in clients] == [500] * 500
    for client in clients:
        client.close()


def test_threads_that_keep_the_interpreter_busy_stall_nobody(serve, loop):
    server = serve("aio:app", "--asgi-loop", loop)
    ask(server, "/spin?threads=2")
    with server.connect() as client:
        for _ in range(30):
            assert client.send(b"GET /where HTTP/1.1\r\nHost: x\r\n\r\n").response().status == 200
    assert ask(server, "/network") == "round trip"
    ask(server, "/stop-spinning")
    assert noted(server, "spun out") is False


# What goes wrong.


@pytest.mark.parametrize("how, what", [("callback", "ZeroDivisionError"), ("task", "Task exception was never retrieved"),
                                       ("future", "Future exception was never retrieved")])
def test_what_the_loop_reports_is_in_the_log(server, how, what):
    mark = server.mark()
    ask(server, f"/exceptions?how={how}")
    server.wait_for(what, after=mark)
    assert ask(server, "/same-task") is True


def test_an_exception_handler_of_the_apps_is_told(serve, loop):
    server = serve("aio:app", "--asgi-loop", loop, env={"PREPARE": "own_handler"})
    ask(server, "/exceptions?how=callback")
    assert noted(server, "handled") == "division by zero"


def test_a_handler_that_cancels_itself_is_500(server):
    assert server.get("/cancel-itself").status == 500
    assert ask(server, "/same-task") is True


@only_ferricorn("a single uvicorn is gone then")
@pytest.mark.parametrize("page", ["/leave", "/leave-in-a-task"])
@pytest.mark.parametrize("how", ["exit", "exit-3", "interrupt"])
def test_what_ends_a_process_ends_the_worker_alone(serve, loop, page, how):
    server = serve("aio:app", "--asgi-loop", loop)
    workers = server.wait_workers(1)
    with server.connect() as client:
        client.send(f"GET {page}?how={how} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        try:
            assert client.response().status == (500 if page == "/leave" else 200)
        except Unanswered:
            pass
    server.wait_workers(1, without=workers)
    assert ask(server, "/same-task") is True


# The end.


def test_a_unix_socket_that_is_shut_keeps_no_worker_busy(serve, loop):
    for _ in range(4):
        server = serve("aio:app", "--asgi-loop", loop, "--graceful-timeout", "60", bind="unix:app.sock")
        server.address = str(server.folder / "app.sock")
        with server.connect() as client:
            assert client.send(b"GET /same-task HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").response().json() is True
        server.expected_exit = {-signal.SIGTERM} if IS_UVICORN else {0}
        assert server.stop(timeout=10) in server.expected_exit


@only_ferricorn("uvicorn ends by the signal before its loop is closed")
def test_what_is_open_at_the_end_is_closed(serve, loop):
    server = serve("aio:app", "--asgi-loop", loop)
    ask(server, "/leave-things-open")
    (server.folder / "let-go").touch()
    assert server.stop() == 0
    said = [what for what, _ in notes(server)]
    assert sorted(said) == ["generator closed", "job done", "shutdown", "task cancelled"]
    assert said.index("shutdown") < said.index("task cancelled") < said.index("generator closed")


@only_ferricorn("uvicorn ends by the signal before its loop is closed")
def test_a_job_in_the_executor_is_waited_for(serve, loop):
    server = serve("aio:app", "--asgi-loop", loop)
    ask(server, "/leave-things-open")
    server.send(signal.SIGTERM)
    noted(server, "generator closed")
    (server.folder / "let-go").touch()
    assert server.wait_exit() == 0
    assert "job done" in [what for what, _ in notes(server)]
