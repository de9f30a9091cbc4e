"""Settings from a JSON file that a template engine has written."""
import json
import pathlib

here = pathlib.Path(__file__).parent
with (here / "server.json").open() as file:
    for key, value in json.load(file).items():
        globals()[key] = value
pidfile = here / "server.pid"
pidfile = str(pidfile)
