"""gevent, patched at the top of the file, with a driver that is patched in the worker."""
try:
    from gevent import monkey
    monkey.patch_all()
except ImportError:
    raise SystemExit("gevent is missing")

worker_class = "gevent"
workers = 2
worker_connections = 500
timeout = 60
keepalive = 5
bind = "0.0.0.0:8000"


def post_fork(server, worker):
    try:
        from psycogreen.gevent import patch_psycopg
    except ImportError:
        worker.log.info("psycopg stays as it is")
    else:
        patch_psycopg()
