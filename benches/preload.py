#!/usr/bin/env python3
"""What eight workers of a Django app take up in memory, each with a process of its own or forked from one (`--preload`).

    benches/preload.py [--workers 8] [--requests 1000] [--app view|project] [--servers ferricorn,gunicorn] [--wheel X.whl]

`view` is one view of Django's that answers a number (benches/apps/django_app.py); `project` is the list of examples/django, with
its admin, sessions and forms, a template and a query to SQLite.

Every worker answers so many requests first, each on a connection of its own, since what it writes to is shared no more.
Memory is the sum of the proportional set sizes (PSS) of the whole tree of processes: a page that is shared counts once.
"""

import argparse
import collections
import os
import re
import socket
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass

from rig import processes
from rig.options import parse, ready, wsgi
from rig.servers import BIN, ROOT, Fault, running

NAMES = ["ferricorn", "sync"]
HEAD = "| app | server | workers | requests of each, least–most | all PSS MiB |\n| --- | --- | ---: | ---: | ---: |"
CLIENTS = 16
PATIENCE = 180


@dataclass(frozen=True)
class App:
    """What is served, what is asked for, and where the answer tells the process."""

    name: str
    path: str
    pid: bytes


APPS = {
    "view": App("django_app:application", "/pid", rb"\r\n\r\n([0-9]+)$"),
    "project": App("django_site:application", "/", rb"(?i)\r\nx-pid: ([0-9]+)"),
}


def main():
    options = arguments()
    server_core = ready(options)
    print(HEAD)
    with tempfile.TemporaryDirectory() as data:
        environment = {"MYSITE_DATA": data}
        migrate(environment)
        for name in options.app or APPS:
            for plain in options.servers:
                for server in (plain, plain.with_preload()):
                    figures = row(server.with_workers(options.workers), APPS[name], environment, options, server_core)
                    print(f"| {name} | {server.title} | {options.workers} | {figures} |", flush=True)


def migrate(environment):
    """Makes the database of the project."""
    project = ROOT / "examples" / "django"
    done = subprocess.run([BIN / "python", "manage.py", "migrate"], cwd=project, env={**os.environ, **environment},
                          stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"manage.py migrate failed:\n{done.stderr[-3000:]}")


def arguments():
    parser = argparse.ArgumentParser(description="Measures the memory of workers that are forked from one process.")
    parser.add_argument("--workers", type=int, default=8, help="how many (default 8)")
    parser.add_argument("--requests", type=int, default=1000, help="of each worker (default 1000)")
    parser.add_argument("--app", choices=list(APPS), action="append", help="what is served (default both)")
    return parse(parser, wsgi(NAMES))


def row(server, app, environment, options, core):
    try:
        with running(server, app.name, core, extra=environment) as live:
            tally = ask_all(live.port, app, options.workers, options.requests)
            memory, _ = processes.memory_kib(live.pid)
    except Fault as fault:
        return " ".join(str(fault).split())[:200] + " |"
    return f"{min(tally.values()):,}–{max(tally.values()):,} | {memory / 1024:.1f}"


def ask_all(port, app, workers, requests):
    """Asks until each worker has answered so many requests; gives how many each has."""
    tally, faults, end = collections.Counter(), [], time.monotonic() + PATIENCE

    def done():
        return faults or len(tally) == workers and min(tally.values()) >= requests

    def client():
        while not done() and time.monotonic() < end:
            try:
                tally[ask(port, app)] += 1
            except OSError:
                continue
            except Fault as fault:
                faults.append(fault)

    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]
    if not done():
        raise Fault(f"after {PATIENCE} s the workers have answered {sorted(tally.values())} requests")
    return tally


def ask(port, app):
    """The pid of the process that answered."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(f"GET {app.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while piece := client.recv(65536):
            answer += piece
    if not (pid := re.search(app.pid, answer)):
        raise Fault(f"{app.path} answers {answer[:200]!r}")
    return int(pid[1])


if __name__ == "__main__":
    main()
