"""Python's loggers `gunicorn.error` and `gunicorn.access`, whose own handlers write to the logs of the server."""

import logging

_FORMS = {
    "gunicorn.error": ("%(asctime)s [%(process)d] [%(levelname)s] %(message)s", "[%Y-%m-%d %H:%M:%S %z]"),
    "gunicorn.access": ("%(message)s", None),
}
_BARE = logging.Formatter("%(message)s")


class Handler(logging.Handler):
    """Gives a record to the server, which writes it in its own form, or as a formatter of the user's has made it."""

    _gunicorn = True

    def __init__(self, name, write):
        super().__init__()
        self._write = write
        self.formatter = self._form = logging.Formatter(*_FORMS[name])

    def emit(self, record):
        try:
            finished = self.formatter is not self._form
            text = self.formatter.format(record) if finished and self.formatter else _BARE.format(record)
            self._write(record.levelno, text.encode("utf-8", "backslashreplace"), finished, getattr(record, "json_line", None))
        except Exception:
            self.handleError(record)

    def is_untouched(self):
        return not self.filters and not self.level and self.formatter is self._form


# The level of each logger that has a log of the server behind it, as the settings have it.
_levels = {}


def connect(level, writes):
    """Prepares both loggers as gunicorn does. `writes` has a function for each that has a log of the server behind it."""
    wanted = {"gunicorn.error": level, "gunicorn.access": logging.INFO}
    _levels.clear()
    _levels.update((name, wanted[name]) for name in writes)
    for name in wanted:
        logger = logging.getLogger(name)
        logger.setLevel(wanted[name])
        logger.propagate = False
        for handler in [handler for handler in logger.handlers if getattr(handler, "_gunicorn", False)]:
            logger.removeHandler(handler)
        if name in writes:
            logger.addHandler(Handler(name, writes[name]))


def touched():
    """Whether somebody has changed what becomes of the records of `gunicorn.error`, and of those of `gunicorn.access`."""
    return _is_touched("gunicorn.error"), _is_touched("gunicorn.access")


def _is_touched(name):
    if name not in _levels:
        return False
    logger = logging.getLogger(name)
    changed = logger.filters or logger.disabled or logger.propagate or logger.level != _levels[name] or len(logger.handlers) != 1
    return bool(changed or not isinstance(logger.handlers[0], Handler) or not logger.handlers[0].is_untouched())
