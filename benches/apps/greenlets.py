"""A WSGI callable for gevent's workers."""

import gevent

from raw import hello


def nap(environ, start_response):
    """Answers at once; under /slow after a second, in which other greenlets run."""
    if environ["PATH_INFO"] == "/slow":
        gevent.sleep(1)
    return hello(environ, start_response)
