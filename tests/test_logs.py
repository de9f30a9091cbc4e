"""The access log's atoms and the error log's form."""

import base64
import re

import pytest

from harness import until

only_ferricorn = pytest.mark.only_ferricorn


def access_line(serve, form, request=b"GET /list?a=b HTTP/1.1\r\nHost: x\r\n\r\n", app="features:app", **options):
    """The access-log line that one request leaves."""
    server = serve(app, "--access-logfile", "-", "--access-logformat", form, **options)
    with server.connect() as client:
        client.send(request)
        client.response()
    return until(lambda: server.access_log, "an access line")[0]


ATOMS = {
    "h": "127\\.0\\.0\\.1",
    "l": "-",
    "u": "-",
    "t": r"\[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\]",
    "r": r"GET /list\?a=b HTTP/1\.1",
    "m": "GET",
    "U": "/list",
    "q": "a=b",
    "H": r"HTTP/1\.1",
    "s": "200",
    "B": "13",
    "b": "13",
    "f": "-",
    "a": "-",
    "T": "0",
    "M": r"\d+",
    "D": r"\d+",
    "L": r"0\.\d{6}",
    "p": r"<\d+>",
    "{host}i": "x",
    "{Host}i": "x",
    "{nothing}i": "-",
    "{content-type}o": "text/plain",
    "{nothing}o": "-",
    "{REQUEST_METHOD}e": "GET",
    "{wsgi.url_scheme}e": "http",
    "{nothing}e": "-",
}


def test_every_atom(serve):
    line = access_line(serve, "|".join(f"%({atom})s" for atom in ATOMS))
    values = dict(zip(ATOMS, line.split("|"), strict=True))
    wrong = {atom: value for atom, value in values.items() if not re.fullmatch(ATOMS[atom], value)}
    assert not wrong


def test_the_default_format(serve):
    server = serve("features:app", "--access-logfile", "-")
    server.get("/list?q", [("User-Agent", "tests/1"), ("Referer", "http://a.example/")])
    line = until(lambda: server.access_log, "an access line")[0]
    assert re.fullmatch(r'127\.0\.0\.1 - - \[[^]]+\] "GET /list\?q HTTP/1\.1" 200 13 "http://a\.example/" "tests/1"', line)


def test_the_user_of_basic_authentication(serve):
    credentials = base64.b64encode(b"ada:secret")
    line = access_line(serve, "%(u)s", b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Basic " + credentials + b"\r\n\r\n")
    assert line == "ada"


def test_percent_signs_and_widths(serve):
    assert access_line(serve, "100%% %(m)5s|%(m)-5s|") == "100%   GET|GET  |"


def test_bytes_sent_are_those_of_the_body(serve):
    assert access_line(serve, "%(b)s %(B)s", b"GET /empty HTTP/1.1\r\nHost: x\r\n\r\n") == "0 0"


def test_the_time_is_that_of_the_whole_request(serve):
    micros = int(access_line(serve, "%(D)s", b"GET /sleep?0.3 HTTP/1.1\r\nHost: x\r\n\r\n"))
    assert 300_000 <= micros < 5_000_000


def test_the_pid_is_the_workers(serve):
    server = serve("features:app", "--access-logfile", "-", "--access-logformat", "%(p)s")
    pid = server.get("/pid").text
    assert until(lambda: server.access_log, "an access line")[0] == f"<{pid}>"


def test_a_quote_cannot_forge_a_field(serve):
    line = access_line(serve, '"%(a)s"', b'GET / HTTP/1.1\r\nHost: x\r\nUser-Agent: a" "b\r\n\r\n')
    assert line == r'"a\" \"b"'


@only_ferricorn("gunicorn escapes the quote alone")
def test_nothing_else_can_forge_one_either(serve):
    line = access_line(serve, '"%(a)s"', b'GET / HTTP/1.1\r\nHost: x\r\nUser-Agent: a\\" b\xe9\tc\r\n\r\n')
    assert line == r'"a\x5C\" b\xE9\x09c"'


def test_errors_of_the_app_are_logged_as_500(serve):
    assert access_line(serve, "%(s)s", b"GET /raise HTTP/1.1\r\nHost: x\r\n\r\n") == "500"


@only_ferricorn("gunicorn has forgotten the request by then")
def test_errors_of_the_app_are_logged_with_their_path(serve):
    assert access_line(serve, "%(s)s %(U)s", b"GET /raise HTTP/1.1\r\nHost: x\r\n\r\n") == "500 /raise"


def test_refused_requests_are_told_with_their_address(serve):
    server = serve("features:app")
    with server.connect() as client:
        assert client.send(b"GARBAGE\r\n\r\n").response().status == 400
    server.wait_for(r"\[WARNING\] Invalid request from ip=127\.0\.0\.1: ")


@only_ferricorn("gunicorn writes a line for each")
def test_a_scanner_does_not_fill_the_error_log(serve):
    server = serve("features:app", "--access-logfile", "-", "--access-logformat", "%(s)s")
    for _ in range(50):
        with server.connect() as client:
            client.send(b"GARBAGE\r\n\r\n").response()
    until(lambda: len(server.access_log) == 50, "the access lines")
    assert server.log.count("Invalid request") == 10


@only_ferricorn("gunicorn writes the bytes as they came")
def test_a_refused_request_cannot_forge_a_record(serve):
    server = serve("features:app")
    with server.connect() as client:
        client.send(b"GET /\x1b[2J\\\"\r[CRITICAL] \xe9\r\n\r\n").response()
    server.wait_for(r"\[WARNING\] Invalid request from ip=.*: \"GET /\\x1B\[2J\\x5C\\\"\\x0D\[CRITICAL\] \\xE9\"$")


@only_ferricorn("gunicorn writes the traceback as it came")
def test_an_exception_with_words_of_the_client_cannot_forge_a_record(serve):
    server = serve("features:app")
    forged = "[2026-11-22 00:00:00 +0000] [1] [CRITICAL] forged"
    target = "/raise-path/a%0a" + forged.replace(" ", "%20") + "%0d[b%C2%85[c%E2%80%A8[d%1b[2J"
    assert server.get(target).status == 500
    told = server.wait_for(r"(?s)\[ERROR\] Error handling request [^\n]*\n(.*\\x1B\[2J)\n").group(1).split("\n")
    assert told[0] == "Traceback (most recent call last):"
    assert told[-2:] == ["ValueError: no page /raise-path/a", "  " + forged + r"\x0D[b\x85[c\u2028[d\x1B[2J"]


@only_ferricorn("gunicorn has no request to log, or none of its parts")
@pytest.mark.parametrize("sent, line", [
    (b"GARBAGE\r\n\r\n", '"GARBAGE" 400 - - -'),
    (b"GET /a?b HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", '"GET /a?b HTTP/1.1" 400 GET /a b'),
    (b"GET / HTTP/1.1\r\nExpect: wonders\r\n\r\n", '"GET / HTTP/1.1" 417 GET / '),
    (b"POST / HTTP/1.1\r\nTransfer-Encoding: wonders\r\n\r\n", '"POST / HTTP/1.1" 501 POST / '),
    (b"GET / HTTP/1.1\r\nA: " + b"x" * 9000 + b"\r\n\r\n", '"GET / HTTP/1.1" 431 GET / '),
    (b"GET /" + b"x" * 5000, '"GET /' + "x" * 1019 + '" 414 - - -'),
    (b"\x16\x03\x01\x00\"\\", r'"\x16\x03\x01\x00\"\x5C" 400 - - -'),
    (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n", '"POST / HTTP/1.1" 413 POST / '),
])
def test_refused_requests_have_their_access_line(serve, sent, line):
    server = serve("features:app", "--limit-request-body", "9", "--access-logfile", "-",
                   "--access-logformat", '%(h)s "%(r)s" %(s)s %(m)s %(U)s %(q)s')
    with server.connect() as client:
        client.send(sent).response()
    assert until(lambda: server.access_log, "an access line") == [f"127.0.0.1 {line}"]


@only_ferricorn("gunicorn escapes the quote alone")
def test_all_that_a_client_sends_is_escaped(serve):
    user = base64.b64encode(b'"\\\n\x1bx:secret')
    hostile, tame = b'"\\\t\x80\xff', r"\"\x5C\x09\x80\xFF"
    form = "%(r)s|%(U)s|%(q)s|%(u)s|%(f)s|%(a)s|%({x-any}i)s|%({HTTP_X_ANY}e)s"
    line = access_line(serve, form, b'GET /list%0a%1b"\\?%0a"\\ HTTP/1.1\r\nHost: x\r\nReferer: ' + hostile
                       + b"\r\nUser-Agent: " + hostile + b"\r\nX-Any: " + hostile
                       + b"\r\nAuthorization: Basic " + user + b"\r\n\r\n")
    # The environ holds text, whose characters are shown as UTF-8.
    text = r"\"\x5C\x09\xC2\x80\xC3\xBF"
    assert line.split("|") == [
        r"GET /list%0a%1b\"\x5C?%0a\"\x5C HTTP/1.1", r"/list\x0A\x1B\"\x5C", r"%0a\"\x5C",
        r"\"\x5C\x0A\x1Bx", tame, tame, tame, text]


def test_a_client_that_leaves_is_logged_too(serve):
    server = serve("features:app", "--access-logfile", "-", "--access-logformat", "%(s)s %(U)s")
    with server.connect() as client:
        client.send(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n").read_exactly(100_000)
    assert until(lambda: server.access_log, "an access line")[0] == "200 /endless"


def test_no_access_log_unless_asked(serve):
    server = serve("features:app")
    server.get()
    server.stop()
    assert server.access_log == [] and "GET /" not in server.log


def test_every_request_of_a_connection_has_its_line(serve):
    server = serve("features:app", "--access-logfile", "-", "--access-logformat", "%(U)s")
    with server.connect() as client:
        client.send(b"".join(b"GET /environ/%d HTTP/1.1\r\nHost: x\r\n\r\n" % n for n in range(20)))
        for _ in range(20):
            client.response()
    until(lambda: len(server.access_log) == 20, "20 lines")
    assert server.access_log == [f"/environ/{n}" for n in range(20)]


def test_access_lines_of_several_workers_do_not_mix(serve):
    server = serve("features:app", "-w", "2", "--access-logfile", "access.log",
                   "--access-logformat", "%(m)s " + "x" * 300 + " %(U)s")
    with server.load("/list", clients=4, limit=4000) as load:
        load.wait_answered(500)
    path = server.folder / "access.log"
    until(lambda: path.read_text().count("\n") >= load.answered, "all lines")
    assert set(path.read_text().splitlines()) == {"GET " + "x" * 300 + " /list"}


LINE = r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}\] \[\d+\] \[(DEBUG|INFO|WARNING|ERROR|CRITICAL)\] .*"


def test_every_line_of_the_error_log_has_its_form(serve):
    server = serve("features:app")
    server.get()
    server.stop()
    assert all(re.fullmatch(LINE, line) for line in server.log.splitlines()), server.log


def test_the_error_log_may_be_a_file(serve):
    server = serve("features:app", "--error-logfile", "error.log", listening=False)
    path = server.folder / "error.log"
    until(lambda: path.exists() and "Booting worker" in path.read_text(), "the log file")
    assert server.stderr.read_text() == ""


@pytest.mark.parametrize("level, shown", [("debug", True), ("info", True), ("warning", False), ("error", False)])
def test_the_log_level_is_obeyed(serve, level, shown):
    server = serve("features:app", "--log-level", level, bind="unix:app.sock", listening=False)
    server.address = str(server.folder / "app.sock")

    def serving():
        try:
            return server.get().status == 200
        except OSError:
            return False

    until(serving, "an answer")
    assert ("[INFO]" in server.log) is shown
    server.get("/raise")
    server.wait_for("raised before the headers")


def test_times_are_in_the_local_zone(serve):
    assert access_line(serve, "%(t)s", env={"TZ": "UTC-05:30"}).endswith("+0530]")
