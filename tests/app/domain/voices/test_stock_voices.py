"""Voice aliases over HTTP: engines come and go; every response names the voice that speaks."""

import re
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import psycopg
import pytest

from db.postgres import jobs_worker
from db.postgres.jobs_worker import WorkerConnection
from db.types import Capabilities, Finished
from tests.app.api_process import ApiProcess
from tests.app.browser import Browser, words
from tests.app.conftest import End, Person
from tests.app.engines import ESPEAK, HIBARI, KOKORO
from tests.app.listeners import FakeWorker, Listen, the_job, until
from tests.app.listeners import fake_worker as fake_worker
from tests.app.listeners import listen as listen


class Engines:
    """Engines without workers; those a test marks as available stay so, however long it takes."""

    def __init__(self, api: ApiProcess, worker: WorkerConnection) -> None:
        self._api = api
        self._worker = worker
        self._present: dict[str, Capabilities] = {}

    def come(self, *engines: Capabilities) -> None:
        self._present |= {engine.engine: engine for engine in engines}
        self.beat()

    def go(self, *engines: Capabilities) -> None:
        for engine in engines:
            del self._present[engine.engine]
            jobs_worker.retire(self._worker, engine=engine.engine, worker="names")

    def beat(self) -> None:
        for engine in self._present.values():
            jobs_worker.publish(self._worker, engine, worker="names")

    def speak(self, name: str, *, by: str) -> None:
        """Returns once the alias resolves to that voice."""

        def has_come_about() -> bool:
            self.beat()
            return bool(listed(self._api, name)["voice_used"] == by)

        until(has_come_about)


@pytest.fixture
def engines(api: ApiProcess, parrot: WorkerConnection, owner: psycopg.Connection[Any]) -> Generator[Engines]:
    """All are removed afterwards, from the server's catalog too."""
    jobs_worker.retire(parrot, engine="parrot", worker="w1")  # its natural male voice would replace ours
    yield Engines(api, parrot)
    owner.execute("DELETE FROM cv.engine WHERE worker = 'names'")
    until(lambda: {one["engine"] for one in api.call("GET", "/v1/voices").json()["voices"]} == {"parrot"})


def listed(api: ApiProcess, name: str, path: str = "/v1/voices") -> dict[str, Any]:
    return {voice["id"]: voice for voice in api.call("GET", path).json()["voices"]}[name.lower()]


def job(api: ApiProcess, person: Person, voice: str, **fields: object) -> dict[str, Any]:
    """The job of a request for speech, with the answer's header."""
    body = {"text": "hello", "voice": voice, **fields}
    answer = api.call("POST", "/v1/tts", person.key, json=body)
    assert answer.status_code == 200, answer.text
    found = api.call("GET", f"/v1/jobs/{answer.json()['job_id']}", person.key).json()
    return found | {"header": answer.headers["X-Voice-Engine"]}


def who_speaks(job: dict[str, Any]) -> tuple[Any, ...]:
    fields = ("voice", "header", "engine", "voice_used", "voice_reason")
    return tuple(job.get(name) for name in fields)


def test_an_alias_moves_to_the_best_available_engine_and_back(
    api: ApiProcess, person: Person, engines: Engines
) -> None:
    engines.come(ESPEAK)
    engines.speak("Emma", by="espeak-emma")
    first = job(api, person, "emma")
    engines.come(HIBARI)
    engines.speak("Emma", by="heart")
    natural, man = job(api, person, "Emma"), job(api, person, "onyx")
    engines.come(KOKORO)
    engines.speak("Peter", by="am_michael")
    later = job(api, person, "onyx")
    engines.go(HIBARI)
    engines.go(KOKORO)
    engines.speak("Emma", by="espeak-emma")
    last = job(api, person, "Emma")

    unavailable = "natural_voice_unavailable"
    assert who_speaks(first) == ("emma", "espeak", "espeak", "espeak-emma", unavailable)
    assert who_speaks(natural) == ("Emma", "hibari", "hibari", "heart", "name")
    assert who_speaks(man) == ("onyx", "espeak", "espeak", "espeak-peter", unavailable)
    assert who_speaks(later) == ("onyx", "kokoro", "kokoro", "am_michael", "name")
    assert who_speaks(last) == ("Emma", "espeak", "espeak", "espeak-emma", unavailable)


def test_an_engines_own_voice_is_itself(api: ApiProcess, person: Person, engines: Engines) -> None:
    engines.come(HIBARI)
    engines.come(ESPEAK)
    engines.speak("Emma", by="heart")

    assert who_speaks(job(api, person, "Heart")) == ("heart", "hibari", "hibari", None, None)
    own = job(api, person, "espeak-emma")
    assert who_speaks(own) == ("espeak-emma", "espeak", "espeak", None, None)


@pytest.mark.parametrize("path", ["/v1/voices", "/api/v1/voices", "/v2/voices?page_size=50"])
def test_every_list_has_the_aliases_with_the_properties_of_their_voices(
    api: ApiProcess, engines: Engines, path: str
) -> None:
    engines.come(ESPEAK)
    engines.come(HIBARI)
    engines.speak("Emma", by="heart")
    fields = ("id", "gender", "quality", "engine", "voice_used")

    natural = [listed(api, "Emma", path)[field] for field in fields]
    engines.go(HIBARI)
    engines.speak("Emma", by="espeak-emma")

    assert natural == ["emma", "female", "high", "hibari", "heart"]
    assert [listed(api, "Emma", path)[field] for field in fields] == [
        *("emma", "female", "low", "espeak", "espeak-emma")
    ]


def test_a_language_is_spoken_by_a_voice_that_can(api: ApiProcess, person: Person, engines: Engines) -> None:
    engines.come(ESPEAK)
    engines.come(HIBARI)
    engines.speak("Emma", by="heart")
    german = job(api, person, "Emma", language="de")
    refused = api.call(
        "POST", "/v1/tts", person.key, json={"text": "hello", "voice": "Emma", "language": "tlh"}
    )

    assert who_speaks(german) == ("Emma", "espeak", "espeak", "de-female", "language")
    assert german["language"] == "de"
    assert (refused.status_code, refused.json()["detail"]["field"]) == (422, "language")


def test_a_repeated_request_finds_its_job_although_another_voice_would_speak_now(
    api: ApiProcess, person: Person, engines: Engines
) -> None:
    engines.come(ESPEAK)
    engines.speak("Emma", by="espeak-emma")

    def send(path: str, body: dict[str, str]) -> Any:
        headers = {"Idempotency-Key": f"k{path}", "Prefer": "respond-async"}
        return api.call("POST", path, person.key, json=body, headers=headers)

    calls = [
        ("/v1/tts", {"text": "hello", "voice": "Emma"}),
        ("/v1/audio/speech", {"model": "tts-1", "input": "hello", "voice": "alloy"}),
        ("/v1/text-to-speech/21m00Tcm4TlvDq8ikWAM", {"text": "hello"}),
        ("/api/v1/tts/generate", {"text": "hello", "voice": "Emma"}),
    ]
    first = [send(*call) for call in calls]
    engines.come(HIBARI)
    engines.speak("Emma", by="heart")
    again = [send(*call) for call in calls]

    assert {answer.headers["Idempotent-Replayed"] for answer in again} == {"true"}
    assert [one.json()["job_id"] for one in again] == [one.json()["job_id"] for one in first]
    assert {one.headers["X-Voice-Engine"] for one in (*first, *again)} == {"espeak"}


def test_a_finished_job_names_the_voice_that_spoke_and_the_reason(
    api: ApiProcess, person: Person, parrot: WorkerConnection, engines: Engines
) -> None:
    engines.come(ESPEAK)
    engines.speak("Emma", by="espeak-emma")
    identifier = job(api, person, "Emma")["job_id"]
    queued = api.call("GET", f"/tts/status/{identifier}").json()
    claimed = jobs_worker.claim(
        parrot, engine="espeak", lane=None, mixed=True, limit=1000, worker="names", lease_s=60
    )
    (mine,) = [one for one in claimed if str(one.id) == identifier]
    ended = Finished(id=UUID(identifier), attempt=mine.attempt, outcome="refuse", code="unspeakable_text")
    jobs_worker.finish(parrot, [ended], worker="names", tries_max=1, keep_s=60)
    over = api.call("GET", f"/tts/status/{identifier}").json()

    assert (queued["engine"], "voice_reason" in queued) == ("espeak", False)
    assert [over[name] for name in ("engine", "voice_used", "voice_reason")] == [
        *("espeak", "espeak-emma", "natural_voice_unavailable")
    ]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/v1/tts/generate", {"text": "hello", "voice": "ryan", "format": "wav"}),
        (
            "/v1/audio/speech",
            {"model": "tts-1", "input": "hello", "voice": "alloy", "response_format": "wav"},
        ),
        ("/v1/text-to-speech/ryan?output_format=wav_22050", {"text": "hello"}),
        ("/v1/text-to-speech/pNInz6obpgDQGcFmaJgB?output_format=wav_22050", {"text": "hello"}),
    ],
)
def test_synchronous_speech_names_the_voice(
    api: ApiProcess, person: Person, end: End, path: str, body: dict[str, str]
) -> None:
    headers = {"Idempotency-Key": "one", "Origin": "https://shop.example"}
    with ThreadPoolExecutor(1) as threads:
        sent = threads.submit(api.call, "POST", path, person.key, json=body, headers=headers)
        end(the_job(api, person))
        answers = [sent.result(), api.call("POST", path, person.key, json=body, headers=headers)]

    assert [answer.headers["X-Voice-Engine"] for answer in answers] == ["parrot", "parrot"]
    assert [answer.status_code for answer in answers] == [200, 200]


def test_live_and_stored_audio_name_the_voice(
    api: ApiProcess, person: Person, fake_worker: FakeWorker, listen: Listen
) -> None:
    listener = listen()
    identifier = the_job(api, person)
    fake_worker.say(identifier, b"first")
    attached = listen(f"/tts/stream/{identifier}")
    headers = [one.answer.headers["X-Voice-Engine"] for one in (listener, attached)]
    fake_worker.stop(identifier, "complete", audio_bytes=5)
    fake_worker.complete(identifier, b"first")
    stored = api.call("GET", f"/tts/audio/{identifier}", person.key)

    assert [*headers, stored.headers["X-Voice-Engine"]] == ["parrot"] * 3


def test_scripts_of_other_origins_may_read_the_voice_headers(api: ApiProcess) -> None:
    answer = api.call("GET", "/v1/voices", headers={"Origin": "https://shop.example"})
    assert "X-Voice-Engine" in answer.headers.get("Access-Control-Expose-Headers", "X-Voice-Engine")


def test_the_sample_of_an_alias_is_of_its_voice_and_made_anew_with_another(
    api: ApiProcess, owner: psycopg.Connection[Any], parrot: WorkerConnection, engines: Engines
) -> None:
    made = """SELECT j.engine, j.lane FROM cv.job j JOIN cv.account a ON a.id = j.owner
      WHERE a.kind = 'system' AND j.state = 'queued'"""
    with ThreadPoolExecutor(2) as threads:
        answers = []
        for engine, voice in ((ESPEAK, "espeak-emma"), (HIBARI, "heart")):
            engines.come(engine)
            engines.speak("Emma", by=voice)
            answers.append(threads.submit(api.call, "GET", "/samples/emma.mp3"))
            until(lambda engine=engine, voice=voice: (engine.engine, voice) in owner.execute(made).fetchall())
            _refuse_all(parrot, engine.engine)

    assert all(answer.result().status_code >= 400 for answer in answers)


def test_the_pages_preselect_emma_and_name_the_voice_that_speaks(browser: Browser, engines: Engines) -> None:
    browser.client.headers["Accept-Language"] = "en-GB,en;q=0.8"

    def chosen() -> list[str]:
        page = browser.open("/playground").text
        return re.findall(r'<option value="([^"]+)" data-[^>]* selected>', page)

    engines.come(ESPEAK)
    engines.speak("Emma", by="espeak-emma")
    robotic = chosen()
    engines.come(HIBARI)
    engines.speak("Emma", by="heart")
    natural = chosen()
    job_page = browser.send("/playground", text="Hello", voice="en-US emma", format="wav", speed="1")
    voices = browser.open("/voices")

    assert (robotic, natural) == (["en-GB emma"], ["en-US emma"])
    assert "emma, spoken by heart Engine hibari" in words(job_page)
    assert "Emma Language en-US en-US female high hibari heart Heart of hibari speaks" in words(voices)


def _refuse_all(worker: WorkerConnection, engine: str) -> None:
    claimed = jobs_worker.claim(
        worker, engine=engine, lane=None, mixed=True, limit=1000, worker="names", lease_s=60
    )
    ended = [Finished(id=one.id, attempt=one.attempt, outcome="refuse", code="no") for one in claimed]
    jobs_worker.finish(worker, ended, worker="names", tries_max=1, keep_s=60)
