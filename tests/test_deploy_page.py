"""docs/deploy.md against what it speaks of: the files of deploy/ and the command lines."""

import re
import shlex

import pytest

from harness import run_cli
from harness.proxy import DEPLOY

pytestmark = pytest.mark.only_ferricorn("it is about docs/deploy.md")

PAGE = (DEPLOY.parent / "docs/deploy.md").read_text()
COMMANDS = [match.replace("\\\n", " ") for match in re.findall(r"(?m)^ +ferricorn ((?:.*\\\n)*.*)$", PAGE)]


def test_it_names_every_file():
    for path in (path for path in DEPLOY.rglob("*") if path.is_file() and path.name != "README.md"):
        assert re.search(rf"(?<![\w/]){path.relative_to(DEPLOY)}|{path.parent.name}/`", PAGE), path


@pytest.mark.parametrize("command", COMMANDS, ids=range(len(COMMANDS)))
def test_its_commands_are_right(tmp_path, command):
    (tmp_path / "mysite").mkdir()
    (tmp_path / "mysite" / "wsgi.py").write_text("from hello import app as application\n")
    done = run_cli("--check-config", *shlex.split(command), cwd=tmp_path)
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
