#!/usr/bin/env python3
"""What a client that does not read costs each ASGI server, while the app sends it 60 MiB in pieces of 64 KiB.

    benches/unread.py [--clients 10] [--seconds 3] [--servers ferricorn,uvicorn] [--wheel X.whl]

The clients ask, over HTTP or over a WebSocket, and read nothing for that long. Memory is the growth of the proportional
set size (PSS) of the whole tree of processes at its highest, for each client; buffers in the kernel do not count. In
the end each client reads, and must get all of it.
"""

import argparse
import contextlib
import http.client
import time

from rig import catalog, processes, websocket
from rig.options import parse, ready
from rig.servers import Fault, get, running

PIECE, PIECES = b"x" * 65536, 960
HEAD = "| server | over | MiB per client | all of it read in the end |\n| --- | --- | ---: | --- |"


def main():
    options = arguments()
    server_core = ready(options)
    print(f"{options.clients} clients that read nothing for {options.seconds} s\n\n{HEAD}")
    for server in options.servers:
        for kind, reader in {"HTTP": OverHttp, "WebSocket": OverWebSocket}.items():
            print(f"| {server.title} | {kind} | {row(server, reader, server_core, options)} |", flush=True)


def arguments():
    parser = argparse.ArgumentParser(description="Measures what clients cost that do not read.")
    parser.add_argument("--clients", type=int, default=10, help="how many at a time (default 10)")
    parser.add_argument("--seconds", type=int, default=3, help="how long they read nothing (default 3)")
    return parse(parser, [server for server in catalog.ASGI if server.python])


def row(server, reader, core, options):
    """A server of its own for each row, so that none inherits memory."""
    try:
        with running(server, "raw_asgi:unread", core) as live, contextlib.ExitStack() as stack:
            for _ in range(50):
                get(live.port, "/")
            before, _ = processes.memory_kib(live.pid)
            clients = [stack.enter_context(contextlib.closing(reader(live.port))) for _ in range(options.clients)]
            growth, end = 0.0, time.monotonic() + options.seconds
            while time.monotonic() < end:
                time.sleep(0.1)
                growth = max(growth, processes.memory_kib(live.pid)[0] - before)
            verdict = "yes"
            try:
                for client in clients:
                    client.read_all()
            except (Fault, OSError, http.client.HTTPException) as fault:
                verdict = f"no: {type(fault).__name__} {fault}"
            return f"{growth / 1024 / options.clients:.2f} | {verdict}"
    except (Fault, OSError) as fault:
        return f"– | {' '.join(str(fault).split())[:200]}"


class OverHttp:
    """A request whose response waits to be read."""

    def __init__(self, port):
        self.client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self.client.request("GET", "/stream")

    def read_all(self):
        if self.client.getresponse().read() != PIECE * PIECES:
            raise Fault("the body is not right")

    def close(self):
        self.client.close()


class OverWebSocket:
    """A WebSocket whose messages wait to be read."""

    def __init__(self, port):
        self.client = websocket.connect(port, patience=30)
        websocket.say(self.client, b"go")

    def read_all(self):
        for _ in range(PIECES):
            if websocket.listen(self.client) != PIECE:
                raise Fault("a message is not right")

    def close(self):
        self.client.close()


if __name__ == "__main__":
    main()
