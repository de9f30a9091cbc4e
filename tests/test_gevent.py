"""WSGI on greenlets: what waits keeps nobody else waiting."""

import pytest

from harness import Unanswered, until

only_ferricorn = pytest.mark.only_ferricorn


@pytest.fixture(scope="module")
def server(serve_module):
    server = serve_module("greenlets:app", "-k", "gevent", "-t", "20")
    server.get()
    return server


@pytest.fixture
def fresh(serve):
    """A server of the test's own, for tests that leave marks in its folder."""
    server = serve("greenlets:app", "-k", "gevent", "-t", "20")
    server.get()
    return server


def ask(server, target, method="GET", headers=""):
    """A connection on which a request was sent."""
    return server.connect().send(f"{method} {target} HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode())


# What waits, and what is served meanwhile.


def test_the_standard_library_is_patched_before_the_app_is_imported(server):
    patched, is_main = eval(server.get("/patched").text)
    assert all(patched.values()), patched
    assert not is_main


def test_a_greenlet_waits_for_what_another_request_does(fresh):
    clients = [ask(fresh, "/gate") for _ in range(300)]
    assert fresh.get("/open").text == "fine"
    assert [client.response().text for client in clients] == ["fine"] * 300


def test_a_lock_of_the_standard_library_is_cooperative(fresh):
    first = ask(fresh, "/lock")
    fresh.noted("locked")
    second = ask(fresh, "/lock")
    assert fresh.get("/").text == "fine"
    fresh.touch("unlock")
    assert [first.response().text, second.response().text] == ["fine", "fine"]


def test_a_socket_of_the_standard_library_is_cooperative(fresh):
    client = ask(fresh, "/peer")
    fresh.noted("entered-peer")
    assert fresh.get("/").text == "fine"
    fresh.touch("speak")
    assert client.response().text == "from the peer"


def test_what_is_local_to_a_thread_is_local_to_a_request(fresh):
    clients = [ask(fresh, f"/local?{number}") for number in range(3)]
    fresh.noted("entered-local")
    fresh.touch("go")
    assert [client.response().text for client in clients] == ["None 0", "None 1", "None 2"]


def test_greenlets_of_the_apps_own_run_beside_the_requests(server):
    assert server.get("/ticks").text == "1"


def test_processes_are_started_and_waited_for(server):
    assert server.get("/child").text == "child\n"
    assert server.get("/fork").text == "7"


@only_ferricorn("gunicorn's child answers too")
def test_a_forked_child_that_comes_back_ends_and_does_not_serve(server):
    for _ in range(3):
        assert server.get("/fork-returns").text == "fine"
    until(lambda: len(server.workers()) == 1, "the children's end")


# Bodies.


def test_a_body_is_waited_for_by_its_reader_alone(server):
    client = ask(server, "/echo", "POST", "Content-Length: 10\r\n").send(b"01234")
    assert server.get("/").text == "fine"
    assert client.send(b"56789").response().text == "0123456789"


def test_a_body_in_chunks_is_read_by_lines(server):
    client = ask(server, "/lines", "POST", "Transfer-Encoding: chunked\r\n")
    client.send(b"3\r\na\nb\r\n").read_head()
    assert client.read_chunk() == b"<a\n>"
    client.send(b"4\r\nc\n\nd\r\n0\r\n\r\n")
    assert [client.read_chunk() for _ in range(4)] == [b"<bc\n>", b"<\n>", b"<d>", b""]


@only_ferricorn("gunicorn reads nothing before the app asks")
def test_a_large_body_is_read_as_the_app_asks(server):
    body = b"0123456789abcdef" * 262_144
    assert server.request("POST", "/echo", body=body).body == body
    with ask(server, "/first-bytes", "POST", f"Content-Length: {len(body)}\r\n") as client:
        assert client.send(body[:100]).response().text == "012"


@only_ferricorn("gunicorn gives the app what has come")
@pytest.mark.parametrize("headers, sent", [
    ("Content-Length: 10\r\n", b"01234"),
    ("Transfer-Encoding: chunked\r\n", b"5\r\n01234\r\n"),
    ("Transfer-Encoding: chunked\r\n", b"5\r\n01234\r\nx\r\n"),
])
def test_a_body_that_is_cut_short_is_an_error_and_never_a_shorter_body(server, headers, sent):
    mark = server.mark()
    client = ask(server, "/echo", "POST", headers).send(sent).finish()
    assert client.response().status == 400
    assert server.get("/").text == "fine"
    assert "Error handling" not in server.log[mark:]


@only_ferricorn("gunicorn has no such limit")
def test_a_body_in_chunks_is_held_to_the_limit(serve):
    server = serve("greenlets:app", "-k", "gevent", "--limit-request-body", "8")
    client = ask(server, "/echo", "POST", "Transfer-Encoding: chunked\r\n").send(b"8\r\n01234567\r\n1\r\n8\r\n0\r\n\r\n")
    assert client.response().status == 413
    assert server.request("POST", "/echo", body=b"012345678").status == 413


def test_a_read_that_the_app_gives_up_is_over(server):
    client = ask(server, "/gives-up", "POST", "Content-Length: 10\r\n")
    try:
        assert client.response().status == 500
    except Unanswered:
        pass  # gunicorn closes the connection.
    assert server.get("/").text == "fine"


@only_ferricorn("gunicorn reads anywhere")
def test_a_body_is_read_by_one_greenlet_in_one_thread(server):
    client = ask(server, "/elsewhere", "POST", "Content-Length: 10\r\n")
    assert "only in the thread of its greenlet" in client.response().text
    client = ask(server, "/both-read", "POST", "Content-Length: 3\r\n")
    server.noted("entered-both-read")
    assert client.send(b"abc").response().text == "another greenlet reads this request bodyabc"


@only_ferricorn("gunicorn's reader waits on")
def test_a_reader_that_outlives_its_request_hears_of_that(fresh):
    client = ask(fresh, "/reads-on", "POST", "Content-Length: 10\r\n").send(b"01234")
    assert client.response().text == "fine"
    for reading in "first", "second":
        assert "its request is over" in fresh.noted(reading)


def test_what_an_interrupted_read_has_read_is_not_lost(server):
    client = ask(server, "/reads-in-turns", "POST", "Content-Length: 9\r\n").send(b"on")
    assert server.get("/sleep?0.05").text == "fine"
    client.send(b"e\ntw")
    assert server.get("/sleep?0.05").text == "fine"
    assert client.send(b"o\n.").response().text == "one\ntwo\n."


# Responses.


def test_pieces_leave_as_they_are_made_and_the_iterable_is_closed_in_its_greenlet(fresh):
    client = ask(fresh, "/pieces?one,two")
    fresh.touch("one")
    client.read_head()
    assert client.read_chunk() == b"one"
    assert fresh.get("/").text == "fine" and not fresh.has("closed")
    fresh.touch("two")
    assert [client.read_chunk(), client.read_chunk()] == [b"two", b""]
    assert fresh.noted("closed") == "Greenlet"


@only_ferricorn("gunicorn begins no other request before")
def test_a_response_is_whole_before_its_iterable_is_closed(fresh):
    fresh.touch("one")
    client = ask(fresh, "/long-close")
    assert client.response().text == "one"
    assert client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").response().text == "fine"
    assert not fresh.has("closed")
    fresh.touch("close")
    assert fresh.noted("closed") == "Greenlet"


def test_what_is_written_leaves_before_the_app_goes_on(fresh):
    client = ask(fresh, "/write?one,two")
    fresh.touch("one")
    client.read_head()
    assert client.read_chunk() == b"one"
    assert fresh.get("/").text == "fine"
    fresh.touch("two")
    assert [client.read_chunk() for _ in range(3)] == [b"two", b"end", b""]


@only_ferricorn("gunicorn mixes the chunks up")
def test_greenlets_of_one_request_may_write_at_the_same_time(server):
    body = server.get("/write-by-two").body
    assert [body.count(letter) for letter in (b"a", b"b", b"c", b".")] == [500_000] * 3 + [1]


@only_ferricorn("gunicorn's write() may have sent half")
@pytest.mark.parametrize("query, body", [("list", "one,two,"), ("generator", "one,two,three,")])
def test_what_was_written_leaves_though_an_exception_ends_the_wait_for_that(server, query, body):
    assert server.get(f"/write-interrupted?{query}").text == body


def test_a_file_may_follow_what_was_written(server):
    text = server.get("/file-after-write").text
    assert text.startswith("first\n\"\"\"An app for gevent's hub") and text.endswith("return [body]\n")


@only_ferricorn("gunicorn does not notice")
@pytest.mark.parametrize("path, note", [("/endless", "endless-ended"), ("/write-endless", "write-ended")])
def test_a_client_that_reads_nothing_holds_up_its_greenlet_and_ends_it_when_it_leaves(fresh, path, note):
    client = ask(fresh, path)
    client.read_head()
    assert [fresh.get("/").text for _ in range(3)] == ["fine"] * 3
    assert not fresh.has(note)
    client.close()
    assert fresh.noted(note)
    assert "Traceback" not in fresh.log


def test_an_exception_in_the_middle_closes_the_connection(server):
    mark = server.mark()
    client = ask(server, "/raises-late")
    client.read_head()
    assert client.read_chunk() == b"one"
    with pytest.raises(Unanswered):
        client.read_chunk()
    server.wait_for("LookupError: too late", after=mark)
