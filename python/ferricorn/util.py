"""What configurations use of `gunicorn.util`: finding an app or a class by name, and small things besides."""

import ast
import email.utils
import importlib
import os

from ferricorn.errors import AppImportError


def import_app(module):
    """The app that `module`, `module:name` or `module:factory("x", y=1)` names."""
    module, _, text = module.partition(":")
    loaded = importlib.import_module(module)
    text = text or "application"
    try:
        body = ast.parse(text, mode="eval").body
    except SyntaxError:
        raise AppImportError(f"Failed to parse {text!r} as an attribute name or function call.") from None
    call = isinstance(body, ast.Call)
    name = getattr(body.func if call else body, "id", None)
    if name is None:
        raise AppImportError(f"Failed to parse {text!r} as an attribute name or function call.")
    if not hasattr(loaded, name):
        raise AppImportError(f"Failed to find attribute {name!r} in {module!r}.")
    app = getattr(loaded, name)
    if call:
        try:
            args = [ast.literal_eval(arg) for arg in body.args]
            kwargs = {keyword.arg: ast.literal_eval(keyword.value) for keyword in body.keywords}
        except ValueError:
            raise AppImportError(f"Failed to parse arguments as literal values: {text!r}") from None
        app = app(*args, **kwargs)
    if app is None:
        raise AppImportError(f"Failed to find application object: {text!r}")
    if not callable(app):
        raise AppImportError("Application object must be callable.")
    return app


def load_class(uri, default="gunicorn.workers.sync.SyncWorker", section="gunicorn.workers"):
    """The class of that dotted name, or the class itself."""
    if isinstance(uri, type):
        return uri
    module, _, name = uri.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise RuntimeError(f"class uri {uri!r} invalid or not found: {error}") from None


def parse_address(netloc, default_port="8000"):
    """An address as `bind` has it: host and port, the path of a Unix socket, or a descriptor."""
    for prefix in ("unix://", "unix:"):
        if netloc.startswith(prefix):
            return netloc.removeprefix(prefix)
    if netloc.startswith("fd://"):
        return int(netloc.removeprefix("fd://"))
    netloc = netloc.removeprefix("tcp://")
    host, colon, port = netloc.rpartition(":") if ":" in netloc.rpartition("]")[2] else (netloc, "", "")
    host = host.strip("[]").lower() or "0.0.0.0"
    port = port if colon else default_port
    if not str(port).isdigit():
        raise RuntimeError(f"{port!r} is not a valid port number.")
    return host, int(port)


def is_ipv6(addr):
    """Whether it is an IPv6 address."""
    return ":" in addr


def getcwd():
    """The current directory, by the name that the shell has for it."""
    here, shell = os.getcwd(), os.environ.get("PWD", "")
    return shell if shell and os.path.exists(shell) and os.path.samefile(here, shell) else here


def http_date(timestamp=None):
    """A time as HTTP writes it; now if none is given."""
    return email.utils.formatdate(timestamp, usegmt=True)


def to_bytestring(value, encoding="utf8"):
    """Text as bytes."""
    return value if isinstance(value, bytes) else value.encode(encoding)
