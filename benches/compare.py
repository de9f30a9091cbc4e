#!/usr/bin/env python3
"""Compares Ferricorn with its peers: one worker on one core, the load on another, interleaved, medians.

    benches/compare.py                                  every round, in about half an hour
    benches/compare.py --only asgi                      one group: wsgi, asgi, threads, gevent or settings
    benches/compare.py --only hello,websocket --rounds 3 --servers ferricorn,uvicorn
    benches/compare.py --wheel dist/X.whl               with a wheel that is there already

It sets up what it needs under `target/` and prints tables of Markdown. The first figure of each is the processor
time per request: user and system time of the server's whole tree of processes, over the requests that wrk counts
as answered, or the messages that came back.
"""

import argparse
import contextlib
import os
import platform
import sys

from rig import catalog, load, prepare, report
from rig.rounds import ROUNDS
from rig.servers import Fault, cores, running

EVERY = [name for rounds in ROUNDS.values() for name in rounds]
VERSIONS = ["ferricorn", "granian", "gunicorn", "gevent", "fastpysgi", "uvicorn", "hypercorn", "uvloop", "httptools"]
VERSIONS += ["websockets", "flask", "django", "fastapi", "pydantic"]


def main():
    options = arguments()
    prepare.wrk()
    server_core, load_core = cores()
    prepare.peers(options.python)
    prepare.tools()
    ours = None
    if any(server.is_ours for able in catalog.SERVERS.values() for server in able if server.name in options.servers):
        ours = prepare.ferricorn(options.wheel)
    # This program reads /proc while wrk runs; it must not do so on the server's core.
    os.sched_setaffinity(0, {load_core})
    print(conditions(options, ours))
    for interface, rounds in ROUNDS.items():
        if chosen := [name for name in rounds if name in options.only]:
            print(f"\n## {interface}")
        servers = [server for server in catalog.SERVERS[interface] if server.name in options.servers]
        for name in chosen:
            task = rounds[name]
            samples, faults = take(task, name, servers, options, server_core, load_core)
            table = report.table(samples, report.COMPARED[interface], task)
            print(f"\n### {task.title}\n\n{table}\n\n{report.notes(samples, faults, name)}".rstrip(), flush=True)


def arguments():
    parser = argparse.ArgumentParser(description="Compares Ferricorn with other servers.")
    names = catalog.names(*ROUNDS)
    groups = {interface.lower(): list(rounds) for interface, rounds in ROUNDS.items()}
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each server (default 3)")
    parser.add_argument("--seconds", type=int, default=3, help="length of a measurement (default 3)")
    parser.add_argument(
        "--only", type=chosen_from(EVERY, groups), default=EVERY, metavar="A,B", help=", ".join([*groups, *EVERY])
    )
    parser.add_argument("--servers", type=chosen_from(names), default=names, metavar="A,B", help=", ".join(names))
    parser.add_argument("--wheel", help="a wheel of ferricorn, instead of building one")
    parser.add_argument("--python", default=sys.executable, help="the interpreter that all servers use")
    return parser.parse_args()


def chosen_from(known, groups=None):
    """A parser for a list of names; the name of a group stands for all of its members."""
    groups = groups or {}

    def parse(text):
        names = [name for word in text.split(",") for name in groups.get(word, [word])]
        if unknown := [name for name in names if name not in known]:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: choose from {', '.join([*groups, *known])}")
        return names

    return parse


def take(task, name, servers, options, server_core, load_core):
    """The samples of one round, and why a server has none. The servers take turns, so that a slow minute of the
    machine hits all of them; one that fails has no further turn."""
    servers = [server for server in servers if server.name not in task.without]
    servers = [server for server in servers if server.python or task.app.endswith(":hello")]
    samples, faults = {server: [] for server in servers}, {}
    for turn in range(options.rounds):
        for server in [server for server in servers if server not in faults]:
            print(f"# {name}, {turn + 1} of {options.rounds}: {server.title}", file=sys.stderr, flush=True)
            try:
                with contextlib.ExitStack() as stack:
                    extra = stack.enter_context(load.backend(load_core)) if task.backend else None
                    live = stack.enter_context(running(server, task.app, server_core, extra=extra))
                    samples[server].append(load.measure(live, task, options.seconds, load_core))
            except Fault as fault:
                print(f"# {fault}", file=sys.stderr, flush=True)
                faults[server] = str(fault)
    return {server: taken for server, taken in samples.items() if server not in faults}, faults


def conditions(options, ours):
    """Under what the figures were taken; `ours` tells which build of Ferricorn is measured."""
    with open("/proc/cpuinfo") as file:
        model = next((line.partition(":")[2].strip() for line in file if line.startswith("model name")), "?")
    known = prepare.versions()
    versions = ", ".join(f"{name} {known[name]}" for name in VERSIONS if name in known)
    return (
        f"{model}, Linux {platform.release()}; Python of {options.python}; {versions}.\n"
        f"{f'Ferricorn: {ours}. ' if ours else ''}"
        f"One worker on one core, the load with 1 thread on another; {options.rounds} rounds of {options.seconds} s "
        "after 1 s of warming up, servers taking turns; medians. Every ASGI server runs on uvloop."
    )


if __name__ == "__main__":
    main()
