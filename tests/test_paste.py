"""Apps that an ini file describes: `--paste`, and `pserve`, whose server this is."""

import signal
import sys

import pytest

from harness import IS_GUNICORN, SERVER, until

pytest.importorskip("paste.deploy")

SHOP = """
def factory(global_conf, **local_conf):
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [f"{local_conf.get('colour')} {global_conf.get('town')}".encode()]
    return app
"""

INI = """
[DEFAULT]
town = Rome

[app:main]
paste.app_factory = shop:factory
colour = blue

[app:other]
paste.app_factory = shop:factory
colour = red

[server:main]
use = egg:%(server)s#main
host = 127.0.0.1
port = 0
workers = 2
proc_name = of the ini
%(more)s
"""


def ini(**more):
    return {"shop.py": SHOP, "app.ini": INI % {"server": SERVER, "more": "", **more}}


@pytest.mark.parametrize("uri, answer", [("app.ini", "blue Rome"), ("app.ini#other", "red Rome"), ("./app.ini#main", "blue Rome")])
def test_an_ini_file_names_the_app(serve, uri, answer):
    server = serve(None, "--paste", uri, files=ini())
    assert server.get("/").text == answer
    # The section of the server is for pserve.
    server.wait_workers(1)


def test_values_for_the_whole_file(serve):
    server = serve(None, "--paste", "app.ini", "--paste-global", "town=Paris", "--paste-global", r"a\=b=c", files=ini())
    assert server.get("/").text == "blue Paris"


@pytest.mark.parametrize("uri, code, word", [("missing.ini", 1, "missing.ini"), ("app.ini#nowhere", 3, "nowhere")])
def test_an_ini_file_that_will_not_do(serve, uri, code, word):
    server = serve(None, "--paste", uri, files=ini(), listening=False)
    server.expected_exit = {code}
    assert server.wait_exit() == code
    assert word in server.log


LOGGING = """
[loggers]
keys = root, gunicorn.error

[handlers]
keys = file

[formatters]
keys = plain

[logger_root]
level = INFO
handlers = file

[logger_gunicorn.error]
level = INFO
handlers = file
propagate = 0
qualname = gunicorn.error

[handler_file]
class = FileHandler
formatter = plain
args = ('ini.log',)

[formatter_plain]
format = ini|%(message)s
"""


def test_an_ini_file_may_say_how_to_log(serve):
    files = ini()
    files["app.ini"] += LOGGING
    server = serve(None, "--paste", "app.ini", files=files, listening=False)
    log = server.folder / "ini.log"
    until(lambda: log.exists() and "Listening at" in log.read_text(), "the log of the ini file")
    assert "ini|" in log.read_text()
    assert server.stop() == 0


def test_a_reload_reads_the_ini_file_again(serve):
    files = ini()
    server = serve(None, "--paste", "app.ini", files=files)
    pids = server.wait_workers(1)
    (server.folder / "app.ini").write_text(files["app.ini"].replace("colour = blue", "colour = green"))
    server.send(signal.SIGHUP)
    server.wait_workers(1, without=pids)
    assert server.get("/").text == "green Rome"


def pserve(serve, files, *flags, **options):
    pytest.importorskip("pyramid")
    # As a module it finds those of the current directory.
    command = [sys.executable, "-W", "ignore", "-m", "pyramid.scripts.pserve", "app.ini", *flags]
    return serve(None, files=files, bind=None, command=command, **options)


QUIET = "control_socket_disable = true" if IS_GUNICORN else ""


def test_pserve_starts_the_server_with_the_settings_of_its_section(serve):
    conf = "workers = 3\nimport os\ndef when_ready(server): server.log.info('%s is ready', server.cfg.proc_name)\n"
    server = pserve(serve, {**ini(more=QUIET), "gunicorn.conf.py": conf})
    server.wait_for("of the ini is ready")
    server.wait_workers(2)
    assert server.get("/").text == "blue Rome"


def test_pserve_takes_the_config_file_that_its_section_names(serve):
    files = {**ini(more="config = other.py\n" + QUIET), "other.py": "timeout = 77\ndef when_ready(server): server.log.info('timeout %s', server.cfg.timeout)\n"}
    server = pserve(serve, files)
    server.wait_for("timeout 77")
    server.wait_workers(2)
    assert server.get("/").status == 200
