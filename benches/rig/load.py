"""One measurement: wrk against a running server, and what it cost the server."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from . import processes
from .servers import pinned

SCRIPT = Path(__file__).with_name("wrk.lua")


@dataclass(frozen=True)
class Sample:
    """What one measurement gave. Times in microseconds, memory in KiB."""

    cpu: float
    rate: float
    p50: float
    p99: float
    worker: int
    memory: int
    failed: int


def measure(server, path, connections, seconds, core, upload=0):
    """Loads a server for that long and reads its processor time around it."""
    before = processes.cpu_us(server.pid)
    requests, duration, p50, p99, refused, broken = _wrk(server.port, path, connections, seconds, core, upload)
    spent = processes.cpu_us(server.pid) - before
    memory, worker = processes.memory_kib(server.pid)
    answered = max(requests, 1)
    return Sample(spent / answered, requests / duration * 1e6, p50, p99, worker, memory, int(refused + broken))


def warm_up(server, path, connections, core, upload=0):
    """Lets caches fill and interpreters specialise."""
    _wrk(server.port, path, connections, 1, core, upload)


def _wrk(port, path, connections, seconds, core, upload):
    command = ["wrk", "-t", "1", "-c", str(connections), "-d", f"{seconds}s", "-s", str(SCRIPT)]
    run = subprocess.run(
        pinned(core, [*command, f"http://127.0.0.1:{port}{path}"]),
        env={**os.environ, "BENCH_UPLOAD": str(upload)}, capture_output=True, text=True,
    )
    result = [line for line in run.stdout.splitlines() if line.startswith("RESULT ")]
    if run.returncode != 0 or not result:
        raise SystemExit(f"wrk failed: {run.stdout}{run.stderr}")
    return [float(word) for word in result[0].split()[1:]]
