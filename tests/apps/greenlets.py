"""An app for gevent's hub: each path waits in another way, or ends otherwise than by an answer."""

import os
import socket
import subprocess
import sys
import threading
import time

import gevent
import gevent.lock
import gevent.monkey
from gevent.event import Event

PATCHED = {name: gevent.monkey.is_module_patched(name) for name in ("socket", "threading", "time", "subprocess")}
"""As it was when this module was imported."""
GATE = Event()
LOCAL = threading.local()
LOCK = threading.Lock()
TICKS = []


def tick():
    while True:
        TICKS.append(time.monotonic())
        gevent.sleep(0.01)


TICKING = gevent.spawn(tick)


def note(name, text="x"):
    with open(f"{name}.part", "w") as file:
        file.write(text)
    os.rename(f"{name}.part", name)


def until_touched(name):
    while not os.path.exists(name):
        gevent.sleep(0.01)


def touched_peer(name):
    """A slow TCP peer: one that answers when a file is there. Gives its address."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        peer, _ = listener.accept()
        until_touched(name)
        peer.sendall(b"from the peer")
        peer.close()
        listener.close()

    gevent.spawn(serve)
    return listener.getsockname()


class Pieces:
    """Pieces, each when its file is there. Notes that it was closed, in a greenlet that may wait."""

    def __init__(self, names):
        self.names = names

    def __iter__(self):
        for name in self.names:
            until_touched(name)
            yield name.encode()

    def close(self):
        gevent.sleep(0)
        note("closed", type(gevent.getcurrent()).__name__)


def read_on(body):
    """Reads in a greenlet of the app's own, whose request ends meanwhile; and again."""
    for name in "first", "second":
        try:
            body.read()
        except OSError as error:
            note(name, str(error))


class LongClose(Pieces):
    """Pieces whose close() takes its time."""

    def close(self):
        until_touched("close")
        super().close()


def waits(path, environ):
    """Waits as the path says; gives the body."""
    match path:
        case "/gate":
            GATE.wait()
        case "/open":
            GATE.set()
        case "/lock":
            with LOCK:
                note("locked")
                until_touched("unlock")
        case "/peer":
            with socket.create_connection(touched_peer("speak")) as peer:
                return peer.recv(100)
        case "/sleep":
            time.sleep(float(environ["QUERY_STRING"]))
        case "/child":
            return subprocess.run([sys.executable, "-c", "print('child')"], capture_output=True).stdout
        case "/fork":
            if not (pid := os.fork()):
                gevent.sleep(0.05)  # The hub of the child, which must not serve.
                os._exit(7)
            return b"%d" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        case "/fork-returns":
            if not os.fork():
                return b"from the child"
        case "/local":
            before = getattr(LOCAL, "value", None)
            LOCAL.value = environ["QUERY_STRING"]
            until_touched("go")
            return f"{before} {LOCAL.value}".encode()
        case "/ticks":
            count = len(TICKS)
            gevent.sleep(0.05)
            return b"%d" % (len(TICKS) > count)
        case "/patched":
            return repr((PATCHED, threading.current_thread() is threading.main_thread())).encode()
        case "/exit":
            sys.exit(3)
        case "/exit-aside":
            gevent.spawn(sys.exit, 3).join()
        case "/kills-itself":
            gevent.kill(gevent.getcurrent())
            gevent.sleep(0)
        case "/gives-up":
            with gevent.Timeout(0.01):
                environ["wsgi.input"].read()
        case "/elsewhere":
            try:
                return gevent.get_hub().threadpool.apply(environ["wsgi.input"].read)
            except RuntimeError as error:
                return str(error).encode()
        case "/reads-on":
            gevent.spawn(read_on, environ["wsgi.input"])
            gevent.sleep(0)
        case "/reads-in-turns":
            read = []
            while not read or read[-1]:
                with gevent.Timeout(0.01, False):
                    read.append(environ["wsgi.input"].readline())
            return b"".join(read)
        case "/both-read":
            reader = gevent.spawn(environ["wsgi.input"].read)
            gevent.sleep(0)
            try:
                environ["wsgi.input"].read()
            except RuntimeError as error:
                return str(error).encode() + reader.get()
        case "/hangs":
            try:
                note("hangs")
                gevent.sleep(60)
            finally:
                note("ended", repr(sys.exc_info()[1]))
        case "/deaf":
            note("hangs")
            while True:
                try:
                    gevent.sleep(60)
                except BaseException:
                    pass
        case "/burns":
            while True:
                pass
    return b"fine"


def app(environ, start_response):
    path = environ["PATH_INFO"]
    note(f"entered{path.replace('/', '-')}")
    if path == "/echo":
        body = environ["wsgi.input"].read()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]
    if path == "/lines":
        start_response("200 OK", [])
        return (b"<%s>" % line for line in environ["wsgi.input"])
    if path == "/first-bytes":
        start_response("200 OK", [])
        return [environ["wsgi.input"].read(3)]
    if path == "/pieces":
        start_response("200 OK", [])
        return Pieces(environ["QUERY_STRING"].split(","))
    if path == "/long-close":
        start_response("200 OK", [])
        return LongClose(["one"])
    if path == "/endless":
        start_response("200 OK", [])

        def endless():
            try:
                while True:
                    yield b"x" * 65536
            finally:
                note("endless-ended")
        return endless()
    if path == "/write":
        write = start_response("200 OK", [])
        for name in environ["QUERY_STRING"].split(","):
            until_touched(name)
            write(name.encode())
        return [b"end"]
    if path == "/write-endless":
        write = start_response("200 OK", [])
        try:
            while True:
                write(b"x" * 65536)
        except OSError as error:
            note("write-ended", type(error).__name__)
            raise
    if path == "/write-by-two":
        write = start_response("200 OK", [])
        gevent.joinall([gevent.spawn(write, letter * 100_000) for letter in (b"a", b"b", b"c") * 5], raise_error=True)
        return [b"."]
    if path == "/write-interrupted":
        write = start_response("200 OK", [])
        # From here on the hub runs this greenlet, and throws before the server has its turn.
        gevent.sleep(0)
        gevent.get_hub().loop.run_callback(gevent.getcurrent().throw, LookupError)
        try:
            write(b"one,")
        except LookupError:
            pass
        return [b"two,"] if environ["QUERY_STRING"] == "list" else (piece for piece in [b"two,", b"three,"])
    if path == "/file-after-write":
        start_response("200 OK", [])(b"first\n")
        return environ["wsgi.file_wrapper"](open(__file__, "rb"))
    if path == "/raises-late":
        start_response("200 OK", [])

        def late():
            yield b"one"
            gevent.sleep(0.01)
            raise LookupError("too late")
        return late()
    body = waits(path, environ)
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
