"""gunicorn's request corpora, fetched from PyPI once and kept among the artifacts; they are not ours to commit."""

import os
import re
import subprocess
import sys
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from urllib.parse import urlsplit

import pytest

PACKAGE = "gunicorn-27.0.1"
SHA256 = "b1514965361c8b7e8107a80aa2a92636878df1ccfac6dd204a676426e04d9e3e"
CACHE = Path(__file__).parent.parent / ".artifacts" / "corpora"

ESCAPE = re.compile(rb"\\(?:x([0-9A-Fa-f]{2})|([rnt0]))")
LETTERS = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"0": b"\0"}
STATUS = {"LimitRequestLine": [414], "LimitRequestHeaders": [431], "NoMoreData": []}


@dataclass
class Case:
    """One file: what to send, under which settings, and what must come of it."""

    name: str
    data: bytes
    settings: dict
    requests: list = field(default_factory=list)
    """The requests that the app must see, each as the corpus describes it."""
    statuses: list = field(default_factory=list)


def cases():
    """All cases of both corpora."""
    with tarfile.open(archive()) as unpacked:
        texts = {name: unpacked.extractfile(member).read() for member in unpacked
                 if (name := re.sub(rf"^{PACKAGE}/tests/requests/", "", member.name)) != member.name and member.isfile()}
    return [_case(name.removesuffix(".http"), texts) for name in sorted(texts) if name.endswith(".http")]


def archive():
    """The source distribution; pip has compared its hash."""
    packed = CACHE / f"{PACKAGE}.tar.gz"
    if not packed.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        wanted = CACHE / "wanted.txt"
        wanted.write_text(f"{PACKAGE.replace('-', '==')} --hash=sha256:{SHA256}\n")
        pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:", "--require-hashes"]
        done = subprocess.run([*pip, "-d", str(CACHE), "-r", str(wanted)], capture_output=True, text=True)
        if done.returncode:
            why = f"{PACKAGE} cannot be fetched from PyPI: {done.stderr.strip()[-500:]}"
            # Where nobody looks at what was left out, nothing may be left out.
            (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(why)
    return packed


def decode(text):
    """The bytes that a file stands for: its line ends are dropped, its escapes are what counts."""
    data = ESCAPE.sub(lambda found: bytes.fromhex(found[1].decode()) if found[1] else LETTERS[found[2]],
                      text.replace(b"\n", b""))
    return data


def _case(name, texts):
    settings, told = {}, _run(texts[f"{name}.py"])
    if config := told.get("cfg"):
        settings = config.settings
    case = Case(name, decode(texts[f"{name}.http"]), settings)
    expected = told["request"]
    if isinstance(expected, str):
        case.statuses = STATUS.get(expected, [400])
    else:
        case.requests = expected if isinstance(expected, list) else [expected]
        case.statuses = [200] * len(case.requests)
    return case


class Config:
    """Stands in for gunicorn's: it notes what is set."""

    def __init__(self):
        self.settings = {}

    def set(self, name, value):
        self.settings[name] = value


class _Errors(ModuleType):
    """Stands in for gunicorn's exceptions: each is its name."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return name


def _run(text):
    """What the Python file beside a case defines."""
    modules = {"gunicorn": ModuleType("gunicorn"), "gunicorn.config": SimpleNamespace(Config=Config),
               "gunicorn.http": ModuleType("gunicorn.http"), "gunicorn.http.errors": _Errors("errors")}
    kept = {name: sys.modules.get(name) for name in modules}
    namespace = {"uri": _uri, "cfg": Config()}
    sys.modules.update(modules)
    try:
        exec(text, namespace)
    finally:
        for name, module in kept.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
    return namespace


def _uri(target):
    """A target and its query. A path that begins with two slashes is no authority."""
    return {"raw": target, "query": urlsplit("." + target if target.startswith("//") else target).query}
