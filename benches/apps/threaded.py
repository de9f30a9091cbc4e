"""WSGI callables that take their time: what several app threads are for, and what they must not harm."""

import time

from raw import hello


def wait(environ, start_response):
    """Waits 10 ms without the GIL, as for a database."""
    time.sleep(0.01)
    return hello(environ, start_response)


def mix(environ, start_response):
    """Answers at once; under /slow after 200 ms without the GIL."""
    if environ["PATH_INFO"] == "/slow":
        time.sleep(0.2)
    return hello(environ, start_response)


def burn_300_us(environ, start_response):
    _burn(0.0003)
    return hello(environ, start_response)


def burn_3_ms(environ, start_response):
    _burn(0.003)
    return hello(environ, start_response)


def _burn(seconds):
    """Keeps the interpreter busy until this thread has used so much processor time."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass
