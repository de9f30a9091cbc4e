#!/usr/bin/env python3
"""Compares Ferricorn with its peers: one worker on one core, wrk on another, interleaved, medians.

    benches/compare.py                          every round, in about ten minutes
    benches/compare.py --only hello --rounds 3  one of them
    benches/compare.py --wheel dist/X.whl       with a wheel that is there already

It sets up what it needs under `target/` and prints tables of Markdown. The first figure of each is the processor
time per request: user and system time of the server's whole tree of processes, over the requests that wrk counts
as answered.
"""

import argparse
import os
import platform
import sys
from dataclasses import dataclass

from rig import load, prepare, report
from rig.servers import SERVERS, cores, running


@dataclass(frozen=True)
class Round:
    """Something to ask of every server."""

    title: str
    app: str
    path: str = "/"
    connections: int = 32
    upload: int = 0


ROUNDS = {
    "hello": Round("“Hello, world!”", "raw:hello"),
    "upload": Round("A POST of 10 KiB, read by the app", "raw:upload", upload=10 * 1024),
    "large": Round("A response of 1 MiB", "raw:large"),
    "stream": Round("A generator of 20 pieces", "raw:stream"),
    "flask": Round("Flask, a JSON page", "flask_app:application", "/hello/Ada"),
    "django": Round("Django, a JSON page", "django_app:application", "/hello/Ada"),
}


def main():
    options = arguments()
    chosen = [server for server in SERVERS if server.name in options.servers]
    names = {server.name for server in chosen}
    prepare.wrk()
    server_core, load_core = cores()
    prepare.peers(options.python)
    if "hyper" in names:
        prepare.baseline()
    if "ferricorn" in names:
        prepare.ferricorn(options.wheel)
    # This program reads /proc while wrk runs; it must not do so on the server's core.
    os.sched_setaffinity(0, {load_core})
    print(conditions(options))
    for name in options.only:
        samples = take(ROUNDS[name], name, chosen, options, server_core, load_core)
        text = f"\n### {ROUNDS[name].title}\n\n{report.table(samples)}\n\n{report.notes(samples, name)}"
        print(text.rstrip(), flush=True)


def arguments():
    parser = argparse.ArgumentParser(description="Compares Ferricorn with other servers.")
    names = [server.name for server in SERVERS]
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each server (default 3)")
    parser.add_argument("--seconds", type=int, default=3, help="length of a measurement (default 3)")
    parser.add_argument("--only", type=chosen_from(ROUNDS), default=list(ROUNDS), metavar="A,B", help=", ".join(ROUNDS))
    parser.add_argument("--servers", type=chosen_from(names), default=names, metavar="A,B", help=", ".join(names))
    parser.add_argument("--wheel", help="a wheel of ferricorn, instead of building one")
    parser.add_argument("--python", default=sys.executable, help="the interpreter that all servers use")
    return parser.parse_args()


def chosen_from(known):
    """A parser for a list of names."""

    def parse(text):
        names = text.split(",")
        if unknown := [name for name in names if name not in known]:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: choose from {', '.join(known)}")
        return names

    return parse


def take(task, name, servers, options, server_core, load_core):
    """The samples of one round. The servers take turns, so that a slow minute of the machine hits all of them."""
    servers = [server for server in servers if server.python or name == "hello"]
    samples = {server: [] for server in servers}
    for turn in range(options.rounds):
        for server in servers:
            print(f"# {name}, {turn + 1} of {options.rounds}: {server.title}", file=sys.stderr, flush=True)
            with running(server, task.app, "UPLOAD" if task.upload else task.path, server_core) as live:
                load.warm_up(live, task.path, task.connections, load_core, task.upload)
                sample = load.measure(
                    live, task.path, task.connections, options.seconds, load_core, task.upload
                )
                samples[server].append(sample)
    return samples


def conditions(options):
    """Under what the figures were taken."""
    with open("/proc/cpuinfo") as file:
        model = next((line.partition(":")[2].strip() for line in file if line.startswith("model name")), "?")
    known = prepare.versions()
    packages = ["ferricorn", "granian", "gunicorn", "fastpysgi", "flask", "django"]
    versions = ", ".join(f"{name} {known[name]}" for name in packages if name in known)
    return (
        f"{model}, Linux {platform.release()}; Python of {options.python}; {versions}.\n"
        f"One worker on one core, wrk with 1 thread on another; {options.rounds} rounds of {options.seconds} s "
        "after 1 s of warming up, servers taking turns; medians."
    )


if __name__ == "__main__":
    main()
