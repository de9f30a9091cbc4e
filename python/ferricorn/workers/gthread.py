"""`ThreadWorker`, by its name in gunicorn: `worker_class` takes it for `gthread`."""

from ferricorn.workers.base import Worker


class ThreadWorker(Worker):
    """See `ferricorn.workers.base`."""


ThreadWorker.__module__ = "gunicorn.workers.gthread"
