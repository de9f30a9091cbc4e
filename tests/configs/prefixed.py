"""Every variable GUNICORN_X is the setting x, as text."""
import os

for name, value in os.environ.items():
    if name.startswith("GUNICORN_") and name != "GUNICORN_CMD_ARGS":
        key = name.split("_", 1)[1].lower()
        locals()[key] = value
