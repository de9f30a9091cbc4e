"""`--reload`: changed code is served without a word to the server, and a developer sees why it cannot be loaded."""

import os

import pytest

from harness import IS_GUNICORN, run_cli, until

SOURCE = """
import helper


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [helper.WORD]
"""

only_ferricorn = pytest.mark.only_ferricorn

engines = pytest.mark.parametrize("engine", ["auto", "poll", "inotify"] if not IS_GUNICORN else ["poll"])


def develop(serve, *flags, helper="WORD = b'one'\n", **files):
    """A server that watches an app of two modules."""
    files = {"site_code.py": SOURCE, "helper.py": helper, **files}
    return serve("site_code:app", "--reload", *flags, files=files)


def write(server, name, text):
    """Puts a new file in the place of the old one, as editors do."""
    new = server.folder / (name + ".new")
    new.write_text(text)
    os.replace(new, server.folder / name)


def wait_text(server, text):
    until(lambda: server.get().text == text, f"the answer {text!r}")


@engines
def test_changed_code_is_served(serve, engine):
    server = develop(serve, "--reload-engine", engine)
    assert server.get().text == "one"
    write(server, "helper.py", "WORD = b'two'\n")
    server.wait_for(r"Worker reloading: \S*helper.py modified")
    wait_text(server, "two")


@only_ferricorn("gunicorn's workers each end and leave clients waiting")
def test_one_change_is_one_reload_however_many_workers_see_it(serve):
    server = develop(serve, "-w", "3")
    workers = server.wait_workers(3)
    wait_text(server, "one")
    write(server, "helper.py", "WORD = b'two'\n")
    server.wait_workers(3, without=workers)
    wait_text(server, "two")
    with server.load("/", clients=2, limit=2000) as load:
        workers = server.workers()
        write(server, "site_code.py", SOURCE + "\n")
        server.wait_workers(3, without=workers)
        load.wait_answered(20)
    assert load.failures == [] and load.refused == 0
    assert server.log.count("Booting worker with pid") == 9


@only_ferricorn("gunicorn watches no module that was imported later")
def test_a_module_that_is_imported_later_is_watched_too(serve):
    late = "def app(environ, start_response):\n    import helper\n    start_response('200 OK', [])\n    return [helper.WORD]\n"
    server = develop(serve, **{"site_code.py": late})
    assert server.get().text == "one"
    write(server, "helper.py", "WORD = b'two'\n")
    wait_text(server, "two")


@only_ferricorn("gunicorn shows a SyntaxError alone, and halts at anything else")
@pytest.mark.parametrize("broken, told", [
    ("WORD = (b'two'\n", "SyntaxError"),
    ("import no_such_module\n", "No module named 'no_such_module'"),
    ("WORD = 1 / 0\n", "ZeroDivisionError"),
])
def test_code_that_cannot_be_loaded_shows_why_and_heals(serve, broken, told):
    server = develop(serve)
    assert server.get().text == "one"
    write(server, "helper.py", broken)
    page = until(lambda: (answer := server.get()).status == 500 and answer, "the failure")
    assert told in page.text and "helper.py" in page.text
    assert page.header("Content-Type").startswith("text/html")
    assert "The new code cannot be loaded; workers show why" in server.log and "Reloaded" not in server.log
    write(server, "helper.py", "WORD = b'three'\n")
    wait_text(server, "three")


@only_ferricorn("gunicorn's workers each end and leave clients waiting")
def test_an_import_that_hangs_is_given_up_when_the_code_changes_again(serve):
    server = develop(serve)
    assert server.get().text == "one"
    write(server, "helper.py", "import time\nopen('entered', 'w').close()\ntime.sleep(1000)\n")
    until(lambda: server.has("entered"), "the import")
    assert server.get().text == "one"
    # Long before --boot-timeout is over.
    write(server, "helper.py", "WORD = b'two'\n")
    server.wait_for("The code has changed again: it is loaded anew")
    wait_text(server, "two")
    server.wait_for("Reload complete")
    assert "Reload failed" not in server.log


@only_ferricorn("gunicorn halts")
def test_a_server_starts_on_code_that_is_not_there_yet(serve):
    server = serve("site_code:app", "--reload", files={"helper.py": "WORD = b'one'\n"})
    page = server.get()
    assert page.status == 500 and "No module named" in page.text
    write(server, "site_code.py", SOURCE)
    wait_text(server, "one")


@only_ferricorn("gunicorn shows it as HTML only in its own words")
def test_what_stands_in_a_traceback_is_no_markup(serve):
    server = develop(serve, helper="raise RuntimeError('<script>alert(1)</script>')\n")
    page = server.get()
    assert page.status == 500 and "&lt;script&gt;" in page.text and "<script>" not in page.text


@engines
def test_extra_files_and_patterns_are_watched(serve, engine):
    app = SOURCE.replace("helper.WORD", "open('pages/a.html', 'rb').read()")
    server = develop(serve, "--reload-engine", engine, "--reload-extra-file", "pages/*.html",
                     "--reload-extra-file", "notes.txt",
                     **{"site_code.py": app, "pages/a.html": "page", "notes.txt": "note"})
    assert server.get().text == "page"
    for name in ["pages/a.html", "notes.txt"]:
        mark, workers = server.mark(), server.wait_workers(1)
        write(server, name, "changed")
        server.wait_for(rf"Worker reloading: \S*{name} modified", after=mark)
        server.wait_workers(1, without=workers)
        server.get()


def test_an_extra_file_that_does_not_exist_is_an_error(tmp_path):
    (tmp_path / "site_code.py").write_text(SOURCE)
    done = run_cli("site_code:app", "--reload", "--reload-extra-file", "missing.txt", "--check-config", cwd=tmp_path)
    assert done.returncode == 1
    assert "missing.txt" in done.stderr


@only_ferricorn("ASGI apps have another worker class there")
def test_asgi_apps_are_reloaded_too(serve):
    source = """
import helper


async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": helper.WORD})
"""
    server = develop(serve, **{"site_code.py": source})
    assert server.get().text == "one"
    write(server, "helper.py", "WORD = b'two")
    assert until(lambda: (answer := server.get()).status == 500 and answer, "the failure")
    write(server, "helper.py", "WORD = b'two'\n")
    wait_text(server, "two")


@only_ferricorn("the log line is ours")
def test_without_it_nobody_watches(serve):
    server = serve("site_code:app", files={"site_code.py": SOURCE, "helper.py": "WORD = b'one'\n"})
    assert server.get().text == "one"
    write(server, "helper.py", "WORD = b'two'\n")
    assert server.get().text == "one" and "reloading" not in server.log
