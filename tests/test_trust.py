"""Whose word counts: proxies and their headers, the PROXY protocol, and the switches for unusual requests."""

import socket

import pytest

from harness import until

only_ferricorn = pytest.mark.only_ferricorn

ECHO = '''
import json

def app(environ, start_response):
    body = json.dumps({key: value for key, value in environ.items() if isinstance(value, str)}).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
'''

LINE = b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n"
V2 = b"\r\n\r\n\x00\r\nQUIT\n"


def asked(server, *fields, method=b"GET", target=b"/a/b", version=b"HTTP/1.1", before=b""):
    """The environ of one request, or the status with which it is refused."""
    head = b"".join(field + b"\r\n" for field in (method + b" " + target + b" " + version, b"Host: x", *fields))
    with server.connect() as client:
        response = client.send(before + head + b"Connection: close\r\n\r\n").response()
        return response.json() if response.status == 200 else response.status


# Proxies and their headers.


@pytest.mark.parametrize("trusted, scheme", [
    ("127.0.0.1", "https"), ("127.0.0.0/8", "https"), ("10.0.0.0/8,127.0.0.1", "https"), ("*", "https"),
    ("10.0.0.1", "http"), ("10.0.0.0/8", "http"), ("::1", "http"), ("", "http"),
])
def test_only_trusted_peers_tell_the_scheme(serve, trusted, scheme):
    server = serve(ECHO, "--forwarded-allow-ips", trusted)
    assert asked(server, b"X-Forwarded-Proto: https")["wsgi.url_scheme"] == scheme
    assert asked(server, b"X-Forwarded-Ssl: on")["wsgi.url_scheme"] == scheme
    assert asked(server, b"X-Forwarded-Protocol: ssl")["wsgi.url_scheme"] == scheme
    assert asked(server)["wsgi.url_scheme"] == "http"


def test_a_peer_on_ipv6_is_trusted_by_its_own_address(serve):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("there is no IPv6 here")
    server = serve(ECHO, bind="[::1]:0")
    environ = asked(server, b"X-Forwarded-Proto: https")
    assert (environ["wsgi.url_scheme"], environ["REMOTE_ADDR"]) == ("https", "::1")


def test_peers_on_a_unix_socket_are_always_trusted(serve, tmp_path):
    server = serve(ECHO, "--forwarded-allow-ips", "10.0.0.1", bind=f"unix:{tmp_path}/s")
    environ = asked(server, b"X-Forwarded-Proto: https", b"SCRIPT_NAME: /a")
    assert (environ["wsgi.url_scheme"], environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("https", "/a", "/b")


def test_the_values_that_mean_https_are_exact_and_may_not_contradict(serve):
    server = serve(ECHO)
    assert asked(server, b"X-Forwarded-Proto: HTTPS")["wsgi.url_scheme"] == "http"
    assert asked(server, b"X-Forwarded-Proto: https", b"X-Forwarded-Ssl: on")["wsgi.url_scheme"] == "https"
    assert asked(server, b"X-Forwarded-Proto: https", b"X-Forwarded-Ssl: off") == 400
    assert asked(server, b"X-Forwarded-Proto: https", b"X-Forwarded-Proto: http") == 400


def test_the_headers_that_tell_the_scheme_can_be_chosen(serve):
    server = serve(ECHO, "-c", "c.py", files={"c.py": "secure_scheme_headers = {'X-SCHEME': 'tls'}"})
    assert asked(server, b"X-Scheme: tls")["wsgi.url_scheme"] == "https"
    assert asked(server, b"X-Forwarded-Proto: https")["wsgi.url_scheme"] == "http"


def test_only_trusted_peers_set_script_name(serve):
    fields = (b"SCRIPT_NAME: /a", b"PATH_INFO: /other", b"REMOTE_USER: root", b"X_Own: 1")
    environ = asked(serve(ECHO), *fields)
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/a", "/b")
    assert (environ["HTTP_SCRIPT_NAME"], environ["HTTP_PATH_INFO"]) == ("/a", "/other")
    assert "HTTP_REMOTE_USER" not in environ and "HTTP_X_OWN" not in environ
    environ = asked(serve(ECHO, "--forwarded-allow-ips", "10.0.0.1"), *fields)
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("", "/a/b")
    assert not [key for key in environ if key.startswith(("HTTP_SCRIPT", "HTTP_PATH", "HTTP_REMOTE"))]
    environ = asked(serve(ECHO, "--forwarder-headers", "REMOTE_USER,X_OWN"), *fields)
    assert (environ["HTTP_REMOTE_USER"], environ["HTTP_X_OWN"], environ["SCRIPT_NAME"]) == ("root", "1", "")


def test_a_prefix_that_the_path_lacks_is_an_error(serve):
    assert asked(serve(ECHO), b"SCRIPT_NAME: /other") == 500


def test_header_names_with_underscores_are_dropped_refused_or_passed_on(serve):
    fields = (b"X-Real-IP: 1", b"X_Real_IP: 2", b"Content_Length: 5", b"Transfer_Encoding: chunked", b"Proxy: httpoxy")
    environ = asked(serve(ECHO), *fields)
    assert environ["HTTP_X_REAL_IP"] == "1" and "HTTP_CONTENT_LENGTH" not in environ
    assert environ["HTTP_PROXY"] == "httpoxy", "this one is the app's to mistrust"
    assert asked(serve(ECHO, "--header-map", "refuse"), *fields) == 400
    environ = asked(serve(ECHO, "--header-map", "dangerous"), *fields)
    assert (environ["HTTP_X_REAL_IP"], environ["HTTP_CONTENT_LENGTH"]) == ("1,2", "5")
    assert "CONTENT_LENGTH" not in environ


def test_wrong_networks_are_refused_at_the_start(cli):
    for flag in ("--forwarded-allow-ips", "--proxy-allow-from"):
        for value in ("localhost", "10.0.0.1/8", "10.0.0.0/33", "1.2.3.4,x"):
            done = cli(flag, value, "inline:app", files={"inline.py": ECHO})
            assert done.returncode == 1, done.stderr
            assert value.split(",")[-1] in done.stderr


# The PROXY protocol.


@pytest.mark.parametrize("flags, v1, v2", [
    (["--proxy-protocol", "auto"], True, True), (["--proxy-protocol=v1"], True, False),
    (["--proxy-protocol", "v2"], False, True), (["--proxy-protocol", "off"], False, False), ([], False, False),
])
def test_the_versions_of_the_proxy_protocol(serve, flags, v1, v2):
    server = serve(ECHO, *flags)
    told = {"PROXY_PROTOCOL": "TCP4", "PROXY_ADDR": "198.51.100.2", "PROXY_PORT": "443",
            "REMOTE_ADDR": "192.0.2.1", "REMOTE_PORT": "56324"}
    binary = V2 + bytes([0x21, 0x11, 0, 15, 192, 0, 2, 1, 198, 51, 100, 2, 0xdc, 4, 1, 0xbb, 4, 0, 0])
    for header, understood in ((LINE, v1), (binary, v2)):
        answer = asked(server, before=header)
        if understood:
            assert told.items() <= answer.items()
        else:
            assert answer == 400
    plain = asked(server)
    assert plain["REMOTE_ADDR"] == "127.0.0.1" and "PROXY_PROTOCOL" not in plain


def test_version_2_with_ipv6(serve):
    addresses = socket.inet_pton(socket.AF_INET6, "2001:db8::1") + socket.inet_pton(socket.AF_INET6, "::1")
    environ = asked(serve(ECHO, "--proxy-protocol", "v2"), before=V2 + b"\x21\x21\x00\x24" + addresses + b"\x00\x07\x01\xbb")
    assert (environ["PROXY_PROTOCOL"], environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("TCP6", "2001:db8::1", "7")
    assert (environ["PROXY_ADDR"], environ["PROXY_PORT"]) == ("::1", "443")


@only_ferricorn("its threads forget the address after the first request")
def test_the_address_holds_for_every_request_and_in_the_access_log(serve):
    server = serve(ECHO, "--proxy-protocol", "auto", "--access-logfile", "-", "--access-logformat", "%(h)s %({proxy_addr}e)s %(r)s")
    with server.connect() as client:
        client.send(LINE)
        for _ in range(3):
            environ = client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").response().json()
            assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("192.0.2.1", "56324")
    until(lambda: len(server.access_log) == 3, "three access lines")
    assert set(server.access_log) == {"192.0.2.1 198.51.100.2 GET / HTTP/1.1"}


@only_ferricorn("it refuses UNKNOWN, and with LOCAL the address is None")
def test_a_header_without_addresses_leaves_the_sockets_own(serve):
    server = serve(ECHO, "--proxy-protocol", "auto")
    for header, protocol in ((b"PROXY UNKNOWN\r\n", "UNKNOWN"), (V2 + b"\x20\x00\x00\x00", "LOCAL"),
                             (V2 + b"\x21\x00\x00\x00", "UNSPEC")):
        environ = asked(server, before=header)
        assert (environ["REMOTE_ADDR"], environ["PROXY_PROTOCOL"]) == ("127.0.0.1", protocol)
        assert int(environ["REMOTE_PORT"]) > 0 and "PROXY_ADDR" not in environ


def test_who_may_not_speak_the_proxy_protocol_is_forbidden(serve):
    server = serve(ECHO, "--proxy-protocol", "auto", "--proxy-allow-from", "10.0.0.0/8")
    assert asked(server, before=LINE) == 403
    assert asked(server)["REMOTE_ADDR"] == "127.0.0.1"
    server.wait_for("Invalid request from ip=127.0.0.1")
    server = serve(ECHO, "--proxy-protocol", "auto", "--proxy-allow-from", "10.0.0.0/8,127.0.0.0/8")
    assert asked(server, before=LINE)["REMOTE_ADDR"] == "192.0.2.1"


def test_on_a_unix_socket_everybody_may_speak_it(serve, tmp_path):
    server = serve(ECHO, "--proxy-protocol", "v1", "--proxy-allow-from", "10.0.0.1", bind=f"unix:{tmp_path}/s")
    environ = asked(server, before=LINE)
    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("192.0.2.1", "56324")


@only_ferricorn("a PROXY header of version 2 that is wrong is a 500 there")
def test_wrong_proxy_headers_are_refused(serve):
    server = serve(ECHO, "--proxy-protocol", "--log-level", "info")
    for header in (b"PROXY TCP4 1.2.3.4\r\n", b"PROXY TCP4 1.2.3.4 5.6.7.8 99999 1\r\n", LINE + LINE,
                   V2 + b"\x11\x11\x00\x0c" + bytes(12), V2 + b"\x21\x11\x00\x04" + bytes(4),
                   b"PROXY UNKNOWN " + b"x" * 100 + b"\r\n"):
        assert asked(server, before=header) == 400


def test_the_sockets_peer_is_trusted_and_not_the_client_that_it_tells_of(serve):
    server = serve(ECHO, "--proxy-protocol", "v1", "--forwarded-allow-ips", "192.0.2.1")
    assert asked(server, b"X-Forwarded-Proto: https", before=LINE)["wsgi.url_scheme"] == "http"
    server = serve(ECHO, "--proxy-protocol", "v1", "--forwarded-allow-ips", "127.0.0.1")
    assert asked(server, b"X-Forwarded-Proto: https", before=LINE)["wsgi.url_scheme"] == "https"


# The client's address in a header.


@only_ferricorn("it has no such setting")
@pytest.mark.parametrize("flags, fields, wanted", [
    ([], [b"X-Forwarded-For: 192.0.2.1"], None),
    (["X-Forwarded-For"], [b"X-Forwarded-For: 6.6.6.6, 192.0.2.1"], "192.0.2.1"),
    (["X-Forwarded-For", "--real-ip-hops", "2"], [b"X-Forwarded-For: 6.6.6.6, 192.0.2.1, 10.0.0.1"], "192.0.2.1"),
    (["X-Forwarded-For", "--real-ip-hops", "2"], [b"X-Forwarded-For: 192.0.2.1", b"X-Forwarded-For: 10.0.0.1"], "192.0.2.1"),
    (["X-Forwarded-For", "--real-ip-hops", "2"], [b"X-Forwarded-For: 192.0.2.1"], None),
    (["x-real-ip"], [b"X-Real-IP: 2001:db8::1"], "2001:db8::1"),
    (["X-Real-IP"], [b"X-Real-IP: not an address"], None),
    (["X-Real-IP"], [b"X-Real-IP: \xff"], None),
    (["X-Real-IP"], [b"X_Real_IP: 192.0.2.1"], None),
    (["Forwarded"], [b'Forwarded: for=6.6.6.6, for="[2001:db8::1]:4711";proto=https'], "2001:db8::1"),
    (["Forwarded"], [b"Forwarded: for=unknown"], None),
    (["X-Real-IP", "--forwarded-allow-ips", "10.0.0.1"], [b"X-Real-IP: 192.0.2.1"], None),
])
def test_the_clients_address(serve, flags, fields, wanted):
    flags = ["--real-ip-header", *flags] if flags else []
    server = serve(ECHO, *flags, "--access-logfile", "-", "--access-logformat", "%(h)s")
    environ = asked(server, *fields)
    assert environ["REMOTE_ADDR"] == (wanted or "127.0.0.1")
    assert ("REMOTE_PORT" in environ) == (wanted is None), "the port is the proxy's"
    assert until(lambda: server.access_log, "an access line") == [wanted or "127.0.0.1"]


# Switches for unusual requests.


def test_unusual_requests_need_their_switches(serve):
    server = serve(ECHO)
    assert asked(server, b"X: a\r\n b") == 400
    assert asked(server, b"X : a") == 400
    assert asked(server, method=b"get") == 400
    assert asked(server, method=b"GO") == 400
    assert asked(server, version=b"HTTP/2.0") == 400


def test_folded_headers_are_joined(serve):
    server = serve(ECHO, "--permit-obsolete-folding")
    assert asked(server, b"X: a\r\n b\r\n\tc")["HTTP_X"] == "a b c"
    assert asked(server, b"X : a") == 400


def test_spaces_before_a_colon_are_dropped(serve):
    server = serve(ECHO, "--strip-header-spaces")
    assert asked(server, b"X \t: a")["HTTP_X"] == "a"
    assert asked(server, b"X: a\r\n b") == 400


@pytest.mark.parametrize("method, folded", [(b"get", "GET"), (b"Go", "GO"), (b"a#b", "A#B"), (b"x" * 30, "X" * 30)])
def test_any_method_passes_as_it_is_or_in_upper_case(serve, method, folded):
    server = serve(ECHO, "--permit-unconventional-http-method")
    assert asked(server, method=method)["REQUEST_METHOD"] == method.decode()
    assert asked(server, method=b"g(t") == 400
    server = serve(ECHO, "--permit-unconventional-http-method", "--casefold-http-method")
    assert asked(server, method=method)["REQUEST_METHOD"] == folded
    assert asked(serve(ECHO, "--casefold-http-method"), method=b"get") == 400


def test_any_version_passes_and_is_told(serve):
    server = serve(ECHO, "--permit-unconventional-http-version")
    for version in (b"HTTP/2.0", b"HTTP/0.9", b"HTTP/1.7", b"HTTP/1.0", b"HTTP/1.1"):
        assert asked(server, version=version)["SERVER_PROTOCOL"] == version.decode()
    assert asked(server, version=b"HTTP/10.0") == 400


@only_ferricorn("it has no such setting")
def test_a_host_may_be_required(serve):
    request = b"GET / HTTP/1.%d\r\nConnection: close\r\n\r\n"
    for flags, minor, status in (([], 1, 200), (["--require-host"], 1, 400), (["--require-host"], 0, 200)):
        with serve(ECHO, *flags).connect() as client:
            assert client.send(request % minor).response().status == status
