"""A Pyramid app with a page, a parameter and a stream."""

import time

from pyramid.config import Configurator
from pyramid.response import Response


def index(request):
    return Response(f"<!doctype html><title>Pyramid on ferricorn</title><h1>It works</h1>"
                    f"<p>Served by {request.environ['SERVER_SOFTWARE']}.</p>")


def hello(request):
    return {"hello": request.matchdict["name"], "query": dict(request.GET)}


def stream(request):
    def lines():
        for number in range(1, 4):
            yield f"line {number}\n".encode()
            time.sleep(0.3)

    return Response(app_iter=lines(), content_type="text/plain")


def make_app():
    """The factory: `ferricorn 'app:make_app()'` calls it in each worker."""
    with Configurator() as config:
        for name, pattern, view, renderer in (
            ("index", "/", index, None),
            ("hello", "/hello/{name}", hello, "json"),
            ("stream", "/stream", stream, None),
        ):
            config.add_route(name, pattern)
            config.add_view(view, route_name=name, renderer=renderer)
        return config.make_wsgi_app()
