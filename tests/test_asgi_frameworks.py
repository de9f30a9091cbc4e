"""Real ASGI frameworks: Starlette, FastAPI, Django, Quart, Litestar."""

import hashlib
import json
import os
from urllib.parse import urlencode

import pytest

from harness import rests, until
from test_frameworks import form_data

only_ferricorn = pytest.mark.only_ferricorn

JSON = [("Content-Type", "application/json")]
FORM = [("Content-Type", "application/x-www-form-urlencoded")]


def serving(serve, framework, loop="auto"):
    pytest.importorskip(framework)
    name = {"django": "django_asgi:application"}.get(framework, f"{framework}_app:app")
    return serve(name, "--asgi-loop", loop, "-t", "20", "--asgi-disconnect-grace-period", "1")


@pytest.fixture(scope="module")
def starlette(serve_module, loop):
    return serving(serve_module, "starlette", loop)


@pytest.fixture(scope="module")
def fastapi(serve_module, loop):
    return serving(serve_module, "fastapi", loop)


@pytest.fixture(scope="module")
def django(serve_module, loop):
    return serving(serve_module, "django", loop)


@pytest.fixture(scope="module")
def quart(serve_module):
    return serving(serve_module, "quart")


@pytest.fixture(scope="module")
def litestar(serve_module):
    return serving(serve_module, "litestar")


def multipart(server, path, content, fields=()):
    body, kind = form_data(dict(fields), ("file", "a.bin", content))
    return server.request("POST", path, [("Content-Type", kind)], body)


def ask(client, target):
    return client.send(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())


def expect_500(server):
    mark = server.mark()
    assert server.get("/fail").status == 500
    server.wait_for("LookupError: as asked for", after=mark)


# Starlette.


def test_starlette_serves_pages(starlette):
    assert starlette.get("/").text == "home"
    assert starlette.get("/hello/Ada%20L?a=b").json() == {
        "name": "Ada L", "state": "good day", "query": {"a": "b"}, "url": "http://localhost/hello/x"}
    assert starlette.get("/nothing").status == 404
    assert starlette.request("POST", "/").status == 405
    assert starlette.request("HEAD", "/").header("content-length") == "4"
    assert starlette.get("/blocking").text == "True"
    expect_500(starlette)


@pytest.mark.parametrize("size", [10, 3_000_000])
def test_starlette_takes_uploads(starlette, size):
    content = os.urandom(size)
    digest = hashlib.sha256(content).hexdigest()
    assert multipart(starlette, "/upload", content, {"field": "value"}).json() == {
        "name": "a.bin", "field": "value", "bytes": size, "sha256": digest}
    assert starlette.request("POST", "/digest", body=content).json()["sha256"] == digest


def test_starlette_tells_of_an_upload_cut_short(starlette):
    with starlette.connect() as client:
        client.send(b"POST /digest HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
    starlette.noted("cut")


@pytest.mark.parametrize("path", ["/stream", "/marked/stream"])
def test_starlette_streams(starlette, path):
    """With middleware of the kind that wraps the stream too."""
    name = path.replace("/", "")
    with starlette.connect() as client:
        head = ask(client, f"{path}?{name}").read_head()
        assert head.header("x-marked") == ("yes" if "marked" in path else None)
        for number in range(3):
            assert client.read_chunk() == b"line %d\n" % number
            starlette.touch(f"{name}{number}")
        assert client.read_chunk() == b""
    assert starlette.get("/threaded").text == "line 0\nline 1\nline 2\n"


@pytest.mark.parametrize("path", ["/events", "/marked/events"])
@only_ferricorn("uvicorn tells of 2.3, where other code of Starlette's runs")
def test_starlette_cleans_up_when_a_reader_of_events_leaves(starlette, path):
    name, mark = path.replace("/", ""), starlette.mark()
    worker = starlette.wait_workers(1)[0]
    with starlette.connect() as client:
        assert ask(client, f"{path}?{name}").read_head().header("content-type").startswith("text/event-stream")
        assert client.read_chunk() == b"data: 1\n\n"
        client.read_chunk()
    starlette.noted(f"{name}-cleaned")
    until(lambda: rests(worker), "it to rest")
    assert "[ERROR]" not in starlette.log[mark:] and "Traceback" not in starlette.log[mark:]


def test_starlettes_background_tasks_do_not_hold_the_connection(starlette):
    with starlette.connect() as client:
        assert ask(client, "/background?after").response().text == "at once"
        assert ask(client, "/").response().text == "home"
    assert not starlette.has("after-done")
    starlette.touch("after")
    starlette.noted("after-done")


def test_starlette_sees_that_a_client_has_left(starlette):
    with starlette.connect() as client:
        ask(client, "/polled")
        starlette.noted("polling")
    starlette.noted("noticed")


def test_starlette_sends_files(starlette):
    assert starlette.get("/file").body == b"f" * 1_000_000
    part = starlette.get("/file", [("Range", "bytes=10-19")])
    assert (part.status, part.body) == (206, b"f" * 10)
    packed = starlette.get("/packed/file", [("Accept-Encoding", "gzip")])
    assert packed.header("content-encoding") == "gzip" and len(packed.body) < 100_000


def test_starlettes_lifespan_ends(serve):
    server = serving(serve, "starlette")
    assert server.get("/").text == "home"
    server.stop()
    assert server.has("closed")


# FastAPI.


def test_fastapi_validates(fastapi):
    item = {"name": "pen", "price": 1.5}
    good = fastapi.request("POST", "/items/7", [*JSON, ("X-Token", "t")], json.dumps(item).encode())
    assert good.json() == {"number": 7, "item": {**item, "tags": []}, "session": "session", "token": "t"}
    fastapi.noted("cleaned")
    assert fastapi.request("POST", "/items/x", JSON, json.dumps(item).encode()).status == 422
    assert fastapi.request("POST", "/items/7", JSON, b'{"name": ""}').status == 422
    assert fastapi.request("POST", "/items/7", JSON, b"no json").status == 422
    assert fastapi.request("POST", "/items/7", JSON, b'{"name": "a", "price": -1}').json() == {"detail": "too cheap"}


def test_fastapi_runs_endpoints_in_the_loop_and_in_threads(fastapi):
    assert fastapi.get("/").json() == {"hello": "world", "thread": False}
    assert fastapi.get("/blocking").json() == {"thread": True}
    with fastapi.load("/blocking", clients=8, limit=400) as load:
        until(lambda: load.answered >= 400, "the load")
    assert load.failures == []


def test_fastapi_takes_uploads_and_streams(fastapi):
    assert multipart(fastapi, "/upload", b"x" * 2_000_000, {"word": "w"}).json() == {"bytes": 2_000_000, "name": "a.bin", "word": "w"}
    assert fastapi.get("/stream").text == "".join(f"{number}\n" for number in range(1000))


def test_fastapi_runs_background_tasks_and_tells_of_failures(fastapi):
    assert fastapi.get("/background").json() == {}
    fastapi.noted("later")
    assert fastapi.get("/openapi.json").json()["openapi"].startswith("3.")
    assert "swagger" in fastapi.get("/docs").text.lower()
    expect_500(fastapi)


# Django.


def test_django_serves_views_of_both_kinds(django):
    assert django.get("/sync/?a=b%20c").json() == {"thread": True, "path": "/sync/", "get": {"a": "b c"}}
    assert django.get("/async/").text == "async"
    assert django.get("/nothing/").status == 404
    redirect = django.get("/async")
    assert (redirect.status, redirect.header("location")) == (301, "/async/")
    assert django.get("/fail/").status == 500


def test_django_keeps_a_database_and_sessions(django):
    for name in ("ada", "grace"):
        answer = django.request("POST", "/users/", FORM, urlencode({"name": name}).encode()).json()
        assert name in answer["users"]
    first = django.get("/session/")
    cookie = first.header("set-cookie").split(";")[0]
    assert (first.text, django.get("/session/", [("Cookie", cookie)]).text) == ("1", "2")


@pytest.mark.parametrize("size", [10, 3_000_000])
def test_django_takes_uploads(django, size):
    assert multipart(django, "/upload/", b"x" * size).json() == {"file": size}


def test_django_streams(django):
    with django.connect() as client:
        ask(client, "/stream/?name=stream").read_head()
        for number in range(3):
            assert client.read_chunk() == b"line %d\n" % number
            django.touch(f"stream{number}")
        assert client.read_chunk() == b""
    assert django.get("/sync-stream/").text == "line 0\nline 1\nline 2\n"


def test_django_cancels_a_view_whose_client_has_left(django):
    with django.connect() as client:
        ask(client, "/wait/")
        until(lambda: django.has("waiting"), "the view")
    until(lambda: django.has("cancelled"), "the cancellation")


# Quart and Litestar.


def test_quart_serves_pages_forms_and_streams(quart):
    page = quart.get("/").json()
    assert (page["started"], page["path"]) == (True, "/")
    assert quart.request("POST", "/form", FORM, b"a=b&c=d%20e").json() == {"a": "b", "c": "d e"}
    assert multipart(quart, "/upload", b"x" * 200_000).json() == {"file": 200_000}
    assert quart.request("POST", "/count", body=b"x" * 3_000_000).text == "3000000"
    assert quart.get("/stream").text == "line 0\nline 1\nline 2\n"
    assert quart.get("/background").text == "at once"
    quart.noted("later")
    expect_500(quart)


def test_quart_ends_well(serve):
    server = serving(serve, "quart")
    server.get("/")
    server.stop()
    server.noted("ended")


def test_litestar_serves_typed_handlers_uploads_and_streams(litestar):
    assert litestar.get("/").json() == {"hello": "world"}
    assert litestar.get("/blocking").json() == {"thread": True}
    made = litestar.request("POST", "/items/7", JSON, b'{"name": "pen", "price": 1.5}')
    assert (made.status, made.json()) == (201, {"number": 7, "name": "pen", "price": 1.5})
    assert litestar.request("POST", "/items/7", JSON, b'{"price": "x"}').status == 400
    assert multipart(litestar, "/upload", b"x" * 200_000).json() == {"bytes": 200_000}
    assert litestar.get("/stream").text == "line 0\nline 1\nline 2\n"
    assert "data: 2" in litestar.get("/events").text
    assert litestar.get("/fail").status == 500
