"""Litestar: typed handlers in the loop and in threads, validation, uploads and streams."""

import threading
from dataclasses import dataclass
from typing import Annotated

from litestar import Litestar, get, post
from litestar.datastructures import UploadFile
from litestar.enums import RequestEncodingType
from litestar.params import Body
from litestar.response import ServerSentEvent, Stream


@dataclass
class Item:
    name: str
    price: float


@get("/", sync_to_thread=False)
def home() -> dict[str, str]:
    return {"hello": "world"}


@get("/blocking", sync_to_thread=True)
def blocking() -> dict[str, bool]:
    return {"thread": threading.current_thread() is not threading.main_thread()}


@post("/items/{number:int}")
async def create(number: int, data: Item) -> dict[str, object]:
    return {"number": number, "name": data.name, "price": data.price}


@post("/upload")
async def upload(data: Annotated[UploadFile, Body(media_type=RequestEncodingType.MULTI_PART)]) -> dict[str, int]:
    return {"bytes": len(await data.read())}


@get("/stream")
async def stream() -> Stream:
    async def lines():
        for number in range(3):
            yield f"line {number}\n"

    return Stream(lines(), media_type="text/plain")


@get("/events", sync_to_thread=False)
def events() -> ServerSentEvent:
    async def produce():
        for number in range(3):
            yield str(number)

    return ServerSentEvent(produce())


@get("/fail", sync_to_thread=False)
def fail() -> None:
    raise LookupError("as asked for")


app = Litestar([home, blocking, create, upload, stream, events, fail])
