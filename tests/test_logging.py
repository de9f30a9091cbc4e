"""Both logs through Python's logging: `logconfig` and its kin, and logger classes."""

import json
import re
import signal

import pytest

from harness import HIDE_GUNICORN, IS_FERRICORN, until

only_ferricorn = pytest.mark.only_ferricorn

INI = """
[loggers]
keys = root, gunicorn.error, gunicorn.access

[handlers]
keys = errors, requests

[formatters]
keys = plain

[logger_root]
level = INFO
handlers = errors

[logger_gunicorn.error]
level = INFO
handlers = errors
propagate = 0
qualname = gunicorn.error

[logger_gunicorn.access]
level = INFO
handlers = requests
propagate = 0
qualname = gunicorn.access

[handler_errors]
class = FileHandler
formatter = plain
args = ('errors.log',)

[handler_requests]
class = FileHandler
formatter = plain
args = ('requests.log',)

[formatter_plain]
format = %(name)s|%(levelname)s|%(process)d|%(message)s
"""

DICTIONARY = {
    "loggers": {
        "gunicorn.error": {"level": "DEBUG", "handlers": ["file"], "propagate": False},
        "gunicorn.access": {"level": "INFO", "handlers": ["file"], "propagate": False},
        "shop": {"level": "INFO", "handlers": ["file"], "propagate": False},
    },
    "handlers": {"file": {"class": "logging.FileHandler", "formatter": "plain", "filename": "all.log"},
                 # The root's, which gunicorn's own dictionary names: top-level keys are replaced as a whole.
                 "console": {"class": "logging.StreamHandler", "formatter": "plain", "stream": "ext://sys.stderr"}},
    "formatters": {"plain": {"format": "%(name)s|%(levelname)s|%(process)d|%(message)s"}},
}

APP = """
import logging


def app(environ, start_response):
    logging.getLogger("shop").info("sold %s", environ["PATH_INFO"])
    environ["shop.buyer"] = "ann"
    start_response("200 OK", [("Content-Length", "2"), ("X-Price", "9")])
    return [b"ok"]
"""

# The class is one of the config file, and leaves the requests of a probe out.
LOGGER = """
from gunicorn import glogging


class Logger(glogging.Logger):
    def setup(self, cfg):
        super().setup(cfg)
        self.error_log.info("set up")

    def info(self, msg, *args, **kwargs):
        super().info("[mine] " + msg, *args, **kwargs)

    def atoms(self, resp, req, environ, request_time):
        return {**super().atoms(resp, req, environ, request_time), "shop": "ours"}

    def access(self, resp, req, environ, request_time):
        if req.path != "/health":
            super().access(resp, req, environ, request_time)
"""


def wait_for(path, pattern):
    """Waits until the file matches, and returns the match."""
    return until(lambda: path.exists() and re.search(pattern, path.read_text()),
                 f"{pattern!r} in {path.name}:\n{path.read_text() if path.exists() else None}")


def test_a_file_for_file_config_decides(serve):
    server = serve(APP, "--log-config", "logging.ini", "--access-logformat", "%(m)s %(U)s %(s)s", files={"logging.ini": INI},
                   listening=False)
    errors, requests = server.folder / "errors.log", server.folder / "requests.log"
    where = wait_for(errors, r"gunicorn\.error\|INFO\|(\d+)\|Listening at: http://127\.0\.0\.1:(\d+)")
    assert int(where[1]) == server.pid
    server.address = ("127.0.0.1", int(where[2]))
    server.get("/list")
    pid = server.workers()[0]
    wait_for(requests, rf"(?m)^gunicorn\.access\|INFO\|{pid}\|GET /list 200$")
    # The app's own loggers go where the file says.
    wait_for(errors, rf"(?m)^shop\|INFO\|{pid}\|sold /list$")
    server.stop()
    wait_for(errors, rf"(?m)^gunicorn\.error\|INFO\|{pid}\|Worker exiting")
    assert server.log == "" and server.access_log == []


def dictionary_in(place):
    """Flags and files for the dictionary in one of its two places."""
    if place == "dict":
        return [], {"gunicorn.conf.py": f"logconfig_dict = {DICTIONARY!r}\n"}
    return ["--log-config-json", "logging.json"], {"logging.json": json.dumps(DICTIONARY)}


@pytest.mark.parametrize("place", ["dict", "json"])
def test_a_dictionary_decides(serve, place):
    flags, files = dictionary_in(place)
    server = serve(APP, *flags, "--access-logformat", "%(U)s %({x-price}o)s %({shop.buyer}e)s %({user-agent}i)s", files=files,
                   listening=False)
    log = server.folder / "all.log"
    where = wait_for(log, r"gunicorn\.error\|INFO\|\d+\|Listening at: http://127\.0\.0\.1:(\d+)")
    server.address = ("127.0.0.1", int(where[1]))
    server.get("/list", [("User-Agent", 'a "b')])
    wait_for(log, r'(?m)^gunicorn\.access\|INFO\|\d+\|/list 9 ann a \\"b$')
    wait_for(log, r"(?m)^shop\|INFO\|\d+\|sold /list$")
    if IS_FERRICORN:
        # The level is that of the logger, whatever the setting says.
        wait_for(log, r"\|DEBUG\|")


def test_a_formatter_finds_the_atoms_in_the_record(serve):
    conf = """
import json
import logging


class AsJson(logging.Formatter):
    def format(self, record):
        atoms = record.args
        return json.dumps({name: atoms[name] for name in ["h", "m", "U", "q", "s", "B", "b", "r", "u", "T", "{host}i", "{none}i"]})


logconfig_dict = {
    "loggers": {"gunicorn.access": {"handlers": ["json"], "propagate": False}},
    "handlers": {
        "json": {"class": "logging.FileHandler", "filename": "access.log", "formatter": "json"},
        "console": {"class": "logging.StreamHandler", "stream": "ext://sys.stderr"},
    },
    "formatters": {"json": {"()": AsJson}},
}
"""
    server = serve(APP, files={"gunicorn.conf.py": conf}, listening=False)
    server.wait_listening()
    with server.connect() as client:
        client.send(b"GET /list?a=b HTTP/1.1\r\nHost: x\r\nAuthorization: Basic YW5uOng=\r\n\r\n").response()
    log = server.folder / "access.log"
    until(lambda: log.read_text().endswith("\n"), "an access line")
    assert json.loads(log.read_text()) == {
        "h": "127.0.0.1", "m": "GET", "U": "/list", "q": "a=b", "s": "200", "B": 2, "b": "2", "r": "GET /list?a=b HTTP/1.1",
        "u": "ann", "T": 0, "{host}i": "x", "{none}i": "-"}


@pytest.mark.parametrize("named", [False, True])
def test_a_logger_class_may_be_the_users_own(serve, named):
    files = {"gunicorn.conf.py": LOGGER + "\n\nlogger_class = Logger\n"} if not named else {"mine.py": LOGGER}
    flags = ["--logger-class", "mine.Logger"] if named else []
    server = serve(APP, *flags, "--access-logfile", "access.log", "--access-logformat", "%(shop)s %(U)s", files=files)
    server.get("/health")
    server.get("/list")
    log = server.folder / "access.log"
    wait_for(log, "(?m)^ours /list$")
    server.stop()
    assert log.read_text() == "ours /list\n"
    assert re.search(r"\[INFO\] set up", server.log)
    assert re.search(r"\] \[\d+\] \[INFO\] \[mine\] Booting worker with pid: ", server.log)


def test_a_rotation_opens_pythons_files_again(serve):
    flags, files = dictionary_in("json")
    server = serve(APP, *flags, "--access-logformat", "%(U)s", files=files, listening=False)
    log, old = server.folder / "all.log", server.folder / "all.old"
    where = wait_for(log, r"Listening at: http://127\.0\.0\.1:(\d+)")
    server.address = ("127.0.0.1", int(where[1]))
    server.get("/first")
    wait_for(log, r"\|/first")
    log.rename(old)
    server.send(signal.SIGUSR1)

    def new_line():
        server.get("/second")
        return log.exists() and "|/second" in log.read_text()

    until(new_line, "an access line in the new file")
    assert "/first" not in log.read_text()
    server.stop()
    wait_for(log, r"\|Shutting down: Master")


def test_what_stands_in_a_message_is_no_format(serve):
    server = serve("def app(environ, start_response):\n    raise ValueError('100%s of %(it)s')\n", files={
        "gunicorn.conf.py": LOGGER + "\n\nlogger_class = Logger\n"})
    server.get("/")
    server.wait_for(r"ValueError: 100%s of %\(it\)s")


# A handler as those of Sentry and its like: it wants the exception itself. What it sees is noted, with the function that has raised it.
LOOKING = """
import logging
import traceback


class Looking(logging.Handler):
    def emit(self, record):
        if record.exc_info:
            kind, error, frames = record.exc_info
            place = traceback.extract_tb(frames)[-1].name
            with open("seen", "a") as file:
                file.write(f"{record.levelname}|{record.getMessage()}|{kind.__name__}|{error}|{place}|{getattr(error, 'code', None)}\\n")


logconfig_dict = {
    "loggers": {"gunicorn.error": {"handlers": ["looking", "console"], "propagate": False}},
    "handlers": {"looking": {"()": Looking}, "console": {"class": "logging.StreamHandler", "stream": "ext://sys.stderr"}},
}


class Broken(Exception):
    code = 7


def failing():
    raise Broken("no luck")
"""

RAISING = """
def view():
    raise LookupError("what\\x1b\\n[is] it")


def rest():
    yield b"one"
    raise LookupError("halfway")


def app(environ, start_response):
    if environ["PATH_INFO"] == "/view":
        view()
    start_response("200 OK", [])
    return rest() if environ["PATH_INFO"] == "/rest" else [b"ok"]
"""

RAISING_ASGI = """
async def view():
    raise LookupError("what is it")


async def app(scope, receive, send):
    if scope["type"] == "http" and scope["path"] == "/view":
        await view()
"""


def seen(server, pattern):
    return wait_for(server.folder / "seen", rf"(?m)^{pattern}$")


@pytest.mark.parametrize("flags", [[], ["-k", "gevent"]], ids=["thread", "greenlet"])
def test_a_handler_sees_the_exception_of_a_request(serve, flags):
    server = serve(RAISING, *flags, files={"gunicorn.conf.py": LOOKING})
    server.get("/view")
    wait_for(server.folder / "seen", r"(?m)^ERROR\|Error handling request (GET )?/view\|LookupError\|what\x1b\n\[is\] it\|view\|None$")
    with server.connect() as client:
        client.send(b"GET /rest HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").read_to_end()
    seen(server, r"ERROR\|Error .*\|LookupError\|halfway\|rest\|None")
    assert server.stop() == 0
    assert (server.folder / "seen").read_text().count("LookupError") == 2
    # Text is told once, too.
    assert server.log.count("Traceback (most recent call last)") == 2, server.log


@only_ferricorn("gunicorn writes it as it is")
def test_a_handler_that_writes_the_exception_cannot_be_led_astray_by_it(serve):
    server = serve(RAISING, files={"gunicorn.conf.py": LOOKING})
    server.get("/view")
    server.wait_for(r"\nLookupError: what\\x1B\n  \[is\] it\n")


@only_ferricorn("gunicorn's ASGI worker is another one")
def test_a_handler_sees_the_exception_of_an_asgi_app(serve, loop):
    server = serve(RAISING_ASGI, "--asgi-loop", loop, files={"gunicorn.conf.py": LOOKING})
    assert server.get("/view").status == 500
    seen(server, r"ERROR\|Error handling request GET /view\|LookupError\|what is it\|view\|None")


@pytest.mark.parametrize("hook, told", [
    ("pre_request(worker, req)", r"Error handling request (GET )?/"),
    ("post_request(worker, req)", "Exception in post_request hook"),
])
def test_a_handler_sees_the_exception_of_a_hook(serve, hook, told):
    server = serve(RAISING, files={"gunicorn.conf.py": f"{LOOKING}\n\ndef {hook}:\n    failing()\n"})
    server.get("/")
    seen(server, rf"ERROR\|{told}\|Broken\|no luck\|failing\|7")


@pytest.mark.parametrize("hook", ["post_fork(server, worker)", "post_worker_init(worker)"])
def test_a_handler_sees_why_a_worker_cannot_begin(serve, hook):
    server = serve(RAISING, files={"gunicorn.conf.py": f"{LOOKING}\n\ndef {hook}:\n    failing()\n"}, listening=False)
    server.expected_exit = {3}
    assert server.wait_exit() == 3
    assert re.search(r"(?m)^ERROR\|.*\|Broken\|no luck\|failing\|7$", (server.folder / "seen").read_text())


def test_a_handler_sees_why_the_app_cannot_be_imported(serve):
    server = serve("bad:app", files={"gunicorn.conf.py": LOOKING, "bad.py": "def load():\n    1 / 0\nload()\n"}, listening=False)
    server.expected_exit = {3}
    assert server.wait_exit() == 3
    assert re.search(r"(?m)^ERROR\|.*\|ZeroDivisionError\|division by zero\|load\|None$", (server.folder / "seen").read_text())


# An exception that is kept would keep what its frames hold, such as connections.
KEPT = """
import weakref


class Connection:
    pass


KNOWN = []


def app(environ, start_response):
    if environ["PATH_INFO"] == "/view":
        connection = Connection()
        KNOWN.append(weakref.ref(connection, lambda _: open("closed", "w").close()))
        raise LookupError("what is it")
    start_response("200 OK", [])
    return [b"ok"]
"""


@pytest.mark.parametrize("conf", ["", LOOKING], ids=["plain", "python"])
def test_what_a_call_that_failed_held_is_let_go_without_another_request(serve, conf):
    server = serve(KEPT, files={"gunicorn.conf.py": conf})
    server.get("/view")
    until(lambda: server.has("closed"), "the end of the connection")


@only_ferricorn("gunicorn's words are others")
@pytest.mark.parametrize("flags, files, told", [
    (["--log-config", "nowhere.ini"], {}, r"Error: log config 'nowhere.ini' not found"),
    (["--log-config", "bad.ini"], {"bad.ini": "[loggers]\nkeys=\n"}, r"Error: logconfig 'bad.ini': KeyError: 'formatters'"),
    ([], {"gunicorn.conf.py": "logconfig_dict = {'root': {'handlers': ['none']}}\n"},
     r"Error: logconfig_dict: ValueError: Unable to configure root logger, since ValueError: Unable to add handler 'none'"),
    (["--logger-class", "no.such.Logger"], {}, r"Error: logger_class: cannot load 'no.such.Logger': No module named 'no'"),
])
def test_what_is_wrong_with_it_stops_the_start(cli, flags, files, told):
    done = cli("-b", "127.0.0.1:0", *flags, "features:app", files=files)
    assert done.returncode == 1 and re.search(told, done.stderr), done.stderr


@only_ferricorn("gunicorn stops")
def test_a_reload_with_a_bad_file_changes_nothing(serve):
    server = serve(APP, "--log-config", "logging.ini", files={"logging.ini": INI}, listening=False)
    errors = server.folder / "errors.log"
    where = wait_for(errors, r"Listening at: http://127\.0\.0\.1:(\d+)")
    server.address = ("127.0.0.1", int(where[1]))
    server.get("/")
    (server.folder / "logging.ini").write_text("nonsense")
    server.send(signal.SIGHUP)
    wait_for(errors, r"\|ERROR\|[^\n]*logging\.ini")
    assert server.get("/").status == 200


SLOW = """
import logging
import os
import time


class Slow(logging.Handler):
    def emit(self, record):
        end = time.monotonic() + 20
        while os.getpid() != MASTER and not os.path.exists("go") and time.monotonic() < end:
            time.sleep(0.01)
        with open("slow.log", "a") as file:
            file.write(self.format(record) + "\\n")


MASTER = os.getpid()
logconfig_dict = {
    "loggers": {"gunicorn.access": {"handlers": ["slow"], "propagate": False}},
    "handlers": {"slow": {"()": Slow}, "console": {"class": "logging.StreamHandler", "stream": "ext://sys.stderr"}},
}
access_log_format = "%(U)s"
"""


@only_ferricorn("gunicorn waits for its handlers")
def test_a_slow_handler_holds_no_request_up(serve):
    server = serve("features:app", files={"gunicorn.conf.py": SLOW})
    for number in range(20):
        assert server.get(f"/list/{number}").status == 200
    assert not (server.folder / "slow.log").exists()
    server.touch("go")
    server.stop()
    # What was waiting is logged before the worker ends.
    assert (server.folder / "slow.log").read_text().split() == [f"/list/{number}" for number in range(20)]


def test_a_config_file_that_patches_threads_is_logged_too(serve):
    pytest.importorskip("gevent")
    server = serve(APP, "-k", "gevent", "--log-config", "logging.ini", "--access-logformat", "%(U)s", listening=False,
                   files={"logging.ini": INI, "gunicorn.conf.py": "from gevent import monkey\nmonkey.patch_all()\n"})
    errors, requests = server.folder / "errors.log", server.folder / "requests.log"
    where = wait_for(errors, r"Listening at: http://127\.0\.0\.1:(\d+)")
    server.address = ("127.0.0.1", int(where[1]))
    for number in range(20):
        assert server.get(f"/list/{number}").status == 200
    wait_for(requests, r"(?m)\|/list/19$")
    assert server.stop() == 0
    wait_for(errors, r"\|Worker exiting")


@only_ferricorn("it is gunicorn")
def test_the_package_gunicorn_need_not_be_installed(serve):
    server = serve(APP, "--access-logfile", "-", "--access-logformat", "%(shop)s %(U)s %(queue)s|%({x-any}i)s|%(r)s",
                   files={"gunicorn.conf.py": HIDE_GUNICORN + LOGGER + "\n\nimport gunicorn\nprint(gunicorn.SERVER, flush=True)\nlogger_class = Logger\n"})
    server.request("GET", "/list%0a", [("X-Any", '"\\\xc2\x9b')])
    found = until(lambda: [line for line in server.access_log if line.startswith("ours /list")], "an access line")
    assert re.fullmatch(r'ours /list\\x0A \d\.\d{6}\|\\"\\x5C\\x9B\|GET /list%0a HTTP/1\.1', found[-1])
    assert server.access_log[0] == "ferricorn"
