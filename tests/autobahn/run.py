"""Runs Autobahn's fuzzing client, all 517 cases of it, against an ASGI app that echoes.

The suite is a program for Python 2.7, fetched from PyPI. Its cases are shared out among several processes, since the
client is what takes the time. Exit status 0 says that no case failed and none is missing.
"""

import argparse
import collections
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

SUITE = "autobahntestsuite==25.10.1"
CASES = 517
HERE = Path(__file__).parent
ROOT = HERE.parent.parent

# Each a process of its own; the second and third take longest.
GROUPS = [
    ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*"],
    ["12.1.*", "12.2.*", "12.3.*"],
    ["12.4.*", "12.5.*"],
    ["13.1.*", "13.2.*", "13.3.*", "13.4.*"],
    ["13.5.*", "13.6.*", "13.7.*"],
]

GOOD = {"OK", "NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED"}


def python2():
    """A Python 2.7: the one that PYTHON2 names, on the path, or of pyenv."""
    found = [os.environ.get("PYTHON2"), shutil.which("python2.7")]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found += sorted(pyenv.glob("versions/2.7.*/bin/python2.7"))
    for python in map(str, filter(None, found)):
        # One that is on the path may be a stand-in of pyenv's for a version that was not chosen.
        probe = subprocess.run([python, "-m", "pip", "--version"], capture_output=True, text=True)
        if probe.returncode == 0 and "python 2.7" in probe.stdout:
            return python
    sys.exit("Autobahn's suite needs Python 2.7. Try: pyenv install 2.7.18, or name one with PYTHON2=/path/to/python2.7")


def install(environment):
    """The suite's program, in an environment of its own that is made when it is first needed."""
    program = environment / "bin" / "wstest"
    if not program.exists():
        print(f"Installing {SUITE} ...", flush=True)
        tools = environment / "tools"
        quiet = ["--quiet", "--disable-pip-version-check"]
        pip = [python2(), "-m", "pip", "install", *quiet, "--target", tools, "virtualenv==20.15.1"]
        subprocess.run(pip, check=True, stderr=subprocess.DEVNULL)
        virtualenv = [python2(), "-m", "virtualenv", "--quiet", environment]
        subprocess.run(virtualenv, check=True, env={**os.environ, "PYTHONPATH": str(tools)})
        subprocess.run([environment / "bin" / "pip", "install", *quiet, SUITE], check=True, stderr=subprocess.DEVNULL)
    return program


@contextlib.contextmanager
def serving(server, log):
    """The server with the app on a port of the kernel's choice; gives the port."""
    command = [server, "--chdir", HERE, "-b", "127.0.0.1:0", "app:app"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        yield listening(process, log)
        process.terminate()
        if status := process.wait(60):
            sys.exit(f"The server ended with status {status}; see {log}")
    finally:
        process.kill()


def listening(process, log):
    until = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < until:
        said = log.read_text()
        address = re.search(r"Listening at: http://127\.0\.0\.1:(\d+)", said)
        if address and "Booting worker" in said:
            return int(address[1])
        time.sleep(0.1)
    sys.exit(f"The server did not start:\n{log.read_text()}")


def fuzz(program, port, reports, groups, seconds):
    """Runs the cases, a process for each group, and gives the outcomes by case."""
    clients = []
    for number, cases in enumerate(groups):
        folder = reports / str(number)
        folder.mkdir(parents=True)
        spec = {
            "outdir": str(folder),
            "servers": [{"agent": "ferricorn", "url": f"ws://127.0.0.1:{port}"}],
            "cases": cases,
            "exclude-cases": [],
            "exclude-agent-cases": {},
        }
        (folder / "spec.json").write_text(json.dumps(spec))
        command = [program, "-m", "fuzzingclient", "-s", folder / "spec.json"]
        with (folder / "output.txt").open("wb") as output:
            clients.append(subprocess.Popen(command, cwd=folder, stdout=output, stderr=output))
    until = time.monotonic() + seconds
    try:
        for client in clients:
            client.wait(max(until - time.monotonic(), 0))
    except subprocess.TimeoutExpired:
        sys.exit(f"The suite did not end within {seconds} s; see {reports}")
    finally:
        for client in clients:
            client.kill()
    outcomes = {}
    for index in reports.glob("*/index.json"):
        outcomes |= json.loads(index.read_text())["ferricorn"]
    return outcomes


def tell(outcomes):
    """Prints what is not plainly good, and the sums; gives how many cases failed."""
    failed = 0
    for case in sorted(outcomes, key=lambda case: [int(part) for part in case.split(".")]):
        words = outcomes[case]["behavior"], outcomes[case]["behaviorClose"]
        failed += not GOOD.issuperset(words)
        if set(words) - {"OK", "INFORMATIONAL"}:
            print(f"{case:10} {words[0]:15} closing: {words[1]}")
    sums = collections.Counter(outcome["behavior"] for outcome in outcomes.values())
    print(f"{len(outcomes)} cases:", ", ".join(f"{count} {word}" for word, count in sums.most_common()))
    return failed


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--server", default=ROOT / ".venv-test/bin/ferricorn", help="the server's command")
    options.add_argument("--case", action="append", help="a case or a pattern such as 9.*; all by default")
    options.add_argument("--seconds", type=int, default=3000, help="how long it may take")
    options = options.parse_args()
    program = install(ROOT / ".venv-autobahn")
    reports = ROOT / "tests/.artifacts/autobahn"
    shutil.rmtree(reports, ignore_errors=True)
    reports.mkdir(parents=True)
    groups = [options.case] if options.case else GROUPS
    with serving(options.server, reports / "server.log") as port:
        outcomes = fuzz(program, port, reports, groups, options.seconds)
    failed = tell(outcomes)
    missing = 0 if options.case else CASES - len(outcomes)
    print(f"{failed} failed, {missing} missing; the reports are in {reports.relative_to(ROOT)}")
    sys.exit(1 if failed or missing or not outcomes else 0)


if __name__ == "__main__":
    main()
