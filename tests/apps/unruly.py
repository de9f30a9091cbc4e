"""Apps that break PEP 3333, each in its own way, under a path of its name."""

import os
import threading

CASES = {}


def case(function):
    CASES[function.__name__.replace("_", "-")] = function
    return function


def app(environ, start_response):
    path = environ["PATH_INFO"].strip("/")
    if not path:
        start_response("200 OK", [("Content-Length", str(len(str(os.getpid()))))])
        return [str(os.getpid()).encode()]
    if path in HEADS:
        start_response(*HEADS[path])
        return [b"must not be sent"]
    return CASES[path](environ, start_response)


HEADS = {
    "status-empty": ("", []),
    "status-word": ("OK", []),
    "status-two-digits": ("20 OK", []),
    "status-four-digits": ("2000 OK", []),
    "status-negative": ("-20 OK", []),
    "status-000": ("000 Nothing", []),
    "status-100": ("100 Continue", []),
    "status-101": ("101 Switching Protocols", [("Upgrade", "websocket"), ("Connection", "Upgrade")]),
    "status-103": ("103 Early Hints", []),
    "status-superscript": ("20\xb2 OK", []),
    "status-int": (200, []),
    "status-bytes": (b"200 OK", []),
    "status-none": (None, []),
    "reason-crlf": ("200 OK\r\nX-Evil: 1", []),
    "reason-lf": ("200 OK\nX-Evil: 1", []),
    "reason-nul": ("200 O\x00K", []),
    "reason-wide": ("200 \u20ac", []),
    "reason-surrogate": ("200 \ud800", []),
    "headers-none": ("200 OK", None),
    "headers-number": ("200 OK", 7),
    "headers-of-strings": ("200 OK", ["X-A: b"]),
    "headers-of-threes": ("200 OK", [("X-A", "b", "c")]),
    "headers-of-none": ("200 OK", [None]),
    "name-empty": ("200 OK", [("", "b")]),
    "name-space": ("200 OK", [("X A", "b")]),
    "name-space-last": ("200 OK", [("X-A ", "b")]),
    "name-colon": ("200 OK", [("X-A:", "b")]),
    "name-crlf": ("200 OK", [("X-A\r\nX-Evil", "b")]),
    "name-nul": ("200 OK", [("X\x00A", "b")]),
    "name-latin-1": ("200 OK", [("X-\xc4", "b")]),
    "name-wide": ("200 OK", [("X-\u20ac", "b")]),
    "name-bytes": ("200 OK", [(b"X-A", "b")]),
    "name-none": ("200 OK", [(None, "b")]),
    "value-crlf": ("200 OK", [("X-A", "b\r\nX-Evil: 1")]),
    "value-cr": ("200 OK", [("X-A", "b\rX-Evil: 1")]),
    "value-lf": ("200 OK", [("X-A", "b\nX-Evil: 1")]),
    "value-fold": ("200 OK", [("X-A", "b\r\n c")]),
    "value-nul": ("200 OK", [("X-A", "b\x00c")]),
    "value-wide": ("200 OK", [("X-A", "\u20ac")]),
    "value-surrogate": ("200 OK", [("X-A", "\udcff")]),
    "value-int": ("200 OK", [("X-A", 1)]),
    "value-none": ("200 OK", [("X-A", None)]),
    "value-bytes": ("200 OK", [("X-A", b"b")]),
    "length-negative": ("200 OK", [("Content-Length", "-1")]),
    "length-word": ("200 OK", [("Content-Length", "many")]),
    "length-plus": ("200 OK", [("Content-Length", "+5")]),
    "length-empty": ("200 OK", [("Content-Length", "")]),
    "length-float": ("200 OK", [("Content-Length", "5.0")]),
    "length-superscript": ("200 OK", [("Content-Length", "\xb2")]),
    "length-beyond-64-bits": ("200 OK", [("Content-Length", "99999999999999999999999")]),
    "length-twice-other": ("200 OK", [("Content-Length", "3"), ("Content-Length", "4")]),
    "length-list": ("200 OK", [("Content-Length", "16, 16")]),
    "headers-100000": ("200 OK", [("X-%d" % number, "b") for number in range(100_000)]),
    "headers-25000": ("200 OK", [("X-%d" % number, "b") for number in range(25_000)]),
    "headers-100000-of-one-name": ("200 OK", [("Set-Cookie", "a=b")] * 100_000),
    "name-of-1-mb": ("200 OK", [("X" * 1_000_000, "b")]),
}


@case
def never_starts(environ, start_response):
    return [b"must not be sent"]


@case
def returns_none(environ, start_response):
    start_response("200 OK", [])


@case
def returns_number(environ, start_response):
    start_response("200 OK", [])
    return 7


@case
def returns_text(environ, start_response):
    start_response("200 OK", [])
    return "must not be sent"


@case
def returns_bytes(environ, start_response):
    """Iterating over bytes gives numbers."""
    start_response("200 OK", [])
    return b"must not be sent"


def yields(thing):
    def body(environ, start_response):
        start_response("200 OK", [])
        yield thing

    return body


CASES["yields-text"] = yields("must not be sent")
CASES["yields-none"] = yields(None)
CASES["yields-number"] = yields(7)
CASES["yields-list"] = yields([b"must not be sent"])


@case
def iter_raises(environ, start_response):
    class Body:
        def __iter__(self):
            raise LookupError("in __iter__")

    start_response("200 OK", [])
    return Body()


@case
def iter_is_no_iterator(environ, start_response):
    class Body:
        def __iter__(self):
            return 7

    start_response("200 OK", [])
    return Body()


@case
def starts_twice(environ, start_response):
    start_response("200 OK", [])
    start_response("200 OK", [])
    return [b"must not be sent"]


@case
def start_without_arguments(environ, start_response):
    start_response()
    return [b"must not be sent"]


@case
def exc_info_is_nonsense(environ, start_response):
    start_response("200 OK", [])
    start_response("500 Oops", [], "nonsense")
    start_response("500 Oops", [])
    return [b"must not be sent"]


@case
def writes_text(environ, start_response):
    start_response("200 OK", [])("must not be sent")
    return []


@case
def raises_in_repr(environ, start_response):
    class Evil:
        def __repr__(self):
            raise LookupError("in __repr__")

        __str__ = __repr__

    start_response("200 OK", [("X-A", Evil())])
    return [b"must not be sent"]


@case
def raises_mute(environ, start_response):
    class Mute(Exception):
        def __str__(self):
            raise LookupError("in __str__")

    raise Mute


@case
def raises_wide(environ, start_response):
    raise LookupError("\ud800 \u20ac \x00 \x1b[31m")


@case
def raises_deep(environ, start_response):
    def deeper():
        deeper()

    deeper()


@case
def raises_generator_exit(environ, start_response):
    raise GeneratorExit


@case
def raises_base_exception(environ, start_response):
    raise BaseException("as it is")


@case
def headers_raise(environ, start_response):
    def headers():
        yield "X-A", "b"
        raise LookupError("in the headers")

    start_response("200 OK", headers())
    return [b"must not be sent"]


# What is milder: sent as far as it is sound, or a fault of something that does not matter any more.


@case
def close_raises(environ, start_response):
    class Body(list):
        def close(self):
            raise LookupError("in close")

    start_response("200 OK", [("Content-Length", "4")])
    return Body([b"fine"])


@case
def close_is_a_number(environ, start_response):
    class Body(list):
        close = 7

    start_response("200 OK", [("Content-Length", "4")])
    return Body([b"fine"])


@case
def len_lies(environ, start_response):
    class Body(list):
        def __len__(self):
            return 1000

    start_response("200 OK", [("Content-Length", "4")])
    return Body([b"fi", b"ne"])


@case
def len_raises(environ, start_response):
    class Body(list):
        def __len__(self):
            raise LookupError("in __len__")

    start_response("200 OK", [("Content-Length", "4")])
    return Body([b"fi", b"ne"])


@case
def subclasses(environ, start_response):
    class Text(str):
        pass

    class Data(bytes):
        def __len__(self):
            return 1 << 40

    start_response(Text("200 OK"), [(Text("Content-Length"), Text("4"))])
    return [Data(b"fine")]


@case
def own_framing(environ, start_response):
    """Headers of the connection, which are the server's (PEP 3333 forbids them)."""
    start_response("200 OK", [("Content-Length", "4"), ("Transfer-Encoding", "chunked"), ("Connection", "upgrade"),
                              ("Keep-Alive", "timeout=1"), ("Upgrade", "h2c"), ("Trailer", "X"), ("TE", "trailers")])
    return [b"fine"]


@case
def length_twice_same(environ, start_response):
    start_response("200 OK", [("Content-Length", "4"), ("Content-Length", "4")])
    return [b"fine"]


@case
def status_999(environ, start_response):
    start_response("999 \xdcnusual", [("Content-Length", "4")])
    return [b"fine"]


@case
def value_of_10_mb(environ, start_response):
    start_response("200 OK", [("X-A", "b" * 10_000_000), ("Content-Length", "4")])
    return [b"fine"]


@case
def latin_1_everywhere(environ, start_response):
    start_response("200 G\xfcltig", [("X-A", "".join(map(chr, range(0xa0, 0x100)))), ("Content-Length", "4")])
    return [b"fine"]


@case
def environ_in_ruins(environ, start_response):
    environ.clear()
    environ[7] = environ
    start_response("200 OK", [("Content-Length", "4")])
    return [b"fine"]


@case
def errors_of_every_kind(environ, start_response):
    environ["wsgi.errors"].write("\ud800 \u20ac \x00 \x1b[31m \x85 \u2028\n" * 10)
    start_response("200 OK", [("Content-Length", "4")])
    return [b"fine"]


KEPT = []


@case
def keeps_what_is_not_its_own(environ, start_response):
    """Uses the callables and the input of the last request."""
    for start, write, source in KEPT:
        for use in (lambda: start("200 OK", [("X-Evil", "1")]), lambda: write(b"evil"), source.read):
            try:
                use()
            except Exception as error:
                environ["wsgi.errors"].write(f"refused: {type(error).__name__}\n")
    KEPT.clear()
    write = start_response("200 OK", [("Content-Length", "4")])
    KEPT.append((start_response, write, environ["wsgi.input"]))
    return [b"fine"]


@case
def starts_in_another_thread(environ, start_response):
    thread = threading.Thread(target=start_response, args=("200 OK", [("Content-Length", "4")]))
    thread.start()
    thread.join()
    return [b"fine"]


@case
def writes_in_another_thread(environ, start_response):
    write = start_response("200 OK", [("Content-Length", "4")])
    thread = threading.Thread(target=write, args=(b"fine",))
    thread.start()
    thread.join()
    return []


# What breaks in the middle: the client must see that the response is not whole.


def breaks(error):
    def body(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        yield b"begun"
        raise error

    return body


CASES["breaks-with-exception"] = breaks(LookupError("in the middle"))
CASES["breaks-with-generator-exit"] = breaks(GeneratorExit())
CASES["breaks-with-base-exception"] = breaks(BaseException("as it is"))


@case
def breaks_with_text(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"begun"
    yield "text"


@case
def breaks_with_memoryview(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"begun"
    yield memoryview(b"view")
    yield bytearray(b"array")


@case
def breaks_after_write(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])(b"begun")
    raise LookupError("after write")


@case
def ignores_generator_exit(environ, start_response):
    """A generator that goes on when it is told to end, which raises RuntimeError in close()."""
    start_response("200 OK", [("Content-Length", "5")])
    try:
        yield b"begun"
        raise LookupError("in the middle")
    finally:
        yield b"never sent"
