"""Apps that break the rules: a 500 and one traceback, never a malformed response, and the worker serves on."""

import pytest
from apps import unruly
from harness import Unanswered

ASK = "GET /{} HTTP/1.1\r\nHost: x\r\n\r\n"
MILD = ["close-raises", "close-is-a-number", "len-lies", "len-raises", "subclasses", "own-framing", "length-twice-same", "status-999",
        "value-of-10-mb", "latin-1-everywhere", "environ-in-ruins", "errors-of-every-kind", "keeps-what-is-not-its-own",
        "starts-in-another-thread", "writes-in-another-thread"]
BROKEN = [name for name in unruly.CASES if name.startswith(("breaks-", "ignores-"))]
REFUSED = [*unruly.HEADS, *(name for name in unruly.CASES if name not in MILD + BROKEN)]

GUNICORN = {
    **dict.fromkeys(["status-000", "status-100", "status-101", "status-103", "length-negative", "length-plus", "length-beyond-64-bits",
                     "length-twice-other"], "it sends the head as it is"),
    **dict.fromkeys(["headers-100000", "headers-25000", "headers-100000-of-one-name", "name-of-1-mb"], "it sends them all"),
    **dict.fromkeys(["returns-text", "returns-bytes", "yields-text", "yields-none", "yields-number", "yields-list", "writes-text"],
                    "it has sent the head by then"),
    **dict.fromkeys(["raises-generator-exit", "raises-base-exception", "breaks-with-generator-exit",
                     "breaks-with-base-exception"], "its worker dies"),
    **dict.fromkeys(["close-raises", "close-is-a-number"], "it closes the connection"),
    "own-framing": "it sends Trailer",
    "length-twice-same": "it sends both",
    "environ-in-ruins": "it reads the environ after the call",
}
"""What gunicorn does otherwise, by case."""


def cases(names):
    return [pytest.param(name, marks=pytest.mark.only_ferricorn(GUNICORN[name])) if name in GUNICORN else name for name in names]


@pytest.fixture(scope="module")
def server(serve_module):
    server = serve_module("unruly:app", "-w", "1", "-t", "20")
    server.worker = server.wait_workers(1)[0]
    yield server
    assert server.workers() == [server.worker]
    for word in ("panic", "bug", "internal error"):
        assert word not in server.log.lower()


def lives(server):
    return int(server.get().body) == server.worker


@pytest.mark.parametrize("name", cases(REFUSED))
def test_what_is_against_the_rules_is_a_500_and_one_traceback(server, name):
    mark = server.mark()
    with server.connect() as client:
        response = client.send(ASK.format(name).encode()).response()
        assert response.status == 500
        assert b"must not be sent" not in response.body and b"evil" not in response.raw.lower()
        assert client.read_to_end() == b""
    server.wait_for("Error handling request", after=mark)
    assert lives(server)
    log = server.log[mark:]
    assert log.count("[ERROR]") == 1 and log.count("Error handling request") == 1, log
    assert len(log) < 20_000


@pytest.mark.parametrize("name", cases(MILD))
def test_what_does_not_matter_is_served(server, name):
    with server.connect(timeout=5) as client:
        for _ in range(2):
            response = client.send(ASK.format(name).encode()).response()
            assert response.body == b"fine" and response.header("content-length") == "4"
            for header in ("transfer-encoding", "keep-alive", "upgrade", "trailer", "te", "x-evil"):
                assert response.header(header) is None
    assert lives(server)


@pytest.mark.parametrize("name", cases(BROKEN))
def test_what_breaks_in_the_middle_does_not_look_whole(server, name):
    mark = server.mark()
    with server.connect(timeout=5) as client:
        client.send(ASK.format(name).encode())
        head = client.read_head()
        assert head.status == 200
        if name == "ignores-generator-exit":
            assert client.read_exactly(5) == b"begun"
        else:
            with pytest.raises(Unanswered, match="end of stream|reset"):
                client.read_body(head)
    server.wait_for(r"\[(ERROR|WARNING)\]", after=mark)
    assert lives(server)


@pytest.mark.only_ferricorn("its master leaves with the worker's status")
def test_what_asks_to_leave_ends_its_request_and_another_worker_serves(serve):
    server = serve("""
import os


def app(environ, start_response):
    error = {"/exit": SystemExit(0), "/exit-3": SystemExit(3), "/exit-word": SystemExit("why"), "/interrupt": KeyboardInterrupt()}
    if environ["PATH_INFO"] in error:
        raise error[environ["PATH_INFO"]]
    start_response("200 OK", [])
    return [b"hello"]
""", "-w", "1")
    for path in ("/exit", "/exit-3", "/exit-word", "/interrupt"):
        workers = server.wait_workers(1)
        with server.connect() as client:
            client.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            try:
                assert client.response().status == 500
            except Unanswered:
                pass
        server.wait_workers(1, without=workers)
        assert server.get().body == b"hello"
