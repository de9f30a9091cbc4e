"""What an app notes for its test: lines of JSON in a file, for the end of which a client cannot wait."""

import json

from .server import until

NAME = "noted.jsonl"


def notes(server):
    """Everything that was noted so far."""
    path = server.folder / NAME
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def noted(server, what, count=1, **options):
    """Waits until something was noted under this name so often, and returns the last of these values."""
    def found():
        values = [value for name, value in notes(server) if name == what]
        return [values[count - 1]] if len(values) >= count else None

    return until(found, f"the app notes {what} for the {count}. time; there is {notes(server)}", **options)[0]
