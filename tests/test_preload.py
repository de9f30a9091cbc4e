"""`--preload`: the app is imported once, by a mold, and workers are forked from that."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness import IS_GUNICORN, alive, children, descriptors, gone, title, until
from test_hooks import CALLS, calls, conf, wait_call

only_ferricorn = pytest.mark.only_ferricorn
EXAMPLES = Path(__file__).parent.parent / "examples"

# Notes where it is imported, and says in which process it was, which it is in now, and its version.
SITE = """
import json, os
IMPORTED = os.getpid()
with open("imports", "a") as file:
    file.write(f"{IMPORTED}\\n")
def app(environ, start_response):
    body = json.dumps({"imported": IMPORTED, "pid": os.getpid(), "parent": os.getppid(), "version": "one",
                       "multiprocess": environ["wsgi.multiprocess"], "multithread": environ["wsgi.multithread"],
                       "script_name": environ["SCRIPT_NAME"]}).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


def site(text=SITE, **files):
    return {"site_code.py": text, **{name.replace("_py", ".py"): more for name, more in files.items()}}


def imports(server):
    return [int(line) for line in (server.folder / "imports").read_text().split()]


def molds(server):
    """The pids of its molds, oldest first."""
    return [pid for pid in children(server.pid) if title(pid).startswith("ferricorn: mold")]


def change(server, old="one", new="two"):
    path = server.folder / "site_code.py"
    path.write_text(path.read_text().replace(old, new))


def test_the_app_is_imported_once_for_all_workers(serve):
    server = serve("site_code:app", "--preload", "-w", "3", files=site())
    workers = server.wait_workers(3)
    said = server.get().json()
    assert len(imports(server)) == 1
    assert said["imported"] == imports(server)[0] != said["pid"] and said["pid"] in workers
    assert said["parent"] == server.pid and said["multiprocess"] is True
    assert said["multithread"] is False and said["script_name"] == ""


def test_what_was_made_before_the_fork_is_that_of_the_settings_all_the_same(serve):
    server = serve("site_code:app", "--preload", "-k", "gthread", "--threads", "2", env={"SCRIPT_NAME": "/shop"}, files=site())
    said = server.get("/shop/").json()
    assert said["multiprocess"] is False and said["multithread"] is True and said["script_name"] == "/shop"


def test_a_config_file_may_say_so(serve):
    server = serve("site_code:app", "-w", "2", files=site() | conf("preload_app = True\n"))
    server.wait_workers(2)
    assert server.get().json()["imported"] == imports(server)[0]
    assert len(imports(server)) == 1


def test_a_worker_that_dies_is_replaced_without_an_import(serve):
    server = serve("site_code:app", "--preload", "-w", "2", files=site())
    workers = server.wait_workers(2)
    server.get()
    server.send(signal.SIGKILL, workers[0])
    server.wait_workers(2, without=workers[:1])
    assert server.get().status == 200
    assert len(imports(server)) == 1


@pytest.mark.parametrize("app, source, code, message", [
    ("site_code:app", "def app(\n", 1, r"SyntaxError"),
    ("site_code:app", "raise LookupError('no luck')\n", 1, r"LookupError: no luck"),
    ("no_such_module:app", "", 1, r"No module named 'no_such_module'"),
    ("site_code:app", "raise SystemExit(7)\n", 7, ""),
    ("site_code:app", "raise SystemExit\n", 0, ""),
    ("site_code:nothing", "", 1, r"Failed to find attribute 'nothing' in 'site_code'"),
])
def test_an_app_that_cannot_be_imported_ends_the_start(serve, app, source, code, message):
    server = serve(app, "--preload", "-w", "2", files=site(source), listening=False)
    server.expected_exit = {code}
    assert server.wait_exit() == code
    assert message in server.log
    if not IS_GUNICORN:
        assert server.log.count("Traceback") == ("raise" in source)
        assert "Reason: App failed to load." in server.log


IMPORTING = """
import os
AT_IMPORT = os.environ.get("COLOUR", "none")
def app(environ, start_response):
    start_response("200 OK", [])
    return [f"{AT_IMPORT} {os.environ.get('COLOUR', 'none')}".encode()]
"""


def test_raw_env_is_set_when_the_app_is_imported(serve):
    server = serve(IMPORTING, "--preload", files=conf('raw_env = ["COLOUR=blue"]\n'), env={"COLOUR": "grey"})
    assert server.get().text == "blue blue"


@only_ferricorn("gunicorn does not import a preloaded app again")
def test_raw_env_of_a_reload_is_set_for_the_next_import(serve):
    server = serve(IMPORTING, "--preload", files=conf('raw_env = ["COLOUR=blue"]\n'))
    pids = server.wait_workers(1)
    (server.folder / "gunicorn.conf.py").write_text('raw_env = ["COLOUR=red"]\n')
    server.send(signal.SIGHUP)
    pids += server.wait_workers(1, without=pids)
    until(lambda: server.get().text == "red red", "the new worker")
    (server.folder / "gunicorn.conf.py").write_text("")
    server.send(signal.SIGHUP)
    server.wait_workers(1, without=pids)
    until(lambda: server.get().text == "none none", "the newest worker")


# What gunicorn cannot do: it imports the app in its master, once and for all.


@only_ferricorn("gunicorn does not import a preloaded app again")
def test_hup_brings_new_code_and_loses_no_request(serve):
    server = serve("site_code:app", "--preload", "-w", "2", files=site())
    workers = server.wait_workers(2)
    old = until(lambda: molds(server), "the mold")
    with server.load("/", clients=4, limit=60000) as load, server.load("/", clients=2, keepalive=False, limit=60000) as new:
        load.wait_answered(50)
        for version in ("two", "three"):
            change(server, "one" if version == "two" else "two", version)
            mark = server.mark()
            server.send(signal.SIGHUP)
            server.wait_for("Reloaded: a worker with the new code is ready", after=mark)
            workers = server.wait_workers(2, without=workers)
            load.wait_answered(50)
    assert load.failures == new.failures == [] and load.refused == new.refused == 0
    assert server.get().json()["version"] == "three"
    assert len(imports(server)) == 3 and "ERROR" not in server.log and "WARNING" not in server.log
    until(lambda: len(molds(server)) == 1 and gone(old[0]), "the old molds are gone")


@only_ferricorn("gunicorn does not import a preloaded app again")
def test_hup_onto_an_import_that_hangs_shows_where(serve):
    server = serve("site_code:app", "--preload", "--boot-timeout", "1", files=site())
    workers = server.wait_workers(1)
    server.get()
    (server.folder / "site_code.py").write_text("import time\ndef dream():\n    time.sleep(1000)\ndream()\n")
    server.send(signal.SIGHUP)
    server.wait_for(r"Mold \(pid:\d+\) has not loaded the app after \S+ s \(--boot-timeout\), and is killed; this is where it is\n"
                    r"(.|\n)*Stack of mold \(pid:\d+\):\n(.|\n)* in dream\n(.|\n)*"
                    r"Reload failed: no worker was ready within 1\.0 s \(--boot-timeout\)\. 1 worker goes on")
    assert server.workers() == workers
    until(lambda: len(molds(server)) == 1, "one mold is left")


@only_ferricorn("gunicorn does not import a preloaded app again")
@pytest.mark.parametrize("broken", ["def app(\n", "import no_such_module\n", "raise SystemExit(7)\n", "app = 5\n"])
def test_hup_onto_code_that_does_not_import_keeps_the_old_workers(serve, broken):
    server = serve("site_code:app", "--preload", "-w", "2", "--log-level", "debug", files=site())
    workers = server.wait_workers(2)
    server.wait_for("is ready", count=2)
    (server.folder / "site_code.py").write_text(broken)
    server.send(signal.SIGHUP)
    server.wait_for(r"\[ERROR\] Reload failed: mold \(pid:\d+\) could not load the app, and has logged why\. 2 workers go on")
    assert server.wait_workers(2) == workers and server.get().json()["version"] == "one"
    # The old mold forks what the new code could not.
    server.send(signal.SIGKILL, workers[0])
    workers += server.wait_workers(2, without=workers[:1])
    assert server.get().json()["version"] == "one"
    (server.folder / "site_code.py").write_text(SITE.replace("one", "two"))
    mark = server.mark()
    server.send(signal.SIGHUP)
    server.wait_for("Reloaded: a worker with the new code is ready", after=mark)
    server.wait_workers(2, without=workers)
    assert server.get().json()["version"] == "two"


@only_ferricorn("gunicorn has no mold")
def test_a_mold_that_is_killed_is_replaced_and_its_workers_go_on(serve):
    server = serve("site_code:app", "--preload", "-w", "2", files=site())
    workers = server.wait_workers(2)
    with server.load("/", clients=2, limit=60000) as load:
        load.wait_answered(20)
        mold, = molds(server)
        server.send(signal.SIGKILL, mold)
        server.wait_for(rf"\[ERROR\] Mold \(pid:{mold}\) was sent SIGKILL! ")
        server.wait_for("Booting mold with pid: ", count=2)
        load.wait_answered(20)
    assert load.failures == [] and server.wait_workers(2) == workers
    server.send(signal.SIGKILL, workers[1])
    server.wait_workers(2, without=workers[1:])
    assert server.get().status == 200 and len(imports(server)) == 2


@only_ferricorn("gunicorn has no mold")
def test_what_is_for_the_master_does_nothing_to_the_others_of_its_group(serve):
    server = serve("site_code:app", "-w", "2", "--preload", files=site())
    workers, mold = set(server.wait_workers(2)), molds(server)
    for pid in [*workers, *mold]:
        for number in (signal.SIGHUP, signal.SIGUSR2):
            server.send(number, pid)
    # Each answers after that: one that has a client leaves the next one to the other.
    with ExitStack() as clients:
        def answered():
            client = clients.enter_context(server.connect())
            return client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").response().json()["pid"]

        served = set()
        until(lambda: served.add(answered()) or served >= workers, "an answer of each")
    assert set(server.workers()) == workers and molds(server) == mold


def test_a_mold_that_hangs_does_not_hold_up_a_stop(serve):
    source = "import time\nopen('entered', 'w').close()\ntime.sleep(60)\n"
    server = serve("site_code:app", "--preload", files=site(source))
    until(lambda: server.has("entered"), "the import")
    assert server.stop() == 0
    assert "ERROR" not in server.log


@only_ferricorn("gunicorn has no mold")
def test_an_import_that_hangs_is_shown_and_tried_again(serve):
    source = "import os, time\nif not os.path.exists('mended'):\n    time.sleep(60)\nfrom hello import app\n"
    server = serve("site_code:app", "--preload", "--boot-timeout", "1", files=site(source))
    server.wait_for(r"\[CRITICAL\] Mold \(pid:\d+\) has not loaded the app after [1-9]\.\d s \(--boot-timeout\), and is killed")
    server.wait_for(r"\[CRITICAL\] Stack of mold \(pid:\d+\):\n.*\n(.*\n)*?.*site_code\.py\", line 3 in <module>")
    server.touch("mended")
    assert server.get().status == 200


@only_ferricorn("gunicorn has no mold")
def test_a_mold_dies_with_its_master(serve):
    source = "import time\nopen('entered', 'w').close()\ntime.sleep(60)\n"
    server = serve("site_code:app", "--preload", files=site(source))
    server.expected_exit = {-signal.SIGKILL}
    until(lambda: server.has("entered"), "the import")
    mold, = molds(server)
    server.send(signal.SIGKILL)
    until(lambda: not alive(mold), "the end of the mold")


@only_ferricorn("gunicorn has no mold")
def test_twenty_reloads_leave_nothing_behind(serve):
    server = serve("site_code:app", "--preload", "-w", "1", files=site())
    workers = server.wait_workers(1)
    server.get()

    def reload():
        nonlocal workers
        mark = server.mark()
        server.send(signal.SIGHUP)
        server.wait_for("Reloaded: a worker with the new code is ready", after=mark)
        workers = server.wait_workers(1, without=workers)

    reload()
    until(lambda: len(children(server.pid)) == 2, "a worker and a mold")
    before = descriptors(server.pid)
    for _ in range(4):
        reload()
    until(lambda: len(children(server.pid)) == 2, "a worker and a mold")
    until(lambda: descriptors(server.pid) == before, "no descriptor more")


@only_ferricorn("gunicorn logs from its master")
def test_usr1_reaches_the_mold(serve):
    server = serve("site_code:app", "--preload", "--error-logfile", "error.log", files=site(), listening=False)
    log = server.folder / "error.log"
    until(lambda: log.exists() and "Booting worker" in log.read_text(), "the log")
    log.rename(server.folder / "error.log.1")
    os.kill(server.pid, signal.SIGUSR1)
    until(log.exists, "a new log")
    os.kill(server.pid, signal.SIGTTIN)
    # The worker inherits the log of its mold.
    until(lambda: "Booting worker" in log.read_text(), "a line of the new worker in the new log")


# Hooks.


def test_hooks_run_where_they_are_meant_to(serve):
    server = serve("hello:app", "--preload", files=conf(CALLS.replace('"worker"', '("worker" if name != "pre_fork" else "mold")')))
    wait_call(server, "post_worker_init worker 1")
    assert server.get().status == 200
    assert server.stop() == 0
    told = calls(server)
    if IS_GUNICORN:
        told = [line.replace("pre_fork master", "pre_fork mold") for line in told]
    assert told == [
        "nworkers_changed master 1 None", "on_starting master", "when_ready master", "pre_fork mold 1", "post_fork worker 1",
        "post_worker_init worker 1", "worker_exit worker 1", "child_exit master 1", "on_exit master",
    ]


SEEN = """
import json
def tell(where, **facts):
    with open(where, "w") as file:
        json.dump(facts, file)
def when_ready(server):
    server.from_master = "when_ready"
def pre_fork(server, worker):
    worker.from_mold = server.from_master + "+pre_fork"
def post_fork(server, worker):
    import os
    tell("born", pid=worker.pid == os.getpid(), ppid=[worker.ppid, server.pid, os.getppid()], age=worker.age, said=worker.from_mold)
def child_exit(server, worker):
    tell("gone", age=worker.age, pid=worker.pid, known=len(server.WORKERS))
"""


def test_what_hooks_see(serve):
    server = serve("hello:app", "--preload", "-w", "2", files=conf(SEEN))
    first, second = server.wait_workers(2)
    born = json.loads(server.noted("born"))
    assert born["pid"] is True and born["said"] == "when_ready+pre_fork" and set(born["ppid"]) == {server.pid}
    server.get()
    server.send(signal.SIGTERM, first)
    gone = json.loads(server.noted("gone"))
    assert gone["pid"] == first and gone["age"] == 1
    server.wait_workers(2, without=[first])


@only_ferricorn("gunicorn calls it in its master")
def test_a_pre_fork_that_fails_ends_the_start(serve):
    server = serve("hello:app", "--preload", files=conf("def pre_fork(server, worker):\n    raise LookupError('no luck')\n"))
    server.expected_exit = {255}
    assert server.wait_exit() == 255
    assert "Unhandled exception in main loop (pre_fork hook)" in server.log and "LookupError: no luck" in server.log


@only_ferricorn("gunicorn says nothing")
def test_what_the_import_left_behind_is_named(serve):
    source = """
import asyncio, socket, threading, time
from hello import app
threading.Thread(target=time.sleep, args=(600,), name="poller", daemon=True).start()
listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
loop = asyncio.new_event_loop()
closed = asyncio.new_event_loop()
closed.close()
"""
    server = serve("site_code:app", "--preload", files=site(source))
    line = server.wait_for(r"\[WARNING\] The import of 'site_code:app' left behind (.*)").group(1)
    assert "threads, which do not run in workers: poller;" in line
    assert "connections, which all workers would share: 127.0.0.1:" in line
    assert line.count("EventLoop running=False closed=False") == 1 and "docs/preload.md" in line
    assert server.get().status == 200


@only_ferricorn("gunicorn says nothing")
def test_an_import_that_leaves_nothing_behind_is_no_news(serve):
    server = serve("site_code:app", "--preload", files=site("import asyncio, threading\nfrom hello import app\n"))
    server.get()
    assert "left behind" not in server.log


@only_ferricorn("gunicorn leaves the heap to the app")
def test_the_heap_is_frozen_and_what_was_printed_comes_once(serve):
    source = """
import gc
print("imported")
def app(environ, start_response):
    start_response("200 OK", [])
    return [str(gc.get_freeze_count()).encode()]
"""
    server = serve("site_code:app", "--preload", "-w", "3", files=site(source))
    server.wait_workers(3)
    assert int(server.get().text) > 1000
    assert server.stop() == 0
    assert server.stdout.read_text().count("imported") == 1


# Each text, function and tuple is used by a request, and so would be written to by each worker.
MUCH = """
import os, re
def make(number):
    def function(text=f"the text of function {number}, which is a little longer"):
        return text
    return function
FUNCTIONS = [make(number) for number in range(30000)]
class Ending:
    def __del__(self):
        with open("ended", "a") as file:
            file.write(f"{os.getpid()}\\n")
HELD = [Ending()]
def private():
    with open("/proc/self/smaps_rollup") as file:
        return int(re.search(r"Private_Dirty: +([0-9]+) kB", file.read())[1])
def app(environ, start_response):
    if environ["PATH_INFO"] == "/drop":
        HELD.clear()
        body = str(os.getpid())
    else:
        used = sum(len(function()) for function in FUNCTIONS)
        body = f"{used} {private()}"
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body.encode()]
"""


@only_ferricorn("gunicorn leaves the heap to the app")
@pytest.mark.skipif(sys.version_info < (3, 12), reason="CPython has immortal objects since 3.12")
def test_workers_share_the_code_and_constants_that_they_use(serve):
    server = serve("site_code:app", "--preload", files=site(MUCH))
    # Functions, their texts and tuples are more than 8 MiB, which a worker that counts references would make its own.
    used, private = map(int, server.get().text.split())
    assert used > 30000 * 40 and private < 4 * 1024
    assert server.stop() == 0


def test_what_is_not_code_ends_when_it_is_dropped(serve):
    server = serve("site_code:app", "--preload", files=site(MUCH))
    pid = server.get("/drop").text
    assert (server.folder / "ended").read_text().split() == [pid]


ASGI = """
import asyncio, os
IMPORTED, SEEN = os.getpid(), {}
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        SEEN["lifespan"] = os.getpid()
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        return await send({"type": "lifespan.shutdown.complete"})
    await asyncio.sleep(0.001)
    body = f"{IMPORTED} {SEEN['lifespan']} {os.getpid()}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(body)).encode())]})
    await send({"type": "http.response.body", "body": body})
"""


@only_ferricorn("gunicorn's default worker is for WSGI")
@pytest.mark.parametrize("flags", [[], ["-k", "asgi"]], ids=["auto", "asgi"])
def test_an_asgi_app_is_imported_in_the_mold_and_its_loop_made_in_the_worker(serve, loop, flags):
    server = serve("site_code:app", "--preload", "-w", "2", "--asgi-loop", loop, *flags, files=site(ASGI))
    workers = server.wait_workers(2)
    imported, lifespan, pid = map(int, server.get().text.split())
    assert imported == molds(server)[0] and lifespan == pid in workers
    server.send(signal.SIGHUP)
    server.wait_workers(2, without=workers)
    assert int(server.get().text.split()[0]) != imported
    assert "WARNING" not in server.log and "ERROR" not in server.log


GREENLETS = """
import os, threading, time
from gevent import getcurrent, monkey
IMPORTED, PATCHED = os.getpid(), monkey.is_module_patched("socket")
def app(environ, start_response):
    time.sleep(0.3)
    start_response("200 OK", [])
    return [f"{IMPORTED} {PATCHED} {type(getcurrent()).__name__} {os.getpid()}".encode()]
"""


@only_ferricorn("gunicorn patches after the import")
def test_greenlets(serve):
    server = serve("site_code:app", "--preload", "-w", "2", "-k", "gevent", files=site(GREENLETS))
    workers = server.wait_workers(2)
    # Both workers answer, and all requests at the same time.
    clients = [server.connect().send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n") for _ in range(40)]
    begin = time.monotonic()
    answers = [client.response().text.split() for client in clients]
    assert time.monotonic() - begin < 5
    assert {int(answer[0]) for answer in answers} == set(molds(server)) and {answer[1] for answer in answers} == {"True"}
    assert {int(answer[3]) for answer in answers} <= set(workers)
    for client in clients:
        client.close()
    server.send(signal.SIGHUP)
    server.wait_workers(2, without=workers)
    assert server.get().status == 200
    assert server.stop() == 0
    assert "WARNING" not in server.log and "ERROR" not in server.log


@only_ferricorn("gunicorn calls an ASGI app as a WSGI one")
def test_what_cannot_be_served_is_told_by_the_mold(serve):
    server = serve("site_code:app", "--preload", "-k", "gevent", files=site("async def app(scope, receive, send): pass\n"))
    server.expected_exit = {1}
    assert server.wait_exit() == 1
    assert "'site_code:app' is an ASGI application, and worker_class gevent runs WSGI" in server.log


# Frameworks.


def test_django(serve, tmp_path):
    env = {"MYSITE_DATA": str(tmp_path / "data")}
    subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], cwd=EXAMPLES / "django", check=True,
                   env={**os.environ, **env, "PYTHONDONTWRITEBYTECODE": "1"})
    server = serve("mysite.wsgi:application", "--preload", "-w", "2", "--chdir", EXAMPLES / "django", env=env)
    workers = server.wait_workers(2)
    assert server.get("/admin/login/").status == 200
    if not IS_GUNICORN:
        mark = server.mark()
        server.send(signal.SIGHUP)
        server.wait_for("Reloaded", after=mark)
        server.wait_workers(2, without=workers)
        assert "left behind" not in server.log
    assert server.get("/admin/login/").status == 200
