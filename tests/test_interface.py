"""Which interface an app has, and what whoever names the wrong one is told."""

import re

import pytest

pytestmark = pytest.mark.only_ferricorn("gunicorn does not look at the app")

APPS = """
async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        raise RuntimeError("no lifespan")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
    await send({"type": "http.response.body", "body": b"asgi"})

def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Length", "4")])
    return [b"wsgi"]

def create_app(settings=None):
    return asgi

async def create_async():
    return asgi

class Site:
    def __init__(self, name="site"):
        pass

    async def __call__(self, scope, receive, send):
        await asgi(scope, receive, send)
"""
FILES = {"apps.py": APPS}


def test_what_a_factory_makes_is_looked_at_too(serve):
    for name in ("apps:create_app()", "apps:Site()"):
        assert serve(name, files=FILES).get().body == b"asgi", name


@pytest.mark.parametrize("name, hint", [
    ("create_app", "write 'apps:create_app()'"), ("Site", "write 'apps:Site()'"), ("create_async()", "cannot be an `async def`")])
def test_what_makes_an_app_is_not_taken_for_one(cli, name, hint):
    result = cli("--check-config", f"apps:{name}", files=FILES)
    assert result.returncode == 1 and hint in result.stderr, result.stderr
    assert "never awaited" not in result.stderr


@pytest.mark.parametrize("name, flags, message", [
    ("asgi", ["--interface", "wsgi"], "'apps:asgi' is an ASGI application: remove --interface wsgi"),
    ("wsgi", ["--interface", "asgi"], "'apps:wsgi' is a WSGI application: remove --interface asgi"),
    ("wsgi", ["-k", "asgi"], "or the worker class that stands for it"),
    ("asgi", ["-k", "asgi", "--interface", "wsgi"], "contradicts the worker class"),
])
def test_an_interface_that_does_not_fit_is_refused_before_anything_is_served(cli, name, flags, message):
    result = cli("--check-config", *flags, f"apps:{name}", files=FILES)
    assert result.returncode == 1 and message in result.stderr, result.stderr


def test_a_loop_that_is_not_there_is_told_before_anything_is_served(cli):
    files = {**FILES, "uvloop.py": "raise ImportError('broken here')"}
    result = cli("--check-config", "--asgi-loop", "uvloop", "apps:asgi", files=files)
    assert result.returncode == 1, result.stderr
    assert "cannot be imported (ImportError: broken here): install it, or set --asgi-loop auto" in result.stderr
    assert cli("--check-config", "--asgi-loop", "uvloop", "apps:wsgi", files=files).returncode == 0
    assert cli("--check-config", "apps:asgi", files=files).returncode == 0


def test_sync_does_not_make_a_wsgi_app_of_an_asgi_one_and_one_line_says_so(serve):
    server = serve("apps:asgi", "-k", "sync", "-w", "2", files=FILES)
    server.wait_workers(2)
    assert server.get().body == b"asgi"
    server.wait_for(r"\[WARNING\] worker_class sync has no effect: 'apps:asgi' is an ASGI application")
    assert server.log.count("has no effect") == 1, server.log


def test_threads_are_no_error_for_those_who_come_with_uvicorns_worker(serve):
    server = serve("apps:asgi", "-k", "uvicorn.workers.UvicornWorker", "--threads", "4", files=FILES)
    assert server.get().body == b"asgi"
    assert len(re.findall(r"\[INFO\] worker_class uvicorn\.workers\.UvicornWorker means asgi", server.log)) == 1
    assert len(re.findall(r"\[WARNING\] threads has no effect", server.log)) == 1


def test_uvicorns_flags_for_websockets_are_understood(cli):
    flags = ["--ws-ping-interval", "2.5", "--ws-ping-timeout", "0", "--ws-per-message-deflate", "false", "--root-path", "/api/"]
    result = cli("--print-config", *flags, "apps:asgi", files=FILES)
    assert result.returncode == 0, result.stderr
    for line in (r"ws_ping_interval +=\s2\.5", r"ws_ping_timeout +=\s0", r"ws_per_message_deflate +=\sFalse"):
        assert re.search(line, result.stdout), result.stdout


@pytest.mark.parametrize("flags, message", [
    (["--ws-ping-interval", "soon"], "a number of seconds from 0 to 31536000"),
    (["--ws-per-message-deflate", "maybe"], "true or false"),
    (["--root-path", "api"], "write /api"),
    (["--root-path", "https://example.org/api"], "without a host"),
])
def test_a_value_that_makes_no_sense_says_what_does(cli, flags, message):
    result = cli("--check-config", *flags, "apps:asgi", files=FILES)
    assert result.returncode in (1, 2) and message in result.stderr, result.stderr
