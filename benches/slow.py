#!/usr/bin/env python3
"""What crowds of slow clients cost a normal one, and the server: its time for an answer, and memory.

    benches/slow.py [--requests 100] [--patience 2] [--servers ferricorn,sync,gthread] [--wheel X.whl]

One worker. Each crowd alone, and then all at once: 200 half-sent heads, 200 silent connections, 100 bodies that come byte
by byte, and 30 clients that ask for 60 MiB and stop reading. A normal client then asks for a page, each time on a new
connection, and waits for it no longer than the patience. Memory is the growth of the proportional set size (PSS) of the
whole tree of processes.
"""

import argparse
import statistics
import sys
import time

from rig import processes
from rig.options import parse, ready, wsgi
from rig.servers import ROOT, get, running

sys.path.insert(0, str(ROOT / "tests"))
from harness.crowd import SIZES, Crowd  # noqa: E402  the tests' own crowd

NAMES = ["ferricorn", "sync", "gthread"]
HEAD = "| server | crowd | answered | median ms | slowest ms | MiB more |\n| --- | --- | ---: | ---: | ---: | ---: |"


def main():
    options = arguments()
    server_core = ready(options, pin=False)
    print(f"{options.requests} requests each, given up after {options.patience} s\n\n{HEAD}")
    for server in options.servers:
        for kind in ["nobody", *SIZES, "all of them"]:
            print(f"| {server.title} | {row(server, kind, server_core, options)} |", flush=True)


def arguments():
    parser = argparse.ArgumentParser(description="Measures what slow clients cost a normal one.")
    parser.add_argument("--requests", type=int, default=100, help="of the normal client (default 100)")
    parser.add_argument("--patience", type=float, default=2, help="seconds that it waits for an answer (default 2)")
    return parse(parser, wsgi(NAMES))


def row(server, kind, core, options):
    """A server of its own for each crowd, so that none suffers from the one before."""
    kinds = {"nobody": (), "all of them": tuple(SIZES)}.get(kind, (kind,))
    with running(server, "raw:slow", core) as live:
        for _ in range(50):
            get(live.port, "/")
        before, _ = processes.memory_kib(live.pid)
        if not kinds:
            times, after = ask(live.port, options), before
        else:
            with Crowd(("127.0.0.1", live.port), *kinds):
                # The crowd's arrival is over by then, and its stay begins.
                time.sleep(1)
                times = ask(live.port, options)
                after, _ = processes.memory_kib(live.pid)
    median = f"{statistics.median(times):.1f}" if times else "–"
    slowest = f"{max(times):.1f}" if times else "–"
    return f"{kind} | {len(times)} of {options.requests} | {median} | {slowest} | {(after - before) / 1024:.1f}"


def ask(port, options):
    """The milliseconds of each answer that came in time. After three in vain nobody asks again."""
    times, vain = [], 0
    for _ in range(options.requests):
        begin = time.monotonic()
        try:
            if not get(port, "/", options.patience).startswith(b"HTTP/1.1 200"):
                raise OSError("no 200")
            times.append((time.monotonic() - begin) * 1000)
        except OSError:
            vain += 1
            if vain == 3:
                break
    return times


if __name__ == "__main__":
    main()
