"""ASGI 3.0 over HTTP (specification 2.5), message by message and seen from the socket, on each event loop."""

import os
import re
from ast import literal_eval

import pytest

from harness import IS_UVICORN, Client, Unanswered, anonymous_kib, until

only_ferricorn = pytest.mark.only_ferricorn


@pytest.fixture(scope="module")
def server(serve_module, loop):
    server = serve_module("features_asgi:app", "--asgi-loop", loop, "--access-logfile", "-", "-t", "20")
    assert server.get("/loop").text == loop
    return server


@pytest.fixture
def fresh(serve, loop):
    """A server of the test's own, for tests that look at files or memory."""
    server = serve("features_asgi:app", "--asgi-loop", loop, "-t", "20")
    server.get()
    return server


def scope_of(server, *lines, target=b"/scope", client=None):
    """The scope of one request with these header lines."""
    head = b"\r\n".join([b"GET " + target + b" HTTP/1.1", *(lines or [b"Host: x"]), b"Connection: close", b"", b""])
    with client or server.connect() as client:
        return literal_eval(client.send(head).response().text)


# The scope.


def test_every_key_of_the_scope(server):
    with server.connect() as client:
        client.send(b"POST /scope/%7Ea%20b?x=%20y&z HTTP/1.1\r\nHost: a.example:81\r\nX-One: 1\r\nx-ONE: 2\r\n"
                    b"Content-Type: text/x\r\nContent-Length: 3\r\n\r\nabc")
        port = client.socket.getsockname()[1]
        scope = literal_eval(client.response().text)
    assert scope["asgi"].pop("version") == "3.0"
    assert re.fullmatch(r"2\.\d", scope["asgi"].pop("spec_version")) and not scope.pop("asgi")
    assert isinstance(scope.pop("extensions", {}), dict)
    assert {**scope, "headers": sorted(tuple(pair) for pair in scope["headers"]), "client": tuple(scope["client"]),
            "server": tuple(scope["server"])} == {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/scope/~a b",
        "raw_path": b"/scope/%7Ea%20b",
        "query_string": b"x=%20y&z",
        "root_path": "",
        "headers": [(b"content-length", b"3"), (b"content-type", b"text/x"), (b"host", b"a.example:81"), (b"x-one", b"1"),
                    (b"x-one", b"2")],
        "client": ("127.0.0.1", port),
        "server": ("127.0.0.1", server.port),
        "state": {"number": 1, "shared": []},
    }


@only_ferricorn("uvicorn tells an older version")
def test_the_version_of_the_specification(server):
    assert scope_of(server)["asgi"] == {"version": "3.0", "spec_version": "2.5"}


@pytest.mark.parametrize("target, path, raw, query", [
    (b"/scope", "/scope", b"/scope", b""),
    (b"/scope?", "/scope", b"/scope", b""),
    (b"/scope?a?b", "/scope", b"/scope", b"a?b"),
    (b"/scope/%e4%bd%a0", "/scope/\u4f60", b"/scope/%e4%bd%a0", b""),
    (b"/scope/a%2Fb%3Fc", "/scope/a/b?c", b"/scope/a%2Fb%3Fc", b""),
    (b"/scope/%25%32%35", "/scope/%25", b"/scope/%25%32%35", b""),
    (b"/scope/a+b;c=d", "/scope/a+b;c=d", b"/scope/a+b;c=d", b""),
    (b"/scope/../a//b/.", "/scope/../a//b/.", b"/scope/../a//b/.", b""),
    (b"/scope?%e4%00%zz", "/scope", b"/scope", b"%e4%00%zz"),
    (b"http://other.example/scope/x?y", "/scope/x", b"/scope/x", b"y"),
])
def test_the_path_is_decoded_and_the_query_is_not(server, target, path, raw, query):
    scope = scope_of(server, target=target)
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == (path, raw, query)


def test_a_path_that_is_no_utf_8_is_still_a_path(server):
    """Each byte that cannot be decoded becomes U+FFFD."""
    scope = scope_of(server, target=b"/scope/%ff%e4b")
    assert (scope["path"], scope["raw_path"]) == ("/scope/\ufffd\ufffdb", b"/scope/%ff%e4b")


@pytest.mark.parametrize("prefix", ["/v1", "/a/b"])
def test_the_path_begins_with_the_root_path(serve, loop, prefix):
    """The specification says so since 2.3: what lies below a proxy's prefix has it put back."""
    scope = scope_of(serve("features_asgi:app", "--asgi-loop", loop, "--root-path", prefix), target=b"/scope/a%20b")
    assert (scope["root_path"], scope["path"]) == (prefix, f"{prefix}/scope/a b")


def test_methods_reach_the_app_as_they_are(server):
    for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"):
        response = server.request(method, "/scope")
        assert literal_eval(response.text)["method"] == method


def test_a_request_of_http_1_0(server):
    with server.connect() as client:
        scope = literal_eval(client.send(b"GET /scope HTTP/1.0\r\nX-A: b\r\n\r\n").response().text)
        assert client.at_end()
    assert scope["http_version"] == "1.0" and [tuple(pair) for pair in scope["headers"]] == [(b"x-a", b"b")]


def test_headers_keep_their_bytes_their_duplicates_and_the_order_of_those(server):
    """The order of different names means nothing, says the specification."""
    scope = scope_of(server, b"Host: x", b"B: 2", b"A: 1", b"b:\t caf\xe9 \xff", b"Empty:", b"A: , ,3", b"Cookie: a=b; c", b"cookie: d")
    assert sorted((tuple(pair) for pair in scope["headers"]), key=lambda pair: pair[0]) == [
        (b"a", b"1"), (b"a", b", ,3"), (b"b", b"2"), (b"b", b"caf\xe9 \xff"), (b"connection", b"close"), (b"cookie", b"a=b; c"),
        (b"cookie", b"d"), (b"empty", b""), (b"host", b"x")]


def test_a_unix_socket_has_a_path_and_no_client(serve, loop):
    server = serve("features_asgi:app", "--asgi-loop", loop, bind="unix:a.sock")
    path = str(server.folder / "a.sock")
    scope = scope_of(server, client=Client(path))
    assert scope["client"] is None
    name, port = scope["server"]
    assert name.endswith("a.sock") and port is None


def test_the_scheme_is_what_a_trusted_proxy_says(serve, loop):
    trusting = serve("features_asgi:app", "--asgi-loop", loop, "--forwarded-allow-ips", "127.0.0.1")
    assert scope_of(trusting, b"Host: x", b"X-Forwarded-Proto: https")["scheme"] == "https"
    assert scope_of(trusting, b"Host: x")["scheme"] == "http"
    wary = serve("features_asgi:app", "--asgi-loop", loop, "--forwarded-allow-ips", "10.0.0.1")
    assert scope_of(wary, b"Host: x", b"X-Forwarded-Proto: https")["scheme"] == "http"


@only_ferricorn("uvicorn takes the address from X-Forwarded-For without being asked")
def test_the_client_is_the_peer_or_whom_a_trusted_proxy_names(serve):
    plain = scope_of(serve("features_asgi:app"), b"Host: x", b"X-Forwarded-For: 192.0.2.7")
    assert plain["client"][0] == "127.0.0.1"
    server = serve("features_asgi:app", "--real-ip-header", "X-Forwarded-For")
    assert scope_of(server, b"Host: x", b"X-Forwarded-For: 192.0.2.7")["client"][0] == "192.0.2.7"
    server = serve("features_asgi:app", "--proxy-protocol", "v1")
    with server.connect() as client:
        client.send(b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n")
        scope = scope_of(server, client=client)
    assert tuple(scope["client"]) == ("192.0.2.1", 56324)


@only_ferricorn("uvicorn knows no such policy")
def test_the_policy_for_header_names_holds_for_asgi(serve):
    names = {name for name, _ in scope_of(serve("features_asgi:app"), b"Host: x", b"X_Own: 1", b"X-Own: 2")["headers"]}
    assert names == {b"host", b"x-own", b"connection"}


def test_each_request_has_a_scope_of_its_own(server):
    """Its state is a shallow copy: what is in it is shared, what is put into it is not."""
    first = literal_eval(server.get("/own-scope").text)
    second = literal_eval(server.get("/own-scope").text)
    assert (first[0], first[2:]) == (second[0], second[2:]) == (None, [None, False])
    assert second[1] == first[1] + 1
    server.get("/scope")


# Receiving.


def request_event(body, more=False):
    return {"type": "http.request", "body": body, "more_body": more}


def test_a_request_without_a_body_is_one_empty_message(server):
    assert literal_eval(server.get("/messages").text) == [request_event(b"")]


def test_a_body_of_length_0_is_one_empty_message(server):
    assert literal_eval(server.request("POST", "/messages", body=b"").text) == [request_event(b"")]


def test_messages_carry_the_body_and_all_but_the_last_say_more(server):
    messages = literal_eval(server.request("POST", "/messages", body=b"x" * 100_000).text)
    assert b"".join(message["body"] for message in messages) == b"x" * 100_000
    assert [message["more_body"] for message in messages] == [True] * (len(messages) - 1) + [False]
    assert {message["type"] for message in messages} == {"http.request"}


@pytest.mark.parametrize("chunked", [False, True])
def test_each_piece_is_received_before_the_next_is_sent(server, chunked):
    name = f"pieces{chunked}"
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: 9"

    def received():
        return b"".join(literal_eval(line)["body"] for line in server.noted(f"{name}-received").splitlines())

    with server.connect() as client:
        client.send(b"POST /messages?%s HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n" % (name.encode(), framing))
        for number, data in enumerate((b"one", b"two", b"six"), 1):
            client.send(b"3\r\n%s\r\n" % data if chunked else data)
            until(lambda: received() == b"onetwosix"[:number * 3], f"{data!r} in {received()!r}")
        client.send(b"0\r\n\r\n" if chunked else b"")
        messages = literal_eval(client.response().text)
    assert b"".join(message["body"] for message in messages) == b"onetwosix"
    assert messages[0]["more_body"] and not messages[-1]["more_body"]


def test_bodies_of_every_framing_arrive_unharmed(server):
    body = os.urandom(300_001)
    assert server.request("POST", "/echo", body=body).body == body
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[at:at + 9973] for at in range(0, len(body), 9973)))
    with server.connect() as client:
        client.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")
        assert client.response().body == body
        assert client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").response().body == b"hello"


def test_a_body_can_be_answered_as_it_comes(server):
    with server.connect() as client:
        client.send(b"POST /echo-stream HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.send(b"3\r\none\r\n")
        assert client.read_head().status == 200
        assert client.read_chunk() == b"one"
        client.send(b"3\r\ntwo\r\n")
        assert client.read_chunk() == b"two"
        client.send(b"0\r\n\r\n")
        assert client.read_chunk() == b""


def test_an_app_may_give_up_waiting_and_ask_again(server):
    """What comes between is not lost, and neither is the body where two ask at once."""
    with server.connect() as client:
        client.send(b"POST /impatient HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
        server.noted("impatient")
        for data in (b"one", b"two", b"six"):
            client.send(data)
        assert client.response().body == b"onetwosix"
    with server.connect() as client:
        client.send(b"POST /together HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nonetwo")
        assert client.response().body == b"onetwo"


def test_a_large_upload_waits_until_the_app_reads(fresh):
    """While it does not, the client's sending stalls and the worker's memory does not grow."""
    worker, size, block = fresh.wait_workers(1)[0], 48 << 20, b"u" * (1 << 20)
    fresh.request("POST", "/count", body=b"u" * 100_000)
    before = anonymous_kib(worker)
    with fresh.connect(timeout=1) as client:
        client.send(b"POST /unread?now HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size)
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < size:
                sent += client.socket.send(block)
        assert sent < size
        assert anonymous_kib(worker) - before < 8 * 1024
        fresh.touch("now")
        client.socket.settimeout(20)
        while sent < size:
            sent += client.socket.send(block[:size - sent])
        received, largest = map(int, client.response().text.split())
    assert received == size and largest < 4 << 20
    assert anonymous_kib(worker) - before < 16 * 1024


@pytest.mark.parametrize("size", [0, 5, 20_000, 300_000])
def test_a_body_that_the_app_ignores_does_not_become_the_next_request(server, size):
    """The connection is kept, or the answer says that it is not: who keeps it for another request must know."""
    smuggled = b"GET /enter HTTP/1.1\r\nHost: x\r\n\r\n"
    for _ in range(3):
        with server.connect() as client:
            client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (len(smuggled) + size))
            client.send(smuggled + b"x" * size)
            response = client.response()
            assert response.body == b"hello"
            if response.header("connection", "").lower() == "close":
                assert client.at_end()
            else:
                assert client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").response().body == b"hello"
    assert not server.has("entered")


@pytest.mark.parametrize("data", [
    b"Content-Length: 10\r\n\r\n12345",
    b"Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n",
    b"Transfer-Encoding: chunked\r\n\r\n5\r\n123",
], ids=["length", "chunks", "chunk"])
def test_a_body_cut_short_is_a_disconnect(fresh, data):
    with fresh.connect() as client:
        client.send(b"POST /enter HTTP/1.1\r\nHost: x\r\n" + data)
        fresh.noted("entered")
    assert fresh.noted("left") == "disconnected"


@only_ferricorn("uvicorn leaves the app waiting")
def test_a_body_that_breaks_the_rules_is_never_a_shorter_body(fresh):
    with fresh.connect() as client:
        client.send(b"POST /enter HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n")
        fresh.noted("entered")
        client.send(b"nonsense\r\n")
        answer = client.read_to_end()
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")
    assert fresh.noted("left") == "disconnected"


@only_ferricorn("uvicorn has no limit for bodies")
def test_a_body_over_the_limit(serve, loop):
    """Where its length says so the app is not called; where it shows later the app sees no end of the body."""
    server = serve("features_asgi:app", "--asgi-loop", loop, "--limit-request-body", "1000")
    assert server.request("POST", "/echo", body=b"x" * 1000).body == b"x" * 1000
    with server.connect() as client:
        client.send(b"POST /enter HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n")
        assert client.response().status == 413
    assert not server.has("entered")
    with server.connect() as client:
        client.send(b"POST /enter HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(3):
            client.send(b"1f4\r\n" + b"x" * 500 + b"\r\n")
        answer = client.read_to_end()
    assert answer == b"" or answer.startswith(b"HTTP/1.1 413 ")
    assert server.noted("left") == "disconnected"
    assert server.get().body == b"hello"


@pytest.mark.parametrize("length", [b"Content-Length: 4", b"Transfer-Encoding: chunked"])
def test_100_continue_comes_before_the_body(server, length):
    """Not in front of what the app has not asked for."""
    with server.connect() as client:
        name = f"expect-{length[:7].decode()}"
        client.send(b"POST /unread?%s HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n%s\r\n\r\n" % (name.encode(), length))
        server.touch(name)
        assert client.read_head().status == 100
        client.send(b"body" if b"4" in length else b"4\r\nbody\r\n0\r\n\r\n")
        assert client.response().body == b"4 4"


def test_an_app_that_wants_no_body_answers_without_100_continue(server):
    with server.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        assert client.response().status == 200


def test_receive_gives_a_disconnect_when_the_response_is_complete(server):
    for method, body in (("GET", None), ("POST", b"body")):
        with server.connect() as client:
            head = f"{method} /after?{method} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body or b'')}\r\n\r\n"
            assert client.send(head.encode() + (body or b"")).response().body == b"complete"
            # The connection is open all the while.
            assert literal_eval(server.noted(method)) == [{"type": "http.disconnect"}] * 2
            assert client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").response().body == b"hello"


# Sending.


def test_a_response_of_one_piece_with_a_length(server):
    response = server.get()
    assert (response.status, response.reason, response.body) == (200, "OK", b"hello")
    assert (response.header("content-length"), response.header("transfer-encoding")) == ("5", None)


@pytest.mark.parametrize("target", ["/defaults", "/defaults?more"])
def test_every_optional_key_may_be_left_out(server, target):
    response = server.get(target)
    assert (response.status, response.body) == (200, b"")


@pytest.mark.parametrize("kind", ["lists", "tuple", "generator", "items"])
def test_headers_are_any_iterable_of_pairs(server, kind):
    response = server.get(f"/iterable?{kind}")
    assert (response.header("x-a"), response.header("x-b"), response.body) == ("1", "2", b"fine")


def test_headers_are_sent_in_order_with_duplicates_and_bytes(server):
    response = server.get("/headers")
    assert response.all("set-cookie") == ["a=1", "b=2"]
    assert (response.header("x-latin"), response.header("x-empty")) == ("caf\xe9", "")
    assert b"set-cookie: a=1" in response.raw.lower()


def test_an_app_that_says_how_its_body_is_framed_does_not_frame_it_twice(server):
    with server.connect() as client:
        response = client.send(b"GET /chunked HTTP/1.1\r\nHost: x\r\n\r\n").response()
        assert (response.body, response.all("transfer-encoding")) == (b"one two", ["chunked"])
        assert client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").response().body == b"hello"


@only_ferricorn("uvicorn sends both")
def test_server_and_date_are_the_servers(server):
    response = server.get("/own-headers")
    assert response.header("server") == "ferricorn" and "never" not in response.header("date")


def test_a_response_without_a_length_is_chunked(server):
    response = server.get("/pieces")
    assert (response.header("transfer-encoding"), response.header("content-length")) == ("chunked", None)
    assert response.body == b"one two three"


def test_a_response_without_a_length_to_http_1_0_ends_with_the_connection(server):
    with server.connect() as client:
        response = client.send(b"GET /exact HTTP/1.0\r\n\r\n").response()
        assert response.body == b"one two " and client.at_end()


@only_ferricorn("uvicorn sends chunks to HTTP/1.0")
def test_no_chunks_for_http_1_0(server):
    with server.connect() as client:
        response = client.send(b"GET /pieces HTTP/1.0\r\n\r\n").response()
        assert response.body == b"one two three" and response.header("transfer-encoding") is None


def test_a_body_may_be_bytes_in_another_guise(server):
    """Starlette passes on memoryviews."""
    assert server.get("/buffers").body == b"one two three"


def test_a_response_in_pieces_with_a_length(server):
    response = server.get("/exact")
    assert (response.header("content-length"), response.header("transfer-encoding")) == ("8", None)
    assert response.body == b"one two "


def test_each_piece_is_there_before_the_next_exists(server):
    with server.connect() as client:
        client.send(b"GET /paced?paced HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.read_head().status == 200
        assert client.read_chunk() == b"first\n"
        server.touch("paced1")
        assert client.read_chunk() == b"second\n"
        server.touch("paced2")
        assert client.read_chunk() == b""
        assert client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").response().body == b"hello"


def test_a_head_is_there_before_its_first_piece(server):
    """Clients of event streams wait for it."""
    with server.connect() as client:
        client.send(b"GET /head-alone?head HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.read_head().status == 200
        server.touch("head")
        assert client.read_chunk() == b"late"


@pytest.mark.parametrize("target", ["/", "/pieces", "/exact", "/status/200?length"])
def test_head_gets_the_head_alone(server, target):
    with server.connect() as client:
        head = client.send(f"HEAD {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode()).response(head_only=True)
        assert head.status == 200
        assert client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").response().body == b"hello"


def test_head_tells_the_length_that_the_app_tells(server):
    with server.connect() as client:
        assert client.send(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n").response(head_only=True).header("content-length") == "5"


@pytest.mark.parametrize("status", [204, 304])
def test_statuses_without_a_body(server, status):
    with server.connect() as client:
        response = client.send(f"GET /status/{status} HTTP/1.1\r\nHost: x\r\n\r\n".encode()).response()
        assert (response.status, response.header("x-kept"), response.header("transfer-encoding")) == (status, "yes", None)
        assert client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").response().body == b"hello"


@only_ferricorn("uvicorn sends the body")
@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("query", ["body", "length"])
def test_a_body_that_may_not_be_is_not_sent(server, status, query):
    with server.connect() as client:
        response = client.send(f"GET /status/{status}?{query} HTTP/1.1\r\nHost: x\r\n\r\n".encode()).response()
        assert response.status == status
        assert client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").response().body == b"hello"


@pytest.mark.parametrize("status", [201, 299, 418, 500, 599])
def test_any_status_can_be_sent(server, status):
    assert server.get(f"/status/{status}").status == status


def test_a_large_response_arrives_unharmed(server):
    assert server.get("/big?20000000").body == b"z" * 20_000_000


def test_many_small_pieces_wait_for_no_timer(server):
    """At one pause of the sweep for every dozen it would take minutes."""
    assert server.get("/crumbs?20000").body == b"crumb\n" * 20_000


def test_pipelined_requests_are_answered_in_order(server):
    with server.connect() as client:
        client.send(b"".join(b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n" % path for path in (b"pieces", b"", b"nothing", b"exact")))
        assert [client.response().body for _ in range(4)] == [b"one two three", b"hello", b"not found", b"one two "]


def test_requests_of_several_clients_overlap(server):
    with server.connect() as first, server.connect() as second:
        first.send(b"GET /paced?overlap HTTP/1.1\r\nHost: x\r\n\r\n").read_head()
        assert second.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").response().body == b"hello"
        for number in "12":
            server.touch(f"overlap{number}")
        assert [first.read_chunk() for _ in range(3)] == [b"first\n", b"second\n", b""]


def test_what_the_app_does_after_its_response_does_not_hold_the_connection(server):
    with server.connect() as client:
        assert client.send(b"GET /late?late HTTP/1.1\r\nHost: x\r\n\r\n").response().body == b"complete"
        for _ in range(2):
            assert client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").response().body == b"hello"
        assert not server.has("late-done")
        server.touch("late")
        server.noted("late-done")


@only_ferricorn("uvicorn has no trailers")
def test_trailers_are_offered_where_they_are_of_use(server):
    """The client says whether it takes them (RFC 9110, section 6.5.1)."""
    with server.connect() as client:
        client.send(b"GET /trailers HTTP/1.1\r\nHost: x\r\nTE: trailers\r\nConnection: TE, close\r\n\r\n")
        head = client.read_head()
        assert (head.header("trailer"), client.read_chunk()) == ("x-sum", b"summed")
        assert client.read_to_end() == b"0\r\nx-sum: 42\r\n\r\n"
    response = server.get("/trailers")
    assert response.body == b"summed"
    assert "http.response.trailers" not in scope_of(server)["extensions"]


@only_ferricorn("uvicorn has no early hints")
def test_early_hints_come_while_the_app_still_works(server):
    assert "http.response.early_hint" in scope_of(server)["extensions"]
    with server.connect() as client:
        client.send(b"GET /hints?hinted HTTP/1.1\r\nHost: x\r\n\r\n")
        hints = client.read_head()
        assert (hints.status, hints.all("link")) == (103, ["</a.css>; rel=preload", "</b.js>"])
        server.touch("hinted")
        assert client.response().body == b"hinted"


# What an app must not do.

LENIENT = {"no-type", "no-message", "no-status", "status-text", "status-none", "status-99", "status-1000", "headers-number",
           "headers-text", "headers-text-value", "headers-triple", "headers-flat", "headers-name", "headers-no-name",
           "headers-split", "headers-length", "headers-lengths", "start-twice", "body-text", "body-number",
           "unknown-second", "start-after-piece"}
"""Where uvicorn's exception names no message, or leaves the response spoilt."""


def wrong(name, told):
    return pytest.param(name, told, id=name, marks=only_ferricorn("it raises otherwise") if name in LENIENT else ())


@pytest.mark.parametrize("name, told", [
    wrong("no-message", "dict"),
    wrong("no-type", "type"),
    wrong("unknown-type", "http.response.nothing"),
    wrong("websocket-type", "websocket.accept"),
    wrong("body-first", "http.response.body"),
    *[wrong(name, "http.response.start") for name in (
        "no-status", "status-text", "status-none", "status-99", "status-1000", "headers-number", "headers-text", "headers-text-value",
        "headers-triple", "headers-flat", "headers-name", "headers-no-name", "headers-split", "headers-length", "headers-lengths",
        "start-twice", "start-after-piece", "start-after-end")],
    *[wrong(name, "http.response.body") for name in ("body-text", "body-number", "body-after-end")],
    wrong("unknown-second", "http.response.nothing"),
])
def test_a_wrong_message_raises_where_it_is_sent_and_is_named(server, name, told):
    """What the app has begun, or begins after that, still ends well."""
    note = server.folder / f"wrong-{name}"
    note.unlink(missing_ok=True)
    with server.connect() as client:
        response = client.send(f"GET /wrong/{name} HTTP/1.1\r\nHost: x\r\n\r\n".encode()).response()
        assert response.status == 200
        assert response.body.endswith(b"end" if name.endswith("after-end") else b"well")
        assert client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").response().body == b"hello"
    kind, _, message = server.noted(f"wrong-{name}").partition(": ")
    assert kind != "nothing" and told in message


@pytest.mark.parametrize("name", [
    "unknown-type", "body-first", pytest.param("no-status", marks=only_ferricorn("uvicorn closes the connection"))])
def test_a_wrong_message_before_the_head_that_nobody_catches_is_a_500(server, name):
    mark = server.mark()
    assert server.get(f"/uncaught/{name}").status == 500
    server.wait_for("Traceback", after=mark)
    server.wait_for("in uncaught", after=mark)


@pytest.mark.parametrize("path", ["raise", "raise-base", "cancelled", "no-answer"])
def test_an_app_that_fails_before_the_head_is_a_500(server, path):
    mark = server.mark()
    response = server.get(f"/{path}")
    assert response.status == 500
    assert b"raised" not in response.body and b"Traceback" not in response.body
    if path.startswith("raise"):
        server.wait_for(r"(LookupError|BaseException): raised (before the response|as a BaseException)", after=mark)
    if path == "no-answer":
        server.wait_for("(?i)without", after=mark)
    assert server.get().body == b"hello"


@only_ferricorn("uvicorn names no request")
def test_the_log_names_the_request_that_failed(fresh):
    fresh.get("/raise?secret=1")
    fresh.wait_for(r"\[ERROR\] Error handling request GET /raise")
    assert fresh.log.count("[ERROR]") == 1 and fresh.log.count("Traceback (most recent call last)") == 1


@pytest.mark.parametrize("path, begins", [
    ("raise-late", b"5\r\nfirst\r\n"), ("no-end", b"5\r\nfirst\r\n"), ("no-body", b""), ("raise-started", b""),
])
def test_an_app_that_fails_after_the_head_breaks_the_response(server, path, begins):
    """A client must be able to tell it from a complete one."""
    mark = server.mark()
    with server.connect() as client:
        answer = client.send(f"GET /{path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()).read_to_end()
    if not answer.startswith(b"HTTP/1.1 500 "):  # A head without a piece has not left yet.
        head, _, body = answer.partition(b"\r\n\r\n")
        assert body == begins and b"LookupError" not in answer
    if path.startswith("raise"):
        server.wait_for("LookupError: raised (within|between)", after=mark)
    else:
        server.wait_for("(?i)without", after=mark)
    assert server.get().body == b"hello"


def test_an_app_that_fails_after_its_response_is_logged(server):
    mark = server.mark()
    with server.connect() as client:
        assert client.send(b"GET /raise-after HTTP/1.1\r\nHost: x\r\n\r\n").response().body == b"complete"
    server.wait_for("LookupError: raised after the response", after=mark)


@only_ferricorn("uvicorn sends less than it could")
@pytest.mark.parametrize("path", ["too-long", "too-long-pieces"])
def test_a_body_longer_than_its_length_is_cut(server, path):
    mark = server.mark()
    with server.connect() as client:
        assert client.send(f"GET /{path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()).response().body == b"12345"
        try:
            assert client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").response().body == b"hello"
        except (Unanswered, OSError):
            pass  # It may close instead.
    server.wait_for(r"(?i)content-length", after=mark)


@pytest.mark.parametrize("path", ["too-short", "too-short-pieces"])
def test_a_body_shorter_than_its_length_ends_the_connection(server, path):
    mark = server.mark()
    with server.connect() as client:
        head = client.send(f"GET /{path} HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n".encode()).read_to_end()
    assert b"12345" in head or IS_UVICORN or head.startswith(b"HTTP/1.1 500 ")
    server.wait_for(r"(?i)content-length", after=mark)


# The access log.


@only_ferricorn("uvicorn has a format of its own")
def test_the_access_log_tells_of_asgi_requests_as_of_others(serve):
    server = serve("features_asgi:app", "--access-logfile", "-", "--access-logformat", "%(h)s %(r)s %(s)s %(B)s")
    server.get("/pieces?a=b")
    until(lambda: server.access_log == ["127.0.0.1 GET /pieces?a=b HTTP/1.1 200 13"], f"the line; there is {server.access_log}")
