"""`ASGIWorker`, by its name in gunicorn: `worker_class` takes it for `asgi`."""

from ferricorn.workers.base import Worker


class ASGIWorker(Worker):
    """See `ferricorn.workers.base`."""


ASGIWorker.__module__ = "gunicorn.workers.gasgi"
