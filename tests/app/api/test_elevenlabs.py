"""ElevenLabs' dialect through its own SDK."""

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from elevenlabs.client import ElevenLabs
from elevenlabs.core.api_error import ApiError
from elevenlabs.errors import UnprocessableEntityError

from tests.app.api_process import ApiProcess
from tests.app.conftest import AUDIO, End, OpenAccount, Person
from tests.app.listeners import the_job


@pytest.fixture
def connection() -> Generator[httpx.Client]:
    with httpx.Client(timeout=30) as client:
        yield client


@pytest.fixture
def sdk(api: ApiProcess, person: Person, connection: httpx.Client) -> ElevenLabs:
    return ElevenLabs(base_url=api.url, api_key=person.key, httpx_client=connection)


@pytest.fixture
def threads() -> Generator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as threads:
        yield threads


@pytest.mark.parametrize("way", ["convert", "stream"])
def test_speech(
    sdk: ElevenLabs, api: ApiProcess, person: Person, end: End, threads: ThreadPoolExecutor, way: str
) -> None:
    say = getattr(sdk.text_to_speech, way)
    wanted = {"text": "hello", "model_id": "eleven_v3", "language_code": "en"}
    pending = threads.submit(lambda: b"".join(say("ryan", **wanted)))
    end(the_job(api, person))

    assert pending.result() == AUDIO
    subscription = sdk.user.subscription.get()
    assert (subscription.character_count, subscription.character_limit) == (1, 60)


def test_prefer_respond_async_returns_a_job(api: ApiProcess, person: Person) -> None:
    answer = api.client.post(
        "/v1/text-to-speech/ryan/stream",
        json={"text": "hello"},
        headers={"xi-api-key": person.key, "Prefer": "respond-async"},
    )

    job = answer.json()["job_id"]
    assert (answer.status_code, answer.headers["Preference-Applied"]) == (202, "respond-async")
    assert the_job(api, person) == job


def test_lists(sdk: ElevenLabs) -> None:
    assert [model.model_id for model in sdk.models.list()] == ["parrot"]
    assert {voice.voice_id for voice in sdk.voices.get_all().voices} > {"ryan", "anna", "zoë", "emma"}
    rachel = sdk.voices.search(search="rachel").voices
    assert [(voice.voice_id, voice.name) for voice in rachel] == [("21m00Tcm4TlvDq8ikWAM", "Rachel")]
    first = sdk.voices.search(page_size=2)
    second = sdk.voices.search(page_size=2, next_page_token=first.next_page_token)
    assert [voice.name for voice in (*first.voices, *second.voices)] == ["Emma", "Peter", "James", "alloy"]
    assert [voice.name for voice in sdk.voices.search(search="anna").voices] == ["Anna"]


@pytest.mark.parametrize(
    "wanted",
    [
        {"output_format": "ulaw_8000"},
        {"output_format": "mp3_44101_128"},
        {"voice_id": "nobody"},
        {"text": ""},
    ],
)
def test_an_invalid_request_is_refused_and_free(sdk: ElevenLabs, wanted: dict[str, Any]) -> None:
    fields: dict[str, Any] = {"voice_id": "ryan", "text": "hello"} | wanted
    with pytest.raises(UnprocessableEntityError) as refused:
        list(sdk.text_to_speech.convert(**fields))

    assert refused.value.status_code == 422
    assert sdk.user.subscription.get().character_count == 0


def test_refused_callers_get_the_status_and_code(
    api: ApiProcess, connection: httpx.Client, open_account: OpenAccount
) -> None:
    def refusal(key: str) -> tuple[int | None, str]:
        client = ElevenLabs(base_url=api.url, api_key=key, httpx_client=connection)
        with pytest.raises(ApiError) as refused:
            list(client.text_to_speech.convert("ryan", text="hello"))
        return refused.value.status_code, refused.value.body["detail"]["status"]

    assert refusal("wrong") == (401, "invalid_api_key")
    assert refusal(open_account(monthly=0)) == (402, "insufficient_credits")
