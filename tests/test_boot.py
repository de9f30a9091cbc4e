"""Starting: how the app is named, where it listens, and what goes wrong with one clear message."""

import os
import re
import socket
import stat

import pytest

from harness import IS_GUNICORN, Client, alive, until

only_ferricorn = pytest.mark.only_ferricorn

HELLO = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""

CODE = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"application"]

class Site:
    def __init__(self, name="nobody", size=0):
        self.name, self.size = name, size
    def __call__(self, environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [f"{self.name} {self.size}".encode()]

site = Site("object")

def make(name="default", *, size=1):
    return Site(name, size)
"""


# How the app is named.


@pytest.mark.parametrize("name, body", [
    ("site_code", "application"),
    ("site_code:application", "application"),
    ("site_code:site", "object 0"),
    ("site_code:make()", "default 1"),
    ("site_code:make('x')", "x 1"),
    ('site_code:make("x y", size=3)', "x y 3"),
    ("package.inner:application", "application"),
])
def test_app_syntax(serve, name, body):
    server = serve(name, files={"site_code.py": CODE, "package/__init__.py": "", "package/inner.py": CODE})
    assert server.get().text == body


def test_it_serves_with_the_lines_that_people_look_for(serve):
    server = serve("hello:app", "-w", "2")
    pids = server.wait_workers(2)
    name = "gunicorn" if IS_GUNICORN else "ferricorn"
    prefix = r"^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}\] "
    assert re.search(prefix + rf"\[{server.pid}\] \[INFO\] Starting {name} \d", server.log, re.M)
    assert re.search(prefix + rf"\[{server.pid}\] \[INFO\] Listening at: http://127\.0\.0\.1:{server.port} \({server.pid}\)$",
                     server.log, re.M)
    assert re.search(prefix + rf"\[{server.pid}\] \[INFO\] Using worker: \w+$", server.log, re.M)
    for pid in pids:
        assert re.search(prefix + rf"\[{pid}\] \[INFO\] Booting worker with pid: {pid}$", server.log, re.M)
    assert server.get().body == b"Hello, world!\n"


def test_chdir_is_where_the_app_is_found_and_runs(serve):
    source = "import os\n" + HELLO.replace('b"ok"', "os.getcwd().encode()").replace('("Content-Length", "2")', "")
    server = serve("there:app", "--chdir", "sub", files={"sub/there.py": source})
    assert server.get().text == str(server.folder / "sub")


def test_pythonpath_is_searched(serve):
    server = serve("there:app", "--pythonpath", "one,two", files={"two/there.py": HELLO})
    assert server.get().body == b"ok"


def test_env_sets_os_environ_before_the_app_is_imported(serve):
    source = "import os\nVALUE = os.environ['COLOUR'] + os.environ['SHAPE']\n" + HELLO.replace('b"ok"', "VALUE.encode()")
    server = serve(source.replace('("Content-Length", "2")', ""), "-e", "COLOUR=red", "--env", "SHAPE=a=b")
    assert server.get().text == "reda=b"


# Where it listens.


def test_several_addresses(serve):
    server = serve("hello:app", "-b", "unix:two.sock")
    path = str(server.folder / "two.sock")
    server.wait_for(r"unix:\S*two\.sock")
    assert server.get().status == 200
    with Client(path) as client:
        assert client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").response().status == 200
    server.stop()
    assert not os.path.exists(path), "the socket's file is left behind"


def test_a_unix_socket_has_no_peer_address(serve):
    server = serve("features:app", bind="unix:only.sock")
    with Client(str(server.folder / "only.sock")) as client:
        environ = client.send(b"GET /environ HTTP/1.1\r\nHost: a.example:81\r\n\r\n").response().json()
    assert environ["REMOTE_ADDR"] == "" and "REMOTE_PORT" not in environ
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("a.example", "81")


def test_umask_shapes_the_unix_socket(serve):
    server = serve("hello:app", "-m", "0077", bind="unix:only.sock")
    assert stat.S_IMODE(os.stat(server.folder / "only.sock").st_mode) & 0o077 == 0


def test_ipv6(serve):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    server = serve("hello:app", bind="[::1]:0")
    assert server.get().status == 200


def test_an_inherited_descriptor(serve):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        number = listener.fileno()
        server = serve("hello:app", bind=f"fd://{number}", pass_fds=(number,))
        assert server.get().status == 200


def test_workers_auto_counts_the_cores(serve):
    if IS_GUNICORN:
        pytest.skip("gunicorn has no such value")
    server = serve("hello:app", "-w", "auto")
    assert len(server.wait_workers(len(os.sched_getaffinity(0)))) >= 1


# What cannot start: the exit code, one clear message, no traceback of ours, no fork loop.


def failing(serve, app, *flags, code, **options):
    """Starts what must fail, and returns its log."""
    server = serve(app, *flags, listening=False, **options)
    server.expected_exit = {code}
    assert server.wait_exit(25) == code, server.log
    log = server.log + server.err
    assert "panicked" not in log and ".rs:" not in log, log
    assert log.count("Booting worker") <= 2 * 2, f"a fork loop:\n{log}"
    return log


def test_a_module_that_is_not_there(serve):
    log = failing(serve, "no_such_module:app", code=3)
    assert "no_such_module" in log and "ModuleNotFoundError" in log
    assert "Worker failed to boot." in log


def test_a_module_that_raises(serve):
    log = failing(serve, "\nraise RuntimeError('the disk is on fire')\n", "-w", "2", code=3)
    assert "the disk is on fire" in log and "inline.py" in log
    assert "Worker failed to boot." in log


@only_ferricorn("each of gunicorn's workers tells all of it")
def test_workers_that_fail_alike_do_not_repeat_themselves(serve):
    log = failing(serve, "\nraise RuntimeError('the disk is on fire')\n", "-w", "4", code=3)
    assert log.count("Traceback") == 1
    assert "SIGQUIT" not in log, "the master's own order looks like a fault"


@only_ferricorn("gunicorn waits for ever")
def test_a_module_that_raises_after_it_has_started_a_thread(serve):
    source = "\nimport threading, time\nthreading.Thread(target=time.sleep, args=(60,), name='poller').start()\nraise ValueError\n"
    log = failing(serve, source, code=3)
    assert "threads that are no daemons: poller" in log


def test_a_module_with_a_syntax_error(serve):
    log = failing(serve, "\ndef app(:\n", code=3)
    assert "SyntaxError" in log and "inline.py" in log


@only_ferricorn("gunicorn takes the status for the worker's own and starts it again, for ever")
@pytest.mark.parametrize("leave", ["raise SystemExit('no settings')", "import sys; sys.exit(0)", "exit(7)"])
def test_a_module_that_exits(serve, leave):
    log = failing(serve, f"\n{leave}\n", code=3)
    assert "SystemExit" in log or "exit" in log.lower()
    assert "Worker failed to boot." in log


def test_an_attribute_that_is_missing(serve):
    log = failing(serve, "there:missing", files={"there.py": HELLO}, code=4)
    assert "missing" in log and "there" in log
    assert "App failed to load." in log


def test_an_attribute_that_is_not_callable(serve):
    log = failing(serve, "there:app", files={"there.py": "app = 'a string'\n"}, code=4)
    assert "callable" in log and "App failed to load." in log


@pytest.mark.parametrize("expression", ["make(", "make(1)(2)", "1 + 1", "make(open('x'))"])
def test_an_expression_that_is_no_app(serve, expression):
    log = failing(serve, f"site_code:{expression}", files={"site_code.py": CODE}, code=4)
    assert "App failed to load." in log


def test_a_factory_with_the_wrong_arguments(serve):
    log = failing(serve, "site_code:make(colour=1)", files={"site_code.py": CODE}, code=4)
    assert "colour" in log or "make" in log


def test_a_port_in_use(serve):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        log = failing(serve, "hello:app", bind=f"127.0.0.1:{port}", code=1)
    assert str(port) in log and "in use" in log.lower()
    assert "Booting worker" not in log


def test_an_address_that_is_not_ours(serve):
    log = failing(serve, "hello:app", bind="192.0.2.1:8000", code=1)
    assert "192.0.2.1" in log and "Booting worker" not in log


@only_ferricorn("gunicorn shows its own traceback")
def test_a_unix_socket_in_a_folder_that_is_not_there(serve):
    log = failing(serve, "hello:app", bind="unix:/no/such/folder/app.sock", code=1)
    assert "/no/such/folder/app.sock" in log and "Traceback" not in log


@only_ferricorn("gunicorn shows its own traceback")
def test_a_pidfile_in_a_folder_that_is_not_there(serve):
    log = failing(serve, "hello:app", "--pid", "/no/such/folder/pid", code=1)
    assert "/no/such/folder" in log and "Traceback" not in log and "Booting worker" not in log


@only_ferricorn("gunicorn shows its own traceback, or waits for ever")
def test_a_pidfile_that_is_no_file(serve):
    log = failing(serve, "hello:app", "--pid", ".", code=1)
    assert "is a directory" in log and "--pid" in log and "ferricorn.pid" in log
    assert "Traceback" not in log and "Booting worker" not in log
    folder = serve.folder()
    os.mkfifo(folder / "pipe")
    log = failing(serve, "hello:app", "--pid", str(folder / "pipe"), code=1)
    assert f"'{folder / 'pipe'}' cannot be written: it is a named pipe" in log


@pytest.mark.parametrize("flag", ["--error-logfile", "--access-logfile"])
def test_a_log_that_cannot_be_written(serve, flag):
    log = failing(serve, "hello:app", flag, "/no/such/folder/log", code=1)
    assert "/no/such/folder/log" in log and "Booting worker" not in log
    if not IS_GUNICORN:
        assert "Traceback" not in log


def test_a_chdir_that_is_not_there(serve):
    log = failing(serve, "hello:app", "--chdir", "/no/such/folder", code=1)
    assert "/no/such/folder" in log


# The pidfile.


def test_the_pidfile_holds_the_pid_and_goes_with_the_master(serve):
    server = serve("hello:app", "--pid", "run.pid")
    path = server.folder / "run.pid"
    assert server.get().status == 200
    assert until(lambda: path.exists() and path.read_text(), "a pidfile") == f"{server.pid}\n"
    server.stop()
    assert not path.exists()


@pytest.mark.parametrize("content", ["4194301\n", "garbage", ""])
def test_a_stale_pidfile_is_taken_over(serve, content):
    server = serve("hello:app", "--pid", "run.pid", files={"run.pid": content})
    assert (server.folder / "run.pid").read_text() == f"{server.pid}\n"
    assert server.get().status == 200


def test_the_pidfile_of_a_running_server_is_respected(serve):
    first = serve("hello:app", "--pid", "run.pid")
    log = failing(serve, "hello:app", "--pid", str(first.folder / "run.pid"), code=1)
    assert str(first.pid) in log and "Booting worker" not in log
    if not IS_GUNICORN:
        # What that process is, and what to do.
        assert "ferricorn: master" in log and f"kill {first.pid}" in log
    assert (first.folder / "run.pid").read_text() == f"{first.pid}\n"
    assert first.get().status == 200


# Nobody to serve.


@only_ferricorn("gunicorn serves nobody without a word")
def test_no_worker_is_told_with_what_to_do(serve):
    import signal

    server = serve("hello:app", "-w", "0")
    server.wait_for(rf"\[WARNING\] No worker serves.*kill -TTIN {server.pid}")
    server.send(signal.SIGTTIN)
    server.wait_workers(1)
    assert server.get().status == 200
    assert server.log.count("No worker serves") == 1


# Later deaths.


def test_a_worker_that_dies_while_the_app_loads_is_no_endless_loop(serve):
    source = "\nimport os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n" + HELLO
    server = serve(source, "-w", "1", listening=False)
    server.expected_exit = {0, 1, 3}
    server.wait_for("Booting worker")
    mark = server.mark()
    server.wait_for("SIGKILL", timeout=10)
    if not IS_GUNICORN:
        until(lambda: not alive(server.pid) or server.log[mark:].count("Booting worker") >= 1, "a second try")
    server.stop()


@only_ferricorn("gunicorn forks without a pause, as fast as it can")
def test_workers_that_keep_dying_at_boot_are_forked_ever_more_slowly(serve):
    import time

    source = "\nimport os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n" + HELLO
    server = serve(source, "-w", "2", listening=False)
    server.expected_exit = {0, 1, 3}
    server.wait_for("Booting worker")
    end = time.monotonic() + 3
    while time.monotonic() < end and alive(server.pid):
        time.sleep(0.05)
    assert server.log.count("Booting worker") <= 16, "a fork loop"


@only_ferricorn("gunicorn tries five times, and blames another program")
def test_an_address_that_is_named_twice(cli):
    with socket.create_server(("127.0.0.1", 0)) as free:
        where = f"127.0.0.1:{free.getsockname()[1]}"
    result = cli("-b", where, "-b", where, "features:app")
    assert result.returncode == 1
    assert "name it twice; name it once" in result.stderr and "Retrying" not in result.stderr


@only_ferricorn("gunicorn shows Python's ValueError")
def test_an_app_without_a_module(cli):
    result = cli("--check-config", ":app")
    assert result.returncode == 1
    assert "The app ':app' names no module: write it as module:attribute." in result.stderr
