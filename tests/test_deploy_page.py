"""docs/deploy.md against what it speaks of: the files of deploy/ and the command lines."""

import re
import shlex
import shutil
import socket

import pytest

from harness import request
from harness.proxy import DEPLOY, free_port, open_folder

pytestmark = pytest.mark.only_ferricorn("it is about docs/deploy.md")

PAGE = (DEPLOY.parent / "docs/deploy.md").read_text()
COMMANDS = [match.replace("\\\n", " ") for match in re.findall(r"(?m)^ +ferricorn ((?:.*\\\n)*.*)$", PAGE)]


def test_it_names_every_file():
    for path in (path for path in DEPLOY.rglob("*") if path.is_file() and path.name != "README.md"):
        assert re.search(rf"(?<![\w/]){path.relative_to(DEPLOY)}|{path.parent.name}/`", PAGE), path


@pytest.mark.parametrize("command", COMMANDS, ids=range(len(COMMANDS)))
def test_its_commands_start_a_server(serve, command):
    """As they stand, but for the port, which is the same for all addresses of one command, and the folder of the socket."""
    if "[::]" in command and not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    folder = open_folder()
    port = free_port()
    words = [re.sub(r":80[08]0$", f":{port}", word).replace("/run/ferricorn", str(folder)) for word in shlex.split(command)]
    try:
        server = serve(None, *words, bind=None, files={"mysite/wsgi.py": "from hello import app as application\n"})
        assert server.get().status == 200
        if "[::]" in command:
            assert request(("127.0.0.1", port), "GET", "/").status == 200, "IPv4 is served as well"
        assert server.stop() == 0
        assert "[WARNING]" not in server.log and "[ERROR]" not in server.log
    finally:
        shutil.rmtree(folder)


def test_its_command_for_root_is_understood(cli, tmp_path):
    """It would leave a server, a pidfile and a log on this machine; tests/test_daemon.py starts such servers."""
    (command,) = re.findall(r"(?m)^ +sudo ferricorn (.*)$", PAGE)
    (tmp_path / "mysite").mkdir()
    (tmp_path / "mysite" / "wsgi.py").write_text("from hello import app as application\n")
    done = cli("--check-config", *shlex.split(command))
    assert done.returncode == 0, done.stderr


def test_its_time_limits_are_those_of_the_files():
    site, proxy = ((DEPLOY / "nginx" / name).read_text() for name in ("mysite.conf", "ferricorn.conf"))
    assert "keepalive_timeout 60s;" in site and "proxy_read_timeout 60s;" in proxy
    for name in ("mysite.conf", "mounted.conf"):
        assert " ttl=60 " in (DEPLOY / "apache" / name).read_text()
    settings = (DEPLOY.parent / "docs/settings.md").read_text()
    for flag, default in (("--keep-alive", 75), ("--timeout", 30), ("--graceful-timeout", 30)):
        assert f"`{flag}` ({default} s)" in PAGE
        assert re.search(rf"`{flag} INT`.* default `{default}`", settings), flag
