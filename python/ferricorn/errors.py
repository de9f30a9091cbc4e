"""The exceptions of `gunicorn.errors`."""


class HaltServer(BaseException):
    """The server is to end, for this reason and with this exit code."""

    def __init__(self, reason, exit_status=1):
        super().__init__(reason, exit_status)
        self.reason, self.exit_status = reason, exit_status

    def __str__(self):
        return f"<HaltServer {self.reason!r} {self.exit_status}>"


class ConfigError(Exception):
    """A setting is wrong."""


class AppImportError(Exception):
    """There is no such application."""
