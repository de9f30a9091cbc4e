"""Metrics of all workers by prometheus_client's directory."""
import os
import shutil
from pathlib import Path

from prometheus_client import multiprocess

metrics = Path(os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", "metrics"))
bind = "0.0.0.0:8000"
workers = 2


def on_starting(server):
    shutil.rmtree(metrics, ignore_errors=True)
    metrics.mkdir(parents=True)


def child_exit(server, worker):
    multiprocess.mark_process_dead(worker.pid)
    server.log.info("metrics of worker %s are given up", worker.pid)
