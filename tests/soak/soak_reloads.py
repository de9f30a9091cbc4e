"""Reloads and deaths under load, with every request counted: none fails but those inside a worker that was killed."""

import os
import random
import signal
import time

import pytest

from harness import until
from harness.procs import children, descriptors, in_session

CODE = """
import os


def app(environ, start_response):
    body = b"VERSION"
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""

LEAKING = """
kept = []


def app(environ, start_response):
    if environ["PATH_INFO"] == "/leak":
        kept.append(bytearray(b"x" * (64 << 20)))
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""

ROUNDS = 20


def code(version):
    return CODE.replace("VERSION", str(version))


def loads(server, **options):
    """Clients that keep their connections, and clients that make one for each request."""
    return (server.load("/", clients=3, limit=10**7, seconds=300, **options),
            server.load("/", clients=3, limit=10**7, seconds=300, keepalive=False, **options))


def told(what, kept, new):
    print(f"\n{what}: {kept.answered + new.answered} requests answered, {len(kept.failures + new.failures)} failed, "
          f"{kept.refused + new.refused} refused")


@pytest.mark.parametrize("flags", [[], ["--preload"]], ids=["each worker imports", "preload"])
def soak_twenty_reloads_with_new_code(serve, flags):
    server = serve("code:app", "-w", "3", *flags, files={"code.py": code(0)})
    server.get()
    until(lambda: server.log.count("Booting worker") >= 3, "three workers")
    time.sleep(1)
    open_before, family = descriptors(server.pid), len(in_session(server.pid))
    kept, new = loads(server)
    with kept, new:
        for version in range(1, ROUNDS + 1):
            mark = server.mark()
            old = children(server.pid)
            (server.folder / "code.py").write_text(code(version))
            server.send(signal.SIGHUP)
            server.wait_for("Reloaded", after=mark)
            until(lambda old=old: not set(old) & set(children(server.pid)), "the old processes are gone", 60)
            until(lambda version=version: server.get().text == str(version), "the new code", 60)
    told(f"{ROUNDS} reloads {flags}", kept, new)
    assert kept.failures == new.failures == [] and kept.refused == new.refused == 0
    assert kept.bodies == new.bodies == {str(version).encode() for version in range(ROUNDS + 1)}
    until(lambda: descriptors(server.pid) == open_before, "as few descriptors as before")
    until(lambda: len(in_session(server.pid)) == family, "as few processes as before, zombies among them")


def soak_reloads_onto_faults(serve):
    server = serve("code:app", "-w", "2", "--boot-timeout", "3", files={"code.py": code(0), "gunicorn.conf.py": ""})
    server.get()
    until(lambda: server.log.count("Booting worker") >= 2, "two workers")
    time.sleep(1)
    faults = {"code.py": ["def app(\n", "import no_such_module\n", "import time\ntime.sleep(600)\n"],
              "gunicorn.conf.py": ["workers = \n", "timeout = 'many'\n"]}
    kept, new = loads(server)
    with kept, new:
        for version in range(1, 4):
            for name, texts in faults.items():
                good = (server.folder / name).read_text()
                for text in texts:
                    mark = server.mark()
                    (server.folder / name).write_text(text)
                    server.send(signal.SIGHUP)
                    server.wait_for("Reload failed", after=mark)
                (server.folder / name).write_text(good)
            mark = server.mark()
            old = server.workers()
            (server.folder / "code.py").write_text(code(version))
            server.send(signal.SIGHUP)
            server.wait_for("Reloaded", after=mark)
            until(lambda old=old: not set(old) & set(server.workers()), "the old workers are gone", 60)
    told("15 faults and 3 reloads", kept, new)
    assert kept.failures == new.failures == [] and kept.refused == new.refused == 0


def soak_killed_workers(serve):
    server = serve("features:app", "-w", "3")
    server.get()
    server.wait_workers(3)
    kept, new = loads(server)
    kills = 10
    with kept, new:
        for _ in range(kills):
            time.sleep(0.7)
            victim = random.choice(server.workers())
            os.kill(victim, signal.SIGKILL)
            server.wait_workers(3, without=[victim])
    told(f"{kills} workers killed", kept, new)
    # What each of the six clients had in the worker that was killed.
    assert len(kept.failures) <= 3 * kills and len(new.failures) <= 3 * kills
    assert kept.refused == new.refused == 0
    assert server.get().body == b"hello"


def soak_workers_that_leak_are_replaced(serve):
    server = serve(LEAKING, "-w", "2", "--max-worker-memory", "150")
    server.get()
    first = server.wait_workers(2)
    kept, new = loads(server)
    with kept, new:
        for _ in range(8):
            server.get("/leak")
        server.wait_for(r"is replaced, and leaves when the next one is ready: \d+ MiB of memory are its own, and "
                        "--max-worker-memory is 150", timeout=15)
        until(lambda: set(first) - set(server.workers()), "it is gone", 30)
    told("a worker that leaked", kept, new)
    assert kept.failures == new.failures == [] and kept.refused == new.refused == 0
