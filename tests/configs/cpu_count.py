"""Workers by the number of cores, as gunicorn's documentation has it, with an upper limit."""
import multiprocessing

bind = ":8000"
workers = min(multiprocessing.cpu_count() * 2 + 1, 4)
worker_class = "sync"
timeout = 120
loglevel = "info"
accesslog = "-"
errorlog = "-"
