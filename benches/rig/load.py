"""One measurement: whether a running server answers rightly, then a load, and what that cost the server."""

import contextlib
import http.client
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from . import processes
from .servers import TARGET, Fault, pinned

SCRIPT = Path(__file__).with_name("wrk.lua")


@dataclass(frozen=True)
class Sample:
    """What one measurement gave. Times in microseconds, memory in KiB."""

    cpu: float
    rate: float
    lasted: float
    p50: float
    p99: float
    worker: int
    memory: int
    failed: int


def measure(server, task, seconds, core):
    """Loads a server for that long and reads its processor time around it; answers are compared before and after."""
    check(server, task)
    # Caches fill and interpreters specialise.
    _load(server, task, 1, core)
    before = processes.cpu_us(server.pid)
    requests, duration, p50, p99, refused, broken, received = _load(server, task, seconds, core)
    spent = processes.cpu_us(server.pid) - before
    memory, worker = processes.memory_kib(server.pid)
    check(server, task)
    if not requests:
        raise Fault(f"{server.title} answered nothing under load")
    if not task.websocket and received < (requests - refused) * len(task.answer):
        raise Fault(f"{server.title} left out parts of its answers under load")
    return Sample(spent / requests, requests / duration * 1e6, duration, p50, p99, worker, memory, int(refused + broken))


def check(server, task):
    """Three answers over one connection, or over three if the server ends it, whole and right."""
    try:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)) as client:
            for _ in range(3):
                if task.body:
                    client.request("POST", task.path, task.body, {"Content-Type": task.kind})
                else:
                    client.request("GET", task.path)
                answer = client.getresponse()
                body = answer.read()
                if answer.status != 200 or body != task.answer:
                    raise Fault(f"{server.title} answered {answer.status} and {body[:80]!r}, not {task.answer[:80]!r}")
    except (OSError, http.client.HTTPException) as error:
        raise Fault(f"{server.title} did not answer: {type(error).__name__} {error}") from error


@contextlib.contextmanager
def backend(core):
    """Runs the apps' backend on that core; gives the environment that tells the app its port."""
    command = pinned(core, [TARGET / "release/echo"])
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield {"BENCH_BACKEND": process.stdout.readline().strip()}
        finally:
            process.kill()


def _load(server, task, seconds, core):
    """The figures of `wrk.lua`. Our own clients compare every answer."""
    environment = dict(os.environ)
    program, *told = task.client
    if program != "wrk":
        told = [word.format(connections=task.connections, seconds=seconds) for word in told]
        command = [TARGET / "release" / program, str(server.port), *told]
    else:
        command = ["wrk", "-t", "1", "-c", str(task.connections), "-d", f"{seconds}s", "-s", SCRIPT]
        command.append(f"http://127.0.0.1:{server.port}{task.path}")
        if task.body:
            environment.update(BENCH_BODY=task.body.decode(), BENCH_KIND=task.kind)
    run = subprocess.run(pinned(core, command), env=environment, capture_output=True, text=True)
    result = [line for line in run.stdout.splitlines() if line.startswith("RESULT ")]
    if run.returncode != 0 or not result:
        raise Fault(f"{server.title} under load: {(run.stdout + run.stderr).strip()}")
    return [float(word) for word in result[0].split()[1:]]
