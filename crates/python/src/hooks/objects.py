"""What hooks are given: the server, the worker, the configuration and the log, with gunicorn's names for what they bear."""

import functools
import importlib
import inspect
import os
import socket
import sys
import time
from types import SimpleNamespace

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def load(value, arities):
    """The function of a hook, which may be given by its dotted name; TypeError if it does not take what it is to be given."""
    if isinstance(value, str):
        module, _, attribute = value.rpartition(".")
        try:
            value = getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            raise TypeError(f"cannot load '{value}': {error}") from None
    if not callable(value):
        raise TypeError(f"Value is not callable: {value!r}")
    parameters = inspect.signature(value).parameters.values()
    arity = sum(parameter.kind in _POSITIONAL for parameter in parameters)
    if arity not in arities:
        wanted = " or ".join(map(str, arities))
        raise TypeError(f"Value must have an arity of: {wanted} (it has {arity})")
    return value, arity


class Setting:
    """One setting: its name and its value."""

    def __init__(self, name, value):
        self.name, self.value = name, value

    def get(self):
        return self.value


class ClassName(str):
    """The name of a class that this server has no need of; it bears what the log asks a class for."""

    _KNOWN = {"sync": "SyncWorker", "gthread": "ThreadWorker", "asgi": "ASGIWorker", "gevent": "GeventWorker", "async": "AsyncWorker"}

    @property
    def __name__(self):
        return self._KNOWN.get(self, self.rpartition(".")[2])


class Config:
    """The settings by name."""

    def __init__(self, values):
        self.__dict__["settings"] = {name: Setting(name, value) for name, value in values.items()}

    def __getattr__(self, name):
        try:
            return self.__dict__["settings"][name].value
        except KeyError:
            raise AttributeError(f"No configuration setting for: {name}") from None

    @property
    def worker_class(self):
        return self._class("worker_class")

    @property
    def logger_class(self):
        return self._class("logger_class")

    def _class(self, name):
        value = self.settings[name].value
        return ClassName(value) if isinstance(value, str) else value

    def __setattr__(self, name, value):
        if name in self.settings:
            raise AttributeError("Invalid access!")
        super().__setattr__(name, value)


class Listener:
    """A listening socket, which stays the server's."""

    def __init__(self, fd, name):
        self._fd, self._name = fd, name

    def fileno(self):
        return self._fd

    @functools.cached_property
    def sock(self):
        """A socket of its own for the same listener, made when it is asked for."""
        return socket.socket(fileno=os.dup(self._fd))

    @property
    def family(self):
        return self.sock.family

    def getsockname(self):
        return self.sock.getsockname()

    def __str__(self):
        return self._name


class Application:
    """Stands for gunicorn's application object."""

    def __init__(self, cfg):
        self.cfg, self.callable, self.app_uri = cfg, None, cfg.wsgi_app

    def wsgi(self):
        """The app. The master has none; it is loaded there for who asks."""
        if self.callable is None:
            self.callable = importlib.import_module("ferricorn.util").import_app(self.cfg.wsgi_app)
        return self.callable


class Server:
    """Stands for gunicorn's arbiter: the master, in the master itself and, as it was at the fork, in a worker."""

    master_name, master_pid, reexec_pid, systemd = "Master", 0, 0, False

    def __init__(self):
        self.pid, self.WORKERS, self.LISTENERS = os.getpid(), {}, []
        self.num_workers, self.worker_age = None, 0
        self._born = self.cfg = None

    def _enter(self, cfg, log):
        """The configuration that counts from now on."""
        if self.cfg is cfg:
            return
        self.cfg, self.log, self.app = cfg, log, Application(cfg)
        self.address, self.timeout, self.worker_class = cfg.address, cfg.timeout, cfg.worker_class
        self._beside(self.master_pid, self.reexec_pid)

    def _beside(self, predecessor, successor):
        """The masters that live beside this one: the one that has started it, and the one that it has started."""
        self.master_pid, self.reexec_pid = predecessor, successor
        self.master_name, self.proc_name = ("Master.2", f"{self.cfg.proc_name}.2") if predecessor else ("Master", self.cfg.proc_name)
        path = self.cfg.pidfile
        self.pidfile = SimpleNamespace(fname=f"{path}.2" if predecessor else path, pid=self.pid) if path else None

    def _listen(self, listeners):
        self.LISTENERS = [Listener(fd, name) for fd, name in listeners]

    def _forking(self, age):
        self.worker_age = age
        self._born = Worker(self, age)
        return self._born

    def _forked(self, age, pid):
        if self._born is None or self._born.age != age:
            # A mold has forked it, and had its own worker.
            self._forking(age)
        self._born.pid = pid
        self.WORKERS[pid] = self._born

    def _gone(self, age, pid):
        worker = self.WORKERS.pop(pid, None)
        return worker or self._known(age, pid)

    def _known(self, age, pid):
        worker = Worker(self, age)
        worker.pid = pid
        return worker

    def _take_stock(self, workers):
        """Makes the book of workers agree with the master's."""
        self.WORKERS = {pid: self.WORKERS.get(pid) or self._known(age, pid) for age, pid in workers}


class Sign:
    """Stands for the file by which gunicorn's workers show that they live; whether they do is the server's to see."""

    def last_update(self):
        return time.monotonic()

    def notify(self):
        pass


class Worker:
    """A worker: in its own process it lives, in the master it is known by age and pid."""

    reloader, tmp, aborted = None, Sign(), False

    def __init__(self, server, age):
        self.age, self.pid, self.ppid, self.booted = age, "[booting]", server.pid, False
        self.cfg, self.log, self.app, self.sockets = server.cfg, server.log, server.app, server.LISTENERS
        self.timeout = server.timeout / 2
        self.max_requests = server.cfg.max_requests or sys.maxsize
        self._self = None
        self._alive = True

    def __str__(self):
        return f"<Worker {self.pid}>"

    @property
    def nr(self):
        """How many requests have come to it."""
        return self._self.requests() if self._self else 0

    @property
    def alive(self):
        """Whether it takes new clients. Set to False, it leaves when its requests are over."""
        return self._alive and (not self._self or self._self.is_alive())

    @alive.setter
    def alive(self, value):
        self._alive = bool(value)
        if self._self and not value:
            self._self.leave()

    def _attend(self, this):
        self._self, self.booted = this, True
        if not self._alive:
            this.leave()

    def _load(self, app):
        self.wsgi = self.app.callable = app

    def notify(self):
        """Does nothing: the server itself sees whether the worker makes progress."""


class Request:
    """A request as gunicorn's parser gives it, without its body."""

    trailers, must_close = (), False

    def __init__(self, method, uri, path, query, fragment, version, headers, scheme, peer, proxy_protocol_info):
        self.method, self.uri, self.path, self.query, self.fragment = method, uri, path, query, fragment
        self.version, self.headers, self.scheme = version, headers, scheme
        self.peer_addr = self.remote_addr = peer or ""
        self.proxy_protocol_info = proxy_protocol_info


class Response:
    """What a request was answered with."""

    headers_sent, upgrade, must_close = True, False, False

    def __init__(self, request, status, status_code, headers, sent, response_length):
        self.req, self.version = request, request.version
        self.status, self.status_code, self.headers = status, status_code, headers
        self.sent, self.response_length = sent, response_length
        self.chunked = response_length is None and request.version > (1, 0) and status_code not in (204, 304)
