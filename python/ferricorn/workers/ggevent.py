"""`GeventWorker` and `GeventPyWSGIWorker`, by their names in gunicorn: `worker_class` takes them for `gevent`."""

from ferricorn.workers.base import Worker


class GeventWorker(Worker):
    """See `ferricorn.workers.base`."""


class GeventPyWSGIWorker(GeventWorker):
    """See `ferricorn.workers.base`."""


GeventWorker.__module__ = GeventPyWSGIWorker.__module__ = "gunicorn.workers.ggevent"
