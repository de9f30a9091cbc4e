"""What the extension module offers."""

from typing import Any

__version__: str

def main(argv: list[str]) -> int:
    """Runs the command line `argv` and returns the exit code of this process."""

def embed(application: Any, argv: list[str]) -> int:
    """The same for a program that embeds the server: `application` is a `ferricorn.app.base.BaseApplication`."""

def settings() -> list[tuple[str, str, tuple[str, ...], Any, str]]:
    """The table of settings: name, chapter, flags, default and description of each."""

class RequestTimeout(BaseException):
    """Raised in the call of a WSGI application for a request that has taken longer than --request-timeout."""
