"""A caller's jobs: streamed while they are made, followed by events, and paged."""

import json
from typing import Any

import psycopg
import pytest

from tests.app.api_process import ApiProcess
from tests.app.conftest import AUDIO, Person, Say
from tests.app.listeners import FakeWorker, Listen, Listener, credits_of, fake_worker, listen, until

__all__ = ["fake_worker", "listen"]  # fixtures


def test_anyone_with_the_id_can_stream_a_queued_job(
    listen: Listen, api: ApiProcess, person: Person, say: Say, fake_worker: FakeWorker
) -> None:
    job = say(person.key)
    listener = listen(f"/tts/stream/{job}")
    fake_worker.say(job, b"first")
    listener.read(5)
    listener.leave()
    late = listen(f"/tts/stream/{job}")
    assert late.read(5) == b"first"
    fake_worker.complete(job, AUDIO)
    part = api.call("GET", f"/tts/stream/{job}", headers={"Range": "bytes=0-9"})

    assert (part.status_code, part.content) == (206, AUDIO[:10])
    assert credits_of(api, person) == (59, 0)


def test_a_job_counts_as_live_until_its_last_listener_leaves(
    listen: Listen, say: Say, person: Person, fake_worker: FakeWorker, owner: psycopg.Connection[Any]
) -> None:
    def is_live() -> bool:
        (live,) = owner.execute("SELECT live FROM cv.job WHERE id = %s", (job,)).fetchone() or (None,)
        return bool(live)

    job = say(person.key)
    listeners = [listen(f"/tts/stream/{job}") for _ in range(2)]
    fake_worker.say(job, b"first")
    for listener in listeners:
        listener.read(5)
    listeners[0].leave()
    listen(f"/tts/stream/{job}").leave()
    was_live = is_live()
    listeners[1].leave()

    assert was_live
    until(lambda: not is_live())
    fake_worker.complete(job, AUDIO)


def test_a_job_is_followed_to_its_end(
    listen: Listen, api: ApiProcess, person: Person, say: Say, fake_worker: FakeWorker
) -> None:
    job = say(person.key)
    listener = listen(f"/v1/jobs/{job}/events")
    assert listener.answer.headers["Content-Type"].startswith("text/event-stream")
    events = [event(listener)]
    fake_worker.say(job)
    events.append(event(listener))
    fake_worker.complete(job, AUDIO)
    events.append(event(listener))

    assert [status for status, _ in events] == ["queued", "processing", "completed"]
    assert events[-1][1]["duration_ms"] == 1234
    assert listener.read(1) == b""


def event(listener: Listener) -> tuple[str, dict[str, Any]]:
    name, data, blank = (listener.answer.readline().decode().rstrip("\n") for _ in range(3))
    assert (name, blank) == ("event: status", "")
    found = json.loads(data.removeprefix("data: "))
    return found["status"], found


def test_own_jobs_are_paged(api: ApiProcess, person: Person, say: Say) -> None:
    made = [say(person.key) for _ in range(3)]
    first = api.call("GET", "/v1/jobs", person.key, params={"limit": 2}).json()
    second = api.call(
        "GET", "/v1/jobs", person.key, params={"limit": 2, "cursor": first["next_cursor"]}
    ).json()

    assert [job["job_id"] for page in (first, second) for job in page["jobs"]] == made[::-1]
    assert (first["has_more"], second["has_more"], second["next_cursor"]) == (True, False, None)


@pytest.mark.parametrize("query", [{"status": "done"}, {"limit": 0}, {"limit": 101}, {"cursor": "x"}])
def test_an_invalid_page_parameter_is_named(api: ApiProcess, person: Person, query: dict[str, Any]) -> None:
    answer = api.call("GET", "/v1/jobs", person.key, params=query)

    assert (answer.status_code, answer.json()["detail"]["field"]) == (422, next(iter(query)))
