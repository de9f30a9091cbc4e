#!/usr/bin/env python3
"""What eight workers of a Django app take up in memory, each with a process of its own or forked from one (`--preload`).

    benches/preload.py [--workers 8] [--requests 1000] [--servers ferricorn,gunicorn] [--wheel X.whl]

Every worker answers so many requests first, each on a connection of its own, since what it writes to is shared no more.
Memory is the sum of the proportional set sizes (PSS) of the whole tree of processes: a page that is shared counts once.
"""

import argparse
import collections
import contextlib
import socket
import threading
import time

from rig import processes
from rig.options import parse, ready, wsgi
from rig.servers import Fault, running

NAMES = ["ferricorn", "sync"]
HEAD = "| server | workers | requests of each, least–most | all PSS MiB |\n| --- | ---: | ---: | ---: |"
CLIENTS = 16
PATIENCE = 180


def main():
    options = arguments()
    server_core = ready(options)
    print(HEAD)
    for plain in options.servers:
        for server in (plain, plain.with_preload()):
            figures = row(server.with_workers(options.workers), options, server_core)
            print(f"| {server.title} | {options.workers} | {figures} |", flush=True)


def arguments():
    parser = argparse.ArgumentParser(description="Measures the memory of workers that are forked from one process.")
    parser.add_argument("--workers", type=int, default=8, help="how many (default 8)")
    parser.add_argument("--requests", type=int, default=1000, help="of each worker (default 1000)")
    return parse(parser, wsgi(NAMES))


def row(server, options, core):
    try:
        with running(server, "django_app:application", core) as live:
            tally = ask_all(live.port, options.workers, options.requests)
            memory, _ = processes.memory_kib(live.pid)
    except Fault as fault:
        return " ".join(str(fault).split())[:200] + " |"
    return f"{min(tally.values()):,}–{max(tally.values()):,} | {memory / 1024:.1f}"


def ask_all(port, workers, requests):
    """Asks until each worker has answered so many requests; gives how many each has."""
    tally, end = collections.Counter(), time.monotonic() + PATIENCE

    def done():
        return len(tally) == workers and min(tally.values()) >= requests

    def client():
        while not done() and time.monotonic() < end:
            with contextlib.suppress(OSError):
                tally[ask(port)] += 1

    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if not done():
        raise Fault(f"after {PATIENCE} s the workers have answered {sorted(tally.values())} requests")
    return tally


def ask(port):
    """The pid of the process that answered."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(b"GET /pid HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        answer = b""
        while piece := client.recv(4096):
            answer += piece
    return int(answer.rpartition(b"\r\n\r\n")[2])


if __name__ == "__main__":
    main()
