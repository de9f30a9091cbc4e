"""`Statsd`, the logger that also sends what `extra={"metric": ...}` says; requests and log lines the server counts itself."""

import logging
import socket

from ferricorn.glogging import Logger

METRIC_VAR, VALUE_VAR, MTYPE_VAR = "metric", "value", "mtype"
GAUGE_TYPE, COUNTER_TYPE, HISTOGRAM_TYPE, TIMER_TYPE = "gauge", "counter", "histogram", "timer"


class Statsd(Logger):
    """Sends a metric at once, in a datagram of its own; one that is lost is lost."""

    def __init__(self, cfg):
        super().__init__(cfg)
        self.prefix = f"{cfg.statsd_prefix.rstrip('.')}." if cfg.statsd_prefix else ""
        self.dogstatsd_tags, self.sock = cfg.dogstatsd_tags, None
        host = cfg.statsd_host
        if not host:
            return
        if isinstance(host, str):
            kind, where = socket.AF_UNIX, host
        else:
            kind, *_, where = socket.getaddrinfo(*host, type=socket.SOCK_DGRAM)[0]
        self.sock = socket.socket(kind, socket.SOCK_DGRAM)
        self.sock.setblocking(False)
        self._where = where

    def log(self, lvl, msg, *args, **kwargs):
        """Logs a record, and sends the metric that it bears; a record without text is nothing but a metric."""
        told = kwargs.get("extra") or {}
        if told.get(METRIC_VAR) is not None and told.get(VALUE_VAR) is not None:
            send = {GAUGE_TYPE: self.gauge, COUNTER_TYPE: self.increment, HISTOGRAM_TYPE: self.histogram, TIMER_TYPE: self.timer}
            if told.get(MTYPE_VAR) in send:
                send[told[MTYPE_VAR]](told[METRIC_VAR], told[VALUE_VAR])
        if msg:
            super().log(lvl, msg, *args, **kwargs)

    def critical(self, msg, *args, **kwargs):
        self.log(logging.CRITICAL, msg, *args, **kwargs)

    def error(self, msg, *args, **kwargs):
        self.log(logging.ERROR, msg, *args, **kwargs)

    def warning(self, msg, *args, **kwargs):
        self.log(logging.WARNING, msg, *args, **kwargs)

    def info(self, msg, *args, **kwargs):
        self.log(logging.INFO, msg, *args, **kwargs)

    def debug(self, msg, *args, **kwargs):
        self.log(logging.DEBUG, msg, *args, **kwargs)

    def exception(self, msg, *args, **kwargs):
        self.log(logging.ERROR, msg, *args, **{"exc_info": True, **kwargs})

    def gauge(self, name, value):
        self._sock_send(f"{self.prefix}{name}:{value}|g")

    def increment(self, name, value, sampling_rate=1.0):
        self._sock_send(f"{self.prefix}{name}:{value}|c|@{sampling_rate}")

    def decrement(self, name, value, sampling_rate=1.0):
        self._sock_send(f"{self.prefix}{name}:-{value}|c|@{sampling_rate}")

    def histogram(self, name, value):
        self._sock_send(f"{self.prefix}{name}:{value}|h")

    def timer(self, name, value):
        self._sock_send(f"{self.prefix}{name}:{value}|ms")

    def _sock_send(self, message):
        if not self.sock:
            return
        if self.dogstatsd_tags:
            message += f"|#{self.dogstatsd_tags}"
        try:
            self.sock.sendto(message.encode(), self._where)
        except OSError:
            pass
