"""Ferricorn as process 1, as in a container: orphans, signals before it listens, and what it refuses."""

import os
import re
import shutil
import signal
import subprocess

import pytest

from harness import alive, children, until
from harness import server as running

pytestmark = pytest.mark.only_ferricorn("it is about what process 1 must do")


def can_unshare():
    """Whether this machine lets a process be process 1 of a namespace."""
    return shutil.which("unshare") and subprocess.run(["unshare", "-pf", "--mount-proc", "true"], capture_output=True).returncode == 0


@pytest.fixture
def contained(serve, monkeypatch, tmp_path):
    """Starts servers as process 1 of a namespace; `first` is its pid outside."""
    if not can_unshare():
        pytest.skip("this takes the right to make namespaces")
    script = tmp_path / "contain"
    script.write_text(f'#!/bin/sh\nexec unshare -pf --mount-proc --kill-child {running._SCRIPT} "$@"\n')
    script.chmod(0o755)
    monkeypatch.setattr(running, "_SCRIPT", script)

    def start(*arguments, **options):
        server = serve(*arguments, **options)
        server.first = until(lambda: children(server.pid), "process 1")[0]
        server.stop = lambda number=signal.SIGTERM, timeout=running.DEADLINE: stop(server, number, timeout)
        return server

    return start


def stop(server, number, timeout):
    if server.process.poll() is None and alive(server.first):
        os.kill(server.first, number)
    return server.wait_exit(timeout)


def test_it_serves_and_stops_as_process_1(contained):
    server = contained("features:app", "-w", "2")
    assert "Listening at: http://127.0.0.1" in server.log and re.search(r"\(1\)$", server.log, re.M)
    assert server.get().body == b"hello"
    assert server.stop() == 0


def test_an_upgrade_is_refused_with_advice(contained):
    server = contained("features:app")
    os.kill(server.first, signal.SIGUSR2)
    server.wait_for(r"\[ERROR\] The new master cannot be started, this one goes on: it is process 1.*Start another container")
    assert server.get().body == b"hello"


def test_orphans_are_reaped(contained):
    server = contained("""
import os

def app(environ, start_response):
    if os.fork() == 0:
        if os.fork() == 0:
            os._exit(0)  # Its parent is gone, or will be.
        os._exit(0)
    os.wait()
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
""")
    for _ in range(5):
        assert server.get().body == b"ok"
    until(lambda: len(children(server.first)) == 1 and not zombies(server.first), "only the worker is left")
    assert "ERROR" not in server.log


def zombies(pid):
    """Children of the process that nobody has reaped."""
    found = subprocess.run(["ps", "--ppid", str(pid), "-o", "stat="], capture_output=True, text=True).stdout
    return [state for state in found.split() if state.startswith("Z")]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_config_file_that_hangs_can_be_ended(contained, number):
    """The kernel lets process 1 alone with signals that it does not handle."""
    conf = "import time, pathlib\npathlib.Path('begun').touch()\nwhile True:\n    time.sleep(0.05)\n"
    # One that is ignored, as a shell has it for what runs in the background, stays so.
    server = contained("features:app", files={"gunicorn.conf.py": conf}, listening=False,
                       preexec=lambda: signal.signal(number, signal.SIG_DFL))
    until(lambda: server.has("begun"), "the config file")
    os.kill(server.first, number)
    assert server.wait_exit() in (128 + number, 1)
    server.expected_exit = {128 + number, 1}
