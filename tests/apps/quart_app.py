"""Quart: pages, forms, uploads, streams and background tasks."""

from quart import Quart, jsonify, request

app = Quart(__name__)


@app.before_serving
async def begin():
    app.started = True


@app.after_serving
async def end():
    with open("ended", "w") as file:
        file.write("ended\n")


@app.get("/")
async def home():
    return {"started": app.started, "path": request.path, "remote": request.remote_addr}


@app.post("/form")
async def form():
    return jsonify(dict(await request.form))


@app.post("/upload")
async def upload():
    files = await request.files
    return {name: len(file.read()) for name, file in files.items()}


@app.post("/count")
async def count():
    size = 0
    async for piece in request.body:
        size += len(piece)
    return str(size)


@app.get("/stream")
async def stream():
    async def lines():
        for number in range(3):
            yield f"line {number}\n".encode()

    return lines(), 200, {"Content-Type": "text/plain"}


@app.get("/background")
async def background():
    async def later():
        with open("later", "w") as file:
            file.write("done\n")

    app.add_background_task(later)
    return "at once"


@app.get("/fail")
async def fail():
    raise LookupError("as asked for")
