"""Sets up what a comparison needs: wrk, the peers in a virtual environment, tools of our own, and our wheel."""

import hashlib
import os
import shutil
import subprocess
import sys

from .servers import BIN, ROOT, TARGET, VENV

NEEDS = """\
Django>=5.2,<5.3
Flask==3.1.3
fastapi==0.165.0
fastpysgi==0.6
gevent==26.9.0
granian==2.8.7
gunicorn==27.0.1
httptools==0.9.0
hypercorn==0.18.0
maturin==1.16.0
packaging==26.3
pydantic==2.14.3
uvicorn==0.54.0
uvloop==0.23.0
websockets==17.4
"""


def wrk():
    """The load generator."""
    if not shutil.which("wrk"):
        raise SystemExit("wrk is missing. Try: apt-get install wrk")
    if not shutil.which("taskset"):
        raise SystemExit("taskset is missing. Try: apt-get install util-linux")


def peers(python):
    """A virtual environment with the other servers, made anew when their list or the interpreter changes."""
    version = subprocess.run([python, "-VV"], check=True, capture_output=True, text=True).stdout
    stamp = VENV / ".ready"
    wanted = hashlib.sha256((version + NEEDS).encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    _say(f"setting up {VENV.relative_to(ROOT)}")
    subprocess.run([python, "-m", "venv", "--clear", VENV], check=True)
    needs = VENV / "needs.txt"
    needs.write_text(NEEDS)
    _pip("-r", needs)
    stamp.write_text(wanted)


def tools():
    """The bare hyper server, the apps' backend and the clients of WebSockets."""
    _say("building the baseline and the load in release mode")
    _cargo("build", "--release", "--locked", "-q", "-p", "baseline", "-p", "load")


def ferricorn(wheel=None):
    """Installs our wheel: the one given, or one built from the tree as it is, like that of `make wheel` if there is what that
    needs. Gives which of them it is, in words."""
    if wheel:
        _pip("--force-reinstall", "--no-deps", wheel)
        return f"the wheel {wheel}"
    out, python = TARGET / "bench-wheel", BIN / "python"
    shutil.rmtree(out, ignore_errors=True)
    command = [BIN / "maturin", "build", "-q", "--release", "--locked", "--interpreter", python, "--out", out]
    environment = {**os.environ, "PYO3_PYTHON": str(python)}
    found = subprocess.run([ROOT / ".ci/profdata"], stdout=subprocess.PIPE, text=True)
    if profiled := found.returncode == 0:
        command.append("--pgo")
        environment["PATH"] = f"{found.stdout.strip()}:{environment['PATH']}"
    _say(f"building the wheel {'as `make wheel` does' if profiled else 'without a profile'}, which takes minutes")
    _run(command, cwd=ROOT, env=environment)
    (built,) = out.glob("*.whl")
    _pip("--force-reinstall", "--no-deps", built)
    return "built with a profile, as `make wheel` does" if profiled else "built without a profile, for want of llvm-profdata"


def versions():
    """Name and version of what was installed, by name in lower case."""
    command = [BIN / "pip", "list", "--format", "freeze", "--disable-pip-version-check"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return {name.lower(): version for name, _, version in (line.partition("==") for line in lines)}


def _pip(*arguments):
    _run([BIN / "pip", "install", "-q", "--disable-pip-version-check", *arguments])


def _cargo(*arguments):
    if not shutil.which("cargo"):
        raise SystemExit("Rust is missing. Install it from https://rustup.rs and try again.")
    _run(["cargo", *arguments], cwd=ROOT)


def _run(command, **options):
    if subprocess.run(command, **options).returncode != 0:
        raise SystemExit(f"this failed: {' '.join(map(str, command))}")


def _say(text):
    print(f"# {text}", file=sys.stderr, flush=True)
