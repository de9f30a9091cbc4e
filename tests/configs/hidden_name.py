"""Says nothing of the software in use."""
import gunicorn
from gunicorn import version_info

gunicorn.SERVER = "web"
gunicorn.SERVER_SOFTWARE = "web"
assert version_info >= (20, 0)
bind = "0.0.0.0:8000"
workers = 1
