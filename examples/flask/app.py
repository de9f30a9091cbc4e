"""A Flask app with a page, a parameter, an upload and a stream, to try the server with."""

import hashlib
import time

from flask import Flask, Response, request, stream_with_context

app = Flask(__name__)

PAGE = """<!doctype html>
<title>Flask on ferricorn</title>
<h1>It works</h1>
<p>Served by {software}.</p>
<ul>
<li><a href="/hello/Ada">/hello/Ada</a>
<li><a href="/stream">/stream</a>, a line each half second
</ul>
<form method="post" action="/upload" enctype="multipart/form-data">
<input type="file" name="file"> <button>Upload</button>
</form>
"""


@app.get("/")
def index():
    return PAGE.format(software=request.environ["SERVER_SOFTWARE"])


@app.get("/hello/<name>")
def hello(name):
    return {"hello": name}


@app.post("/upload")
def upload():
    """Takes a form's file, or the raw body, and answers with its size and checksum."""
    source = request.files["file"].stream if request.mimetype == "multipart/form-data" else request.stream
    size, checksum = 0, hashlib.sha256()
    while piece := source.read(65536):
        size += len(piece)
        checksum.update(piece)
    return {"bytes": size, "sha256": checksum.hexdigest()}


@app.get("/stream")
def stream():
    def lines():
        for number in range(1, 6):
            yield f"line {number}\n"
            time.sleep(0.5)

    return Response(stream_with_context(lines()), mimetype="text/plain")
