"""WSGI callables that do what pages of frameworks do, without one: `train.py` has a server learn from them."""

import json
import os
from urllib.parse import parse_qs

PAGE = b"<!doctype html><title>Horns</title>" + b"<p>Of iron.</p>" * 400
FILE = os.path.abspath(__file__)


def site(environ, start_response):
    """A page for a browser, an API, a form, a file, a stream, and the answers that have no body."""
    return PAGES.get(environ["PATH_INFO"], missing)(environ, start_response)


def page(environ, start_response):
    """HTML with the headers that middleware adds."""
    name = parse_qs(environ["QUERY_STRING"]).get("name", ["nobody"])[0]
    visits = environ.get("HTTP_COOKIE", "").count("=")
    headers = [
        ("Content-Type", "text/html; charset=utf-8"),
        ("Content-Length", str(len(PAGE))),
        ("X-Frame-Options", "DENY"),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "same-origin"),
        ("Vary", "Accept-Encoding, Cookie"),
        ("Set-Cookie", f"visits={visits}; Path=/; HttpOnly; SameSite=Lax"),
        ("X-Greeting", f"Hello {name}"),
    ]
    start_response("200 OK", headers)
    return [PAGE]


def api(environ, start_response):
    """JSON, of what was posted if anything was."""
    size = int(environ.get("CONTENT_LENGTH") or 0)
    posted = json.loads(environ["wsgi.input"].read(size)) if size else {}
    body = json.dumps({"path": environ["PATH_INFO"], "keys": sorted(posted)}).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def form(environ, start_response):
    """Takes a body line by line, and sends the browser elsewhere."""
    lines = sum(1 for _ in environ["wsgi.input"])
    start_response("303 See Other", [("Location", f"/page?name={lines}"), ("Content-Length", "0")])
    return [b""]


def file(environ, start_response):
    """A file as the server sends it best."""
    start_response("200 OK", [("Content-Type", "text/x-python"), ("Content-Length", str(os.path.getsize(FILE)))])
    return environ["wsgi.file_wrapper"](open(FILE, "rb"))


def stream(environ, start_response):
    """Pieces, without a length."""
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return (b"%d bottles\n" % number for number in range(10))


def unchanged(environ, start_response):
    start_response("304 Not Modified", [("ETag", '"1"')])
    return []


def missing(environ, start_response):
    start_response("404 Not Found", [("Content-Type", "text/plain"), ("Content-Length", "9")])
    return [b"Not Found"]


PAGES = {
    "/page": page, "/api": api, "/form": form, "/file": file, "/stream": stream, "/unchanged": unchanged,
}
