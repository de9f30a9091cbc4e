"""Upgrades of a running server under load, there and back again and again, with every request counted: none fails."""

import signal

import pytest

from harness import children, descriptors, gone, title, until

CODE = """
import os


def app(environ, start_response):
    body = b"VERSION"
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""

ROUNDS = 10
WORKERS = 2


def deploy(server, version):
    path = server.folder / "code.py"
    path.with_suffix(".new").write_text(CODE.replace("VERSION", version))
    path.with_suffix(".new").rename(path)


def serving(server, master):
    """Waits until all workers of a master serve."""
    until(lambda: [title(pid).endswith(" serving") for pid in children(master)].count(True) == WORKERS, "its workers serve", 60)


def upgrade(server):
    """Starts a new master, and returns its pid when its workers serve."""
    mark = server.mark()
    server.send(signal.SIGUSR2)
    new = int(server.wait_for(r"Started a new master \(pid:(\d+)\)", after=mark).group(1))
    serving(server, new)
    return new


def send_away(server):
    """Has the workers of the old master leave."""
    server.send(signal.SIGWINCH)
    until(lambda: not any(": worker " in title(pid) for pid in children(server.pid)), "the end of the old workers", 60)


@pytest.mark.parametrize("flags", [[], ["--preload"]], ids=["each worker imports", "preload"])
def soak_upgrades(serve, flags):
    server = serve("code:app", "-w", str(WORKERS), "-p", "app.pid", *flags, files={"code.py": CODE.replace("VERSION", "0")})
    server.get()
    serving(server, server.pid)
    open_before, family = descriptors(server.pid), len(children(server.pid))
    options = {"clients": 3, "limit": 10**7, "seconds": 500}
    with server.load("/", **options) as kept, server.load("/", keepalive=False, **options) as new:
        for number in range(1, ROUNDS + 1):
            # There and back: the old master serves again, with the code that there is now.
            deploy(server, f"tried {number}")
            master = upgrade(server)
            send_away(server)
            deploy(server, f"back {number}")
            server.send(signal.SIGHUP)
            serving(server, server.pid)
            server.send(signal.SIGTERM, master)
            until(lambda master=master: gone(master), "the end of the new master", 60)
            until(lambda number=number: server.get().text == f"back {number}", "the code before", 60)
            assert descriptors(server.pid) == open_before
        for number in range(1, ROUNDS + 1):
            # And there for good.
            deploy(server, f"new {number}")
            master = upgrade(server)
            send_away(server)
            server.send(signal.SIGTERM)
            server.wait_exit()
            server.follow(master).wait_for("Master has been promoted.", count=number)
            until(lambda number=number: server.get().text == f"new {number}", "the new code", 60)
    print(f"\n{ROUNDS} upgrades taken back and {ROUNDS} completed {flags}: {kept.answered + new.answered} requests answered, "
          f"{len(kept.failures + new.failures)} failed, {kept.refused + new.refused} refused")
    assert kept.failures == new.failures == [] and kept.refused == new.refused == 0
    assert {b"tried 10", b"back 10", b"new 10"} <= kept.bodies | new.bodies
    assert (server.folder / "app.pid").read_text().strip() == str(server.pid)
    assert not (server.folder / "app.pid.2").exists()
    until(lambda: descriptors(server.pid) == open_before, "as few descriptors as before")
    until(lambda: len(children(server.pid)) == family, "as few processes as before")
