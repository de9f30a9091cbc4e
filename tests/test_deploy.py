"""The files of deploy/: their commands are run, as far as they go without Docker, Kubernetes and systemd as process 1."""

import configparser
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from harness import Client, children, run_cli, until
from harness import server as running
from harness.proxy import DEPLOY, free_port

pytestmark = pytest.mark.only_ferricorn("it is about the files of deploy/")

ROOT = DEPLOY.parent
FLASK = ROOT / "examples/flask"
GRACEFUL_TIMEOUT = 30
"""The default of --graceful-timeout, in seconds."""


def instructions(dockerfile):
    """A Dockerfile's instructions, as pairs of name and argument, comments and line breaks taken out."""
    text = re.sub(r"(?m)^#.*\n", "", dockerfile.read_text()).replace("\\\n", "")
    return [tuple(line.split(None, 1)) for line in text.splitlines() if line.strip()]


IMAGE = instructions(DEPLOY / "Dockerfile")
LAST_STAGE = IMAGE[max(number for number, (name, _) in enumerate(IMAGE) if name == "FROM"):]


def only(name):
    """The argument of the only such instruction in the last stage."""
    (argument,) = [argument for found, argument in LAST_STAGE if found == name]
    return argument


def image_environment():
    return dict(pair.split("=", 1) for pair in shlex.split(only("ENV")))


def manifest(name):
    (document,) = yaml.safe_load_all((DEPLOY / "kubernetes" / name).read_text())
    return document


def accepts(arguments, cwd, env=()):
    """Insists that the server takes this command line and finds the app."""
    done = run_cli("--check-config", *arguments, cwd=cwd, env=env)
    assert done.returncode == 0, done.stderr


def value_of(arguments, flag):
    """The value of `--flag=VALUE` or `--flag VALUE`."""
    for number, argument in enumerate(arguments):
        if argument == flag:
            return arguments[number + 1]
        if argument.startswith(flag + "="):
            return argument.partition("=")[2]
    raise AssertionError(f"no {flag} in {arguments}")


@pytest.fixture
def mysite(tmp_path):
    """A folder with the app that the files name."""
    (tmp_path / "mysite").mkdir()
    (tmp_path / "mysite" / "wsgi.py").write_text("from hello import app as application\n")
    return tmp_path


# The image.


def test_the_image_runs_the_server_itself_and_not_as_root():
    assert json.loads(only("ENTRYPOINT")) == ["ferricorn"]
    assert json.loads(only("CMD"))[-1] == "app:app"
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", only("USER"))
    assert only("STOPSIGNAL") == "SIGTERM"
    assert image_environment()["PYTHONUNBUFFERED"] == "1"
    for name, argument in IMAGE:
        if name == "COPY" and not argument.startswith("--from"):
            assert (ROOT / argument.split()[0]).exists(), f"COPY {argument}"


def build(folder):
    """Runs the image's commands outside of Docker; returns where its paths are on this machine."""
    wheels = Path(sys.prefix) / "wheel"
    paths, left_out = {"/venv": folder / "venv", "/wheels": wheels}, []
    assert list(wheels.glob("*.whl")), f"there is no wheel in {wheels}; make test-python builds it"
    for name, argument in IMAGE:
        if name == "COPY" and not argument.startswith("--from"):
            source, target = argument.split()
            paths[target] = ROOT / source
        if name == "RUN" and re.match("apt-get|pip install|maturin", argument):
            left_out.append(argument.split()[0])
        elif name == "RUN":
            for path in sorted(paths, key=len, reverse=True):
                argument = re.sub(rf"(?<![\w./-]){re.escape(path)}\b", str(paths[path]), argument)
            path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
            subprocess.run(argument, shell=True, cwd=folder, env={**os.environ, "PATH": path}, check=True)
    assert left_out == ["apt-get", "pip", "maturin"]
    return paths


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    return build(tmp_path_factory.mktemp("image"))


def on_this_machine(paths, argument):
    """A path of the image, on this machine."""
    return next((str(there) + argument[len(path):] for path, there in paths.items()
                 if argument == path or argument.startswith(path + "/")), argument)


def health(paths, port, **env):
    """The exit status of the image's health check."""
    words = json.loads(only("HEALTHCHECK").partition("CMD ")[2])
    env = {**image_environment(), "PATH": f"{paths['/venv']}/bin:/usr/bin:/bin", "PORT": str(port), **env}
    command = [on_this_machine(paths, word) for word in words]
    return subprocess.run(command, env=env, capture_output=True, timeout=20).returncode


@pytest.mark.timeout(180)
def test_the_image_serves_and_its_health_check_tells(serve, image, monkeypatch):
    monkeypatch.setattr(running, "_SCRIPT", on_this_machine(image, "/venv/bin/ferricorn"))
    port = free_port()
    env = {**image_environment(), "PORT": str(port)}
    env.pop("PATH")
    assert health(image, port) == 1, "nobody listens"
    server = serve(None, *json.loads(only("CMD")), bind=None, cwd=image["/app"], env=env)
    assert server.port == port and "http://0.0.0.0:" in server.log
    server.wait_workers(int(env["WEB_CONCURRENCY"]))
    assert health(image, port) == 0
    assert health(image, port, HEALTH_PATH="/no-such-page") == 0, "a 404 is the app's answer, so it lives"
    assert '"GET / HTTP/1.1" 200' in "\n".join(until(lambda: server.access_log, "an access line"))
    for pid in server.workers():
        server.send(signal.SIGSTOP, pid)
    assert health(image, port) == 1, "nobody answers"
    for pid in server.workers():
        server.send(signal.SIGCONT, pid)
    assert health(image, port) == 0
    assert server.stop() == 0
    assert health(image, port) == 1


def test_the_health_check_tells_of_an_app_that_fails(serve, image):
    server = serve("features:app")
    assert health(image, server.port) == 0
    assert health(image, server.port, HEALTH_PATH="/raise") == 1
    assert health(image, server.port, HEALTH_PATH="/sleep?4") == 1


@pytest.mark.only_root
def test_as_process_1_it_reaps_orphans_and_stops(serve, monkeypatch):
    if subprocess.run("unshare --pid --fork --mount-proc true", shell=True, capture_output=True).returncode != 0:
        pytest.skip("this machine allows no PID namespace")
    launcher = serve.folder({"launch": f"""#!/bin/sh
exec unshare --pid --fork --mount-proc --kill-child {running._SCRIPT} "$@"
"""}) / "launch"
    launcher.chmod(0o755)
    monkeypatch.setattr(running, "_SCRIPT", launcher)
    server = serve("""
import os, subprocess, time

def app(environ, start_response):
    if environ["PATH_INFO"] == "/orphan":
        subprocess.run(["sh", "-c", "sleep 0.1 &"])
        time.sleep(0.3)
    states = [open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0] for pid in os.listdir("/proc") if pid.isdigit()]
    body = f"{os.getppid()} {''.join(states).count('Z')}".encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
""")
    (master,) = until(lambda: children(server.pid), "the master")
    assert server.get().text == "1 0"
    assert until(lambda: server.get("/orphan").text == "1 0", "no zombie is left")
    os.kill(master, signal.SIGTERM)
    assert server.wait_exit() == 0


# Compose.


def test_the_compose_service_starts_and_has_time_to_stop():
    (service,) = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"].values()
    assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).samefile(DEPLOY / "Dockerfile")
    env = {**image_environment(), **service["environment"]}
    env.pop("PATH")
    accepts(service["command"], FLASK, env)
    assert int(service["stop_grace_period"].removesuffix("s")) > int(value_of(service["command"], "--graceful-timeout"))
    assert service["read_only"] and any(mount.startswith("/tmp:") for mount in service["tmpfs"])
    (port,) = service["ports"]
    assert port.endswith(":" + image_environment()["PORT"])


# Kubernetes.


def test_the_pods_start_and_have_time_to_stop():
    pod = manifest("deployment.yaml")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    args = container["args"]
    accepts(args, FLASK)
    delay = int(value_of(args, "--drain-delay"))
    assert pod["terminationGracePeriodSeconds"] > delay + int(value_of(args, "--graceful-timeout"))
    assert value_of(args, "--bind").endswith(f":{container['ports'][0]['containerPort']}")
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["port"] == container["ports"][0]["name"]


def test_the_pods_are_confined():
    pod = manifest("deployment.yaml")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}" == only("USER")
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert not container["securityContext"]["allowPrivilegeEscalation"]
    (mount,), (volume,) = container["volumeMounts"], pod["volumes"]
    assert mount["mountPath"] == "/tmp" and mount["name"] == volume["name"] and "emptyDir" in volume


def test_service_and_scaling_mean_these_pods():
    deployment, service, scaling = (manifest(f"{name}.yaml") for name in ("deployment", "service", "hpa"))
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == labels == service["spec"]["selector"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert service["spec"]["ports"][0]["targetPort"] == container["ports"][0]["name"]
    assert scaling["spec"]["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment",
                                                 "name": deployment["metadata"]["name"]}
    assert "cpu" in container["resources"]["requests"] and "replicas" not in deployment["spec"]


# systemd and others.


def unit(name):
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str
    parser.read(DEPLOY / "systemd" / name)
    return parser


def test_the_unit_starts_the_server_and_gives_it_time_to_stop(mysite):
    service = unit("ferricorn.service")["Service"]
    assert service["WorkingDirectory"] == "/srv/mysite"
    command, *arguments = shlex.split(service["ExecStart"])
    assert command == "/srv/mysite/.venv/bin/ferricorn"
    accepts(arguments, mysite)
    assert int(service["TimeoutStopSec"]) > GRACEFUL_TIMEOUT
    assert service["Type"] == "notify"
    assert (service["KillMode"], service["ExecReload"]) == ("mixed", "/bin/kill -s HUP $MAINPID")
    assert service["RestartPreventExitStatus"].split() == ["1", "2", "3", "4"]


def test_systemd_understands_the_units(tmp_path):
    """Where systemd is installed; its own words otherwise come to whoever installs the files."""
    for name in ("ferricorn.service", "ferricorn.socket"):
        text = (DEPLOY / "systemd" / name).read_text()
        (tmp_path / name).write_text(text.replace("/srv/mysite/.venv/bin/ferricorn", str(running._SCRIPT)))
    assert unit("ferricorn.socket")["Socket"]["ListenStream"] == "/run/ferricorn/mysite.sock"
    if shutil.which("systemd-analyze"):
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", *tmp_path.iterdir()], capture_output=True, text=True)
        assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_procfile_starts_the_server(mysite):
    name, _, command = (DEPLOY / "Procfile").read_text().strip().partition(": ")
    words = shlex.split(command)
    assert (name, words[0]) == ("web", "ferricorn")
    accepts(words[1:], mysite, {"PORT": "5000", "WEB_CONCURRENCY": "2"})


@pytest.mark.parametrize("family", ["tcp", "unix"])
def test_sockets_that_systemd_opened_are_served_kept_and_never_removed(serve, tmp_path, monkeypatch, family):
    launcher = tmp_path / "launch"
    launcher.write_text(f'#!/bin/sh\nLISTEN_FDS=1 LISTEN_PID=$$ exec {running._SCRIPT} "$@"\n')
    launcher.chmod(0o755)
    monkeypatch.setattr(running, "_SCRIPT", launcher)
    path = tmp_path / "mysite.sock"
    with socket.socket(socket.AF_UNIX if family == "unix" else socket.AF_INET) as listener:
        listener.bind(str(path) if family == "unix" else ("127.0.0.1", 0))
        listener.listen()
        address = listener.getsockname()

        def start():
            return serve("features:app", "-w", "2", bind="127.0.0.1:1", pass_fds=(3,),
                         preexec=lambda: os.dup2(listener.fileno(), 3))

        with Client(address) as early:
            early.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            server = start()
            assert server.address == address
            assert early.response().body == b"hello", "who came before the server waits for it"
        old = server.wait_workers(2)
        with server.load("/pid") as load:
            load.wait_answered(100)
            server.send(signal.SIGHUP)
            server.wait_workers(2, without=old)
            load.wait_answered(100)
        assert load.failures == [] and load.refused == 0
        assert server.stop() == 0
        assert family == "tcp" or path.is_socket()
        with Client(address) as early:
            early.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            again = start()
            assert early.response().body == b"hello", "who came between two servers waits for the next"
        assert again.stop() == 0
        assert family == "tcp" or path.is_socket()
