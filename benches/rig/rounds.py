"""What is asked of every server, and the right answers."""

import json
from dataclasses import dataclass


@dataclass(frozen=True)
class Round:
    """An app, a request, and the body that must come back."""

    title: str
    app: str
    answer: bytes
    path: str = "/"
    connections: int = 32
    #: Sent with POST, if any.
    body: bytes = b""
    kind: str = "text/plain"
    #: Whether the app needs the backend beside the server.
    backend: bool = False
    #: What asks: wrk, or a program of `benches/load` with what it is told behind the port.
    client: tuple = ("wrk",)
    #: Servers of the group that have no part in it.
    without: tuple = ()
    #: Requests a second that are the most that arithmetic allows.
    limit: int = 0
    #: Whose 99th percentile the others' are set against.
    pace: str = ""

    @property
    def websocket(self):
        """Whether echoes of messages are asked for, not pages."""
        return self.client[0] == "websockets"

    @property
    def unit(self):
        """What the server is asked for."""
        return "message" if self.websocket else "request"


_HELLO = b"Hello, world!"
_ECHOES = ("websockets", "{connections}", "{seconds}")
_UPLOAD = b"x" * (10 << 10)
_ADA = b'{"hello": "Ada"}'
_ORDER = json.dumps({"item": "horn", "count": 3, "price": 12.5, "tags": ["iron", "old"]}).encode()
_RECEIPT = b'{"order":42,"item":"horn","total":37.5,"gift":true}'

WSGI = {
    "hello": Round("“Hello, world!”", "raw:hello", _HELLO),
    "upload": Round("A POST of 10 KiB, read by the app", "raw:upload", b"10240", body=_UPLOAD),
    "large": Round("A response of 1 MiB", "raw:large", b"x" * (1 << 20)),
    "stream": Round("A generator of 20 pieces", "raw:stream", b"y" * 10240),
    "flask": Round("Flask, a JSON page", "flask_app:application", b'{"hello":"Ada"}\n', "/hello/Ada"),
    "django": Round("Django, a JSON page", "django_app:application", _ADA, "/hello/Ada"),
}

ASGI = {
    "asgi-hello": Round("“Hello, world!”", "raw_asgi:hello", _HELLO),
    "asgi-sleep": Round("`await asyncio.sleep(0)`, then “Hello, world!”", "raw_asgi:sleep", _HELLO),
    "asgi-backend": Round("Two round trips to a backend over TCP", "raw_asgi:backend", _HELLO, backend=True),
    "asgi-upload": Round("A POST of 10 KiB, read by the app", "raw_asgi:upload", b"10240", body=_UPLOAD),
    "asgi-stream": Round("A response of 1 MiB in 16 pieces", "raw_asgi:stream", b"x" * (1 << 20)),
    "fastapi": Round(
        "FastAPI, a POST of JSON that is validated", "fastapi_app:application", _RECEIPT, "/orders/42?gift=yes",
        body=_ORDER, kind="application/json",
    ),
    "websocket": Round("WebSockets: echoes of texts of 64 bytes", "raw_asgi:echo", _HELLO, client=_ECHOES),
}

#: With 16 threads, and one of ours beside.
THREADS = {
    "threads-hello": Round("“Hello, world!”", "raw:hello", _HELLO),
    "threads-wait": Round(
        "10 ms without the GIL", "threaded:wait", _HELLO, without=("ferricorn-1",), limit=1600,
    ),
    "threads-mix": Round(
        "600 requests a second, 5 % of which take 200 ms without the GIL; p50 and p99 are those of the others",
        "threaded:mix", _HELLO, without=("ferricorn-1",), client=("mix", "600", "{seconds}"),
    ),
    "threads-cpu-0.3": Round("0.3 ms of Python", "threaded:burn_300_us", _HELLO, pace="ferricorn-1"),
    "threads-cpu-3": Round("3 ms of Python", "threaded:burn_3_ms", _HELLO, pace="ferricorn-1"),
}

GEVENT = {
    "gevent-hello": Round("“Hello, world!”", "raw:hello", _HELLO),
    "gevent-sleep": Round(
        "1,000 clients at once, and `gevent.sleep(1)`", "greenlets:nap", _HELLO, connections=1000,
        client=("crowd", "{connections}"),
    ),
}

SETTINGS = {"settings": Round("“Hello, world!”", "raw:hello", _HELLO)}

ROUNDS = {"WSGI": WSGI, "ASGI": ASGI, "Threads": THREADS, "gevent": GEVENT, "Settings": SETTINGS}
