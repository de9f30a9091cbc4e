"""Every setting's values: what a config file, flags and the environment may say, and what comes of it, in gunicorn and here.

`contract/*.txt` holds what gunicorn 27.0.1 makes of each case; where Ferricorn differs, docs/migrating.md says so.
"""

import json
import re
from itertools import product
from pathlib import Path

import pytest

from harness import IS_FERRICORN, SERVER
from harness.contract import DIFFERENCES, Look, cases, look, wanted

FOLDER = Path(__file__).parent / "contract"
FILE, FLAGS, ENVIRONMENT = (cases(FOLDER / f"{name}.txt") for name in ("file", "flags", "environment"))


def compare(found, all_wanted):
    wrong = [f"{case}: {found[case]} and not {result}" for case, result in all_wanted.items() if found[case] != result]
    assert not wrong, "\n" + "\n".join(wrong)


# gunicorn tells one fault at a time, so each is a run of its own.
@pytest.mark.timeout(600)
def test_a_config_file(tmp_path):
    all_wanted = {case: wanted(case, result) for case, result in FILE.items()}
    compare(Look(tmp_path / "file").file(all_wanted), all_wanted)


@pytest.mark.timeout(600)
def test_flags(tmp_path):
    all_wanted = {case: wanted(case, result) for case, result in FLAGS.items()}
    compare(Look(tmp_path / "flags").flags(all_wanted), all_wanted)


def test_the_environment(tmp_path):
    found, all_wanted = {}, {case: wanted(case, result) for case, result in ENVIRONMENT.items()}
    for case in all_wanted:
        told, _, name = case.rpartition(" : ")
        variable, _, text = told.partition("=")
        seen = look(tmp_path / "environment", [name], env={variable: text})
        found[case] = seen[name] if isinstance(seen, dict) else seen
    compare(found, all_wanted)


# Precedence.

LAYERS = {
    "environment": ({"WEB_CONCURRENCY": "2", "PORT": "2222", "FORWARDED_ALLOW_IPS": "10.0.0.2"}, "", [], []),
    "file": ({}, "workers, bind, forwarded_allow_ips, proc_name, raw_env, capture_output = 3, '127.0.0.1:3333', '10.0.0.3', 'p3', ['A=3'], True\n", [], []),
    "variable": ({}, "", ["--workers=4", "--bind=127.0.0.1:4444", "--forwarded-allow-ips=10.0.0.4", "--name=p4", "--env=A=4"], []),
    "flags": ({}, "", [], ["--workers=5", "--bind=127.0.0.1:5555", "--forwarded-allow-ips=10.0.0.5", "--name=p5", "--env=A=5"]),
}
GIVEN = {
    None: ("1", "['127.0.0.1:8000']", "['127.0.0.1', '::1']", "'mine:app'", "[]"),
    "environment": ("2", "['0.0.0.0:2222']", "['10.0.0.2']", "'mine:app'", "[]"),
    "file": ("3", "['127.0.0.1:3333']", "['10.0.0.3']", "'p3'", "['A=3']"),
    "variable": ("4", "['127.0.0.1:4444']", "['10.0.0.4']", "'p4'", "['A=4']"),
    "flags": ("5", "['127.0.0.1:5555']", "['10.0.0.5']", "'p5'", "['A=5']"),
}


@pytest.mark.parametrize("layers", list(product([False, True], repeat=4)), ids=lambda layers: "".join("01"[one] for one in layers))
def test_precedence(tmp_path, layers):
    there = [name for name, on in zip(LAYERS, layers) if on]
    env, conf, flags = {}, "", []
    for name in there:
        more, text, words, argv = LAYERS[name]
        env |= more
        conf += text
        flags += argv
        if words:
            env["GUNICORN_CMD_ARGS"] = " ".join(words)
    names = ["workers", "bind", "forwarded_allow_ips", "proc_name", "raw_env"]
    seen = look(tmp_path / "layers", [*names, "capture_output"], conf=conf, flags=flags, env=env)
    assert tuple(seen[name] for name in names) == GIVEN[there[-1] if there else None]
    # What the weightiest layer does not say is what the next one says.
    assert seen["capture_output"] == str("file" in there)


# Printing.

def printed(text):
    """Values as Python would show them, by setting: gunicorn prints them bare, Ferricorn as TOML does, with their source."""
    def value(shown):
        if not IS_FERRICORN:
            return shown
        shown = shown.rpartition("  # ")[0]
        try:
            return str(json.loads({"True": "true", "False": "false", "None": "null"}.get(shown, shown)))
        except ValueError:
            return shown

    return {name: value(shown) for name, shown in re.findall(r"^(\w+) *= ?(.*)$", text, re.MULTILINE)}


CONF = """
workers, threads, timeout, bind, raw_env = 3, 2, 45, ["127.0.0.1:1", "unix:/tmp/x"], ["A=1", "B=2"]
accesslog, loglevel, capture_output, proc_name, umask = "-", "debug", True, "the shop", 0o22
forwarded_allow_ips, header_map, access_log_format = "10.0.0.1,::1", "refuse", '%(h)s "%(r)s"'
"""
PRINTED = {
    "workers": "3", "threads": "2", "timeout": "45", "bind": "['127.0.0.1:1', 'unix:/tmp/x']", "raw_env": "['A=1', 'B=2']",
    "accesslog": "-", "loglevel": "debug", "capture_output": "True", "proc_name": "the shop", "umask": "18", "backlog": "2048",
    "forwarded_allow_ips": "['10.0.0.1', '::1']", "header_map": "refuse", "access_log_format": '%(h)s "%(r)s"', "pidfile": "None",
    "max_requests": "0", "graceful_timeout": "30", "limit_request_line": "4094", "post_fork": "<Postfork.post_fork()>", "keepalive": "2",
    "worker_class": "sync", "wsgi_app": "None", "chdir": "HERE", "config": "./gunicorn.conf.py", "root_path": "",
}


def test_print_config(cli, tmp_path):
    done = cli("--print-config", "mine:app", plain=True, files={"mine.py": "def app(environ, start_response): pass\n", "gunicorn.conf.py": CONF})
    assert done.returncode == 0, done.stderr
    told = printed(done.stdout)
    assert list(told) == sorted(told)
    found = {f"print {name}": told[name].replace(str(tmp_path), "HERE") for name in PRINTED}
    compare(found, {f"print {name}": wanted(f"print {name}", result) for name, result in PRINTED.items()})


def test_each_difference_that_is_listed_is_one(cli):
    """None is left over, and each row repeats what gunicorn is known to do."""
    from test_contract_logs import ATOMS, EXITS, LINES
    known = {**FILE, **FLAGS, **ENVIRONMENT, **{f"print {name}": value for name, value in PRINTED.items()}, **ATOMS, **LINES, **EXITS}
    for case, (theirs, ours) in DIFFERENCES.items():
        assert case in known, f"{case!r} is listed, and is no case of {SERVER}'s tests"
        assert theirs == known[case] and ours != theirs, (case, theirs, known[case])
