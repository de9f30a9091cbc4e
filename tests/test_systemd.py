"""What systemd is told, by a socket that stands for it: readiness, reloads, the end, who is the main process, signs of life."""

import os
import re
import signal
import time

import pytest

from harness import Daemon, children, gone, until
from harness import server as running

pytestmark = pytest.mark.only_ferricorn("gunicorn says READY alone, before any worker is there")


@pytest.fixture
def manager(tmp_path):
    with Daemon(tmp_path / "notify") as manager:
        manager.env = {"NOTIFY_SOCKET": str(tmp_path / "notify")}
        yield manager


def wait(manager, *words):
    """Waits for a message that has all these words, and returns it as a dictionary."""
    message = manager.wait_for(lambda text: set(words) <= set(text.splitlines()), " and ".join(words))
    return dict(line.split("=", 1) for line in message.splitlines())


def states(manager):
    """What was told, without STATUS and signs of life."""
    lines = [line for text in manager.messages for line in text.splitlines()]
    return [line for line in lines if not line.startswith(("STATUS=", "WATCHDOG=", "MONOTONIC_USEC="))]


SLOW = {"site_code.py": """
import pathlib, time
while not pathlib.Path("go").exists():
    time.sleep(0.01)
from features import app
"""}


def test_it_is_ready_when_a_worker_is(serve, manager):
    server = serve("site_code:app", "-w", "2", files=SLOW, env=manager.env)
    wait(manager, "STATUS=Starting: 0 of 2 workers are ready")
    assert states(manager) == []
    server.touch("go")
    wait(manager, "READY=1")
    wait(manager, "STATUS=Serving: 2 of 2 workers are ready")
    assert server.stop() == 0
    wait(manager, "STOPPING=1", "STATUS=Stopping: 2 workers are left")
    assert states(manager) == ["READY=1", "STOPPING=1"]


@pytest.mark.parametrize("broken", [None, "site_code.py", "gunicorn.conf.py"])
def test_a_reload_begins_and_ends_whatever_comes_of_it(serve, manager, broken):
    files = {"site_code.py": "from features import app\n", "gunicorn.conf.py": "workers = 2\n"}
    server = serve("site_code:app", files=files, env=manager.env)
    wait(manager, "STATUS=Serving: 2 of 2 workers are ready")
    if broken:
        (server.folder / broken).write_text("import no_such_module\n")
    before = time.monotonic_ns() // 1000
    server.send(signal.SIGHUP)
    at = int(wait(manager, "RELOADING=1")["MONOTONIC_USEC"])
    assert before <= at <= time.monotonic_ns() // 1000
    until(lambda: states(manager) == ["READY=1", "RELOADING=1", "READY=1"], "the end of the reload")
    assert server.get().body == b"hello"


def test_signs_of_life_come_twice_as_often_as_they_must(serve, manager):
    serve("features:app", env={**manager.env, "WATCHDOG_USEC": "200000"})
    wait(manager, "READY=1")
    begin, count = time.monotonic(), manager.messages.count("WATCHDOG=1")
    until(lambda: manager.messages.count("WATCHDOG=1") >= count + 10, "10 signs of life")
    assert time.monotonic() - begin > 0.6


def test_no_signs_of_life_for_a_watchdog_that_is_another_processs(serve, manager):
    serve("features:app", env={**manager.env, "WATCHDOG_USEC": "200000", "WATCHDOG_PID": "1"})
    wait(manager, "STATUS=Serving: 1 of 1 workers are ready")
    assert "WATCHDOG=1" not in manager.messages


def test_after_an_upgrade_the_new_master_is_the_main_process(serve, manager, monkeypatch, tmp_path):
    script = tmp_path / "watched"
    script.write_text(f'#!/bin/sh\nWATCHDOG_PID=$$ exec {running._SCRIPT} "$@"\n')
    script.chmod(0o755)
    monkeypatch.setattr(running, "_SCRIPT", script)
    server = serve("features:app", env={**manager.env, "WATCHDOG_USEC": "200000"})
    wait(manager, "READY=1")
    server.send(signal.SIGUSR2)
    new = int(server.wait_for(r"Started a new master \(pid:(\d+)\)").group(1))
    until(lambda: children(new), "its worker")
    server.wait_for("Booting worker", count=2)
    assert states(manager) == ["READY=1"], "the service goes on as it was"
    server.send(signal.SIGTERM)
    assert server.wait_exit() == 0
    server.follow(new).wait_for("Master has been promoted.")
    until(lambda: states(manager) == ["READY=1", f"MAINPID={new}", "READY=1"], "the new main process")
    count = manager.messages.count("WATCHDOG=1")
    until(lambda: manager.messages.count("WATCHDOG=1") > count, "its sign of life")
    server.stop()
    until(lambda: states(manager)[3:] == ["STOPPING=1"], "its end")


def test_an_upgrade_that_is_undone_changes_nothing_for_systemd(serve, manager):
    server = serve("features:app", env=manager.env)
    wait(manager, "READY=1")
    server.send(signal.SIGUSR2)
    new = int(server.wait_for(r"Started a new master \(pid:(\d+)\)").group(1))
    server.wait_for("Booting worker", count=2)
    server.send(signal.SIGTERM, new)
    until(lambda: gone(new), "the end of the new master")
    server.wait_for("this one goes on")
    assert states(manager) == ["READY=1"]


def test_a_unit_that_would_end_with_the_old_master_is_warned_of(serve, monkeypatch, tmp_path):
    script = tmp_path / "service"
    script.write_text(f'#!/bin/sh\nSYSTEMD_EXEC_PID=$$ exec {running._SCRIPT} "$@"\n')
    script.chmod(0o755)
    monkeypatch.setattr(running, "_SCRIPT", script)
    server = serve("features:app")
    server.send(signal.SIGUSR2)
    new = int(server.wait_for(r"Started a new master \(pid:(\d+)\)").group(1))
    server.wait_for(r"\[WARNING\] systemd follows this process.*Type=notify")
    server.send(signal.SIGTERM, new)
    until(lambda: gone(new), "the end of the new master")


def test_a_manager_that_does_not_listen_holds_nobody_up(serve, tmp_path):
    server = serve("features:app", env={"NOTIFY_SOCKET": str(tmp_path / "nobody")})
    assert server.get().body == b"hello"
    assert "NOTIFY_SOCKET" not in server.log


def test_an_abstract_name_is_understood(serve):
    name = f"\0ferricorn-test-{os.getpid()}-{time.monotonic_ns()}"
    with Daemon(name) as manager:
        serve("features:app", env={"NOTIFY_SOCKET": "@" + name[1:]})
        wait(manager, "READY=1")


def test_a_name_that_is_no_unix_socket_is_told(serve):
    server = serve("features:app", env={"NOTIFY_SOCKET": "vsock:2:1234"})
    assert re.search(r"\[WARNING\] The service manager is not told anything, since NOTIFY_SOCKET", server.log)
