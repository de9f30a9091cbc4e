"""What is seen of a server's life: access lines over a matrix of requests, the lines of the error log, and exit codes.

`contract/*.txt` holds what gunicorn 27.0.1 does; where Ferricorn differs, docs/migrating.md says so.
"""

import os
import re
import signal
import socket
from pathlib import Path

import pytest

from harness import IS_GUNICORN, title, until
from harness.contract import cases, wanted

FOLDER = Path(__file__).parent / "contract"
ATOMS, LINES, EXITS = (cases(FOLDER / f"{name}.txt") for name in ("atoms", "lines", "exits"))

APP = """
import time
def app(environ, start_response):
    path = environ["PATH_INFO"]
    body = environ["wsgi.input"].read()
    if path == "/boom":
        raise LookupError("no luck")
    if path == "/sleep":
        time.sleep(30)
    if path == "/stream":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return iter([b"some", b"", b"more"])
    status = {"/204": "204 No Content", "/304": "304 Not Modified", "/404": "404 Not Here"}.get(path, "200 OK")
    text = b"" if path in ("/204", "/304") else b"hello " + body
    head = [("Content-Type", "text/plain"), ("X-Made", 'by "hand"'), ("X-Made", "twice")]
    start_response(status, head + ([] if path in ("/204", "/304") else [("Content-Length", str(len(text)))]))
    return [text]
"""


# Access lines.

def bare(line, *fields, body=b""):
    return "\r\n".join([line, "Host: x", *fields, "", ""]).encode("latin-1") + body


REQUESTS = {
    "plain": bare("GET /list?a=b&c HTTP/1.1", "Referer: http://r/", "User-Agent: curl/8"),
    "bare": bare("GET / HTTP/1.1"),
    "old": b"GET /old HTTP/1.0\r\n\r\n",
    "old and kept": b"GET /old HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "quotes": bare('GET /a"b?q="x" HTTP/1.1', 'Referer: "r"', 'User-Agent: a"b', 'X-Any: say "x"'),
    "escapes": bare("GET /a%20b%2Fc?x=%22 HTTP/1.1"),
    "absolute": bare("GET http://x/abs?q HTTP/1.1"),
    "question": bare("GET /list? HTTP/1.1"),
    "asterisk": bare("OPTIONS * HTTP/1.1"),
    "user": bare("GET /u HTTP/1.1", "Authorization: Basic YWRhOnNlY3JldA=="),
    "user without a password": bare("GET /u HTTP/1.1", "Authorization: basic YWRh"),
    "user that is none": bare("GET /u HTTP/1.1", "Authorization: Basic !!!"),
    "user of a token": bare("GET /u HTTP/1.1", "Authorization: Bearer YWRhOnNlY3JldA=="),
    "head": bare("HEAD /head HTTP/1.1"),
    "post": bare("POST /form HTTP/1.1", "Content-Length: 5", "Content-Type: text/x", body=b"body!"),
    "chunked": bare("POST /form HTTP/1.1", "Transfer-Encoding: chunked", body=b"5\r\nbody!\r\n0\r\n\r\n"),
    "put": bare("PUT /form HTTP/1.1", "Content-Length: 0"),
    "no content": bare("GET /204 HTTP/1.1"),
    "not modified": bare("GET /304 HTTP/1.1"),
    "not found": bare("GET /404 HTTP/1.1"),
    "stream": bare("GET /stream HTTP/1.1"),
    "stream to an old client": b"GET /stream HTTP/1.0\r\n\r\n",
    "failure": bare("GET /boom HTTP/1.1"),
    "repeated": bare("GET / HTTP/1.1", "X-Any: one", "X-Any: two", "Cookie: a=b"),
    "forwarded": bare("GET / HTTP/1.1", "X-Forwarded-For: 192.0.2.7", "X-Forwarded-Proto: https"),
    "closing": bare("GET / HTTP/1.1", "Connection: close"),
    "latin": bare("GET / HTTP/1.1", "User-Agent: caf\xe9", "X-Any: \xe9"),
}

SHOWN = ["h", "l", "u", "r", "m", "U", "q", "H", "s", "b", "B", "f", "a", "t", "T", "D", "M", "L", "p", "{x-any}i", "{X-Any}i", "{host}i",
         "{cookie}i", "{nothing}i", "{content-type}o", "{x-made}o", "{content-length}o", "{server}o", "{nothing}o", "{wsgi.url_scheme}e",
         "{request_method}e", "{HTTP_HOST}e", "{http_x_any}e", "{nothing}e", "nothing"]
SHAPES = {"t": r"\[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\]", "T": r"\d+", "D": r"\d+", "M": r"\d+", "L": r"\d+\.\d{6}", "p": r"<\d+>"}
SEPARATOR = " ~ "


def shape(atom, text):
    """What of an atom is the same each time."""
    return "as always" if atom in SHAPES and re.fullmatch(SHAPES[atom], text) else text


def told(server, name):
    """The atoms of a request's access line, with which `case` begins."""
    before = len(server.access_log)
    with server.connect() as client:
        client.send(REQUESTS[name]).finish()
        client.read_to_end()
    [line] = until(lambda: server.access_log[before:], f"the line of {name!r}")
    return {f"{name}: {atom}": shape(atom, text) for atom, text in zip(SHOWN, line.split(SEPARATOR), strict=True)}


def compare(found, all_wanted):
    wrong = [f"{case}: {found.get(case)!r} and not {result!r}" for case, result in all_wanted.items() if found.get(case) != result]
    assert not wrong, "\n" + "\n".join(wrong)


def test_access_lines(serve):
    server = serve(APP, "--access-logfile", "-", "--access-logformat", SEPARATOR.join(f"%({atom})s" for atom in SHOWN))
    found = {}
    for name in REQUESTS:
        found |= told(server, name)
    compare(found, {case: wanted(case, result) for case, result in ATOMS.items()})


def test_the_access_line_that_nobody_has_chosen(serve):
    server = serve(APP, "--access-logfile", "-")
    server.get("/list?a=b", [("Referer", "http://r/"), ("User-Agent", "curl/8")])
    [line] = until(lambda: server.access_log, "a line")
    assert re.fullmatch(r'127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "GET /list\?a=b HTTP/1\.1" 200 6 '
                        r'"http://r/" "curl/8"', line)


def test_formats_that_nobody_would_write(serve):
    """What has no meaning is `-`, and a number may be in any notation."""
    form = "%(h)s %(I)s %(shop)s %({shop}x)s %(T)x %(T).1f %(B)04X %(B)o %(ms)5s|100%% %(m)s"
    server = serve(APP, "--access-logfile", "-", "--access-logformat", form)
    server.get("/")
    [line] = until(lambda: server.access_log, "a line")
    assert line == "127.0.0.1 - - - 0 0.0 0006 6     -|100% GET"


# A format that could be printed by nobody but this class.
OWN_ATOM = """
import gunicorn.glogging
class Own(gunicorn.glogging.Logger):
    def atoms(self, *arguments):
        return {**super().atoms(*arguments), "R": "rid-1", "ms": 12.5}
"""


def test_a_logger_of_the_users_own_knows_its_atoms(serve):
    server = serve(APP, "--logger-class", "own.Own", "--access-logfile", "-", "--access-logformat", "%(h)s %(R)s %(ms).2f %(ms)d",
                   files={"own.py": OWN_ATOM})
    server.get("/")
    [line] = until(lambda: server.access_log, "a line")
    assert line == "127.0.0.1 rid-1 12.50 12"


def test_a_format_that_nobody_prints_is_not_judged(serve):
    server = serve(APP, "--access-logformat", "%(h)d 100% %(X)s %(")
    assert server.get("/").status == 200
    assert "access_log_format" not in server.log


ASGI = """
async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})
"""


def test_an_asgi_app_has_what_the_request_tells_of_an_environ(serve):
    names = "request_method", "RAW_URI", "PATH_INFO", "query_string", "SERVER_PROTOCOL", "REMOTE_ADDR", "HTTP_X_FORWARDED_FOR", "HTTP_NONE", "NONE"
    server = serve(ASGI, "-k", "asgi", "--access-logfile", "-", "--access-logformat", " ".join(f"%({{{name}}}e)s" for name in names))
    server.get("/a?b=c", [("X-Forwarded-For", "192.0.2.7")])
    [line] = until(lambda: server.access_log, "a line")
    assert line == "GET /a?b=c /a b=c HTTP/1.1 127.0.0.1 192.0.2.7 - -"


# The error log.

RECORD = re.compile(r"^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}\] \[\d+\] \[([A-Z]+)\] (.*)$", re.MULTILINE)


def records(log, folder=""):
    """The records of a log, without what is never the same."""
    lines = []
    for level, text in RECORD.findall(log):
        text = re.sub(r"(?<=127\.0\.0\.1:)\d+|(?<=\()\d+(?=\))|(?<=pid: )\d+|(?<=pid:)\d+", "N", text.replace(str(folder), "HERE"))
        text = re.sub(r"(?<=Starting )\w+ [\d.]+$", "SERVER", text)
        lines.append(f"[{level}] {text}")
    return lines


def life(serve, *flags, app=APP, **options):
    server = serve(app, *(flags if "-k" in flags else ("-k", "gthread", *flags)), **options)
    server.wait_workers(1)
    server.get("/")
    return server


def of_start(serve):
    return life(serve).log


def of_stop(serve, number):
    server = life(serve)
    mark = server.mark()
    server.stop(number)
    return server.log[mark:]


def of_reload(serve):
    server = life(serve)
    mark, pids = server.mark(), server.workers()
    server.send(signal.SIGHUP)
    server.wait_workers(1, without=pids)
    server.wait_for("Worker exiting", after=mark)
    return server.log[mark:]


def of_counts(serve):
    server = life(serve)
    mark = server.mark()
    server.send(signal.SIGTTIN)
    pids = server.wait_workers(2)
    # One that loads its app still would leave without a word.
    until(lambda: IS_GUNICORN or all(title(pid).endswith(" serving") for pid in pids), "two workers that serve")
    server.send(signal.SIGTTOU)
    server.wait_for("Worker exiting", after=mark)
    server.send(signal.SIGUSR1)
    server.wait_for("usr1", after=mark)
    return server.log[mark:]


def of_death(serve, number):
    server = life(serve)
    mark, pids = server.mark(), server.workers()
    server.send(number, pids[0])
    server.wait_workers(1, without=pids)
    return server.log[mark:]


def of_timeout(serve):
    server = life(serve, "-k", "sync", "-t", "1")
    mark = server.mark()
    with server.connect() as client:
        client.send(b"GET /sleep HTTP/1.1\r\nHost: x\r\n\r\n")
        server.wait_for("WORKER TIMEOUT", after=mark)
        server.wait_for("Booting worker", after=mark)
        client.read_to_end()
    return server.log[mark:]


def of_most_requests(serve):
    server = life(serve, "--max-requests", "2")
    mark, pids = server.mark(), server.workers()
    server.get("/")
    server.wait_workers(1, without=pids)
    return server.log[mark:]


def of_requests(serve):
    server = life(serve)
    mark = server.mark()
    for text in (b"GET / HTTP/1.1\r\nbad name: x\r\n\r\n", b"nonsense\r\n\r\n", b"GET / HTTP/3.7\r\n\r\n", REQUESTS["failure"]):
        with server.connect() as client:
            client.send(text).finish()
            client.read_to_end()
    server.wait_for("LookupError", after=mark)
    return server.log[mark:]


def of_exit_in_post_request(serve, kind):
    conf = "def post_request(worker, req):\n    if req.path == '/last': raise SystemExit(5)\n"
    server = life(serve, "-k", kind, files={"gunicorn.conf.py": conf})
    mark = server.mark()
    with server.connect() as client:
        client.send(b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").finish()
        client.read_to_end()
    server.wait_for("exited with code 5|Error handling request", after=mark)
    if kind == "gthread":
        server.wait_for("Booting worker", after=mark)
    return server.log[mark:]


def of_boot(serve, app, files=(), *flags):
    server = serve(app, "-k", "gthread", *flags, listening=False, files=dict(files))
    server.expected_exit = {3, 4}
    server.wait_exit()
    return server.log


SCENES = {
    "start": of_start,
    "TERM": lambda serve: of_stop(serve, signal.SIGTERM),
    "INT": lambda serve: of_stop(serve, signal.SIGINT),
    "QUIT": lambda serve: of_stop(serve, signal.SIGQUIT),
    "HUP": of_reload,
    "TTIN, TTOU, USR1": of_counts,
    "KILL to a worker": lambda serve: of_death(serve, signal.SIGKILL),
    "SEGV to a worker": lambda serve: of_death(serve, signal.SIGSEGV),
    "TERM to a worker": lambda serve: of_death(serve, signal.SIGTERM),
    "timeout": of_timeout,
    "reload": lambda serve: life(serve, "--reload").log,
    "max_requests": of_most_requests,
    "requests": of_requests,
    "SystemExit in post_request": lambda serve: of_exit_in_post_request(serve, "gthread"),
    "SystemExit in post_request of sync": lambda serve: of_exit_in_post_request(serve, "sync"),
    "no module": lambda serve: of_boot(serve, "nothing:app"),
    "no attribute": lambda serve: of_boot(serve, "mine:nothing", {"mine.py": "x = 1\n"}),
    "failing import": lambda serve: of_boot(serve, "mine:app", {"mine.py": "1 / 0\n"}),
}


@pytest.mark.parametrize("scene", SCENES)
def test_the_error_log(serve, scene):
    """Each of gunicorn's lines is there, unless the list says what stands in its place."""
    log = SCENES[scene](serve)
    folder = serve.last.folder
    told = records(log, folder)
    for case in [case for case in LINES if case.startswith(f"{scene}: ")]:
        line = wanted(case, LINES[case])
        # What a kernel tells depends on the machine.
        assert line == "-" or any(one in told for one in line.split(" or ")), f"{line!r} is not in:\n" + "\n".join(told)


# Exit codes.

GOOD = {"mine.py": "def app(environ, start_response): pass\nname = 'x'\ndef make(x): return None\ndef fail(): raise OSError('no')\nnone = None\n"}
HOOK = "def {}: raise LookupError('no luck')\n".format
ENDS = {
    "--version": (["--version"], {}),
    "--help": (["--help"], {}),
    "no app": ([], {}),
    "an unknown flag": (["--no-such-flag", "mine:app"], {}),
    "no number": (["--workers", "many", "mine:app"], {}),
    "a number below 0": (["--workers=-1", "mine:app"], {}),
    "a config file that is missing": (["-c", "missing.py", "mine:app"], {}),
    "a config file that fails": (["mine:app"], {"gunicorn.conf.py": "1 / 0\n"}),
    "a config file that does not parse": (["mine:app"], {"gunicorn.conf.py": "def\n"}),
    "a config file that exits": (["mine:app"], {"gunicorn.conf.py": "raise SystemExit(7)\n"}),
    "a value that will not do": (["mine:app"], {"gunicorn.conf.py": "workers = 'many'\n"}),
    "a directory that is missing": (["--chdir", "missing", "mine:app"], {}),
    "a worker class that is missing": (["-k", "no.such.Class", "mine:app"], {}),
    "a user that is missing": (["--user", "nobody-of-that-name", "mine:app"], {}),
    "an address that is none": (["-b", "127.0.0.1:port", "mine:app"], {}),
    "a log file that cannot be": (["--error-logfile", "missing/log", "mine:app"], {}),
    "a log config that is missing": (["--log-config", "missing.ini", "mine:app"], {}),
    "a pidfile that cannot be": (["--pid", "missing/pid", "mine:app"], {}),
    "a pidfile of a process that lives": (["--pid", "pid", "mine:app"], {"pid": str(os.getpid())}),
    "a module that is missing": (["nothing:app"], {}),
    "a module that fails": (["broken:app"], {"broken.py": "1 / 0\n"}),
    "a module that does not parse": (["broken:app"], {"broken.py": "def\n"}),
    "an attribute that is missing": (["mine:nothing"], {}),
    "an attribute that cannot be called": (["mine:name"], {}),
    "an attribute that is None": (["mine:none"], {}),
    "an expression": (["mine:1+1"], {}),
    "a factory with wrong arguments": (["mine:make()"], {}),
    "a factory that gives None": (["mine:make(1)"], {}),
    "a factory that fails": (["mine:fail()"], {}),
    "a path in place of a module": (["mine.py:app"], {}),
    "nworkers_changed fails": (["mine:app"], {"gunicorn.conf.py": HOOK("nworkers_changed(server, new, old)")}),
    "on_starting fails": (["mine:app"], {"gunicorn.conf.py": HOOK("on_starting(server)")}),
    "when_ready fails": (["mine:app"], {"gunicorn.conf.py": HOOK("when_ready(server)")}),
    "pre_fork fails": (["mine:app"], {"gunicorn.conf.py": HOOK("pre_fork(server, worker)")}),
    "post_fork fails": (["mine:app"], {"gunicorn.conf.py": HOOK("post_fork(server, worker)")}),
    "post_worker_init fails": (["mine:app"], {"gunicorn.conf.py": HOOK("post_worker_init(worker)")}),
    "on_starting exits": (["mine:app"], {"gunicorn.conf.py": "def on_starting(server): raise SystemExit(7)\n"}),
    "--check-config of a good app": (["--check-config", "mine:app"], {}),
    "--check-config of a module that fails": (["--check-config", "broken:app"], {"broken.py": "1 / 0\n"}),
    "--check-config of an attribute that is missing": (["--check-config", "mine:nothing"], {}),
    "--check-config of a bad value": (["--check-config", "--workers=-1", "mine:app"], {}),
    "--print-config": (["--print-config", "mine:app"], {}),
    "an empty config file's name": (["-c", "", "--check-config", "mine:app"], {}),
    "an empty address of a syslog that is off": (["--log-syslog-to", "", "--check-config", "mine:app"], {}),
    "an empty facility of a syslog that is off": (["--log-syslog-facility", "", "--check-config", "mine:app"], {}),
    "empty protocols": (["--http-protocols", "", "--check-config", "mine:app"], {}),
    "a flag that could be several": (["--log", "debug", "mine:app"], {}),
    "a flag that is clear": (["--in", "--check-config", "mine:app"], {}),
    "--check-config of a format that cannot be printed": (["--check-config", "--access-logfile", "-", "--access-logformat", "%(h)d", "mine:app"], {}),
    "--check-config of a logger class that is missing": (["--check-config", "--logger-class", "nolog.L", "mine:app"], {}),
    "--check-config of a log config that is missing": (["--check-config", "--log-config", "no.ini", "mine:app"], {}),
    "--check-config of a dictionary that is no log config": (["--check-config", "mine:app"], {"gunicorn.conf.py": "logconfig_dict = {'version': 2}\n"}),
    "--check-config of an error log that cannot be": (["--check-config", "--error-logfile", "missing/log", "mine:app"], {}),
    "--check-config of an access log that cannot be": (["--check-config", "--access-logfile", "missing/log", "mine:app"], {}),
    "--check-config of a pidfile that cannot be": (["--check-config", "--pid", "missing/pid", "mine:app"], {}),
    "--check-config of a host that has no address": (["--check-config", "-b", "no-such-host.invalid:80", "mine:app"], {}),
    "--check-config of a statsd that has no address": (["--check-config", "--statsd-host", "no-such-host.invalid", "mine:app"], {}),
    "--preload of a module that fails": (["--preload", "broken:app"], {"broken.py": "1 / 0\n"}),
}


def ends(cli, name):
    flags, files = ENDS[name]
    done = cli(*([] if "-b" in flags else ["-b", "127.0.0.1:0"]), *flags, files={**GOOD, **files}, timeout=20)
    return str(done.returncode)


@pytest.mark.parametrize("name", [name for name in ENDS if name in EXITS])
def test_exit_codes(cli, name):
    assert ends(cli, name) == wanted(name, EXITS[name])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_server_that_is_asked_to_leave_exits_with_0(serve, number):
    assert life(serve).stop(number) == 0


def test_an_address_that_is_taken(cli):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = cli("-b", f"127.0.0.1:{taken.getsockname()[1]}", "mine:app", files=GOOD)
    assert done.returncode == 1
    assert "[ERROR] Connection in use: ('127.0.0.1'," in done.stderr
    assert re.search(r"\[ERROR\] connection to \('127\.0\.0\.1', \d+\) failed: \[Errno 98\] Address already in use", done.stderr)
