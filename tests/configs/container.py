"""In a container: logs to the standard streams, the heartbeat in memory, workers that are replaced now and then."""
bind = ["0.0.0.0:8080"]
workers = 2
threads = 4
worker_class = "gthread"
worker_tmp_dir = "/dev/shm"
max_requests = 1200
max_requests_jitter = 50
graceful_timeout = 20
log_file = "-"
accesslog = "-"
errorlog = "-"
capture_output = True
enable_stdio_inheritance = True
control_socket_disable = True
