#!/usr/bin/env python3
"""What a thousand idle connections cost each server: memory for each, and processor time.

    benches/idle.py [--connections 1000] [--seconds 5] [--servers ferricorn,granian] [--wheel X.whl]
    benches/idle.py --websockets [--deflate]

Each connection asks for one page, or opens a WebSocket and has one message echoed, and then stays. With `--deflate` it
offers to compress messages, as browsers do; what a server makes of that is its default.
Memory is the growth of the proportional set size (PSS) of the whole tree of processes, so buffers in the kernel do not
count. gunicorn's sync worker, which keeps no connection, is left out.
"""

import argparse
import os
import resource
import selectors
import socket
import sys
import time

from rig import catalog, prepare, processes, websocket
from rig.servers import Fault, cores, get, running

HEAD = "| server | KiB per connection | CPU ms per second | still open |\n| --- | ---: | ---: | ---: |"


def main():
    options = arguments()
    enough = options.connections + 100
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < enough:
        if hard != resource.RLIM_INFINITY and hard < enough:
            raise SystemExit(f"the limit of open files is {hard}; it must be {enough}: see `ulimit -n`")
        resource.setrlimit(resource.RLIMIT_NOFILE, (enough, hard))
    server_core, own_core = cores()
    prepare.peers(options.python)
    prepare.tools()
    if any(server.name == "ferricorn" for server in options.servers):
        prepare.ferricorn(options.wheel)
    os.sched_setaffinity(0, {own_core})
    app, open_one, kind = "raw:hello", connect, "connections"
    if options.websockets:
        app, open_one, kind = "raw_asgi:echo", lambda port: converse(port, options.deflate), "WebSockets"
    print(f"{options.connections} {kind}, idle for {options.seconds} s\n\n{HEAD}")
    for server in options.servers:
        try:
            with running(server, app, server_core, patient=True) as live:
                each, busy, left = idle(live, open_one, options.connections, options.seconds)
            print(f"| {server.title} | {each:.1f} | {busy:.1f} | {left} |", flush=True)
        except (Fault, OSError) as fault:
            print(f"| {server.title} | – | – | {' '.join(str(fault).split())[:200]} |", flush=True)


def arguments():
    parser = argparse.ArgumentParser(description="Measures what idle connections cost.")
    parser.add_argument("--websockets", action="store_true", help="WebSockets of ASGI servers, instead of HTTP")
    parser.add_argument("--deflate", action="store_true", help="offer permessage-deflate")
    parser.add_argument("--connections", type=int, default=1000, help="how many (default 1000)")
    parser.add_argument("--seconds", type=int, default=5, help="how long they idle (default 5)")
    parser.add_argument("--servers", type=lambda text: text.split(","), help="their names, separated by commas")
    parser.add_argument("--wheel", help="a wheel of ferricorn, instead of building one")
    parser.add_argument("--python", default=sys.executable, help="the interpreter that all servers use")
    options = parser.parse_args()
    if options.websockets:
        able = [server for server in catalog.ASGI if server.python]
    else:
        able = [server for server in catalog.WSGI if server.name != "sync"]
    options.servers = catalog.choose(able, options.servers, parser.error)
    return options


def idle(live, open_one, count, seconds):
    """KiB per connection, CPU in ms per second, and how many connections outlast the wait."""
    for _ in range(50):
        get(live.port, "/")
    # What is loaded for the first one only is no cost of each.
    open_one(live.port).close()
    settle(live.pid)
    before, _ = processes.memory_kib(live.pid)
    clients = [open_one(live.port) for _ in range(count)]
    settle(live.pid)
    after, _ = processes.memory_kib(live.pid)
    spent, start = processes.cpu_us(live.pid), time.monotonic()
    time.sleep(seconds)
    busy = (processes.cpu_us(live.pid) - spent) / 1000 / (time.monotonic() - start)
    left = still_open(clients)
    for client in clients:
        client.close()
    return (after - before) / count, busy, left


def connect(port):
    """A connection that has had one answer."""
    client = socket.create_connection(("127.0.0.1", port), timeout=5)
    client.sendall(f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
    answer = b""
    while not answer.endswith(b"Hello, world!"):
        piece = client.recv(65536)
        if not piece:
            raise Fault(f"a connection was closed after {answer!r}")
        answer += piece
    return client


def converse(port, deflate):
    """A WebSocket that has had one echo."""
    client = websocket.connect(port, deflate)
    websocket.say(client, b"still there?")
    if (answer := websocket.listen(client)) != b"still there?":
        raise Fault(f"a WebSocket echoed {answer!r}")
    return client


def settle(pid, patience=10):
    """Waits until the server rests: three seconds in a row without work that the kernel's clock ticks show."""
    end = time.monotonic() + patience
    before, calm = -1.0, 0
    while calm < 3 and time.monotonic() < end:
        time.sleep(1)
        now = processes.cpu_us(pid)
        calm, before = (calm + 1 if now == before else 0), now


def still_open(clients):
    """An idle connection has nothing to read; a closed one has its end."""
    with selectors.DefaultSelector() as selector:
        for client in clients:
            selector.register(client, selectors.EVENT_READ)
        return len(clients) - len(selector.select(timeout=0))


if __name__ == "__main__":
    main()
