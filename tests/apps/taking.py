"""Apps that take their client's connection over by `gunicorn.socket`: literally, with Flask-Sock, with Flask-SocketIO."""

import json
import os
import select
import socket
import struct
import threading

from flask import Flask, request
from flask_sock import Sock
from flask_socketio import SocketIO

from noting import note


def app(environ, start_response):
    page = globals().get("page_" + environ["PATH_INFO"].strip("/"), page_)
    return page(environ["gunicorn.socket"], environ, start_response)


def answer(start_response, text):
    body = text.encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def page_(sock, environ, start_response):
    return answer(start_response, "plain")


def page_echo(sock, environ, start_response):
    """Says a word, then back what it hears, until the client ends."""
    sock.sendall(b"hello ")
    while data := sock.recv(1000):
        sock.sendall(data)
    note("ended", environ["PATH_INFO"])
    raise StopIteration


def page_look(sock, environ, start_response):
    """Asks about the connection in every way that does not take it."""
    with socket.socket(fileno=os.dup(sock.fileno())) as second:
        seen = {
            "class": isinstance(sock, socket.socket), "family": sock.family.name, "type": socket.SocketKind(sock.type).name,
            "peer": sock.getpeername()[1] == second.getpeername()[1], "own": sock.getsockname() == second.getsockname(),
            "quiet": select.select([sock], [], [], 0)[0] == [], "error": sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR),
            "none": getattr(sock, "getpeercert", "none"), "timeout": sock.gettimeout(),
        }
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return answer(start_response, json.dumps(seen))


def page_answers(sock, environ, start_response):
    """Answers as usual, though it has taken the connection over."""
    sock.sendall(b"taken;")
    return answer(start_response, "dropped")


def page_file(sock, environ, start_response):
    """Closes the socket, of which a file is still used."""
    with sock.makefile("rw") as file:
        sock.sendall(b"hello ")
        sock.close()
        file.write(file.readline() * 2)
    return []


def page_closes(sock, environ, start_response):
    """Closes the socket, and goes on with something else until the test has seen that."""
    sock.sendall(b"closed")
    sock.close()
    assert sock.fileno() == -1
    while not os.path.exists("seen"):
        select.select([], [], [], 0.01)
    return []


def page_fails(sock, environ, start_response):
    sock.sendall(b"so far")
    raise ValueError("after the takeover")


def page_left(sock, environ, start_response):
    """Writes until the client has left."""
    sock.sendall(b"go")
    note("left", "x")
    while True:
        sock.sendall(bytes(100_000))


def page_waits(sock, environ, start_response):
    """Has a limit for its waits."""
    sock.settimeout(0.1)
    try:
        sock.recv(1)
    except TimeoutError:
        sock.sendall(b"too late")
    return []


KEPT = []


def page_keeps(sock, environ, start_response):
    KEPT.append(sock)
    return answer(start_response, "kept")


def page_given_up(sock, environ, start_response):
    """Has no patience to wait for the socket (gevent)."""
    import gevent

    try:
        # From here on the hub runs this greenlet, and throws before the server has its turn.
        gevent.sleep(0)
        gevent.get_hub().loop.run_callback(gevent.getcurrent().throw, LookupError)
        sock.send(b"never")
    except LookupError:
        if environ["QUERY_STRING"] == "again":
            sock.send(b"after all")
    return answer(start_response, "instead")


def page_aside(sock, environ, start_response):
    """Takes the connection over in a greenlet of its own, and waits for that (gevent)."""
    import gevent

    def take():
        try:
            sock.sendall(b"word;")
        except Exception as error:
            return f"{type(error).__name__}: {error}"

    told = gevent.joinall([gevent.spawn(take), gevent.spawn(take)])
    note("aside", str(sorted(str(one.value) for one in told)))
    sock.sendall(b"end")
    return []


def page_stale(sock, environ, start_response):
    """Goes on when its response is whole, and uses its socket when the connection has another request (gevent)."""
    import gevent

    start_response("200 OK", [("Content-Length", "5")])(b"whole")
    while not os.path.exists("next"):
        gevent.sleep(0.01)
    try:
        sock.sendall(b"never")
    except RuntimeError as error:
        note("stale", str(error))
    open("used", "w").close()
    return []


def page_next(sock, environ, start_response):
    """Waits until the request before has used its socket (gevent)."""
    import gevent

    open("next", "w").close()
    while not os.path.exists("used"):
        gevent.sleep(0.01)
    return answer(start_response, "plain")


def page_killed(sock, environ, start_response):
    """Has the connection, and is killed for it (gevent)."""
    import gevent

    sock.sendall(b"word")
    gevent.getcurrent().kill(block=False)
    try:
        sock.recv(1)
    finally:
        note("killed", "x")


def page_kept(sock, environ, start_response):
    """Uses the socket of another connection, which has ended or waits for a request."""
    told = []
    for use in [lambda: KEPT[-1].send(b"never"), lambda: KEPT[-1].fileno()]:
        try:
            use()
        except RuntimeError as error:
            told.append(str(error))
    return answer(start_response, "\n".join(told))


def page_peer(sock, environ, start_response):
    """Says who the client is, as a Unix socket knows it."""
    return answer(start_response, f"{sock.family.name} {struct.unpack('3i', sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))}")


def page_late(sock, environ, start_response):
    """Uses the socket when it cannot any more: from another thread, and when the response has begun."""
    told = []

    def use():
        try:
            sock.send(b"never")
        except Exception as error:
            told.append(type(error).__name__)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    write = start_response("200 OK", [("Content-Type", "text/plain"), ("Connection", "close")])
    write(b"begun ")
    use()
    return [" ".join(told).encode()]


flask = Flask(__name__)
flask.config["SOCK_SERVER_OPTIONS"] = {"ping_interval": 25}
sockets = Sock(flask)


@flask.get("/")
def index():
    return "plain"


@sockets.route("/echo")
def echo(ws):
    note("thread", threading.current_thread().name)
    while True:
        ws.send(ws.receive())


@sockets.route("/said")
def said(ws):
    """Says something and ends."""
    ws.send("one")
    ws.send(b"two")


@sockets.route("/ends")
def ends(ws):
    """Notes how the WebSocket ended."""
    try:
        ws.receive()
    finally:
        note("ended", type(ws.close_reason).__name__)


def socketio_app(mode):
    """A site with Flask-SocketIO."""
    site = Flask("socketio")
    io = SocketIO(site, async_mode=mode)

    @io.on("ask")
    def ask(word):
        io.emit("answer", word.upper(), to=request.sid)

    return site
