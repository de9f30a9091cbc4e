"""A FastAPI app with a page, a validated JSON endpoint, server-sent events and a WebSocket, to try the server with.

    pip install fastapi
    ferricorn -w 2 app:app          # in this folder; then open http://127.0.0.1:8000
"""

import asyncio
from contextlib import asynccontextmanager

from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from fastapi.responses import HTMLResponse, StreamingResponse
from pydantic import BaseModel, Field


@asynccontextmanager
async def lifespan(app):
    """Runs once in each worker: what opens before the first request, and closes after the last one."""
    app.state.orders = asyncio.Queue()
    yield
    app.state.orders = None


app = FastAPI(lifespan=lifespan)

PAGE = """<!doctype html>
<title>FastAPI on ferricorn</title>
<h1>It works</h1>
<ul>
<li><a href="docs">docs</a>, where <code>POST /orders</code> can be tried
<li><a href="clock">clock</a>, an event each half second
</ul>
<form><input name="text" value="hello"> <button>Send over the WebSocket</button></form>
<pre></pre>
<script>
const socket = new WebSocket(new URL("echo", location.href.replace(/^http/, "ws")));
const show = (text) => document.querySelector("pre").append(text + "\\n");
socket.onopen = () => show("connected");
socket.onmessage = (event) => show(event.data);
socket.onclose = (event) => show("closed with " + event.code);
document.querySelector("form").onsubmit = (event) => {
    event.preventDefault();
    socket.send(event.target.text.value);
};
</script>
"""


class Order(BaseModel):
    item: str = Field(min_length=1, max_length=40)
    count: int = Field(ge=1, le=100)


@app.get("/", response_class=HTMLResponse)
async def index():
    return PAGE


@app.post("/orders", status_code=201)
async def order(wanted: Order):
    """A body that does not fit is answered with 422 and the reason."""
    await app.state.orders.put(wanted)
    return {"item": wanted.item, "count": wanted.count, "waiting": app.state.orders.qsize()}


@app.get("/clock")
async def clock(ticks: int = 10):
    async def events():
        for number in range(1, ticks + 1):
            yield f"id: {number}\ndata: tick {number}\n\n"
            await asyncio.sleep(0.5)

    return StreamingResponse(events(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})


@app.websocket("/echo")
async def echo(socket: WebSocket):
    await socket.accept()
    try:
        while True:
            await socket.send_text(f"you said: {await socket.receive_text()}")
    except WebSocketDisconnect:
        pass
