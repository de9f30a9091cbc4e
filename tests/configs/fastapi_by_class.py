"""The same by the class itself."""
import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from uvicorn.workers import UvicornWorker

worker_class = UvicornWorker
workers = 1
bind = "0.0.0.0:8000"
loglevel = "info"
proc_name = "api"
