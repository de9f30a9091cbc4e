"""Config files as people have them (`configs/`): each starts unchanged and does what it is for."""

import json
import re
import signal
import socket
from pathlib import Path

import pytest

from harness import IS_GUNICORN, until

FOLDER = Path(__file__).parent / "configs"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py"))

APP = """
import os
def app(environ, start_response):
    if environ["PATH_INFO"] == "/sleep":
        import time
        time.sleep(20)
    body = f"{environ['wsgi.url_scheme']} {os.environ.get('TOWN', '')} {environ['SERVER_SOFTWARE']}".encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""

FILES = {
    "shop.py": APP + "def create_app(config, testing): return app if config == 'production' and not testing else None\n",
    "deployment.py": "TOWN = 'Rome'\ndef cores(): return 2\n",
    "server.json": json.dumps({"workers": 2, "timeout": 45, "bind": ["127.0.0.1:8000"], "loglevel": "info", "proc_name": "of json"}),
    ".env": "WORKERS=2\nSERVICE=of dotenv\nLOGLEVEL=info\n",
    "api.py": """
async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"api"})
""",
    "mysite/__init__.py": "",
    "mysite/urls.py": "from django.http import HttpResponse\nfrom django.urls import path\nurlpatterns = [path('', lambda request: HttpResponse('mysite'))]\n",
    "mysite/settings.py": "import os\nDEBUG = os.environ['DJANGO_DEBUG'] == '1'\nSECRET_KEY = 'x'\nALLOWED_HOSTS = ['*']\nROOT_URLCONF = 'mysite.urls'\n",
    "mysite/wsgi.py": "from django.core.wsgi import get_wsgi_application\napplication = get_wsgi_application()\n",
}

# What is set around a file, and how many workers it asks for.
ENVIRONMENT = {
    "environment": {"GUNICORN_WORKERS": "3", "ACCESS_LOG": "-"},
    "prefixed": {"GUNICORN_WORKERS": "2", "GUNICORN_LOGLEVEL": "debug", "GUNICORN_MAX_REQUESTS": "0x10", "GUNICORN_NONSENSE": "1"},
    "platform": {"PORT": "0", "WEB_CONCURRENCY": "2"},
    "behind_nginx": {"SITE_ROOT": "site"},
    "memory_guard": {"WORKER_LIMIT_KIB": "1000"},
    "quiet_development": {"DEBUG": "1"},
    "readiness": {"STATE_DIR": "."},
}
WORKERS = {"minimal": 3, "cpu_count": 4, "environment": 3, "prefixed": 2, "dotenv_file": 2, "platform": 2, "every_hook": 2, "from_json": 2,
           "computed": 2, "readiness": 2, "sessions": 2, "preloaded": 2}
# Files that name their app themselves, or want another one.
APPS = {"django_site": None, "flask_factory": None, "fastapi_by_name": "api:app", "fastapi_by_class": "api:app"}
NEEDS = {"dotenv_file": "dotenv", "json_logs": "pythonjsonlogger", "gevent_patched": "gevent", "prometheus": "prometheus_client",
         "tracing": "opentelemetry.sdk", "django_site": "django", "fastapi_by_name": "uvicorn.workers", "fastapi_by_class": "uvicorn.workers"}


def start(serve, name, *flags, env=(), **options):
    """Starts a server with that file, which is unchanged but for its place and the address."""
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    files = {**FILES, "gunicorn.conf.py": (FOLDER / f"{name}.py").read_text()}
    quiet = ["--no-control-socket"] if IS_GUNICORN else []
    server = serve(None, *quiet, *flags, *([app] if (app := APPS.get(name, "shop:app")) else []), files=files, listening=False,
                   env={**ENVIRONMENT.get(name, {}), **dict(env)}, plain=True, **options)
    return server


def started(serve, name, *flags, **options):
    return start(serve, name, *flags, **options).wait_listening()


# These do not log to stderr, so where they listen is looked for elsewhere.
ELSEWHERE = {"behind_nginx", "json_logs", "syslog_only"}


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ELSEWHERE])
def test_a_file_starts_unchanged_and_serves(serve, name):
    server = started(serve, name)
    assert server.get("/").status == 200
    if name in WORKERS:
        server.wait_workers(WORKERS[name])
    assert "Traceback" not in server.log
    # A TERM that meets a worker in its boot is lost there.
    assert IS_GUNICORN or server.stop() == 0


def test_a_site_behind_nginx_has_its_socket_its_logs_and_its_pidfile(serve):
    server = start(serve, "behind_nginx", bind=None)
    site = server.folder / "site"
    log = site / "log" / "error.log"
    until(lambda: log.exists() and "Listening at: unix:" in log.read_text(), "the log")
    server.address = str(site / "site.sock")
    assert server.get("/", [("X-Forwarded-Proto", "https")]).text.startswith("https ")
    assert (site / "site.sock").stat().st_mode & 0o777 == 0o770
    assert (site / "site.pid").read_text() == f"{server.pid}\n"
    until(lambda: '"GET / HTTP/1.1" 200' in (site / "log" / "access.log").read_text(), "an access line")
    assert server.stop() == 0
    assert not (site / "site.sock").exists() and not (site / "site.pid").exists()


def test_json_logs_are_json(serve):
    server = start(serve, "json_logs")
    found = until(lambda: [line for line in server.access_log if "Listening at" in line], "the line")
    server.address = ("127.0.0.1", int(re.search(r"127\.0\.0\.1:(\d+)", json.loads(found[0])["message"])[1]))
    server.get("/list")
    [line] = until(lambda: [line for line in server.access_log if "/list" in line], "an access line")
    told = json.loads(line)
    assert (told["name"], json.loads(told["message"])["status"]) == ("gunicorn.access", 200)
    assert server.stop() == 0
    assert all(json.loads(line)["name"].startswith("gunicorn.") for line in server.access_log)


def test_syslog_has_both_logs(serve):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as syslog:
        syslog.bind(("127.0.0.1", 0))
        syslog.settimeout(10)
        server = started(serve, "syslog_only", env={"SYSLOG": f"udp://127.0.0.1:{syslog.getsockname()[1]}"})
        server.get("/list")
        lines = []
        while not any("gunicorn.shop.access" in line and "/list" in line for line in lines):
            lines.append(syslog.recv(4096).decode())
        assert any(re.match(r"<158>gunicorn\.shop\.error: \[\d+\] Listening at", line) for line in lines)
        assert server.stop() == 0


def test_statsd_gets_what_hooks_count(serve):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as statsd:
        statsd.bind(("127.0.0.1", 0))
        statsd.settimeout(10)
        server = started(serve, "statsd_metrics", env={"STATSD_HOST": f"127.0.0.1:{statsd.getsockname()[1]}"})
        server.get("/")
        wanted = {r"shop\.web\.shop\.workers\.born:1\|c\|@1\.0\|#env:test,host:.+", r"shop\.web\.gunicorn\.request\.status\.200:1\|c\|@1\.0\|#env:test,.*"}
        lines = []
        while not all(any(re.fullmatch(pattern, line) for line in lines) for pattern in wanted):
            lines += statsd.recv(4096).decode().splitlines()


def test_health_checks_are_not_logged(serve):
    for name in ("filtered_logs", "own_logger"):
        server = started(serve, name)
        server.get("/health")
        server.get("/list")
        lines = until(lambda: [line for line in server.access_log if "/list" in line] and server.access_log, "the line")
        assert not [line for line in lines if "/health" in line]
        if name == "own_logger":
            assert "INFO|logging for shop" in server.log and 'main street "GET /list HTTP/1.1" 200' in lines


def test_a_hidden_name(serve):
    response = started(serve, "hidden_name").get("/")
    assert (response.header("server"), response.text) == ("web", "http  web")


def test_settings_that_are_computed(serve):
    assert started(serve, "computed").get("/").text.startswith("http Rome ")


def test_a_hanging_worker_shows_its_stack(serve):
    server = started(serve, "stacks")
    with server.connect() as client:
        client.send(b"GET /sleep HTTP/1.1\r\nHost: x\r\n\r\n")
        server.wait_for(r'Stack of MainThread:\n[\s\S]*time\.sleep\(20\)')


def test_the_hooks_of_a_whole_life(serve):
    server = started(serve, "every_hook", "--log-level", "debug")
    pids = server.wait_workers(2)
    server.wait_for("worker initialized with <function app at", count=2)
    server.get("/list")
    server.wait_for(r"GET /list 200 OK")
    mark = server.mark()
    server.send(signal.SIGHUP)
    server.wait_workers(2, without=pids)
    server.wait_for("Child exited", count=2, after=mark)
    server.wait_for(r"Reloading\.\.\.", after=mark)
    assert server.stop(signal.SIGINT) == 0
    for line in ("From None workers to 2", "Server is starting", r"Server is ready\. Spawning workers", "Worker spawned", "worker received INT or QUIT",
                 "# Thread: MainThread", "Worker exited", "Server has shut down"):
        assert re.search(line, server.log), line


def test_a_worker_that_has_grown_is_replaced(serve):
    server = started(serve, "memory_guard")
    pids = server.wait_workers(1)
    for _ in range(2):
        server.get("/")
    server.wait_for(r"worker \d+ has \d+ KiB after \d requests and is replaced")
    server.wait_workers(1, without=pids)


def test_files_tell_an_orchestrator(serve):
    server = started(serve, "readiness")
    until(lambda: server.has("worker-1") and server.has("worker-2"), "the workers' files")
    assert server.noted("ready") == str(server.pid)
    assert server.stop() == 0
    assert not server.has("ready")


def test_a_scheduler_runs_in_the_master(serve):
    server = started(serve, "scheduler")
    server.wait_for(rf"\[{server.pid}\] \[INFO\] tick", count=2)
    assert server.stop() == 0


def test_metrics_and_spans_of_workers_that_leave(serve):
    pytest.importorskip("prometheus_client")
    server = started(serve, "prometheus")
    pids = server.wait_workers(2)
    server.get("/")
    server.send(signal.SIGTERM, pids[0])
    server.wait_for(f"metrics of worker {pids[0]} are given up")
    server.wait_workers(2, without=pids[:1])


def test_the_format_of_a_platform(serve):
    server = started(serve, "platform")
    server.get("/", [("X-Forwarded-For", "192.0.2.9"), ("X-Forwarded-Proto", "https")])
    [line] = until(lambda: server.access_log, "a line")
    assert re.fullmatch(r'192\.0\.2\.9 - - \[[^]]+\] "GET / HTTP/1\.1" 200 \d+ "-" "-" \d+us', line)


def test_pools_are_closed_when_workers_end(serve):
    server = started(serve, "sessions", "-w", "1")
    server.wait_for("pool of 2 for worker 1")
    # One that has not begun to serve ends without its hooks.
    assert server.get("/").status == 200
    assert server.stop() == 0
    assert "pool of worker 1 is closed" in server.log
