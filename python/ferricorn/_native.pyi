"""What the extension module offers."""

__version__: str

def main(argv: list[str]) -> int:
    """Runs the command line `argv` and returns the exit code of this process."""

class RequestTimeout(BaseException):
    """Raised in the call of a WSGI application for a request that has taken longer than --request-timeout."""
