"""OpenAI's dialect through its own SDK: calls, refusals by the SDK's classes, retries (rows 24, 27, 28)."""

import json
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from queue import Queue
from typing import Any

import httpx
import openai
import psycopg
import pytest
from openai import OpenAI

from app.domain.voices.aliases import read_choices
from db.settings import SettingsError
from tests.app.conftest import AUDIO, AddKey, End, OpenAccount, Person, Run, Say
from tests.app.front import Front
from tests.app.listeners import Mouth, credits_of, jobs_of, the_job, until
from tests.app.listeners import mouth as mouth

Sdk = Callable[..., OpenAI]
HELLO: dict[str, Any] = {"model": "tts-1", "voice": "ryan", "input": "hello", "response_format": "wav"}


@pytest.fixture
def sdk(front: Front, person: Person) -> Generator[Sdk]:
    """Makes clients, as the SDK's users do: an address and a key; without retries, unless it is said. `hear`
    is told the status of each answer.
    """
    made: list[OpenAI] = []

    def client(
        key: str = person.key,
        *,
        on: Front = front,
        retries: int = 0,
        hear: Callable[[int], None] = lambda _: None,
    ) -> OpenAI:
        hooks: Any = {"response": [lambda answer: hear(answer.status_code)]}
        connections = openai.DefaultHttpx2Client(event_hooks=hooks)
        options: dict[str, Any] = {"max_retries": retries, "timeout": 30, "http_client": connections}
        made.append(OpenAI(base_url=f"{on.url}/v1", api_key=key, **options))
        return made[-1]

    yield client
    for each in made:
        each.close()


@pytest.fixture
def threads() -> Generator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as threads:
        yield threads


def test_the_audio_comes_as_it_is_made(sdk: Sdk, front: Front, person: Person, mouth: Mouth) -> None:
    speech = sdk().audio.speech.with_streaming_response

    def listen() -> list[bytes]:
        with speech.create(**HELLO) as answer:
            sounds = answer.iter_bytes()
            first = next(sounds)
            mouth.say(job, b"world")
            mouth.stop(job, "complete", audio_bytes=10)
            mouth.complete(job, b"helloworld")
            return [first, *sounds]

    with ThreadPoolExecutor(1) as threads:
        heard = threads.submit(listen)
        job = the_job(front, person)
        mouth.say(job, b"hello")

        assert heard.result() == [b"hello", b"world"]
    assert credits_of(front, person) == (59, 0)


def test_the_same_as_events(
    sdk: Sdk, front: Front, person: Person, mouth: Mouth, threads: ThreadPoolExecutor
) -> None:
    def listen() -> list[str]:
        with sdk().audio.speech.with_streaming_response.create(**HELLO, stream_format="sse") as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            return [line for line in answer.iter_lines() if line]

    heard = threads.submit(listen)
    job = the_job(front, person)
    mouth.say(job, b"hello")
    mouth.stop(job, "complete", audio_bytes=5)
    mouth.complete(job, b"hello")

    assert heard.result() == [
        'data: {"type":"speech.audio.delta","audio":"aGVsbG8="}',
        'data: {"type":"speech.audio.done","usage":{"input_tokens":0,"output_tokens":0,"total_tokens":0}}',
    ]


def test_events_that_cannot_go_on_end_in_an_error_and_cost_nothing(
    front: Front, person: Person, mouth: Mouth, threads: ThreadPoolExecutor
) -> None:
    lines: list[str] = []

    def listen() -> None:
        body, headers = HELLO | {"stream_format": "sse"}, {"X-API-Key": person.key}
        with front.client.stream("POST", "/v1/audio/speech", json=body, headers=headers) as answer:
            for line in answer.iter_lines():
                lines.append(line)  # one by one: the test sees them

    heard = threads.submit(listen)
    job = the_job(front, person)
    mouth.say(job, b"hello")
    until(lambda: lines)
    mouth.stop(job, "again")
    mouth.again(job)

    with pytest.raises(httpx.RemoteProtocolError):
        heard.result()
    event, told = [line for line in lines if line][-2:]
    assert (event, json.loads(told.removeprefix("data: "))["error"]["code"]) == (
        "event: error",
        "speech_failed",
    )
    assert until(lambda: credits_of(front, person) == (60, 0))


def test_a_key_charges_once_and_gets_the_same_audio_again(
    sdk: Sdk, front: Front, person: Person, end: End, threads: ThreadPoolExecutor
) -> None:
    keyed: dict[str, Any] = {"extra_headers": {"Idempotency-Key": "one"}}
    first = threads.submit(sdk().audio.speech.create, **HELLO, **keyed)
    job = the_job(front, person)
    with pytest.raises(openai.ConflictError) as conflict:
        sdk().audio.speech.create(**HELLO, **keyed)
    retried = threads.submit(sdk(retries=2).audio.speech.create, **HELLO, **keyed)
    end(job)
    again = sdk().audio.speech.create(**HELLO, **keyed)

    assert conflict.value.code == "request_in_flight"
    assert int(conflict.value.response.headers["Retry-After"]) >= 1
    assert first.result().content == retried.result().content == again.content == AUDIO
    assert again.response.headers["Idempotent-Replayed"] == "true"
    assert credits_of(front, person) == (59, 0)
    with pytest.raises(openai.UnprocessableEntityError):
        sdk().audio.speech.create(**HELLO | {"input": "another"}, **keyed)


@pytest.mark.parametrize(
    ("fields", "kind", "code", "param"),
    [
        ({"voice": "nobody"}, openai.UnprocessableEntityError, "unknown_voice", "voice"),
        ({"voice": {"id": "nobody"}}, openai.UnprocessableEntityError, "unknown_voice", "voice"),
        ({"input": " "}, openai.UnprocessableEntityError, "missing_text", "input"),
        ({"input": "a" * 2001}, openai.APIStatusError, "text_too_long", "input"),
        ({"response_format": "midi"}, openai.UnprocessableEntityError, "unknown_format", "response_format"),
        ({"speed": 0.25}, openai.UnprocessableEntityError, "validation_error", "speed"),
        ({"model": "nothing-1"}, openai.NotFoundError, "model_not_found", "model"),
        ({"stream_format": "tape"}, openai.UnprocessableEntityError, "validation_error", "stream_format"),
    ],
)
def test_what_is_wrong_is_said_in_openais_words_and_costs_nothing(
    sdk: Sdk, front: Front, person: Person, fields: dict[str, Any], kind: type, code: str, param: str
) -> None:
    with pytest.raises(openai.APIStatusError) as refused:
        sdk().audio.speech.create(**HELLO | fields)

    error = refused.value
    assert (type(error), error.code, error.param) == (kind, code, param)
    assert (error.type, error.request_id) == (
        "invalid_request_error",
        error.response.headers["x-request-id"],
    )
    assert credits_of(front, person) == (60, 0)


def test_who_may_not_is_told_by_the_sdks_classes(
    sdk: Sdk,
    front: Front,
    person: Person,
    open_account: OpenAccount,
    add_key: AddKey,
    owner: psycopg.Connection[Any],
) -> None:
    def refusal(key: str) -> tuple[type, int, str | None]:
        with pytest.raises(openai.APIStatusError) as refused:
            sdk(key, retries=2).audio.speech.create(**HELLO)
        assert refused.value.response.request.headers["x-stainless-retry-count"] == "0"
        return type(refused.value), refused.value.status_code, refused.value.code

    assert refusal("wrong") == (openai.AuthenticationError, 401, "invalid_token")
    assert refusal(add_key(person.id, scopes=["usage"])) == (
        openai.PermissionDeniedError,
        403,
        "missing_scope",
    )
    assert refusal(open_account(monthly=0)) == (openai.APIStatusError, 402, "insufficient_credits")
    owner.execute("UPDATE cv.account SET suspended = true WHERE id = %s", [person.id])
    assert until(lambda: refusal(person.key)[2]) == "account_suspended"


def test_limits_and_faults_are_said_with_when_to_come_again(
    sdk: Sdk, front_with: Run, person: Person, say: Say
) -> None:
    busy = front_with(CODEVOICE_JOBS_WAITING_MAX="1")
    slow = front_with(CODEVOICE_FIRST_AUDIO_WAIT_S="0.1")
    with pytest.raises(openai.InternalServerError) as late:
        sdk(on=slow).audio.speech.create(**HELLO)
    say(person.key)
    with pytest.raises(openai.RateLimitError) as limited:
        sdk(on=busy).audio.speech.create(**HELLO)

    assert (late.value.status_code, late.value.code) == (503, "service_unavailable")
    assert (limited.value.status_code, limited.value.code) == (429, "too_many_waiting")
    for error in (late.value, limited.value):
        assert int(error.response.headers["Retry-After"]) >= 1


def test_a_refusal_that_passes_is_tried_again_by_the_sdk_and_charged_once(
    sdk: Sdk, front: Front, front_with: Run, person: Person, end: End, threads: ThreadPoolExecutor
) -> None:
    slow = front_with(CODEVOICE_FIRST_AUDIO_WAIT_S="0.5")
    statuses: Queue[int] = Queue()
    client = sdk(on=slow, retries=2, hear=statuses.put)
    keyed = {"Idempotency-Key": "slow"}
    waiting = threads.submit(client.audio.speech.create, **HELLO, extra_headers=keyed)
    job = the_job(front, person)
    first = statuses.get(timeout=10)
    end(job)

    assert waiting.result().content == AUDIO
    assert first == 503
    assert (jobs_of(front, person), credits_of(front, person)) == ([], (59, 0))


def test_who_prefers_a_job_gets_one(sdk: Sdk, front: Front, person: Person, end: End) -> None:
    create = sdk().audio.speech.with_raw_response.create
    answer = create(**HELLO, extra_headers={"Prefer": "respond-async", "Idempotency-Key": "later"})
    again = create(**HELLO, extra_headers={"Prefer": "respond-async", "Idempotency-Key": "later"})
    job = answer.http_response.json()
    end(job["job_id"])

    assert (answer.status_code, answer.headers["Location"]) == (202, f"/v1/jobs/{job['job_id']}")
    assert (again.http_response.json(), again.headers["Idempotent-Replayed"]) == (job, "true")
    assert front.call("GET", job["status_url"]).json()["status"] == "completed"
    assert front.call("GET", job["audio_url"]).content == AUDIO
    assert credits_of(front, person) == (59, 0)


def test_openais_voices_stand_for_ours(
    sdk: Sdk, front: Front, person: Person, front_with: Run, threads: ThreadPoolExecutor, mouth: Mouth
) -> None:
    chosen = front_with(CODEVOICE_VOICE_ALIASES="nova=Anna, gail=ryan")

    def spoken(voice: str, on: Front = front) -> str:
        wanted: dict[str, Any] = HELLO | {"voice": voice}
        answer = threads.submit(lambda: sdk(on=on).audio.speech.create(**wanted))
        job = the_job(front, person)
        mouth.say(job, b"hello")
        mouth.stop(job, "complete", audio_bytes=5)
        mouth.complete(job, b"hello")
        answer.result()
        told = front.call("GET", f"/v1/jobs/{job}", person.key).json()
        assert (told["voice"], told["voice_reason"]) == (voice, "name")
        return str(told["voice_used"])

    voices = [spoken("onyx"), spoken("nova"), spoken("alloy"), spoken("nova", chosen), spoken("GAIL", chosen)]
    assert voices == ["ryan", "zoë", "ryan", "anna", "ryan"]


@pytest.mark.parametrize("text", ["alloy", "=ryan", "alloy="])
def test_aliases_nobody_can_read_are_refused_at_the_start(text: str) -> None:
    with pytest.raises(SettingsError, match="CODEVOICE_VOICE_ALIASES"):
        read_choices(text)


def test_models_are_listed_and_retrieved(sdk: Sdk) -> None:
    listed = [model.id for model in sdk().models.list()]

    assert {"parrot", "tts-1", "gpt-4o-mini-tts"} <= set(listed)
    assert sdk().models.retrieve("parrot").object == "model"
    with pytest.raises(openai.NotFoundError) as unknown:
        sdk().models.retrieve("nothing-1")
    assert unknown.value.code == "model_not_found"
