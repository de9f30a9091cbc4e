"""Health checks are kept out of the access log, by a filter."""
import logging


class NoHealthChecks(logging.Filter):
    def filter(self, record):
        return "/health" not in record.getMessage()


accesslog = "-"
logconfig_dict = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"no_health_checks": {"()": NoHealthChecks}},
    "formatters": {"plain": {"format": "%(message)s"}, "long": {"format": "%(asctime)s %(name)s %(message)s"}},
    "handlers": {
        "access": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "plain", "filters": ["no_health_checks"]},
        "error": {"class": "logging.StreamHandler", "stream": "ext://sys.stderr", "formatter": "long"},
    },
    "root": {"level": "WARNING", "handlers": ["error"]},
    "loggers": {
        "gunicorn.access": {"level": "INFO", "handlers": ["access"], "propagate": False},
        "gunicorn.error": {"level": "INFO", "handlers": ["error"], "propagate": False},
    },
}
