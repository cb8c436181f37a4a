"""Headers of every answer that depend on settings: for caches (Vary), and for browsers (HSTS)."""

import pytest

from tests.app.conftest import Run
from tests.app.front import Front

PATHS = ("/health/live", "/v1/voices", "/v1/tts", "/", "/nothing-here")
OWN, OTHER = "https://own.example", "https://other.example"


@pytest.fixture(scope="module")
def listed(front_with: Run) -> Front:
    return front_with(CODEVOICE_CORS_ORIGINS=OWN, CODEVOICE_PUBLIC_URL="https://voice.example")


@pytest.mark.parametrize("origin", [None, OWN, OTHER])
@pytest.mark.parametrize("path", PATHS)
def test_a_cache_keeps_the_answers_to_different_origins_apart(
    listed: Front, path: str, origin: str | None
) -> None:
    answer = listed.call("GET", path, headers={"Origin": origin} if origin else {})
    assert answer.headers.get_list("vary", split_commas=True).count("Origin") == 1
    assert answer.headers.get("access-control-allow-origin") == (OWN if origin == OWN else None)


@pytest.mark.parametrize("origin", [OWN, OTHER])
def test_so_are_the_answers_to_browsers_that_ask_first(listed: Front, origin: str) -> None:
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    answer = listed.call("OPTIONS", "/v1/tts", headers=asked)
    assert (answer.status_code, answer.headers["vary"]) == (204 if origin == OWN else 400, "Origin")


@pytest.mark.parametrize("path", PATHS)
def test_browsers_are_told_to_keep_to_tls_where_the_public_address_is_https(listed: Front, path: str) -> None:
    assert listed.call("GET", path).headers["strict-transport-security"] == "max-age=31536000"


def test_where_scripts_of_any_origin_may_call_and_without_tls_nothing_is_said(front: Front) -> None:
    headers = front.call("GET", "/health/live", headers={"Origin": OTHER}).headers
    assert (headers.get("vary"), headers.get("strict-transport-security")) == (None, None)
    assert headers["access-control-allow-origin"] == "*"
