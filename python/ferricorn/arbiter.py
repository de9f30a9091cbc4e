"""`Arbiter` by name: modules of worker classes import it for its exit codes."""


class Arbiter:
    """gunicorn's master. Here the master is not written in Python; see `ferricorn.app.base.BaseApplication.run`."""

    WORKER_BOOT_ERROR = 3
    APP_LOAD_ERROR = 4

    def __init__(self, app):
        self.app = app

    def run(self):
        """Runs the application, as its own `run` does."""
        self.app.run()
