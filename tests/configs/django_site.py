"""A Django site: the settings module by an environment variable, the app in the file, short timeouts."""
import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")

wsgi_app = "mysite.wsgi:application"
chdir = os.path.dirname(os.path.abspath(__file__))
pythonpath = chdir
bind = "127.0.0.1:8000"
workers = 2
timeout = 30
name = "mysite"
proc_name = "mysite"
raw_env = ["DJANGO_DEBUG=0"]
