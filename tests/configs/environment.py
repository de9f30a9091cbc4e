"""Each setting from a variable of its own, with a default."""
import os

host = os.getenv("HOST", "0.0.0.0")
port = os.getenv("APP_PORT", "8000")
bind = f"{host}:{port}"
workers = int(os.getenv("GUNICORN_WORKERS", "2"))
threads = int(os.getenv("GUNICORN_THREADS", "4"))
timeout = int(os.getenv("GUNICORN_TIMEOUT", "60"))
graceful_timeout = int(os.getenv("GUNICORN_GRACEFUL_TIMEOUT", timeout))
keepalive = int(os.getenv("GUNICORN_KEEPALIVE", "5"))
loglevel = os.getenv("LOG_LEVEL", "INFO").lower()
accesslog = os.getenv("ACCESS_LOG") or None
errorlog = os.getenv("ERROR_LOG", "-")
max_requests = int(os.getenv("MAX_REQUESTS", 1000))
max_requests_jitter = int(os.getenv("MAX_REQUESTS_JITTER", 100))
reload = os.getenv("RELOAD", "false").lower() in ("1", "true", "yes")
