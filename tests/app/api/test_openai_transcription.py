"""OpenAI's translations and transcriptions through its SDKs, with an engine that translates."""

from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest
import srt
import webvtt
from openai import OpenAI

from db.postgres import jobs_worker
from db.postgres.jobs_worker import WorkerConnection
from db.types import TranscriptionParams
from tests.app.api_process import ApiProcess
from tests.app.conftest import Person, Run
from tests.app.listeners import credits_of
from tests.app.transcription_worker import CLIP, TRANSCRIBER, TRANSCRIPT, Finish

Translate = Callable[..., Any]


@pytest.fixture(scope="module")
def translating_api(parrot: WorkerConnection, api_with: Run) -> Generator[ApiProcess]:
    """An API server that knew from its start of an engine that translates."""
    _publish(parrot)
    yield api_with(CODEVOICE_PUBLIC_URL="http://translating.example")
    jobs_worker.retire(parrot, engine="transcriber", worker="transcriber1")


def _publish(parrot: WorkerConnection) -> None:
    jobs_worker.publish(parrot, msgspec.structs.replace(TRANSCRIBER, translates=True), worker="transcriber1")


@pytest.fixture
def translate(
    parrot: WorkerConnection, translating_api: ApiProcess, person: Person, finish: Finish
) -> Generator[Translate]:
    """Translates by the SDK, strict about the published shapes; the job's parameters and the response."""
    options: Any = {"max_retries": 0, "timeout": 30, "_strict_response_validation": True}
    client = OpenAI(base_url=f"{translating_api.url}/v1", api_key=person.key, **options)
    with ThreadPoolExecutor(1) as threads, client as sdk:
        create: Any = sdk.audio.translations.create

        def translate(**wanted: Any) -> tuple[TranscriptionParams, Any]:
            _publish(parrot)  # again, as a worker does: after 10 s it counts as unavailable
            answer = threads.submit(create, file=("a.wav", CLIP), model="whisper-1", **wanted)
            params = finish().params
            assert isinstance(params, TranscriptionParams)
            return params, answer.result()

        yield translate


@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")  # named by OpenAI's own SDK
def test_a_translation_is_to_english_in_every_form(
    api: ApiProcess, person: Person, translate: Translate
) -> None:
    job, plain = translate()
    _, verbose = translate(response_format="verbose_json")
    _, text = translate(response_format="text")
    _, captions = translate(response_format="srt")
    prompted, tracks = translate(response_format="vtt", prompt="Bonjour", temperature=0.5)

    assert job.translate
    assert plain.text == verbose.text == text.strip() == TRANSCRIPT.text
    assert (verbose.language, verbose.duration) == ("english", 1.5)
    [segment], [made] = verbose.segments, TRANSCRIPT.segments
    assert (segment.end, segment.tokens, segment.temperature) == (made.end, [40, 41], made.temperature)
    assert (segment.avg_logprob, segment.no_speech_prob) == (made.avg_logprob, made.no_speech_prob)
    assert segment.compression_ratio == made.compression_ratio
    assert (prompted.prompt, prompted.temperature) == ("Bonjour", 0.5)
    assert [cue.content for cue in srt.parse(captions)] == [TRANSCRIPT.text]
    assert [caption.text for caption in webvtt.from_string(tracks)] == [TRANSCRIPT.text]
    assert credits_of(api, person) == (55, 0)
