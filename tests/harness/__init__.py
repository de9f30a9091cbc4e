"""A small language for tests that start a real server and speak to it in literal bytes."""

from .client import Client, Response, Unanswered, request
from .crowd import Crowd
from .daemon import Daemon
from .load import Load
from .package import HIDE_GUNICORN
from .procs import alive, anonymous_kib, children, connections, cpu_seconds, descriptors, gone, in_session, listeners, rests, sleeps, threads, title
from .server import DEADLINE, IS_FERRICORN, IS_GUNICORN, IS_UVICORN, SERVER, Server, run_cli, until

__all__ = [
    "Client", "Crowd", "DEADLINE", "Daemon", "HIDE_GUNICORN", "IS_FERRICORN", "IS_GUNICORN", "IS_UVICORN", "Load", "Response", "SERVER", "Server",
    "Unanswered", "alive", "anonymous_kib", "children", "connections", "cpu_seconds", "descriptors", "gone", "in_session", "listeners",
    "request", "rests", "run_cli", "sleeps", "threads", "title", "until",
]
