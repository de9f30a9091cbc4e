"""`wsgi.early_hints`: responses of status 103 that come while the app still works."""

import pytest

from harness import IS_GUNICORN

ERROR = "InvalidResponseHeader" if IS_GUNICORN else "ValueError"
LINKS = ["</a.css>; rel=preload", "</b.js>"]


@pytest.fixture(scope="module")
def server(serve_module):
    return serve_module("features:app", "-t", "20")


def get(target, version="1.1", *fields):
    return "\r\n".join([f"GET {target} HTTP/{version}", "Host: x", *fields, "", ""]).encode()


def expect_hints(client):
    """Reads the hints, which hold nothing of what the app was refused."""
    hints = client.read_head()
    assert (hints.status, hints.reason) == (103, "Early Hints")
    assert [name.lower() for name, _ in hints.headers] == ["link", "link"]
    assert hints.all("link") == LINKS


def expect_answer(client):
    """Reads the answer, the next response, and what the app was told of a header that is none."""
    response = client.response()
    assert (response.status, response.text) == (200, f"refused {ERROR}")


def test_hints_come_while_the_app_still_works(server):
    with server.connect() as client:
        client.send(get("/hints?first"))
        expect_hints(client)
        (server.folder / "gofirst").touch()
        expect_answer(client)


def test_each_of_two_pipelined_requests_has_its_own(server):
    with server.connect() as client:
        client.send(get("/hints?one") + get("/hints?two", "1.1", "Connection: close"))
        expect_hints(client)
        (server.folder / "goone").touch()
        expect_answer(client)
        expect_hints(client)
        (server.folder / "gotwo").touch()
        expect_answer(client)
        assert client.at_end()


def test_an_app_that_answers_at_once_loses_none(server):
    with server.connect() as client:
        for _ in range(100):
            client.send(get("/hints"))
            expect_hints(client)
            expect_answer(client)


def test_a_client_of_http_1_0_gets_none(server):
    with server.connect() as client:
        response = client.send(get("/hints", "1.0")).response()
        assert (response.status, response.text) == (200, "refused nothing")
        assert client.at_end()


def test_after_the_headers_there_are_none(server):
    with server.connect() as client:
        client.send(get("/hints", "1.1", "Connection: close"))
        expect_hints(client)
        expect_answer(client)
        assert client.at_end(), "bytes behind the response"
