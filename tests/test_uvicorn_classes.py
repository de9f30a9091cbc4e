"""Worker classes that are derived from uvicorn's: their `CONFIG_KWARGS` are settings."""

import pytest

from harness import HIDE_GUNICORN, IS_FERRICORN

pytest.importorskip("uvicorn")
only_ferricorn = pytest.mark.only_ferricorn

APP = """
import asyncio
import json

LIFESPAN = []


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        LIFESPAN.append(True)
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        return await send({"type": "lifespan.shutdown.complete"})
    told = {"loop": type(asyncio.get_running_loop()).__module__.partition(".")[0], "lifespan": bool(LIFESPAN), "scheme": scope["scheme"],
            "root_path": scope["root_path"], "client": scope["client"][0]}
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(told).encode()})
"""

DERIVED = """
from uvicorn.workers import UvicornWorker


class Mine(UvicornWorker):
    CONFIG_KWARGS = {ARGUMENTS}
    note = "something that is no method"

    def one_more(self):
        return self.note
"""


def derived(**arguments):
    return DERIVED.replace("{ARGUMENTS}", repr(arguments))


def told(server):
    return server.get("/", [("X-Forwarded-For", "192.0.2.7"), ("X-Forwarded-Proto", "https")]).json()


@pytest.mark.parametrize("place", [
    "named",
    pytest.param("file", marks=only_ferricorn("the class that the tests name for gunicorn wins over a file's")),
    pytest.param("hidden", marks=only_ferricorn("it is gunicorn")),
])
def test_its_arguments_count(serve, place):
    text = derived(loop="asyncio", lifespan="off", http="h11", root_path="/api", forwarded_allow_ips="*", server_header=False)
    files = {"mine.py": APP, "workers_of_mine.py": text}
    flags = ["-k", "workers_of_mine.Mine"]
    if place != "named":
        files["gunicorn.conf.py"] = (HIDE_GUNICORN if place == "hidden" else "") + text + "\nworker_class = Mine\n"
        flags = []
    server = serve("mine:app", *flags, "--keep-alive", "5", files=files)
    said = told(server)
    # uvicorn's worker looks for the client in X-Forwarded-For without being told to.
    assert {**said, "client": None} == {"loop": "asyncio", "lifespan": False, "scheme": "https", "root_path": "/api", "client": None}
    assert server.get("/").all("server") == []


def test_another_loop_and_a_lifespan(serve):
    pytest.importorskip("uvloop")
    files = {"mine.py": APP, "workers_of_mine.py": derived(loop="uvloop", lifespan="on", proxy_headers=True)}
    said = told(serve("mine:app", "-k", "workers_of_mine.Mine", files=files))
    assert said == {"loop": "uvloop", "lifespan": True, "scheme": "https", "root_path": "", "client": "192.0.2.7"}


def test_proxies_may_be_passed_over(serve):
    files = {"mine.py": APP, "workers_of_mine.py": derived(proxy_headers=False)}
    said = told(serve("mine:app", "-k", "workers_of_mine.Mine", files=files))
    assert (said["scheme"], said["client"]) == ("http", "127.0.0.1")


def test_it_lies_where_the_app_does(serve):
    server = serve("mine:app", "--chdir", "site", "-k", "workers_of_mine.Mine",
                   files={"site/mine.py": APP, "site/workers_of_mine.py": derived(lifespan="off")})
    assert told(server)["lifespan"] is False


@only_ferricorn("uvicorn heeds them")
def test_what_has_no_counterpart_is_told_by_name(serve):
    text = derived(headers=[("x-one", "1")], limit_concurrency=5, date_header=False, log_level="warning", loop="mine:loop", new=1)
    server = serve("mine:app", "-k", "workers_of_mine.Mine", files={"mine.py": APP, "workers_of_mine.py": text})
    for argument in ("headers", "limit_concurrency", "date_header", "log_level", "loop", "new"):
        server.wait_for(rf"\[WARNING\] {argument} in CONFIG_KWARGS of workers_of_mine\.Mine has no effect: ")


@only_ferricorn("its configuration does not know them")
def test_the_printed_configuration_names_the_class(cli):
    done = cli("--print-config", "-k", "workers_of_mine.Mine", "mine:app", plain=True,
               files={"mine.py": APP, "workers_of_mine.py": derived(timeout_keep_alive=9, ssl_keyfile=None)})
    assert 'keepalive' in done.stdout and "= 9  # CONFIG_KWARGS of workers_of_mine.Mine" in done.stdout, done.stderr


@only_ferricorn("they drive its workers")
@pytest.mark.parametrize("text, words", [
    (derived() + "    def run(self):\n        super().run()\n", ["changes run of uvicorn's worker", "asgi"]),
    (derived(ssl_certfile="a.pem"), ["certfile: not supported yet", "CONFIG_KWARGS of workers_of_mine.Mine"]),
    (derived(lifespan="maybe"), ["asgi_lifespan: ", "maybe"]),
    ("import no_such_module\n", ["worker_class: ", "cannot be imported: ModuleNotFoundError: No module named 'no_such_module'"]),
    ("Mine = 5\n", ["worker_class: ", "worker classes written in Python"]),
])
def test_what_cannot_be_stops_the_start(cli, text, words):
    done = cli("-k", "workers_of_mine.Mine", "mine:app", files={"mine.py": APP, "workers_of_mine.py": text})
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert all(word in done.stderr for word in words), done.stderr
    assert done.stderr.startswith("Error: ") and len(done.stderr.splitlines()) == 1, done.stderr


def test_uvicorns_own_is_as_before(serve):
    server = serve("mine:app", "-k", "uvicorn.workers.UvicornWorker", files={"mine.py": APP})
    said = told(server)
    assert said["lifespan"] is True and said["scheme"] == "https"
    # Who the client is has to be asked for here.
    assert said["client"] == ("127.0.0.1" if IS_FERRICORN else "192.0.2.7")
