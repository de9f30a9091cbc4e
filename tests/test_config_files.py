"""Config files: which one is read, in Python and in TOML, and where an error is said to be."""

import re
import signal

import pytest

from harness import until

APP = """
import os, sys
def app(environ, start_response):
    start_response("200 OK", [])
    return [os.environ.get("COLOUR", "none").encode()]
"""

pytestmark = pytest.mark.only_ferricorn("gunicorn has no TOML, and names neither line nor layer")


def run(cli, *flags, files=None, **options):
    return cli(*flags, "mine:app", files={"mine.py": APP, **(files or {})}, **options)


def origin(cli, name, *flags, **options):
    """A setting as --print-config shows it, value and origin."""
    result = run(cli, "--print-config", *flags, **options)
    assert result.returncode == 0, result.stderr
    return re.search(rf"^{name} +=\s(.*)$", result.stdout, re.M)[1]


# Which file.


def test_ferricorn_toml_is_found_by_itself(cli, tmp_path):
    files = {"ferricorn.toml": "# mine\nworkers = 3\n"}
    assert origin(cli, "workers", files=files) == f"3  # {tmp_path}/ferricorn.toml, line 2"


def test_a_project_may_hold_the_settings(cli, tmp_path):
    files = {"pyproject.toml": "[project]\nname = 'x'\n[tool.ferricorn]\nthreads = 4\n"}
    assert origin(cli, "threads", files=files) == f"4  # {tmp_path}/pyproject.toml, line 4"


def test_a_project_without_settings_is_passed_over(cli):
    files = {"pyproject.toml": "[tool.black]\nline-length = 90\n", "gunicorn.conf.py": "threads = 5\n"}
    assert "gunicorn.conf.py, line 1" in origin(cli, "threads", files=files)


def test_the_file_that_is_not_read_is_named(serve):
    server = serve("hello:app", files={"ferricorn.toml": "threads = 2\n", "gunicorn.conf.py": "threads = 5\n"})
    server.wait_for(r"WARNING\] gunicorn\.conf\.py is not read: the settings come from \S*ferricorn\.toml")


THREE = {"ferricorn.toml": "threads = 2\n", "pyproject.toml": "[tool.ferricorn]\nthreads = 3\n", "gunicorn.conf.py": "threads = 5\n",
         "one.py": "threads = 6\n", "two.py": "threads = 7\n"}


@pytest.mark.parametrize("flags, env, left, read, level", [
    ([], {}, ["pyproject.toml", "gunicorn.conf.py"], "ferricorn.toml", "WARNING"),
    (["-c", "pyproject.toml"], {}, ["ferricorn.toml", "gunicorn.conf.py"], "pyproject.toml", "INFO"),
    (["-c", "./gunicorn.conf.py"], {}, ["ferricorn.toml", "pyproject.toml"], "gunicorn.conf.py", "INFO"),
    (["-c", "python:one"], {}, ["ferricorn.toml", "pyproject.toml", "gunicorn.conf.py"], "python:one", "INFO"),
    (["-c", "one.py", "-c", "two.py"], {}, ["one.py"], "two.py", "WARNING"),
    (["-c", "two.py"], {"GUNICORN_CMD_ARGS": "-c one.py"}, ["one.py, of GUNICORN_CMD_ARGS,"], "two.py", "INFO"),
])
def test_each_file_that_is_not_read_is_named_once(serve, flags, env, left, read, level):
    server = serve("hello:app", *flags, env=env, files=THREE)
    for name in left:
        server.wait_for(rf"\[{level}\] {re.escape(name)} is not read: the settings come from \S*{re.escape(read)}")
        assert server.log.count(f"] {name} is not read") == 1
    assert f"] {read} is not read" not in server.log


def test_a_project_without_settings_is_not_named(serve):
    server = serve("hello:app", files={"ferricorn.toml": "threads = 2\n", "pyproject.toml": "[tool.black]\n"})
    server.get()
    assert "is not read" not in server.log


@pytest.mark.parametrize("where", ["other.toml", "file:other.toml"])
def test_toml_may_be_named(cli, where):
    files = {"other.toml": "threads = 6\n", "gunicorn.conf.py": "threads = 5\n"}
    assert origin(cli, "threads", "-c", where, files=files).startswith("6 ")


def test_a_project_that_is_named_must_have_settings(cli):
    result = run(cli, "--check-config", "-c", "pyproject.toml", files={"pyproject.toml": ""})
    assert result.returncode == 1
    assert "no table [tool.ferricorn]" in result.stderr


# What it says.


def test_toml_holds_what_python_does(serve):
    toml = """
bind = ["127.0.0.1:0"]
wsgi_app = "mine:app"
raw_env = ["COLOUR=green"]
when_ready = "mine_hooks.ready"
[logconfig_dict.loggers."gunicorn.error"]
level = "INFO"
handlers = ["error_console"]
propagate = false
"""
    hooks = "def ready(server): server.log.info('ready, with %s', server.cfg.logconfig_dict['loggers'].keys())\n"
    server = serve(None, bind=None, files={"ferricorn.toml": toml, "mine.py": APP, "mine_hooks.py": hooks})
    server.wait_for("ready, with dict_keys")
    assert server.get().text == "green"


def test_broken_toml_shows_where(cli):
    result = run(cli, "--check-config", files={"ferricorn.toml": "workers = 3\nbind = [\n"})
    assert result.returncode == 1
    assert "ferricorn.toml" in result.stderr and "line 2" in result.stderr
    assert "Traceback" not in result.stderr


def test_toml_may_hold_nothing_but_settings(cli):
    result = run(cli, "--check-config", files={"ferricorn.toml": "workers = 3\nmax-requests = 5\n"})
    assert result.returncode == 1
    assert re.search(r"^Error: max-requests: there is no such setting \(from \S*ferricorn\.toml, line 2\); "
                     r"did you mean max_requests\?$", result.stderr, re.M), result.stderr


def test_all_errors_have_their_place(cli, tmp_path):
    conf = "import os\nif os.name:\n    backlog = -3\naccesslog, access_log_format = '-', '%(nope'\nchdir = 'nowhere'\n"
    result = run(cli, "--workers=-1", env={"FERRICORN_CMD_ARGS": "--timeout=-2"}, files={"gunicorn.conf.py": conf})
    assert result.returncode == 1
    lines = result.stderr.splitlines()
    assert lines[0] == "Error: 5 settings are wrong:"
    file = re.escape(f"{tmp_path}/gunicorn.conf.py")
    for line, wanted in zip(lines[1:], [
        rf"  backlog: -3 is not .* \(from {file}, line 3\)",
        r"  workers: \"-1\" is not .* \(from the command line, --workers\)",
        r"  timeout: \"-2\" is not .* \(from FERRICORN_CMD_ARGS, --timeout\)",
        rf"  chdir: can't chdir to \"nowhere\": .* \(from {file}, line 5\)",
        rf"  access_log_format: .* \(from {file}, line 4\)",
    ], strict=True):
        assert re.fullmatch(wanted, line), (line, wanted)


def test_names_that_are_no_settings_are_told_at_level_debug(serve):
    conf = "import os\nloglevel = 'debug'\nmax_request = 5\ncores = os.cpu_count()\n"
    server = serve("hello:app", files={"gunicorn.conf.py": conf})
    server.wait_for(r"DEBUG\] \S*gunicorn\.conf\.py, line 3: max_request is no setting; did you mean max_requests\?")
    server.wait_for(r"DEBUG\] \S*gunicorn\.conf\.py also sets what is no setting: cores\n")


def test_a_hook_that_does_not_take_what_it_is_given_is_named_with_its_place(cli, tmp_path):
    conf = "def pre_fork(server): pass\n\npost_fork = 'no_such_module.hook'\n"
    result = run(cli, "--check-config", files={"gunicorn.conf.py": conf})
    assert result.returncode == 1
    assert "pre_fork: Value must have an arity of: 2 (it has 1)" in result.stderr
    assert f"(from {tmp_path}/gunicorn.conf.py, line 1)" in result.stderr
    assert "post_fork: cannot load 'no_such_module.hook'" in result.stderr
    assert f"(from {tmp_path}/gunicorn.conf.py, line 3)" in result.stderr


@pytest.mark.parametrize("code, status, said", [("7", 7, "SystemExit: 7"), ("'no DATABASE_URL'", 1, "SystemExit: no DATABASE_URL")])
def test_a_file_may_end_the_process(cli, code, status, said):
    result = run(cli, "--check-config", files={"gunicorn.conf.py": f"import sys\nsys.exit({code})\n"})
    assert result.returncode == status
    assert said in result.stderr and "Traceback" not in result.stderr


NEGLIGIBLE = """
import ssl
tmp_upload_dir, worker_tmp_dir, ssl_version, suppress_ragged_eofs = "/tmp", "/dev/shm", ssl.PROTOCOL_TLS_SERVER, False
do_handshake_on_connect, http_parser, sendfile, spew = True, "fast", False, True
raw_paste_global_conf, default_proc_name, enable_stdio_inheritance, uwsgi_allow_ips = ["a=b"], "x", True, "10.0.0.1"
dirty_apps, dirty_workers, dirty_timeout, dirty_threads, dirty_graceful_timeout = ["a:B"], 2, 4, 3, 9
control_socket, control_socket_mode, control_socket_disable, http2_max_frame_size = "/tmp/x.ctl", 0o640, True, 20000
def on_dirty_starting(arbiter): pass
def dirty_post_fork(arbiter, worker): pass
"""


def test_what_nobody_would_miss_is_accepted(serve):
    server = serve("hello:app", files={"gunicorn.conf.py": NEGLIGIBLE})
    assert server.get().body == b"Hello, world!\n"
    assert "ERROR" not in server.log


def test_the_printed_configuration_shows_what_has_no_effect(cli, tmp_path):
    shown = origin(cli, "worker_tmp_dir", files={"gunicorn.conf.py": "worker_tmp_dir = '/dev/shm'\n"})
    assert shown == f'"/dev/shm"  # {tmp_path}/gunicorn.conf.py, line 1; no effect'


def test_tls_stops_the_start_with_one_line(cli):
    conf = "def ssl_context(config, factory): return factory()\ncertfile = 'a.pem'\nkeyfile = 'a.key'\n"
    result = run(cli, "--ciphers", "DEFAULT", files={"gunicorn.conf.py": conf})
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert result.stderr.startswith("Error: keyfile, certfile, ciphers, ssl_context: not supported yet by ferricorn")


def test_http2_stops_the_start_with_one_line(cli):
    result = run(cli, "--http-protocols", "h2,h1", "--http2-cleartext", "both")
    assert result.returncode == 1
    assert result.stderr.startswith("Error: http_protocols, http2_cleartext: not supported yet"), result.stderr


def test_a_file_that_goes_is_no_longer_read(serve):
    server = serve("hello:app", "-w", "1", files={"gunicorn.conf.py": "def post_fork(server, worker): server.log.info('forked one')\n"})
    server.wait_for("forked one")
    (server.folder / "gunicorn.conf.py").rename(server.folder / "old.py")
    (server.folder / "ferricorn.toml").write_text("post_fork = 'other.forked'\n")
    (server.folder / "other.py").write_text("def forked(server, worker): server.log.info('forked another')\n")
    server.send(signal.SIGHUP)
    server.wait_for("forked another")
    assert server.log.count("forked one") == 1


# What raw_env does, in the master too.

ENVIRON = """
import os
raw_env = ["COLOUR=red", "SHAPE=round"]
was = os.environ.get("COLOUR")
def on_starting(server): server.log.info("starts: %s, was %s", os.environ["COLOUR"], was)
def on_reload(server): server.log.info("reloads: %s, was %s, %s", os.environ["COLOUR"], was, os.environ.get("SHAPE"))
"""


def test_raw_env_is_set_in_the_master_and_taken_back_by_a_reload(serve):
    server = serve("mine:app", env={"COLOUR": "blue"}, files={"mine.py": APP, "gunicorn.conf.py": ENVIRON})
    server.wait_for("starts: red, was blue")
    assert server.get().text == "red"
    changed = ENVIRON.replace('["COLOUR=red", "SHAPE=round"]', '["COLOUR=green"]')
    (server.folder / "gunicorn.conf.py").write_text(changed)
    server.send(signal.SIGHUP)
    server.wait_for("reloads: green, was blue, None")
    until(lambda: server.get().text == "green", "the new worker's environment")
    (server.folder / "gunicorn.conf.py").write_text("raw_env = 5\n")
    server.send(signal.SIGHUP)
    server.wait_for("raw_env: 5 is not")
    (server.folder / "gunicorn.conf.py").write_text(changed.replace("green", "grey"))
    server.send(signal.SIGHUP)
    server.wait_for("reloads: grey, was blue, None")
