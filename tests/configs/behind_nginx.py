"""Behind nginx on the same machine, by a Unix socket, with log files and a pidfile."""
from os import environ, makedirs
from os.path import join

root = environ.get("SITE_ROOT", "/srv/site")
makedirs(join(root, "log"), exist_ok=True)
bind = "unix:" + join(root, "site.sock")
umask = 0o007
pidfile = join(root, "site.pid")
workers = 2
backlog = 512
accesslog = join(root, "log", "access.log")
errorlog = join(root, "log", "error.log")
loglevel = "debug"
secure_scheme_headers = {"X-FORWARDED-PROTO": "https"}
forwarded_allow_ips = "127.0.0.1"
tmp_upload_dir = None
user = None
group = None
daemon = False
