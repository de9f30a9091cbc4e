"""Workers that run as another user: what they are, what they own, and what becomes of those who may not."""

import grp
import json
import os
import pwd
import signal
import stat
import tempfile
from pathlib import Path

import pytest

from harness import children, title, until

pytestmark = [pytest.mark.only_ferricorn("gunicorn keeps the groups of root"), pytest.mark.only_root]

APP = """
import json, os

def app(environ, start_response):
    who = {"uids": os.getresuid(), "gids": os.getresgid(), "groups": os.getgroups()}
    body = json.dumps(who).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
# What a worker imports it may not be able to read in the home of root, where the tests may be; so the master does.
CONF = "import site_code, wsgiref.types, io, ast, inspect, asyncio\n"
NOBODY = pwd.getpwnam("nobody")
DAEMON = grp.getgrnam("daemon")


@pytest.fixture
def place():
    """A folder that every user can enter, unlike those of pytest."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)


@pytest.fixture
def as_user(serve, place):
    """Starts a server with these flags."""
    def start(*flags, conf="", **options):
        (place / "site_code.py").write_text(APP)
        (place / "gunicorn.conf.py").write_text(CONF + conf)
        return serve("site_code:app", *flags, cwd=place, **options)

    return start


def who(server):
    return json.loads(server.get().text)


def test_workers_are_the_user_and_the_master_stays(as_user):
    server = as_user("--user", "nobody")
    assert who(server) == {"uids": [NOBODY.pw_uid] * 3, "gids": [NOBODY.pw_gid] * 3, "groups": [NOBODY.pw_gid]}
    (worker,) = server.wait_workers(1)
    assert os.stat(f"/proc/{worker}").st_uid == NOBODY.pw_uid, "it can be looked at as any process of its user"
    assert os.stat(f"/proc/{server.pid}").st_uid == 0
    server.send(signal.SIGHUP)
    server.wait_workers(1, without=[worker])
    assert who(server)["uids"] == [NOBODY.pw_uid] * 3


@pytest.mark.parametrize("flags", [("-u", str(NOBODY.pw_uid), "-g", str(DAEMON.gr_gid)), ("-u", "nobody", "-g", "daemon")])
def test_names_and_numbers_are_understood(as_user, flags):
    told = who(as_user(*flags))
    assert (told["uids"][0], told["gids"][0], told["groups"]) == (NOBODY.pw_uid, DAEMON.gr_gid, [DAEMON.gr_gid])


def test_a_group_alone_leaves_the_user(as_user):
    told = who(as_user("--group", "daemon"))
    assert told == {"uids": [0] * 3, "gids": [DAEMON.gr_gid] * 3, "groups": [DAEMON.gr_gid]}


def test_initgroups_brings_all_groups_of_the_user(as_user):
    (wanted, name) = max((len(os.getgrouplist(user.pw_name, user.pw_gid)), user.pw_name) for user in pwd.getpwall())
    told = who(as_user("--user", name, "--initgroups"))
    assert len(told["groups"]) == wanted
    assert set(told["groups"]) == set(os.getgrouplist(name, pwd.getpwnam(name).pw_gid))


def test_a_config_file_may_give_a_number_and_hooks_see_what_counts(as_user):
    server = as_user(conf=f"""
user = {NOBODY.pw_uid}
group = "daemon"

def post_fork(server, worker):
    import os
    server.log.info("uid %d before, cfg has %r %r %r %r", os.getuid(), server.cfg.user, server.cfg.group, server.cfg.uid, server.cfg.gid)
""")
    assert who(server)["uids"] == [NOBODY.pw_uid] * 3
    numbers = f"{NOBODY.pw_uid} {DAEMON.gr_gid}"
    server.wait_for(f"uid 0 before, cfg has {numbers} {numbers}")


def test_a_unix_socket_is_the_workers(as_user, place):
    server = as_user("--user", "nobody", "--umask", "007", bind="unix:app.sock")
    server.address = str(place / "app.sock")
    meta = (place / "app.sock").stat()
    assert (meta.st_uid, meta.st_gid, stat.S_IMODE(meta.st_mode)) == (NOBODY.pw_uid, NOBODY.pw_gid, 0o770)
    assert who(server)["uids"] == [NOBODY.pw_uid] * 3


def test_an_upgrade_changes_no_users(as_user, place):
    error = place / "error.log"
    server = as_user("-p", "app.pid", "--error-logfile", error, conf="user = 'nobody'\n", bind="unix:app.sock", log_file=error)
    server.address = str(place / "app.sock")
    old, nobody = server.pid, [NOBODY.pw_uid] * 3
    assert who(server)["uids"] == nobody
    server.send(signal.SIGUSR2)
    new = int(server.wait_for(r"Started a new master \(pid:(\d+)\)").group(1))
    until(lambda: [title(pid).endswith(" serving") for pid in children(new)] == [True], "its worker")
    server.send(signal.SIGTERM)
    server.wait_exit()
    server.follow(new).wait_for("Master has been promoted.")
    assert os.stat(f"/proc/{new}").st_uid == 0 and new != old
    assert who(server)["uids"] == nobody
    # It can still do what only root can.
    (place / "gunicorn.conf.py").write_text(CONF + "user = 'daemon'\n")
    server.send(signal.SIGHUP)
    server.wait_for("Reloaded")
    until(lambda: who(server)["uids"] == [pwd.getpwnam("daemon").pw_uid] * 3, "workers of the other user")
    assert (place / "app.pid").read_text().strip() == str(new)


def test_logs_are_the_workers_also_after_a_rotation(as_user, place):
    error, access = place / "error.log", place / "access.log"
    server = as_user("--user", "nobody", "--error-logfile", error, "--access-logfile", access, log_file=error)
    who(server)
    until(lambda: "GET / " in access.read_text(), "the access line")
    for path in error, access:
        assert path.stat().st_uid == NOBODY.pw_uid
        path.rename(path.with_suffix(".old"))
    server.send(signal.SIGUSR1)
    until(lambda: error.exists() and access.exists(), "new files")

    def new_line():
        who(server)
        return "GET / " in access.read_text()

    until(new_line, "an access line in the new file")
    assert {error.stat().st_uid, access.stat().st_uid} == {NOBODY.pw_uid}
    server.stop()
    assert "cannot" not in error.read_text()


@pytest.mark.parametrize("flag, name, key", [("--user", "no-such-user", "user"), ("-g", "no-such-group", "group")])
def test_an_unknown_name_is_told_before_the_start(cli, flag, name, key):
    result = cli(flag, name, "features:app", "-b", "127.0.0.1:0")
    assert result.returncode == 1
    assert f"{key}: No such {key}: '{name}' (from the command line, --{key}" in result.stderr


@pytest.mark.parametrize("value", ["-1", "4294967295", "99999999999"])
def test_a_number_that_no_user_can_have_is_refused(cli, value):
    assert cli(f"--user={value}", "features:app").returncode in (1, 2)


def test_whoever_may_not_is_told_so(as_user):
    def give_up_root():
        os.setgroups([])
        # As a process that has all rights but that one: the home of root stays readable.
        import ctypes
        ctypes.CDLL(None, use_errno=True).prctl(24, 7, 0, 0, 0)  # PR_CAPBSET_DROP, CAP_SETUID

    server = as_user("--user", "nobody", preexec=give_up_root, listening=False)
    server.expected_exit = {3}
    assert server.wait_exit() == 3
    assert "cannot change the user: Operation not permitted" in server.log and "only root can" in server.log
