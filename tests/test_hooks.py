"""The server hooks of a config file: when they are called, in which process, with what, and what follows if they fail."""

import json
import os
import re
import signal
import time

import pytest

from harness import IS_GUNICORN, until

only_ferricorn = pytest.mark.only_ferricorn

# Notes each call: the hook's name, and whether it ran in the master or in a worker.
CALLS = """
import os
MASTER = os.getpid()
def note(name, *more):
    with open("calls", "a") as file:
        file.write(" ".join(map(str, (name, "master" if os.getpid() == MASTER else "worker", *more))) + "\\n")
def nworkers_changed(server, new_value, old_value): note("nworkers_changed", new_value, old_value)
def on_starting(server): note("on_starting")
def on_reload(server): note("on_reload")
def when_ready(server): note("when_ready")
def pre_fork(server, worker): note("pre_fork", worker.age)
def post_fork(server, worker): note("post_fork", worker.age)
def post_worker_init(worker): note("post_worker_init", worker.age)
def worker_int(worker): note("worker_int", worker.age)
def worker_abort(worker): note("worker_abort", worker.age)
def child_exit(server, worker): note("child_exit", worker.age)
def worker_exit(server, worker): note("worker_exit", worker.age)
def on_exit(server): note("on_exit")
"""


def calls(server, mark=0):
    path = server.folder / "calls"
    return path.read_text().splitlines()[mark:] if path.exists() else []


def wait_call(server, line, mark=0):
    """Waits for a call, and returns all from the mark to it."""
    def so_far():
        lines = calls(server, mark)
        return lines[:lines.index(line) + 1] if line in lines else None

    return until(so_far, f"{line!r} in {calls(server, mark)}; log:\n{server.log}")


def conf(text):
    return {"gunicorn.conf.py": text}


def test_a_whole_life_in_order(serve):
    server = serve("hello:app", files=conf(CALLS))
    wait_call(server, "post_worker_init worker 1")
    assert server.get().status == 200
    assert server.stop() == 0
    assert calls(server) == [
        "nworkers_changed master 1 None", "on_starting master", "when_ready master", "pre_fork master 1", "post_fork worker 1",
        "post_worker_init worker 1", "worker_exit worker 1", "child_exit master 1", "on_exit master",
    ]


def test_a_change_of_the_number_of_workers(serve):
    server = serve("hello:app", "--log-level", "debug", files=conf(CALLS))
    wait_call(server, "post_worker_init worker 1")
    mark = len(calls(server))
    server.send(signal.SIGTTIN)
    assert wait_call(server, "post_fork worker 2", mark)[:2] == ["nworkers_changed master 2 1", "pre_fork master 2"]
    wait_call(server, "post_worker_init worker 2")
    if not IS_GUNICORN:
        # One that does not serve yet is sent away first.
        server.wait_for("is ready", count=2)
    mark = len(calls(server))
    server.send(signal.SIGTTOU)
    lines = wait_call(server, "child_exit master 1", mark)
    assert lines == ["nworkers_changed master 1 2", "worker_exit worker 1", "child_exit master 1"]


def test_a_reload_calls_the_hooks_of_the_new_file(serve):
    server = serve("hello:app", files=conf(CALLS))
    wait_call(server, "post_worker_init worker 1")
    server.get()
    mark = len(calls(server))
    (server.folder / "gunicorn.conf.py").write_text(CALLS.replace('note("', 'note("new_'))
    server.send(signal.SIGHUP)
    lines = wait_call(server, "new_child_exit master 1", mark)
    # The old worker has the file before.
    assert lines[:3] == ["new_nworkers_changed master 1 1", "new_on_reload master", "new_pre_fork master 2"]
    assert "new_post_worker_init worker 2" in wait_call(server, "new_post_worker_init worker 2", mark)
    assert lines[-2] == "worker_exit worker 1" or "worker_exit worker 1" in lines
    assert server.stop() == 0
    assert calls(server)[-1] == "new_on_exit master"


@pytest.mark.parametrize("to_master", [True, False], ids=["master", "worker"])
def test_a_quick_stop_interrupts_the_worker(serve, to_master):
    server = serve("hello:app", files=conf(CALLS))
    wait_call(server, "post_worker_init worker 1")
    server.get()
    mark = len(calls(server))
    if to_master:
        assert server.stop(signal.SIGINT) == 0
        assert calls(server, mark) == ["worker_int worker 1", "worker_exit worker 1", "child_exit master 1", "on_exit master"]
    else:
        server.send(signal.SIGQUIT, server.workers()[0])
        lines = wait_call(server, "child_exit master 1", mark)
        assert lines == ["worker_int worker 1", "worker_exit worker 1", "child_exit master 1"]
        wait_call(server, "post_worker_init worker 2")


@pytest.mark.parametrize("flags", [["-k", "sync"], pytest.param(["--threads", "3"], marks=only_ferricorn("gunicorn waits for the call"))])
def test_a_quick_stop_in_the_middle_of_a_call_interrupts_too(serve, flags):
    server = serve("features:app", *flags, files=conf(CALLS))
    wait_call(server, "post_worker_init worker 1")
    mark = len(calls(server))
    with server.connect() as client:
        client.send(b"GET /sleep?20 HTTP/1.1\r\nHost: x\r\n\r\n")
        until(lambda: (server.folder / "entered").exists(), "the call")
        time.sleep(0.05)
        assert server.stop(signal.SIGINT) == 0
    assert calls(server, mark) == ["worker_int worker 1", "worker_exit worker 1", "child_exit master 1", "on_exit master"]


def test_a_worker_without_progress_is_aborted(serve):
    server = serve("features:app", "-k", "sync", "-t", "1", files=conf(CALLS))
    wait_call(server, "post_worker_init worker 1")
    mark = len(calls(server))
    with server.connect() as client:
        client.send(b"GET /sleep?20 HTTP/1.1\r\nHost: x\r\n\r\n")
        # Another one may be forked before it has ended.
        lines = [line for line in wait_call(server, "child_exit master 1", mark) if line.endswith(" 1")]
    assert (lines[0], lines[-1]) == ("worker_abort worker 1", "child_exit master 1")
    # gunicorn may have killed it meanwhile.
    assert IS_GUNICORN or lines[1:-1] == ["worker_exit worker 1"]
    assert "WORKER TIMEOUT" in server.log


OBJECTS = """
import json, os
workers, timeout, max_requests, proc_name, backlog = 2, 21, 500, "shop", 77
raw_env = ["COLOUR=blue"]
def tell(where, **facts):
    with open(where, "w") as file:
        json.dump(facts, file)
def when_ready(server):
    tell("ready", pid=server.pid == os.getpid(), workers=server.WORKERS, wanted=server.num_workers, timeout=server.timeout,
         name=server.proc_name, cfg=[server.cfg.workers, server.cfg.timeout, server.cfg.backlog, server.cfg.bind,
                                     server.cfg.max_requests, server.cfg.preload_app, server.cfg.keyfile],
         address=server.address, listeners=[str(one) for one in server.LISTENERS],
         port=[one.getsockname()[1] for one in server.LISTENERS])
    server.custom = "kept"
    server.log.info("ready for %s of them", server.num_workers)
def pre_fork(server, worker):
    worker.brand = f"w{worker.age}"
    if worker.age == 1:
        tell("pre", pid=worker.pid, age=worker.age, booted=worker.booted, custom=server.custom)
def post_worker_init(worker):
    if worker.age == 1:
        tell("post", pid=worker.pid == os.getpid(), ppid=worker.ppid == os.getppid(), brand=worker.brand, nr=worker.nr,
             timeout=worker.timeout, max=worker.max_requests, alive=worker.alive, aborted=worker.aborted,
             colour=os.environ["COLOUR"], name=worker.cfg.proc_name, app=callable(worker.app.wsgi()) and callable(worker.wsgi),
             text=str(worker) == f"<Worker {os.getpid()}>", sockets=len(worker.sockets))
    try:
        1 / 0
    except ZeroDivisionError:
        worker.log.exception("worker %s cannot divide", worker.age)
def child_exit(server, worker):
    if worker.age == 1:
        tell("exit", brand=worker.brand, known=worker.pid in server.WORKERS, left=len(server.WORKERS))
"""


def test_what_hooks_can_see(serve):
    server = serve("hello:app", files=conf(OBJECTS))
    pids = server.wait_workers(2)

    def seen(name):
        until(lambda: (server.folder / name).exists() and (server.folder / name).read_text().endswith("}"), name)
        return json.loads((server.folder / name).read_text())

    ready = seen("ready")
    assert ready["listeners"] and str(ready.pop("port")[0]) in ready.pop("listeners")[0]
    assert ready == {
        "pid": True, "workers": {}, "wanted": 2, "timeout": 21, "name": "shop", "address": [["127.0.0.1", 0]],
        "cfg": [2, 21, 77, ["127.0.0.1:0"], 500, False, None],
    }
    assert seen("pre") == {"pid": "[booting]", "age": 1, "booted": False, "custom": "kept"}
    post = seen("post")
    assert post == {
        "pid": True, "ppid": True, "brand": "w1", "nr": 0, "timeout": 10.5, "max": 500, "alive": True, "aborted": False,
        "colour": "blue", "name": "shop", "app": True, "text": True, "sockets": 1,
    }
    server.wait_for(r"\[INFO\] ready for 2 of them")
    server.wait_for(r"\[ERROR\] worker 1 cannot divide\nTraceback[\s\S]*ZeroDivisionError")
    server.get()
    server.send(signal.SIGTERM, pids[0])
    assert seen("exit") == {"brand": "w1", "known": False, "left": 1}


def test_a_worker_can_be_told_to_leave(serve):
    text = """
def post_fork(server, worker):
    import threading, os, time
    def watch():
        while worker.nr < 2:
            time.sleep(0.01)
        open("left", "w").write(str(os.getpid()))
        worker.alive = False
    threading.Thread(target=watch, daemon=True).start()
"""
    server = serve("hello:pid", files=conf(text))
    first = server.get().text
    server.get()
    until(lambda: server.has("left"), "the order")
    until(lambda: server.get().text not in ("", first), "another worker")
    assert server.stop() == 0


# A hook that fails.


def failing(name, parameters, error="LookupError('no luck')"):
    return f"def {name}({parameters}):\n    raise {error}\n"


@pytest.mark.parametrize("name, parameters, code", [
    ("nworkers_changed", "server, new_value, old_value", 1),
    ("on_starting", "server", 1),
    ("when_ready", "server", 1),
    ("pre_fork", "server, worker", 255),
    ("post_fork", "server, worker", 3),
    ("post_worker_init", "worker", 3),
])
def test_a_hook_that_fails_ends_the_start(serve, name, parameters, code):
    server = serve("hello:app", files=conf(failing(name, parameters)), listening=False)
    server.expected_exit = {code}
    assert server.wait_exit() == code, server.log
    assert "LookupError: no luck" in server.log and "gunicorn.conf.py" in server.log


@pytest.mark.parametrize("name, parameters, code", [("on_exit", "server", 1), ("child_exit", "server, worker", 1)])
def test_a_hook_that_fails_at_the_end_is_seen_in_the_status(serve, name, parameters, code):
    server = serve("hello:app", files=conf(failing(name, parameters)))
    server.expected_exit = {code}
    server.wait_workers(1)
    server.get()
    assert server.stop() == code, server.log
    assert "LookupError: no luck" in server.log


@only_ferricorn("gunicorn's master dies of it, with all its workers")
def test_a_hook_that_fails_in_a_server_that_serves_is_logged(serve):
    server = serve("hello:pid", "-w", "2", files=conf(failing("child_exit", "server, worker")))
    server.expected_exit = {1}
    pids = server.wait_workers(2)
    server.get()
    server.send(signal.SIGKILL, pids[0])
    server.wait_for("Exception in child_exit hook; the server goes on\nTraceback[\\s\\S]*LookupError: no luck")
    server.wait_workers(2, without=[pids[0]])
    assert server.get().status == 200


@only_ferricorn("gunicorn's master dies of it, with all its workers")
def test_a_hook_may_end_the_server_at_any_time(serve):
    server = serve("hello:app", files=conf(failing("child_exit", "server, worker", "SystemExit(7)")))
    server.expected_exit = {7}
    [pid] = server.wait_workers(1)
    server.get()
    server.send(signal.SIGKILL, pid)
    assert server.wait_exit() == 7


@only_ferricorn("gunicorn's master dies of it, with all its workers")
@pytest.mark.parametrize("flags", [[], ["--preload"]], ids=["import", "preload"])
def test_a_pre_fork_that_fails_at_a_reload_fails_the_reload(serve, flags):
    server = serve("hello:pid", *flags, files=conf(CALLS))
    [pid] = server.wait_workers(1)
    wait_call(server, "post_worker_init worker 1")
    (server.folder / "gunicorn.conf.py").write_text(failing("pre_fork", "server, worker"))
    server.send(signal.SIGHUP)
    server.wait_for("Exception in pre_fork hook\nTraceback[\\s\\S]*LookupError: no luck[\\s\\S]*"
                    "Reload failed: the pre_fork hook of the new configuration has failed. 1 worker goes on")
    assert server.get().text == str(pid)
    # The hooks of the file before serve on.
    server.send(signal.SIGKILL, pid)
    wait_call(server, "child_exit master 1")
    server.wait_workers(1, without=[pid])
    (server.folder / "gunicorn.conf.py").write_text("")
    server.send(signal.SIGHUP)
    server.wait_for("Reloaded")


@only_ferricorn("gunicorn's master dies of it, with all its workers")
def test_a_child_exit_that_fails_for_the_workers_before_a_reload_is_logged(serve):
    server = serve("hello:pid", files=conf(""))
    server.expected_exit = {1}
    [pid] = server.wait_workers(1)
    server.get()
    (server.folder / "gunicorn.conf.py").write_text(failing("child_exit", "server, worker"))
    server.send(signal.SIGHUP)
    server.wait_for("Exception in child_exit hook; the server goes on")
    [after] = server.wait_workers(1, without=[pid])
    until(lambda: server.get().text == str(after), "the new worker")


def test_a_worker_exit_that_fails_is_a_warning(serve):
    server = serve("hello:app", files=conf(failing("worker_exit", "server, worker")))
    server.wait_workers(1)
    server.get()
    assert server.stop() == 0
    server_log = server.log
    assert "[WARNING] Exception during worker exit:\nTraceback" in server_log and "LookupError: no luck" in server_log


@only_ferricorn("gunicorn's master dies of it, with all its workers")
@pytest.mark.parametrize("hook", ["on_reload(server)", "nworkers_changed(server, new_value, old_value)"])
def test_a_hook_that_fails_at_a_reload_leaves_the_workers_alone(serve, hook):
    server = serve("hello:pid", files=conf(""))
    [pid] = server.wait_workers(1)
    name, _, parameters = hook.rstrip(")").partition("(")
    (server.folder / "gunicorn.conf.py").write_text(failing(name, parameters))
    server.send(signal.SIGHUP)
    server.wait_for(f"Reload failed, the workers go on as before: Exception in {name} hook")
    assert server.get().text == str(pid)
    (server.folder / "gunicorn.conf.py").write_text("")
    server.send(signal.SIGHUP)
    server.wait_workers(1, without=[pid])


def test_a_hook_may_end_the_process_with_a_status(serve):
    server = serve("hello:app", files=conf(failing("on_starting", "server", "SystemExit(7)")), listening=False)
    server.expected_exit = {7}
    assert server.wait_exit() == 7


@pytest.mark.parametrize("text, message", [
    ("def post_fork(worker): pass\n", "Value must have an arity of: 2"),
    ("def post_fork(a, b, c): pass\n", "Value must have an arity of: 2"),
    ("post_fork = 'no.such.module'\n", "no.such"),
    ("post_fork = 5\n", "5"),
])
def test_a_hook_that_cannot_be_called_is_told_before_the_start(cli, text, message):
    done = cli("-b", "127.0.0.1:0", "hello:app", files=conf(text))
    assert done.returncode == 1
    assert message in done.stderr and "post_fork" in done.stderr
    assert "Traceback" not in done.stderr and "Booting" not in done.stderr


LESSER = """
import json, socket
def when_ready(server):
    facts = dict(settings=[server.cfg.settings["workers"].get(), server.cfg.settings["timeout"].value],
                 family=server.LISTENERS[0].family == socket.AF_INET == server.LISTENERS[0].sock.family, uri=server.app.app_uri,
                 pidfile=server.pidfile.fname, classes=[server.cfg.worker_class.__name__, server.worker_class.__name__])
    with open("facts", "w") as file:
        json.dump(facts, file)
def post_worker_init(worker):
    assert worker.tmp.last_update() > 0
    worker.tmp.notify()
    worker.log.info("shows that it lives")
def worker_int(worker):
    worker.log.info("alive: %s", worker.alive)
"""


def test_what_few_hooks_look_at(serve):
    server = serve("hello:app", "-k", "gthread", "--threads", "2", "--pid", "mine.pid", files=conf(LESSER))
    server.wait_for("shows that it lives")
    assert json.loads((server.folder / "facts").read_text()) == {
        "settings": [1, 30], "family": True, "uri": "hello:app", "pidfile": "mine.pid", "classes": ["ThreadWorker", "ThreadWorker"],
    }
    server.get()
    server.send(signal.SIGQUIT, server.workers()[0])
    server.wait_for("alive: False")


def test_on_starting_may_say_how_many_workers_there_are(serve):
    server = serve("hello:app", files=conf("def on_starting(server): server.num_workers = 3"))
    assert len(server.wait_workers(3)) == 3


def test_the_headers_of_a_response_have_the_names_that_apps_write(serve):
    app = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2"), ("X-Any", "1")])
    return [b"ok"]
"""
    hook = 'def post_request(worker, req, environ, resp): worker.log.info("headers %s", sorted(resp.headers)[:3])'
    server = serve(app, files=conf(hook))
    server.get()
    server.wait_for(re.escape("headers [('Content-Length', '2'), ('Content-Type', 'text/plain'), ('X-Any', '1')]"))


@only_ferricorn("gunicorn sends names as they are")
def test_the_names_of_headers_are_in_lower_case_on_the_wire(serve):
    server = serve("def app(environ, start_response):\n    start_response('200 OK', [('X-Any', '1')])\n    return []\n")
    assert ("x-any", "1") in [tuple(field) for field in server.get().headers]


def test_a_hook_may_be_named(serve):
    files = {**conf("import sys; sys.path.insert(0, '.')\npost_fork = 'mine.hooks.forked'\n"), "mine/__init__.py": "",
             "mine/hooks.py": "def forked(server, worker):\n    worker.log.info('forked as %s', worker.age)\n"}
    server = serve("hello:app", files=files)
    server.wait_for("forked as 1")


# The hooks of each request.


REQUESTS = """
import json
def pre_request(worker, req):
    note = dict(hook="pre", method=req.method, uri=req.uri, path=req.path, query=req.query, fragment=req.fragment, version=req.version,
                scheme=req.scheme, peer=req.peer_addr[0], headers=[one for one in req.headers if one[0].startswith("X-")])
    open("notes", "a").write(json.dumps(note) + "\\n")
    if req.path == "/forbidden":
        raise LookupError("not this one")
    req.mark = "seen"
def post_request(worker, req, environ, resp):
    note = dict(hook="post", mark=getattr(req, "mark", None), nr=worker.nr, path=environ and environ.get("PATH_INFO"),
                status=resp and resp.status, code=resp and getattr(resp, "status_code", None), sent=resp and resp.sent, length=resp and resp.response_length,
                type=resp and dict((name.lower(), value) for name, value in resp.headers).get("content-type"))
    open("notes", "a").write(json.dumps(note) + "\\n")
    if "fail" in req.query:
        raise LookupError("after all")
"""


def notes(server, count):
    """Waits for so many notes of the hooks."""
    path = server.folder / "notes"

    def so_far():
        lines = path.read_text().split("\n")[:-1] if path.exists() else []
        return lines if len(lines) >= count else None

    return [json.loads(line) for line in until(so_far, f"{count} notes; log:\n{server.log}")]


def test_the_hooks_of_a_request(serve):
    server = serve("features:app", files=conf(REQUESTS))
    assert server.get("/?a=%20b", [("X-One", "1"), ("x-two", "zwei")]).body == b"hello"
    before, after = notes(server, 2)
    assert before == {
        "hook": "pre", "method": "GET", "uri": "/?a=%20b", "path": "/", "query": "a=%20b", "fragment": "", "version": [1, 1],
        "scheme": "http", "peer": "127.0.0.1", "headers": [["X-ONE", "1"], ["X-TWO", "zwei"]],
    }
    assert after == {"hook": "post", "mark": "seen", "nr": 1, "path": "/", "status": "200 OK", "code": 200, "sent": 5, "length": 5,
                     "type": "text/plain"}


STREAMED = """
import os
def app(environ, start_response):
    if environ["PATH_INFO"] == "/raises":
        raise ValueError("broken")
    start_response("207 Of Its Own", [("Content-Type", "text/x-parts")])
    def parts():
        yield b"one"
        yield b"three"
    return parts()
"""


def test_post_request_comes_after_the_last_piece(serve):
    server = serve(STREAMED, "--access-logfile", "-", files=conf(REQUESTS))
    assert server.get("/parts").body == b"onethree"
    after = notes(server, 2)[1]
    assert (after["status"], after["code"], after["sent"], after["length"], after["type"]) == (
        "207 Of Its Own", 207, 8, None, "text/x-parts")


def test_a_pre_request_that_fails_is_a_500_and_the_app_is_not_called(serve):
    server = serve("features:app", files=conf(REQUESTS))
    assert server.get("/forbidden").status == 500
    server.wait_for("Error handling request (GET )?/forbidden\nTraceback[\\s\\S]*LookupError: not this one")
    before, after = notes(server, 2)
    assert (before["path"], after["hook"], after["mark"]) == ("/forbidden", "post", None)
    assert server.get().body == b"hello"


def test_a_post_request_that_fails_is_logged(serve):
    server = serve("features:app", files=conf(REQUESTS))
    assert server.get("/?fail").body == b"hello"
    server.wait_for("Exception in post_request hook\nTraceback[\\s\\S]*LookupError: after all")
    assert server.get().body == b"hello"


@pytest.mark.parametrize("app, flags", [
    ("features:app", ["-k", "gthread"]),
    pytest.param("features:app", ["-k", "gevent"], marks=only_ferricorn("it is lost in gunicorn's hub")),
    pytest.param("features_asgi:app", [], marks=only_ferricorn("its ASGI worker is another one, which the tests of ASGI stand for")),
])
@pytest.mark.parametrize("error, code", [("SystemExit(5)", 5), ("SystemExit('why')", 1)])
def test_a_post_request_may_end_the_worker_with_a_status(serve, app, flags, error, code):
    server = serve(app, *flags, files=conf(f"def post_request(worker, req):\n    if req.path == '/last':\n        raise {error}\n"))
    workers = server.wait_workers(1)
    with server.connect() as client:
        client.send(b"GET /last HTTP/1.1\r\nHost: x\r\n\r\n").response()
    server.wait_for(rf"Worker \(pid:{workers[0]}\) exited with code {code}")
    server.wait_workers(1, without=workers)
    assert server.get().status == 200


def test_post_request_is_called_if_the_app_fails(serve):
    server = serve(STREAMED, files=conf(REQUESTS))
    assert server.get("/raises").status == 500
    assert notes(server, 2)[1]["path"] == "/raises"


SEEN = """
import threading
def post_request(worker, req, environ):
    open("threads", "a").write(f"{environ['thread'] == threading.get_ident()} {req.path}\\n")
"""
ON_THREADS = """
import threading
import time
def app(environ, start_response):
    environ["thread"] = threading.get_ident()
    time.sleep(0.005)
    start_response("200 OK", [])
    return iter([b"one", b"two"]) if environ["PATH_INFO"] == "/parts" else [b"whole"]
"""


def test_post_request_is_called_on_the_thread_of_its_request(serve):
    server = serve(ON_THREADS, "-k", "gthread", "--threads", "4", files=conf(SEEN))
    with server.load("/parts", clients=4, limit=1000) as parts, server.load("/whole", clients=4, limit=1000) as whole:
        parts.wait_answered(20)
        whole.wait_answered(20)
    lines = until(lambda: (lines := server.noted("threads").splitlines()) and len(lines) >= 40 and lines, "the hooks")
    assert {line.split()[0] for line in lines} == {"True"}


@pytest.mark.parametrize("parameters", ["worker, req", "worker, req, environ", "worker, req, environ, resp"])
def test_post_request_may_take_less(serve, parameters):
    text = f"def post_request({parameters}):\n    worker.log.info('over: %s, %s', req.path, [{parameters}].index(req) == 1)\n"
    server = serve("features:app", files=conf(text))
    server.get("/")
    server.wait_for("over: /, True")


def test_hooks_of_many_requests_on_one_connection(serve):
    server = serve("features:app", files=conf(REQUESTS))
    with server.connect() as client:
        for _ in range(5):
            client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.response().body == b"hello"
    assert [note["hook"] for note in notes(server, 10)].count("post") == 5
    assert server.stop() == 0
    assert len(notes(server, 10)) == 10


def test_a_post_request_is_not_lost_at_the_end_of_its_worker(serve):
    server = serve("features:app", "--max-requests", "1", files=conf(REQUESTS))
    for number in range(1, 4):
        assert server.get("/").body == b"hello"
        assert len(notes(server, 2 * number)) == 2 * number


@only_ferricorn("its ASGI worker is another one, which the tests of ASGI stand for")
def test_the_hooks_of_requests_to_an_asgi_app(serve, loop):
    server = serve("features_asgi:app", "--asgi-loop", loop, files=conf(REQUESTS))
    assert server.get("/?a=b").status == 200
    before, after = notes(server, 2)
    assert (before["path"], before["query"], after["mark"], after["status"], after["path"]) == ("/", "a=b", "seen", "200 OK", None)
    assert after["sent"] == after["length"]
    assert server.get("/forbidden").status == 500
    server.wait_for("LookupError: not this one")
    notes(server, 4)
    with server.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").response()
        assert server.stop() == 0
    assert [note["hook"] for note in notes(server, 6)] == ["pre", "post"] * 3


# What hooks are for.


PROMETHEUS = """
import os
os.makedirs("metrics", exist_ok=True)
os.environ["PROMETHEUS_MULTIPROC_DIR"] = "metrics"
from prometheus_client import multiprocess
def child_exit(server, worker):
    multiprocess.mark_process_dead(worker.pid)
"""

COUNTING = """
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest, multiprocess
SEEN = Counter("seen", "Requests")
LIVE = Gauge("living", "Workers", multiprocess_mode="liveall")
LIVE.set(1)
def app(environ, start_response):
    if environ["PATH_INFO"] == "/metrics":
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)
        body = generate_latest(registry)
    else:
        SEEN.inc()
        body = b"counted"
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""


def test_prometheus_forgets_the_gauges_of_workers_that_are_gone_and_keeps_their_counts(serve):
    pytest.importorskip("prometheus_client")
    server = serve(COUNTING, "-w", "2", files=conf(PROMETHEUS))
    pids = server.wait_workers(2)
    until(lambda: server.get("/metrics").text.count("living{pid=") == 2, "both workers' gauges")
    for _ in range(6):
        server.get()
    server.send(signal.SIGKILL, pids[0])
    server.wait_workers(2, without=pids[:1])
    until(lambda: f'living{{pid="{pids[0]}"}}' not in server.get("/metrics").text, "the end of the dead one's gauge")
    metrics = server.get("/metrics").text
    assert "seen_total 6.0" in metrics and f'living{{pid="{pids[1]}"}}' in metrics


TRACING = """
def post_fork(server, worker):
    from opentelemetry import trace
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
    provider = TracerProvider(resource=Resource.create({"service.name": "shop", "worker": worker.age}))
    exporter = ConsoleSpanExporter(out=open("spans", "a"), formatter=lambda span: span.to_json(indent=None) + "\\n")
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    worker.provider = provider
def worker_exit(server, worker):
    worker.provider.shutdown()
"""

TRACED = """
from opentelemetry import trace
def app(environ, start_response):
    with trace.get_tracer("app").start_as_current_span(environ["PATH_INFO"]):
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "6")])
        return [b"traced"]
"""


def test_opentelemetry_exports_from_a_thread_of_each_worker(serve):
    pytest.importorskip("opentelemetry.sdk")
    server = serve(TRACED, files=conf(TRACING))
    assert server.get("/one").text == server.get("/two").text == "traced"
    assert server.stop() == 0
    spans = [json.loads(line) for line in (server.folder / "spans").read_text().splitlines()]
    assert [span["name"] for span in spans] == ["/one", "/two"]
    assert {span["resource"]["attributes"]["worker"] for span in spans} == {1}


@only_ferricorn("its ASGI worker is another one, which the tests of ASGI stand for")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_hooks_of_an_asgi_app(serve, loop, number):
    server = serve("features_asgi:app", "--asgi-loop", loop, files=conf(CALLS))
    wait_call(server, "post_worker_init worker 1")
    assert server.get().status == 200
    mark = len(calls(server))
    assert server.stop(number) == 0
    interrupted = ["worker_int worker 1"] if number == signal.SIGINT else []
    assert calls(server, mark) == [*interrupted, "worker_exit worker 1", "child_exit master 1", "on_exit master"]


def test_threads_of_the_master_run_while_it_waits(serve):
    text = """
def when_ready(server):
    import threading, time
    def tick():
        for number in range(3):
            time.sleep(0.05)
        open("ticked", "w").close()
    threading.Thread(target=tick, daemon=True).start()
"""
    server = serve("hello:app", files=conf(text))
    until(lambda: server.has("ticked"), "a thread of the master")
    assert server.get().status == 200
