"""gunicorn's own suite of ASGI tests, from its source distribution, run against a server of ours instead of its containers."""

import os
import re
import subprocess
import sys
import tarfile
import xml.etree.ElementTree as ElementTree

from .corpora import PACKAGE, archive

_SUITE = f"{PACKAGE}/tests/docker/asgi_compliance/"
_ABSENT = ("gunicorn_ssl_url", "nginx_url", "nginx_ssl_url")

# Stands beside the tests, below gunicorn's own conftest, whose containers it replaces.
_CONFTEST = f"""
import os

import pytest


@pytest.fixture(scope="session")
def docker_services():
    return {{"gunicorn_http": os.environ["SERVER_URL"]}}


def pytest_collection_modifyitems(items):
    items[:] = [item for item in items if not set({_ABSENT}) & set(item.fixturenames)]
"""


def unpack(folder):
    """Lays the suite out: its apps in `apps`, its fixtures above its tests in `tests/run`."""
    (folder / "tests/run").mkdir(parents=True)
    (folder / "apps").mkdir()
    with tarfile.open(archive()) as packed:
        for member in packed:
            name = member.name.removeprefix(_SUITE)
            if name != member.name and (found := re.fullmatch(r"(apps/\w+|test_\w+|conftest)\.py", name)):
                place = {"apps": ".", "conf": "tests"}.get(found[1][:4], "tests/run")
                (folder / place / name).write_bytes(packed.extractfile(member).read())
    (folder / "tests/run/conftest.py").write_text(_CONFTEST)
    return folder


def run(folder, file, url):
    """What came of each test in a file that needs neither TLS nor another server: its name, and None or the failure."""
    report = folder / f"{file}.xml"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "asyncio_mode=auto", "--timeout=60",
         "--import-mode=importlib", "--rootdir", folder / "tests", f"--junitxml={report}", folder / f"tests/run/{file}.py"],
        cwd=folder / "tests", env={**os.environ, "SERVER_URL": url, "PYTEST_ADDOPTS": ""}, text=True, capture_output=True, timeout=300)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    outcomes = {}
    for case in ElementTree.parse(report).iter("testcase"):
        fault = next((part for part in case if part.tag in ("failure", "error", "skipped")), None)
        name = f"{case.get('classname').rpartition('.')[2]}.{case.get('name')}"
        outcomes[name] = None if fault is None else f"{fault.tag}: {fault.get('message')}\n{fault.text}"
    return outcomes
