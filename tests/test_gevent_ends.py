"""How greenlets, and workers with greenlets, end; and what cannot begin."""

import signal

import pytest

from harness import Unanswered, until

only_ferricorn = pytest.mark.only_ferricorn("the words and the exit codes are its own")
pytestmark = only_ferricorn


@pytest.fixture
def start(serve):
    """Starts a server with these flags, on greenlets."""
    def start(*flags, app="greenlets:app", **options):
        server = serve(app, "-k", "gevent", *flags, **options)
        server.get()
        return server

    return start


def ask(server, target):
    return server.connect().send(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())


def test_requests_in_flight_are_answered_when_the_server_stops(start):
    server = start("--graceful-timeout", "20")
    client = ask(server, "/pieces?one,two")
    server.touch("one")
    client.read_head()
    server.send(signal.SIGTERM).wait_for("Handling signal: term")
    server.touch("two")
    assert [client.read_chunk() for _ in range(3)] == [b"one", b"two", b""]
    assert server.wait_exit() == 0
    assert server.noted("closed") == "Greenlet"


def test_greenlets_that_are_left_are_killed_and_named(start):
    server = start("--graceful-timeout", "1")
    ask(server, "/hangs")
    server.noted("hangs")
    assert server.stop() == 0
    assert "GreenletExit" in server.noted("ended")
    assert "1 connection did not end within 1 s" in server.log
    assert "Traceback" not in server.log


def test_a_greenlet_that_will_not_end_holds_up_nothing(start):
    server = start("--graceful-timeout", "1")
    ask(server, "/deaf")
    server.noted("hangs")
    assert server.stop() == 0
    assert "1 greenlets did not end when they were killed" in server.log


def test_a_reload_serves_on(start):
    server = start("--graceful-timeout", "20")
    old = server.workers()
    client = ask(server, "/pieces?one")
    server.noted("entered-pieces")
    server.send(signal.SIGHUP)
    until(lambda: set(server.workers()) - set(old), "a new worker")
    assert server.get("/").text == "fine"
    server.touch("one")
    assert client.response().text == "one"
    server.wait_workers(1, without=old)


@pytest.mark.parametrize("path, status", [("/exit", 500), ("/exit-aside", 200)])
def test_an_app_that_exits_has_its_worker_leave(start, path, status):
    server = start()
    [old] = server.workers()
    assert server.get(path).status == status
    server.wait_for(rf"Worker \(pid:{old}\) exited with code 3")
    server.wait_workers(1, without=[old])
    assert server.get("/").text == "fine"


def test_a_greenlet_that_kills_itself_costs_its_own_request(start):
    server = start()
    [old] = server.workers()
    assert server.get("/kills-itself").status == 500
    assert server.get("/").text == "fine" and server.workers() == [old]


def test_a_loop_that_is_blocked_is_killed_and_the_log_shows_where(start):
    server = start("-t", "1")
    client = ask(server, "/burns")
    server.wait_for(r"WORKER TIMEOUT \(pid:\d+\)")
    server.wait_for("greenlets.py")
    assert client.response().status == 500
    assert until(lambda: server.get("/").text, "another worker") == "fine"


def test_no_more_greenlets_run_than_connections_are_allowed(start):
    server = start("--worker-connections", "2", "--graceful-timeout", "1")
    for target in ("/hangs?1", "/hangs?2"):
        with ask(server, target):
            server.noted("hangs")
            (server.folder / "hangs").unlink()
    ask(server, "/local?third")
    with pytest.raises(Unanswered):
        server.get("/", timeout=0.5)
    assert not server.has("entered-local")


def test_a_hub_of_the_masters_becomes_the_workers_own(start):
    conf = "from gevent import monkey\nmonkey.patch_all()\nimport gevent\ngevent.sleep(0.01)\nworkers = 2\n"
    server = start(files={"gunicorn.conf.py": conf})
    assert [server.get("/ticks").text for _ in range(4)] == ["1"] * 4


def test_without_gevent_one_line_says_how_to_get_it(cli):
    result = cli("-k", "gevent", "-b", "127.0.0.1:0", "inline:app", files={
        "inline.py": "app = None\n", "gevent.py": "raise ImportError('none here')\n"})
    assert result.returncode != 0
    [line] = [line for line in result.stderr.splitlines() if "gevent" in line and "Using worker" not in line]
    assert "cannot be imported (ImportError: none here): run `pip install 'ferricorn[gevent]'`." in line


def test_an_asgi_app_is_told_that_it_needs_no_greenlets(cli):
    result = cli("-k", "gevent", "-b", "127.0.0.1:0", "inline:app", files={
        "inline.py": "async def app(scope, receive, send): pass\n"})
    assert result.returncode != 0
    assert "is an ASGI application, and worker_class gevent runs WSGI applications" in result.stderr


def test_hooks_of_requests_may_wait_as_well(start):
    conf = ("import time\ndef pre_request(worker, req):\n    time.sleep(0.01)\n"
            "def post_request(worker, req, environ, resp):\n    time.sleep(0.01)\n"
            "    open('after.part', 'w').write(resp.status)\n    import os\n    os.rename('after.part', 'after')\n")
    server = start(files={"gunicorn.conf.py": conf})
    assert server.get("/").text == "fine"
    assert server.noted("after") == "200 OK"
