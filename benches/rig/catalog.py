"""The servers that are compared, as their authors would have them run with one worker."""

from .servers import BIN, TARGET, Server

_FERRICORN = (str(BIN / "ferricorn"), "-w", "1", "-b", "127.0.0.1:{port}", "{app}")
_GUNICORN = (str(BIN / "gunicorn"), "-w", "1", "-b", "127.0.0.1:{port}")
_GRANIAN = (str(BIN / "granian"), "--host", "127.0.0.1", "--port", "{port}", "--workers", "1", "--runtime-threads", "1")
_FASTPYSGI = (str(BIN / "python"), "run_fastpysgi.py", "{app}", "{port}")
_GTHREAD = ("-k", "gthread", "--threads", "4")
_MANY = ("--worker-connections", "2000", "--keep-alive", "120")

HYPER = Server("hyper", "bare hyper (no Python)", (str(TARGET / "release/baseline"), "{port}"), python=False)

WSGI = [
    Server("ferricorn", "Ferricorn", _FERRICORN, _MANY),
    HYPER,
    Server(
        "sync",
        "gunicorn sync",
        (*_GUNICORN, "-k", "sync", "{app}"),
        notes=(("", "no keep-alive; each request is a connection of its own."),),
    ),
    Server(
        "gthread",
        "gunicorn gthread",
        (*_GUNICORN, *_GTHREAD, "{app}"),
        _MANY,
        notes=(("", "with 4 threads, which serve it better than one."),),
    ),
    Server("granian", "Granian", (*_GRANIAN, "--interface", "wsgi", "--blocking-threads", "1", "{app}")),
    Server(
        "fastpysgi",
        "FastPySGI",
        _FASTPYSGI,
        notes=(("stream", "runs the generator to its end before it sends a byte, so it does not stream."),),
    ),
]

#: All of them on uvloop.
ASGI = [
    Server("ferricorn", "Ferricorn", _FERRICORN, _MANY),
    HYPER,
    Server(
        "uvicorn",
        "uvicorn",
        (
            *(str(BIN / "uvicorn"), "--host", "127.0.0.1", "--port", "{port}", "--loop", "uvloop"),
            *("--http", "httptools", "--no-access-log", "{app}"),
        ),
        ("--timeout-keep-alive", "120"),
    ),
    Server("granian", "Granian", (*_GRANIAN, "--interface", "asgi", "--loop", "uvloop", "{app}")),
    Server(
        "hypercorn",
        "hypercorn",
        (str(BIN / "hypercorn"), "-k", "uvloop", "-w", "1", "-b", "127.0.0.1:{port}", "{app}"),
        ("--keep-alive", "120"),
    ),
    Server("asgi", "gunicorn asgi", (*_GUNICORN, "-k", "asgi", "--asgi-loop", "uvloop", "{app}"), _MANY),
    Server("fastpysgi", "FastPySGI", _FASTPYSGI),
]

#: With 16 threads each, and ours with one.
THREADS = [
    Server("ferricorn-1", "Ferricorn, 1 thread", _FERRICORN),
    Server("ferricorn-16", "Ferricorn, 16 threads", (*_FERRICORN, "--threads", "16")),
    Server(
        "granian-16",
        "Granian, 16 blocking threads",
        (*_GRANIAN, "--interface", "wsgi", "--blocking-threads", "16", "{app}"),
    ),
    Server("gthread-16", "gunicorn gthread, 16 threads", (*_GUNICORN, "-k", "gthread", "--threads", "16", "{app}")),
]

_GEVENT = ("-k", "gevent", "--worker-connections", "2000")
GEVENT = [
    Server("ferricorn-gevent", "Ferricorn gevent", (*_FERRICORN, *_GEVENT)),
    Server("gunicorn-gevent", "gunicorn gevent", (*_GUNICORN, *_GEVENT, "{app}")),
]

_HOOKS, _LOG = ("-c", "confs/request_hooks.conf.py"), ("--access-logfile", "/dev/null")
#: The same server with what settings add to each request.
SETTINGS = [
    Server("plain", "Ferricorn", _FERRICORN),
    Server("with-file", "Ferricorn, a configuration file", (*_FERRICORN, "-c", "confs/no_hooks.conf.py")),
    Server("with-hooks", "Ferricorn, pre_request and post_request", (*_FERRICORN, *_HOOKS)),
    Server("with-log", "Ferricorn, access log", (*_FERRICORN, *_LOG)),
    Server("gthread-plain", "gunicorn gthread", (*_GUNICORN, *_GTHREAD, "{app}")),
    Server("gthread-with-hooks", "gunicorn gthread, the hooks", (*_GUNICORN, *_GTHREAD, *_HOOKS, "{app}")),
    Server("gthread-with-log", "gunicorn gthread, access log", (*_GUNICORN, *_GTHREAD, *_LOG, "{app}")),
]

SERVERS = {"WSGI": WSGI, "ASGI": ASGI, "Threads": THREADS, "gevent": GEVENT, "Settings": SETTINGS}


def names(*interfaces):
    """What the servers of these interfaces are called, each once."""
    return list(dict.fromkeys(server.name for interface in interfaces for server in SERVERS[interface]))


def choose(able, wanted, refuse):
    """Those of these servers that are named, or all; `refuse` takes what is wrong with the names."""
    known = [server.name for server in able]
    if unknown := [name for name in wanted or () if name not in known]:
        refuse(f"{', '.join(unknown)}: choose from {', '.join(known)}")
    return [server for server in able if not wanted or server.name in wanted]
