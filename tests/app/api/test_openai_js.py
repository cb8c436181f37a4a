"""OpenAI's SDK for JavaScript: refusals, and that all tries of a call are charged once."""

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.app.api_process import ApiProcess
from tests.app.conftest import AddKey, End, OpenAccount, Person, Run, Say
from tests.app.listeners import credits_of, jobs_of, the_job, until
from tests.openai_js import OpenaiJs

HELLO: dict[str, Any] = {"model": "tts-1", "voice": "ryan", "input": "hello", "response_format": "wav"}
KEYED = {"headers": {"Idempotency-Key": "js"}}


@pytest.fixture
def threads() -> Generator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as threads:
        yield threads


def test_permanent_and_temporary_refusals_get_the_sdks_error_classes(
    openai_js: OpenaiJs,
    api: ApiProcess,
    api_with: Run,
    person: Person,
    open_account: OpenAccount,
    add_key: AddKey,
    say: Say,
) -> None:
    def refusal(on: ApiProcess, key: str, sent: Any = None) -> tuple[str, int, str]:
        [outcome] = openai_js(on.url, key, ["speech", HELLO, sent])
        return outcome["raised"], outcome["status"], outcome["code"]

    slow = api_with(CODEVOICE_FIRST_AUDIO_WAIT_S="0.5")
    busy = api_with(CODEVOICE_JOBS_WAITING_MAX="1")

    assert refusal(api, open_account(monthly=0)) == ("APIError", 402, "insufficient_credits")
    assert refusal(api, add_key(person.id, scopes=["usage"])) == (
        "PermissionDeniedError",
        403,
        "missing_scope",
    )
    assert refusal(slow, person.key, KEYED) == ("InternalServerError", 503, "service_unavailable")
    assert refusal(api, person.key, KEYED) == ("ConflictError", 409, "request_in_flight")
    say(person.key)
    assert refusal(busy, person.key) == ("RateLimitError", 429, "too_many_waiting")
    assert credits_of(api, person) == (58, 2)


def test_a_temporary_refusal_is_retried_and_charged_once(
    openai_js: OpenaiJs,
    api: ApiProcess,
    api_with: Run,
    person: Person,
    end: End,
    threads: ThreadPoolExecutor,
) -> None:
    slow = api_with(CODEVOICE_FIRST_AUDIO_WAIT_S="0.5")
    refused = refusals(slow)
    waiting = threads.submit(openai_js, slow.url, person.key, ["speech", HELLO, KEYED], retries=3)
    job = the_job(api, person)
    until(lambda: refusals(slow) > refused)
    end(job)

    assert waiting.result()[0]["found"]["type"] == "audio/wav"
    assert (jobs_of(api, person), credits_of(api, person)) == ([], (59, 0))


def refusals(api: ApiProcess) -> int:
    """How many requests this API server answered with 503."""
    return api.log.read_text().replace(" ", "").count('"status":503')
