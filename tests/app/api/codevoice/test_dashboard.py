"""`GET /api/user/dashboard`, and an account's credits in YourVoic's shape."""

import time
import uuid
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.app.api_process import ApiProcess
from tests.app.conftest import AUDIO, End, OpenAccount, Person, Say, SignUp
from tests.clock import unhurried

TRANSCRIPT = {"transcript": "hello"}


def dashboard(api: ApiProcess, key: str) -> dict[str, Any]:
    return api.call("GET", "/api/user/dashboard", key).json()


def add_jobs(owner: psycopg.Connection[Any], account: str, days_ago: int, states: list[str]) -> None:
    """Finished jobs of the past, with the credit they moved."""
    for state in states:
        identifier = uuid.uuid4()
        owner.execute(
            "SELECT FROM cv.submit(ARRAY[%s], ARRAY[%s]::uuid[], ARRAY['speech'], ARRAY['nobody'],"
            " ARRAY['ryan'], ARRAY['{}'], ARRAY[1000000]::bigint[], ARRAY[5], ARRAY[0]::bigint[],"
            " ARRAY[NULL], ARRAY[NULL]::bytea[], '1 hour', 1000)",
            [identifier, account],
        )
        if state != "queued":
            owner.execute("SELECT cv.cancel(%s, %s, 'test')", [identifier, account])
        at = datetime.now(UTC) - timedelta(days=days_ago)
        owner.execute("UPDATE cv.job SET created_at = %s, state = %s WHERE id = %s", [at, state, identifier])


def test_a_new_account_has_thirty_empty_days(api: ApiProcess, person: Person) -> None:
    found = dashboard(api, person.key)

    today = datetime.now(UTC).date()
    days = [(today - timedelta(days=n)).isoformat() for n in range(29, -1, -1)]
    me = api.call("GET", "/api/auth/me", person.key).json()
    assert found == {
        **me,
        "usage": {
            "requests": 0,
            "succeeded": 0,
            "failed": 0,
            "success_rate": None,
            "by_day": [{"date": day, "requests": 0, "credits": 0} for day in days],
            "by_kind": [],
        },
        "recent": [],
    }


def test_usage_is_counted_by_day_and_kind(
    api: ApiProcess, person: Person, owner: psycopg.Connection[Any], say: Say, end: End
) -> None:
    end(say(person.key))
    end(say(person.key), "refuse")
    say(person.key)
    api.call("POST", "/api/stt/live/complete", person.key, json=TRANSCRIPT)
    add_jobs(owner, person.id, 29, ["failed", "expired", "cancelled"])
    add_jobs(owner, person.id, 31, ["failed"])

    usage = dashboard(api, person.key)["usage"]

    by_day = usage.pop("by_day")
    assert usage == {
        "requests": 7,
        "succeeded": 2,
        "failed": 3,
        "success_rate": 0.4,
        "by_kind": [
            {"kind": "live_transcript", "requests": 1, "credits": 1},
            {"kind": "speech", "requests": 6, "credits": 1},
        ],
    }
    assert len(by_day) == 30
    assert [(day["requests"], day["credits"]) for day in (by_day[0], by_day[-1])] == [(3, 0), (4, 2)]
    assert sum(day["requests"] for day in by_day) == 7


def test_the_last_jobs_are_listed_with_their_audio(
    api: ApiProcess, person: Person, say: Say, end: End
) -> None:
    done, gone, failed, waiting = (say(person.key) for _ in range(4))
    end(done)
    end(gone, keep_s=0)
    end(failed, "refuse")

    recent = dashboard(api, person.key)["recent"]

    url, created_at = recent[3]["audio_url"], recent[3]["created_at"]
    assert recent[3] == {
        "job_id": done,
        "kind": "speech",
        "voice": "ryan",
        "status": "completed",
        "characters": 5,
        "duration_ms": 1234,
        "credits": 1,
        "created_at": created_at,
        "audio_url": url,
    }
    assert api.call("GET", url).content == AUDIO
    assert [(job["job_id"], job["status"], job["credits"], "audio_url" in job) for job in recent[:3]] == [
        (waiting, "queued", 1, False),
        (failed, "failed", 0, False),
        (gone, "completed", 1, False),
    ]


def test_the_dashboard_excludes_other_accounts_jobs(api: ApiProcess, sign_up: SignUp, say: Say) -> None:
    say(sign_up().key)

    assert dashboard(api, sign_up().key)["recent"] == []


@pytest.mark.parametrize("path", ["/api/v1/credits", "/api/v1/user/credits"])
def test_credits_in_yourvoics_shape(api: ApiProcess, person: Person, say: Say, end: End, path: str) -> None:
    end(say(person.key))
    say(person.key)

    answer = api.call("GET", path, person.key)

    resets_at = api.call("GET", "/api/auth/me", person.key).json()["credits"]["free"]["resets_at"]
    assert answer.json() == {
        "success": True,
        "credits": {"balance": 58, "used_this_month": 1, "plan": "free", "renewal_date": resets_at[:10]},
    }


def test_last_months_jobs_do_not_count_for_this_month(
    api: ApiProcess, person: Person, owner: psycopg.Connection[Any], say: Say, end: End
) -> None:
    job = say(person.key)
    end(job)
    owner.execute("UPDATE cv.job SET created_at = created_at - interval '32 days' WHERE id = %s", [job])

    credits = api.call("GET", "/api/v1/credits", person.key).json()["credits"]

    assert (credits["balance"], credits["used_this_month"]) == (59, 0)


def test_an_unlimited_accounts_balance_has_no_number(api: ApiProcess, open_account: OpenAccount) -> None:
    credits = api.call("GET", "/api/v1/credits", open_account("api_only", unlimited=True)).json()["credits"]

    assert credits["balance"] is None


def test_without_a_key_the_error_has_yourvoics_shape(api: ApiProcess) -> None:
    answer = api.call("GET", "/api/v1/credits")

    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "MISSING_API_KEY")


@pytest.fixture
def busy(owner: psycopg.Connection[Any], person: Person) -> Generator[Person]:
    """A person with a hundred thousand jobs that moved no credit, so that the ledger stays consistent."""
    owner.execute(
        "INSERT INTO cv.job (id, owner, kind, engine, lane, params, characters, hold, price, remaining,"
        " state, fair_at, deadline, created_at) SELECT gen_random_uuid(), %s, 'speech', 'nobody', 'ryan',"
        " '{}', 5, 0, 0, 0, 'completed', now(), now(), now() - n * interval '25 seconds'"
        " FROM generate_series(1, 100000) n",
        [person.id],
    )
    owner.execute("VACUUM ANALYZE cv.job")
    yield person
    owner.execute("DELETE FROM cv.job WHERE owner = %s", [person.id])


def test_the_dashboard_of_an_account_with_a_hundred_thousand_jobs_is_fast(
    api: ApiProcess, busy: Person
) -> None:
    dashboard(api, busy.key)

    began = time.monotonic()
    found = dashboard(api, busy.key)
    taken_s = time.monotonic() - began

    assert found["usage"]["requests"] > 90_000
    assert len(found["recent"]) == 20
    assert taken_s < unhurried(1)
