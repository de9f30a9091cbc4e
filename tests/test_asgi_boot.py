"""How an ASGI app is named and recognised, and which names for its worker and its loop are understood."""

import pytest

only_ferricorn = pytest.mark.only_ferricorn

HIDDEN = """
import features_asgi

def hidden(*arguments):
    return features_asgi.app(*arguments)

class Both:
    def __call__(self, *arguments):
        if len(arguments) == 3:
            return features_asgi.app(*arguments)
        environ, start_response = arguments
        start_response("200 OK", [("Content-Length", "4")])
        return [b"wsgi"]

both = Both()
"""

WRAPPED = """
import functools
from features_asgi import app as inner

partial = functools.partial(inner)

def decorate(function):
    @functools.wraps(function)
    async def wrapper(scope, receive, send):
        return await function(scope, receive, send)
    return wrapper

decorated = decorate(inner)

class Bound:
    async def handle(self, scope, receive, send):
        await inner(scope, receive, send)

    @staticmethod
    async def static(scope, receive, send):
        await inner(scope, receive, send)

method, static = Bound().handle, Bound.static

class Middleware:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        await self.app(scope, receive, send)

stacked = Middleware(Middleware(inner))
"""


@pytest.mark.parametrize("name", ["app", "site", "Instance"])
def test_an_asgi_app_needs_no_flag(serve, name):
    assert serve(f"features_asgi:{name}").get().body == b"hello"


@only_ferricorn("uvicorn takes a double callable only where it can see its coroutine")
def test_a_double_callable_needs_no_flag_or_the_flag(serve):
    assert serve("features_asgi:double", "--interface", "asgi").get().body == b"hello"


@pytest.mark.parametrize("name", [
    "decorated", "static", "stacked", *[pytest.param(name, marks=only_ferricorn("uvicorn does not see it")) for name in ("method", "partial")]])
def test_wrapped_apps_are_recognised(serve, name):
    assert serve(f"wrapped:{name}", files={"wrapped.py": WRAPPED}).get().body == b"hello"


@only_ferricorn("uvicorn calls no factories with arguments")
@pytest.mark.parametrize("name, body", [("make()", "default"), ("make('x')", "x"), ('make(name="y z")', "y z")])
def test_factories(serve, name, body):
    server = serve(f"features_asgi:{name}")
    assert server.get("/name").text == body


@only_ferricorn("uvicorn serves WSGI only when told to")
def test_a_wsgi_app_is_still_a_wsgi_app(serve):
    assert serve("hello:app").get().body == b"Hello, world!\n"


@only_ferricorn("the flag is gunicorn's and Ferricorn's")
def test_an_app_that_hides_its_interface_is_told(serve):
    assert serve("hiding:hidden", "--interface", "asgi", files={"hiding.py": HIDDEN}).get().body == b"hello"
    assert serve("hiding:both", "--interface", "asgi", files={"hiding.py": HIDDEN}).get().body == b"hello"
    assert serve("hiding:both", "--interface", "wsgi", files={"hiding.py": HIDDEN}).get().body == b"wsgi"


@only_ferricorn("uvicorn has no worker classes")
@pytest.mark.parametrize("name", ["asgi", "uvicorn.workers.UvicornWorker", "uvicorn_worker.UvicornWorker", "uvicorn.workers.UvicornH11Worker"])
def test_worker_classes_that_people_already_use(serve, name):
    server = serve("features_asgi:app", "-k", name)
    assert server.get().body == b"hello"
    assert (f"worker_class {name} means asgi" in server.log) == (name != "asgi")
    if "H11" in name:
        assert server.get("/loop").text == "asyncio"


@only_ferricorn("its words")
def test_the_log_says_which_kind_of_worker_it_is(serve):
    server = serve("features_asgi:app", "-k", "asgi")
    server.wait_for(r"Using worker: asgi")


def test_the_loop_can_be_chosen(serve, loop):
    assert serve("features_asgi:app", "--asgi-loop", loop).get("/loop").text == loop


NO_UVLOOP = {"uvloop.py": "raise ImportError('no uvloop here')"}


@only_ferricorn("uvicorn exits otherwise")
def test_without_uvloop_auto_is_asyncio_and_uvloop_is_an_error(serve):
    server = serve("features_asgi:app", files=NO_UVLOOP)
    assert server.get("/loop").text == "asyncio"
    server = serve("features_asgi:app", "--asgi-loop", "uvloop", files=NO_UVLOOP, listening=False)
    assert server.wait_exit() != 0
    server.expected_exit = {1, 3, 4}
    assert "uvloop" in server.log and "panicked" not in server.log


def test_with_uvloop_auto_is_uvloop(serve):
    pytest.importorskip("uvloop")
    assert serve("features_asgi:app").get("/loop").text == "uvloop"
