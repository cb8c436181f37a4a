"""`GET /tts/audio/{job_id}`: finished audio, ranges, caching and signed URLs."""

import hashlib
import time
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx
import psycopg
import pytest

from tests.app.api_process import ApiProcess
from tests.app.conftest import AUDIO, End, OpenAccount, Person, Run, Say, SignUp, Take

ETAG = f'"{hashlib.sha256(AUDIO).hexdigest()}"'


@pytest.fixture(scope="module")
def done(sign_up: SignUp, say: Say, end: End) -> tuple[Person, str]:
    """A person and a completed job of theirs."""
    person = sign_up()
    job_id = say(person.key)
    end(job_id)
    return person, job_id


def get(api: ApiProcess, job_id: str, method: str = "GET", **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return api.call(method, f"/tts/audio/{job_id}", headers=named)


def test_the_whole_audio_has_the_headers_players_need(api: ApiProcess, done: tuple[Person, str]) -> None:
    answer = get(api, done[1])

    assert answer.content == AUDIO
    assert {name: answer.headers[name] for name in _WHOLE} == _WHOLE


_WHOLE = {
    "content-type": "audio/wav",
    "content-length": str(len(AUDIO)),
    "accept-ranges": "bytes",
    "etag": ETAG,
    "cache-control": "private",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "content-disposition": 'inline; filename="codevoice.wav"',
}


def test_head_returns_the_headers_of_get_without_a_body(api: ApiProcess, done: tuple[Person, str]) -> None:
    answer = get(api, done[1], "HEAD", Range="bytes=0-1")

    assert (answer.status_code, answer.content) == (200, b"")
    assert {name: answer.headers[name] for name in _WHOLE} == _WHOLE


@pytest.mark.parametrize(
    ("byte_range", "first", "after"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=10000-", 10_000, len(AUDIO)),
        ("bytes=-5", len(AUDIO) - 5, len(AUDIO)),
        ("bytes=-999999999", 0, len(AUDIO)),
        ("bytes=5-999999999", 5, len(AUDIO)),
    ],
)
def test_a_byte_range_returns_that_part(
    api: ApiProcess, done: tuple[Person, str], byte_range: str, first: int, after: int
) -> None:
    answer = get(api, done[1], Range=byte_range)

    assert (answer.status_code, answer.content) == (206, AUDIO[first:after])
    assert answer.headers["content-range"] == f"bytes {first}-{after - 1}/{len(AUDIO)}"
    assert answer.headers["content-length"] == str(after - first)


@pytest.mark.parametrize(
    "byte_range", ["bytes=0-1,5-6", "bytes=-", "bytes=9-2", "lines=1-2", "bytes=a-b", "x"]
)
def test_a_range_that_is_no_single_part_returns_the_whole_audio(
    api: ApiProcess, done: tuple[Person, str], byte_range: str
) -> None:
    answer = get(api, done[1], Range=byte_range)

    assert (answer.status_code, len(answer.content)) == (200, len(AUDIO))


@pytest.mark.parametrize("byte_range", [f"bytes={len(AUDIO)}-", "bytes=-0"])
def test_a_range_beyond_the_end_is_refused(
    api: ApiProcess, done: tuple[Person, str], byte_range: str
) -> None:
    answer = get(api, done[1], Range=byte_range)

    assert (answer.status_code, answer.headers["content-range"]) == (416, f"bytes */{len(AUDIO)}")
    assert answer.json()["detail"]["error"] == "range_not_satisfiable"


def test_a_range_of_another_version_returns_the_whole_audio(
    api: ApiProcess, done: tuple[Person, str]
) -> None:
    same = get(api, done[1], Range="bytes=0-1", If_Range=ETAG)
    other = get(api, done[1], Range="bytes=0-1", If_Range='"other"')

    assert (same.status_code, other.status_code) == (206, 200)


@pytest.mark.parametrize("tag", [ETAG, f"W/{ETAG}", f'"a", {ETAG}', "*"])
def test_a_matching_etag_returns_not_modified(api: ApiProcess, done: tuple[Person, str], tag: str) -> None:
    answer = get(api, done[1], If_None_Match=tag)

    assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", ETAG)
    assert "content-length" not in answer.headers


def test_a_large_audio_is_streamed_whole(api: ApiProcess, say: Say, person: Person, end: End) -> None:
    job_id = say(person.key, format="mp3")
    audio = AUDIO * 1000  # 10 MB
    end(job_id, audio=audio, content_type="audio/mpeg")

    answer = get(api, job_id)

    assert answer.content == audio
    assert answer.headers["content-type"] == "audio/mpeg"
    assert answer.headers["content-disposition"] == 'inline; filename="codevoice.mp3"'


def test_empty_audio_has_an_empty_body(api: ApiProcess, say: Say, person: Person, end: End) -> None:
    job_id = say(person.key)
    end(job_id, audio=b"")

    assert (get(api, job_id).status_code, get(api, job_id).content) == (200, b"")


def test_audio_not_ready_is_a_conflict(api: ApiProcess, say: Say, person: Person, take: Take) -> None:
    job_id = say(person.key)
    queued = get(api, job_id)
    take(job_id)

    assert [answer.status_code for answer in (queued, get(api, job_id))] == [409, 409]
    assert queued.json()["detail"]["error"] == "not_ready"


def test_a_job_that_failed_never_has_audio(api: ApiProcess, say: Say, person: Person, end: End) -> None:
    job_id = say(person.key)
    end(job_id, "refuse", code="unspeakable")

    assert (get(api, job_id).status_code, get(api, job_id).json()["status"]) == (410, "failed")


def test_audio_missing_from_the_store_is_gone(
    api: ApiProcess, say: Say, person: Person, end: End, objects_url: str
) -> None:
    job_id = say(person.key)
    end(job_id)
    folder = Path(unquote(urlsplit(objects_url).path))
    (lost,) = folder.glob(f"jobs/{job_id}/*")
    lost.unlink()

    assert get(api, job_id).status_code == 410


def signed(api: ApiProcess, job_id: str) -> str:
    return str(api.call("GET", f"/tts/status/{job_id}").json()["audio_url"])


def test_a_signed_url_works_where_the_bare_url_does_not(api_with: Run, done: tuple[Person, str]) -> None:
    api = api_with(CODEVOICE_BARE_AUDIO_HOURS="0")
    address = signed(api, done[1])

    bare, whole = get(api, done[1]), api.call("GET", address)
    forged = api.call("GET", address[:-1] + ("0" if address[-1] != "0" else "1"))
    prolonged = api.call("GET", address.replace("expires=", "expires=9"))

    assert [answer.status_code for answer in (whole, bare, forged, prolonged)] == [200, 403, 403, 403]
    assert bare.json()["detail"]["error"] == "signed_url_required"


@pytest.mark.parametrize(
    "query", ["expires=%00&signature=%ff", "expires=" + "9" * 5000, "signature=" + "é" * 99]
)
def test_an_invalid_signature_is_refused(api_with: Run, done: tuple[Person, str], query: str) -> None:
    api = api_with(CODEVOICE_BARE_AUDIO_HOURS="0")

    assert api.call("GET", f"/tts/audio/{done[1]}?{query}").status_code == 403


def test_an_expired_url_is_gone(api_with: Run, done: tuple[Person, str]) -> None:
    api = api_with(CODEVOICE_BARE_AUDIO_HOURS="0", CODEVOICE_AUDIO_URL_S="1")
    address = signed(api, done[1])
    time.sleep(2.1)

    assert api.call("GET", address).status_code == 410


def test_the_bare_path_works_for_its_time_only(
    api: ApiProcess, say: Say, person: Person, end: End, owner: psycopg.Connection[object]
) -> None:
    job_id = say(person.key)
    end(job_id)
    owner.execute("UPDATE cv.job SET finished_at = finished_at - interval '25 h' WHERE id = %s", [job_id])

    by_owner = api.call("GET", f"/tts/audio/{job_id}", person.key)

    assert [get(api, job_id).status_code, by_owner.status_code] == [410, 200]
    assert api.call("GET", signed(api, job_id)).status_code == 200


def test_owner_only_audio_is_served_to_its_owner_alone(
    api_with: Run, done: tuple[Person, str], open_account: OpenAccount
) -> None:
    api = api_with(CODEVOICE_REQUIRE_OWNER="true")
    person, job_id = done
    stranger = open_account("api_only", unlimited=True)
    path = f"/tts/audio/{job_id}"

    by_token = api.call("GET", path, headers={"Authorization": f"Bearer {person.token}"})
    answers = [
        api.call("GET", path, person.key),
        by_token,
        api.call("GET", path, stranger),
        api.call("GET", signed(api, job_id)),
        api.call("GET", path, "cv_live_wrong"),
    ]

    assert [answer.status_code for answer in answers] == [200, 200, 404, 401, 401]


def test_audio_shorter_than_its_length_breaks_the_response(
    api: ApiProcess, say: Say, person: Person, end: End, objects_url: str
) -> None:
    job_id = say(person.key)
    end(job_id)
    folder = Path(unquote(urlsplit(objects_url).path))
    (damaged,) = folder.glob(f"jobs/{job_id}/*")
    damaged.write_bytes(AUDIO[:100])

    with pytest.raises(httpx.RemoteProtocolError):
        get(api, job_id)

    assert api.call("GET", "/health/live").status_code == 200
    assert "object_damaged" in api.log.read_text()


def test_an_unreachable_store_is_an_error_before_any_header(api_with: Run, done: tuple[Person, str]) -> None:
    api = api_with(CODEVOICE_OBJECTS="s3://nowhere?endpoint=http://127.0.0.1:1")

    answer = get(api, done[1])

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
