"""A server under test: started by its console script, watched through its log, stopped with nothing left."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from .client import Client, request
from .load import Load
from .procs import alive, children, in_session, listeners, title
from .websocket import WebSocket

SERVER = os.environ.get("SERVER_UNDER_TEST", "ferricorn")
IS_GUNICORN = SERVER == "gunicorn"
IS_UVICORN = SERVER == "uvicorn"
IS_FERRICORN = not (IS_GUNICORN or IS_UVICORN)
DEADLINE = 15.0
"""Seconds that a test waits for an event which is certain to come from a sound server."""

STARTED = []
"""Servers of the running test and of wider fixtures, so that a failure can keep their logs."""

_CONFIGURING = ("GUNICORN_CMD_ARGS", "FERRICORN_CMD_ARGS", "WEB_CONCURRENCY", "PORT", "FORWARDED_ALLOW_IPS",
                "SCRIPT_NAME", "SENDFILE", "PYTHONPATH", "NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID")
_APPS = Path(__file__).parent.parent / "apps"
_SCRIPT = Path(sys.executable).parent / SERVER
_LISTENING = (r"Uvicorn running on (?:unix socket )?(\S+)" if IS_UVICORN
              else r"Listening at: (?:unix:(?=\S))?([^\s,]+)")


def until(true, what, timeout=DEADLINE):
    """Waits until the function returns something true, and returns that."""
    end = time.monotonic() + timeout
    while not (value := true()):
        assert time.monotonic() < end, f"waited {timeout} s in vain: {what}"
        time.sleep(0.01)
    return value


def environment(extra):
    """The environment of a server: ours without what would configure it, plus the test's own."""
    env = {name: value for name, value in os.environ.items() if name not in _CONFIGURING}
    return {**env, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(_APPS), **extra}


def script():
    """The path of the command."""
    return str(_SCRIPT)


def arguments(flags):
    """The command line. gunicorn's default worker keeps no connection alive, so its gthread stands in."""
    flags = [str(flag) for flag in flags]
    if IS_GUNICORN:
        flags = ["--no-control-socket", *flags]
        if not {"-k", "--worker-class"} & set(flags):
            flags = ["-k", "gthread", *flags]
    return [str(_SCRIPT), *(uvicorn_flags(flags) if IS_UVICORN else flags)]


def uvicorn_flags(flags):
    """The same wishes in uvicorn's words. What it has no word for is not for tests that it must pass too."""
    names = {"--asgi-loop": "--loop", "--asgi-lifespan": "--lifespan", "--root-path": "--root-path", "--chdir": "--app-dir",
             "--graceful-timeout": "--timeout-graceful-shutdown", "--forwarded-allow-ips": "--forwarded-allow-ips",
             "--websocket-max-message-size": "--ws-max-size", "--ws-ping-interval": "--ws-ping-interval",
             "--ws-ping-timeout": "--ws-ping-timeout", "--ws-per-message-deflate": "--ws-per-message-deflate"}
    told, rest = [], iter(flags)
    for flag in rest:
        if flag == "-b":
            where = next(rest)
            host, _, port = where.rpartition(":")
            told += ["--uds", where.removeprefix("unix:")] if where.startswith("unix:") else ["--host", host, "--port", port]
        elif flag in names:
            told += [names[flag], next(rest)]
        elif flag in ("-w", "-t", "--access-logfile", "--asgi-disconnect-grace-period"):
            next(rest)
        else:
            told.append(flag)
    return ["--no-use-colors", *told]


def run_cli(*flags, cwd, env=(), timeout=30, plain=False):
    """Runs the command to its end, for what exits by itself; stdout and stderr are text. `plain` adds no flags."""
    return subprocess.run([script(), *flags] if plain else arguments(flags), cwd=cwd, env=environment(dict(env)), text=True, timeout=timeout,
                          capture_output=True, stdin=subprocess.DEVNULL)


class Server:
    """One running master with its workers, in a session of its own; `command` replaces the command and its flags, `plain` adds none."""

    def __init__(self, flags, folder, cwd, env=(), log_file=None, preexec=None, pass_fds=(), command=None, plain=False):
        self.folder, self.stderr, self.stdout = folder, folder / "stderr.log", folder / "stdout.log"
        self._log_file = log_file or self.stderr
        self.address, self.expected_exit = None, {0}
        # The port where it was found to listen, and its sockets there.
        self._listens = None, set()
        with open(self.stderr, "wb") as err, open(self.stdout, "wb") as out:
            command = command or ([script(), *map(str, flags)] if plain else arguments(flags))
            self.process = subprocess.Popen(command, cwd=cwd, env=environment(dict(env)), stdout=out, stderr=err,
                                            stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=preexec, pass_fds=pass_fds)
        self.pid = self._session = self.process.pid
        # Whether the test takes from under the server what it stands on.
        self.may_panic = False
        STARTED.append(self)

    # What it says.

    @property
    def log(self):
        """The whole error log so far."""
        try:
            return self._log_file.read_text("utf-8", "replace")
        except FileNotFoundError:
            return ""

    @property
    def access_log(self):
        """The lines on stdout so far."""
        return self.stdout.read_text("utf-8", "replace").splitlines()

    def mark(self):
        """A position in the error log, for `wait_for(..., after=)`."""
        return len(self.log)

    def wait_for(self, pattern, count=1, after=0, timeout=DEADLINE):
        """Waits until the error log matches so often, and returns the last of these matches."""
        end = time.monotonic() + timeout
        while True:
            found = list(re.finditer(pattern, self.log[after:]))
            if len(found) >= count:
                return found[count - 1]
            assert time.monotonic() < end, f"{pattern!r} came {len(found)} of {count} times in:\n{self.log}{self.err}"
            assert self.runs() or len(list(re.finditer(pattern, self.log[after:]))) >= count, (
                f"the server left with {self.process.returncode} before {pattern!r}:\n{self.log}{self.err}")
            time.sleep(0.01)

    @property
    def err(self):
        """What stands on stderr, where the error log is somewhere else."""
        return "" if self._log_file == self.stderr else self.stderr.read_text("utf-8", "replace")

    def wait_listening(self):
        """Waits until it listens, and learns where."""
        where = self.wait_for(_LISTENING).group(1)
        if "://" not in where:
            self.address = where
        else:
            host, _, port = where.partition("://")[2].rpartition(":")
            self.address = ({"0.0.0.0": "127.0.0.1", "[::]": "::1"}.get(host, host.strip("[]")), int(port))
            self._listens = self.port, listeners(self.port)
        return self

    @property
    def port(self):
        return self.address[1]

    # Speaking to it.

    def connect(self, **options):
        """A raw connection."""
        return Client(self.address, **options)

    def request(self, method, target, headers=(), body=None, **options):
        """One request on a connection of its own."""
        return request(self.address, method, target, headers, body, **options)

    def get(self, target="/", headers=(), **options):
        """One GET on a connection of its own."""
        return self.request("GET", target, headers, **options)

    def websocket(self, target="/", *fields, **options):
        """A WebSocket in literal frames, open unless its `answer` says otherwise."""
        return WebSocket(self.address, target, *fields, **options)

    def load(self, path="/", **options):
        """A bounded stream of requests beside a test."""
        return Load(self.address, path, **options)

    # Its processes.

    def workers(self):
        """The pids of its living workers, oldest first. uvicorn with one worker is that worker."""
        if IS_UVICORN:
            return [self.pid]
        return [pid for pid in children(self.pid) if not IS_FERRICORN or title(pid).startswith("ferricorn: worker")]

    def wait_workers(self, count, without=()):
        """Waits until it has exactly so many workers, none of them in `without`, each started up."""
        def settled():
            pids = self.workers()
            return pids if len(pids) == count and not set(pids) & set(without) else None

        pids = until(settled, f"{count} workers without {list(without)}; there are {self.workers()}")
        for pid in pids:
            self.wait_for(rf"(Booting worker with pid: |Started server process \[){pid}\b")
        return pids

    def send(self, number, pid=None):
        """Sends a signal to the master or, with a pid, to a process of this server."""
        pid = pid or self.pid
        assert pid in in_session(self._session), f"{pid} is no process of this server"
        os.kill(pid, number)
        return self

    def follow(self, pid):
        """Another process of the session is the master from now on."""
        assert pid in in_session(self._session), f"{pid} is no process of this server"
        self.pid = pid
        return self

    def wait_exit(self, timeout=DEADLINE):
        """Waits for the master's end and returns its exit status (negative: a signal). That of one which was followed is not
        known; it counts as 0."""
        if self.pid != self.process.pid:
            until(lambda: not alive(self.pid), f"the end of {self.pid}", timeout)
            return 0
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the master still runs after {timeout} s:\n{self.log}") from None

    def runs(self):
        """Whether the master lives."""
        return self.process.poll() is None or self.pid != self.process.pid and alive(self.pid)

    def stop(self, number=signal.SIGTERM, timeout=DEADLINE):
        """Asks it to leave, and returns its exit status."""
        if self.runs():
            os.kill(self.pid, number)
        return self.wait_exit(timeout)

    def _left_listening(self):
        """Whether its port is still open. The kernel may have given that number to another server by now, so its sockets are
        looked for, if they are known."""
        if not isinstance(self.address, tuple):
            return False
        port, sockets = self._listens
        if port == self.port:
            return bool(sockets & listeners(port))
        try:
            Client(self.address, timeout=2).close()
        except ConnectionRefusedError:
            return False
        return True

    def _end_by_force(self):
        for pid in in_session(self._session):
            if alive(pid):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(5)

    def noted(self, name):
        """What the app has written into a file of this name, as soon as it has."""
        path = self.folder / name
        return until(lambda: path.exists() and path.read_text(), f"the app's note {name!r}; log:\n{self.log}").rstrip("\n")

    def touch(self, name):
        """Leaves an empty file of this name, for which the app waits."""
        (self.folder / name).touch()

    def has(self, name):
        """Whether there is a file of this name."""
        return (self.folder / name).exists()

    def close(self):
        """Stops it if it runs, and insists that it left well and that neither process nor port is left."""
        try:
            if IS_UVICORN or IS_GUNICORN and self.process.poll() is None:
                return  # A TERM that meets a worker of gunicorn in its boot is lost there; only force is certain.
            status = self.stop(timeout=10)
            assert status in self.expected_exit, f"exit status {status}:\n{self.log}"
            until(lambda: not in_session(self._session), "processes are left behind", 5)
            assert not self._left_listening(), f"something still listens on port {self.port}"
            assert self.may_panic or "panicked at" not in self.log + self.err, self.log + self.err
        finally:
            self._end_by_force()
