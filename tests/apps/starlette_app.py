"""Starlette: pages, streams, events, uploads, background tasks and a lifespan."""

import asyncio
import contextlib
import hashlib
from pathlib import Path

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route


def note(name, text=""):
    with open(name, "a") as file:
        file.write(text + "\n")


async def go(name):
    while not Path(name).exists():
        await asyncio.sleep(0.01)


async def home(request):
    return PlainTextResponse("home")


async def hello(request):
    return JSONResponse({"name": request.path_params["name"], "state": request.state.greeting, "query": dict(request.query_params),
                         "url": str(request.url_for("hello", name="x"))})


def blocking(request):
    """Runs in a thread."""
    import threading

    return PlainTextResponse(str(threading.current_thread() is not threading.main_thread()))


async def upload(request):
    async with request.form() as form:
        file = form["file"]
        content = await file.read()
        return JSONResponse({"name": file.filename, "field": form.get("field"), "bytes": len(content),
                             "sha256": hashlib.sha256(content).hexdigest()})


async def digest(request):
    found, pieces = hashlib.sha256(), 0
    try:
        async for piece in request.stream():
            found.update(piece)
            pieces += bool(piece)
    except ClientDisconnect:
        note("cut")
        raise
    return JSONResponse({"sha256": found.hexdigest(), "pieces": pieces})


async def stream(request):
    async def lines():
        for number in range(3):
            yield f"line {number}\n"
            await go(f"{request.url.query}{number}")

    return StreamingResponse(lines(), media_type="text/plain")


async def events(request):
    name = request.url.query

    async def produce():
        number = 0
        try:
            while True:
                number += 1
                yield f"data: {number}\n\n"
                await asyncio.sleep(0.02)
        finally:
            note(f"{name}-cleaned")

    return StreamingResponse(produce(), media_type="text/event-stream")


def threaded(request):
    def lines():
        for number in range(3):
            yield f"line {number}\n"

    return StreamingResponse(lines(), media_type="text/plain")


async def background(request):
    name = request.url.query

    async def later():
        await go(name)
        note(f"{name}-done")

    return PlainTextResponse("at once", background=BackgroundTask(later))


async def file(request):
    path = Path("served")
    path.write_bytes(b"f" * 1_000_000)
    return FileResponse(path)


async def polled(request):
    note("polling")
    while not await request.is_disconnected():
        await asyncio.sleep(0.01)
    note("noticed")
    return Response()


async def fail(request):
    raise LookupError("as asked for")


class Marking(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        response = await call_next(request)
        response.headers["X-Marked"] = "yes"
        return response


@contextlib.asynccontextmanager
async def lifespan(app):
    yield {"greeting": "good day"}
    note("closed")


routes = [
    Route("/", home), Route("/hello/{name}", hello, name="hello"), Route("/blocking", blocking), Route("/upload", upload, methods=["POST"]),
    Route("/digest", digest, methods=["POST"]), Route("/stream", stream), Route("/events", events), Route("/threaded", threaded),
    Route("/background", background), Route("/file", file), Route("/polled", polled), Route("/fail", fail),
    Mount("/marked", routes=[Route("/", home), Route("/stream", stream), Route("/events", events)], middleware=[Middleware(Marking)]),
    Mount("/packed", routes=[Route("/file", file)], middleware=[Middleware(GZipMiddleware)]),
]

app = Starlette(routes=routes, lifespan=lifespan)
