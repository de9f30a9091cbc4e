"""Files that tell an orchestrator how things are."""
import os
import pathlib

STATE = pathlib.Path(os.environ.get("STATE_DIR", "/tmp"))
workers = 2
graceful_timeout = 10
timeout = 0


def when_ready(server):
    (STATE / "ready").write_text(str(server.pid))


def post_worker_init(worker):
    (STATE / f"worker-{worker.age}").write_text(str(worker.pid))


def child_exit(server, worker):
    server.log.info("left: %s", sorted(one.age for one in server.WORKERS.values()))


def on_exit(server):
    (STATE / "ready").unlink(missing_ok=True)
