"""For a developer's machine: reload and a pretty access log."""
import os

DEBUG = os.environ.get("DEBUG") == "1"
bind = "127.0.0.1:8000"
workers = 1
reload = DEBUG
reload_engine = "auto"
reload_extra_files = []
loglevel = "debug" if DEBUG else "warning"
accesslog = "-" if DEBUG else None
access_log_format = "%(m)-6s %(s)s %(L)ss %(U)s"
timeout = 0 if DEBUG else 30
