"""Threads, limits and timeouts, each with a reason in a comment, as such files have them."""
import multiprocessing

CORES = multiprocessing.cpu_count()

# Mostly waits for the database.
worker_class = "gthread"
workers = max(2, min(CORES, 3))
threads = 2 * CORES
# Longer than the slowest report.
timeout = 90
graceful_timeout = 30
# Longer than the balancer's.
keepalive = 65
max_requests = 5_000
max_requests_jitter = max_requests // 10
worker_connections = 1000
backlog = 4096
limit_request_fields = 64
reuse_port = False
