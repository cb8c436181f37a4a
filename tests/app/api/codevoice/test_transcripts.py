"""Transcripts are kept for their owner alone: by job id, in History, and in each format."""

import re
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tests.app.api_process import ApiProcess
from tests.app.browser import Browser, words
from tests.app.conftest import End, Person, Say, SignUp
from tests.app.transcription_worker import CLIP, Finish, send

pytestmark = pytest.mark.usefixtures("transcription_engine")
SRT = "1\n00:00:00,100 --> 00:00:01,200\ngood morning\n\n"


@pytest.fixture
def job(api: ApiProcess, person: Person, finish: Finish, beside: Callable[..., Any]) -> str:
    """A completed transcription of the person."""
    pending = beside(send, api, person.key, CLIP)
    finish()
    return str(pending.result().json()["job_id"])


def ask(api: ApiProcess, key: str | None, job: str, form: str = "json") -> Any:
    return api.call("GET", f"/v1/transcriptions/{job}", key, params={"format": form})


def test_a_transcript_can_be_fetched_by_its_job_id_in_each_format(
    api: ApiProcess, person: Person, job: str
) -> None:
    found = {form: ask(api, person.key, job, form) for form in ("json", "text", "srt", "vtt")}

    whole = found["json"].json()
    assert (whole["job_id"], whole["text"], whole["engine"]) == (job, "good morning", "transcriber")
    assert [(one["start"], one["end"], one["text"]) for one in whole["segments"]] == [
        (0.1, 1.2, "good morning")
    ]
    assert whole["kept_until"]
    assert found["text"].text == "good morning\n"
    assert found["srt"].text == SRT
    assert found["vtt"].text.startswith("WEBVTT\n\n00:00:00.100 --> 00:00:01.200\n")
    assert found["vtt"].headers["content-type"].startswith("text/vtt")
    assert {answer.headers["cache-control"] for answer in found.values()} == {"no-store"}
    assert ask(api, person.key, job, "docx").json()["detail"]["error"] == "validation_error"


def test_the_job_has_the_url_of_its_transcript_and_no_audio(
    api: ApiProcess, person: Person, job: str
) -> None:
    own = api.call("GET", f"/v1/jobs/{job}", person.key).json()
    (listed,) = api.call("GET", "/v1/jobs", person.key).json()["jobs"]

    assert own["transcript_url"] == listed["transcript_url"] == f"/v1/transcriptions/{job}"
    assert "audio_url" not in own | listed
    assert api.call("GET", own["transcript_url"], person.key).status_code == 200


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


def test_another_accounts_transcript_is_not_found(
    api: ApiProcess, sign_up: SignUp, log_in: Callable[[Person], Browser], job: str
) -> None:
    other = sign_up()

    answers = [ask(api, other.key, job), log_in(other).open(f"/history/{job}/transcript")]

    assert [answer.status_code for answer in answers] == [404, 404]
    assert ask(api, None, job).status_code == 401


def test_an_expired_transcript_is_gone_and_its_page_reports_it(
    api: ApiProcess, browser: Browser, person: Person, job: str, owner: psycopg.Connection[Any]
) -> None:
    owner.execute("UPDATE cv.job SET audio_until = clock_timestamp() WHERE id = %s", [job])

    gone, page = ask(api, person.key, job), browser.open(f"/history/{job}")

    assert (gone.status_code, gone.json()["detail"]["error"]) == (410, "gone")
    assert "kept for its time and is gone" in words(page)
    assert f"/history/{job}/transcript" not in browser.open("/history").text
    assert "transcript_url" not in api.call("GET", f"/v1/jobs/{job}", person.key).json()


def test_a_failed_transcription_and_a_speech_job_have_no_transcript(
    api: ApiProcess, person: Person, finish: Finish, beside: Callable[..., Any], say: Say, end: End
) -> None:
    pending = beside(send, api, person.key, CLIP)
    failed = str(finish("no_audio").id)
    pending.result()
    spoken = say(person.key)

    answer = ask(api, person.key, failed)

    assert answer.status_code == 410
    assert "Nothing was charged" in answer.json()["detail"]["message"]
    assert ask(api, person.key, spoken).status_code == 404
    api.call("DELETE", f"/v1/jobs/{spoken}", person.key)
