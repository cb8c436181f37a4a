"""What became of a job's credits: one sentence, by the ledger, the same in the API and on the job's page."""

from typing import Any

import pytest

from app.domain.billing.settlement import Settlement, settled_in_words
from db.types import State
from tests.app.browser import Browser, words
from tests.app.conftest import End, Person, Say, Take
from tests.app.front import Front

RETURNED = "Nothing was charged: the credits held for it were returned."
GIVEN = "charged for the audio that was given to a listener."


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
def test_the_sentence_says_what_the_ledger_has(
    state: State, spent: int, refunded: int, sentence: str
) -> None:
    assert settled_in_words(Settlement(state=state, spent=spent, refunded=refunded)) == sentence


def test_a_refunded_job_says_so_everywhere(
    front: Front, admin: Browser, browser: Browser, person: Person, say: Say, end: End
) -> None:
    job = say(person.key)
    end(job)
    admin.open("/admin")
    refund = {"job": job, "reason": "did not sound well"}
    done = admin.client.post("/api/admin/refunds", json=refund, headers={"X-CSRF-Token": admin.token})
    assert done.status_code == 200, done.text

    said, page = everywhere(front, browser, person, job)

    assert said == ("Nothing was charged in the end: 1 credit was refunded.", False, 0, False, 0)
    assert said[0] in page


def test_a_cancelled_job_says_what_it_cost_as_its_answer_did(
    front: Front, browser: Browser, person: Person, say: Say
) -> None:
    job = say(person.key)

    answer = front.call("DELETE", f"/v1/jobs/{job}", person.key).json()
    said, page = everywhere(front, browser, person, job)

    assert answer == {
        "job_id": job,
        "status": "cancelled",
        "charged": False,
        "credits": 0,
        "settlement": RETURNED,
    }
    assert said == (RETURNED, False, 0, False, 0)
    assert RETURNED in page


def test_a_job_under_way_says_what_it_holds_and_nothing_of_a_charge(
    front: Front, browser: Browser, person: Person, say: Say, take: Take
) -> None:
    job = say(person.key)
    take(job)

    own = front.call("GET", f"/v1/jobs/{job}", person.key).json()

    assert (own["credits"], own["charged"], "settlement" in own) == (1, False, False)
    assert "Credits 1 held" in words(browser.open(f"/history/{job}"))


def test_an_administrator_who_cancels_hears_what_was_charged(
    admin: Browser, person: Person, say: Say
) -> None:
    job = say(person.key)
    admin.open("/admin/jobs")

    answer = admin.send(f"/admin/jobs/{job}/cancel", reason="asked by phone")

    assert f"The job is cancelled. {RETURNED}" in words(answer)


def everywhere(front: Front, browser: Browser, person: Person, job: str) -> tuple[tuple[Any, ...], str]:
    own = front.call("GET", f"/v1/jobs/{job}", person.key).json()
    status = front.call("GET", f"/tts/status/{job}").json()
    said = (own["settlement"], own["charged"], own["credits"], status["charged"], status["credits"])
    return said, words(browser.open(f"/history/{job}"))
