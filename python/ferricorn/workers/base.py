"""`Worker`, of which worker classes are derived: here they are names for how an app is driven, and drive nothing."""

import signal


class Worker:
    """What a worker class of Python's derives from. `worker_class` takes gunicorn's own and uvicorn's."""

    SIGNALS = [getattr(signal, f"SIG{name}") for name in "ABRT HUP QUIT INT TERM USR1 USR2 WINCH CHLD".split()]
    PIPE = []

    def __init__(self, *args, **kwargs):
        raise RuntimeError("worker classes written in Python cannot drive this server; see docs/migrating.md, worker_class")

    @classmethod
    def check_config(cls, cfg, log):
        """Nothing is to be checked."""


Worker.__module__ = "gunicorn.workers.base"
