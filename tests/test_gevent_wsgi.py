"""PEP 3333 on greenlets: the tests of app threads once more."""

import pytest
from test_wsgi import *  # noqa: F403


class OnGreenlets:
    """Starts servers as another fixture does, on greenlets."""

    def __init__(self, serve):
        self._serve = serve

    def __call__(self, app, *flags, **options):
        return self._serve(app, "-k", "gevent", *flags, **options)

    def __getattr__(self, name):
        return getattr(self._serve, name)


@pytest.fixture
def serve(serve):
    return OnGreenlets(serve)


@pytest.fixture(scope="module")
def serve_module(serve_module):
    return OnGreenlets(serve_module)


def test_one_app_thread_is_not_called_multithreaded(server):
    """Greenlets take turns, as threads do."""
    assert server.get("/environ").json()["wsgi.multithread"] is True
