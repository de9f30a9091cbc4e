"""A Rust app behind the same command line, master and workers, with no Python in the process."""

import os
import signal
from pathlib import Path

import pytest

from harness import server as running
from harness import until

ROOT = Path(__file__).parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
BINARY = next((path for profile in ("ci", "release", "debug")
               if (path := TARGET / profile / "axum-example").exists()), None)

pytestmark = [
    pytest.mark.only_ferricorn("there is no gunicorn in it"),
    pytest.mark.skipif(BINARY is None, reason="examples/axum is not built: cargo build --profile ci -p axum-example"),
]


@pytest.fixture
def server(serve, monkeypatch):
    monkeypatch.setattr(running, "_SCRIPT", BINARY)
    server = serve(None, "-w", "2", "--access-logfile", "-")
    server.wait_workers(2)
    return server


def test_it_serves_without_python(server):
    assert server.get("/").status == 200
    for pid in [server.pid, *server.workers()]:
        assert "libpython" not in Path(f"/proc/{pid}/maps").read_text()
    assert "Listening at: http://127.0.0.1:" in server.log


def test_it_has_the_same_signals(server):
    old = server.workers()
    server.send(signal.SIGHUP)
    server.wait_workers(2, without=old)
    assert server.get("/").status == 200
    server.send(signal.SIGTTIN)
    server.wait_workers(3)
    os.kill(server.workers()[0], signal.SIGKILL)
    server.wait_for("SIGKILL")
    assert server.stop() == 0


def test_it_logs_access(server):
    server.get("/nothing-here")
    assert until(lambda: server.access_log, "an access line")[0].startswith('127.0.0.1 - - [')


def test_load_and_stop_lose_no_request(server):
    with server.load("/", clients=4, reconnect=False, limit=200000) as load:
        load.wait_answered(200)
        server.send(signal.SIGTERM)
        assert server.wait_exit() == 0
    assert load.failures == []


def test_raw_env_reaches_its_processes(serve, monkeypatch):
    monkeypatch.setattr(running, "_SCRIPT", BINARY)
    server = serve(None, env={"GREETING": "inherited"}, files={"ferricorn.toml": 'raw_env = ["GREETING=set"]\n'})
    [pid] = server.wait_workers(1)
    assert server.get().text == "set"
    (server.folder / "ferricorn.toml").write_text("threads = 1\n")
    server.send(signal.SIGHUP)
    # What was there before comes back.
    server.wait_workers(1, without=[pid])
    until(lambda: server.get().text == "inherited", "the new worker")


def test_its_help_is_its_own(cli, monkeypatch):
    monkeypatch.setattr(running, "_SCRIPT", BINARY)
    help = cli("--help").stdout
    assert "--bind" in help and "Python" not in help.partition("Options:")[0] and "APP_MODULE" not in help
    refused = cli("app:app")
    assert refused.returncode == 2 and "unexpected argument 'app:app'" in refused.stderr
