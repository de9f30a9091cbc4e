"""`SyncWorker`, by its name in gunicorn: `worker_class` takes it for `sync`."""

from ferricorn.workers.base import Worker


class SyncWorker(Worker):
    """See `ferricorn.workers.base`."""


SyncWorker.__module__ = "gunicorn.workers.sync"
