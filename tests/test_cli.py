"""The command line and the layers of configuration, without a server that stays."""

import re
import subprocess
import sys

import pytest

from harness import SERVER

APP = """
def app(environ, start_response):
    start_response("200 OK", [])
    return []
"""

only_ferricorn = pytest.mark.only_ferricorn


def printed(cli, *flags, files=None, **options):
    """The resolved settings by name, as --print-config shows them."""
    result = cli("--print-config", *flags, files={"mine.py": APP, **(files or {})}, **options)
    assert result.returncode == 0, result.stderr
    return dict(re.findall(r"^(\w+)\s*=\s*(.*?)(?:\s+#.*)?$", result.stdout, re.MULTILINE))


def value(cli, name, *flags, **options):
    """One resolved setting, without quotes and brackets."""
    return printed(cli, *flags, **options)[name].strip("[]'\"")


# What it says of itself.


def test_version_names_the_program_and_a_number(cli):
    result = cli("--version")
    assert result.returncode == 0
    assert re.search(rf"{SERVER}\b.*\d+\.\d+", result.stdout)
    assert cli("-v").stdout == result.stdout


@only_ferricorn("it is about the command of this package")
def test_the_command_brings_in_no_module_that_it_does_not_need():
    # Each process of the server would have it in memory; these bring in dozens of others.
    code = "import sys; before = set(sys.modules); import ferricorn.__main__; print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "ferricorn.standin" in done.stdout and not {"inspect", "typing", "tempfile"} & set(done.stdout.split())


def test_help_lists_the_flags(cli):
    result = cli("--help")
    assert result.returncode == 0
    for flag in ("--bind", "--workers", "--timeout", "--graceful-timeout", "--limit-request-field_size", "--chdir"):
        assert flag in result.stdout, flag


@only_ferricorn("gunicorn's list is in no order")
def test_help_is_grouped_as_gunicorns_documentation(cli):
    text = cli("--help").stdout
    found = [text.find(group) for group in
             ("Config File", "Server Socket", "Worker Processes", "Security", "Server Mechanics", "Logging")]
    assert -1 not in found, found
    assert text.index("Worker Processes") < text.index("--workers")


def test_python_m_is_the_same_command(cli):
    import subprocess
    import sys

    result = subprocess.run([sys.executable, "-m", SERVER, "--version"], capture_output=True, text=True, timeout=30)
    assert (result.returncode, result.stdout) == (0, cli("--version").stdout)


# What it refuses.


def test_an_unknown_flag_is_a_usage_error(cli):
    result = cli("--no-such-flag", "mine:app")
    assert result.returncode == 2
    assert "--no-such-flag" in result.stderr


def test_a_number_that_is_none_is_refused(cli):
    result = cli("--workers", "many", "mine:app")
    assert result.returncode in (1, 2)
    assert "workers" in result.stderr and "many" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("flag, value", [
    ("--workers", "-1"), ("--backlog", "-5"), ("--timeout", "-2"), ("--limit-request-line", "-1"),
])
def test_a_value_out_of_range_is_refused_by_name(cli, flag, value):
    result = cli(f"{flag}={value}", "mine:app")
    assert result.returncode in (1, 2)
    assert value in result.stderr


@only_ferricorn("gunicorn does not name the setting")
def test_every_bad_value_is_told_at_once_with_its_source(cli):
    result = cli("--workers=-1", "mine:app", env={"GUNICORN_CMD_ARGS": "--timeout=-2"}, files={
        "mine.py": APP, "gunicorn.conf.py": "backlog = -3\ndef post_fork(worker): pass\npre_fork = 'no.such.hook'\n"})
    assert result.returncode == 1
    for word in ("workers", "timeout", "backlog", "gunicorn.conf.py", "GUNICORN_CMD_ARGS", "5 settings are wrong",
                 "post_fork: Value must have an arity of: 2 (it has 1) (from ", "pre_fork: cannot load 'no.such.hook'"):
        assert word in result.stderr, f"{word} is missing in {result.stderr}"
    assert "Traceback" not in result.stderr


def test_no_app_exits_1(cli):
    result = cli("-b", "127.0.0.1:0")
    assert result.returncode == 1
    assert "application" in result.stderr.lower()


def test_an_address_that_is_none_is_refused(cli):
    result = cli("-b", "127.0.0.1:port", "mine:app", files={"mine.py": APP})
    assert result.returncode in (1, 2)
    assert "port" in result.stderr


@only_ferricorn("gunicorn still tries to import such a class")
@pytest.mark.parametrize("name", ["tornado", "eventlet", "no.such.Worker"])
def test_a_worker_class_that_is_not_there_is_refused_with_a_choice(cli, name):
    result = cli("-k", name, "mine:app", files={"mine.py": APP})
    assert result.returncode in (1, 2)
    assert name in result.stderr and "sync" in result.stderr


@only_ferricorn("gunicorn shows its own traceback")
@pytest.mark.parametrize("key, value, expected", [
    ("errorlog", "object()", "a string"),
    ("bind", "5", "a string or a list of strings"),
    ("bind", "['127.0.0.1:0', object()]", "a string or a list of strings"),
    ("workers", "'many'", "a whole number"),
    ("timeout", "2.5", "a whole number"),
    ("backlog", "None", "a whole number"),
    ("umask", "'rwx'", "a mode"),
    ("chdir", "b'/srv'", "a string"),
    ("pidfile", "print", "a string"),
    ("capture_output", "1", "true or false"),
    ("header_map", "object()", "one of drop, refuse, dangerous"),
    ("secure_scheme_headers", "[['a', 'b']]", "a dictionary of strings"),
    ("pre_fork", "'a name'", "a function"),
])
def test_a_value_of_the_wrong_type_in_a_file(cli, key, value, expected):
    result = cli("--check-config", "mine:app", files={"mine.py": APP, "gunicorn.conf.py": f"{key} = {value}\n"})
    assert result.returncode == 1
    line = result.stderr.splitlines()
    assert len(line) == 1 and line[0].startswith(f"Error: {key}: ") and expected in line[0], result.stderr
    assert "gunicorn.conf.py" in line[0]


@only_ferricorn("gunicorn takes it of some settings, and not of these")
def test_none_is_taken_where_it_is_the_default(cli):
    conf = "pidfile = accesslog = chdir = user = proc_name = when_ready = logconfig_dict = None\n"
    assert cli("--check-config", "mine:app", files={"mine.py": APP, "gunicorn.conf.py": conf}).returncode == 0


# --check-config.


def test_check_config_is_content_with_an_app_that_loads(cli):
    assert cli("--check-config", "mine:app", files={"mine.py": APP}).returncode == 0


@pytest.mark.parametrize("flags, files", [
    (["mine:app"], {}),
    (["mine:missing"], {"mine.py": APP}),
    (["mine:app"], {"mine.py": "import no_such_module\n"}),
    (["-c", "missing.conf.py", "mine:app"], {"mine.py": APP}),
    (["-c", "bad.conf.py", "mine:app"], {"mine.py": APP, "bad.conf.py": "1 / 0\n"}),
    (["-c", "bad.conf.py", "mine:app"], {"mine.py": APP, "bad.conf.py": "workers = 'many'\n"}),
])
def test_check_config_exits_1_on_what_cannot_start(cli, flags, files):
    result = cli("--check-config", *flags, files=files)
    assert result.returncode == 1
    assert result.stderr.strip()


def test_check_config_binds_nothing(cli):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        assert cli("--check-config", "-b", where, "mine:app", files={"mine.py": APP}).returncode == 0


@only_ferricorn("gunicorn says nothing")
def test_check_config_tells_what_differs_from_gunicorn(cli, tmp_path):
    conf = "workers = 2\nworker_tmp_dir = '/dev/shm'\nworker_class = 'gthread'\nmax_request = 9\nbacklog = 64\n"
    result = cli("--check-config", "--keep-alive", "5", "mine:app", files={"mine.py": APP, "gunicorn.conf.py": conf})
    assert (result.returncode, result.stderr) == (0, "")
    file = f"{tmp_path}/gunicorn.conf.py"
    assert f"{file}, line 4: max_request is no setting; did you mean max_requests?" in result.stdout
    assert f"  worker_tmp_dir has no effect: the heartbeat is kept in shared memory, not in a file (from {file}, line 2)" in result.stdout
    differences = result.stdout.partition("What differs from gunicorn")[2]
    assert f"  worker_class ({file}, line 3) is different: " in differences
    # As much as gunicorn's, now that it is set.
    assert "keepalive" not in differences
    assert "  control_socket is not set: " in differences
    assert "backlog" not in differences


# The layers, lowest first.


def test_defaults(cli):
    settings = printed(cli, "mine:app")
    assert settings["workers"] == "1"
    assert settings["timeout"] == "30"
    assert settings["bind"].strip("[]'\"") == "127.0.0.1:8000"
    assert settings["limit_request_line"] == "4094"


def test_web_concurrency_and_port_count(cli):
    env = {"WEB_CONCURRENCY": "3", "PORT": "5055"}
    settings = printed(cli, "mine:app", env=env)
    assert (settings["workers"], settings["bind"].strip("[]'\"")) == ("3", "0.0.0.0:5055")


def test_gunicorn_conf_py_is_found_by_itself(cli):
    assert value(cli, "workers", "mine:app", files={"gunicorn.conf.py": "workers = 2 + 2\n"}) == "4"


@pytest.mark.parametrize("where", ["other.py", "./other.py", "file:other.py", "python:other"])
def test_a_config_file_is_named(cli, where):
    files = {"other.py": "workers = 5\n", "gunicorn.conf.py": "workers = 4\n"}
    assert value(cli, "workers", "-c", where, "mine:app", files=files) == "5"


def test_the_config_file_may_be_named_in_the_environment(cli):
    assert value(cli, "workers", "mine:app", env={"GUNICORN_CMD_ARGS": "-c other.py"},
                 files={"other.py": "workers = 6\n"}) == "6"


def test_each_layer_wins_over_the_one_below(cli):
    env, files = {"WEB_CONCURRENCY": "2"}, {}
    assert value(cli, "workers", "mine:app", env=env) == "2"
    files["gunicorn.conf.py"] = "workers = 3\n"
    assert value(cli, "workers", "mine:app", env=env, files=files) == "3"
    env["GUNICORN_CMD_ARGS"] = "--workers=4"
    assert value(cli, "workers", "mine:app", env=env, files=files) == "4"
    assert value(cli, "workers", "-w", "5", "mine:app", env=env, files=files) == "5"


def test_a_list_on_the_command_line_replaces_the_files(cli):
    files = {"gunicorn.conf.py": "bind = ['127.0.0.1:1111', '127.0.0.1:2222']\n"}
    assert value(cli, "bind", "-b", "127.0.0.1:3333", "mine:app", files=files) == "127.0.0.1:3333"


def test_the_app_may_stand_in_the_file(cli):
    assert cli("--check-config", files={"mine.py": APP, "gunicorn.conf.py": "wsgi_app = 'mine:app'\n"}).returncode == 0


def test_strings_count_as_numbers_in_a_file(cli):
    assert value(cli, "workers", "mine:app", files={"gunicorn.conf.py": "workers = '7'\n"}) == "7"


def test_hooks_and_unknown_names_in_a_file_do_no_harm(cli):
    conf = """
import multiprocessing, os
from pathlib import Path
_private = 1
helper = Path("x")
max_worker_memory = 400
workers = 2
def on_starting(server): pass
def when_ready(server): pass
def pre_fork(server, worker): pass
def post_fork(server, worker): pass
def post_worker_init(worker): pass
def worker_int(worker): pass
def worker_abort(worker): pass
def worker_exit(server, worker): pass
def child_exit(server, worker): pass
def pre_exec(server): pass
def on_reload(server): pass
def on_exit(server): pass
def nworkers_changed(server, new, old): pass
def pre_request(worker, req): pass
def post_request(worker, req, environ, resp): pass
"""
    assert value(cli, "workers", "mine:app", files={"gunicorn.conf.py": conf}) == "2"


def test_a_config_file_that_raises_shows_the_users_traceback(cli):
    files = {"mine.py": APP, "gunicorn.conf.py": "def boom():\n    raise RuntimeError('no luck')\nboom()\n"}
    result = cli("mine:app", "-b", "127.0.0.1:0", files=files)
    assert result.returncode == 1
    assert "no luck" in result.stderr and "gunicorn.conf.py" in result.stderr


def test_long_flags_may_be_shortened_if_unambiguous(cli):
    assert value(cli, "graceful_timeout", "--graceful", "11", "mine:app") == "11"


def test_a_flag_that_could_be_several_is_told_with_all_of_them(cli):
    done = cli("--log", "debug", "mine:app", files={"mine.py": APP})
    assert done.returncode == 2
    told = re.search(r"ambiguous option: --log could match (.*)", done.stderr).group(1)
    assert {"--log-level", "--log-config", "--log-syslog-to", "--log-file"} <= set(told.replace("'", "").split(", "))


def test_what_is_cut_short_means_what_it_means_to_gunicorn(cli):
    assert value(cli, "initgroups", "--in", "mine:app").lower() == "true"


def test_a_wrong_flag_in_the_variable_is_told_with_the_commands_usage(cli):
    done = cli("mine:app", files={"mine.py": APP}, env={"GUNICORN_CMD_ARGS": "--no-such-flag"})
    assert done.returncode == 2
    assert re.search(r"usage: \S*(ferricorn|gunicorn) \[OPTIONS\]", done.stderr, re.IGNORECASE)


@only_ferricorn("gunicorn says nothing")
def test_check_config_leaves_no_files_behind_and_tells_nothing_that_is_the_same(cli, tmp_path):
    flags = ["--error-logfile", "new.log", "--access-logfile", "more.log", "--pid", "new.pid", "--keep-alive", "5", "-m", "007"]
    done = cli("--check-config", *flags, "--statsd-host", "no-such-host.invalid", "mine:app", files={"mine.py": APP})
    assert done.returncode == 0, done.stderr
    assert not [name for name in ("new.log", "more.log", "new.pid") if (tmp_path / name).exists()]
    assert "keepalive (" not in done.stdout and "umask" not in done.stdout
    assert "statsd_host: the address of no-such-host.invalid cannot be found" in done.stdout


@only_ferricorn("gunicorn does not name the setting")
def test_a_number_with_a_fraction_is_shown_with_it(cli):
    done = cli("mine:app", files={"mine.py": APP, "gunicorn.conf.py": "workers = 2 / 2 + 1\n"})
    assert done.returncode == 1 and "workers: 2.0 is not a whole number" in done.stderr


@only_ferricorn("gunicorn says nothing")
def test_what_an_access_line_cannot_tell_is_named_once(cli):
    done = cli("--check-config", "--access-logfile", "-", "--access-logformat", "%(h)s %(I)s %(O)s", "mine:app", files={"mine.py": APP})
    assert done.returncode == 0, done.stderr
    [line] = [line for line in done.stdout.splitlines() if line.startswith("  access_log_format: ")]
    assert "'%(I)s' names no atom and is printed as '-', '%(O)s' names no atom" in line and "--access-logformat" in line


def test_it_is_loaded_beside_modules_that_want_thread_local_room_too(cli):
    done = cli("--version", env={"GLIBC_TUNABLES": "glibc.rtld.optional_static_tls=0"})
    assert (done.returncode, done.stderr) == (0, "")
