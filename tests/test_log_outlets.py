"""Logs beyond a file of lines: JSON, syslog, statsd, and what the app prints."""

import json
import re
import signal

import pytest

from harness import IS_FERRICORN, Daemon, until

only_ferricorn = pytest.mark.only_ferricorn

NOISY = """
import os
import sys

print("printed while the app is imported", flush=True)


def app(environ, start_response):
    print("printed " + environ["PATH_INFO"], flush=True)
    print("complained " + environ["PATH_INFO"], file=sys.stderr, flush=True)
    if environ["PATH_INFO"] == "/child":
        os.system("echo echoed by a child")
    start_response("200 OK", [("Content-Length", "2"), ("X-Request-ID", "of-the-app")])
    return [b"ok"]
"""


def objects(text):
    """One JSON object a line."""
    return [json.loads(line) for line in text.splitlines()]


# JSON.


@only_ferricorn("gunicorn has no such setting")
def test_every_line_of_the_error_log_may_be_an_object(serve):
    server = serve("features:app", "--log-json", "--log-level", "debug", listening=False)
    server.wait_for("Listening at: http://127.0.0.1:[0-9]+")
    where = re.search(r"Listening at: http://127\.0\.0\.1:(\d+)", server.log)
    server.address = ("127.0.0.1", int(where[1]))
    server.get("/errors")
    server.get("/raise")
    server.wait_for("raised before the headers")
    server.wait_for("and more")
    assert server.stop() == 0
    told = objects(server.log)
    assert all(set(record) - {"stream"} == {"time", "level", "pid", "message"} for record in told), told
    booting = next(record for record in told if record["message"].startswith("Booting worker with pid"))
    assert booting["level"] == "INFO" and booting["message"].endswith(str(booting["pid"])) and booting["pid"] != server.pid
    [failed] = [record for record in told if "Traceback" in record["message"]]
    assert failed["level"] == "ERROR" and failed["message"].count("\n") > 3
    assert [record["message"] for record in told if record.get("stream") == "wsgi.errors"] == ["a word to wsgi.errors", "and more"]


@only_ferricorn("gunicorn has no such setting")
def test_every_line_of_the_access_log_may_be_an_object(serve):
    server = serve(NOISY, "--access-log-json", "--access-logfile", "access.log")
    with server.connect() as client:
        client.send(b'GET /a?b="\\ HTTP/1.1\r\nHost: x\r\nUser-Agent: \xff"\\\r\nX-Request-ID: of-the-client\r\n\r\n').response()
    path = server.folder / "access.log"
    until(lambda: path.read_text().endswith("\n"), "an access line")
    [told] = objects(path.read_text())
    assert isinstance(told.pop("time"), str) and isinstance(told.pop("duration"), float) and told.pop("pid") in server.workers()
    # It waited for the app's thread, if only for a moment.
    assert isinstance(told.pop("queue"), float)
    assert told == {"client": "127.0.0.1", "user": None, "method": "GET", "target": '/a?b="\\', "protocol": "HTTP/1.1", "host": "x",
                    "referer": None, "user_agent": 'ÿ"\\', "request_id": "of-the-app", "status": 200, "bytes": 2}


@only_ferricorn("gunicorn has no such setting")
def test_a_refused_request_is_an_object_too(serve):
    server = serve("features:app", "--access-log-json", "--access-logfile", "-")
    with server.connect() as client:
        client.send(b"GARBAGE\r\n\r\n").response()
    [told] = objects(until(lambda: server.access_log, "an access line")[0])
    assert (told["status"], told["method"], told["client"]) == (400, None, "127.0.0.1")


# Syslog.


def record(message):
    """Priority, name, pid and text of a message."""
    priority, name, pid, text = re.fullmatch(r"(?s)<(\d+)>(\S+): \[(\d+)\] (.*)", message).groups()
    return int(priority), name, int(pid), text


def test_both_logs_go_to_syslog_by_datagrams(serve):
    with Daemon() as daemon:
        server = serve("features:app", "--log-syslog", "--log-syslog-to", f"udp://127.0.0.1:{daemon.port}",
                       "--log-syslog-prefix", "shop", "--log-syslog-facility", "local0", "--access-logformat", "%(m)s %(U)s")
        server.get("/list")
        server.get("/raise")
        access = record(daemon.wait_for(lambda message: "GET /list" in message, "an access line"))
        error = record(daemon.wait_for(lambda message: "Traceback" in message, "the traceback"))
        booting = record(daemon.wait_for(lambda message: "Booting worker" in message, "the worker's first words"))
        server.stop()
        [worker] = {booting[2]}
        assert access == (16 * 8 + 6, "gunicorn.shop.access", worker, "GET /list")
        assert error[:3] == (16 * 8 + 3, "gunicorn.shop.error", worker)
        assert booting == (16 * 8 + 6, "gunicorn.shop.error", worker, f"Booting worker with pid: {worker}")
        ending = record(daemon.wait_for(lambda message: "Shutting down: Master" in message, "the master's last words"))
        assert ending[2] == server.pid
    # What is on stderr and stdout stays.
    assert "Booting worker" in server.log and server.access_log == []


@pytest.mark.parametrize("suffix", ["", "#dgram"])
def test_syslog_may_be_a_socket_in_the_file_system(serve, tmp_path, suffix):
    with Daemon(tmp_path / "log") as daemon:
        server = serve("features:app", "--log-syslog", "--log-syslog-to", f"unix://{tmp_path}/log{suffix}", "--name", "a:b",
                       "--disable-redirect-access-to-syslog")
        server.get("/raise")
        error = record(daemon.wait_for(lambda message: "Traceback" in message, "the traceback"))
        assert error[:2] == (11, "gunicorn.a.b.error")
        assert not any(".access" in message for message in daemon.messages)


@pytest.mark.parametrize("to", [
    # gunicorn's messages, with their NUL, run into one another by TCP.
    pytest.param("tcp", marks=only_ferricorn("gunicorn ends messages with a NUL")), "unix",
])
def test_syslog_may_be_a_stream(serve, tmp_path, to):
    with Daemon(tmp_path / "log" if to == "unix" else None, stream=True, end=b"\0" if to == "unix" else b"\n") as daemon:
        where = f"unix://{tmp_path}/log#stream" if to == "unix" else f"tcp://127.0.0.1:{daemon.port}"
        server = serve("features:app", "-w", "2", "--log-syslog", "--log-syslog-to", where, "--access-logformat", "%(U)s")
        server.wait_workers(2)
        with server.load("/list", clients=4, limit=200) as load:
            load.wait_answered(100)
        server.get("/raise")
        error = daemon.wait_for(lambda message: "Traceback" in message, "the traceback")
        assert ("\n" in error) == (to == "unix")
        until(lambda: sum(message.endswith("] /list") for message in daemon.messages) == load.answered, "all access lines")


@only_ferricorn("gunicorn waits for it")
def test_a_syslog_that_reads_nothing_holds_nobody_up(serve):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        server = serve("features:app", "--log-syslog", "--log-syslog-to", f"tcp://127.0.0.1:{deaf.getsockname()[1]}",
                       "--access-logformat", "x" * 7000)
        with server.load("/list", clients=4, limit=4000) as load:
            load.wait_answered(2000)
        assert load.failures == []


@only_ferricorn("gunicorn does not start")
def test_a_syslog_that_is_away_is_told_once(serve):
    with Daemon(stream=True) as daemon:
        port = daemon.port
    server = serve("features:app", "--log-syslog", "--log-syslog-to", f"tcp://127.0.0.1:{port}")
    for _ in range(5):
        server.get("/raise")
    server.wait_for("Traceback", count=5)
    pid = server.workers()[0]
    assert len(re.findall(rf"\[{pid}\] \[WARNING\] syslog at \S+ cannot be reached", server.log)) <= 1


@only_ferricorn("gunicorn does not start")
def test_a_syslog_that_has_no_address_yet_does_not_stop_the_start(serve):
    server = serve("features:app", "-w", "2", "--log-syslog", "--log-syslog-to", "udp://no-such-host.invalid")
    server.get("/raise")
    server.wait_for("Traceback")
    assert server.log.count("syslog_addr: the address of no-such-host.invalid cannot be found, workers go on looking for it") == 1
    assert "cannot be reached" not in server.log


def test_a_statsd_that_has_no_address_yet_does_not_stop_the_start(serve):
    server = serve("features:app", "-w", "2", "--statsd-host", "no-such-host.invalid:8125")
    for _ in range(5):
        assert server.get("/list").status == 200
    if IS_FERRICORN:
        assert server.log.count("statsd_host: the address of no-such-host.invalid cannot be found, workers go on looking for it") == 1
        assert "cannot be reached" not in server.log


# Statsd.


def metrics(daemon):
    return [line for message in daemon.messages for line in message.split("\n")]


def test_requests_and_records_are_counted_by_statsd(serve):
    with Daemon() as daemon:
        server = serve("features:app", "-w", "2", "--statsd-host", f"127.0.0.1:{daemon.port}", "--statsd-prefix", "shop",
                       "--dogstatsd-tags", "env:test")
        server.get("/list")
        server.get("/nowhere")
        server.get("/raise")
        with server.connect() as client:
            client.send(b"GARBAGE\r\n\r\n").response()
        for line in ["requests:1|c|@1.0", "request.status.200:1|c|@1.0", "request.status.404:1|c|@1.0",
                     "request.status.500:1|c|@1.0", "log.exception:1|c|@1.0", "log.warning:1|c|@1.0", "workers:2|g"]:
            until(lambda: f"shop.gunicorn.{line}|#env:test" in metrics(daemon), f"{line} among {metrics(daemon)}")
        durations = [line for line in metrics(daemon) if "duration" in line]
        assert all(re.fullmatch(r"shop\.gunicorn\.request\.duration:\d+\.\d+\|ms\|#env:test", line) for line in durations)
        server.send(signal.SIGTTOU)
        until(lambda: "shop.gunicorn.workers:1|g|#env:test" in metrics(daemon), f"one worker among {metrics(daemon)}")
    assert server.access_log == []


def test_who_waits_in_the_backlog_is_counted_each_second(serve):
    with Daemon() as daemon:
        server = serve("features:app", "-k", "sync", "--worker-connections", "1", "--enable-backlog-metric",
                       "--statsd-host", f"127.0.0.1:{daemon.port}", "--statsd-prefix", "shop")
        until(lambda: "shop.gunicorn.backlog:0|h" in metrics(daemon), "an empty backlog")
        with server.connect() as busy:
            busy.send(b"GET /sleep?20 HTTP/1.1\r\nHost: x\r\n\r\n")
            until(lambda: server.has("entered"), "the call")
            with server.connect(), server.connect():
                until(lambda: metrics(daemon).count("shop.gunicorn.backlog:2|h") >= 2, "the two who wait, twice")
        server.stop(signal.SIGQUIT)


def test_statsd_may_be_a_socket_in_the_file_system(serve, tmp_path):
    with Daemon(tmp_path / "statsd") as daemon:
        server = serve("features:app", "--statsd-host", f"unix://{tmp_path}/statsd", "--access-logfile", "-")
        server.get("/list")
        until(lambda: "gunicorn.request.status.200:1|c|@1.0" in metrics(daemon), f"a request among {metrics(daemon)}")
        until(lambda: server.access_log, "an access line")


@only_ferricorn("gunicorn tells each time, with a traceback")
def test_a_statsd_that_is_away_is_told_once(serve, tmp_path):
    server = serve("features:app", "--statsd-host", f"unix://{tmp_path}/nobody")
    for _ in range(5):
        assert server.get("/list").status == 200
    server.stop()
    assert 1 <= len(re.findall(rf"statsd at unix://{tmp_path}/nobody cannot be reached", server.log)) <= 2


# What the app prints.


def test_what_is_printed_goes_to_the_error_log(serve, tmp_path):
    log = tmp_path / "error.log"
    server = serve(NOISY, "--capture-output", "--error-logfile", log, "--access-logfile", "-", "--access-logformat", "line %(U)s",
                   log_file=log)
    server.get("/child")
    for text in ["printed while the app is imported", "printed /child", "complained /child", "echoed by a child", "line /child"]:
        server.wait_for(f"(?m)^{text}$")
    assert server.stdout.read_text() == ""
    if IS_FERRICORN:
        assert server.err == ""


def test_captured_output_follows_a_rotation(serve, tmp_path):
    log = tmp_path / "error.log"
    server = serve(NOISY, "--capture-output", "--error-logfile", log, log_file=log)
    server.get("/before")
    server.wait_for("printed /before")
    log.rename(tmp_path / "error.log.1")
    server.send(signal.SIGUSR1)

    def new_line():
        server.get("/after")
        return "printed /after" in server.log

    until(new_line, "what is printed comes to the new file")
    assert "printed /before" not in server.log


@only_ferricorn("gunicorn reads what it starts with")
def test_a_reload_may_give_the_output_back(serve, tmp_path):
    log = tmp_path / "error.log"
    conf = f"errorlog = {str(log)!r}\ncapture_output = True\n"
    server = serve(NOISY, files={"gunicorn.conf.py": conf}, log_file=log)
    server.get("/one")
    server.wait_for("printed /one")
    (server.folder / "gunicorn.conf.py").write_text(conf.replace("True", "False"))
    old = server.workers()
    server.send(signal.SIGHUP)
    server.wait_workers(1, without=old)
    server.get("/two")
    until(lambda: "printed /two" in server.stdout.read_text(), "the output on stdout")
    assert "printed /two" not in server.log
