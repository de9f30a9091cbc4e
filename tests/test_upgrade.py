"""The upgrade of a running server: USR2, WINCH, TERM, and the way back."""

import signal
import socket
from pathlib import Path

import pytest

from harness import alive, children, descriptors, gone, until
from harness import server as running

pytestmark = pytest.mark.only_ferricorn("gunicorn loses requests in the change")

SITE = """
import os
VERSION = {version!r}

def app(environ, start_response):
    body = f"{{VERSION}} {{os.getpid()}}".encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


def site(server, version):
    """Writes the app's code, as a deployment does."""
    path = server.folder / "site_code.py"
    path.with_suffix(".new").write_text(SITE.format(version=version))
    path.with_suffix(".new").rename(path)


@pytest.fixture
def server(serve):
    server = serve("site_code:app", "-w", "2", "-p", "app.pid", "--graceful-timeout", "8",
                   files={"site_code.py": SITE.format(version="one")})
    server.wait_workers(2)
    until(lambda: server.get().text.startswith("one "), "the first version")
    return server


def upgrade(server, workers=2):
    """Starts a new master, and returns its pid when its workers serve."""
    mark = server.mark()
    server.send(signal.SIGUSR2)
    new = int(server.wait_for(r"Started a new master \(pid:(\d+)\)", after=mark).group(1))
    server.wait_for("Booting worker", count=workers, after=mark)
    until(lambda: len(children(new)) == workers, "its workers")
    return new


def end(server, new):
    """Has the new master end."""
    server.send(signal.SIGTERM, new)
    until(lambda: gone(new), "the end of the new master")


def pidfile(server, name="app.pid"):
    path = server.folder / name
    return int(path.read_text()) if path.exists() else None


def title(pid):
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b"").decode()


def versions(load):
    """Which versions of the app have answered."""
    return {body.split()[0] for body in load.bodies}


def test_a_new_master_takes_over_and_no_request_is_lost(server):
    old, old_workers = server.pid, server.workers()
    with server.load("/", clients=3, limit=60000) as kept, \
            server.load("/", clients=3, keepalive=False, limit=60000) as fresh:
        kept.wait_answered(50)
        site(server, "two")
        new = upgrade(server)
        until(lambda: b"two" in versions(fresh), "an answer of the new code")
        assert pidfile(server) == old and pidfile(server, "app.pid.2") == new
        assert title(new).endswith(".2]") and "Listening at" in server.log
        server.send(signal.SIGWINCH)
        server.wait_for("graceful stop of workers")
        until(lambda: all(gone(pid) for pid in old_workers), "the end of the old workers")
        assert alive(old)
        fresh.wait_answered(100)
        server.send(signal.SIGTERM)
        assert server.wait_exit() == 0
        server.follow(new).wait_for("Master has been promoted.")
        until(lambda: pidfile(server) == new, "the pidfile")
        kept.wait_answered(100)
        fresh.wait_answered(100)
    assert kept.failures == [] and fresh.failures == [] and fresh.refused == 0
    assert pidfile(server, "app.pid.2") is None and not title(new).endswith(".2]")
    assert {server.get().text.split()[0] for _ in range(10)} == {"two"}
    # And once more, from the new one.
    site(server, "three")
    third = upgrade(server)
    server.send(signal.SIGTERM)
    server.wait_exit()
    server.follow(third).wait_for("Master has been promoted.", count=2)
    until(lambda: server.get().text.startswith("three "), "the third version")


def test_the_way_back_loses_nothing_either(server):
    with server.load("/", clients=3, limit=60000) as kept, \
            server.load("/", clients=3, keepalive=False, limit=60000) as fresh:
        fresh.wait_answered(50)
        site(server, "two")
        new = upgrade(server)
        server.send(signal.SIGWINCH)
        until(lambda: children(server.pid) == [new], "the end of the old workers")
        fresh.wait_answered(50)
        # The old master serves again, with the code that there is now.
        site(server, "one again")
        mark = server.mark()
        server.send(signal.SIGHUP)
        server.wait_for("Booting worker", count=2, after=mark)
        until(lambda: b"one" in {body.split()[0] for body in list(fresh.bodies)}, "the first version")
        server.send(signal.SIGTERM, new)
        server.wait_for(rf"The new master \(pid:{new}\) has left; this one goes on")
        until(lambda: gone(new), "the end of the new master")
        kept.wait_answered(100)
        fresh.wait_answered(100)
    assert kept.failures == [] and fresh.failures == [] and fresh.refused == 0
    assert pidfile(server) == server.pid and pidfile(server, "app.pid.2") is None
    assert server.get().text.startswith("one again")
    assert len(server.workers()) == 2


def test_a_new_master_that_fails_leaves_the_old_one_alone(server):
    before = descriptors(server.pid)
    with server.load("/", clients=3, keepalive=False, limit=60000) as load:
        (server.folder / "site_code.py").write_text("import no_such_module\n")
        server.send(signal.SIGUSR2)
        server.wait_for(r"The new master \(pid:\d+\) exited with code 3, and says above why; this one goes on")
        load.wait_answered(50)
    assert load.failures == [] and load.refused == 0
    assert "No module named 'no_such_module'" in server.log
    assert pidfile(server) == server.pid and pidfile(server, "app.pid.2") is None
    until(lambda: descriptors(server.pid) == before, "as few descriptors as before")


def test_workers_that_made_room_come_back_if_the_new_master_dies(server):
    new = upgrade(server)
    server.send(signal.SIGWINCH)
    until(lambda: children(server.pid) == [new], "the end of the old workers")
    server.send(signal.SIGKILL, new)
    server.wait_for("was sent SIGKILL; this one goes on, and starts its workers again")
    until(lambda: len(server.workers()) == 2, "workers")
    assert server.get().text.startswith("one ")
    assert pidfile(server) == server.pid and pidfile(server, "app.pid.2") is None


def test_the_new_master_goes_on_when_the_old_one_is_killed(server):
    new = upgrade(server)
    with server.load("/", clients=3, keepalive=False, limit=60000) as load:
        load.wait_answered(50)
        server.send(signal.SIGKILL)
        server.process.wait(10)
        server.follow(new).wait_for("Master has been promoted.")
        until(lambda: pidfile(server) == new, "the pidfile")
        load.wait_answered(50)
    assert load.failures == [] and load.refused == 0


def test_usr2_and_winch_out_of_turn_change_nothing(server):
    workers = server.workers()
    server.send(signal.SIGWINCH)
    new = upgrade(server)
    server.send(signal.SIGUSR2)
    server.wait_for(r"\[WARNING\] USR2 signal ignored. Child exists.")
    server.send(signal.SIGUSR2, new)
    server.wait_for(r"\[WARNING\] USR2 signal ignored. Parent exists.")
    assert set(workers) == set(server.workers())
    end(server, new)


def test_the_file_of_a_unix_socket_belongs_to_the_last_one(serve):
    server = serve("features:app", bind="unix:app.sock")
    server.address = str(server.folder / "app.sock")
    new = upgrade(server, workers=1)
    server.send(signal.SIGTERM)
    server.wait_exit()
    server.follow(new).wait_for("Master has been promoted.")
    assert server.get().body == b"hello"
    server.stop()
    assert not (server.folder / "app.sock").exists()


def test_changed_addresses_are_opened_beside_those_that_stay(serve):
    server = serve("features:app", files={"gunicorn.conf.py": "bind = ['127.0.0.1:0', 'unix:old.sock']"}, bind=None)
    port = server.port
    (server.folder / "gunicorn.conf.py").write_text(f"bind = ['127.0.0.1:{port}', 'unix:new.sock']")
    new = upgrade(server, workers=1)
    server.send(signal.SIGTERM)
    server.wait_exit()
    server.follow(new).wait_for("Master has been promoted.")
    assert server.get().body == b"hello"
    server.address = str(server.folder / "new.sock")
    assert server.get().body == b"hello"
    server.address = ("127.0.0.1", port)


def test_pre_exec_is_called_in_the_new_process(serve):
    server = serve("features:app", files={"gunicorn.conf.py": """
import os

def on_starting(server):
    server.log.info("master %d has MARK=%s", os.getpid(), os.environ.get("MARK"))

def pre_exec(server):
    server.log.info("Forked child, re-executing. %d of %d", os.getpid(), os.getppid())
    os.environ["MARK"] = "of the hook"
"""}, env={"MARK": "of the start"})
    new = upgrade(server, workers=1)
    server.wait_for(rf"Forked child, re-executing. {new} of {server.pid}")
    server.wait_for(rf"master {new} has MARK=of the start")
    end(server, new)


def test_a_pre_exec_that_fails_fails_the_upgrade(serve):
    server = serve("features:app", files={"gunicorn.conf.py": "def pre_exec(server):\n    raise ValueError('not today')\n"})
    server.send(signal.SIGUSR2)
    server.wait_for("Exception in pre_exec hook")
    server.wait_for("ValueError: not today")
    server.wait_for(r"The new master \(pid:\d+\) exited with code 1")
    assert server.get().body == b"hello"


def test_the_new_master_starts_where_the_old_one_was_started(serve):
    folder = serve.folder({"one/site_code.py": SITE.format(version="one"), "two/site_code.py": SITE.format(version="two")})
    (folder / "current").symlink_to("one")
    server = serve("site_code:app", cwd=folder / "current", env={"PWD": str(folder / "current")})
    assert server.get().text.startswith("one ")
    (folder / "next").symlink_to("two")
    (folder / "next").rename(folder / "current")
    new = upgrade(server, workers=1)
    server.send(signal.SIGTERM)
    server.wait_exit()
    server.follow(new)
    until(lambda: server.get().text.startswith("two "), "what the link leads to now")


def test_inherited_sockets_are_passed_on_as_they_came(serve, monkeypatch, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        script = tmp_path / "activate"
        script.write_text(f'#!/bin/bash\nLISTEN_PID=$$ LISTEN_FDS=1 exec {running._SCRIPT} "$@" 3<&{listener.fileno()}\n')
        script.chmod(0o755)
        monkeypatch.setattr(running, "_SCRIPT", script)
        server = serve("features:app", bind=None, pass_fds=(listener.fileno(),))
        assert server.port == listener.getsockname()[1]
        new = upgrade(server, workers=1)
        server.send(signal.SIGTERM)
        server.wait_exit()
        server.follow(new).wait_for("Master has been promoted.")
        assert server.get().body == b"hello"
        server.stop()
        # It is not the server's to close.
        server.address = None


TELLING = """
import os

def nworkers_changed(server, new, old):
    with open("told", "a") as file:
        print(os.getpid(), server.master_name, server.master_pid, server.reexec_pid, file=file)
"""


def test_hooks_know_of_the_other_master_as_long_as_it_lives(serve):
    server = serve("features:app", files={"gunicorn.conf.py": TELLING})

    def tells(pid, *words):
        server.send(signal.SIGTTIN, pid)
        path, line = server.folder / "told", " ".join(map(str, (pid, *words)))
        until(lambda: path.read_text().splitlines()[-1] == line, f"a hook is told {line}")

    old, new = server.pid, upgrade(server, workers=1)
    tells(old, "Master", 0, new)
    tells(new, "Master.2", old, 0)
    end(server, new)
    server.wait_for("has left; this one goes on")
    tells(old, "Master", 0, 0)
    third = upgrade(server, workers=1)
    server.send(signal.SIGTERM)
    server.wait_exit()
    server.follow(third).wait_for("Master has been promoted.")
    tells(third, "Master", 0, 0)
