"""A FastAPI app with uvicorn's worker, by its name."""
import os

workers = int(os.environ.get("WEB_WORKERS", 2))
worker_class = "uvicorn.workers.UvicornWorker"
bind = "0.0.0.0:80"
keepalive = 120
timeout = 120
graceful_timeout = 120
errorlog = "-"
accesslog = "-"
worker_tmp_dir = "/dev/shm"
print("workers:", workers)
