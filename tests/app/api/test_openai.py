"""OpenAI's dialect through its own SDK: calls, refusals by the SDK's classes, and retries."""

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
from tests.app.api_process import ApiProcess
from tests.app.conftest import AUDIO, AddKey, End, OpenAccount, Person, Run, Say
from tests.app.listeners import FakeWorker, credits_of, jobs_of, the_job, until
from tests.app.listeners import fake_worker as fake_worker

Sdk = Callable[..., OpenAI]
HELLO: dict[str, Any] = {"model": "tts-1", "voice": "ryan", "input": "hello", "response_format": "wav"}


@pytest.fixture
def sdk(api: ApiProcess, person: Person) -> Generator[Sdk]:
    """Creates clients as the SDK's users do, from an address and a key; without retries by default.

    `on_status` receives the status of each response.
    """
    made: list[OpenAI] = []

    def client(
        key: str = person.key,
        *,
        on: ApiProcess = api,
        retries: int = 0,
        on_status: Callable[[int], None] = lambda _: None,
    ) -> OpenAI:
        hooks: Any = {"response": [lambda answer: on_status(answer.status_code)]}
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


def test_audio_is_streamed_as_it_is_made(
    sdk: Sdk, api: ApiProcess, person: Person, fake_worker: FakeWorker
) -> None:
    speech = sdk().audio.speech.with_streaming_response

    def listen() -> list[bytes]:
        with speech.create(**HELLO) as answer:
            sounds = answer.iter_bytes()
            first = next(sounds)
            fake_worker.say(job, b"world")
            fake_worker.stop(job, "complete", audio_bytes=10)
            fake_worker.complete(job, b"helloworld")
            return [first, *sounds]

    with ThreadPoolExecutor(1) as threads:
        pending = threads.submit(listen)
        job = the_job(api, person)
        fake_worker.say(job, b"hello")

        assert pending.result() == [b"hello", b"world"]
    assert credits_of(api, person) == (59, 0)


def test_audio_events_are_streamed_as_it_is_made(
    sdk: Sdk, api: ApiProcess, person: Person, fake_worker: FakeWorker, threads: ThreadPoolExecutor
) -> None:
    def listen() -> list[str]:
        with sdk().audio.speech.with_streaming_response.create(**HELLO, stream_format="sse") as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            return [line for line in answer.iter_lines() if line]

    pending = threads.submit(listen)
    job = the_job(api, person)
    fake_worker.say(job, b"hello")
    fake_worker.stop(job, "complete", audio_bytes=5)
    fake_worker.complete(job, b"hello")

    assert pending.result() == [
        'data: {"type":"speech.audio.delta","audio":"aGVsbG8="}',
        'data: {"type":"speech.audio.done","usage":{"input_tokens":0,"output_tokens":0,"total_tokens":0}}',
    ]


def test_events_of_a_failed_job_end_in_an_error_and_cost_nothing(
    api: ApiProcess, person: Person, fake_worker: FakeWorker, threads: ThreadPoolExecutor
) -> None:
    lines: list[str] = []

    def listen() -> None:
        body, headers = HELLO | {"stream_format": "sse"}, {"X-API-Key": person.key}
        with api.client.stream("POST", "/v1/audio/speech", json=body, headers=headers) as answer:
            for line in answer.iter_lines():
                lines.append(line)  # one at a time: the test sees each

    pending = threads.submit(listen)
    job = the_job(api, person)
    fake_worker.say(job, b"hello")
    until(lambda: lines)
    fake_worker.stop(job, "again")
    fake_worker.again(job)

    with pytest.raises(httpx.RemoteProtocolError):
        pending.result()
    event, data = [line for line in lines if line][-2:]
    assert (event, json.loads(data.removeprefix("data: "))["error"]["code"]) == (
        "event: error",
        "speech_failed",
    )
    assert until(lambda: credits_of(api, person) == (60, 0))


def test_an_idempotency_key_charges_once_and_returns_the_same_audio(
    sdk: Sdk, api: ApiProcess, person: Person, end: End, threads: ThreadPoolExecutor
) -> None:
    keyed: dict[str, Any] = {"extra_headers": {"Idempotency-Key": "one"}}
    first = threads.submit(sdk().audio.speech.create, **HELLO, **keyed)
    job = the_job(api, person)
    with pytest.raises(openai.ConflictError) as conflict:
        sdk().audio.speech.create(**HELLO, **keyed)
    retried = threads.submit(sdk(retries=2).audio.speech.create, **HELLO, **keyed)
    end(job)
    again = sdk().audio.speech.create(**HELLO, **keyed)

    assert conflict.value.code == "request_in_flight"
    assert int(conflict.value.response.headers["Retry-After"]) >= 1
    assert first.result().content == retried.result().content == again.content == AUDIO
    assert again.response.headers["Idempotent-Replayed"] == "true"
    assert credits_of(api, person) == (59, 0)
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
def test_an_invalid_request_is_an_openai_error_and_costs_nothing(
    sdk: Sdk, api: ApiProcess, person: Person, fields: dict[str, Any], kind: type, code: str, param: str
) -> None:
    with pytest.raises(openai.APIStatusError) as refused:
        sdk().audio.speech.create(**HELLO | fields)

    error = refused.value
    assert (type(error), error.code, error.param) == (kind, code, param)
    assert (error.type, error.request_id) == (
        "invalid_request_error",
        error.response.headers["x-request-id"],
    )
    assert credits_of(api, person) == (60, 0)


def test_refused_callers_get_the_sdks_error_classes(
    sdk: Sdk,
    api: ApiProcess,
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


def test_limits_and_faults_have_retry_after(sdk: Sdk, api_with: Run, person: Person, say: Say) -> None:
    busy = api_with(CODEVOICE_JOBS_WAITING_MAX="1")
    slow = api_with(CODEVOICE_FIRST_AUDIO_WAIT_S="0.1")
    with pytest.raises(openai.InternalServerError) as late:
        sdk(on=slow).audio.speech.create(**HELLO)
    say(person.key)
    with pytest.raises(openai.RateLimitError) as limited:
        sdk(on=busy).audio.speech.create(**HELLO)

    assert (late.value.status_code, late.value.code) == (503, "service_unavailable")
    assert (limited.value.status_code, limited.value.code) == (429, "too_many_waiting")
    for error in (late.value, limited.value):
        assert int(error.response.headers["Retry-After"]) >= 1


def test_the_sdk_retries_a_temporary_refusal_and_is_charged_once(
    sdk: Sdk, api: ApiProcess, api_with: Run, person: Person, end: End, threads: ThreadPoolExecutor
) -> None:
    slow = api_with(CODEVOICE_FIRST_AUDIO_WAIT_S="0.5")
    statuses: Queue[int] = Queue()
    client = sdk(on=slow, retries=2, on_status=statuses.put)
    keyed = {"Idempotency-Key": "slow"}
    waiting = threads.submit(client.audio.speech.create, **HELLO, extra_headers=keyed)
    job = the_job(api, person)
    first = statuses.get(timeout=10)
    end(job)

    assert waiting.result().content == AUDIO
    assert first == 503
    assert (jobs_of(api, person), credits_of(api, person)) == ([], (59, 0))


def test_prefer_respond_async_returns_a_job(sdk: Sdk, api: ApiProcess, person: Person, end: End) -> None:
    create = sdk().audio.speech.with_raw_response.create
    answer = create(**HELLO, extra_headers={"Prefer": "respond-async", "Idempotency-Key": "later"})
    again = create(**HELLO, extra_headers={"Prefer": "respond-async", "Idempotency-Key": "later"})
    job = answer.http_response.json()
    end(job["job_id"])

    assert (answer.status_code, answer.headers["Location"]) == (202, f"/v1/jobs/{job['job_id']}")
    assert (again.http_response.json(), again.headers["Idempotent-Replayed"]) == (job, "true")
    assert api.call("GET", job["status_url"]).json()["status"] == "completed"
    assert api.call("GET", job["audio_url"]).content == AUDIO
    assert credits_of(api, person) == (59, 0)


def test_openais_voice_names_resolve_to_our_voices(
    sdk: Sdk,
    api: ApiProcess,
    person: Person,
    api_with: Run,
    threads: ThreadPoolExecutor,
    fake_worker: FakeWorker,
) -> None:
    chosen = api_with(CODEVOICE_VOICE_ALIASES="nova=Anna, gail=ryan")

    def spoken(voice: str, on: ApiProcess = api) -> str:
        wanted: dict[str, Any] = HELLO | {"voice": voice}
        answer = threads.submit(lambda: sdk(on=on).audio.speech.create(**wanted))
        job = the_job(api, person)
        fake_worker.say(job, b"hello")
        fake_worker.stop(job, "complete", audio_bytes=5)
        fake_worker.complete(job, b"hello")
        answer.result()
        status = api.call("GET", f"/v1/jobs/{job}", person.key).json()
        assert (status["voice"], status["voice_reason"]) == (voice, "name")
        return str(status["voice_used"])

    voices = [spoken("onyx"), spoken("nova"), spoken("alloy"), spoken("nova", chosen), spoken("GAIL", chosen)]
    assert voices == ["ryan", "zoë", "ryan", "anna", "ryan"]


@pytest.mark.parametrize("text", ["alloy", "=ryan", "alloy="])
def test_malformed_voice_aliases_are_refused_at_start(text: str) -> None:
    with pytest.raises(SettingsError, match="CODEVOICE_VOICE_ALIASES"):
        read_choices(text)


def test_models_are_listed_and_retrieved(sdk: Sdk) -> None:
    listed = [model.id for model in sdk().models.list()]

    assert {"parrot", "tts-1", "gpt-4o-mini-tts"} <= set(listed)
    assert sdk().models.retrieve("parrot").object == "model"
    with pytest.raises(openai.NotFoundError) as unknown:
        sdk().models.retrieve("nothing-1")
    assert unknown.value.code == "model_not_found"
