"""For a platform that sets PORT and WEB_CONCURRENCY, and whose balancer keeps connections for a minute."""
import os

bind = f"0.0.0.0:{os.environ.get('PORT', 5000)}"
worker_class = "gthread"
threads = 8
worker_tmp_dir = "/dev/shm"
keepalive = 75
timeout = 25
forwarded_allow_ips = "*"
accesslog = "-"
access_log_format = '%({x-forwarded-for}i)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s" %(D)sus'
