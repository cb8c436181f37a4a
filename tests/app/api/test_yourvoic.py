"""YourVoic's dialect: its errors, lists, samples and usage, and what browsers may read."""

import csv
import io
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from tests.app.api_process import ApiProcess
from tests.app.conftest import AddKey, End, OpenAccount, Person, Run, Say
from tests.app.listeners import until

WHOLE = "/api/v1/tts/generate"
HELLO = {"text": "hello", "voice": "ryan", "format": "wav"}
CHOSEN = {
    "CODEVOICE_ANSWER_CHARACTERS_MAX": "10",
    "CODEVOICE_PUBLIC_URL": "https://voice.example/",
    "CODEVOICE_CORS_ORIGINS": "https://own.example",
}


@pytest.mark.parametrize(
    ("fields", "status", "code", "category"),
    [
        ({"voice": "Ann"}, 400, "INVALID_VOICE", "validation"),
        ({"voice": None}, 400, "INVALID_VOICE", "validation"),
        ({"text": None}, 400, "MISSING_TEXT", "validation"),
        ({"text": "  "}, 400, "MISSING_TEXT", "validation"),
        ({"text": "a" * 2001}, 413, "TEXT_TOO_LONG", "validation"),
        ({"language": "tlh"}, 422, "INVALID_LANGUAGE", "validation"),
        ({"format": "midi"}, 422, "INVALID_FORMAT", "validation"),
        ({"speed": 9}, 422, "INVALID_PARAMETER", "validation"),
        ({"pitch": "high"}, 422, "INVALID_PARAMETER", "validation"),
        ({"sample_rate": 44_101}, 422, "INVALID_PARAMETER", "validation"),
        ({"model": "best"}, 422, "INVALID_PARAMETER", "validation"),
    ],
)
def test_an_invalid_request_is_a_yourvoic_error_and_costs_nothing(
    api: ApiProcess, person: Person, fields: dict[str, Any], status: int, code: str, category: str
) -> None:
    answer = api.call("POST", WHOLE, person.key, json={**HELLO, **fields})

    found = answer.json()
    assert (answer.status_code, found["success"], found["error"]["code"]) == (status, False, code)
    assert found["error"]["category"] == category
    assert found["error"]["resolution"]
    assert found["error"]["details"]["field"] == next(iter(fields))
    assert found["request_id"] == answer.headers["X-Request-ID"]
    assert api.call("GET", "/api/v1/credits", person.key).json()["credits"]["balance"] == 60


def test_an_unknown_voice_error_lists_available_voices(api: ApiProcess, person: Person) -> None:
    answer = api.call("POST", WHOLE, person.key, json={**HELLO, "voice": "Ann"})

    details = answer.json()["error"]["details"]
    assert (details["provided"], details["suggestions"]) == ("Ann", ["Anna"])
    assert (details["available"][0], details["available"][-2:]) == ("Emma", ["Anna", "Zoë"])


def test_a_text_has_5000_characters_at_most(api_with: Run, person: Person) -> None:
    api = api_with(**CHOSEN)
    answer = api.call("POST", WHOLE, person.key, json={**HELLO, "text": "hello world"})

    assert (answer.status_code, answer.json()["error"]["details"]["limit"]) == (413, 10)


def test_without_credits_it_is_402(api: ApiProcess, open_account: OpenAccount) -> None:
    answer = api.call("POST", WHOLE, open_account(monthly=0), json=HELLO)

    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["category"]) == (402, "INSUFFICIENT_CREDITS", "billing")


def test_a_suspended_account_has_its_keys_disabled(
    api: ApiProcess, person: Person, owner: psycopg.Connection[Any]
) -> None:
    owner.execute("UPDATE cv.account SET suspended = true WHERE id = %s", [person.id])
    answer = api.call("POST", WHOLE, person.key, json=HELLO)

    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "API_KEY_DISABLED")


def test_voices_are_filtered_and_paged(api: ApiProcess, api_with: Run) -> None:
    def names(**query: Any) -> tuple[list[str], int]:
        found = api.call("GET", "/api/v1/voices", params=query).json()
        return [voice["id"] for voice in found["voices"]], found["total"]

    total = 19  # with the aliases, which come first
    assert names(limit=2) == (["emma", "peter"], total)
    assert names(offset=16) == (["ryan", "anna", "zoë"], total)
    assert names(language="de") == (["anna"], 1)
    assert names(offset=99) == ([], total)
    whole = api.call("GET", "/api/v1/voices", params={"limit": 1, "offset": 16}).json()
    assert whole == {
        "success": True,
        "total": total,
        "voices": [
            {
                "id": "ryan",
                "name": "ryan",
                "gender": "male",
                "age": "adult",
                "style": "neutral",
                "languages": ["en-US"],
                "sample_url": "/samples/ryan.mp3",
                "quality": "high",
                "engine": "parrot",
                "voice_used": "ryan",
            }
        ],
    }


def test_sample_urls_use_the_operators_address_not_the_callers(api_with: Run) -> None:
    api = api_with(**CHOSEN)
    answer = api.call("GET", "/api/v1/voices", headers={"Host": "evil.example"})

    addresses = [voice["sample_url"] for voice in answer.json()["voices"]]
    assert addresses[-2:] == [
        "https://voice.example/samples/anna.mp3",
        "https://voice.example/samples/zo%C3%AB.mp3",
    ]


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 1001}, {"offset": -1}, {"limit": "x"}])
def test_a_wrong_page_is_an_invalid_parameter(api: ApiProcess, query: dict[str, Any]) -> None:
    answer = api.call("GET", "/api/v1/voices", params=query)

    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "INVALID_PARAMETER")


def test_languages_models_and_health(api: ApiProcess, person: Person) -> None:
    languages = api.call("GET", "/api/v1/languages").json()
    models = api.call("GET", "/api/v1/models", person.key).json()
    health = api.call("GET", "/api/v1/health")

    assert languages["languages"][0] == {"code": "de-AT", "name": "Language de-AT", "voices": 1}
    assert (languages["total"], models["total"]) == (4, 1)
    assert (models["models"][0]["id"], models["models"][0]["voices"]) == ("parrot", 3)
    assert health.json()["success"] is (health.status_code == 200)


def test_concurrent_requests_make_a_sample_once(
    api: ApiProcess, owner: psycopg.Connection[Any], end: End
) -> None:
    made = "SELECT j.id FROM cv.job j JOIN cv.account a ON a.id = j.owner WHERE a.kind = 'system'"
    before = set(owner.execute(made).fetchall())
    with ThreadPoolExecutor(8) as threads:
        pending = [threads.submit(api.call, "GET", "/samples/Anna.mp3") for _ in range(8)]
        ((job,),) = until(lambda: set(owner.execute(made).fetchall()) - before)
        end(str(job), audio=b"anna's voice", content_type="audio/mpeg")
        answers = [each.result() for each in pending]
    late = api.call("GET", "/samples/anna.mp3")
    known = api.call("GET", "/samples/anna.mp3", headers={"If-None-Match": late.headers["ETag"]})

    assert {(answer.status_code, answer.content) for answer in [*answers, late]} == {(200, b"anna's voice")}
    assert (late.headers["Content-Type"], known.status_code) == ("audio/mpeg", 304)
    assert len(set(owner.execute(made).fetchall()) - before) == 1


@pytest.mark.parametrize("file", ["nobody.mp3", "anna.wav", "anna", ".mp3"])
def test_only_voices_have_samples(api: ApiProcess, file: str) -> None:
    assert api.call("GET", f"/samples/{file}").status_code == 404


def test_usage_is_reported_by_day_key_and_kind(
    api: ApiProcess, person: Person, add_key: AddKey, say: Say, end: End
) -> None:
    named = add_key(person.id, name="=shop")
    end(say(named))
    end(say(named), "refuse", code="broken")
    end(say(person.key))

    found = api.call("GET", "/api/v1/usage", person.key).json()
    answer = api.call("GET", "/api/v1/usage", person.key, params={"format": "csv", "days": 1})
    rows = list(csv.DictReader(io.StringIO(answer.text)))

    assert found["totals"] == {"requests": 3, "characters": 15, "credits": 2}
    usage = {row["key_name"]: (row["requests"], row["succeeded"], row["credits"]) for row in found["usage"]}
    assert usage == {"=shop": (2, 1, 1), "personal": (1, 1, 1)}
    assert answer.headers["Content-Type"].startswith("text/csv")
    assert {(row["key_name"], row["requests"]) for row in rows} == {("'=shop", "2"), ("personal", "1")}


@pytest.mark.parametrize("query", [{"days": 0}, {"days": 367}, {"format": "xml"}])
def test_an_invalid_usage_query_names_the_parameter(
    api: ApiProcess, person: Person, query: dict[str, Any]
) -> None:
    answer = api.call("GET", "/api/v1/usage", person.key, params=query)

    assert (answer.status_code, answer.json()["error"]["details"]["field"]) == (422, next(iter(query)))


def test_scripts_of_other_origins_may_read_what_they_need(api: ApiProcess, api_with: Run) -> None:
    theirs = {"Origin": "https://shop.example"}
    preflight_headers = {
        **theirs,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "x-api-key",
    }
    preflight = api.call("OPTIONS", WHOLE, headers=preflight_headers)
    answer = api.call("GET", "/api/v1/voices", headers=theirs)
    closed = api_with(**CHOSEN)

    assert preflight.status_code in (200, 204)
    assert "x-api-key" in preflight.headers["Access-Control-Allow-Headers"].lower()
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in answer.headers
    exposed = answer.headers["Access-Control-Expose-Headers"].lower()
    assert all(
        name in exposed for name in ("x-credits-used", "x-duration-ms", "x-request-id", "content-length")
    )
    refused = closed.call("GET", "/api/v1/voices", headers=theirs)
    assert "Access-Control-Allow-Origin" not in refused.headers


def test_only_configured_origins_are_allowed(api_with: Run) -> None:
    chosen = api_with(**CHOSEN)
    own, theirs = {"Origin": "https://own.example"}, {"Origin": "https://own.example.evil"}
    preflight, answer = chosen.call("OPTIONS", WHOLE, headers=own), chosen.call("GET", WHOLE, headers=own)
    refused = chosen.call("OPTIONS", WHOLE, headers=theirs)

    assert preflight.headers["Access-Control-Allow-Origin"] == own["Origin"]
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (405, own["Origin"])
    assert (answer.headers["Vary"], "Access-Control-Expose-Headers" in answer.headers) == ("Origin", True)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "BAD_REQUEST")
