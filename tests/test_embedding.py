"""Programs that start the server themselves, and what is imported of the package gunicorn where it is not installed."""

import signal
import sys

import pytest

from harness import HIDE_GUNICORN, IS_GUNICORN, SERVER, until

only_ferricorn = pytest.mark.only_ferricorn

APP = """
import os
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Worker", str(os.getpid()))])
    return [f"{environ['PATH_INFO']} of the program".encode()]
"""

# Each setting that a program gives is in `OPTIONS`, as documentation of gunicorn has it.
STANDALONE = f"""
from {SERVER}.app.base import BaseApplication
{APP}
class Standalone(BaseApplication):
    def __init__(self, app, options=None):
        self.options, self.application = options or {{}}, app
        super().__init__()
    def load_config(self):
        for name, value in self.options.items():
            if name in self.cfg.settings and value is not None:
                self.cfg.set(name.lower(), value)
    def load(self):
        return self.application
"""

QUIET = {"control_socket_disable": True} if IS_GUNICORN else {}


def program(serve, source, *flags, **options):
    """Starts a program, which must listen in the end."""
    files = {"main.py": source, "mine.py": APP, **options.pop("files", {})}
    return serve(None, files=files, bind=None, command=[sys.executable, "main.py", *flags], **options)


def test_a_program_serves_the_app_that_it_holds(serve):
    source = STANDALONE + f"""
def post_fork(server, worker):
    worker.log.info("forked worker %s of %s", worker.age, server.cfg.workers)
options = {{"bind": "127.0.0.1:0", "workers": 2, "post_fork": post_fork, "nothing_of_the_kind": 1, **{QUIET!r}}}
Standalone(app, options).run()
print("never", flush=True)
"""
    server = program(serve, source)
    assert len(server.wait_workers(2)) == 2
    server.wait_for("forked worker 2 of 2")
    assert server.get("/here").text == "/here of the program"
    assert server.stop() == 0
    assert server.access_log == []


def test_neither_flags_nor_a_config_file_count_for_it(serve):
    source = STANDALONE + f'Standalone(app, {{"bind": "127.0.0.1:0", **{QUIET!r}}}).run()\n'
    env = {"WEB_CONCURRENCY": "2", "GUNICORN_CMD_ARGS": "--workers 7"}
    server = program(serve, source, "--workers", "5", files={"gunicorn.conf.py": "workers = 3\n"}, env=env)
    server.wait_workers(2)
    assert server.get("/").status == 200


def test_a_reload_asks_the_program_again(serve):
    source = STANDALONE + f"""
class Asked(Standalone):
    def load_config(self):
        super().load_config()
        self.cfg.set("workers", int(open("count").read()))
Asked(app, {{"bind": "127.0.0.1:0", **{QUIET!r}}}).run()
"""
    server = program(serve, source, files={"count": "1"})
    pids = server.wait_workers(1)
    (server.folder / "count").write_text("2")
    server.send(signal.SIGHUP)
    server.wait_workers(2, without=pids)
    assert server.get("/").status == 200


def test_an_app_by_its_name(serve):
    source = f"""
from {SERVER}.app.wsgiapp import WSGIApplication
class Standalone(WSGIApplication):
    def __init__(self, app_uri, options):
        self.options, self.app_uri = options, app_uri
        super().__init__()
    def load_config(self):
        for name, value in self.options.items():
            self.cfg.set(name, value)
Standalone("mine:app", {{"bind": ["127.0.0.1:0"], "timeout": 12, **{QUIET!r}}}).run()
"""
    assert program(serve, source).get("/named").text == "/named of the program"


def test_an_application_has_a_command_line_and_a_config_file(serve):
    source = f"""
from {SERVER}.app.base import Application
{APP}
class Shop(Application):
    def init(self, parser, opts, args):
        return {{"bind": "127.0.0.1:0", "workers": 4, "proc_name": "of init", **{QUIET!r}}}
    def load(self):
        return app
Shop("%(prog)s [OPTIONS]", prog="shop").run()
"""
    conf = 'proc_name = "of the file"\ndef when_ready(server): server.log.info("%s is ready", server.cfg.proc_name)\n'
    server = program(serve, source, "--workers", "2", files={"gunicorn.conf.py": conf})
    server.wait_for("of the file is ready")
    server.wait_workers(2)
    assert server.get("/").status == 200


@pytest.mark.parametrize("name", ["WSGIApplication('%(prog)s').run", "run"])
def test_the_command_itself_from_a_program(serve, name):
    quiet = ["--no-control-socket"] if IS_GUNICORN else []
    source = f"from {SERVER}.app.wsgiapp import WSGIApplication, run\n{name}()\n"
    server = program(serve, source, "-b", "127.0.0.1:0", *quiet, "mine:app")
    assert server.get("/cli").text == "/cli of the program"


@only_ferricorn("its app would be called as a WSGI one")
def test_a_program_with_an_asgi_app(serve):
    source = STANDALONE + """
async def asgi(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"asgi"})
Standalone(asgi, {"bind": "127.0.0.1:0", "worker_class": "uvicorn.workers.UvicornWorker"}).run()
"""
    assert program(serve, source).get("/").text == "asgi"


@pytest.mark.parametrize("options, message", [
    ({"workers": -1}, "-1"), ({"bind": "127.0.0.1:port"}, "port"), ({"post_fork": 5}, "5"),
])
def test_a_setting_that_is_wrong_ends_the_program(serve, options, message):
    server = serve(None, bind=None, files={"main.py": STANDALONE + f"Standalone(app, {options!r}).run()\n"}, listening=False,
                   command=[sys.executable, "main.py"])
    server.expected_exit = {1}
    assert server.wait_exit() == 1
    assert message in server.log
    assert IS_GUNICORN or list(options)[0] in server.log


def test_an_app_that_cannot_be_loaded_ends_the_program(serve):
    source = STANDALONE.replace("return self.application", "raise LookupError('no app')")
    server = serve(None, bind=None, listening=False, command=[sys.executable, "main.py"],
                   files={"main.py": f"{source}\nStandalone(app, {{'bind': '127.0.0.1:0', **{QUIET!r}}}).run()\n"})
    server.expected_exit = {3}
    assert server.wait_exit() == 3
    assert "LookupError: no app" in server.log and "main.py" in server.log


@only_ferricorn("it is gunicorn")
def test_a_program_may_go_on_to_import_gunicorn_where_it_is_not_installed(serve):
    source = HIDE_GUNICORN + "import ferricorn.app\n" + STANDALONE.replace("from ferricorn.app", "from gunicorn.app") + """
from gunicorn.glogging import Logger
class Mine(Logger):
    error_fmt = "mine|%(message)s"
Standalone(app, {"bind": "127.0.0.1:0", "logger_class": Mine}).run()
"""
    server = program(serve, source)
    assert server.get("/").status == 200 and "mine|Listening at" in server.log


# `import gunicorn` where it is not installed, and where it is.

IMPORTS = """
import gunicorn, gunicorn.config, gunicorn.util
from gunicorn import glogging
from gunicorn.app.base import Application, BaseApplication
from gunicorn.app.wsgiapp import WSGIApplication
from gunicorn.arbiter import Arbiter
from gunicorn.config import Config
from gunicorn.errors import AppImportError, ConfigError, HaltServer
from gunicorn.glogging import CONFIG_DEFAULTS, Logger
from gunicorn.instrument.statsd import Statsd
from gunicorn.workers.base import Worker
from gunicorn.workers.gthread import ThreadWorker
from gunicorn.workers.sync import SyncWorker
assert glogging.Logger is Logger and gunicorn.glogging is glogging
assert issubclass(ThreadWorker, Worker) and issubclass(Statsd, Logger) and issubclass(WSGIApplication, BaseApplication)
assert Config().workers == 1 and "bind" in Config().settings and "bind" in gunicorn.config.make_settings()
assert gunicorn.util.parse_address("[::1]:80") == ("::1", 80) and gunicorn.util.parse_address("unix:/a") == "/a"
assert callable(gunicorn.util.import_app("mine:app"))
assert Arbiter.WORKER_BOOT_ERROR == 3 and issubclass(HaltServer, BaseException)
assert gunicorn.version_info >= (23,)
worker_class, threads = ThreadWorker, 2
def when_ready(server): server.log.info("imported from %s", gunicorn.__file__ if hasattr(gunicorn, "__file__") else None)
"""


@pytest.mark.parametrize("hidden", [False, pytest.param(True, marks=only_ferricorn("it is gunicorn"))], ids=["there", "hidden"])
def test_what_configurations_import(serve, hidden):
    server = serve("mine:app", files={"mine.py": APP, "gunicorn.conf.py": (HIDE_GUNICORN if hidden else "") + IMPORTS})
    where = server.wait_for(r"imported from (\S+)").group(1)
    assert (where == "None") == hidden
    assert server.get("/").status == 200


@pytest.mark.parametrize("hidden", [False, pytest.param(True, marks=only_ferricorn("it is gunicorn"))], ids=["there", "hidden"])
def test_a_server_is_called_what_the_config_file_says(serve, hidden):
    conf = "import gunicorn\ngunicorn.SERVER = 'nothing to see'\ngunicorn.SERVER_SOFTWARE = 'some/1.0'\n"
    app = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Server", "the app's")])
    return [environ["SERVER_SOFTWARE"].encode()]
"""
    server = serve(app, files={"gunicorn.conf.py": (HIDE_GUNICORN if hidden else "") + conf})
    response = server.get("/")
    assert (response.all("server"), response.text) == (["nothing to see"], "some/1.0")


@only_ferricorn("it has no such setting")
@pytest.mark.parametrize("given, told", [("", []), ("shop/2", ["shop/2"])])
def test_the_server_header(serve, given, told):
    server = serve("hello:app", "--server-header", given)
    assert server.get("/").all("server") == told
    with server.connect() as client:
        refused = client.send(b"GET / HTTP/1.1\r\nbad name: x\r\n\r\n").response()
    assert (refused.status, refused.all("server")) == (400, told)


@only_ferricorn("its workers are such classes")
@pytest.mark.parametrize("hidden", [False, True], ids=["there", "hidden"])
def test_a_worker_class_of_ones_own_is_refused_with_advice(cli, hidden):
    conf = "from gunicorn.workers.sync import SyncWorker\nclass Mine(SyncWorker): pass\nworker_class = Mine\n"
    done = cli("mine:app", files={"mine.py": APP, "gunicorn.conf.py": (HIDE_GUNICORN if hidden else "") + conf})
    assert done.returncode == 1
    assert "Mine" in done.stderr and "gthread" in done.stderr and "Traceback" not in done.stderr
