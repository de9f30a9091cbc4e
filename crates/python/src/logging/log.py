"""The `log` of hooks where no setting names a class for it: gunicorn's, before the logs of the server and its statsd."""

import logging

from ferricorn.glogging import Logger

_METRICS = {"gauge": "{}|g", "counter": "{}|c|@1.0", "histogram": "{}|h", "timer": "{}|ms"}


class Log(Logger):
    """Its two loggers are prepared already. `metric` tells statsd, in the manner of `gunicorn.instrument.statsd`."""

    def __init__(self, cfg, metric=None):
        self._metric = metric
        super().__init__(cfg)

    def setup(self, cfg):
        self.cfg = cfg
        self.loglevel = self.LOG_LEVELS.get(cfg.loglevel.lower(), logging.INFO)

    def access(self, resp, req, environ, request_time):
        """Logs a request that is over; its line as JSON comes with it where that is wanted."""
        atoms = self.atoms_wrapper_class(self.atoms(resp, req, environ, request_time))
        self.access_log.info(self.cfg.access_log_format, atoms, extra={"json_line": getattr(resp, "json", None)})

    def critical(self, msg, *args, **kwargs):
        self._record(logging.CRITICAL, "critical", msg, args, kwargs)

    def error(self, msg, *args, **kwargs):
        self._record(logging.ERROR, "error", msg, args, kwargs)

    def warning(self, msg, *args, **kwargs):
        self._record(logging.WARNING, "warning", msg, args, kwargs)

    def info(self, msg, *args, **kwargs):
        self._record(logging.INFO, None, msg, args, kwargs)

    def debug(self, msg, *args, **kwargs):
        self._record(logging.DEBUG, None, msg, args, kwargs)

    def exception(self, msg, *args, **kwargs):
        self._record(logging.ERROR, "exception", msg, args, {"exc_info": True, **kwargs})

    def log(self, lvl, msg, *args, **kwargs):
        self._record(self.LOG_LEVELS.get(lvl.lower(), logging.INFO) if isinstance(lvl, str) else lvl, None, msg, args, kwargs)

    def _record(self, level, counter, msg, args, options):
        """A record may bear a metric; one without text is nothing but that."""
        if self._metric:
            extra = options.get("extra") or {}
            name, value, form = extra.get("metric"), extra.get("value"), _METRICS.get(extra.get("mtype"))
            if name is not None and value is not None and form:
                self._metric(str(name), form.format(value))
            if counter:
                self._metric(f"gunicorn.log.{counter}", "1|c|@1.0")
        if msg:
            self.error_log.log(level, msg, *args, **options)
