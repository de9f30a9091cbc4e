"""A server that goes to the background: who has started it learns whether it has begun, and nothing ties it to that."""

import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from harness import alive, children, request, run_cli, until
from harness.proxy import free_port
from harness.server import arguments, environment

pytestmark = pytest.mark.only_ferricorn("gunicorn says 0 whatever becomes of it")


class Background:
    """A server that was started with --daemon, by its pidfile."""

    def __init__(self, folder, *flags, app="features:app", env=()):
        self.folder, self.address = folder, ("127.0.0.1", free_port())
        self.started = run_cli("-D", "-p", "app.pid", "--error-logfile", "error.log", "-b", f"127.0.0.1:{self.address[1]}",
                               *flags, app, cwd=folder, env=env)

    @property
    def pid(self):
        return int((self.folder / "app.pid").read_text())

    @property
    def log(self):
        return (self.folder / "error.log").read_text()

    def get(self):
        return request(self.address, "GET", "/", (), None)

    def stop(self):
        pid = self.pid
        os.kill(pid, signal.SIGTERM)
        until(lambda: not alive(pid), "its end")


@pytest.fixture
def background(tmp_path):
    started = []

    def start(*flags, **options):
        started.append(Background(tmp_path, *flags, **options))
        return started[-1]

    yield start
    pidfile = tmp_path / "app.pid"
    if pidfile.exists():
        started[-1].stop()


def stream(pid, number):
    return os.readlink(f"/proc/{pid}/fd/{number}")


def session(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[3])


def test_who_has_started_it_goes_on_when_it_listens(background):
    server = background("-w", "2")
    assert (server.started.returncode, server.started.stderr) == (0, "")
    assert server.get().body == b"hello", "it listens already"
    pid = server.pid
    assert session(pid) not in (pid, os.getsid(0)), "it leads no session, so it can get no terminal"
    assert [stream(pid, number) for number in range(3)] == ["/dev/null"] * 3
    until(lambda: len(children(pid)) == 2, "its workers")
    assert stream(children(pid)[0], 2) == "/dev/null"
    server.stop()
    assert "Shutting down: Master" in server.log and not (server.folder / "app.pid").exists()


def test_a_start_that_fails_is_told_to_whoever_waits(background, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        result = run_cli("-D", "-p", "app.pid", "-b", f"127.0.0.1:{other.getsockname()[1]}", "features:app", cwd=tmp_path)
    assert result.returncode == 1 and "Connection in use" in result.stderr
    assert not (tmp_path / "app.pid").exists()
    assert run_cli("-D", "--workers", "many", "features:app", cwd=tmp_path).returncode == 2


def test_its_signals_work_as_in_the_foreground_and_winch_retires_the_workers(background):
    server = background()
    pid = server.pid
    (worker,) = until(lambda: children(pid), "its worker")
    until(lambda: server.get().body == b"hello", "an answer")
    os.kill(pid, signal.SIGWINCH)
    until(lambda: not children(pid), "the end of the worker")
    assert "graceful stop of workers" in server.log
    os.kill(pid, signal.SIGHUP)
    until(lambda: children(pid) not in ([], [worker]), "a new worker")
    assert server.get().body == b"hello"


def test_an_upgrade_stays_in_the_background(background):
    server = background()
    old = server.pid
    os.kill(old, signal.SIGUSR2)
    second = server.folder / "app.pid.2"
    until(lambda: second.exists() and "Booting worker" in server.log.partition("Started a new master")[2], "the new master")
    new = int(second.read_text())
    os.kill(old, signal.SIGTERM)
    until(lambda: not alive(old) and server.pid == new, "its promotion")
    assert session(new) not in (new, os.getsid(0)) and server.get().body == b"hello"
    assert stream(new, 2) == "/dev/null"


def test_outputs_that_were_redirected_may_be_kept(tmp_path):
    with open(tmp_path / "out", "w") as out:
        command = arguments(["-D", "-R", "-p", "app.pid", "-b", f"127.0.0.1:{free_port()}", "features:app"])
        done = subprocess.run(command, cwd=tmp_path, env=environment({}), stdin=subprocess.DEVNULL, stdout=out, stderr=out, timeout=20)
    assert done.returncode == 0
    pid = int((tmp_path / "app.pid").read_text())
    try:
        assert stream(pid, 1) == stream(pid, 2) == str(tmp_path / "out") and stream(pid, 0) == "/dev/null"
        assert "Listening at" in (tmp_path / "out").read_text()
    finally:
        os.kill(pid, signal.SIGTERM)
        until(lambda: not alive(pid), "its end")


def test_under_systemd_it_is_warned_of(background, tmp_path):
    server = background(env={"NOTIFY_SOCKET": str(tmp_path / "notify")})
    assert "daemon: systemd loses sight" in server.log
