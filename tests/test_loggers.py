"""Python's loggers `gunicorn.error` and `gunicorn.access` as apps and config files meet them, where no setting names a logger."""

import json
import signal

import pytest

from harness import until

only_ferricorn = pytest.mark.only_ferricorn

# Flask's recipe: the app's own logger has the handlers and the level of the server's.
APP = """
import json
import logging

server = logging.getLogger("gunicorn.error")
shop = logging.getLogger("shop")
shop.handlers, shop.propagate = server.handlers, False
shop.setLevel(server.level)


def app(environ, start_response):
    shop.info("order %d paid", 17)
    server.info("a word of the app")
    server.debug("a whisper of the app")
    try:
        raise LookupError("no luck")
    except LookupError:
        shop.exception("it went wrong")
    body = json.dumps([len(server.handlers), server.level, server.propagate, len(logging.getLogger("gunicorn.access").handlers)]).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""

# The best known of all filters of gunicorn's access log.
FILTER = """
import logging

class NoHealth(logging.Filter):
    def filter(self, record):
        return "/health" not in record.getMessage()
"""

KINDS = [(), ("--preload",), ("--threads", "2"), ("-k", "gevent")]


@pytest.mark.parametrize("flags", KINDS, ids=" ".join)
def test_an_app_logs_with_the_handlers_of_the_server(serve, flags):
    server = serve(APP, *flags)
    assert server.get().json() == [1, 20, False, 0]
    server.wait_for(r"LookupError: no luck")
    [pid] = server.workers()
    for line in (r"\[INFO\] order 17 paid", r"\[INFO\] a word of the app", r"\[ERROR\] it went wrong"):
        server.wait_for(rf"(?m)^\[[-:+ 0-9]+\] \[{pid}\] {line}$")
    assert "whisper" not in server.log


def test_an_app_heeds_the_level_of_the_server(serve):
    server = serve(APP, "--log-level", "debug", "--access-logfile", "-")
    assert server.get().json() == [1, 10, False, 1]
    server.wait_for(r"\[DEBUG\] a whisper of the app")


def test_an_app_logs_to_the_file_that_a_rotation_has_made(serve):
    server = serve(APP, "--error-logfile", "errors.log", listening=False)
    errors = server.folder / "errors.log"
    until(lambda: errors.exists() and "Listening at" in errors.read_text(), "the first lines")
    server.address = ("127.0.0.1", int(errors.read_text().partition("http://127.0.0.1:")[2].split(" ")[0]))
    server.get()
    errors.rename(server.folder / "errors.1")
    server.send(signal.SIGUSR1)
    until(errors.exists, "the file of its own")

    def is_there():
        server.get()
        return "order 17 paid" in errors.read_text()

    until(is_there, "a line of the app in the new file")


@only_ferricorn("gunicorn has no such setting")
def test_what_an_app_logs_is_an_object_where_records_are(serve):
    server = serve(APP, "--log-json", listening=False)
    server.wait_for("Listening at: http://127.0.0.1:[0-9]+")
    server.address = ("127.0.0.1", int(server.log.partition("http://127.0.0.1:")[2].split(" ")[0]))
    server.get()
    server.wait_for("no luck")
    told = {record["message"].partition("\n")[0]: record for record in map(json.loads, server.log.splitlines())}
    assert told["order 17 paid"]["level"] == "INFO" and told["it went wrong"]["level"] == "ERROR"


def lines(server):
    return [line.split('"')[1].split(" ")[1] for line in server.access_log]


PLACES = {
    "in the file": "logging.getLogger('gunicorn.access').addFilter(NoHealth())",
    "on_starting": "def on_starting(server): server.log.access_log.addFilter(NoHealth())",
    "when_ready": "def when_ready(server): logging.getLogger('gunicorn.access').addFilter(NoHealth())",
    "post_fork": "def post_fork(server, worker): worker.log.access_log.addFilter(NoHealth())",
}


@pytest.mark.parametrize("place", PLACES)
def test_a_filter_of_the_config_file_drops_access_lines(serve, place):
    server = serve("hello:app", "--access-logfile", "-", files={"gunicorn.conf.py": FILTER + PLACES[place]})
    for target in ("/first", "/health", "/last"):
        assert server.get(target).status == 200
    until(lambda: "/last" in lines(server), "the last line")
    assert lines(server) == ["/first", "/last"]


@pytest.mark.parametrize("flags", KINDS, ids=" ".join)
def test_a_filter_of_the_app_drops_access_lines(serve, flags):
    app = FILTER + "logging.getLogger('gunicorn.access').addFilter(NoHealth())\n" + APP
    server = serve(app, "--access-logfile", "-", *flags)
    for target in ("/first", "/health", "/last"):
        assert server.get(target).status == 200
    until(lambda: "/last" in lines(server), "the last line")
    assert lines(server) == ["/first", "/last"]


@only_ferricorn("gunicorn has no such setting")
def test_a_filter_drops_lines_that_are_objects(serve):
    app = FILTER + "logging.getLogger('gunicorn.access').addFilter(NoHealth())\n" + APP
    server = serve(app, "--access-logfile", "-", "--access-log-json")
    for target in ("/first", "/health", '/last?q=%22,%22json%22:'):
        assert server.get(target).status == 200
    until(lambda: "/last" in "".join(server.access_log), "the last line")
    told = [json.loads(line) for line in server.access_log]
    assert [(line["target"], line["status"]) for line in told] == [("/first", 200), ('/last?q=%22,%22json%22:', 200)]


def test_a_filter_may_change_a_line(serve):
    app = """
import logging

class Redact(logging.Filter):
    def filter(self, record):
        record.msg, record.args = record.getMessage().replace("secret", "***"), ()
        return True

logging.getLogger("gunicorn.access").addFilter(Redact())
""" + APP
    server = serve(app, "--access-logfile", "-")
    server.get("/?token=secret")
    [line] = until(lambda: server.access_log, "the line")
    assert "GET /?token=*** HTTP/1.1" in line and "secret" not in line


@pytest.mark.parametrize("place", ["def on_starting(server)", "def post_fork(server, worker)"])
def test_a_handler_of_the_config_file_is_given_what_the_server_says(serve, place):
    conf = f"""
import logging

class Reporter(logging.Handler):
    def emit(self, record):
        with open("reported", "a") as file:
            file.write(record.levelname + " " + record.getMessage() + "\\n")

{place}: logging.getLogger("gunicorn.error").addHandler(Reporter())

def post_worker_init(worker): worker.log.warning("is %s", "ready")
"""
    server = serve("features:app", files={"gunicorn.conf.py": conf})
    assert server.get("/raise").status == 500
    reported = server.folder / "reported"
    until(lambda: reported.exists() and "ERROR Error handling request" in reported.read_text(), "the fault")
    assert "WARNING is ready" in reported.read_text()
    server.wait_for("is ready")
    server.wait_for("Error handling request")


def test_a_logger_that_is_silenced_is_silent(serve):
    app = "import logging\nlogging.getLogger('gunicorn.access').disabled = True\n" + APP
    server = serve(app, "--access-logfile", "-")
    server.get()
    assert server.stop() == 0
    assert server.access_log == []


def test_hooks_have_gunicorns_logger(serve):
    conf = """
import logging

def on_starting(server):
    log = server.log
    assert log.error_log is logging.getLogger("gunicorn.error") and log.access_log is logging.getLogger("gunicorn.access")
    assert log.loglevel == 20 and log.cfg.workers == 1
    log.log("warning", "told by %s", "name")
    log.reopen_files()
    log.close_on_exec()
    try:
        raise LookupError("no luck")
    except LookupError:
        log.exception("it went wrong")
"""
    server = serve("hello:app", files={"gunicorn.conf.py": conf})
    server.wait_for(r"\[WARNING\] told by name")
    server.wait_for(r"\[ERROR\] it went wrong\nTraceback")
    assert server.get().status == 200


@only_ferricorn("gunicorn imports it itself")
def test_an_app_that_does_not_log_imports_no_logging(serve):
    app = """
import sys

def app(environ, start_response):
    body = str("logging" in sys.modules).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
    server = serve(app)
    assert server.get().body == b"False"
