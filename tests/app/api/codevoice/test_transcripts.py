"""Transcripts are kept for their owner: by job id, in History, in each format, and nobody else's."""

import re
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tests.app.browser import Browser, words
from tests.app.conftest import End, Person, Say, SignUp
from tests.app.front import Front
from tests.app.hearing import CLIP, Finish, send

pytestmark = pytest.mark.usefixtures("ear")
SRT = "1\n00:00:00,100 --> 00:00:01,200\ngood morning\n\n"


@pytest.fixture
def job(front: Front, person: Person, finish: Finish, beside: Callable[..., Any]) -> str:
    """A transcription of the person's, completed."""
    asked = beside(send, front, person.key, CLIP)
    finish()
    return str(asked.result().json()["job_id"])


def ask(front: Front, key: str | None, job: str, form: str = "json") -> Any:
    return front.call("GET", f"/v1/transcriptions/{job}", key, params={"format": form})


def test_a_transcript_is_had_by_its_job_id_in_each_format(front: Front, person: Person, job: str) -> None:
    found = {form: ask(front, person.key, job, form) for form in ("json", "text", "srt", "vtt")}

    whole = found["json"].json()
    assert (whole["job_id"], whole["text"], whole["engine"]) == (job, "good morning", "ear")
    assert [(one["start"], one["end"], one["text"]) for one in whole["segments"]] == [
        (0.1, 1.2, "good morning")
    ]
    assert whole["kept_until"]
    assert found["text"].text == "good morning\n"
    assert found["srt"].text == SRT
    assert found["vtt"].text.startswith("WEBVTT\n\n00:00:00.100 --> 00:00:01.200\n")
    assert found["vtt"].headers["content-type"].startswith("text/vtt")
    assert {answer.headers["cache-control"] for answer in found.values()} == {"no-store"}
    assert ask(front, person.key, job, "docx").json()["detail"]["error"] == "validation_error"


def test_the_job_says_where_its_transcript_is_and_has_no_audio(
    front: Front, person: Person, job: str
) -> None:
    own = front.call("GET", f"/v1/jobs/{job}", person.key).json()
    (listed,) = front.call("GET", "/v1/jobs", person.key).json()["jobs"]

    assert own["transcript_url"] == listed["transcript_url"] == f"/v1/transcriptions/{job}"
    assert "audio_url" not in own | listed
    assert front.call("GET", own["transcript_url"], person.key).status_code == 200


def test_history_shows_the_transcript_with_its_times_and_no_player(
    browser: Browser, person: Person, job: str
) -> None:
    listed, page = browser.open("/history"), browser.open(f"/history/{job}")
    taken = browser.open(f"/history/{job}/transcript?format=srt")

    assert "/tts/audio/" not in listed.text + page.text
    assert "<audio" not in page.text
    assert f'href="/history/{job}/transcript"' in listed.text
    assert "good morning" in words(page)
    assert "0:00.1 0:01.2 good morning" in words(page)
    assert "1 credit was charged." in words(page)
    assert taken.text == SRT
    assert re.fullmatch(
        rf'attachment; filename="transcript-{job}\.srt"', taken.headers["content-disposition"]
    )


def test_anothers_transcript_is_not_there(
    front: Front, sign_up: SignUp, log_in: Callable[[Person], Browser], job: str
) -> None:
    other = sign_up()

    answers = [ask(front, other.key, job), log_in(other).open(f"/history/{job}/transcript")]

    assert [answer.status_code for answer in answers] == [404, 404]
    assert ask(front, None, job).status_code == 401


def test_one_kept_past_its_time_is_gone_and_the_page_says_so(
    front: Front, browser: Browser, person: Person, job: str, owner: psycopg.Connection[Any]
) -> None:
    owner.execute("UPDATE cv.job SET audio_until = clock_timestamp() WHERE id = %s", [job])

    gone, page = ask(front, person.key, job), browser.open(f"/history/{job}")

    assert (gone.status_code, gone.json()["detail"]["error"]) == (410, "gone")
    assert "kept for its time and is gone" in words(page)
    assert f"/history/{job}/transcript" not in browser.open("/history").text
    assert "transcript_url" not in front.call("GET", f"/v1/jobs/{job}", person.key).json()


def test_one_that_came_to_nothing_or_is_speech_says_so(
    front: Front, person: Person, finish: Finish, beside: Callable[..., Any], say: Say, end: End
) -> None:
    asked = beside(send, front, person.key, CLIP)
    failed = str(finish("no_audio").id)
    asked.result()
    spoken = say(person.key)

    answer = ask(front, person.key, failed)

    assert answer.status_code == 410
    assert "Nothing was charged" in answer.json()["detail"]["message"]
    assert ask(front, person.key, spoken).status_code == 404
    front.call("DELETE", f"/v1/jobs/{spoken}", person.key)
