"""The contract with gunicorn: what a server makes of settings, and the list of differences in docs/migrating.md."""

import json
import re
import shlex
import subprocess
from pathlib import Path

from .server import IS_FERRICORN, environment, script

LIST = Path(__file__).parents[2] / "docs" / "migrating.md"

APP = """
def app(environ, start_response):
    start_response("200 OK", [])
    return []
"""

# Writes down what the settings are, in the master, and ends it before it listens.
WATCH = """
import os
HERE = os.path.dirname(os.path.abspath(__file__))
def on_starting(server):
    import json
    def told(name):
        value = getattr(server.cfg, name)
        if name in ("worker_class", "logger_class"):
            value = server.cfg.settings[name]
            value = value if isinstance(value, str) or not hasattr(value, "get") else value.get()
        if isinstance(value, dict):
            return repr(dict(sorted(value.items())))
        return f"<{value.__name__}>" if callable(value) else repr(value).replace(HERE, "HERE")
    with open(HERE + "/names") as names:
        seen = {name: told(name) for name in json.load(names)}
    with open(HERE + "/seen", "w") as file:
        json.dump(seen, file)
    raise SystemExit(0)
"""


def differences():
    """The list: what gunicorn and what Ferricorn does, by case. Case and results are in code spans, in a table's first cells."""
    text = LIST.read_text().partition("<!-- contract -->")[2].partition("<!-- end of contract -->")[0]
    rows = {}
    for line in text.splitlines():
        cells = [cell.replace("\\|", "|").strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) == 4 and cells[0].startswith("`"):
            case, theirs, ours = (cell.removeprefix("`").removesuffix("`").strip() for cell in cells[:3])
            assert case not in rows, f"{case} is listed twice"
            rows[case] = (theirs, ours)
    return rows


DIFFERENCES = differences()


def behaviour():
    """The titles of the second list: what differs beyond single values and lines."""
    text = LIST.read_text().partition("<!-- behaviour -->")[2].partition("<!-- end of behaviour -->")[0]
    rows = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")]
    titles = rows[1:]
    assert len(set(titles)) == len(titles), "a difference is listed twice"
    return titles


BEHAVIOUR = behaviour()


def wanted(case, result):
    """What the server under test is to do in a case in which gunicorn does this."""
    theirs, ours = DIFFERENCES.get(case, (result, result))
    return ours if IS_FERRICORN else theirs


def cases(path):
    """The cases of a file, in order, each with gunicorn's result; the two stand in a line with `=>` between them."""
    lines = [line.split(" => ") for line in path.read_text().splitlines() if " => " in line and not line.startswith("#")]
    return {case.strip(): result.strip() for case, result in lines}


def look(folder, names, conf="", flags=(), env=()):
    """The settings of these names, as hooks see them; or a `Refused`."""
    folder.mkdir(exist_ok=True)
    for name, text in {"mine.py": APP, "names": json.dumps(sorted(names)), "watch.py": conf + WATCH}.items():
        (folder / name).write_text(text)
    seen = folder / "seen"
    seen.unlink(missing_ok=True)
    done = subprocess.run([script(), "-c", "watch.py", *flags, "mine:app"], cwd=folder, env=environment(dict(env)), text=True,
                          timeout=30, capture_output=True, stdin=subprocess.DEVNULL)
    return json.loads(seen.read_text()) if seen.exists() else Refused(done.returncode, done.stderr)


class Refused(str):
    """Why a server did not start, in a word: `refused` or `usage`, by its exit code."""

    def __new__(cls, code, stderr):
        self = super().__new__(cls, {1: "refused", 2: "usage"}.get(code, f"exit {code}: {stderr[-300:]}"))
        self.stderr = stderr
        return self


class Look:
    """Looks at many cases in few runs: those that are to be good at once, and for Ferricorn those that are not, too."""

    def __init__(self, folder):
        self._folder = folder

    def file(self, all_wanted):
        """What `setting = source` in a config file comes to, by case."""
        def all_of(batch):
            return look(self._folder, list(batch), conf="".join(case + "\n" for case in batch.values()))

        return self._all(all_wanted, lambda case: case.partition(" = ")[0], all_of)

    def flags(self, all_wanted):
        """The same of `FLAGS : setting`."""
        def all_of(batch):
            return look(self._folder, list(batch), flags=shlex.split(" ".join(case.rpartition(" : ")[0] for case in batch.values())))

        return self._all(all_wanted, lambda case: case.rpartition(" : ")[2], all_of)

    @staticmethod
    def _all(all_wanted, setting, look_at):
        found, batches = {}, []
        for case, result in all_wanted.items():
            bad = result if result in ("refused", "usage") else None
            alone = bad and not IS_FERRICORN or "no_such" in case or "-c" in case.split()
            # A setting once in a run.
            batch = next((batch for kind, batch in batches if kind == bad and setting(case) not in batch), None)
            if batch is None or alone:
                batch = {}
                batches.append((object() if alone else bad, batch))
            batch[setting(case)] = case
        for kind, batch in batches:
            seen = look_at(batch)
            for name, case in batch.items():
                if not told_of(seen, name) and len(batch) > 1:
                    found[case] = of_one(look_at({name: case}), name)
                else:
                    found[case] = of_one(seen, name)
        return found


def told_of(seen, name):
    """Whether a run that may have been refused for several reasons tells of this setting."""
    return isinstance(seen, dict) or re.search(rf"(^|: |  ){name}: ", seen.stderr, re.MULTILINE)


def of_one(seen, name):
    return seen[name] if isinstance(seen, dict) else str(seen)


__all__ = ["APP", "BEHAVIOUR", "DIFFERENCES", "Look", "cases", "look", "wanted"]
