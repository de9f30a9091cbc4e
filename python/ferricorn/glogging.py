"""Loggers in the manner of `gunicorn.glogging`: what configurations derive their own from, by Python's `logging`."""

import base64
import binascii
import http
import json
import logging
import logging.config
import logging.handlers
import os
import socket
import sys
import threading
import time
import traceback
from datetime import timedelta
from types import SimpleNamespace

_FORM = "%(asctime)s [%(process)d] [%(levelname)s] %(message)s"
_DATES = "[%Y-%m-%d %H:%M:%S %z]"

SYSLOG_FACILITIES = dict(logging.handlers.SysLogHandler.facility_names)

# What `logconfig_dict` and its kin are laid over, by their top-level keys.
CONFIG_DEFAULTS = {
    "version": 1,
    "disable_existing_loggers": False,
    "root": {"level": "INFO", "handlers": ["console"]},
    "loggers": {
        "gunicorn.error": {"level": "INFO", "handlers": ["error_console"], "propagate": True, "qualname": "gunicorn.error"},
        "gunicorn.access": {"level": "INFO", "handlers": ["console"], "propagate": True, "qualname": "gunicorn.access"},
    },
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": "generic", "stream": "ext://sys.stdout"},
        "error_console": {"class": "logging.StreamHandler", "formatter": "generic", "stream": "ext://sys.stderr"},
    },
    "formatters": {"generic": {"format": _FORM, "datefmt": _DATES, "class": "logging.Formatter"}},
}

# What a client sends may not end a line, drive a terminal or close a quote.
_ESCAPES = {code: f"\\x{code:02X}" for code in [*range(32), 92, *range(127, 160)]} | {34: '\\"'}
_ESCAPES |= {code: f"\\u{code:04X}" for code in [0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]}


def loggers():
    """All loggers that there are."""
    names = list(logging.root.manager.loggerDict)
    return [logging.root, *(logging.getLogger(name) for name in names)]


class SafeAtoms(dict):
    """The atoms of an access line: text is escaped, names in braces have no case, what is not there is `-`."""

    def __init__(self, atoms):
        super().__init__({name: value.translate(_ESCAPES) if isinstance(value, str) else value for name, value in atoms.items()})

    def __getitem__(self, name):
        return self.get(name.lower() if name.startswith("{") else name, "-")


class Logger:
    """Logs records and requests through the loggers `gunicorn.error` and `gunicorn.access`."""

    LOG_LEVELS = {
        "critical": logging.CRITICAL,
        "error": logging.ERROR,
        "warning": logging.WARNING,
        "info": logging.INFO,
        "debug": logging.DEBUG,
    }
    loglevel = logging.INFO
    error_fmt = _FORM
    datefmt = _DATES
    access_fmt = "%(message)s"
    syslog_fmt = "[%(process)d] %(message)s"
    atoms_wrapper_class = SafeAtoms

    def __init__(self, cfg):
        self.error_log = logging.getLogger("gunicorn.error")
        self.access_log = logging.getLogger("gunicorn.access")
        self.error_log.propagate = self.access_log.propagate = False
        self.error_handlers, self.access_handlers = [], []
        self.logfile, self.lock, self.cfg = None, threading.Lock(), cfg
        self.setup(cfg)

    def setup(self, cfg):
        """Prepares the loggers as the settings say."""
        self.cfg = cfg
        self.loglevel = self.LOG_LEVELS.get(cfg.loglevel.lower(), logging.INFO)
        self.error_log.setLevel(self.loglevel)
        self.access_log.setLevel(logging.INFO)
        for log in (self.error_log, self.access_log):
            for handler in [handler for handler in log.handlers if getattr(handler, "_gunicorn", False)]:
                log.removeHandler(handler)
                handler.close()
        self._set_handler(self.error_log, cfg.errorlog, logging.Formatter(self.error_fmt, self.datefmt))
        if cfg.accesslog is not None:
            self._set_handler(self.access_log, cfg.accesslog, logging.Formatter(self.access_fmt), sys.stdout)
        if cfg.syslog:
            self._set_syslog_handler(self.error_log, cfg, self.syslog_fmt, "error")
            if not cfg.disable_redirect_access_to_syslog:
                self._set_syslog_handler(self.access_log, cfg, self.syslog_fmt, "access")
        self._configure(cfg)

    @staticmethod
    def _configure(cfg):
        if cfg.logconfig_dict:
            _by_dictionary("logconfig_dict", cfg.logconfig_dict)
        elif cfg.logconfig_json:
            if os.path.exists(cfg.logconfig_json):
                with open(cfg.logconfig_json, encoding="utf-8") as file:
                    _by_dictionary(f"logconfig_json '{cfg.logconfig_json}'", file)
        elif cfg.logconfig:
            if not os.path.exists(cfg.logconfig):
                raise RuntimeError(f"Error: log config '{cfg.logconfig}' not found")
            here = {"__file__": cfg.logconfig, "here": os.path.dirname(os.path.abspath(cfg.logconfig))}
            try:
                logging.config.fileConfig(cfg.logconfig, defaults=here, disable_existing_loggers=False)
            except Exception as error:
                raise RuntimeError(f"logconfig '{cfg.logconfig}': {_reasons(error)}") from error

    def critical(self, msg, *args, **kwargs):
        self.error_log.critical(msg, *args, **kwargs)

    def error(self, msg, *args, **kwargs):
        self.error_log.error(msg, *args, **kwargs)

    def warning(self, msg, *args, **kwargs):
        self.error_log.warning(msg, *args, **kwargs)

    def info(self, msg, *args, **kwargs):
        self.error_log.info(msg, *args, **kwargs)

    def debug(self, msg, *args, **kwargs):
        self.error_log.debug(msg, *args, **kwargs)

    def exception(self, msg, *args, **kwargs):
        self.error_log.exception(msg, *args, **kwargs)

    def log(self, lvl, msg, *args, **kwargs):
        if isinstance(lvl, str):
            lvl = self.LOG_LEVELS.get(lvl.lower(), logging.INFO)
        self.error_log.log(lvl, msg, *args, **kwargs)

    def atoms(self, resp, req, environ, request_time):
        """All that an access line may print, by name."""
        status = resp.status.split(None, 1)[0] if isinstance(resp.status, str) else resp.status
        sent = getattr(resp, "sent", None)
        seconds, micros = request_time.seconds, request_time.microseconds
        atoms = {
            "h": environ.get("REMOTE_ADDR", "-"),
            "l": "-",
            "u": self._get_user(environ) or "-",
            "t": self.now(),
            "r": f"{environ['REQUEST_METHOD']} {environ['RAW_URI']} {environ['SERVER_PROTOCOL']}",
            "s": status,
            "m": environ.get("REQUEST_METHOD"),
            "U": environ.get("PATH_INFO"),
            "q": environ.get("QUERY_STRING"),
            "H": environ.get("SERVER_PROTOCOL"),
            "b": "-" if sent is None else str(sent),
            "B": sent,
            "f": environ.get("HTTP_REFERER", "-"),
            "a": environ.get("HTTP_USER_AGENT", "-"),
            "T": seconds,
            "D": seconds * 1_000_000 + micros,
            "M": seconds * 1000 + micros // 1000,
            "L": f"{seconds}.{micros:06}",
            "p": f"<{os.getpid()}>",
        }
        queue = getattr(resp, "queue", None)
        if queue is not None:
            atoms["queue"] = f"{queue:.6f}"
        for letter, pairs in (("i", getattr(req, "headers", req)), ("o", resp.headers), ("e", environ)):
            pairs = pairs.items() if hasattr(pairs, "items") else pairs
            atoms.update({f"{{{name.lower()}}}{letter}": value for name, value in pairs})
        return atoms

    @property
    def access_log_enabled(self):
        """Whether anybody wants to know of requests."""
        cfg = self.cfg
        return bool(cfg.accesslog or cfg.logconfig or cfg.logconfig_dict or cfg.logconfig_json
                    or (cfg.syslog and not cfg.disable_redirect_access_to_syslog))

    def access(self, resp, req, environ, request_time):
        """Logs a request that is over."""
        if not self.access_log_enabled:
            return
        atoms = self.atoms_wrapper_class(self.atoms(resp, req, environ, request_time))
        try:
            self.access_log.info(self.cfg.access_log_format, atoms)
        except Exception:
            self.error(traceback.format_exc())

    def now(self):
        """The time as the Common Log Format has it."""
        return time.strftime("[%d/%b/%Y:%H:%M:%S %z]")

    def reopen_files(self):
        """Opens all log files again, once a rotation has moved them."""
        for handler in self._file_handlers():
            handler.acquire()
            try:
                if handler.stream:
                    handler.close()
                    handler.stream = handler._open()
            finally:
                handler.release()

    def close_on_exec(self):
        """Does nothing: Python's files are closed on exec."""

    @staticmethod
    def _file_handlers():
        return {handler for log in loggers() for handler in log.handlers if isinstance(handler, logging.FileHandler)}

    def _get_gunicorn_handler(self, log):
        return next((handler for handler in log.handlers if getattr(handler, "_gunicorn", False)), None)

    def _set_handler(self, log, output, fmt, stream=None):
        if output is not None:
            self._add(log, logging.StreamHandler(stream) if output == "-" else logging.FileHandler(output), fmt)

    def _set_syslog_handler(self, log, cfg, fmt, name):
        prefix = f"gunicorn.{cfg.syslog_prefix or cfg.proc_name.replace(':', '.')}.{name}"
        facility = SYSLOG_FACILITIES[cfg.syslog_facility.lower()]
        kind, _, where = cfg.syslog_addr.partition("://")
        socktype = {"udp": socket.SOCK_DGRAM, "tcp": socket.SOCK_STREAM}.get(kind)
        if kind == "unix":
            address, _, wish = where.partition("#")
            socktype = {"dgram": socket.SOCK_DGRAM, "stream": socket.SOCK_STREAM}.get(wish)
        else:
            host, _, port = where.rpartition(":") if ":" in where.rpartition("]")[2] else (where, "", "514")
            address = (host.strip("[]") or "localhost", int(port))
        handler = logging.handlers.SysLogHandler(address=address, facility=facility, socktype=socktype)
        self._add(log, handler, logging.Formatter(f"{prefix}: {fmt}"))

    @staticmethod
    def _add(log, handler, fmt):
        handler.setFormatter(fmt)
        handler._gunicorn = True
        log.addHandler(handler)

    def _get_user(self, environ):
        scheme, _, credentials = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            return base64.b64decode(credentials.strip()).partition(b":")[0].decode()
        except (binascii.Error, ValueError):
            return None


def _by_dictionary(name, given):
    try:
        wishes = given if hasattr(given, "keys") else json.load(given)
        logging.config.dictConfig({**CONFIG_DEFAULTS, **wishes})
    except Exception as error:
        raise RuntimeError(f"{name}: {_reasons(error)}") from error


def _reasons(error):
    """An exception and what led to it, in one line."""
    parts = []
    while error:
        parts.append(f"{type(error).__name__}: {error}".replace("\n", " "))
        error = error.__cause__
    return ", since ".join(parts)


class Relay:
    """What the server gives its records to, and what it knows of a request: one logger object, whatever its class."""

    def __init__(self, wanted, cfg):
        """`wanted` is a class, the dotted name of one, or None for the class above."""
        # The server itself sees to the output. gunicorn's own class wants numbers, which are known here.
        cfg.settings["capture_output"].value = False
        for name, own in (("user", os.geteuid()), ("group", os.getegid())):
            if cfg.settings[name].value is None:
                cfg.settings[name].value = own
        self.logger = (_load(wanted) if isinstance(wanted, str) else wanted or Logger)(cfg)

    def level(self):
        """The least severe level that anything comes of."""
        log = getattr(self.logger, "error_log", None)
        return log.getEffectiveLevel() if isinstance(log, logging.Logger) else self.logger.loglevel

    def logs_requests(self):
        return bool(getattr(self.logger, "access_log_enabled", True))

    def record(self, name, text):
        """Logs a record by the method of that name."""
        # A formatter is not to take it for a format: there are no arguments.
        getattr(self.logger, name)(text)

    def fault(self, what, text, error):
        """Logs an exception as gunicorn does: where it is handled. `text` is its traceback, made safe for a line, which
        formatters take for theirs."""
        def note(record):
            if record.exc_info and record.exc_info[1] is error:
                record.exc_text = text
            return True

        log = getattr(self.logger, "error_log", None)
        filters = isinstance(log, logging.Logger)
        frames, context = error.__traceback__, error.__context__
        if filters:
            log.addFilter(note)
        try:
            raise error
        except BaseException:
            error.__traceback__, error.__context__ = frames, context
            self.logger.exception(what)
        finally:
            if filters:
                log.removeFilter(note)

    def request(self, line):
        """Logs a request, which is a JSON object."""
        told, _, as_json = line.partition(b',"json":')
        resp, req, environ, time = _of(json.loads(told + b"}" if as_json else line))
        if as_json:
            resp.json = as_json[:-1]
        self.logger.access(resp, req, environ, time)

    def reopen(self):
        self.logger.reopen_files()


def _load(name):
    module, _, attribute = name.replace(":", ".").rpartition(".")
    try:
        __import__(module)
        return getattr(sys.modules[module], attribute)
    except (ImportError, AttributeError, ValueError, KeyError) as error:
        raise RuntimeError(f"logger_class: cannot load '{name}': {error}") from None


def _of(told):
    """Response, request, environ and time of a request, as far as a logger needs them."""
    headers = [(name.upper(), value) for name, value in told["headers"]]
    method, path = told["method"] or "-", told["path"] or "-"
    environ = {
        "REQUEST_METHOD": method, "RAW_URI": told["target"] or told["line"] or "-", "PATH_INFO": path,
        "QUERY_STRING": told["query"] or "", "SERVER_PROTOCOL": told["protocol"] or "-", "REMOTE_ADDR": told["client"] or "",
    }
    for name, value in headers:
        name = name.replace("-", "_")
        environ[name if name in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{name}"] = value
    environ |= {name[8:]: value for name, value in told.items() if name.startswith("environ ") and value is not None}
    status = told["status"]
    # Upper case as apps write it, and what the server adds is left out.
    answered = [(name.title(), value) for name, value in told["response_headers"] if name not in ("server", "connection")]
    reason = http.HTTPStatus(status).phrase if status in http.HTTPStatus._value2member_map_ else ""
    resp = SimpleNamespace(status=f"{status or '-'} {reason}".rstrip(), status_code=status, headers=answered,
                           sent=told["bytes"], response_length=None, headers_sent=True, queue=told["queue"])
    version = tuple(int(digit) for digit in (told["protocol"] or "").rpartition("/")[2].split(".") if digit.isdigit())
    req = SimpleNamespace(method=method, uri=environ["RAW_URI"], path=path, query=environ["QUERY_STRING"], fragment="",
                          version=version, headers=headers, remote_addr=(environ["REMOTE_ADDR"], 0))
    return resp, req, environ, timedelta(microseconds=told["micros"])
