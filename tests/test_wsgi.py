"""PEP 3333 and what gunicorn adds, seen from the socket."""

import re
import time
from urllib.parse import quote

import pytest

from harness import IS_GUNICORN, Unanswered, anonymous_kib, until

only_ferricorn = pytest.mark.only_ferricorn


@pytest.fixture(scope="module")
def server(serve_module):
    server = serve_module("features:app", "--access-logfile", "-", "-t", "20")
    server.get()
    return server


@pytest.fixture
def fresh(serve):
    """A server of the test's own, for tests that look at files or memory."""
    server = serve("features:app", "--access-logfile", "-", "-t", "20")
    server.get()
    return server


# environ.


def test_every_environ_key(server):
    with server.connect() as client:
        client.send(b"GET /environ/%7Ea%20b?x=%20y&z HTTP/1.1\r\nHost: a.example:81\r\nX-One: 1\r\nX-One: 2\r\n"
                    b"Content-Type: text/x\r\nAuthorization: Basic abc\r\nContent-Length: 3\r\n\r\nabc")
        port = client.socket.getsockname()[1]
        environ = client.response().json()
    expected = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/environ/~a b",
        "QUERY_STRING": "x=%20y&z",
        "RAW_URI": "/environ/%7Ea%20b?x=%20y&z",
        "CONTENT_TYPE": "text/x",
        "CONTENT_LENGTH": "3",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": str(server.port),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": str(port),
        "HTTP_HOST": "a.example:81",
        "HTTP_X_ONE": "1,2",
        "HTTP_AUTHORIZATION": "Basic abc",
        "wsgi.url_scheme": "http",
        "wsgi.version": "(1, 0)",
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
    }
    assert {key: environ.get(key) for key in expected} == expected
    assert environ["SERVER_SOFTWARE"].startswith("gunicorn/")
    assert {"wsgi.input", "wsgi.errors", "wsgi.file_wrapper", "wsgi.multithread"} <= set(environ)
    assert "HTTP_CONTENT_TYPE" not in environ and "HTTP_CONTENT_LENGTH" not in environ


@only_ferricorn("gunicorn's gthread stands in for its own default")
def test_one_app_thread_is_not_called_multithreaded(server):
    assert server.get("/environ").json()["wsgi.multithread"] is False


def test_environ_without_what_was_not_sent(server):
    environ = server.get("/environ").json()
    assert "CONTENT_TYPE" not in environ and "CONTENT_LENGTH" not in environ
    assert environ["QUERY_STRING"] == ""


def test_environ_is_a_plain_dict_of_native_strings(server):
    types = server.get("/environ", [("X-A", "b")]).json()["types"]
    wrong = {key: kind for key, kind in types.items() if key == key.upper() and kind != "str"}
    assert not wrong


def test_environ_is_new_for_each_request(server):
    with server.connect() as client:
        client.send(b"GET /environ HTTP/1.1\r\nHost: x\r\nX-Once: 1\r\n\r\n")
        assert "HTTP_X_ONCE" in client.response().json()
        client.send(b"GET /environ HTTP/1.1\r\nHost: x\r\n\r\n")
        assert "HTTP_X_ONCE" not in client.response().json()


def test_bytes_come_as_latin_1(server):
    with server.connect() as client:
        client.send(b"GET /environ/caf%C3%A9/%FF?q=%C3%A9 HTTP/1.1\r\nHost: x\r\nX-Latin: caf\xe9\r\n\r\n")
        environ = client.response().json()
    assert environ["PATH_INFO"] == "/environ/caf\xc3\xa9/\xff"
    assert environ["QUERY_STRING"] == "q=%C3%A9"
    assert environ["HTTP_X_LATIN"] == "caf\xe9"


@pytest.mark.parametrize("target, path, query", [
    ("/environ//a/../b", "/environ//a/../b", ""),
    ("/environ/%2F%3f%25", "/environ//?%", ""),
    ("/environ/%zz%", "/environ/%zz%", ""),
    ('/environ/"<>`', '/environ/"<>`', ""),
    ("/environ?a=\"b\"&c='d'", "/environ", "a=\"b\"&c='d'"),
    ("/environ??a?b", "/environ", "?a?b"),
    ("http://other.example/environ/x?y", "/environ/x", "y"),
    ("/environ#fragment", "/environ", ""),
])
def test_the_target_is_kept_raw_and_split(server, target, path, query):
    with server.connect() as client:
        client.send(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        environ = client.response().json()
    assert (environ["PATH_INFO"], environ["QUERY_STRING"], environ["RAW_URI"]) == (path, query, target)


def test_names_with_underscores_are_dropped(server):
    headers = [("X_Forged", "1"), ("Content_Length", "9"), ("X-Real", "2"), ("Transfer_Encoding", "chunked")]
    environ = server.get("/environ", headers).json()
    assert "HTTP_X_FORGED" not in environ and environ["HTTP_X_REAL"] == "2"
    assert "CONTENT_LENGTH" not in environ and "HTTP_TRANSFER_ENCODING" not in environ


def test_script_name_of_the_environment(serve):
    server = serve("features:app", env={"SCRIPT_NAME": "/mount"})
    environ = server.get("/mount/environ").json()
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/mount", "/environ")
    assert server.get("/elsewhere").status == 500
    assert server.get("/mount/environ").status == 200


def test_script_name_of_a_trusted_proxy(server):
    environ = server.get("/mount/environ", [("SCRIPT_NAME", "/mount")]).json()
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/mount", "/environ")


@pytest.mark.parametrize("headers, scheme", [
    ([], "http"),
    ([("X-Forwarded-Proto", "https")], "https"),
    ([("X-Forwarded-Proto", "http")], "http"),
    ([("X-Forwarded-Protocol", "ssl")], "https"),
    ([("X-Forwarded-Ssl", "on")], "https"),
    ([("X-Forwarded-Ssl", "off")], "http"),
    ([("X-Forwarded-Ssl", "on"), ("X-Forwarded-Proto", "https")], "https"),
])
def test_the_scheme_of_a_trusted_proxy(server, headers, scheme):
    assert server.get("/environ", headers).json()["wsgi.url_scheme"] == scheme


def test_schemes_that_contradict_are_refused(server):
    assert server.get("/environ", [("X-Forwarded-Ssl", "on"), ("X-Forwarded-Proto", "http")]).status == 400


def test_the_scheme_of_a_stranger_is_ignored(serve):
    server = serve("features:app", "--forwarded-allow-ips", "192.0.2.7")
    environ = server.get("/environ", [("X-Forwarded-Proto", "https"), ("SCRIPT_NAME", "/x")]).json()
    assert (environ["wsgi.url_scheme"], environ["SCRIPT_NAME"]) == ("http", "")
    assert environ["HTTP_X_FORWARDED_PROTO"] == "https"


def test_a_network_may_be_trusted(serve):
    server = serve("features:app", "--forwarded-allow-ips", "192.0.2.7,127.0.0.0/8")
    assert server.get("/environ", [("X-Forwarded-Proto", "https")]).json()["wsgi.url_scheme"] == "https"


def test_multiprocess_tells_whether_there_are_more_workers(serve):
    server = serve("features:app", "-w", "2")
    assert server.get("/environ").json()["wsgi.multiprocess"] is True


# wsgi.input.

BODY = b"first line\nsecond\n\nlast without end"
LINES = ["first line\n", "second\n", "\n", "last without end"]
CALLS = [
    ("read()", [BODY.decode()]),
    ("read(5)|read(6)|read()|read()|read(1)", ["first", " line\n", "second\n\nlast without end", "", ""]),
    ("read(0)|read(1000)", ["", BODY.decode()]),
    ("readline()|readline()|readline()|readline()|readline()", [*LINES, ""]),
    ("readline(3)|readline(100)|readline(2)", ["fir", "st line\n", "se"]),
    ("readlines()|read()", [LINES, ""]),
    ("readline()|iter|read()", [LINES[0], LINES[1:], ""]),
]


@pytest.mark.parametrize("calls, shown", CALLS)
def test_input_with_a_length(server, calls, shown):
    assert server.request("POST", f"/input?{quote(calls, '()|')}", body=BODY).json() == shown


@pytest.mark.parametrize("calls, shown", CALLS)
def test_input_in_chunks(server, calls, shown):
    chunks = b"".join(b"%x;name=value\r\n%s\r\n" % (len(part), part) for part in (BODY[:3], BODY[3:12], BODY[12:]))
    with server.connect() as client:
        client.send(f"POST /input?{quote(calls, '()|')} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        client.send(chunks + b"0\r\n\r\n")
        assert client.response().json() == shown


def test_input_of_a_request_without_a_body(server):
    assert server.get("/input?read()|readline()|readlines()|iter").json() == ["", "", [], []]


@pytest.mark.parametrize("size", [1, 65535, 65536, 65537, 3_000_000])
def test_bodies_of_every_size_arrive_whole(server, size):
    body = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    assert server.request("POST", "/echo", body=body).body == body


def test_a_body_that_nobody_reads_does_not_disturb_the_next_request(server):
    with server.connect() as client:
        client.send(b"POST /ignore-input HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\nGET /pid HTTP/1.1\r\n\r"
                    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.response().body == b"ignored"
        assert client.response().body == b"hello"


# start_response and the head.


def test_the_heads_own_fields(server):
    response = server.get("/")
    assert (response.version, response.status, response.reason) == ("HTTP/1.1", 200, "OK")
    assert response.header("server") == ("gunicorn" if IS_GUNICORN else "ferricorn")
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", response.header("date"))
    assert response.header("connection").lower() == "close"


def test_reason_phrases_are_kept(server):
    response = server.get("/reason")
    assert (response.status, response.reason) == (299, "Quite Unusual")


def test_repeated_headers_stay_repeated_and_in_order(server):
    response = server.get("/cookies")
    assert response.all("set-cookie") == ["a=1", "b=2"]
    assert b"caf\xe9" in response.raw


def test_server_and_date_are_the_servers(server):
    response = server.get("/own-headers")
    assert response.header("server") != "mine" and response.header("date") != "never"


@pytest.mark.parametrize("code", [204, 304])
@pytest.mark.parametrize("body", ["", "?body"])
def test_statuses_without_a_body(server, code, body):
    with server.connect() as client:
        client.send(f"GET /status/{code}{body} HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        response = client.response()
        assert (response.status, response.reason, response.header("x-kept")) == (code, "Some Reason", "yes")
        assert response.header("transfer-encoding") is None
        assert client.response().body == b"hello"


@pytest.mark.only_ferricorn("gunicorn passes on what the app says, also with 204 and 205, and sends the body of a 205")
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("code, query, length", [
    (204, "body", None), (204, "length", None), (205, "body", "0"), (205, "length", "0"),
    (304, "body", None), (304, "length", "28")])
def test_statuses_without_a_body_tell_a_length_only_if_it_is_true(server, method, code, query, length):
    with server.connect() as client:
        client.send(f"{method} /status/{code}?{query} HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        response = client.response(head_only=method == "HEAD")
        if (method, code) == ("HEAD", 205):
            length = None
        assert (response.status, response.header("content-length"), response.body) == (code, length, b"")
        assert client.response().body == b"hello"


@pytest.mark.parametrize("path, length", [("/", "5"), ("/generator", None), ("/exact", "8"), ("/write", None), ("/big?100000", "100000")])
def test_head_has_the_head_and_no_body(server, path, length):
    with server.connect() as client:
        client.send(f"HEAD {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        response = client.response(head_only=True)
        assert response.status == 200
        if length:
            assert response.header("content-length") == length
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.response().body == b"hello"


def test_exc_info_before_the_body_replaces_the_head(server):
    response = server.get("/replaced")
    assert (response.status, response.reason, response.header("x-second")) == (503, "Sorry", "2")
    assert response.body == b"sorry"
    if not IS_GUNICORN:  # which keeps the headers of the first call
        assert response.header("x-first") is None


def test_exc_info_after_the_body_raises_and_closes(server):
    mark = server.mark()
    with server.connect() as client, pytest.raises(Unanswered):
        client.send(b"GET /replaced-late HTTP/1.1\r\nHost: x\r\n\r\n")
        response = client.read_head()
        assert response.status == 200
        assert client.read_chunk() == b"first"
        client.read_chunk()
    server.wait_for("too late to replace", after=mark)


@pytest.mark.parametrize("path, word", [
    ("/twice", "start_response|headers already set"),
    ("/raise", "raised before the headers"),
    ("/raise-after-start", "raised between start_response and the body"),
])
def test_an_exception_before_the_headers_is_a_500_and_a_traceback(server, path, word):
    mark = server.mark()
    with server.connect() as client:
        client.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        response = client.response()
    assert response.status == 500
    assert b"Traceback" not in response.body and b"raised" not in response.body
    server.wait_for(word, after=mark)
    assert "Traceback (most recent call last)" in server.log[mark:] and "features.py" in server.log[mark:]
    assert server.log[mark:].count("Traceback (most recent call last)") == 1
    assert server.get("/").status == 200


@only_ferricorn("gunicorn sends an empty 200, or fails in its own code")
@pytest.mark.parametrize("path", ["/no-start", "/none", "/text-body"])
def test_what_breaks_the_protocol_is_a_500_and_a_message(server, path):
    mark = server.mark()
    assert server.get(path).status == 500
    server.wait_for(r"\[ERROR\]", after=mark)
    assert server.get("/").status == 200


@pytest.mark.parametrize("case", ["status", "status-type", "split", "newline", "name", "value-type", "reason"])
def test_a_head_that_http_cannot_carry_is_never_sent(server, case):
    mark = server.mark()
    response = server.get(f"/bad-head/{case}")
    assert response.status == 500
    assert response.header("x-b") is None and b"never sent" not in response.body
    server.wait_for(r"(?i)error|invalid", after=mark)
    assert server.get("/").status == 200


@only_ferricorn("gunicorn raises in its own code")
def test_a_header_wider_than_latin_1_is_a_500(server):
    assert server.get("/bad-head/wide").status == 500


def test_an_exception_after_the_headers_closes_the_connection(server):
    mark = server.mark()
    with server.connect() as client, pytest.raises(Unanswered, match="end of stream|reset"):
        client.send(b"GET /raise-late HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")
        response = client.read_head()
        assert response.status == 200
        assert client.read_chunk() == b"first"
        client.read_chunk()
    server.wait_for("raised after the headers", after=mark)


# Bodies of responses.


@pytest.mark.parametrize("path, body", [
    ("/write", b"one two three"), ("/list", b"one two three"), ("/generator", b"one two three"),
    ("/exact", b"one two "), ("/empty", b""),
])
def test_bodies(server, path, body):
    with server.connect() as client:
        for _ in range(2):
            client.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert client.response().body == body


def test_a_body_of_unknown_length_is_chunked_and_holds_no_empty_chunk(server):
    response = server.get("/generator")
    assert response.header("transfer-encoding") == "chunked"
    assert b"".join(response.pieces) == b"one two three" and b"" not in response.pieces


@pytest.mark.parametrize("path", ["/too-long", "/too-long-pieces"])
def test_a_body_longer_than_its_length_is_cut(server, path):
    mark = server.mark()
    with server.connect() as client:
        client.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        first = client.response()
        assert (first.header("content-length"), first.body) == ("5", b"12345")
        assert client.response().body == b"hello", "the rest of the first body was taken for a response"
    if not IS_GUNICORN:
        server.wait_for("(?i)content-length", after=mark)


@only_ferricorn("gunicorn keeps the connection, so the next response lands in the body of this one")
def test_a_body_shorter_than_its_length_closes_the_connection(server):
    mark = server.mark()
    with server.connect() as client:
        client.send(b"GET /too-short HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")
        response = client.read_head()
        assert response.header("content-length") == "10"
        assert client.read_to_end() == b"12345"
    server.wait_for("(?i)content-length", after=mark)


def test_the_first_piece_arrives_before_the_second_exists(fresh):
    with fresh.connect() as client:
        client.send(b"GET /paced HTTP/1.1\r\nHost: x\r\n\r\n")
        client.read_head()
        assert client.read_chunk() == b"first\n"
        (fresh.folder / "go").touch()
        assert client.read_chunk() == b"second\n"
        assert client.read_chunk() == b""


def test_the_first_piece_of_write_arrives_before_the_second_exists(serve):
    server = serve("""
import time
from pathlib import Path

def app(environ, start_response):
    write = start_response("200 OK", [])
    write(b"first")
    end = time.monotonic() + 10
    while not Path("go").exists() and time.monotonic() < end:
        time.sleep(0.01)
    write(b"second" if time.monotonic() < end else b"never asked")
    return []
""")
    with server.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        client.read_head()
        assert client.read_chunk() == b"first"
        (server.folder / "go").touch()
        assert client.read_chunk() == b"second"


def test_an_endless_body_without_a_reader_costs_no_memory(fresh):
    worker, produced = fresh.wait_workers(1)[0], fresh.folder / "produced"

    def ask():
        return fresh.connect(receive_buffer=65536).send(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")

    with ask() as client:
        client.read_exactly(2_000_000)
    until(lambda: (fresh.folder / "closed").exists(), "the first body's close()")
    before = anonymous_kib(worker)
    with ask():
        until(produced.exists, "a piece")
        seen = -1
        while seen != (seen := int(produced.read_text() or 0)):
            time.sleep(0.5)
        assert anonymous_kib(worker) - before < 1024
    until(lambda: (fresh.folder / "closed").read_text().count("closed") == 2, "close() after the client has left")


@pytest.mark.parametrize("path", ["/closing", "/closing-single", "/closing-raise", "/closing-empty"])
def test_close_is_called_once(fresh, path):
    with fresh.connect() as client:
        client.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()).read_head()
        until(lambda: (fresh.folder / "closed").exists(), "close()")
    fresh.get()
    assert (fresh.folder / "closed").read_text() == "closed\n"


def test_close_is_called_for_head(fresh):
    assert fresh.request("HEAD", "/closing").status == 200
    until(lambda: (fresh.folder / "closed").exists(), "close()")
    fresh.get()
    assert (fresh.folder / "closed").read_text() == "closed\n"


def test_close_is_called_when_the_client_leaves(fresh):
    with fresh.connect() as client:
        client.send(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n").read_exactly(100_000)
    until(lambda: (fresh.folder / "closed").exists(), "close()")
    assert fresh.get().body == b"hello"


@pytest.mark.parametrize("offset", [0, 1, 65536, 299_999, 300_000])
def test_file_wrapper_sends_from_the_offset(fresh, offset):
    content = bytes(range(250)) * 1200
    assert fresh.get(f"/file?{offset}").body == content[offset:]


def test_file_wrapper_keeps_to_the_content_length(fresh):
    with fresh.connect() as client:
        for _ in range(2):
            client.send(b"GET /file-length HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.response().body == b"0123456789"


def test_file_wrapper_takes_any_object_and_closes_it(fresh):
    assert fresh.get("/file-object").body == b"y" * 20000
    until(lambda: (fresh.folder / "closed").exists(), "close()")


def test_file_wrapper_of_a_head_sends_nothing(fresh):
    with fresh.connect() as client:
        client.send(b"HEAD /file HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.response(head_only=True).status == 200
        assert client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").response().body == b"hello"


def test_wsgi_errors_goes_to_the_error_log(server):
    mark = server.mark()
    assert server.get("/errors").body == b"written"
    server.wait_for(r"a word to wsgi\.errors\nand more\n", after=mark)


@only_ferricorn("gunicorn lets the worker go, and the client without an answer")
def test_system_exit_in_a_request_answers_500(server):
    mark = server.mark()
    assert server.get("/exit").status == 500
    server.wait_for("SystemExit", after=mark)
    assert server.get("/").body == b"hello"


# The judge of PEP 3333.

VALIDATED = """
import json
from wsgiref.validate import validator

def inner(environ, start_response):
    body = environ["wsgi.input"].read(3)
    environ["wsgi.input"].readline()
    environ["wsgi.input"].readline(2)
    rest = environ["wsgi.input"].readlines(100)
    for line in environ["wsgi.input"]:
        rest.append(line)
    environ["wsgi.errors"].write("validated\\n")
    environ["wsgi.errors"].flush()
    how = environ["QUERY_STRING"]
    headers = [("Content-Type", "text/plain"), ("X-Method", environ["REQUEST_METHOD"])]
    if how == "write":
        send = start_response("200 Fine", headers)
        send(b"written ")
    elif how == "exc":
        try:
            raise ValueError
        except ValueError:
            import sys
            start_response("200 OK", headers)
            start_response("500 Replaced", headers, sys.exc_info())
    elif how == "none":
        start_response("204 No Content", headers[1:])
        return []
    else:
        start_response("200 OK", headers)
    return Body([body, b"", b"!" + b"".join(rest)] if how != "single" else [body])

class Body:
    def __init__(self, pieces):
        self.pieces = pieces
    def __iter__(self):
        return iter(self.pieces)
    def close(self):
        pass

app = validator(inner)
"""


@pytest.mark.parametrize("how, status, body", [
    ("", 200, b"abc!h\nlast"), ("write", 200, b"written abc!h\nlast"), ("exc", 500, b"abc!h\nlast"),
    ("none", 204, b""), ("single", 200, b"abc"),
])
@pytest.mark.parametrize("method", ["POST", "PUT", "HEAD"])
@pytest.mark.parametrize("chunked", [False, True])
def test_the_validator_is_content(validated, how, status, body, method, chunked):
    mark = validated.mark()
    sent = b"abcdef\nfgh\nlast"
    with validated.connect() as client:
        framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(sent)}"
        data = b"%x\r\n%s\r\n0\r\n\r\n" % (len(sent), sent) if chunked else sent
        client.send(f"{method} /a%20b?{how} HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n".encode() + data)
        response = client.response(head_only=method == "HEAD")
        assert "AssertionError" not in validated.log[mark:], validated.log[mark:]
        assert (response.status, response.body) == (status, b"" if method == "HEAD" else body)


@pytest.fixture(scope="module")
def validated(serve_module):
    server = serve_module(VALIDATED)
    server.get()
    return server


