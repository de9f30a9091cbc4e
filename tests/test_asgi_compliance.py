"""gunicorn's own ASGI suite, `tests/docker/asgi_compliance`, without what needs TLS, HTTP/2 or its nginx."""

import pytest

from harness import IS_FERRICORN, compliance

# How many tests each file has for a plain server.
FILES = {
    "test_http_compliance": 63,
    "test_websocket_compliance": 45,
    "test_streaming_compliance": 29,
    "test_lifespan_compliance": 13,
    "test_framework_integration": 30,
    "test_concurrency": 17,
}

# What Ferricorn answers otherwise, and why.
OTHERWISE = {}


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    return compliance.unpack(tmp_path_factory.mktemp("compliance"))


@pytest.fixture(scope="module")
def server(serve_module, suite):
    """As its container runs it."""
    flags = ["-w", "2", "--asgi-disconnect-grace-period", "0"] if IS_FERRICORN else []
    return serve_module("apps.main_app:app", *flags, cwd=suite)


def test_no_file_is_forgotten(suite):
    assert sorted(path.stem for path in (suite / "tests/run").glob("test_*.py")) == sorted([*FILES, "test_http2_asgi"])


@pytest.mark.timeout(300)
@pytest.mark.parametrize("file", FILES)
def test_the_suite(server, suite, file):
    outcomes = compliance.run(suite, file, f"http://127.0.0.1:{server.port}")
    assert len(outcomes) == FILES[file]
    failures = {name: fault for name, fault in outcomes.items() if fault}
    wrong = [f"{name}: {fault}" for name, fault in failures.items() if name not in OTHERWISE or not IS_FERRICORN]
    assert not wrong, "\n\n".join(wrong)
    assert [name for name in outcomes if name in OTHERWISE and name not in failures] == [], "these pass by now"
