"""Access control: every route, tried with every kind of credential, against one table."""

import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest

from tests.app.api_process import ApiProcess
from tests.app.conftest import AddKey, Person
from tests.routes import every_route

PUBLIC = "public"
# The scope a key needs; PUBLIC: no authentication.
ROUTES = {
    ("POST", "/v1/tts"): "speech",
    ("GET", "/tts/status/{job_id}"): PUBLIC,
    ("GET", "/tts/audio/{job_id}"): PUBLIC,
    ("HEAD", "/tts/audio/{job_id}"): PUBLIC,
    ("GET", "/tts/stream/{job_id}"): PUBLIC,
    ("GET", "/v1/jobs"): "speech",
    ("GET", "/v1/jobs/{job_id}"): "speech",
    ("GET", "/v1/jobs/{job_id}/events"): "speech",
    ("DELETE", "/v1/jobs/{job_id}"): "speech",
    ("GET", "/v1/voices"): PUBLIC,
    ("GET", "/api/stt/languages"): PUBLIC,
    ("POST", "/transcribe"): "transcription",
    ("GET", "/v1/transcriptions/{job_id}"): "transcription",
    ("POST", "/api/stt/live/start"): "transcription",
    ("POST", "/api/stt/live/complete"): "transcription",
    ("POST", "/api/auth/register"): PUBLIC,
    ("POST", "/api/auth/login"): PUBLIC,
    ("POST", "/api/auth/refresh"): PUBLIC,
    ("POST", "/api/auth/logout"): "account",
    ("POST", "/api/auth/logout/everywhere"): "account",
    ("POST", "/api/auth/verify"): PUBLIC,
    ("POST", "/api/auth/verify/resend"): "account",
    ("POST", "/api/auth/password/change"): "account",
    ("POST", "/api/auth/password/reset"): PUBLIC,
    ("POST", "/api/auth/password/reset/confirm"): PUBLIC,
    ("GET", "/api/auth/me"): "account",
    ("GET", "/api/user/dashboard"): "account",
    ("POST", "/api/v1/tts/generate"): "speech",
    ("POST", "/api/v1/tts/generate/stream"): "speech",
    ("POST", "/api/v1/tts/stream"): "speech",
    ("GET", "/api/v1/voices"): PUBLIC,
    ("GET", "/api/v1/languages"): PUBLIC,
    ("GET", "/api/v1/models"): "speech",
    ("GET", "/api/v1/health"): PUBLIC,
    ("GET", "/api/v1/usage"): "usage",
    ("POST", "/v1/audio/speech"): "speech",
    ("POST", "/v1/audio/transcriptions"): "transcription",
    ("POST", "/v1/audio/translations"): "transcription",
    ("POST", "/v1/text-to-speech/{voice_id}"): "speech",
    ("POST", "/v1/text-to-speech/{voice_id}/stream"): "speech",
    ("GET", "/v2/voices"): PUBLIC,
    ("GET", "/v1/user/subscription"): "account",
    ("GET", "/v1/models"): "speech",
    ("GET", "/v1/models/{model_id}"): "speech",
    ("GET", "/samples/{file}"): PUBLIC,
    ("HEAD", "/samples/{file}"): PUBLIC,
    ("GET", "/api/v1/credits"): "account",
    ("GET", "/api/v1/user/credits"): "account",
    ("GET", "/api/keys"): "keys",
    ("POST", "/api/keys"): "keys",
    ("GET", "/api/keys/{key_id}"): "keys",
    ("DELETE", "/api/keys/{key_id}"): "keys",
    ("POST", "/api/keys/{key_id}/rotate"): "keys",
    ("GET", "/static/{version}/{name}"): PUBLIC,
    ("GET", "/health/live"): PUBLIC,
    ("GET", "/openapi.json"): PUBLIC,
    ("GET", "/health/ready"): PUBLIC,
    ("GET", "/api/admin/users"): "admin",
    ("GET", "/api/admin/users/{account}"): "admin",
    ("POST", "/api/admin/users"): "admin",
    ("POST", "/api/admin/users/{account}/suspend"): "admin",
    ("POST", "/api/admin/users/{account}/plan"): "admin",
    ("POST", "/api/admin/users/{account}/reset-link"): "admin",
    ("GET", "/api/admin/invites"): "admin",
    ("POST", "/api/admin/invites"): "admin",
    ("POST", "/api/admin/invites/{invite}/revoke"): "admin",
    ("POST", "/api/admin/accounts"): "admin",
    ("POST", "/api/admin/accounts/{account}/limit"): "admin",
    ("POST", "/api/admin/accounts/{account}/unlimited"): "admin",
    ("POST", "/api/admin/accounts/{account}/close"): "admin",
    ("GET", "/api/admin/accounts/{account}/transfers"): "admin",
    ("GET", "/api/admin/accounts/{account}/keys"): "admin",
    ("POST", "/api/admin/accounts/{account}/keys"): "admin",
    ("POST", "/api/admin/keys/{key}/rotate"): "admin",
    ("POST", "/api/admin/keys/{key}/revoke"): "admin",
    ("POST", "/api/admin/grants"): "admin",
    ("POST", "/api/admin/expiries"): "admin",
    ("POST", "/api/admin/refunds"): "admin",
    ("GET", "/api/admin/plans"): "admin",
    ("GET", "/api/admin/prices"): "admin",
    ("POST", "/api/admin/prices"): "admin",
    ("GET", "/api/admin/jobs"): "admin",
    ("GET", "/api/admin/jobs/{job}"): "admin",
    ("POST", "/api/admin/jobs/{job}/retry"): "admin",
    ("POST", "/api/admin/jobs/{job}/cancel"): "admin",
    ("GET", "/api/admin/audit"): "admin",
    ("GET", "/api/admin/acts"): "admin",
}
PROTECTED = [(method, path, scope) for (method, path), scope in ROUTES.items() if scope != PUBLIC]
OTHER_SCOPES = ("usage", "speech")


def call(api: ApiProcess, method: str, path: str, headers: dict[str, str], **ids: object) -> httpx.Response:
    """A call without a body: an authorised caller gets a validation error."""
    given = {
        name: uuid.uuid4()
        for name in (
            "job_id",
            "key_id",
            "job",
            "key",
            "account",
            "invite",
            "version",
            "name",
            "file",
            "voice_id",
            "model_id",
        )
    } | ids
    return api.call(method, path.format(**given), headers=headers)


def refusal(answer: httpx.Response) -> tuple[int, str] | None:
    """Status and code of a caller that was refused; None otherwise."""
    if answer.status_code not in (401, 403):
        return None
    found = answer.json()
    detail = found.get("detail", {})
    return answer.status_code, detail.get("error") or detail.get("status") or found["error"]["code"]


def in_shape(path: str, code: str) -> str:
    """The code as the path's dialect has it."""
    yourvoic = {"revoked_api_key": "API_KEY_REVOKED", "expired_api_key": "API_KEY_EXPIRED"}
    return yourvoic.get(code, code.upper()) if path.startswith("/api/v1/") else code


def test_the_table_has_every_route_and_no_other() -> None:
    routes = {
        (route.method, re.sub(r":\w+}", "}", route.path))
        for route in every_route()
        if "page" not in route.opt  # see test_pages
    }

    assert routes == set(ROUTES)


@pytest.mark.parametrize(("method", "path"), [route for route, scope in ROUTES.items() if scope == PUBLIC])
def test_public_routes_can_be_called_with_any_credential_or_none(
    api: ApiProcess, person: Person, add_key: AddKey, method: str, path: str
) -> None:
    revoked = add_key(person.id, revoked_at=datetime.now(UTC) - timedelta(hours=1))
    credentials: list[dict[str, str]] = [{}, {"X-API-Key": "wrong"}, {"X-API-Key": revoked}]

    assert [refusal(call(api, method, path, headers)) for headers in credentials] == [None] * 3


@pytest.mark.parametrize(("method", "path", "scope"), PROTECTED)
def test_nobody_else_is_let_in(
    api: ApiProcess, person: Person, add_key: AddKey, method: str, path: str, scope: str
) -> None:
    past = datetime.now(UTC) - timedelta(hours=1)
    other = next(other for other in OTHER_SCOPES if other != scope)
    credentials = {
        "missing_api_key": (401, {}),
        "invalid_api_key": (401, {"X-API-Key": "cv_live_" + "0" * 49}),
        "revoked_api_key": (401, {"X-API-Key": add_key(person.id, revoked_at=past)}),
        "expired_api_key": (401, {"Authorization": f"Bearer {add_key(person.id, expires_at=past)}"}),
        "invalid_token": (401, {"Authorization": f"Bearer {person.refresh_token}"}),
        "missing_scope": (403, {"X-API-Key": add_key(person.id, scopes=[other])}),
    }

    found = {code: refusal(call(api, method, path, headers)) for code, (_, headers) in credentials.items()}

    expected = {code: (status, in_shape(path, code)) for code, (status, _) in credentials.items()}
    if path.startswith("/api/v1/"):  # YourVoic has no tokens
        expected["invalid_token"] = (401, "INVALID_API_KEY")
    assert found == expected


@pytest.mark.parametrize(("method", "path", "scope"), PROTECTED)
def test_a_key_and_a_token_are_accepted(
    api: ApiProcess,
    person: Person,
    add_key: AddKey,
    owner: psycopg.Connection[Any],
    method: str,
    path: str,
    scope: str,
) -> None:
    owner.execute("UPDATE cv.account SET admin = %s WHERE id = %s", [scope == "admin", person.id])
    credentials = [
        {"Authorization": f"Bearer {person.token}"},  # first, since logging out ends it
        {"X-API-Key": person.key},
        {"xi-api-key": add_key(person.id, scopes=[scope])},
    ]

    assert [refusal(call(api, method, path, headers)) for headers in credentials] == [None] * 3


@pytest.mark.parametrize(("method", "path"), [(m, p) for m, p, scope in PROTECTED if scope == "admin"])
def test_only_administrators_are_accepted(api: ApiProcess, person: Person, method: str, path: str) -> None:
    assert refusal(call(api, method, path, {"X-API-Key": person.key})) == (403, "missing_scope")
