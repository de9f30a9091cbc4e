"""The lifespan of an ASGI app: what it is told of the server's start and stop, and what its answers do."""

import signal
import textwrap
import time
from ast import literal_eval

import pytest

from harness import IS_UVICORN, until

only_ferricorn = pytest.mark.only_ferricorn

COMPLETE = '''
await receive()
await send({"type": "lifespan.startup.complete"})
await receive()
await send({"type": "lifespan.shutdown.complete"})
'''


def app_with(lifespan):
    """An app with such a lifespan, in which `note(name)` leaves a line in the file `notes`, and `go(name)` waits for a word of the test."""
    return f'''
import asyncio
import os

def note(word):
    with open("notes", "a") as file:
        file.write(f"{{word}} {{os.getpid()}}\\n")

async def go(name):
    while not os.path.exists(name):
        await asyncio.sleep(0.01)

async def lifespan(scope, receive, send):
{textwrap.indent(lifespan.strip(), "    ")}

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return await lifespan(scope, receive, send)
    if scope["path"] == "/slow":
        note("entered")
        await go("answer")
    note("answered")
    body = repr(scope.get("state")).encode()
    await send({{"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(body)).encode())]}})
    await send({{"type": "http.response.body", "body": body}})
'''


def notes(server):
    """The words that were noted, in order."""
    return [line.split()[0] for line in server.noted("notes").splitlines()]


def refuses(server):
    """Whether it takes no client in any more."""
    try:
        server.connect().close()
    except ConnectionRefusedError:
        return True
    return False


def test_the_scope_of_the_lifespan(serve, loop):
    server = serve(app_with(f'open("scope", "w").write(repr(scope))\n{COMPLETE}'), "--asgi-loop", loop)
    scope = literal_eval(server.noted("scope"))
    assert scope.pop("asgi")["version"] == "3.0"
    assert scope == {"type": "lifespan", "state": {}}


def test_start_comes_before_the_first_request_and_stop_after_the_last(serve, loop):
    server = serve(app_with('''
        assert (await receive())["type"] == "lifespan.startup"
        note("starting")
        await go("start")
        scope["state"]["pool"] = ["a"]
        note("started")
        await send({"type": "lifespan.startup.complete"})
        assert (await receive())["type"] == "lifespan.shutdown"
        note("stopping")
        await go("stop")
        note("stopped")
        await send({"type": "lifespan.shutdown.complete"})
    '''.replace("\n        ", "\n")), "--asgi-loop", loop, "--asgi-lifespan", "on", listening=False)
    until(lambda: server.has("notes"), "the start")
    if IS_UVICORN:  # It does not listen before.
        server.touch("start")
    with server.wait_listening().connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        server.touch("start")
        assert literal_eval(client.response().text) == {"pool": ["a"]}
        client.send(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        until(lambda: "entered" in notes(server), "the slow call")
        server.send(signal.SIGTERM)
        until(lambda: refuses(server), "the end of its listening")
        server.touch("answer")
        assert client.response().status == 200
    until(lambda: "stopping" in notes(server), "the stop")
    assert server.process.poll() is None
    server.touch("stop")
    status = server.wait_exit()
    assert status == 0 or (IS_UVICORN and status == -signal.SIGTERM)
    assert notes(server) == ["starting", "started", "answered", "entered", "answered", "stopping", "stopped"]


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=only_ferricorn("uvicorn's status differs"))])
def test_stop_is_told_to_an_app_that_nobody_asked(serve, number):
    server = serve(app_with(COMPLETE + 'note("stopped")'))
    server.wait_workers(1)
    until(lambda: server.get().status == 200, "an answer")
    server.stop(number)
    assert notes(server) == ["answered", "stopped"]


@only_ferricorn("the harness starts uvicorn with one worker")
def test_each_worker_has_a_lifespan_of_its_own(serve):
    server = serve(app_with(COMPLETE.replace("await receive()", "note((await receive())['type'])")), "-w", "2")
    pids = server.wait_workers(2)
    until(lambda: notes(server).count("lifespan.startup") == 2, "both starts")
    server.stop()
    lines = server.noted("notes").splitlines()
    assert sorted(lines) == sorted(f"lifespan.{what} {pid}" for pid in pids for what in ("startup", "shutdown"))


@only_ferricorn("uvicorn alone replaces no worker")
def test_a_worker_that_replaces_another_starts_anew(serve):
    server = serve(app_with(COMPLETE.replace("await receive()", "note((await receive())['type'])")))
    first = server.wait_workers(1)
    server.get()
    server.send(signal.SIGKILL, first[0])
    second = server.wait_workers(1, without=first)
    until(lambda: f"lifespan.startup {second[0]}" in server.noted("notes"), "its start")
    assert server.get().status == 200


@only_ferricorn("uvicorn has no such setting")
def test_a_worker_that_has_served_its_share_stops_well(serve):
    server = serve(app_with(COMPLETE.replace("await receive()", "note((await receive())['type'])")), "--max-requests", "3")
    first = server.wait_workers(1)
    with server.load("/", clients=2, keepalive=False) as load:
        until(lambda: f"lifespan.shutdown {first[0]}" in server.noted("notes"), "its stop")
    assert load.failures == []


def test_a_task_that_was_begun_at_the_start_runs_on_its_own(serve, loop):
    """Without any request that would wake the worker."""
    server = serve(app_with('''
async def tick():
    for _ in range(5):
        await asyncio.sleep(0.05)
    note("ticked")

task = asyncio.ensure_future(tick())
''' + COMPLETE), "--asgi-loop", loop)
    until(lambda: notes(server) == ["ticked"], "the task")


def test_off_tells_the_app_nothing(serve):
    server = serve(app_with('note("told")'), "--asgi-lifespan", "off")
    assert server.get().status == 200
    server.stop()
    assert notes(server) == ["answered"]


# A start that fails.

FAILED = '''
await receive()
await send({"type": "lifespan.startup.failed", "message": "no database at db.example"})
'''


@pytest.mark.parametrize("setting", ["auto", "on"])
def test_a_start_that_the_app_reports_as_failed_ends_the_boot(serve, loop, setting):
    server = serve(app_with(FAILED), "--asgi-lifespan", setting, "--asgi-loop", loop, listening=False)
    assert server.wait_exit() == 3
    assert "no database at db.example" in server.log
    server.expected_exit = {3}


def test_a_failed_start_without_a_message_ends_the_boot_too(serve):
    server = serve(app_with('await receive()\nawait send({"type": "lifespan.startup.failed"})'), listening=False)
    assert server.wait_exit() == 3
    server.expected_exit = {3}


def test_an_app_may_raise_when_it_has_reported_that_it_failed(serve):
    """Starlette does."""
    server = serve(app_with(FAILED + 'raise LookupError("the cause")'), listening=False)
    assert server.wait_exit() == 3
    assert "no database at db.example" in server.log
    server.expected_exit = {3}


RAISES = ['raise LookupError("no lifespan here")', 'await receive()\nraise LookupError("no lifespan here")']


@pytest.mark.parametrize("lifespan", RAISES, ids=["before", "within"])
def test_an_app_that_raises_does_not_know_lifespan(serve, loop, lifespan):
    server = serve(app_with(lifespan), "--asgi-loop", loop)
    assert server.get().status == 200
    server.stop()


@pytest.mark.parametrize("lifespan", RAISES, ids=["before", "within"])
def test_with_on_an_app_that_raises_ends_the_boot(serve, lifespan):
    server = serve(app_with(lifespan), "--asgi-lifespan", "on", listening=False)
    assert server.wait_exit() == 3
    assert "LookupError: no lifespan here" in server.log
    server.expected_exit = {3}


def test_an_app_that_leaves_its_lifespan_early_is_served(serve):
    server = serve(app_with("await receive()"))
    assert server.get().status == 200
    server.stop()


def test_an_app_that_leaves_its_lifespan_after_the_start_is_served(serve):
    server = serve(app_with('await receive()\nawait send({"type": "lifespan.startup.complete"})'))
    assert server.get().status == 200
    server.stop()


def test_an_app_that_fails_between_start_and_stop_is_served(serve):
    server = serve(app_with('await receive()\nawait send({"type": "lifespan.startup.complete"})\nraise LookupError("in between")'))
    assert server.get().status == 200
    server.stop()


@only_ferricorn("uvicorn asserts without a word")
@pytest.mark.parametrize("message", [
    {"type": "lifespan.startup.done"}, {"type": "http.response.start", "status": 200}, {"type": "lifespan.shutdown.complete"}])
def test_a_wrong_message_raises_in_the_app_and_is_named(serve, message):
    server = serve(app_with(f'''
await receive()
try:
    await send({message!r})
except Exception as error:
    open("told", "w").write(f"{{type(error).__name__}}: {{error}}")
else:
    open("told", "w").write("nothing")
await send({{"type": "lifespan.startup.complete"}})
await receive()
await send({{"type": "lifespan.shutdown.complete"}})
'''))
    assert server.get().status == 200
    assert message["type"] in server.noted("told")


@only_ferricorn("uvicorn does not hear signals at its start")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT])
def test_a_start_without_end_can_be_stopped(serve, loop, number):
    server = serve(app_with('note("starting")\nawait asyncio.sleep(600)'), "--asgi-loop", loop, "--graceful-timeout", "2")
    until(lambda: notes(server) == ["starting"], "the start")
    begin = time.monotonic()
    server.stop(number)
    assert time.monotonic() - begin < 8
    server.expected_exit = {0, 3}


@only_ferricorn("uvicorn alone reloads nothing")
def test_a_reload_onto_a_start_that_fails_keeps_the_old_workers(serve):
    server = serve(app_with('''
if os.path.exists("broken"):
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database at db.example"})
    return
''' + COMPLETE))
    workers = server.wait_workers(1)
    server.get()
    (server.folder / "broken").touch()
    server.send(signal.SIGHUP)
    server.wait_for("no database at db.example")
    for _ in range(5):
        assert server.get().status == 200
    until(lambda: server.workers() == workers, "the old worker alone")


# A stop that fails.


def test_a_stop_that_the_app_reports_as_failed_is_logged(serve, loop):
    server = serve(app_with(COMPLETE.replace('"lifespan.shutdown.complete"', '"lifespan.shutdown.failed", "message": "not flushed"')),
                   "--asgi-loop", loop)
    server.get()
    server.stop()
    assert "not flushed" in server.log


@only_ferricorn("uvicorn says that lifespan is not supported")
def test_an_exception_at_the_stop_is_logged(serve):
    server = serve(app_with('await receive()\nawait send({"type": "lifespan.startup.complete"})\nawait receive()\n'
                            'raise LookupError("not flushed")'))
    server.get()
    server.stop()
    assert "LookupError: not flushed" in server.log


@only_ferricorn("uvicorn waits for ever")
def test_a_stop_without_end_is_bounded_by_the_graceful_timeout(serve, loop):
    server = serve(app_with(COMPLETE.replace('await send({"type": "lifespan.shutdown.complete"})', 'note("stopping")\nawait asyncio.sleep(600)')),
                   "--asgi-loop", loop, "--graceful-timeout", "1")
    server.get()
    begin = time.monotonic()
    server.stop()
    assert notes(server) == ["answered", "stopping"]
    assert time.monotonic() - begin < 7
    assert "raise --graceful-timeout" in server.log and "Traceback" not in server.log


# A stop that comes while the app still works.

WORKS_ON = app_with(COMPLETE.replace(
    'await send({"type": "lifespan.shutdown.complete"})',
    'note("stopping")\nawait go("stop")\nnote("stopped")\nawait send({"type": "lifespan.shutdown.complete"})')) + '''
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return await lifespan(scope, receive, send)
    note("asked")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-a", b"b")]})
    await send({"type": "http.response.body", "body": b"data", "more_body": scope["path"] == "/stream"})
    try:
        await asyncio.sleep(600)
    except asyncio.CancelledError:
        note("cancelled")
        raise
'''


@only_ferricorn("uvicorn waits for ever")
@pytest.mark.parametrize("path", ["/task", "/stream"])
def test_what_works_on_at_a_stop_is_cancelled_before_the_app_shuts_down(serve, loop, path):
    server = serve(WORKS_ON, "--asgi-loop", loop, "--graceful-timeout", "2")
    with server.connect() as client:
        client.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        until(lambda: "asked" in notes(server), "the call")
        server.send(signal.SIGTERM)
        until(lambda: "stopping" in notes(server), "the stop of the app")
        server.touch("stop")
        assert server.wait_exit() == 0
    noted = notes(server)
    assert sorted(noted) == ["asked", "cancelled", "stopped", "stopping"]
    assert noted.index("stopping") < noted.index("stopped")
    assert ("The task of GET /task still ran" in server.log) == (path == "/task")
    assert "Traceback" not in server.log and "raise --graceful-timeout" not in server.log


@only_ferricorn("uvicorn serves without")
@pytest.mark.parametrize("reported", [False, True], ids=["raised", "reported as well"])
def test_system_exit_at_the_start_ends_the_boot(serve, loop, reported):
    """Starlette reports it, and raises it again."""
    told = 'await send({"type": "lifespan.startup.failed", "message": "Traceback:\\nSystemExit: DATABASE_URL is not set"})\n'
    server = serve(app_with(f'await receive()\nawait asyncio.sleep(0)\n{told if reported else ""}raise SystemExit("DATABASE_URL is not set")'),
                   "--asgi-loop", loop, listening=False)
    assert server.wait_exit() == 3
    assert "The app failed to start: SystemExit: DATABASE_URL is not set" in server.log
    assert server.log.count("Traceback") == 1
    assert "told to leave" not in server.log
    server.expected_exit = {3}
