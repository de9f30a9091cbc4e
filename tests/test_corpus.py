"""gunicorn's own request corpora over a socket: what its parser takes, the app sees; what it refuses, is refused.

`docs/compatibility.md` explains each exception below.
"""

import json
import re

import pytest

from harness import IS_GUNICORN, corpora

ECHO = '''
import json

def app(environ, start_response):
    body = environ["wsgi.input"].read()
    seen = {key: value for key, value in environ.items() if isinstance(value, str)}
    with open("seen", "a") as file:
        file.write(json.dumps({**seen, "body": body.decode("latin-1")}) + "\\n")
    start_response("200 OK", [("Content-Length", "0")])
    return []
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


def test_the_corpora_are_whole_and_every_case_is_run():
    cases = corpora.cases()
    assert sum(case.name.startswith("valid/") for case in cases) == 62
    assert sum(case.name.startswith("invalid/") for case in cases) == 81
    assert [case.name for case in cases if case.settings not in SETTINGS] == []
    assert set(OTHERWISE) <= {case.name for case in cases}


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: ",".join(settings) or "defaults")
def test_the_corpus_under(serve, settings):
    cases = [case for case in corpora.cases() if case.settings == settings]
    assert cases, "no case has these settings"
    config = "".join(f"{name} = {value!r}\n" for name, value in settings.items())
    server = serve(ECHO, "-c", "settings.py", files={"settings.py": config})
    wrong = [f"{case.name}: {fault}" for case in cases if (fault := fault_of(server, case))]
    assert not wrong, "\n\n".join(wrong)


def fault_of(server, case):
    """What the server does otherwise than the corpus demands, or None."""
    expected, requests = case.statuses, case.requests
    if case.name in OTHERWISE and not IS_GUNICORN:
        status, entered = OTHERWISE[case.name]
        expected, requests = [status], requests if entered else []
    seen = server.folder / "seen"
    seen.write_text("")
    with server.connect() as client:
        answers = responses(client.send(case.data).finish().read_to_end())
    statuses = [status for status, _ in answers if status != 100]
    entered = [json.loads(line) for line in seen.read_text().splitlines()]
    if statuses != expected:
        return f"answered {statuses}, not {expected}; the app saw {entered}"
    if len(entered) != len(requests):
        return f"the app saw {len(entered)} requests, not {len(requests)}: {entered}"
    if expected and expected[-1] >= 400 and answers[-1][1].get("connection", "").lower() != "close":
        return f"the refusal does not close: {answers[-1]}"
    return next((fault for pair in zip(entered, requests, strict=True) if (fault := difference(*pair))), None)


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
