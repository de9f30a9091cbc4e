"""Signals, deaths and time-outs, idle and under load."""

import os
import re
import signal
import time
from pathlib import Path

import pytest

from harness import IS_GUNICORN, Unanswered, alive, gone, until

only_ferricorn = pytest.mark.only_ferricorn

KEEPALIVE = b"GET /pid HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def server(serve):
    server = serve("features:app", "-w", "2", "--graceful-timeout", "8")
    server.wait_workers(2)
    wait_serving(server, 2)
    return server


def wait_serving(server, count):
    """Waits until so many workers have answered, so that all their handlers stand."""
    seen = set()

    def ask():
        clients = [server.connect().send(b"GET /sleep?0.02 HTTP/1.1\r\nHost: x\r\n\r\n") for _ in range(count)]
        clients.append(server.connect().send(KEEPALIVE))
        for client in clients:
            body = client.response().body
            if body != b"slept":
                seen.add(body)
            client.close()
        return len(seen) >= count

    until(ask, f"{count} serving workers")
    (server.folder / "entered").unlink()


# Stopping.


@pytest.mark.parametrize("number, name", [(signal.SIGTERM, "term"), (signal.SIGINT, "int"), (signal.SIGQUIT, "quit")])
def test_a_stop_signal_ends_all_with_0(server, number, name):
    workers = server.workers()
    assert server.stop(number) == 0
    assert f"Handling signal: {name}" in server.log
    assert "Shutting down: Master" in server.log
    for pid in workers:
        assert f"Worker exiting (pid: {pid})" in server.log
        assert gone(pid)


@only_ferricorn("gunicorn's Python takes each signal to the last moment")
def test_a_term_that_is_repeated_to_the_end_changes_nothing(server):
    server.send(signal.SIGTERM)
    until(lambda: gone_under_terms(server.pid), "the end")
    assert server.wait_exit() == 0


def gone_under_terms(pid):
    """Sends TERM again, as long as there is a process to take it."""
    if alive(pid):
        os.kill(pid, signal.SIGTERM)
    return not alive(pid)


def test_term_lets_requests_in_flight_end(serve):
    server = serve("features:app")
    server.get()
    with server.connect() as client:
        client.send(b"GET /sleep?0.7 HTTP/1.1\r\nHost: x\r\n\r\n")
        until(lambda: (server.folder / "entered").exists(), "the call")
        server.send(signal.SIGTERM)
        response = client.response()
        assert (response.status, response.body) == (200, b"slept")
        if not IS_GUNICORN:
            assert response.header("connection").lower() == "close"
        assert client.at_end()
    assert server.wait_exit() == 0


@only_ferricorn("gunicorn answers what waits for a thread with a reset")
def test_term_lets_requests_that_wait_for_the_app_be_served(serve):
    server = serve("features:app")
    clients = [server.connect() for _ in range(4)]
    for client in clients:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").response()
    for client in clients:
        client.send(b"GET /sleep?0.3 HTTP/1.1\r\nHost: x\r\n\r\n")
    until(lambda: (server.folder / "entered").exists(), "the first call")
    server.send(signal.SIGTERM)
    for client in clients:
        assert client.response().body == b"slept"
        client.close()
    assert server.wait_exit() == 0


@only_ferricorn("gunicorn resets some")
@pytest.mark.parametrize("bind", ["127.0.0.1:0", "unix:app.sock"])
def test_term_refuses_new_connections_and_resets_none(serve, bind):
    for _ in range(3):
        server = serve("features:app", "-w", "2", bind=bind)
        if bind.startswith("unix:"):
            server.address = str(server.folder / server.address)
        server.wait_workers(2)
        with server.load("/", clients=8, keepalive=False, limit=200000) as load:
            load.wait_answered(200)
            server.send(signal.SIGTERM)
            assert server.wait_exit() == 0
            until(lambda: load.refused, "a refusal")
        assert load.failures == []
        assert "ERROR" not in server.log


@only_ferricorn("gunicorn drops those that it has no room for")
def test_term_serves_whom_a_full_worker_had_left_in_the_queue(serve):
    server = serve("features:app", "--worker-connections", "2")
    server.get()
    clients = [server.connect().send(b"GET /sleep?0.1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") for _ in range(8)]
    until(lambda: (server.folder / "entered").exists(), "the first call")
    server.send(signal.SIGTERM)
    for client in clients:
        assert client.response().body == b"slept"
        client.close()
    assert server.wait_exit() == 0


THREADS = """
import threading
import time
from pathlib import Path


def start():
    threading.Thread(target=time.sleep, args=(3,), name="poller").start()
    threading.Thread(target=time.sleep, args=(60,), name="watcher", daemon=True).start()
"""


@only_ferricorn("gunicorn says nothing")
def test_threads_that_hold_up_the_end_of_a_worker_are_named(serve):
    server = serve("threads:app", files={"threads.py": f"from features import app\n{THREADS}\nstart()\n"})
    server.get()
    worker = server.wait_workers(1)[0]
    server.send(signal.SIGTERM)
    server.wait_for(rf"\[WARNING\] Worker \(pid: {worker}\) has ended, but .* no daemons: poller\. .*graceful timeout \(30 s\)")
    assert server.wait_exit() == 0
    assert "watcher" not in server.log


@only_ferricorn("gunicorn says nothing")
def test_threads_of_the_config_file_that_hold_up_the_end_of_the_master_are_named(serve):
    server = serve("features:app", files={"gunicorn.conf.py": f"{THREADS}\nstart()\n"})
    server.get()
    server.send(signal.SIGTERM)
    server.wait_for(rf"\[{server.pid}\] \[WARNING\] The master has ended, but .* no daemons: poller\. Nothing but SIGKILL")
    assert server.wait_exit() == 0


@only_ferricorn("gunicorn resets idle connections")
def test_term_under_load_loses_no_request(server):
    with server.load("/", clients=6, reconnect=False, limit=200000) as load:
        load.wait_answered(300)
        server.send(signal.SIGTERM)
        assert server.wait_exit() == 0
    assert load.failures == [] and load.refused == 0


def test_quit_does_not_wait_for_requests(server):
    with server.connect() as client:
        client.send(b"GET /sleep?30 HTTP/1.1\r\nHost: x\r\n\r\n")
        until(lambda: (server.folder / "entered").exists(), "the call")
        begin = time.monotonic()
        assert server.stop(signal.SIGQUIT) == 0
        assert time.monotonic() - begin < 9.5


def test_the_graceful_timeout_bounds_a_stop(serve):
    server = serve("features:app", "--graceful-timeout", "1")
    server.get()
    with server.connect() as client:
        client.send(b"GET /sleep?60 HTTP/1.1\r\nHost: x\r\n\r\n")
        until(lambda: (server.folder / "entered").exists(), "the call")
        begin = time.monotonic()
        assert server.stop() == 0
        assert 0.9 < time.monotonic() - begin < 6


def test_a_second_signal_makes_a_graceful_stop_quick(server):
    with server.connect() as client:
        client.send(b"GET /sleep?30 HTTP/1.1\r\nHost: x\r\n\r\n")
        until(lambda: (server.folder / "entered").exists(), "the call")
        begin = time.monotonic()
        server.send(signal.SIGTERM)
        server.wait_for("Handling signal: term")
        server.send(signal.SIGINT)
        assert server.wait_exit() == 0
        assert time.monotonic() - begin < 6


def test_term_to_one_worker_is_graceful_and_it_is_replaced(server):
    first, second = server.workers()
    server.send(signal.SIGTERM, first)
    workers = server.wait_workers(2, without=[first])
    assert second in workers
    server.wait_for(rf"Worker exiting \(pid: {first}\)")
    assert server.get().body == b"hello"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_runs_its_atexit_functions(serve, number):
    server = serve("leaving:app", "-w", "2")
    wait_serving(server, 2)
    workers = server.workers()
    assert server.stop(number) == 0
    assert {path.name for path in server.folder.glob("left-*")} == {f"left-{pid}" for pid in workers}


# Reloading.


def test_hup_brings_new_code(serve):
    source = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "3")])
    return [b"old"]
"""
    server = serve("site_code:app", "-w", "2", files={"site_code.py": source})
    assert server.get().text == "old"
    workers = server.wait_workers(2)
    (server.folder / "site_code.py").write_text(source.replace("old", "new"))
    server.send(signal.SIGHUP)
    server.wait_for("Handling signal: hup")
    server.wait_workers(2, without=workers)
    assert {server.get().text for _ in range(10)} == {"new"}
    assert server.pid == server.process.pid and alive(server.pid)


def test_hup_reads_the_settings_again(serve):
    server = serve("features:app", files={"gunicorn.conf.py": "workers = 1\n"})
    server.get()
    old = server.wait_workers(1)
    (server.folder / "gunicorn.conf.py").write_text("workers = 3\n")
    server.send(signal.SIGHUP)
    server.wait_workers(3, without=old)
    assert server.get().status == 200


@only_ferricorn("gunicorn resets idle connections")
def test_hup_under_load_loses_no_request(server):
    workers = server.workers()
    with server.load("/pid", clients=4, limit=60000) as load:
        load.wait_answered(200)
        server.send(signal.SIGHUP)
        workers = server.wait_workers(2, without=workers)
        load.wait_answered(200)
        server.send(signal.SIGHUP)
        server.wait_workers(2, without=workers)
        load.wait_answered(200)
    assert load.failures == [] and load.refused == 0
    assert len(load.bodies) >= 4, "the load did not see the new workers"


@only_ferricorn("gunicorn leaves")
def test_hup_with_a_broken_config_file_changes_nothing(serve):
    server = serve("features:app", files={"gunicorn.conf.py": "workers = 1\n"})
    server.get()
    mark = server.mark()
    (server.folder / "gunicorn.conf.py").write_text("workers = \n")
    server.send(signal.SIGHUP)
    server.wait_for(r"\[(ERROR|CRITICAL)\]", after=mark)
    assert server.get().status == 200


@only_ferricorn("gunicorn stops the whole server")
def test_hup_onto_code_that_does_not_import_keeps_the_old_workers(serve):
    server = serve("site_code:app", "-w", "2", files={"site_code.py": "from features import app\n"})
    workers = server.wait_workers(2)
    # Both must have imported the code before it breaks.
    wait_serving(server, 2)
    (server.folder / "site_code.py").write_text("import no_such_module\n")
    server.send(signal.SIGHUP)
    server.wait_for(r"\[ERROR\] Reload failed: worker \(pid:\d+\) failed to boot.*2 workers go on serving")
    assert server.log.count("Traceback") == 1 and "SIGQUIT" not in server.log
    assert "No module named 'no_such_module'" in server.log
    server.wait_workers(2)
    assert server.workers() == workers and server.get().status == 200
    (server.folder / "site_code.py").write_text("from features import app\n")
    server.send(signal.SIGHUP)
    server.wait_workers(2, without=workers)
    assert server.get().status == 200


@only_ferricorn("gunicorn resets some")
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTTOU])
def test_new_connections_outlive_a_change_of_workers(server, number):
    with server.load("/", clients=8, keepalive=False, limit=60000) as load:
        for _ in range(4):
            workers = server.workers()
            if number == signal.SIGTTOU:
                server.send(signal.SIGTTIN)
                server.wait_workers(3)
                server.send(number)
                server.wait_workers(2)
            else:
                server.send(number)
                server.wait_workers(2, without=workers)
            load.wait_answered(300)
    assert load.failures == [] and load.refused == 0


@only_ferricorn("gunicorn takes in more than it serves in time")
def test_a_worker_that_retires_leaves_the_queue_to_others(serve):
    server = serve("features:app", "-w", "2", "--graceful-timeout", "3")
    server.wait_workers(2)
    wait_serving(server, 2)
    # More than one worker alone could serve within the graceful timeout.
    clients = [server.connect().send(b"GET /sleep?0.25 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") for _ in range(20)]
    until(lambda: (server.folder / "entered").exists(), "the first call")
    server.send(signal.SIGTTOU)
    for client in clients:
        assert client.response().body == b"slept"
        client.close()


# More and fewer.


def test_ttin_and_ttou_change_the_number_of_workers(server):
    two = server.workers()
    server.send(signal.SIGTTIN)
    three = server.wait_workers(3)
    assert set(two) < set(three)
    server.send(signal.SIGTTOU)
    assert len(server.wait_workers(2)) == 2
    server.send(signal.SIGTTOU)
    one = server.wait_workers(1)
    server.send(signal.SIGTTOU)
    server.wait_for("Handling signal: ttou", count=3)
    assert server.get().body == b"hello"
    assert server.workers() == one


# Logs.


def test_usr1_opens_the_logs_again(serve):
    folder = serve.folder()
    error, access = folder / "error.log", folder / "access.log"
    server = serve("features:app", "--error-logfile", error, "--access-logfile", access, log_file=error)
    server.get("/first")
    until(lambda: access.exists() and "/first" in access.read_text(), "the access line")
    server.wait_for("Booting worker")
    error.rename(folder / "error.old")
    access.rename(folder / "access.old")
    server.send(signal.SIGUSR1)
    until(lambda: access.exists() and error.exists(), "new log files")

    def new_line():
        server.get("/second")
        return "/second" in access.read_text()

    until(new_line, "an access line in the new file")
    assert "/first" in (folder / "access.old").read_text()
    assert "/first" not in access.read_text()
    server.stop()
    assert "Shutting down" in error.read_text()


# Deaths.


def test_a_killed_worker_is_replaced_and_named(server):
    first, second = server.workers()
    os.kill(first, signal.SIGKILL)
    server.wait_for(rf"(?s)pid:\s?{first}\b[^\n]*SIGKILL|SIGKILL[^\n]*{first}")
    assert second in server.wait_workers(2, without=[first])
    until(lambda: gone(first), "the zombie is reaped")
    assert server.get().body == b"hello"


def test_killing_a_worker_under_load_costs_only_its_own_requests(server):
    with server.load("/", clients=4, limit=60000) as load:
        load.wait_answered(200)
        victim = server.workers()[0]
        os.kill(victim, signal.SIGKILL)
        server.wait_workers(2, without=[victim])
        load.wait_answered(200)
    assert len(load.failures) <= 4, load.failures
    assert load.refused == 0


@only_ferricorn("gunicorn notices within a second, and a busy worker only after its request")
def test_workers_leave_when_their_master_is_killed(server):
    workers = server.workers()
    os.kill(server.pid, signal.SIGKILL)
    server.expected_exit = {-signal.SIGKILL}
    assert server.wait_exit() == -signal.SIGKILL
    until(lambda: not any(alive(pid) for pid in workers), "the workers' end", 5)


# No progress.


def test_a_worker_that_makes_no_progress_is_killed_and_replaced(serve):
    server = serve("features:app", "-k", "sync", "-t", "1")
    server.get()
    worker = server.wait_workers(1)[0]
    with server.connect() as client:
        client.send(b"GET /sleep?60 HTTP/1.1\r\nHost: x\r\n\r\n")
        server.wait_for(rf"\[CRITICAL\] WORKER TIMEOUT \(pid:\s?{worker}\)")
        assert not client.read_to_end().startswith(b"HTTP/1.1 200")
    server.wait_workers(1, without=[worker])
    assert server.get().body == b"hello"


@only_ferricorn("gunicorn says neither")
def test_the_kill_names_the_request_and_shows_the_stack(serve):
    server = serve("features:app", "-t", "1")
    server.get()
    with server.connect() as client:
        client.send(b"POST /sleep/secret?60 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        server.wait_for("WORKER TIMEOUT")
        server.wait_for(r"POST /sleep/secret\b")
        server.wait_for(r'File ".*features\.py", line \d+,? in sleep')
    assert "?60" not in server.log, "the query may hold secrets"
    server.wait_for(r"Worker \(pid:\d+\) ended at SIGABRT")
    assert "Error handling request" not in server.log and "SystemExit" not in server.log, "it is told twice"
    assert server.get().body == b"hello"


@only_ferricorn("gunicorn's stack comes from the worker itself, which cannot run")
def test_a_worker_that_holds_the_gil_is_killed_with_its_stack(serve):
    server = serve("""
from collections import deque
from itertools import repeat

def app(environ, start_response):
    if environ["PATH_INFO"] == "/hold":
        hold_the_gil()
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]

def hold_the_gil():
    deque(repeat(None), maxlen=0)  # for ever, in C
""", "-t", "2")
    assert server.get().body == b"ok"
    worker = server.wait_workers(1)[0]
    with server.connect() as client:
        client.send(b"GET /hold HTTP/1.1\r\nHost: x\r\n\r\n")
        server.wait_for("WORKER TIMEOUT")
        server.wait_for(r"GET /hold\b")
        server.wait_for("hold_the_gil")
        server.wait_workers(1, without=[worker])
    assert server.get().body == b"ok"


def test_a_stopped_worker_is_killed_and_replaced(serve):
    server = serve("features:app", "-w", "1", "-t", "2")
    server.get()
    worker = server.wait_workers(1)[0]
    os.kill(worker, signal.SIGSTOP)
    with server.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        server.wait_for("WORKER TIMEOUT", timeout=20)
        server.wait_workers(1, without=[worker])
        client.socket.settimeout(10)
        try:
            assert client.response().body == b"hello"
        except Unanswered:
            pass  # It had been accepted before the stop.
    until(lambda: gone(worker), "the stopped worker")
    assert server.get().body == b"hello"


@only_ferricorn("gunicorn measures by the clock alone")
def test_a_stopped_master_murders_nobody_when_it_goes_on(serve):
    server = serve("features:app", "-w", "2", "-t", "2")
    server.get()
    workers = server.wait_workers(2)
    os.kill(server.pid, signal.SIGSTOP)
    time.sleep(4)
    os.kill(server.pid, signal.SIGCONT)
    for _ in range(20):
        assert server.get().body == b"hello"
        time.sleep(0.05)
    assert server.workers() == workers and "WORKER TIMEOUT" not in server.log


def test_a_worker_that_is_idle_is_not_killed(serve):
    server = serve("features:app", "-t", "1")
    server.get()
    worker = server.wait_workers(1)
    time.sleep(3)
    assert server.workers() == worker and "TIMEOUT" not in server.log


def test_timeout_zero_never_kills(serve):
    server = serve("features:app", "-k", "sync", "-t", "0")
    worker = server.wait_workers(1)
    assert server.get("/sleep?3").body == b"slept"
    assert server.workers() == worker


# Replacement after a number of requests.


@only_ferricorn("gunicorn loses some in the change")
def test_max_requests_replaces_workers_and_loses_no_request(serve):
    server = serve("features:app", "-w", "2", "--max-requests", "50", "--max-requests-jitter", "20")
    server.get()
    with server.load("/pid", clients=4, limit=200000) as load:
        until(lambda: len(load.bodies) >= 6, "four workers that were replaced")
    assert load.failures == [] and load.refused == 0
    assert len(re.findall("Booting worker", server.log)) >= 6


def test_max_requests_replaces_a_worker(serve):
    server = serve("features:app", "--max-requests", "5")
    first = server.get("/pid").text
    for _ in range(4):
        server.get("/pid")
    server.wait_workers(1, without=[int(first)])
    assert server.get("/pid").text != first


# What ps shows.


def title(pid):
    return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").decode()


@only_ferricorn("gunicorn's titles take a package, and say no state")
def test_titles_show_what_each_process_is_about(serve):
    server = serve("slow_start:app", "-n", "mysite", files={"slow_start.py": """
import pathlib, time
while not pathlib.Path("go").exists():
    time.sleep(0.01)
from features import app
"""})
    (worker,) = server.wait_workers(1)
    assert title(server.pid) == "ferricorn: master [mysite]"
    until(lambda: title(worker) == "ferricorn: worker [mysite] starting", "the first title")
    server.touch("go")
    until(lambda: title(worker) == "ferricorn: worker [mysite] serving", "the second")
    with server.connect() as client:
        client.send(b"GET /sleep?1 HTTP/1.1\r\nHost: x\r\n\r\n")
        until(lambda: server.has("entered"), "the call")
        server.send(signal.SIGTERM)
        until(lambda: title(worker) == "ferricorn: worker [mysite] leaving", "the last")
        assert client.response().body == b"slept"


@only_ferricorn("it takes a package")
def test_a_title_of_the_apps_own_stays(serve):
    server = serve("""
import ctypes
# As a package such as setproctitle does: it writes where the arguments are.
fields = open("/proc/self/stat").read().rpartition(")")[2].split()
start, end = int(fields[45]), int(fields[46])
ctypes.memset(start, 0, end - start)
ctypes.memmove(start, b"shop", 4)

def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
""")
    assert server.get().body == b"ok"
    worker = int(server.wait_for(r"Booting worker with pid: (\d+)").group(1))
    assert title(worker) == "shop"
