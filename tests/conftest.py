"""Fixtures: servers that start in a folder of their own and must leave nothing behind."""

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

from harness import IS_FERRICORN, IS_UVICORN, SERVER, Server, run_cli
from harness import server as running

ARTIFACTS = Path(__file__).parent / ".artifacts"


def pytest_collection_modifyitems(config, items):
    """Leaves out what a server of reference is known to do otherwise, or cannot do: gunicorn stands for WSGI here, and
    uvicorn for ASGI."""
    if not IS_FERRICORN:
        out = [item for item in items if item.get_closest_marker("only_ferricorn")
               or item.path.name.startswith(("test_asgi", "test_asyncio", "test_websocket")) != IS_UVICORN]
        config.hook.pytest_deselected(items=out)
        items[:] = [item for item in items if item not in out]
    for item in items:
        if item.get_closest_marker("only_root") and os.geteuid() != 0:
            item.add_marker(pytest.mark.skip(reason="a mount needs root"))


def pytest_report_header():
    return f"server under test: {SERVER}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Keeps the logs of every server of a failed test."""
    report = yield
    if report.failed:
        target = ARTIFACTS / item.nodeid.replace("/", "_").replace("::", "-")
        for number, server in enumerate(running.STARTED):
            shutil.copytree(server.folder, target / str(number), dirs_exist_ok=True,
                            ignore=shutil.ignore_patterns("*.sock", "venv", "*.fifo"))
    if report.when == "teardown":
        running.STARTED[:] = [server for server in running.STARTED if server.process.poll() is None]
    return report


class Serve:
    """Starts servers, and stops them all at the end."""

    def __init__(self, factory):
        self._factory, self._servers = factory, []

    @property
    def last(self):
        """The server that was started last."""
        return self._servers[-1]

    def folder(self, files=None):
        """A new folder that holds these files, by name."""
        folder = self._factory.mktemp("server")
        for name, text in (files or {}).items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return folder

    def __call__(self, app, *flags, files=None, cwd=None, bind="127.0.0.1:0", listening=True, **options):
        """Starts a server and waits until it listens.

        `app` is `module:attr`, found in the folder or in tests/apps, or source of several lines that defines
        `app`; None leaves the positional out. `files` go into the folder, which is the current one unless
        `cwd` says otherwise.
        """
        files = dict(files or {})
        if app and "\n" in app:
            files["inline.py"], app = app, "inline:app"
        folder = self.folder(files)
        where = ["-b", bind] if bind else []
        server = Server([*where, *flags, *([app] if app else [])], folder, cwd or folder, **options)
        self._servers.append(server)
        return server.wait_listening() if listening else server

    def close(self):
        failures = []
        for server in self._servers:
            try:
                server.close()
            except AssertionError as error:
                failures.append(str(error))
        assert not failures, "\n\n".join(failures)


def _serving(factory):
    serve = Serve(factory)
    yield serve
    serve.close()


@pytest.fixture
def serve(tmp_path_factory):
    """Starts servers that live as long as the test."""
    yield from _serving(tmp_path_factory)


@pytest.fixture(scope="module")
def serve_module(tmp_path_factory):
    """Starts servers that the tests of one file share."""
    yield from _serving(tmp_path_factory)


LOOPS = ["asyncio", pytest.param("uvloop", marks=pytest.mark.skipif(not find_spec("uvloop"), reason="there is no uvloop"))]


@pytest.fixture(scope="session", params=LOOPS)
def loop(request):
    """The name of an event loop for ASGI apps: each that is installed, one after the other."""
    return request.param


@pytest.fixture
def cli(tmp_path):
    """Runs the command to its end in an empty folder."""
    def run(*flags, files=None, **options):
        for name, text in (files or {}).items():
            (tmp_path / name).write_text(text)
        return run_cli(*flags, cwd=options.pop("cwd", tmp_path), **options)

    return run
