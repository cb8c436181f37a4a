"""OpenAI's SDK for JavaScript: who may not, what passes, and that all tries of a call are charged once."""

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.app.conftest import AddKey, End, OpenAccount, Person, Run, Say
from tests.app.front import Front
from tests.app.listeners import credits_of, jobs_of, the_job, until
from tests.openai_js import OpenaiJs

HELLO: dict[str, Any] = {"model": "tts-1", "voice": "ryan", "input": "hello", "response_format": "wav"}
KEYED = {"headers": {"Idempotency-Key": "js"}}


@pytest.fixture
def threads() -> Generator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as threads:
        yield threads


def test_who_may_not_and_what_passes(
    openai_js: OpenaiJs,
    front: Front,
    front_with: Run,
    person: Person,
    open_account: OpenAccount,
    add_key: AddKey,
    say: Say,
) -> None:
    def told(on: Front, key: str, sent: Any = None) -> tuple[str, int, str]:
        [outcome] = openai_js(on.url, key, ["speech", HELLO, sent])
        return outcome["raised"], outcome["status"], outcome["code"]

    slow = front_with(CODEVOICE_FIRST_AUDIO_WAIT_S="0.5")
    busy = front_with(CODEVOICE_JOBS_WAITING_MAX="1")

    assert told(front, open_account(monthly=0)) == ("APIError", 402, "insufficient_credits")
    assert told(front, add_key(person.id, scopes=["usage"])) == (
        "PermissionDeniedError",
        403,
        "missing_scope",
    )
    assert told(slow, person.key, KEYED) == ("InternalServerError", 503, "service_unavailable")
    assert told(front, person.key, KEYED) == ("ConflictError", 409, "request_in_flight")
    say(person.key)
    assert told(busy, person.key) == ("RateLimitError", 429, "too_many_waiting")
    assert credits_of(front, person) == (58, 2)


def test_a_refusal_that_passes_is_tried_again_and_charged_once(
    openai_js: OpenaiJs,
    front: Front,
    front_with: Run,
    person: Person,
    end: End,
    threads: ThreadPoolExecutor,
) -> None:
    slow = front_with(CODEVOICE_FIRST_AUDIO_WAIT_S="0.5")
    refused = refusals(slow)
    waiting = threads.submit(openai_js, slow.url, person.key, ["speech", HELLO, KEYED], retries=3)
    job = the_job(front, person)
    until(lambda: refusals(slow) > refused)
    end(job)

    assert waiting.result()[0]["found"]["type"] == "audio/wav"
    assert (jobs_of(front, person), credits_of(front, person)) == ([], (59, 0))


def refusals(front: Front) -> int:
    """How many requests this front door answered with 503."""
    return front.log.read_text().replace(" ", "").count('"status":503')
