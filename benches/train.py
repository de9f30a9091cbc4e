#!/usr/bin/env python3
"""Has Ferricorn do what most servers do all day, so that the compiler learns which of its code that takes.

maturin runs this between two builds (`make wheel`): the server of the first one, which stands in PATH, counts what it executes,
and the second one is optimised for it. So this measures nothing. It needs nothing but Python, and takes half a minute.
"""

import contextlib
import http.client
import json
import os
import sys

from rig import websocket
from rig.servers import Fault, Server, running

BROWSER = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language": "en-GB,en;q=0.7,la;q=0.3",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Referer": "http://127.0.0.1/page",
    "Cookie": "visits=3; csrftoken=aO2pZ0q7bUcXeV1yK9mTnW5rLsDhGfJi; theme=dark",
    "Sec-Fetch-Mode": "navigate",
}
#: As nginx passes requests on.
PROXIED = {**BROWSER, "X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https", "X-Real-IP": "192.0.2.7"}
JSON = {"Content-Type": "application/json", "Accept": "*/*"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
ORDER = json.dumps({"item": "horn", "count": 3, "tags": ["iron", "old"]}).encode()

HELLO = [("GET", "/", None, {})]
SITE = [
    ("GET", "/page?name=Ada", None, BROWSER),
    ("GET", "/page?name=Ada&from=%2Fhorns", None, PROXIED),
    ("GET", "/api", None, JSON),
    ("POST", "/api", ORDER, JSON),
    ("POST", "/form", b"name=Ada&horns=2\n" * 20, FORM),
    ("POST", "/form", iter, FORM),
    ("HEAD", "/page", None, BROWSER),
    ("GET", "/file", None, BROWSER),
    ("GET", "/stream", None, BROWSER),
    ("GET", "/unchanged", None, {**BROWSER, "If-None-Match": '"1"'}),
    ("GET", "/no/such/page", None, BROWSER),
]
UPLOAD = [("POST", "/", b"x" * 10240, FORM)]
LOG = ("--access-logfile", "/dev/null")

#: The app, the server's options, the requests, how often each connection sends them, and how many connections there are.
COURSE = [
    ("raw:hello", (), HELLO, 700, 16),
    ("everyday:site", (), SITE, 60, 16),
    ("everyday:site", LOG, SITE, 30, 8),
    ("everyday:site", ("--threads", "16"), SITE, 60, 16),
    ("raw:upload", (), UPLOAD, 200, 8),
    ("raw:large", (), HELLO, 30, 4),
    ("threaded:wait", ("--threads", "16"), HELLO, 60, 32),
    ("raw_asgi:hello", (), HELLO, 700, 16),
    ("raw_asgi:sleep", LOG, HELLO, 200, 8),
    ("raw_asgi:upload", (), UPLOAD, 200, 8),
    ("raw_asgi:stream", (), HELLO, 30, 4),
]
#: How many connections are used for one request alone.
SHORT = 100
MESSAGES = 3000


def main():
    core = min(os.sched_getaffinity(0))
    for app, options, requests, times, clients in COURSE:
        print(f"# {app} {' '.join(options)}", file=sys.stderr, flush=True)
        with serving(app, options, core) as port:
            browse(port, requests, times, clients)
            for _ in range(SHORT):
                browse(port, requests[:1], 1, 1)
    print("# WebSockets", file=sys.stderr, flush=True)
    with serving("raw_asgi:echo", (), core) as port:
        for deflate in (False, True):
            chat(port, deflate)


@contextlib.contextmanager
def serving(app, options, core):
    """The port of a server that runs that app in one worker."""
    server = Server("train", "Ferricorn", ("ferricorn", "-w", "1", "-b", "127.0.0.1:{port}", *options, "{app}"))
    with running(server, app, core) as live:
        yield live.port


def browse(port, requests, times, clients):
    """So many connections at a time, each of which sends all the requests that often."""
    with contextlib.ExitStack() as stack:
        connections = [http.client.HTTPConnection("127.0.0.1", port, timeout=10) for _ in range(clients)]
        for connection in connections:
            stack.enter_context(contextlib.closing(connection))
        for method, path, body, headers in requests * times:
            for connection in connections:
                # What has no length is sent in chunks.
                connection.request(method, path, iter([b"x" * 4096] * 3) if body is iter else body, headers)
            for connection in connections:
                answer = connection.getresponse()
                answer.read()
                if answer.status >= 500:
                    raise Fault(f"{path} was answered with {answer.status}")


def chat(port, deflate):
    with contextlib.closing(websocket.connect(port, deflate)) as client:
        text = b"How many horns does a unicorn have?"
        websocket.say(client, text)
        if websocket.listen(client) != text:
            raise Fault("a message came back changed")
        for _ in range(0 if deflate else MESSAGES):
            websocket.say(client, text)
            websocket.listen(client)


if __name__ == "__main__":
    main()
