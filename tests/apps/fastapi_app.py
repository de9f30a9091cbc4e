"""FastAPI: validation, dependencies, endpoints in the loop and in threads, streams and background tasks."""

import threading
from typing import Annotated

from fastapi import BackgroundTasks, Depends, FastAPI, File, Form, Header, HTTPException, UploadFile
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

app = FastAPI()


class Item(BaseModel):
    name: str = Field(min_length=1)
    price: float
    tags: list[str] = []


async def session():
    """A dependency that is cleaned up behind the response."""
    yield "session"
    with open("cleaned", "a") as file:
        file.write("cleaned\n")


def in_thread():
    return threading.current_thread() is not threading.main_thread()


@app.get("/")
async def home():
    return {"hello": "world", "thread": in_thread()}


@app.get("/blocking")
def blocking():
    return {"thread": in_thread()}


@app.post("/items/{number}")
async def create(number: int, item: Item, used: Annotated[str, Depends(session)], x_token: Annotated[str | None, Header()] = None):
    if item.price < 0:
        raise HTTPException(409, "too cheap")
    return {"number": number, "item": item, "session": used, "token": x_token}


@app.post("/upload")
async def upload(file: Annotated[UploadFile, File()], word: Annotated[str, Form()]):
    return {"bytes": len(await file.read()), "name": file.filename, "word": word}


@app.get("/stream")
async def stream():
    async def lines():
        for number in range(1000):
            yield f"{number}\n"

    return StreamingResponse(lines(), media_type="text/plain")


@app.get("/background")
async def background(tasks: BackgroundTasks):
    def later():
        with open("later", "a") as file:
            file.write("done\n")

    tasks.add_task(later)
    return {}


@app.get("/fail")
async def fail():
    raise LookupError("as asked for")
