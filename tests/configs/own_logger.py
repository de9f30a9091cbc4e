"""A logger class of its own, derived from gunicorn's: another format, and no lines for the balancer's checks."""
from gunicorn import glogging


class Logger(glogging.Logger):
    error_fmt = "%(levelname)s|%(message)s"

    def setup(self, cfg):
        super().setup(cfg)
        self.error_log.info("logging for %s", cfg.proc_name)

    def access(self, resp, req, environ, request_time):
        if req.path == "/health":
            return
        super().access(resp, req, environ, request_time)

    def atoms(self, resp, req, environ, request_time):
        return {**super().atoms(resp, req, environ, request_time), "shop": "main street"}


logger_class = Logger
accesslog = "-"
access_log_format = '%(shop)s "%(r)s" %(s)s'
proc_name = "shop"
