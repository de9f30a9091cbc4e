"""Two minutes of traffic that changes between fast, slow, streams and calls that are written off: what must be left is nothing.

SOAK_SECONDS says how long, and SOAK_SEED repeats a run.
"""

import os
import random
import re
import time
from collections import Counter

import pytest

from harness import cpu_seconds, descriptors, threads, until
from soak.traffic import STREAM, Traffic

SECONDS = float(os.environ.get("SOAK_SECONDS", "120"))
SEED = int(os.environ.get("SOAK_SEED", time.time()))

THREADS, WORKERS = 8, 2

APP = f"""
import os
import random
import threading
import time

NOTES = os.open("calls", os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def note(what, number):
    os.write(NOTES, f"{{what}} {{number}}\\n".encode())


class Stream:
    def __init__(self, number):
        self.number, self.pieces = number, 0

    def __iter__(self):
        return self

    def __next__(self):
        if self.pieces == {STREAM}:
            raise StopIteration
        self.pieces += 1
        time.sleep(random.random() / 50)
        return f"{{self.number}} ".encode()

    def close(self):
        note("closed", self.number)


def work():
    end = time.thread_time() + 0.002
    while time.thread_time() < end:
        pass


def late():
    while True:
        time.sleep(0.02)


def app(environ, start_response):
    kind, number = environ["PATH_INFO"][1:], environ["QUERY_STRING"]
    note("called", number)
    if kind == "stream":
        start_response("200 OK", [])
        return Stream(number)
    {{
        "fast": lambda: None,
        "slow": lambda: time.sleep(random.uniform(0.005, 0.15)),
        "work": work,
        "upload": lambda: len(environ["wsgi.input"].read()) == {40000} or 1 / 0,
        "late": late,
        "stuck": lambda: time.sleep(60 if threading.current_thread() is threading.main_thread() else 4.5),
        "longer": lambda: environ["ferricorn.extend_deadline"](10) and time.sleep(2.5),
        "nap": lambda: time.sleep(0.3),
    }}[kind]()
    body = f"{{number}} {{kind}}".encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""

PHASES = [
    (["fast"], 16, 1),
    (["fast"], 2, 0.5),
    (["slow"], 16, 1.5),
    (["slow"], 3, 1),
    (["fast"] * 19 + ["slow"], 12, 2),
    (["work"], 16, 1),
    (["stream"], 16, 2),
    (["fast", "upload"], 8, 1),
    (["fast", "slow", "work", "stream", "upload"], 16, 2),
    (["fast"] * 50 + ["late"], 6, 3),
    (["fast"] * 50 + ["slow"] * 10 + ["stream"] * 10 + ["stuck"], 4, 3),
    (["fast"] * 20 + ["longer"], 4, 1),
    (["fast"], 0, 0.5),
]
"""What is asked for, by how many clients, for how many seconds."""


@pytest.mark.timeout(SECONDS + 120)
def soak_traffic_that_changes(serve):
    server = serve(APP, "-w", str(WORKERS), "--threads", str(THREADS), "--request-timeout", "2", "--graceful-timeout", "10",
                   "--keep-alive", "5")
    first = server.wait_workers(WORKERS)
    hire_all(server, first)
    # What a worker has when all of its threads are there and all of its clients are gone.
    most_threads = max(threads(pid) for pid in first)
    most_open = max(until_settled(pid) for pid in first)
    of_master = descriptors(server.pid), threads(server.pid)

    traffic, dice, end = Traffic(server.address, SEED), random.Random(SEED), time.monotonic() + SECONDS
    while time.monotonic() < end and not traffic.faults:
        for phase in dice.sample(PHASES, len(PHASES)):
            if not traffic.faults:
                traffic.phase(*phase)
    traffic.close()
    print(f"seed {SEED}: {dict(traffic.asked)}, {dict(traffic.answers)}, {len(traffic.repeated)} asked again, "
          f"{len(traffic.left)} left; {server.log.count('Booting worker') - WORKERS} workers replaced")
    assert not traffic.faults, f"seed {SEED}: {traffic.faults[:10]}\n{server.log[-3000:]}"

    # Each was answered once, by one call. Who asked again had not been heard.
    notes = Counter((server.folder / "calls").read_text().splitlines())
    assert set(notes.values()) == {1}, [note for note, count in notes.items() if count > 1][:10]
    called = {int(note.split()[1]) for note in notes if note.startswith("called") and not note.endswith("-")}
    asked = traffic.asked.total()
    assert called <= set(range(1, asked + 1))
    assert traffic.answers.total() + len(traffic.left) == asked
    late = traffic.answers[504]
    assert asked - late <= len(called)
    streams = traffic.asked["stream"]
    until(lambda: (server.folder / "calls").read_text().count("closed ") == streams, f"{streams} streams closed")
    assert server.log.count("REQUEST TIMEOUT") == late

    # Nobody is busy, nobody waits, nothing is left.
    given_up = server.log.count("Its thread is given up")
    until(lambda: len(server.workers()) == WORKERS, "workers that were given up to be gone", 20)
    workers = server.wait_workers(WORKERS)
    for pid in workers:
        until(lambda pid=pid: is_at_rest(pid), f"worker {pid} to do nothing", 20)
        assert threads(pid) <= most_threads
        until(lambda pid=pid: descriptors(pid) <= most_open, f"{most_open} descriptors; there are {descriptors(pid)}")
    until(lambda: (descriptors(server.pid), threads(server.pid)) == of_master, f"the master to have {of_master}")
    assert given_up == 0 or workers != first
    for _ in range(50):
        assert server.get("/fast?-").body == b"- fast"
    assert not re.search("panicked|internal error|WORKER TIMEOUT|Traceback", server.log), server.log[-3000:]


def hire_all(server, pids):
    """Has every app thread of every worker started."""
    for _ in range(3):
        clients = [server.connect().send(b"GET /nap?- HTTP/1.1\r\nHost: x\r\n\r\n") for _ in pids * THREADS * 2]
        for client in clients:
            client.response()
            client.close()
    (server.folder / "calls").write_text("")


def until_settled(pid):
    """The descriptors of a worker once its clients are gone."""
    until(lambda: is_at_rest(pid), f"worker {pid} to do nothing")
    return descriptors(pid)


def is_at_rest(pid):
    """Whether no thread of it has used the processor for half a second, as far as the clock's ticks tell."""
    before = cpu_seconds(pid)
    time.sleep(0.5)
    return cpu_seconds(pid) == before
