"""Headers of every answer that depend on settings: for caches (Vary), and for browsers (HSTS)."""

import pytest

from tests.app.api_process import ApiProcess
from tests.app.conftest import Run

PATHS = ("/health/live", "/v1/voices", "/v1/tts", "/", "/nothing-here")
OWN, OTHER = "https://own.example", "https://other.example"


@pytest.fixture(scope="module")
def listed(api_with: Run) -> ApiProcess:
    return api_with(CODEVOICE_CORS_ORIGINS=OWN, CODEVOICE_PUBLIC_URL="https://voice.example")


@pytest.mark.parametrize("origin", [None, OWN, OTHER])
@pytest.mark.parametrize("path", PATHS)
def test_responses_vary_by_origin(listed: ApiProcess, path: str, origin: str | None) -> None:
    answer = listed.call("GET", path, headers={"Origin": origin} if origin else {})
    assert answer.headers.get_list("vary", split_commas=True).count("Origin") == 1
    assert answer.headers.get("access-control-allow-origin") == (OWN if origin == OWN else None)


@pytest.mark.parametrize("origin", [OWN, OTHER])
def test_preflight_responses_vary_by_origin(listed: ApiProcess, origin: str) -> None:
    preflight = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    answer = listed.call("OPTIONS", "/v1/tts", headers=preflight)
    assert (answer.status_code, answer.headers["vary"]) == (204 if origin == OWN else 400, "Origin")


@pytest.mark.parametrize("path", PATHS)
def test_hsts_is_sent_where_the_public_address_is_https(listed: ApiProcess, path: str) -> None:
    assert listed.call("GET", path).headers["strict-transport-security"] == "max-age=31536000"


def test_without_tls_and_with_any_origin_allowed_neither_header_is_sent(api: ApiProcess) -> None:
    headers = api.call("GET", "/health/live", headers={"Origin": OTHER}).headers
    assert (headers.get("vary"), headers.get("strict-transport-security")) == (None, None)
    assert headers["access-control-allow-origin"] == "*"
