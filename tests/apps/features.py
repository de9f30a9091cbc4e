"""One app with a path for each feature of PEP 3333, shared by the byte-level tests."""

import io
import json
import os
import sys
import time
from pathlib import Path

PAGES = {}


def page(path):
    """Registers an app under a path."""
    def register(function):
        PAGES[path] = function
        return function

    return register


def app(environ, start_response):
    path = environ["PATH_INFO"]
    page = PAGES.get(path) or PAGES.get("/" + path.split("/")[1])
    if page is None:
        start_response("404 Not Found", [("Content-Type", "text/plain"), ("Content-Length", "9")])
        return [b"not found"]
    return page(environ, start_response)


def answer(start_response, body, status="200 OK", *headers):
    body = body if isinstance(body, bytes) else body.encode()
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body))), *headers])
    return [body]


def as_json(start_response, value):
    return answer(start_response, json.dumps(value))


def note(name, text):
    """Leaves a word for the test in the folder of the server."""
    with open(name, "a") as file:
        file.write(text + "\n")


def go(name):
    """Waits until the test has left a word; gives whether it has."""
    end = time.monotonic() + 20
    while not Path(name).exists():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


@page("/")
def hello(environ, start_response):
    return answer(start_response, "hello")


@page("/pid")
def pid(environ, start_response):
    return answer(start_response, str(os.getpid()))


@page("/environ")
def show_environ(environ, start_response):
    shown = {key: value if isinstance(value, (str, bool, int)) else repr(value) for key, value in environ.items()}
    shown["types"] = {key: type(value).__name__ for key, value in environ.items()}
    return as_json(start_response, shown)


@page("/echo")
def echo(environ, start_response):
    return answer(start_response, environ["wsgi.input"].read())


@page("/enter")
def enter(environ, start_response):
    note("entered", environ["RAW_URI"])
    return answer(start_response, environ["wsgi.input"].read())


@page("/input")
def read_input(environ, start_response):
    """Runs the calls in the query on wsgi.input, such as `read(3)|readline()`, and shows what each gave."""
    source, shown = environ["wsgi.input"], []
    for call in environ["QUERY_STRING"].replace("%20", " ").split("|"):
        if call == "iter":
            value = [line.decode() for line in source]
        else:
            name, _, argument = call.rstrip(")").partition("(")
            value = getattr(source, name)(*([int(argument)] if argument else []))
            value = [line.decode() for line in value] if isinstance(value, list) else value.decode()
        shown.append(value)
    return as_json(start_response, shown)


@page("/ignore-input")
def ignore_input(environ, start_response):
    return answer(start_response, "ignored")


@page("/count")
def count(environ, start_response):
    size, source = 0, environ["wsgi.input"]
    while piece := source.read(65536):
        size += len(piece)
    return answer(start_response, str(size))


@page("/reason")
def reason(environ, start_response):
    return answer(start_response, "", "299 Quite Unusual")


@page("/no-reason")
def no_reason(environ, start_response):
    return answer(start_response, "", "200")


@page("/status")
def status(environ, start_response):
    code = environ["PATH_INFO"].rsplit("/", 1)[1]
    length = [("Content-Length", "28")] if environ["QUERY_STRING"] == "length" else []
    start_response(f"{code} Some Reason", [("X-Kept", "yes"), *length])
    return [b"a body that must not be sent"] if environ["QUERY_STRING"] else []


@page("/cookies")
def cookies(environ, start_response):
    return answer(start_response, "", "200 OK", ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("X-Latin", "caf\xe9"))


@page("/own-headers")
def own_headers(environ, start_response):
    return answer(start_response, "x", "200 OK", ("Server", "mine"), ("Date", "never"))


@page("/write")
def write(environ, start_response):
    send = start_response("200 OK", [("Content-Type", "text/plain")])
    send(b"one ")
    send(b"")
    send(b"two ")
    return [b"three"]


@page("/list")
def pieces(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"one ", b"", b"two ", b"three"]


@page("/generator")
def generator(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield from (b"one ", b"", b"two ", b"three")


@page("/empty")
def empty(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return []


@page("/exact")
def exact(environ, start_response):
    start_response("200 OK", [("Content-Length", "8")])
    return [b"one ", b"", b"two "]


@page("/replaced")
def replaced(environ, start_response):
    """An error found after start_response, before the first bytes: the second call replaces the first."""
    start_response("200 OK", [("X-First", "1")])
    try:
        raise ValueError("found late")
    except ValueError:
        start_response("503 Sorry", [("X-Second", "2"), ("Content-Length", "5")], sys.exc_info())
    return [b"sorry"]


@page("/replaced-late")
def replaced_late(environ, start_response):
    """The same after the first bytes: start_response must raise the exception again."""
    start_response("200 OK", [])
    yield b"first"
    try:
        raise ValueError("too late to replace")
    except ValueError:
        start_response("503 Sorry", [], sys.exc_info())
    yield b"never sent"


@page("/twice")
def twice(environ, start_response):
    start_response("200 OK", [])
    start_response("200 OK", [])
    return [b"never sent"]


@page("/raise")
def raise_early(environ, start_response):
    raise LookupError("raised before the headers")


@page("/raise-path")
def raise_path(environ, start_response):
    raise ValueError("no page " + environ["PATH_INFO"].encode("latin-1").decode())


@page("/raise-after-start")
def raise_after_start(environ, start_response):
    start_response("200 OK", [("Content-Length", "5")])
    raise LookupError("raised between start_response and the body")


@page("/raise-late")
def raise_late(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"first"
    raise LookupError("raised after the headers")


@page("/no-start")
def no_start(environ, start_response):
    return [b"no start_response"]


@page("/none")
def none(environ, start_response):
    start_response("200 OK", [])


@page("/text-body")
def text_body(environ, start_response):
    start_response("200 OK", [])
    return ["a str, not bytes"]


BAD_HEADS = {
    "status": ("OK", []),
    "status-type": (b"200 OK", []),
    "split": ("200 OK", [("X-A", "a\r\nX-B: b")]),
    "newline": ("200 OK", [("X-A", "a\nb")]),
    "name": ("200 OK", [("X A", "a")]),
    "value-type": ("200 OK", [("X-A", 1)]),
    "reason": ("200 O\r\nX-B: b", []),
    "wide": ("200 OK", [("X-A", "\u20ac")]),
}


@page("/bad-head")
def bad_head(environ, start_response):
    start_response(*BAD_HEADS[environ["PATH_INFO"].rsplit("/", 1)[1]])
    return [b"never sent"]


@page("/exit")
def leave(environ, start_response):
    raise SystemExit(1)


@page("/too-long")
def too_long(environ, start_response):
    start_response("200 OK", [("Content-Length", "5")])
    return [b"12345 and more than it said"]


@page("/too-long-pieces")
def too_long_pieces(environ, start_response):
    start_response("200 OK", [("Content-Length", "5")])
    yield b"123"
    yield b"45 and more than it said"


@page("/too-short")
def too_short(environ, start_response):
    start_response("200 OK", [("Content-Length", "10")])
    return [b"12345"]


class Closing:
    """An iterable that leaves a note when it is closed."""

    def __init__(self, pieces):
        self._pieces = iter(pieces)

    def __iter__(self):
        return self._pieces

    def close(self):
        note("closed", "closed")


@page("/closing")
def closing(environ, start_response):
    start_response("200 OK", [])
    return Closing([b"a", b"b"])


@page("/closing-single")
def closing_single(environ, start_response):
    start_response("200 OK", [("Content-Length", "1")])
    return Closing([b"a"])


@page("/closing-raise")
def closing_raise(environ, start_response):
    def pieces():
        yield b"a"
        raise LookupError("in the middle")

    start_response("200 OK", [])
    return Closing(pieces())


@page("/closing-empty")
def closing_empty(environ, start_response):
    start_response("204 No Content", [])
    return Closing([])


@page("/endless")
def endless(environ, start_response):
    """Pieces without end; notes how many were produced."""
    def pieces():
        number = 0
        while True:
            number += 1
            Path("produced").write_text(str(number))
            yield b"x" * 65536

    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return Closing(pieces())


@page("/paced")
def paced(environ, start_response):
    """A second piece that exists only once the test has seen the first."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"first\n"
    yield b"second\n" if go("go") else b"never asked\n"


@page("/hints")
def hints(environ, start_response):
    """Hints, and an answer that exists only once the test has seen them."""
    hint = environ["wsgi.early_hints"]
    try:
        hint([("Link", "</forged>\r\nSet-Cookie: a=b")])
    except Exception as error:
        refused = type(error).__name__
    else:
        refused = "nothing"
    hint([("Link", "</a.css>; rel=preload"), ("Link", "</b.js>")])
    asked = not environ["QUERY_STRING"] or go(f"go{environ['QUERY_STRING']}")
    body = f"refused {refused}".encode() if asked else b"never asked"
    send = start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    send(body)
    hint([("Link", "</too-late>")])
    return []


@page("/file")
def file(environ, start_response):
    """A file of 300,000 bytes through wsgi.file_wrapper, from the offset in the query."""
    path = Path("wrapped")
    if not path.exists():
        path.write_bytes(bytes(range(250)) * 1200)
    opened = open(path, "rb")
    opened.seek(int(environ["QUERY_STRING"] or 0))
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return environ["wsgi.file_wrapper"](opened, 8192)


@page("/file-length")
def file_length(environ, start_response):
    """Ten bytes of a file, since Content-Length says so."""
    Path("ten").write_bytes(b"0123456789 and more")
    start_response("200 OK", [("Content-Length", "10")])
    return environ["wsgi.file_wrapper"](open("ten", "rb"))


@page("/file-object")
def file_object(environ, start_response):
    """A file-like object without a descriptor."""
    class Source(io.BytesIO):
        def close(self):
            note("closed", "closed")
            super().close()

    start_response("200 OK", [("Content-Type", "text/plain")])
    return environ["wsgi.file_wrapper"](Source(b"y" * 20000))


@page("/errors")
def errors(environ, start_response):
    environ["wsgi.errors"].write("a word to wsgi.errors\n")
    environ["wsgi.errors"].writelines(["and ", "more\n"])
    environ["wsgi.errors"].flush()
    return answer(start_response, "written")


@page("/sleep")
def sleep(environ, start_response):
    note("entered", environ["RAW_URI"])
    time.sleep(float(environ["QUERY_STRING"]))
    return answer(start_response, "slept")


@page("/held")
def held(environ, start_response):
    """Answers only when told to."""
    note("entered", environ["RAW_URI"])
    return answer(start_response, "held" if go("go") else "never asked")


@page("/big")
def big(environ, start_response):
    size = int(environ["QUERY_STRING"])
    start_response("200 OK", [("Content-Length", str(size))])
    return [b"z" * size]
