"""Metrics to a statsd with tags."""
import os
import socket

statsd_host = os.environ.get("STATSD_HOST", "localhost:8125")
statsd_prefix = "shop.web"
dogstatsd_tags = "env:test,host:" + socket.gethostname().split(".")[0]
workers = 1


def post_fork(server, worker):
    server.log.info("a worker more", extra={"metric": "shop.workers.born", "value": 1, "mtype": "counter"})
