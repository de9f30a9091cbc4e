#!/usr/bin/env python3
"""What reloads cost clients, and what a bad deploy does: each server is sent HUP while clients count their answers.

    benches/reload.py [--reloads 5] [--preload] [--servers ferricorn,gthread,granian] [--wheel X.whl]

Two workers on one core, four clients on another that ask without a pause, two over connections that they keep and two
over new ones. The app's code changes before each HUP, and the reload is over when twenty answers in a row, each on a
connection of its own, come from the new code. Then the code becomes one that cannot be compiled, for twelve seconds, and
then a good one again, with a last HUP. A request that was not answered with a 200 has failed; where nobody listened a
connection was refused. With `--preload` the app is imported before the workers are forked; Granian has nothing of that kind.
"""

import argparse
import os
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

from rig.options import parse, ready, wsgi
from rig.servers import ROOT, Fault, running

sys.path.insert(0, str(ROOT / "tests"))
from harness.client import Unanswered, request  # noqa: E402  the tests' own clients
from harness.load import Load  # noqa: E402

NAMES = ["ferricorn", "sync", "gthread", "granian"]
APP = """
def application(environ, start_response):
    body = b"version {}"
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""
BROKEN = "def application(environ, start_response)\n"
HEAD = "| server | reloads | answered | failed | refused | new code after s | bad deploy: answered | failed | refused | "
HEAD += "serves on | good code after s |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- | ---: |"
PATIENCE = 20
BAD_SECONDS = 12


def main():
    options = arguments()
    server_core = ready(options)
    print(HEAD)
    for server in [server.with_workers(2) for server in options.servers]:
        if options.preload:
            server = server.with_preload()
        print(f"| {server.title} | {options.reloads} | {row(server, options.reloads, server_core)} |", flush=True)


def arguments():
    parser = argparse.ArgumentParser(description="Measures what reloads cost clients.")
    parser.add_argument("--reloads", type=int, default=5, help="how many with good code (default 5)")
    parser.add_argument("--preload", action="store_true", help="with --preload, without the servers that have no such thing")
    options = parse(parser, wsgi(NAMES))
    if options.preload:
        options.servers = [server for server in options.servers if server.name != "granian"]
    return options


def row(server, reloads, core):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        deploy(folder, APP.format(0))
        try:
            with running(server, "site_app:application", core, folder=folder) as live, Clients(live.port) as clients:
                times = [reload(live, folder, version) for version in range(1, reloads + 1)]
                good = clients.since()
                deploy(folder, BROKEN)
                hup(live.pid)
                time.sleep(BAD_SECONDS)
                bad = clients.since()
                on = "yes" if answers(live.port) else "no"
                last = reload(live, folder, reloads + 1)
        except Fault as fault:
            return " ".join(str(fault).split())[:100] + " |" * 8
    taken = "never" if None in times else f"{statistics.median(times):.2f}"
    return f"{good} | {taken} | {bad} | {on} | {'never' if last is None else f'{last:.2f}'}"


def deploy(folder, code):
    """In one step, as deployments do it."""
    fresh = folder / "fresh"
    fresh.write_text(code)
    fresh.rename(folder / "site_app.py")


def reload(live, folder, version):
    """The seconds until the new code answers alone; `None` if it never does."""
    deploy(folder, APP.format(version))
    begin = time.monotonic()
    if not hup(live.pid):
        return None
    row = 0
    while row < 20:
        row = row + 1 if answers(live.port) == b"version %d" % version else 0
        if time.monotonic() - begin > PATIENCE:
            return None
    return time.monotonic() - begin


def hup(pid):
    """Whether there is a server that can be told."""
    try:
        os.kill(pid, signal.SIGHUP)
    except ProcessLookupError:
        return False
    return True


def answers(port):
    """The body of an answer with success."""
    try:
        answer = request(("127.0.0.1", port), "GET", "/", timeout=5)
    except (OSError, Unanswered):
        return b""
    return answer.body if answer.status == 200 else b""


class Clients:
    """Those that count. `since` says what they counted since the last time."""

    def __init__(self, port):
        bounds = {"clients": 2, "limit": 10_000_000, "seconds": 600}
        self._loads = [Load(("127.0.0.1", port), keepalive=kept, **bounds) for kept in (True, False)]
        self._before = (0, 0, 0)

    def __enter__(self):
        for load in self._loads:
            load.__enter__()
        return self

    def __exit__(self, *exc):
        for load in self._loads:
            load.stop()

    def since(self):
        sums = [(load.answered, len(load.failures), load.refused) for load in self._loads]
        now = tuple(map(sum, zip(*sums)))
        answered, failed, refused = (new - old for new, old in zip(now, self._before))
        self._before = now
        return f"{answered:,} | {failed:,} | {refused:,}"


if __name__ == "__main__":
    main()
