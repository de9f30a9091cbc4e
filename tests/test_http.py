"""HTTP/1.1 in literal bytes: connections, framing, limits, and requests that must not reach the app."""

import hashlib
import os
import subprocess

import pytest

from harness import IS_GUNICORN, anonymous_kib, until

only_ferricorn = pytest.mark.only_ferricorn


@pytest.fixture(scope="module")
def server(serve_module):
    server = serve_module("features:app", "-t", "20")
    server.get()
    return server


@pytest.fixture
def entered(server):
    """How many requests have entered the app of `/enter` since the test began."""
    path = server.folder / "entered"
    before = path.read_text().count("\n") if path.exists() else 0
    return lambda: (path.read_text().count("\n") if path.exists() else 0) - before


# Connections.


def test_keep_alive_is_the_default_of_http_1_1(server):
    with server.connect() as client:
        for _ in range(5):
            response = client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").response()
            assert response.body == b"hello"
            assert response.header("connection", "keep-alive").lower() == "keep-alive"


@pytest.mark.parametrize("value", [b"close", b"Close", b"x, close"])
def test_connection_close_is_obeyed(server, value):
    if IS_GUNICORN and b"," in value:
        pytest.skip("gunicorn does not read lists")
    with server.connect() as client:
        response = client.send(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: " + value + b"\r\n\r\n").response()
        assert response.header("connection").lower() == "close"
        assert client.at_end()


def test_http_1_0_closes(server):
    with server.connect() as client:
        assert client.send(b"GET /generator HTTP/1.0\r\nHost: x\r\n\r\n").response().header("transfer-encoding") is None
    with server.connect() as client:
        response = client.send(b"GET /generator HTTP/1.0\r\n\r\n").response()
        assert response.body == b"one two three"


def test_http_1_0_may_ask_to_be_kept(server):
    with server.connect() as client:
        for _ in range(3):
            response = client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").response()
            assert (response.body, response.header("connection").lower()) == (b"hello", "keep-alive")


def test_pipelined_requests_are_answered_in_order(server):
    with server.connect() as client:
        client.send(b"".join(
            b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%d" % (len(str(n)), n) for n in range(40)))
        assert [int(client.response().body) for _ in range(40)] == list(range(40))


def test_a_slow_request_holds_back_the_ones_behind_it_on_its_connection(server):
    with server.connect() as client:
        client.send(b"GET /sleep?0.2 HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.response().body == b"slept"
        assert client.response().body == b"hello"


def test_a_request_in_single_bytes(server):
    with server.connect() as client:
        for byte in b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n":
            client.send(bytes([byte]))
        assert client.response().body == b"abc"


def test_a_client_that_half_closes_gets_its_answer(server):
    with server.connect() as client:
        client.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc").finish()
        assert client.response().body == b"abc"
        assert client.at_end()


def test_one_empty_line_before_a_request_is_forgiven(server):
    with server.connect() as client:
        assert client.send(b"\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n").response().status == 200


def test_an_idle_connection_is_closed_after_the_keep_alive_time(serve):
    server = serve("features:app", "--keep-alive", "1")
    with server.connect() as client:
        assert client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").response().status == 200
        assert client.at_end()


@only_ferricorn("gunicorn's default is 2 s")
def test_keep_alive_zero_closes_after_each_response(serve):
    server = serve("features:app", "--keep-alive", "0")
    with server.connect() as client:
        response = client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").response()
        assert response.header("connection").lower() == "close" and client.at_end()


# Expect.


def test_expect_100_continue(server):
    with server.connect() as client:
        client.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        assert client.read_head().status == 100
        assert client.send(b"abc").response().body == b"abc"


def test_expect_is_not_answered_to_http_1_0(server):
    with server.connect() as client:
        client.send(b"POST /echo HTTP/1.0\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc")
        assert client.response().status == 200


def test_other_expectations_fail(server):
    with server.connect() as client:
        client.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: magic\r\n\r\nabc")
        assert client.response().status == 417


# Chunks, both ways.


def test_a_chunked_request_with_extensions_and_trailers(server):
    with server.connect() as client:
        client.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                    b'4;a=b;c="d e"\r\nWiki\r\n5;x\r\npedia\r\n0\r\nX-Trailer: yes\r\n\r\n'
                    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.response().body == b"Wikipedia"
        assert client.response().body == b"hello"


def test_a_chunked_response(server):
    with server.connect() as client:
        response = client.send(b"GET /generator HTTP/1.1\r\nHost: x\r\n\r\n").response()
        assert response.header("transfer-encoding") == "chunked" and response.header("content-length") is None
        assert response.body == b"one two three"
        assert client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").response().body == b"hello"


def test_a_response_to_http_1_0_ends_with_the_connection(server):
    with server.connect() as client:
        response = client.send(b"GET /generator HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").response()
        assert response.header("transfer-encoding") is None
        assert response.body == b"one two three"


# Limits.


@pytest.mark.parametrize("flags, ok, over, status", [
    (["--limit-request-line", "100"],
     b"GET /?" + b"a" * 80 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /?" + b"a" * 200 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
    (["--limit-request-fields", "4"],
     b"GET / HTTP/1.1\r\nHost: x\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n",
     b"GET / HTTP/1.1\r\nHost: x\r\nA: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\n\r\n", 431),
    (["--limit-request-field_size", "60"],
     b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 40 + b"\r\n\r\n",
     b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 80 + b"\r\n\r\n", 431),
])
def test_limits_of_the_head(serve, flags, ok, over, status):
    server = serve("features:app", *flags)
    with server.connect() as client:
        assert client.send(ok).response().status == 200
    with server.connect() as client:
        assert client.send(over).response().status == status
        assert client.at_end()
    assert server.get().status == 200


@only_ferricorn("gunicorn has seen a whole line before it counts, and resets with bytes unread")
@pytest.mark.parametrize("head, status", [
    (b"GET /" + b"a" * 4100 + b" HTTP/1.1\r\n", 414),
    (b"GET / HTTP/1.1\r\nA: " + b"a" * 9000 + b"\r\n", 431),
    (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 101, 431),
    (b"GET / HTTP/1.1\r\nA: " + b"a" * 100_000, 431),
    (b"G" * 100_000, 414),
])
def test_the_default_limits_hold_before_the_head_is_whole(server, head, status):
    with server.connect() as client:
        assert client.send(head).response().status in (status, 400)
        assert client.at_end()


@only_ferricorn("gunicorn has no such flag")
def test_the_limit_of_the_body(serve):
    server = serve("features:app", "--limit-request-body", "1000")
    assert server.request("POST", "/count", body=b"a" * 1000).text == "1000"
    assert server.request("POST", "/enter", body=b"a" * 1001).status == 413
    with server.connect() as client:
        client.send(b"POST /enter HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.send(b"1f4\r\n" + b"a" * 500 + b"\r\n1f5\r\n" + b"a" * 501 + b"\r\n")
        response = client.response()
        assert response.status == 413 and response.header("connection").lower() == "close"
        assert client.at_end()
    assert not (server.folder / "entered").exists()


@only_ferricorn("gunicorn has no such flag")
def test_a_body_over_the_limit_is_not_asked_for(serve):
    server = serve("features:app", "--limit-request-body", "1000")
    with server.connect() as client:
        client.send(b"POST /enter HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\nExpect: 100-continue\r\n\r\n")
        assert client.response().status == 413


# What is refused: 400 and close, and the app never entered.

BAD = {
    "not-http": b"hello there\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "no-version": b"GET /enter\r\n\r\n",
    "version-2": b"GET /enter HTTP/2.0\r\nHost: x\r\n\r\n",
    "version-lower": b"GET /enter http/1.1\r\nHost: x\r\n\r\n",
    "version-1.10": b"GET /enter HTTP/1.10\r\nHost: x\r\n\r\n",
    "two-spaces": b"GET  /enter HTTP/1.1\r\nHost: x\r\n\r\n",
    "relative-target": b"GET enter HTTP/1.1\r\nHost: x\r\n\r\n",
    "star-get": b"GET * HTTP/1.1\r\nHost: x\r\n\r\n",
    "authority-get": b"GET host:80 HTTP/1.1\r\nHost: x\r\n\r\n",
    "raw-utf8-target": b"GET /enter/\xc3\xa9 HTTP/1.1\r\nHost: x\r\n\r\n",
    "control-in-target": b"GET /enter\x01 HTTP/1.1\r\nHost: x\r\n\r\n",
    "lower-case-method": b"get /enter HTTP/1.1\r\nHost: x\r\n\r\n",
    "method-no-token": b"GE(T /enter HTTP/1.1\r\nHost: x\r\n\r\n",
    "no-colon": b"GET /enter HTTP/1.1\r\nHost: x\r\nnothing\r\n\r\n",
    "empty-name": b"GET /enter HTTP/1.1\r\nHost: x\r\n: a\r\n\r\n",
    "space-in-name": b"GET /enter HTTP/1.1\r\nHost: x\r\nA B: c\r\n\r\n",
    "space-before-colon": b"GET /enter HTTP/1.1\r\nHost: x\r\nA : c\r\n\r\n",
    "fold": b"GET /enter HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n",
    "folded-first": b"GET /enter HTTP/1.1\r\n Host: x\r\n\r\n",
    "nul-in-value": b"GET /enter HTTP/1.1\r\nHost: x\r\nA: b\x00c\r\n\r\n",
    "bare-lf": b"GET /enter HTTP/1.1\nHost: x\n\n",
    "bare-lf-field": b"GET /enter HTTP/1.1\r\nHost: x\nA: b\r\n\r\n",
    "bare-cr": b"GET /enter HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n",
    "two-empty-lines": b"\r\n\r\nGET /enter HTTP/1.1\r\nHost: x\r\n\r\n",
    "two-hosts": b"GET /enter HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
    "two-content-types": b"GET /enter HTTP/1.1\r\nHost: x\r\nContent-Type: a/b\r\nContent-Type: a/b\r\n\r\n",
    "length-and-chunks": b"POST /enter HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two-lengths": b"POST /enter HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "length-list": b"POST /enter HTTP/1.1\r\nHost: x\r\nContent-Length: 3, 3\r\n\r\nabc",
    "length-sign": b"POST /enter HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\nabc",
    "length-underscore": b"POST /enter HTTP/1.1\r\nHost: x\r\nContent-Length: 1_0\r\n\r\n0123456789",
    "length-negative": b"POST /enter HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "length-huge": b"POST /enter HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
    "length-empty": b"POST /enter HTTP/1.1\r\nHost: x\r\nContent-Length: \r\n\r\n",
    "coding-unknown": b"POST /enter HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: cow\r\n\r\n",
    "coding-not-last": b"POST /enter HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "coding-twice": b"POST /enter HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "coding-two-lines": b"POST /enter HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "coding-vtab": b"POST /enter HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "coding-1.0": b"POST /enter HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("name", BAD)
def test_a_malformed_head_is_refused(server, entered, name):
    if IS_GUNICORN and name == "length-huge":
        pytest.skip("gunicorn waits for the body")
    with server.connect() as client:
        client.send(BAD[name] + b"GET /enter HTTP/1.1\r\nHost: x\r\n\r\n")
        response = client.response()
        assert response.status in ((501, 505, 400) if name.startswith(("coding", "version")) else (400,))
        assert response.header("connection").lower() == "close"
        assert b"HTTP/1.1 200" not in client.read_to_end()
    server.get()
    assert entered() == 0


@only_ferricorn("gunicorn serves these")
@pytest.mark.parametrize("host", [b"a/b", b"user@a", b"a,b", b"a b"])
def test_a_malformed_host_is_refused(server, entered, host):
    with server.connect() as client:
        client.send(b"GET /enter HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
        assert client.response().status == 400
    assert entered() == 0


def test_good_requests_before_a_bad_one_are_answered(server):
    with server.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 3 + b"GARBAGE\r\n\r\n")
        assert [client.response().status for _ in range(4)] == [200, 200, 200, 400]
        assert client.at_end()


def test_random_bytes_never_harm_the_worker(server):
    import random

    worker, generator = server.wait_workers(1), random.Random(20261122)
    for _ in range(60):
        with server.connect(timeout=5) as client:
            try:
                client.send(generator.randbytes(generator.randrange(1, 3000)) + b"\r\n\r\n").finish()
                client.read_to_end()
            except OSError:
                pass
    assert server.get().status == 200
    assert server.workers() == worker


# Bodies that are not whole.

BROKEN = {
    "length-cut": (b"Content-Length: 10\r\n\r\n12345", True),
    "chunk-cut": (b"Transfer-Encoding: chunked\r\n\r\na\r\n12345", True),
    "no-last-chunk": (b"Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n", True),
    "size-no-hex": (b"Transfer-Encoding: chunked\r\n\r\nzz\r\n12345\r\n0\r\n\r\n", False),
    "size-negative": (b"Transfer-Encoding: chunked\r\n\r\n-5\r\n12345\r\n0\r\n\r\n", False),
    "size-huge": (b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n12345\r\n0\r\n\r\n", False),
    "no-crlf-after-data": (b"Transfer-Encoding: chunked\r\n\r\n5\r\n12345xx0\r\n\r\n", False),
}


@only_ferricorn("gunicorn enters the app before the body is there")
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_body_never_reaches_the_app(server, entered, name):
    body, finish = BROKEN[name]
    with server.connect() as client:
        client.send(b"POST /enter HTTP/1.1\r\nHost: x\r\n" + body)
        if finish:
            client.finish()
        answer = client.read_to_end()
        assert answer == b"" or answer.startswith(b"HTTP/1.1 400 "), answer
    assert server.get().status == 200
    assert entered() == 0


def test_an_upload_that_does_not_fit_in_memory(server):
    size = 40 * 1024 * 1024
    worker, block = server.wait_workers(1)[0], os.urandom(1 << 20)
    server.request("POST", "/count", body=b"warm")
    before = anonymous_kib(worker)
    with server.connect(timeout=60) as client:
        client.send(b"POST /count HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size >> 20):
            client.send(block)
        assert client.response().body == str(size).encode()
    assert anonymous_kib(worker) - before < 24 * 1024


def test_a_large_body_arrives_unharmed(server):
    body = os.urandom(5_000_001)
    echoed = server.request("POST", "/echo", body=body).body
    assert hashlib.sha256(echoed).digest() == hashlib.sha256(body).digest()


def test_a_large_response_arrives_unharmed(server):
    assert server.get("/big?20000000").body == b"z" * 20_000_000


@only_ferricorn("gunicorn leaves the body in the socket")
@pytest.mark.only_root
def test_a_full_disk_is_a_503_and_one_line(serve):
    """The temporary files of bodies go to TMPDIR, here a file system of one page."""
    folder = serve.folder()
    small = folder / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", small], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no mount here: {mounted.stderr.strip()}")
    try:
        server = serve("features:app", env={"TMPDIR": str(small)})
        server.get()
        mark = server.mark()
        response = server.request("POST", "/enter", body=b"a" * 900_000, timeout=20)
        assert response.status == 503
        server.wait_for(r"(?i)no space|space left", after=mark)
        assert server.log[mark:].count("[ERROR]") == 1
        assert server.request("POST", "/echo", body=b"small").body == b"small"
        assert not (server.folder / "entered").exists()
        server.stop()
    finally:
        subprocess.run(["umount", "-l", small], check=True)


@only_ferricorn("gunicorn leaves the body in the socket")
def test_a_folder_for_bodies_that_is_not_there_is_a_503(serve):
    server = serve("features:app", env={"TMPDIR": "/no/such/folder"})
    assert server.request("POST", "/enter", body=b"a" * 900_000, timeout=20).status == 503
    assert server.get().status == 200
    assert not (server.folder / "entered").exists()


def test_no_descriptor_is_left_behind(server):
    worker = server.wait_workers(1)[0]

    def descriptors():
        return len(os.listdir(f"/proc/{worker}/fd"))

    server.request("POST", "/echo", body=b"a" * 200_000)
    before = descriptors()
    for _ in range(30):
        server.request("POST", "/echo", body=b"a" * 200_000)
        server.get("/file")
        with server.connect() as client:
            client.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n" + b"a" * 100_000)
    until(lambda: descriptors() <= before, f"{before} descriptors again")
