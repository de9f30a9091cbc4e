"""Real applications: Flask, Django with its admin and a database, Pyramid, and the FastAPI example."""

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlencode

import pytest

from harness import until
from harness.websocket import WebSocket

EXAMPLES = Path(__file__).parent.parent / "examples"


def form_data(fields, file=None):
    """The body and the content type of an HTML form with a file."""
    boundary = "a-boundary-of-our-own"
    parts = [f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}'.encode() for name, value in fields.items()]
    if file:
        name, filename, content = file
        parts.append(f'Content-Disposition: form-data; name="{name}"; filename="{filename}"\r\n'
                     "Content-Type: application/octet-stream\r\n\r\n".encode() + content)
    body = b"".join(b"--" + boundary.encode() + b"\r\n" + part + b"\r\n" for part in parts)
    return body + b"--" + boundary.encode() + b"--\r\n", f"multipart/form-data; boundary={boundary}"


class Browser:
    """Keeps cookies, and fills in Django's token."""

    def __init__(self, server):
        self._server, self.cookies = server, {}

    def _request(self, method, path, headers=(), body=None):
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        host = ("Referer", f"http://localhost{path}")
        response = self._server.request(method, path, [*headers, host, *([("Cookie", cookies)] if cookies else [])], body)
        for cookie in response.all("set-cookie"):
            name, _, value = cookie.split(";")[0].partition("=")
            self.cookies[name] = value
        return response

    def get(self, path):
        return self._request("GET", path)

    def post(self, path, fields, file=None):
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', self.get(path).text).group(1)
        fields = {"csrfmiddlewaretoken": token, **fields}
        if file:
            body, kind = form_data(fields, file)
        else:
            body, kind = urlencode(fields).encode(), "application/x-www-form-urlencoded"
        return self._request("POST", path, [("Content-Type", kind)], body)


# Flask.


@pytest.fixture(scope="module")
def flask(serve_module):
    return serve_module("app:app", "-w", "2", "--chdir", EXAMPLES / "flask")


def test_flask_serves_pages(flask):
    assert "It works" in flask.get("/").text
    assert flask.get("/hello/Ada%20L").json() == {"hello": "Ada L"}
    assert flask.get("/nothing").status == 404


@pytest.mark.parametrize("size", [10, 3_000_000])
def test_flask_takes_uploads(flask, size):
    import hashlib

    content = b"x" * size
    body, kind = form_data({}, ("file", "a.bin", content))
    expected = {"bytes": size, "sha256": hashlib.sha256(content).hexdigest()}
    assert flask.request("POST", "/upload", [("Content-Type", kind)], body).json() == expected
    for kind in ("application/octet-stream", "application/x-www-form-urlencoded"):
        assert flask.request("POST", "/upload", [("Content-Type", kind)], content).json() == expected


def test_flask_streams(flask):
    with flask.connect() as client:
        client.send(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        client.read_head()
        assert client.read_chunk() == b"line 1\n"
        assert client.read_chunk() == b"line 2\n"


def test_an_exception_in_flask_is_a_500(serve):
    server = serve("""
from flask import Flask
app = Flask(__name__)

@app.get("/")
def index():
    raise RuntimeError("of the view")
""")
    assert server.get("/").status == 500
    server.wait_for("of the view")


# Django.


@pytest.fixture(scope="module")
def django(serve_module):
    data = serve_module.folder() / "data"
    env = {"MYSITE_DATA": str(data)}
    for command in (["migrate", "-v0"], ["createsuperuser", "--noinput", "--email", "a@a.example", "--username", "ada"]):
        subprocess.run([sys.executable, "manage.py", *command], cwd=EXAMPLES / "django", check=True,
                       env={**env, "DJANGO_SUPERUSER_PASSWORD": "engine", "PYTHONDONTWRITEBYTECODE": "1", "PATH": ""})
    server = serve_module("mysite.wsgi:application", "-w", "2", "--chdir", EXAMPLES / "django", env=env)
    server.data = data
    return server


def test_django_logs_in_to_the_admin(django):
    browser = Browser(django)
    assert browser.get("/admin/").status == 302
    login = "/admin/login/?next=/admin/"
    wrong = browser.post(login, {"username": "ada", "password": "wrong"})
    assert wrong.status == 200 and "correct username and password" in wrong.text.replace("\n", " ")
    response = browser.post(login, {"username": "ada", "password": "engine"})
    assert (response.status, response.header("location")) == (302, "/admin/")
    assert len(response.all("set-cookie")) == 2
    page = browser.get("/admin/")
    assert page.status == 200 and "Site administration" in page.text
    added = browser.post("/admin/auth/user/add/",
                         {"username": "grace", "usable_password": "true", "password1": "a-long-secret-1", "password2": "a-long-secret-1"})
    assert added.status == 302, added.text
    assert "grace" in browser.get("/admin/auth/user/").text


@pytest.mark.parametrize("size", [100, 3_000_000])
def test_django_takes_an_upload_and_gives_it_back(django, size):
    browser, content = Browser(django), bytes(range(256)) * (size // 256 + 1)
    assert browser.post("/", {"title": f"upload of {size}"}, ("file", f"{size}.bin", content)).status == 302
    page = browser.get("/").text
    assert f"upload of {size}" in page
    link = re.search(rf'href="(/download/\d+)">upload of {size}<', page).group(1)
    response = browser.get(link)
    assert response.header("content-disposition").startswith("attachment")
    assert response.body == content


def test_django_streams(django):
    with django.connect() as client:
        client.send(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        client.read_head()
        assert [client.read_chunk() for _ in range(4)] == [b"line 1\n", b"line 2\n", b"line 3\n", b""]


def test_django_refuses_a_form_without_its_token(django):
    assert django.request("POST", "/", [("Content-Type", "application/x-www-form-urlencoded")], b"title=x").status == 403


def test_django_keeps_its_database_under_many_clients(django):
    with django.load("/", clients=4, limit=400) as load:
        load.wait_answered(100)
    assert load.failures == []


# Pyramid.


def test_pyramid(serve):
    server = serve("app:make_app()", "--chdir", EXAMPLES / "pyramid")
    assert "It works" in server.get("/").text
    assert server.get("/hello/Ada?a=b").json() == {"hello": "Ada", "query": {"a": "b"}}
    assert server.get("/nothing").status == 404
    with server.connect() as client:
        client.send(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        client.read_head()
        assert client.read_chunk() == b"line 1\n"


@pytest.mark.only_ferricorn("gunicorn waits for the worker that cannot hear it, then kills it")
def test_an_app_that_overrides_signals_still_stops(serve):
    server = serve("""
import signal
signal.signal(signal.SIGTERM, lambda *args: None)

def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
""", "--graceful-timeout", "20")
    assert server.get().body == b"ok"
    assert server.stop(timeout=8) == 0
    until(lambda: not server.workers(), "no worker")


# FastAPI.


@pytest.mark.only_ferricorn("gunicorn's default workers serve no ASGI")
def test_the_fastapi_example(serve):
    pytest.importorskip("fastapi")
    server = serve("app:app", "--chdir", EXAMPLES / "fastapi")
    assert "It works" in server.get().text
    json = [("Content-Type", "application/json")]
    answer = server.request("POST", "/orders", json, b'{"item": "horn", "count": 3}')
    assert (answer.status, answer.json()) == (201, {"item": "horn", "count": 3, "waiting": 1})
    answer = server.request("POST", "/orders", json, b'{"item": "horn", "count": 0}')
    assert answer.status == 422 and answer.json()["detail"][0]["loc"] == ["body", "count"]
    with server.connect() as client:
        head = client.send(b"GET /clock?ticks=2 HTTP/1.1\r\nHost: x\r\n\r\n").read_head()
        assert head.header("content-type").startswith("text/event-stream")
        assert [client.read_chunk() for _ in range(2)] == [b"id: 1\ndata: tick 1\n\n", b"id: 2\ndata: tick 2\n\n"]
    with WebSocket(server.address, "/echo") as socket:
        assert socket.say("Ada").hear() == "you said: Ada"
        assert socket.bye()[0] == 1000
