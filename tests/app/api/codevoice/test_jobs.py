"""Jobs as a product: heard while they are made, followed, paged (row 14)."""

import json
from typing import Any

import psycopg
import pytest

from tests.app.conftest import AUDIO, Person, Say
from tests.app.front import Front
from tests.app.listeners import Listen, Listener, Mouth, credits_of, listen, mouth, until

__all__ = ["listen", "mouth"]  # fixtures


def test_anybody_with_the_id_hears_a_queued_job(
    listen: Listen, front: Front, person: Person, say: Say, mouth: Mouth
) -> None:
    job = say(person.key)
    listener = listen(f"/tts/stream/{job}")
    mouth.say(job, b"first")
    listener.hear(5)
    listener.leave()
    late = listen(f"/tts/stream/{job}")
    assert late.hear(5) == b"first"
    mouth.complete(job, AUDIO)
    part = front.call("GET", f"/tts/stream/{job}", headers={"Range": "bytes=0-9"})

    assert (part.status_code, part.content) == (206, AUDIO[:10])
    assert credits_of(front, person) == (59, 0)


def test_a_job_counts_as_live_until_its_last_listener_leaves(
    listen: Listen, say: Say, person: Person, mouth: Mouth, owner: psycopg.Connection[Any]
) -> None:
    def is_live() -> bool:
        (live,) = owner.execute("SELECT live FROM cv.job WHERE id = %s", (job,)).fetchone() or (None,)
        return bool(live)

    job = say(person.key)
    listeners = [listen(f"/tts/stream/{job}") for _ in range(2)]
    mouth.say(job, b"first")
    for listener in listeners:
        listener.hear(5)
    listeners[0].leave()
    listen(f"/tts/stream/{job}").leave()
    was_live = is_live()
    listeners[1].leave()

    assert was_live
    until(lambda: not is_live())
    mouth.complete(job, AUDIO)


def test_a_job_is_followed_to_its_end(
    listen: Listen, front: Front, person: Person, say: Say, mouth: Mouth
) -> None:
    job = say(person.key)
    listener = listen(f"/v1/jobs/{job}/events")
    assert listener.answer.headers["Content-Type"].startswith("text/event-stream")
    told = [event(listener)]
    mouth.say(job)
    told.append(event(listener))
    mouth.complete(job, AUDIO)
    told.append(event(listener))

    assert [status for status, _ in told] == ["queued", "processing", "completed"]
    assert told[-1][1]["duration_ms"] == 1234
    assert listener.hear(1) == b""


def event(listener: Listener) -> tuple[str, dict[str, Any]]:
    name, data, blank = (listener.answer.readline().decode().rstrip("\n") for _ in range(3))
    assert (name, blank) == ("event: status", "")
    found = json.loads(data.removeprefix("data: "))
    return found["status"], found


def test_own_jobs_are_paged(front: Front, person: Person, say: Say) -> None:
    made = [say(person.key) for _ in range(3)]
    first = front.call("GET", "/v1/jobs", person.key, params={"limit": 2}).json()
    second = front.call(
        "GET", "/v1/jobs", person.key, params={"limit": 2, "cursor": first["next_cursor"]}
    ).json()

    assert [job["job_id"] for page in (first, second) for job in page["jobs"]] == made[::-1]
    assert (first["has_more"], second["has_more"], second["next_cursor"]) == (True, False, None)


@pytest.mark.parametrize("query", [{"status": "done"}, {"limit": 0}, {"limit": 101}, {"cursor": "x"}])
def test_a_wrong_page_is_named(front: Front, person: Person, query: dict[str, Any]) -> None:
    answer = front.call("GET", "/v1/jobs", person.key, params=query)

    assert (answer.status_code, answer.json()["detail"]["field"]) == (422, next(iter(query)))
