"""The settlement of a job: one sentence, from the ledger, the same in the API and on the job's page."""

from typing import Any

import pytest
from msgspec import Struct

from app.domain.billing.settlement import settled_in_words
from db.types import State
from tests.app.api_process import ApiProcess
from tests.app.browser import Browser, words
from tests.app.conftest import End, Person, Say, Take

RETURNED = "Nothing was charged: the credits held for it were returned."
GIVEN = "charged for the audio that was given to a listener."


class Settlement(Struct, frozen=True, kw_only=True):
    """The settlement alone, of a job of which nothing else is known."""

    state: State
    spent: int
    refunded: int


@pytest.mark.parametrize(
    ("state", "spent", "refunded", "sentence"),
    [
        ("queued", 0, 0, ""),
        ("processing", 0, 0, ""),
        ("completed", 1_000_000, 0, "1 credit was charged."),
        ("completed", 606_500, 0, "0.6065 credits were charged."),
        ("completed", 0, 0, "Nothing was charged."),
        ("completed", 0, 2_000_000, "Nothing was charged in the end: 2 credits were refunded."),
        ("cancelled", 1_000_000, 0, f"1 credit was {GIVEN}"),
        ("failed", 2_500_000, 0, f"2.5 credits were {GIVEN}"),
        ("expired", 0, 0, RETURNED),
        ("cancelled", 0, 0, RETURNED),
        ("failed", 0, 1_000_000, "Nothing was charged in the end: 1 credit was refunded."),
    ],
)
def test_the_settlement_sentence_agrees_with_the_ledger(
    state: State, spent: int, refunded: int, sentence: str
) -> None:
    assert settled_in_words(Settlement(state=state, spent=spent, refunded=refunded)) == sentence


def test_a_refunded_job_says_so_everywhere(
    api: ApiProcess, admin: Browser, browser: Browser, person: Person, say: Say, end: End
) -> None:
    job = say(person.key)
    end(job)
    admin.open("/admin")
    refund = {"job": job, "reason": "did not sound well"}
    done = admin.client.post("/api/admin/refunds", json=refund, headers={"X-CSRF-Token": admin.token})
    assert done.status_code == 200, done.text

    settlement, page = everywhere(api, browser, person, job)

    assert settlement == ("Nothing was charged in the end: 1 credit was refunded.", False, 0, False, 0)
    assert settlement[0] in page


def test_a_cancelled_job_reports_the_same_cost_as_its_cancellation_did(
    api: ApiProcess, browser: Browser, person: Person, say: Say
) -> None:
    job = say(person.key)

    answer = api.call("DELETE", f"/v1/jobs/{job}", person.key).json()
    settlement, page = everywhere(api, browser, person, job)

    assert answer == {
        "job_id": job,
        "status": "cancelled",
        "charged": False,
        "credits": 0,
        "settlement": RETURNED,
    }
    assert settlement == (RETURNED, False, 0, False, 0)
    assert RETURNED in page


def test_a_running_job_reports_its_hold_and_no_charge(
    api: ApiProcess, browser: Browser, person: Person, say: Say, take: Take
) -> None:
    job = say(person.key)
    take(job)

    own = api.call("GET", f"/v1/jobs/{job}", person.key).json()

    assert (own["credits"], own["charged"], "settlement" in own) == (1, False, False)
    assert "Credits 1 held" in words(browser.open(f"/history/{job}"))


def test_an_administrators_cancellation_reports_the_charge(admin: Browser, person: Person, say: Say) -> None:
    job = say(person.key)
    admin.open("/admin/jobs")

    answer = admin.send(f"/admin/jobs/{job}/cancel", reason="asked by phone")

    assert f"The job is cancelled. {RETURNED}" in words(answer)


def everywhere(api: ApiProcess, browser: Browser, person: Person, job: str) -> tuple[tuple[Any, ...], str]:
    own = api.call("GET", f"/v1/jobs/{job}", person.key).json()
    status = api.call("GET", f"/tts/status/{job}").json()
    settlement = (own["settlement"], own["charged"], own["credits"], status["charged"], status["credits"])
    return settlement, words(browser.open(f"/history/{job}"))
