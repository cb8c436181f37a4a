"""Errors have the shape of their path's dialect, without exception."""

import json
import re
import uuid
from typing import Any

import psycopg
import pytest

from app.domain.errors import (
    DomainError,
    ExpiredKey,
    InsufficientCredits,
    Internal,
    MissingKey,
    MissingText,
    TextTooLong,
    TooManyWaiting,
    Unavailable,
    UnknownVoice,
)
from app.http.error_shapes import ErrorContext, answer
from db.logging import hashed
from tests.app.api_process import ApiProcess
from tests.app.conftest import Person
from tests.routes import every_route

YOURVOIC = ["/api/v1", "/api/v1/tts/nothing", "/api/v1/nothing"]
OPENAI = ["/v1/audio", "/v1/audio/nothing", "/v1/audio/speech/nothing", "/v1/models/tts-1/nothing"]
ELEVENLABS = ["/v1/text-to-speech", "/v1/user", "/v1/user/nothing", "/v2", "/v2/nothing"]
CODEVOICE = [
    "/nothing",
    "/api/nothing",
    "/api/v10",
    "/v1/nothing",
    "/v1/modelsx",
    "/tts/nothing",
    "//v1/tts",
]


def body(api: ApiProcess, path: str, **headers: str) -> dict[str, Any]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    found = api.call("GET", path, headers={"X-Request-ID": "my.id-1", **named})
    assert (found.status_code, found.headers["content-type"]) == (404, "application/json")
    assert found.headers["x-request-id"] == "my.id-1"
    assert found.headers["x-content-type-options"] == "nosniff"
    return found.json()


@pytest.mark.parametrize("path", CODEVOICE)
def test_codevoices_shape(api: ApiProcess, path: str) -> None:
    assert body(api, path) == {
        "detail": {"error": "not_found", "message": "There is nothing at this path.", "user_type": None}
    }


@pytest.mark.parametrize("path", YOURVOIC)
def test_yourvoics_shape(api: ApiProcess, path: str) -> None:
    found = body(api, path)

    assert found == {
        "success": False,
        "error": {
            "code": "NOT_FOUND",
            "message": "There is nothing at this path.",
            "category": "not_found",
            "resolution": "Check the path and the identifiers in it.",
        },
        "request_id": "my.id-1",
        "timestamp": found["timestamp"],
    }


@pytest.mark.parametrize("path", OPENAI)
def test_openais_shape(api: ApiProcess, path: str) -> None:
    assert body(api, path) == {
        "error": {
            "message": "There is nothing at this path.",
            "type": "invalid_request_error",
            "param": None,
            "code": "not_found",
        }
    }


@pytest.mark.parametrize("path", [*OPENAI, *ELEVENLABS])
def test_elevenlabs_shape(api: ApiProcess, path: str) -> None:
    found = body(api, path, xi_api_key="some")

    assert found == {"detail": {"status": "not_found", "message": "There is nothing at this path."}}


def shaped(path: str, error: DomainError, *, xi: bool = False) -> tuple[int, dict[str, str], dict[str, Any]]:
    found = answer(error, ErrorContext(path=path, has_xi_key=xi, user_type="registered", request_id="r"))
    return found.status, found.headers, json.loads(found.body)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (UnknownVoice("", field="voice", provided="x", suggestions=[]), 400, "INVALID_VOICE"),
        (MissingText("", field="text"), 400, "MISSING_TEXT"),
        (TextTooLong("", limit=1, length=2), 413, "TEXT_TOO_LONG"),
        (MissingKey(), 401, "MISSING_API_KEY"),
        (ExpiredKey(), 401, "API_KEY_EXPIRED"),
        (InsufficientCredits(""), 402, "INSUFFICIENT_CREDITS"),
        (TooManyWaiting("", retry_after_s=5), 429, "RATE_LIMIT_EXCEEDED"),
        (Unavailable(""), 503, "SERVICE_UNAVAILABLE"),
        (Internal(), 500, "INTERNAL_ERROR"),
    ],
)
def test_yourvoics_codes(error: DomainError, status: int, code: str) -> None:
    found = shaped("/api/v1/tts/generate", error)

    assert (found[0], found[2]["error"]["code"]) == (status, code)
    assert found[2]["error"].get("details", {}) == error.fields


def test_every_dialect_has_retry_after() -> None:
    for path in ("/api/v1/x", "/v1/audio/x", "/v2/x", "/v1/tts"):
        assert shaped(path, TooManyWaiting("", retry_after_s=5))[1] == {"Retry-After": "5"}
        assert shaped(path, Unavailable(""))[1] == {"Retry-After": "1"}


def test_openais_errors_name_the_parameter_and_a_kind() -> None:
    assert shaped("/v1/audio/speech", MissingText("Say something.", field="text"))[2]["error"] == {
        "message": "Say something.",
        "type": "invalid_request_error",
        "param": "input",
        "code": "missing_text",
    }
    assert shaped("/v1/audio/speech", Internal())[2]["error"]["type"] == "server_error"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/tts", {"POST", "OPTIONS"}),
        ("GET", "/v1/tts", {"POST", "OPTIONS"}),
        ("POST", "/tts/audio/x", {"GET", "HEAD", "OPTIONS"}),
        ("TRACE", "/v1/voices", {"GET", "OPTIONS"}),
        ("PROPFIND", "/v1/voices", {"GET", "OPTIONS"}),
    ],
)
def test_a_wrong_method_is_answered_with_the_allowed_ones(
    api: ApiProcess, method: str, path: str, allowed: set[str]
) -> None:
    found = api.call(method, path)

    assert (found.status_code, found.json()["detail"]["error"]) == (405, "method_not_allowed")
    assert set(found.headers["Allow"].split(", ")) == allowed


def test_options_needs_no_key(api: ApiProcess) -> None:
    found = api.call("OPTIONS", "/v1/jobs/x")

    assert (found.status_code, found.headers["Allow"], found.content) == (204, "DELETE, GET, OPTIONS", b"")


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "a\tb", "ümlaut"])
def test_a_request_id_we_would_not_log_is_replaced(api: ApiProcess, given: str) -> None:
    found = api.client.get("/health/live", headers={b"X-Request-ID": given.encode("latin-1")})

    assert found.headers["x-request-id"] != given
    assert len(found.headers["x-request-id"]) == 32


def test_the_log_has_one_line_a_request_and_no_secrets(api: ApiProcess, person: Person) -> None:
    job = api.call("POST", "/v1/tts", person.key, json={"text": "my secret words", "voice": "ryan"}).json()
    api.call("GET", f"/tts/status/{job['job_id']}?q=hidden", headers={"X-Request-ID": "the-one"})
    api.call("GET", "/openapi.json")  # building the document must not change logging
    api.raw(b"hidden\r\n\r\n")  # libraries warn of it

    api.call("GET", "/health/live")  # a line is written after its answer

    lines = [json.loads(line) for line in api.log.read_text().splitlines()]
    (line,) = [line for line in lines if line.get("request_id") == "the-one"]

    assert (line["event"], line["method"], line["status"]) == ("request", "GET", 200)
    assert (line["route"], line["job"]) == ("/tts/status/{job_id}", hashed(uuid.UUID(job["job_id"])))
    assert 0 < line["ms"] < 10_000
    whole = api.log.read_text()
    assert not [secret for secret in (job["job_id"], "my secret words", "hidden") if secret in whole]


def test_the_document_lists_every_call(api: ApiProcess) -> None:
    found = api.call("GET", "/openapi.json")
    document = found.json()

    assert found.headers["content-type"] == "application/json"
    assert set(document["paths"]) == {
        re.sub(r":\w+}", "}", route.path)
        for route in every_route()
        if route.is_documented  # pages for people are not
    }
    body = document["paths"]["/v1/tts"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    speech = document["components"]["schemas"][body["$ref"].rpartition("/")[2]]
    assert speech["required"] == ["text", "voice"]
    assert "http" not in json.dumps(document["paths"])


@pytest.mark.parametrize("path", ["/schema", "/schema/swagger", "/schema/openapi.json"])
def test_no_openapi_viewer_is_served(api: ApiProcess, path: str) -> None:
    assert api.call("GET", path).status_code == 404


def test_a_bug_is_logged_and_not_shown(
    api: ApiProcess, person: Person, owner: psycopg.Connection[Any], database_url: str
) -> None:
    function = "FUNCTION cv.cancel_v2(uuid, uuid, text)"
    owner.execute(f"REVOKE EXECUTE ON {function} FROM cv_app".encode())
    try:
        found = api.call("DELETE", f"/v1/jobs/{uuid.uuid4()}", person.key, headers={"X-Request-ID": "bug"})
    finally:
        owner.execute(f"GRANT EXECUTE ON {function} TO cv_app".encode())

    assert found.status_code == 500
    assert found.json() == {
        "detail": {
            "error": "internal_error",
            "message": "Something went wrong on our side. Quote the request id if you report it.",
            "user_type": "registered",
        }
    }
    assert "InsufficientPrivilegeError" in api.log.read_text()
