"""gunicorn's own request corpora over a socket: what its parser takes, the app sees, be it a WSGI or an ASGI app; what
it refuses, is refused.

`docs/compatibility.md` explains each exception below.
"""

import json
import re

import pytest

from harness import IS_GUNICORN, corpora

WSGI = '''
import json

def app(environ, start_response):
    body = environ["wsgi.input"].read()
    seen = {key: value for key, value in environ.items() if isinstance(value, str)}
    with open("seen", "a") as file:
        file.write(json.dumps({**seen, "body": body.decode("latin-1")}) + "\\n")
    start_response("200 OK", [("Content-Length", "0")])
    return []
'''

ASGI = '''
import json

async def app(scope, receive, send):
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body, more = body + message["body"], message["more_body"]
    seen = {key: scope[key] if isinstance(scope[key], str) else scope[key].decode("latin-1")
            for key in ("method", "http_version", "raw_path", "query_string")}
    headers = [[name.decode("latin-1").upper(), value.decode("latin-1")] for name, value in scope["headers"]]
    with open("seen", "a") as file:
        file.write(json.dumps({**seen, "headers": headers, "body": body.decode("latin-1")}) + "\\n")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})
'''

SETTINGS = [
    {},
    {"limit_request_line": 8200, "limit_request_field_size": 8210},
    {"limit_request_field_size": 8210},
    {"limit_request_field_size": 98},
    {"limit_request_field_size": 10},
    {"limit_request_field_size": 0},
    {"limit_request_field_size": 14, "permit_obsolete_folding": True},
    {"limit_request_fields": 2},
    {"permit_obsolete_folding": True},
    {"strip_header_spaces": True},
    {"permit_unconventional_http_method": True},
    {"permit_unconventional_http_method": True, "casefold_http_method": True},
    {"forwarded_allow_ips": "*"},
    {"header_map": "refuse"},
    {"header_map": "dangerous"},
    {"proxy_protocol": True},
]

# What Ferricorn answers on purpose where gunicorn says 200, and whether the app sees the request.
OTHERWISE = {
    # The body is shorter than its Content-Length: an error, and no request (RFC 9112 section 6.3).
    "valid/099": (400, False),
    # The app consents to a tunnel, and there is none (RFC 9110 section 9.3.6).
    "valid/rfc9112_target_authority_connect_01": (501, True),
    "valid/rfc9112_target_authority_ipv6_01": (501, True),
}

# What shows only at the end of the stream.
CUT_SHORT = {"valid/099", "invalid/rfc9112_chunked_missing_final_crlf_01"}


def test_the_corpora_are_whole_and_every_case_is_run():
    cases = corpora.cases()
    assert sum(case.name.startswith("valid/") for case in cases) == 62
    assert sum(case.name.startswith("invalid/") for case in cases) == 81
    assert [case.name for case in cases if case.settings not in SETTINGS] == []
    assert set(OTHERWISE) <= {case.name for case in cases}


@pytest.mark.parametrize("app", [pytest.param(WSGI, id="wsgi"), pytest.param(ASGI, id="asgi", marks=pytest.mark.only_ferricorn("WSGI"))])
@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: ",".join(settings) or "defaults")
def test_the_corpus_under(serve, settings, app):
    cases = [case for case in corpora.cases() if case.settings == settings]
    assert cases, "no case has these settings"
    config = "".join(f"{name} = {value!r}\n" for name, value in settings.items())
    server = serve(app, "-c", "settings.py", files={"settings.py": config})
    wrong = [f"{case.name}: {fault}" for case in cases if (fault := fault_of(server, case, app is ASGI))]
    assert not wrong, "\n\n".join(wrong)


def fault_of(server, case, asgi):
    """What the server does otherwise than the corpus demands, or None."""
    expected, requests = case.statuses, case.requests
    if case.name in OTHERWISE and not IS_GUNICORN:
        status, entered = OTHERWISE[case.name]
        expected, requests = [status], requests if entered else []
    seen = server.folder / "seen"
    seen.write_text("")
    with server.connect() as client:
        answers = responses(exchange(client.send(case.data), 0 if case.name in CUT_SHORT or not asgi else len(expected)))
    statuses = [status for status, _ in answers if status != 100]
    entered = [json.loads(line) for line in seen.read_text().splitlines()]
    if statuses != expected:
        return f"answered {statuses}, not {expected}; the app saw {entered}"
    if len(entered) != len(requests):
        return f"the app saw {len(entered)} requests, not {len(requests)}: {entered}"
    if expected and expected[-1] >= 400 and answers[-1][1].get("connection", "").lower() != "close":
        return f"the refusal does not close: {answers[-1]}"
    compare = scope_difference if asgi else difference
    return next((fault for pair in zip(entered, requests, strict=True) if (fault := compare(*pair))), None)


def exchange(client, count):
    """The bytes of all responses to what was sent. So many are waited for before the client shuts down its writing
    side: for an ASGI app it has left by that."""
    before = b""
    while count:
        response = client.response()
        count -= response.status != 100
        before += response.raw + response.body
    return before + client.finish().read_to_end()


def difference(environ, request):
    """What an environ says otherwise than the description of its request."""
    major, minor = request["version"]
    wanted = {
        "REQUEST_METHOD": request["method"],
        "RAW_URI": request["uri"]["raw"],
        "QUERY_STRING": request["uri"]["query"],
        "SERVER_PROTOCOL": f"HTTP/{major}.{minor}",
        "body": body if isinstance(body := request["body"], str) else body.decode("latin-1"),
    }
    for name, value in request["headers"]:
        key = {"CONTENT-TYPE": "CONTENT_TYPE", "CONTENT-LENGTH": "CONTENT_LENGTH"}.get(
            name, "HTTP_" + name.replace("-", "_"))
        wanted[key] = f"{wanted[key]},{value}" if key in wanted else value
    compared = {key: value for key, value in environ.items()
                if key in wanted or key.startswith(("HTTP_", "CONTENT_"))}
    return None if compared == wanted else f"{compared}\n  is not\n{wanted}"


def scope_difference(seen, request):
    """The same of a scope, where headers stand as they came. Of targets that are no path it tells nothing."""
    major, minor = request["version"]
    raw = request["uri"]["raw"].partition("#")[0]
    wanted = {
        "method": request["method"],
        "http_version": f"{major}.{minor}",
        "raw_path": raw.partition("?")[0] if raw.startswith("/") else seen["raw_path"],
        "query_string": request["uri"]["query"],
        "headers": sorted(([name, value] for name, value in request["headers"]), key=lambda header: header[0]),
        "body": body if isinstance(body := request["body"], str) else body.decode("latin-1"),
    }
    seen["headers"].sort(key=lambda header: header[0])
    return None if seen == wanted else f"{seen}\n  is not\n{wanted}"


def responses(raw):
    """The statuses and headers of all responses in a stream of bytes."""
    found = []
    while raw:
        head, _, raw = raw.partition(b"\r\n\r\n")
        line, *fields = head.decode("latin-1").split("\r\n")
        status = re.fullmatch(r"HTTP/\d\.\d (\d{3})( .*)?", line)
        assert status, f"no response: {line!r}"
        headers = {name.lower(): value.strip() for name, _, value in (entry.partition(":") for entry in fields)}
        found.append((int(status[1]), headers))
        raw = raw[int(headers.get("content-length", 0)):]
    return found
