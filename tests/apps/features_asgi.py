"""One ASGI app with a path for each feature of the specification, shared by the byte-level tests."""

import asyncio
import os
import time
from pathlib import Path

PAGES = {}
TEXT = [(b"content-type", b"text/plain")]


def page(path):
    """Registers an app under a path."""
    def register(function):
        PAGES[path] = function
        return function

    return register


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return await lifespan(scope, receive, send)
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    path = scope["path"].removeprefix(scope["root_path"])
    chosen = PAGES.get(path) or PAGES.get("/" + path.split("/")[1])
    if chosen is None:
        return await answer(send, "not found", 404)
    return await chosen(scope, receive, send)


async def lifespan(scope, receive, send):
    await receive()
    scope["state"].update(number=1, shared=[])
    await send({"type": "lifespan.startup.complete"})
    await receive()
    note("shutdown", str(os.getpid()))
    await send({"type": "lifespan.shutdown.complete"})


def of_length(length):
    return [(b"content-length", b"%d" % length)]


async def answer(send, body, status=200, headers=()):
    body = body if isinstance(body, bytes) else body.encode()
    await start(send, status, [*TEXT, *of_length(len(body)), *headers])
    await piece(send, body, False)


async def start(send, status=200, headers=()):
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def piece(send, body=b"", more=True):
    await send({"type": "http.response.body", "body": body, "more_body": more})


async def whole(receive):
    """The body of the request, and None if the client left before its end."""
    body = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(body)


def query(scope):
    return scope["query_string"].decode()


def note(name, text=""):
    """Leaves a word for the test in the folder of the server."""
    with open(name, "a") as file:
        file.write(text + "\n")


async def go(name):
    """Waits until the test has left a word."""
    end = time.monotonic() + 20
    while not Path(name).exists():
        assert time.monotonic() < end, f"never asked for {name}"
        await asyncio.sleep(0.01)


@page("/")
async def hello(scope, receive, send):
    await answer(send, "hello")


@page("/pid")
async def pid(scope, receive, send):
    await answer(send, str(os.getpid()))


@page("/loop")
async def loop(scope, receive, send):
    await answer(send, type(asyncio.get_running_loop()).__module__.split(".")[0])


@page("/scope")
async def show_scope(scope, receive, send):
    await answer(send, repr(dict(scope)))


@page("/own-scope")
async def own_scope(scope, receive, send):
    """Changes all of its scope that it can, and shows how much of that it found changed."""
    found = [scope["state"].get("own"), len(scope["state"]["shared"]), scope.get("own"), (b"own", b"") in scope["headers"]]
    scope["state"]["own"] = scope["own"] = True
    scope["state"]["shared"].append(1)
    if isinstance(scope["headers"], list):
        scope["headers"].append((b"own", b""))
    await answer(send, repr(found))


@page("/messages")
async def messages(scope, receive, send):
    """The messages up to the end of the body, and a note of each as it comes."""
    found = []
    while not found or found[-1].get("more_body"):
        found.append(await receive())
        note(f"{query(scope) or 'messages'}-received", repr(found[-1]))
    await answer(send, repr(found))


@page("/echo")
async def echo(scope, receive, send):
    await answer(send, await whole(receive))


@page("/echo-stream")
async def echo_stream(scope, receive, send):
    """Sends each piece back as it comes."""
    await start(send, 200, TEXT)
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        more = message.get("more_body", False)
        await piece(send, message.get("body", b""), more)


@page("/count")
async def count(scope, receive, send):
    size, largest, more = 0, 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return note("disconnected", str(size))
        size, largest = size + len(message["body"]), max(largest, len(message["body"]))
        more = message["more_body"]
    await answer(send, f"{size} {largest}")


@page("/unread")
async def unread(scope, receive, send):
    """Reads the body only when told to."""
    await go(query(scope))
    await count(scope, receive, send)


@page("/enter")
async def enter(scope, receive, send):
    """Notes that it was called, and what came of the body."""
    note("entered", scope["path"])
    body = await whole(receive)
    note("left", "disconnected" if body is None else f"body of {len(body)}")
    if body is not None:
        await answer(send, body)


@page("/impatient")
async def impatient(scope, receive, send):
    """Gives up waiting for a message again and again."""
    body, more = b"", True
    while more:
        try:
            message = await asyncio.wait_for(receive(), 0.02)
        except asyncio.TimeoutError:
            note("impatient")
            continue
        body, more = body + message["body"], message["more_body"]
    await answer(send, body)


@page("/together")
async def together(scope, receive, send):
    """Asks twice at once; the body is in one message, or in both."""
    first, second = [asyncio.ensure_future(receive()) for _ in range(2)]
    done, _ = await asyncio.wait([first, second], return_when=asyncio.FIRST_COMPLETED)
    body = b"".join(task.result()["body"] for task in (first, second) if task in done)
    while len(body) < 6:
        await asyncio.sleep(0.01)
        body = b"".join(task.result()["body"] for task in (first, second) if task.done())
    await answer(send, body)
    for task in (first, second):
        assert (await task)["type"] in ("http.request", "http.disconnect")


@page("/after")
async def after(scope, receive, send):
    """What receive() gives when the response is complete."""
    await whole(receive)
    await answer(send, "complete")
    note(query(scope), repr([await receive(), await receive()]))


@page("/late")
async def late(scope, receive, send):
    """Works on when its response is complete."""
    await answer(send, "complete")
    await go(query(scope))
    note(f"{query(scope)}-done")


@page("/status")
async def status(scope, receive, send):
    """The status in the path, with a body or, if the query says so, a length too."""
    code = int(scope["path"].rsplit("/", 1)[1])
    await start(send, code, [(b"x-kept", b"yes"), *(of_length(28) if query(scope) == "length" else [])])
    await piece(send, b"a body that must not be sent" if query(scope) else b"", False)


@page("/headers")
async def headers(scope, receive, send):
    await answer(send, "", 200, [(b"Set-Cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"x-latin", b"caf\xe9"), (b"x-empty", b"")])


@page("/own-headers")
async def own_headers(scope, receive, send):
    await answer(send, "x", 200, [(b"server", b"mine"), (b"date", b"never")])


HEADERS = {
    "lists": lambda pairs: [list(pair) for pair in pairs],
    "tuple": tuple,
    "generator": lambda pairs: (pair for pair in pairs),
    "items": lambda pairs: dict(pairs).items(),
}


@page("/iterable")
async def iterable(scope, receive, send):
    await start(send, 200, HEADERS[query(scope)]([(b"x-a", b"1"), (b"x-b", b"2")]))
    await piece(send, b"fine", False)


@page("/defaults")
async def defaults(scope, receive, send):
    """Leaves out every key that has a default."""
    await send({"type": "http.response.start", "status": 200})
    if query(scope):
        await send({"type": "http.response.body", "more_body": True})
    await send({"type": "http.response.body"})


def in_pieces(headers, bodies):
    """A page that sends these pieces, the last of which is the end."""
    async def several(scope, receive, send):
        await start(send, 200, headers)
        for number, body in enumerate(bodies, 1):
            await piece(send, body, number < len(bodies))

    return several


PAGES |= {
    "/pieces": in_pieces(TEXT, [b"one ", b"", b"two ", b"three"]),
    "/exact": in_pieces(of_length(8), [b"one ", b"two "]),
    "/chunked": in_pieces([(b"transfer-encoding", b"chunked")], [b"one ", b"two"]),
    # Bytes in another guise.
    "/buffers": in_pieces(TEXT, [bytearray(b"one "), memoryview(b"two "), memoryview(bytearray(b"xthreey"))[1:6], b""]),
    # Lengths that are wrong.
    "/too-long": in_pieces(of_length(5), [b"12345 and more than it said"]),
    "/too-long-pieces": in_pieces(of_length(5), [b"123", b"45 and more than it said"]),
    "/too-short": in_pieces(of_length(10), [b"12345"]),
    "/too-short-pieces": in_pieces(of_length(10), [b"123", b"45"]),
}


@page("/paced")
async def paced(scope, receive, send):
    """A head, a first piece and a last one that each exist only once the test has seen what was before."""
    await start(send, 200, TEXT)
    await piece(send, b"first\n")
    await go(f"{query(scope)}1")
    await piece(send, b"second\n")
    await go(f"{query(scope)}2")
    await piece(send)
    await piece(send, b"", False)


@page("/head-alone")
async def head_alone(scope, receive, send):
    """A head, and an empty piece that says that more will come: the client may want to see the head at once."""
    await start(send, 200, TEXT)
    await piece(send)
    await go(query(scope))
    await piece(send, b"late", False)


@page("/crumbs")
async def crumbs(scope, receive, send):
    """Very many small pieces."""
    await start(send, 200, TEXT)
    for _ in range(int(query(scope))):
        await piece(send, b"crumb\n")
    await piece(send, b"", False)


@page("/tasks")
async def tasks(scope, receive, send):
    """How many tasks there are beside this one."""
    await answer(send, str(len(asyncio.all_tasks()) - 1))


@page("/stream")
async def stream(scope, receive, send):
    """A body of so many pieces of 64 KiB, with its length."""
    number = int(query(scope))
    await start(send, 200, of_length(number * 65536))
    for left in range(number, 0, -1):
        await piece(send, b"y" * 65536, left > 1)


@page("/big")
async def big(scope, receive, send):
    await answer(send, b"z" * int(query(scope)))


@page("/endless")
async def endless(scope, receive, send):
    """Pieces without end; notes how many were taken, and that it was left."""
    number = 0
    await start(send, 200, TEXT)
    try:
        while True:
            await piece(send, b"x" * 65536)
            number += 1
            Path("produced").write_text(str(number))
    except OSError:
        note("closed", "OSError")
        raise
    except asyncio.CancelledError:
        note("closed", "CancelledError")
        raise


# What an app must not do. Each wrong step is a list of messages to send, the last of which must raise.

STARTED = {"type": "http.response.start", "status": 200}
ENDED = {"type": "http.response.body", "body": b"end"}

WRONG = {
    "no-message": [None],
    "no-type": [{"status": 200}],
    "unknown-type": [{"type": "http.response.nothing"}],
    "websocket-type": [{"type": "websocket.accept"}],
    "body-first": [{"type": "http.response.body", "body": b"x"}],
    "no-status": [{"type": "http.response.start"}],
    "status-text": [{"type": "http.response.start", "status": "200"}],
    "status-none": [{"type": "http.response.start", "status": None}],
    "status-99": [{"type": "http.response.start", "status": 99}],
    "status-1000": [{"type": "http.response.start", "status": 1000}],
    "headers-number": [{**STARTED, "headers": 5}],
    "headers-text": [{**STARTED, "headers": [("x-a", "b")]}],
    "headers-text-value": [{**STARTED, "headers": [(b"x-a", "b")]}],
    "headers-triple": [{**STARTED, "headers": [(b"x-a", b"b", b"c")]}],
    "headers-flat": [{**STARTED, "headers": [b"x-a", b"b"]}],
    "headers-name": [{**STARTED, "headers": [(b"x a", b"b")]}],
    "headers-no-name": [{**STARTED, "headers": [(b"", b"b")]}],
    "headers-split": [{**STARTED, "headers": [(b"x-a", b"a\r\nx-b: b")]}],
    "headers-length": [{**STARTED, "headers": [(b"content-length", b"many")]}],
    "headers-lengths": [{**STARTED, "headers": [(b"content-length", b"1"), (b"content-length", b"2")]}],
    "start-twice": [STARTED, STARTED],
    "body-text": [STARTED, {"type": "http.response.body", "body": "text"}],
    "body-number": [STARTED, {"type": "http.response.body", "body": 5}],
    "unknown-second": [STARTED, {"type": "http.response.nothing"}],
    "start-after-piece": [STARTED, {**ENDED, "more_body": True}, STARTED],
    "start-after-end": [STARTED, ENDED, STARTED],
    "body-after-end": [STARTED, ENDED, ENDED],
}


@page("/wrong")
async def wrong(scope, receive, send):
    """Does a wrong thing, and notes what it got for it. What was begun it ends well."""
    name = scope["path"].rsplit("/", 1)[1]
    *before, last = WRONG[name]
    for message in before:
        await send(message)
    try:
        await send(last)
    except Exception as error:
        note(f"wrong-{name}", f"{type(error).__name__}: {error}")
    else:
        note(f"wrong-{name}", "nothing")
    if not before:
        await answer(send, "well")
    elif ENDED not in before:
        await piece(send, b"well", False)


@page("/uncaught")
async def uncaught(scope, receive, send):
    """Does a wrong thing, and does not catch what it gets for it."""
    for message in WRONG[scope["path"].rsplit("/", 1)[1]]:
        await send(message)


@page("/raise")
async def raise_early(scope, receive, send):
    raise LookupError("raised before the response")


@page("/raise-started")
async def raise_started(scope, receive, send):
    await start(send, 200, of_length(5))
    raise LookupError("raised between the head and the body")


@page("/raise-late")
async def raise_late(scope, receive, send):
    await start(send, 200, TEXT)
    await piece(send, b"first")
    raise LookupError("raised within the body")


@page("/raise-after")
async def raise_after(scope, receive, send):
    await answer(send, "complete")
    raise LookupError("raised after the response")


@page("/raise-base")
async def raise_base(scope, receive, send):
    await asyncio.sleep(0)
    raise BaseException("raised as a BaseException")


@page("/cancelled")
async def cancelled(scope, receive, send):
    raise asyncio.CancelledError


@page("/no-answer")
async def no_answer(scope, receive, send):
    await asyncio.sleep(0)


@page("/no-body")
async def no_body(scope, receive, send):
    await start(send, 200, of_length(5))


@page("/no-end")
async def no_end(scope, receive, send):
    await start(send, 200, TEXT)
    await piece(send, b"first")


# Extensions, each only where the server offers it.


@page("/trailers")
async def trailers(scope, receive, send):
    offered = "http.response.trailers" in scope.get("extensions", {})
    await send({"type": "http.response.start", "status": 200, "headers": [(b"trailer", b"x-sum")], "trailers": offered})
    await piece(send, b"summed")
    await piece(send, b"", False)
    if offered:
        await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"42")], "more_trailers": False})


@page("/hints")
async def hints(scope, receive, send):
    """Hints, and an answer that exists only once the test has seen them."""
    if "http.response.early_hint" in scope.get("extensions", {}):
        await send({"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload", b"</b.js>"]})
    await go(query(scope))
    await answer(send, "hinted")


# A client that leaves.


@page("/wait")
async def wait(scope, receive, send):
    """Waits in receive() until the client leaves."""
    name = query(scope)
    note(f"{name}-entered")
    await whole(receive)
    note(f"{name}-left", repr([await receive(), await receive()]))


@page("/sleep")
async def sleep(scope, receive, send):
    """Sleeps, and notes whether it was woken by a cancellation."""
    name, _, seconds = query(scope).partition("=")
    note(f"{name}-entered")
    try:
        await asyncio.sleep(float(seconds))
    except asyncio.CancelledError:
        note(f"{name}-cancelled")
        raise
    note(f"{name}-slept")
    await answer(send, "slept")


@page("/block")
async def block(scope, receive, send):
    note("blocking")
    time.sleep(float(query(scope)))
    await answer(send, "blocked")


@page("/send-on")
async def send_on(scope, receive, send):
    """Waits until the client has left, and sends all the same."""
    name = query(scope)
    note(f"{name}-entered")
    while (await receive())["type"] != "http.disconnect":
        pass
    try:
        await start(send, 200, TEXT)
        await piece(send, b"for nobody", False)
    except OSError as error:
        note(f"{name}-sent", type(error).__name__)
    else:
        note(f"{name}-sent", "nothing")


@page("/events")
async def events(scope, receive, send):
    """Server-sent events without end, beside a task that waits for the client to leave, as frameworks have it."""
    name = query(scope)
    await start(send, 200, [(b"content-type", b"text/event-stream")])

    async def produce():
        try:
            number = 0
            while True:
                number += 1
                await piece(send, b"data: %d\n\n" % number)
                await asyncio.sleep(0.02)
        finally:
            note(f"{name}-cleaned")

    producer = asyncio.ensure_future(produce())
    while (await receive())["type"] != "http.disconnect":
        pass
    note(f"{name}-left")
    producer.cancel()
    await asyncio.wait([producer])


def double(scope):
    """The same as a double callable (ASGI 2.0)."""
    async def instance(receive, send):
        await app(scope, receive, send)

    return instance


class Site:
    """An app that is an object, and one that a class makes of each scope."""

    async def __call__(self, scope, receive, send):
        await app(scope, receive, send)


class Instance:
    def __init__(self, scope):
        self._scope = scope

    async def __call__(self, receive, send):
        await app(self._scope, receive, send)


site = Site()


def make(name="default"):
    """A factory."""
    async def made(scope, receive, send):
        if scope["type"] == "http" and scope["path"] == "/name":
            return await answer(send, name)
        await app(scope, receive, send)

    return made
