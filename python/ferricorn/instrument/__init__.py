"""Loggers that measure, as `gunicorn.instrument` has them."""
