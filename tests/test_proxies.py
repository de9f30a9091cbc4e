"""Ferricorn behind nginx and Apache from Debian's packages, with the files of deploy/, over TLS as production has it."""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest

from harness import Client, request, until
from harness.proxy import Apache, Nginx, NginxStream, open_folder, replaced
from harness.websocket import CLOSE, PING, PONG, WebSocket, frame

pytestmark = [pytest.mark.only_ferricorn("it is about deploy/, and gunicorn loses requests at a reload"),
              pytest.mark.timeout(180)]

MIB = 1 << 20
PASSED_THROUGH = ["--proxy-protocol", "--proxy-allow-from", "127.0.0.1", "--forwarded-allow-ips", ""]
"""What docs/deploy.md says for a balancer that only forwards TCP."""


class Site:
    """A proxy with a Ferricorn behind it."""

    def __init__(self, serve, kind, over, *flags, workers=2, app="behind:app", **options):
        kind.require()
        folder = open_folder()
        with contextlib.ExitStack() as undo:
            undo.callback(shutil.rmtree, folder, ignore_errors=True)
            bind = f"unix:{folder}/mysite.sock" if over == "unix" else "127.0.0.1:0"
            self.server = serve(app, "-w", str(workers), "--access-logfile", "-", *flags, bind=bind, **options)
            self.server.wait_workers(workers)
            self.proxy = kind(self.server, folder)
            undo.pop_all()

    def environ(self, *args, **options):
        """What the app sees of a request for /environ."""
        return self.proxy.get(*(args or ["/environ"]), **options).json()


@pytest.fixture(scope="module")
def sites(serve_module):
    """Sites by kind and way; each is started when it is first asked for, and only for tests that change nothing."""
    started = {}

    def site(kind, over):
        if (kind, over) not in started:
            started[kind, over] = Site(serve_module, kind, over)
        return started[kind, over]

    yield site
    for site in started.values():
        site.proxy.close()


@pytest.fixture(params=[Nginx, Apache], ids=["nginx", "apache"])
def kind(request):
    return request.param


@pytest.fixture(params=["tcp", "unix"])
def site(request, sites, kind):
    return sites(kind, request.param)


@pytest.fixture
def tcp_site(sites, kind):
    return sites(kind, "tcp")


@pytest.fixture
def own_site(serve):
    """Starts sites that live as long as the test."""
    started = []

    def start(*args, **options):
        started.append(Site(serve, *args, **options))
        return started[-1]

    yield start
    for site in started:
        site.proxy.close()


# What the app learns.


def test_the_app_learns_what_only_the_proxy_saw(site):
    seen = site.environ(source="127.0.0.2")
    assert seen["wsgi.url_scheme"] == "https"
    assert seen["HTTP_X_FORWARDED_FOR"] == "127.0.0.2"
    assert seen["HTTP_X_FORWARDED_PROTO"] == "https"
    assert seen["SERVER_PROTOCOL"] == "HTTP/1.1"
    over_unix = isinstance(site.server.address, str)
    assert seen["REMOTE_ADDR"] == ("" if over_unix else "127.0.0.1")
    assert seen["SCRIPT_NAME"] == ""


def test_the_host_is_the_one_that_was_asked_for(site):
    with site.proxy.connect() as client:
        seen = client.send(b"GET /environ HTTP/1.1\r\nHost: example.com\r\n\r\n").response().json()
    assert seen["HTTP_HOST"] == "example.com"
    assert seen["HTTP_X_FORWARDED_HOST"] == "example.com"


def test_the_client_forges_none_of_it(site):
    forged = [("X-Forwarded-For", "192.0.2.1"), ("X-Forwarded-Proto", "http"), ("X-Forwarded-Ssl", "off"),
              ("X-Forwarded-Protocol", "plain"), ("X-Forwarded-Host", "evil.example"), ("X-Forwarded-Server", "evil.example"),
              ("Forwarded", "for=192.0.2.1"),
              ("SCRIPT_NAME", "/environ"), ("PATH_INFO", "/evil"), ("X_Forwarded_For", "192.0.2.1")]
    seen = site.environ("/environ", forged)
    assert seen["wsgi.url_scheme"] == "https"
    assert seen["HTTP_X_FORWARDED_FOR"] == "127.0.0.1"
    assert (seen["SCRIPT_NAME"], seen["PATH_INFO"]) == ("", "/environ")
    assert not [name for name, value in seen.items() if "evil" in str(value) or "192.0.2.1" in str(value)]


def test_the_path_goes_on_as_it_was_sent(site):
    seen = site.environ("/environ/a%2Fb/%C3%A9;v=1?q=%20&r=/../")
    assert seen["RAW_URI"] == "/environ/a%2Fb/%C3%A9;v=1?q=%20&r=/../"
    assert seen["QUERY_STRING"] == "q=%20&r=/../"


def test_an_app_below_a_path_knows_its_prefix(site):
    seen = site.environ("/shop/environ?a=1")
    assert (seen["SCRIPT_NAME"], seen["PATH_INFO"], seen["QUERY_STRING"]) == ("/shop", "/environ", "a=1")
    answer = site.proxy.get("/shop")
    assert answer.status == 308 and answer.header("location").endswith("/shop/")


def test_static_files_do_not_reach_the_app(site):
    lines = len(site.server.access_log)
    answer = site.proxy.get("/static/style.css")
    assert (answer.status, answer.text) == (200, "body {}\n")
    assert "/static/" not in "".join(site.server.access_log[lines:])


def test_clients_may_speak_http_2(tcp_site):
    tls = tcp_site.proxy.context()
    tls.set_alpn_protocols(["h2", "http/1.1"])
    with Client(tcp_site.proxy.address, tls=tls) as client:
        assert client.socket.selected_alpn_protocol() == "h2"


def test_plain_http_is_sent_to_https(site):
    answer = request(("127.0.0.1", site.proxy.plain_port), "GET", "/a")
    assert answer.status == 301
    assert answer.header("location").startswith("https://")


@pytest.mark.parametrize("over", ["tcp", "unix"])
def test_the_header_gives_the_app_and_the_log_the_clients_address(own_site, kind, over):
    site = own_site(kind, over, "--real-ip-header", "X-Forwarded-For")
    for source in ("127.0.0.2", "127.0.0.3"):
        assert site.environ("/environ", [("X-Forwarded-For", "192.0.2.1")], source=source)["REMOTE_ADDR"] == source
    assert [line.split()[0] for line in until(lambda: site.server.access_log[1:], "two lines")] == ["127.0.0.3"]
    assert site.server.access_log[0].startswith("127.0.0.2 ")


def test_what_connection_lists_takes_nothing_away(tcp_site):
    for names in (b"SCRIPT_NAME, X-Forwarded-Proto, close", b"close, x-forwarded-proto", b"close x-forwarded-proto"):
        with tcp_site.proxy.connect() as client:
            answer = client.send(b"GET /shop/environ HTTP/1.1\r\nHost: x\r\nConnection: " + names + b"\r\n\r\n").response()
            assert answer.status in (200, 400), names
            if answer.status == 200:
                seen = answer.json()
                assert (seen["wsgi.url_scheme"], seen["SCRIPT_NAME"], seen["PATH_INFO"]) == ("https", "/shop", "/environ"), names
    with tcp_site.proxy.connect() as client:
        lines = b"Connection: close\r\nConnection: X-Forwarded-Proto\r\n"
        answer = client.send(b"GET /environ HTTP/1.1\r\nHost: x\r\n" + lines + b"\r\n").response()
        assert answer.status == 400 or answer.json()["wsgi.url_scheme"] == "https"


def test_what_honest_clients_say_in_connection_is_served(tcp_site):
    for names in (b"", b"close", b"Keep-Alive", b"keep-alive, Upgrade, HTTP2-Settings", b"TE,close", b"close ,, TE"):
        with tcp_site.proxy.connect() as client:
            answer = client.send(b"GET /environ HTTP/1.1\r\nHost: x\r\nConnection: " + names + b"\r\n\r\n").response()
        assert (answer.status, answer.json()["wsgi.url_scheme"]) == (200, "https"), names


# Only TCP, and the client's address in front of it.


def test_the_proxy_protocol_gives_the_clients_address_for_the_whole_connection(own_site):
    site = own_site(NginxStream, "tcp", *PASSED_THROUGH)
    for source in ("127.0.0.2", "127.0.0.3"):
        with site.proxy.connect(source=source) as client:
            for _ in range(3):
                seen = client.send(b"GET /environ HTTP/1.1\r\nHost: x\r\n\r\n").response().json()
                assert (seen["REMOTE_ADDR"], seen["wsgi.url_scheme"]) == (source, "http")
                assert int(seen["REMOTE_PORT"]) == client.socket.getsockname()[1]
    lines = until(lambda: len(site.server.access_log) >= 6 and site.server.access_log, "six lines")
    assert {line.split()[0] for line in lines} == {"127.0.0.2", "127.0.0.3"}


def test_a_client_behind_a_tcp_balancer_is_not_believed(own_site):
    site = own_site(NginxStream, "tcp", *PASSED_THROUGH, "--real-ip-header", "X-Forwarded-For")
    forged = [("X-Forwarded-Proto", "https"), ("SCRIPT_NAME", "/environ"), ("X-Forwarded-For", "192.0.2.1")]
    seen = site.environ("/environ", forged, source="127.0.0.2")
    assert (seen["wsgi.url_scheme"], seen["SCRIPT_NAME"], seen["PATH_INFO"]) == ("http", "", "/environ")
    assert seen["REMOTE_ADDR"] == "127.0.0.2"
    assert until(lambda: site.server.access_log, "a line")[0].startswith("127.0.0.2 ")
    assert "forwarded_allow_ips" not in site.server.log


@pytest.mark.parametrize("flags, env, warned", [
    (["--proxy-protocol=auto"], {}, 1), (["--proxy-protocol=v2"], {"FORWARDED_ALLOW_IPS": ""}, 0),
    (["--proxy-protocol", "--forwarded-allow-ips", "127.0.0.1,::1"], {}, 0),
    (["--proxy-protocol=auto"], {"FORWARDED_ALLOW_IPS": "127.0.0.1"}, 0), (["--proxy-protocol=off"], {}, 0), ([], {}, 0),
])
def test_the_server_warns_where_nobody_thought_of_a_tcp_balancers_clients(serve, flags, env, warned):
    server = serve("behind:app", *flags, env=env)
    server.wait_workers(1)
    lines = [line for line in server.log.splitlines() if "proxy_protocol is on and forwarded_allow_ips is not set" in line]
    assert len(lines) == warned, server.log
    assert all("[WARNING]" in line and "--forwarded-allow-ips ''" in line for line in lines)


def test_the_proxy_protocol_counts_only_from_those_who_may_speak_it(own_site):
    site = own_site(NginxStream, "tcp", "--proxy-protocol", "--proxy-allow-from", "127.0.0.9")
    assert site.proxy.get().status == 403
    assert site.server.get().body == b"hello", "without it"


def test_uploads_long_answers_and_reloads_behind_the_proxy_protocol(own_site):
    site = own_site(NginxStream, "tcp", "--proxy-protocol", "v1")
    assert site.proxy.request("POST", "/count", body=b"u" * (32 * MIB), timeout=60).text == str(32 * MIB)
    assert len(site.proxy.get("/pieces?512", timeout=60).body) == 32 * MIB
    workers = site.server.workers()
    with site.proxy.load("/pid") as load:
        load.wait_answered(200)
        site.server.send(signal.SIGHUP)
        site.server.wait_workers(2, without=workers)
        load.wait_answered(200)
    assert load.failures == [] and load.refused == 0


# Framing.


def test_connections_to_the_server_are_used_again(tcp_site):
    ports = {tcp_site.environ()["REMOTE_PORT"] for _ in range(30)}
    assert len(ports) <= 10, f"30 requests of 30 clients came on {len(ports)} connections"


def test_answers_without_a_body_leave_the_connection_in_order(site):
    with site.proxy.connect() as client:
        for _ in range(5):
            for method, target, status, body in [
                ("HEAD", "/big?100", 200, b""), ("GET", "/", 200, b"hello"), ("GET", "/status/204", 204, b""),
                ("GET", "/not-modified", 304, b""), ("POST", "/ignore-input", 200, b"ignored"), ("GET", "/empty", 200, b""),
            ]:
                sent = b"unread" if method == "POST" else b""
                client.send(f"{method} {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(sent)}\r\n\r\n".encode() + sent)
                answer = client.response(head_only=method == "HEAD")
                assert (answer.status, answer.body) == (status, body), f"{method} {target}"


def test_an_upload_of_32_mib_arrives_whole(site):
    answer = site.proxy.request("POST", "/count", body=b"u" * (32 * MIB), timeout=60)
    assert (answer.status, answer.text) == (200, str(32 * MIB))


def test_a_chunked_upload_of_32_mib_arrives_whole(site):
    chunk = b"10000\r\n" + b"c" * 65536 + b"\r\n"
    with site.proxy.connect(timeout=60) as client:
        client.send(b"POST /count HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(512):
            client.send(chunk)
        answer = client.send(b"0\r\n\r\n").response()
        assert (answer.status, answer.text) == (200, str(32 * MIB))
        assert client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").response().body == b"hello"


def test_expect_100_continue_works_through_it(site):
    with site.proxy.connect() as client:
        client.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        assert client.read_head().status == 100
        assert client.send(b"body").response().body == b"body"


@pytest.mark.parametrize("over", ["tcp", "unix"])
def test_an_upload_beyond_the_servers_limit_is_a_413(own_site, kind, over):
    site = own_site(kind, over, "--limit-request-body", str(MIB))
    for _ in range(5):
        with site.proxy.connect() as client:
            client.send(b"POST /count HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (8 * MIB))
            try:
                client.send(b"u" * (8 * MIB))
            except ConnectionError:
                pass  # The answer is there already, and the proxy does not wait for the rest.
            assert client.response().status == 413
    assert site.proxy.get().body == b"hello"


def test_an_upload_beyond_the_proxys_limit_is_a_413(tcp_site):
    with tcp_site.proxy.connect() as client:
        client.send(b"POST /count HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (100 * MIB + 1))
        assert client.response().status == 413


def test_a_response_of_32_mib_arrives_whole(site):
    answer = site.proxy.get(f"/big?{32 * MIB}", timeout=60)
    assert len(answer.body) == 32 * MIB and answer.body.count(b"z") == 32 * MIB


def test_a_stream_of_32_mib_arrives_whole(site):
    answer = site.proxy.get("/pieces?512", timeout=60)
    assert hashlib.sha256(answer.body).digest() == hashlib.sha256(b"p" * (32 * MIB)).digest()


def test_a_body_cut_short_is_not_taken_for_whole(site):
    with site.proxy.connect() as client:
        answer = client.send(b"GET /too-short HTTP/1.1\r\nHost: x\r\n\r\n").read_head()
        body = client.read_to_end() if answer.status == 200 else b""
    assert (answer.status, answer.header("content-length"), body) == (200, "10", b"12345") or answer.status == 502


# Streaming and clients that leave.


def test_a_stream_is_not_held_back(own_site, kind):
    site = own_site(kind, "tcp")
    with site.proxy.connect() as client:
        client.send(b"GET /paced HTTP/1.1\r\nHost: x\r\n\r\n").read_head()
        assert client.read_chunk() == b"first\n"
        (site.server.folder / "go").touch()
        assert client.read_chunk() == b"second\n"


@pytest.mark.parametrize("over", ["tcp", "unix"])
def test_a_client_that_leaves_ends_the_stream_in_the_app(own_site, kind, over):
    site = own_site(kind, over)
    with site.proxy.connect() as client:
        client.send(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n").read_head()
        client.read_chunk()
    until(lambda: (site.server.folder / "closed").exists(), "close() of the iterable")
    assert site.proxy.get().body == b"hello"


@pytest.mark.parametrize("framing, start", [("Content-Length: 1000000", b""), ("Transfer-Encoding: chunked", b"F4240\r\n")],
                         ids=["length", "chunked"])
def test_an_upload_that_is_given_up_never_reaches_the_app(own_site, kind, framing, start):
    site = own_site(kind, "tcp", workers=1)
    with site.proxy.connect() as client:
        client.send(f"POST /enter HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n".encode() + start + b"u" * 500000)
        until(lambda: spooled(site.server), "half of the upload")
    until(lambda: not spooled(site.server), "the end of the upload")
    assert site.proxy.get().body == b"hello"
    assert not (site.server.folder / "entered").exists()


def spooled(server):
    """Whether a worker holds an unlinked temporary file, which is where a body goes."""
    (worker,) = server.workers()
    for link in Path(f"/proc/{worker}/fd").iterdir():
        try:
            target = os.readlink(link)
        except FileNotFoundError:
            continue  # It was closed meanwhile.
        if target.startswith(tempfile.gettempdir()) and target.endswith("(deleted)"):
            return True
    return False


# Reloads and restarts.


@pytest.mark.parametrize("over", ["tcp", "unix"])
@pytest.mark.parametrize("body", [None, b"posted"], ids=["get", "post"])
def test_a_reload_of_the_server_loses_no_request(own_site, kind, over, body):
    site = own_site(kind, over)
    path = "/pid" if body is None else "/echo"
    with site.proxy.load(path, body=body) as load:
        workers = site.server.workers()
        for _ in range(3):
            load.wait_answered(200)
            site.server.send(signal.SIGHUP)
            workers = site.server.wait_workers(2, without=workers)
        load.wait_answered(200)
    assert load.failures == [] and load.refused == 0
    assert body or len(load.bodies) >= 4, "the load did not see the new workers"


@pytest.mark.parametrize("body", [None, b"posted"], ids=["get", "post"])
def test_workers_that_are_replaced_lose_no_request(own_site, kind, body):
    site = own_site(kind, "tcp", "--max-requests", "50", "--max-requests-jitter", "20")
    with site.proxy.load("/pid" if body is None else "/echo", body=body) as load:
        site.server.wait_for("Booting worker", count=5)
        load.wait_answered(50)
    assert load.failures == [] and load.refused == 0


def test_a_reload_of_the_proxy_loses_no_request(own_site, kind):
    """A connection of its own for each request, for a proxy may close idle ones when it reloads."""
    site = own_site(kind, "tcp")
    with site.proxy.load(keepalive=False) as load:
        for _ in range(3):
            load.wait_answered(50)
            site.proxy.reload()
        load.wait_answered(50)
    assert load.failures == [] and load.refused == 0


@pytest.mark.parametrize("over", ["tcp", "unix"])
def test_a_restart_of_the_server_is_noticed_at_once(own_site, serve, kind, over):
    site = own_site(kind, over)
    address = site.server.address
    assert site.proxy.get().status == 200
    assert site.server.stop() == 0
    for _ in range(5):
        assert site.proxy.get().status in (502, 503)
    site.server = serve("behind:app", bind=f"unix:{address}" if over == "unix" else f"127.0.0.1:{address[1]}")
    for _ in range(5):
        assert site.proxy.get().body == b"hello"
    assert site.server.stop() == 0, "another server's port is free again"


# WebSockets.

TALKING = """
import json
from pathlib import Path

async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": repr(sorted(scope["headers"])).encode()})
    if scope["type"] != "websocket":
        return
    await receive()
    await send({"type": "websocket.accept", "subprotocol": (scope["subprotocols"] or [None])[0], "headers": [(b"x-app", b"yes")]})
    seen = {name: scope[name] for name in ("scheme", "path", "root_path", "client", "subprotocols")}
    seen["headers"] = {name.decode(): value.decode() for name, value in scope["headers"]}
    await send({"type": "websocket.send", "text": json.dumps(seen)})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})
    Path("ended").write_text(str(message["code"]))
"""


@pytest.fixture(params=["tcp", "unix"])
def talking(request, own_site, kind):
    return own_site(kind, request.param, "--root-path", "/shop", workers=1, app=TALKING)


def talk(site, target="/talk", *fields, **options):
    """A WebSocket of the app behind the proxy, and what the app saw of it."""
    socket = WebSocket(site.proxy.address, target, *fields, tls=site.proxy.tls, **options)
    assert socket.answer.status == 101, socket.answer.raw
    return socket, json.loads(socket.hear())


def test_a_websocket_is_passed_on_with_what_the_proxy_knows(talking):
    forged = [("X-Forwarded-Proto", "http"), ("X-Forwarded-For", "192.0.2.1")]
    socket, seen = talk(talking, "/talk/%C3%A9", ("Sec-WebSocket-Protocol", "chat, other"), *forged, source="127.0.0.2")
    with socket:
        assert socket.answer.header("sec-websocket-protocol") == "chat" and socket.answer.header("x-app") == "yes"
        assert (seen["scheme"], seen["path"], seen["root_path"]) == ("wss", "/shop/talk/é", "/shop")
        assert seen["subprotocols"] == ["chat", "other"]
        assert seen["headers"]["x-forwarded-for"] == "127.0.0.2"
        for message in ("héllo", b"\0" * 200_000, ""):
            assert socket.say(message).hear() == message
        assert socket.bye(4000, "enough")[0] == 4000
    assert talking.server.noted("ended") == "4000"


def test_a_websocket_below_a_path_keeps_it(talking):
    socket, seen = talk(talking, "/shop/talk")
    with socket:
        assert (seen["path"], seen["root_path"]) == ("/shop/talk", "/shop")
        socket.bye()


def test_a_websocket_whose_client_vanishes_ends_in_the_app(talking):
    socket, _ = talk(talking)
    socket.close()
    assert talking.server.noted("ended") == "1006"


def test_a_reload_closes_websockets_through_the_proxy_and_new_ones_go_on(talking):
    (worker,) = talking.server.workers()
    socket, _ = talk(talking)
    with socket:
        talking.server.send(signal.SIGHUP)
        assert socket.farewell()[0] == 1012
    talking.server.wait_workers(1, without=[worker])
    again, _ = talk(talking)
    with again:
        assert again.say("still here").hear() == "still here"


def test_pings_keep_a_silent_websocket_beyond_the_proxys_patience(own_site, kind):
    class Hasty(kind):
        """The same with a time limit that a test can wait for."""

        def _prepare(self):
            command = super()._prepare()
            path = self.folder / ("snippets/ferricorn.conf" if kind is Nginx else "mysite.conf")
            text = replaced(path.read_text(), ("timeout 60s", "timeout 2s") if kind is Nginx else (" timeout=60", " timeout=2"))
            path.write_text(text if kind is Nginx else f"Timeout 2\n{text}")
            return command

    site = own_site(Hasty, "tcp", "--ws-ping-interval", "0.5", workers=1, app=TALKING)
    socket, _ = talk(site)
    with socket:
        for _ in range(7):
            ping = socket.read_frame()
            assert ping.opcode == PING
            socket.send(frame(PONG, ping.payload))
        assert socket.say("still here").read_frame().payload == b"still here"
    silent = own_site(Hasty, "tcp", "--ws-ping-interval", "0", workers=1, app=TALKING)
    socket, _ = talk(silent)
    with socket:
        rest = socket.read_to_end()
    assert not rest or rest[0] & 15 == CLOSE, "without pings the proxy gives up"


def test_no_other_upgrade_is_passed_on(tcp_site):
    with tcp_site.proxy.connect() as client:
        wish = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
        seen = client.send(b"GET /environ HTTP/1.1\r\nHost: x\r\n" + wish + b"\r\n").response().json()
    assert "HTTP_UPGRADE" not in seen and "upgrade" not in seen.get("HTTP_CONNECTION", "").lower()


def test_a_request_for_a_websocket_to_an_app_without_any_is_a_request(tcp_site):
    with WebSocket(tcp_site.proxy.address, "/", tls=tcp_site.proxy.tls) as socket:
        assert socket.answer.status != 101
    assert tcp_site.proxy.get().body == b"hello"
