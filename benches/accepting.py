#!/usr/bin/env python3
"""How several workers share new connections: context switches and processor time for each, and the spread.

    benches/accepting.py [--workers 4,8] [--seconds 3] [--servers ferricorn,gthread,granian] [--wheel X.whl]

Every request comes on a connection of its own. One client that asks again and again finds all workers asleep; many
find them at work; with calls of 10 ms a client that is left with a busy worker waits for nothing. Context switches are
those of all threads of the workers. The spread is the share of the worker that served most, and of the one that served
least; if all serve the same it is 1 over their number. All workers are on one core, and the clients on another.
"""

import argparse
import collections
import contextlib
import os
import socket
import statistics
import threading
import time

from rig import processes
from rig.options import parse, ready, wsgi
from rig.servers import Fault, running

NAMES = ["ferricorn", "sync", "gthread", "granian"]
ROUNDS = {"one client": ("/", 1), "sixteen clients": ("/", 16), "eight clients, calls of 10 ms": ("/wait", 8)}
HEAD = "| server | workers | load | connections/s | switches each | CPU µs each | p50 ms | p99 ms | spread |\n"
HEAD += "| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |"


def main():
    options = arguments()
    server_core = ready(options)
    print(HEAD)
    for workers in options.workers:
        for server in [server.with_workers(workers) for server in options.servers]:
            for title, (path, clients) in ROUNDS.items():
                figures = measure(server, workers, path, clients, options.seconds, server_core)
                print(f"| {server.title} | {workers} | {title} | {figures} |", flush=True)


def arguments():
    parser = argparse.ArgumentParser(description="Measures how workers share new connections.")
    numbers = lambda text: [int(word) for word in text.split(",")]  # noqa: E731
    parser.add_argument("--workers", type=numbers, default=[4, 8], metavar="N,M", help="how many (default 4,8)")
    parser.add_argument("--seconds", type=int, default=3, help="length of a measurement (default 3)")
    return parse(parser, wsgi(NAMES))


def measure(server, workers, path, clients, seconds, core):
    try:
        with running(server, "raw:who", core) as live:
            served = await_all(live.port, workers)
            load(live.port, path, clients, 0.5)
            switches, spent = switched(served), processes.cpu_us(live.pid)
            times, tally = load(live.port, path, clients, seconds)
            spent = processes.cpu_us(live.pid) - spent
            switches = switched(served) - switches
    except Fault as fault:
        return " ".join(str(fault).split())[:100] + " |" * 5
    count = len(times)
    most, least = max(tally.values()), min(tally.values()) if len(tally) == workers else 0
    median, worst = statistics.median(times) * 1000, statistics.quantiles(times, n=100)[98] * 1000
    return (
        f"{count / seconds:,.0f} | {switches / count:.2f} | {spent / count:.0f} | {median:.2f} | {worst:.2f} | "
        f"{most / count:.2f}–{least / count:.2f}"
    )


def await_all(port, workers, patience=20):
    """The pids of the workers, once each has answered; those who never do are not counted."""
    found, end = set(), time.monotonic() + patience
    while len(found) < workers and time.monotonic() < end:
        _, tally = load(port, "/wait", workers, 0.1)
        found.update(tally)
    return found


def load(port, path, clients, seconds):
    """So many clients that ask one after the other: the time of each request, and how many each process served."""
    times, tally, end = [], collections.Counter(), time.monotonic() + seconds

    def client():
        while (start := time.monotonic()) < end:
            pid = ask(port, path)
            times.append(time.monotonic() - start)
            tally[pid] += 1

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times, tally


def ask(port, path):
    """The pid of the process that answered, on a connection of its own."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while piece := client.recv(4096):
            answer += piece
    return int(answer.rpartition(b"\r\n\r\n")[2])


def switched(pids):
    """Context switches of all threads of these processes, so far."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for thread in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{thread}/status") as file:
                    total += sum(int(line.split()[1]) for line in file if "ctxt_switches" in line)
    return total


if __name__ == "__main__":
    main()
