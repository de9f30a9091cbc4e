"""WSGI callables without a framework, one for each round: the server's own cost shows."""

import os
import time

BODY = b"x" * (1 << 20)
PIECE = b"y" * 512
TEXT = ("Content-Type", "text/plain; charset=utf-8")


def hello(environ, start_response):
    body = b"Hello, world!"
    start_response("200 OK", [TEXT, ("Content-Length", str(len(body)))])
    return [body]


def upload(environ, start_response):
    """Reads the whole request body and answers with its length."""
    body = str(len(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))).encode()
    start_response("200 OK", [TEXT, ("Content-Length", str(len(body)))])
    return [body]


def large(environ, start_response):
    """Answers with 1 MiB in one piece."""
    start_response("200 OK", [TEXT, ("Content-Length", str(len(BODY)))])
    return [BODY]


def stream(environ, start_response):
    """Answers with twenty pieces of 512 bytes and no declared length."""
    start_response("200 OK", [TEXT])
    for _ in range(20):
        yield PIECE


def slow(environ, start_response):
    """A short page, and under /stream 60 MiB in pieces of 64 KiB."""
    if environ["PATH_INFO"] != "/stream":
        return hello(environ, start_response)
    start_response("200 OK", [TEXT, ("Content-Length", str(60 << 20))])
    return (BODY[:65536] for _ in range(960))


def who(environ, start_response):
    """Answers with the number of the process; under /wait after 10 ms."""
    if environ["PATH_INFO"] == "/wait":
        time.sleep(0.01)
    body = str(os.getpid()).encode()
    start_response("200 OK", [TEXT, ("Content-Length", str(len(body)))])
    return [body]
