"""Every route with another tenant's ids: nothing is shown and nothing is done, with any credential."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx
import psycopg
import pytest

from tests.app.api_process import ApiProcess
from tests.app.browser import Browser
from tests.app.conftest import End, Person, Run, Say, SignUp
from tests.routes import every_route

WORDS = "words nobody else may read"
# Anyone who has a job's random id may call these: status, audio and stream.
CAPABILITY = {
    ("GET", "/tts/status/{job_id}"),
    ("GET", "/tts/audio/{job_id}"),
    ("HEAD", "/tts/audio/{job_id}"),
    ("GET", "/tts/stream/{job_id}"),
}
OF_TENANTS = {"job_id", "key_id", "job", "key", "account"}
OF_NOBODY = {"voice_id", "model_id", "file", "version", "name"}  # names all tenants share
OF_OPERATORS = {"invite"}
# Every field that any route's body requires, so that a request is refused for the id alone.
BODY = {"text": "hello", "reason": "mine now", "plan": "pro", "undo": True, "monthly": 1, "name": "x"}


ROWS = (
    b"SELECT to_jsonb(a)::text FROM cv.account a WHERE id = %s",
    b"SELECT to_jsonb(w)::text FROM cv.wallet w WHERE owner = %s",
    b"SELECT to_jsonb(j)::text FROM cv.job j WHERE owner = %s ORDER BY id",
    b"SELECT (to_jsonb(k) - 'last_used_at')::text FROM cv.api_key k WHERE account = %s ORDER BY id",
)


class Route(NamedTuple):
    method: str
    path: str
    is_page: bool
    is_admins: bool


class Tenant(NamedTuple):
    """A tenant and every id that belongs to it."""

    person: Person
    waiting: str
    spoken: str
    live: str
    key: str

    @property
    def jobs(self) -> list[str]:
        return [self.waiting, self.spoken, self.live]

    @property
    def ids(self) -> list[str]:
        return [*self.jobs, self.key, self.person.id, self.person.email]

    @property
    def marks(self) -> set[str]:
        """Text that no response to another tenant may contain."""
        return {*self.ids, WORDS, "private key's name", self.person.key[-20:]}


def routes() -> Iterator[Route]:
    for route in every_route():
        if route.method == "GET" and "back" in route.opt:
            continue  # redirects from a form's URL to its page, and reads nothing
        is_admins = "admin" in (route.opt.get("scope"), route.opt.get("page"))
        yield Route(route.method, re.sub(r":\w+}", "}", route.path), "page" in route.opt, is_admins)


ROUTES = sorted(routes())
WITH_IDS = [route for route in ROUTES if "{" in route.path]
WITHOUT_IDS = [route for route in ROUTES if "{" not in route.path and route.method == "GET"]


def names(path: str) -> list[str]:
    return re.findall(r"{(\w+)}", path)


@pytest.fixture(scope="module")
def theirs(api: ApiProcess, sign_up: SignUp, say: Say, end: End) -> Tenant:
    person = sign_up()
    spoken, waiting = say(person.key, text=WORDS), say(person.key, text=WORDS)
    end(spoken)
    api.call("POST", "/api/stt/live/complete", person.key, json={"transcript": WORDS})
    made = api.call(
        "POST", "/api/keys", person.key, json={"name": "private key's name", "scopes": ["speech"]}
    )
    jobs = api.call("GET", "/v1/jobs", person.key).json()["jobs"]
    (live,) = {job["job_id"] for job in jobs} - {spoken, waiting}
    return Tenant(person, waiting, spoken, live, made.json()["id"])


@pytest.fixture(scope="module")
def mine(sign_up: SignUp) -> Person:
    return sign_up()


@pytest.fixture(scope="module")
def browser(api: ApiProcess, mine: Person) -> Iterator[Browser]:
    opened = Browser(api).log_in(mine.email)
    yield opened
    opened.client.close()


@pytest.fixture(autouse=True)
def _nothing_of_theirs_changes(
    api: ApiProcess, theirs: Tenant, owner: psycopg.Connection[Any]
) -> Iterator[None]:
    def now() -> list[object]:
        return [owner.execute(rows, [theirs.person.id]).fetchall() for rows in ROWS]

    before = now()
    yield
    assert now() == before
    assert api.call("GET", "/api/keys", theirs.person.key).status_code == 200


def answers_to(
    api: ApiProcess, browser: Browser, mine: Person, route: Route, **sent: Any
) -> list[httpx.Response]:
    """The route's responses to each of my credentials."""
    if route.is_page:
        form = {"form_token": browser.token, **BODY} if route.method == "POST" else None
        return [browser.client.request(route.method, sent["url"], data=form)]
    credentials = [
        (api.client, {"X-API-Key": mine.key}),
        (api.client, {"xi-api-key": mine.key}),
        (api.client, {"Authorization": f"Bearer {mine.token}"}),
        (browser.client, {"X-CSRF-Token": browser.token}),
    ]
    body = BODY if route.method == "POST" else None
    return [
        client.request(route.method, sent["url"], headers=headers, json=body)
        for client, headers in credentials
    ]


def verdicts(route: Route) -> set[int]:
    """How another tenant's id is refused."""
    if route.is_admins:
        return {403}
    return {404} if OF_TENANTS & set(names(route.path)) else {404, 422}


def without_echo(answer: httpx.Response, sent: str) -> str:
    """The content of a response without what the request sent."""
    heads = [value for name, value in answer.headers.items() if name not in ("location", "link")]
    return "\n".join([answer.text, *heads]).replace(sent, "")


def test_every_id_in_a_path_is_known_to_be_somebodys_or_nobodys() -> None:
    found = {name for route in WITH_IDS for name in names(route.path)}

    assert found == OF_TENANTS | OF_NOBODY | OF_OPERATORS
    assert {(route.method, route.path) for route in WITH_IDS} >= CAPABILITY


@pytest.mark.parametrize(
    "route",
    [route for route in WITH_IDS if route[:2] not in CAPABILITY],
    ids=lambda route: "-".join(route[:2]),
)
def test_anothers_id_is_refused_like_one_there_is_not(
    api: ApiProcess, browser: Browser, mine: Person, theirs: Tenant, route: Route
) -> None:
    for sent in theirs.ids:
        url = route.path.format(**dict.fromkeys(names(route.path), sent))

        answers = answers_to(api, browser, mine, route, url=url)

        assert {answer.status_code for answer in answers} <= verdicts(route), (url, answers)
        assert [
            (url, mark) for answer in answers for mark in theirs.marks if mark in without_echo(answer, sent)
        ] == []


@pytest.mark.parametrize(
    "route", [route for route in WITH_IDS if route[:2] in CAPABILITY], ids=lambda r: "-".join(r[:2])
)
def test_a_jobs_id_tells_of_the_job_and_nothing_of_its_owner(
    api: ApiProcess, browser: Browser, mine: Person, theirs: Tenant, route: Route
) -> None:
    for sent in theirs.ids:
        url = route.path.format(job_id=sent)
        if "stream" in route.path and sent == theirs.waiting:
            continue  # sounds as soon as its engine does: see test_answers

        answers = answers_to(api, browser, mine, route, url=url)

        if sent not in theirs.jobs:
            assert {answer.status_code for answer in answers} == {404}, url
        for answer in answers:
            assert [mark for mark in theirs.marks if mark in without_echo(answer, sent)] == [], url


@pytest.mark.parametrize("route", [route for route in WITH_IDS if "/tts/audio/" in route.path], ids=str)
def test_a_strict_operators_audio_is_its_owners_alone(
    api_with: Run, browser: Browser, mine: Person, theirs: Tenant, route: Route
) -> None:
    strict = api_with(CODEVOICE_REQUIRE_OWNER="true")
    url = route.path.format(job_id=theirs.spoken)
    signed = strict.call("GET", f"/tts/status/{theirs.spoken}").json()["audio_url"].partition("?")[2]

    answers = [
        strict.call(route.method, f"{url}{query}", key)
        for query in ("", f"?{signed}")
        for key in (mine.key, theirs.person.key)
    ]

    assert [answer.status_code for answer in answers] == [404, 200, 404, 200]


@pytest.mark.parametrize("route", WITHOUT_IDS, ids=lambda route: "-".join(route[:2]))
def test_no_list_shows_anothers_whatever_is_asked_for(
    api: ApiProcess, browser: Browser, mine: Person, theirs: Tenant, route: Route
) -> None:
    ways = ("cursor", "account", "next_page_token", "search", "key", "user", "owner", "job", "job_id")
    queries = ["", "&".join(f"{way}={theirs.person.id}" for way in ways)]
    queries += [f"cursor={sent}&search={sent}" for sent in (theirs.waiting, theirs.key)]
    for query in queries:
        for answer in answers_to(api, browser, mine, route, url=f"{route.path}?{query}"):
            assert route.is_admins <= (answer.status_code == 403)
            assert "internal_error" not in answer.text.lower()
            found = answer.text.replace(query, "").replace(quote(query), "")
            assert [mark for mark in theirs.marks if mark in found] == [], query


def resolved(document: Any, schema: Any) -> Any:
    return (
        document["components"]["schemas"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    )


def test_every_id_a_body_may_have_is_tried_below(api: ApiProcess) -> None:
    document = api.client.get("/openapi.json").json()
    fields = {
        field
        for verbs in document["paths"].values()
        for operation in verbs.values()
        for content in operation.get("requestBody", {}).get("content", {}).values()
        for field in resolved(document, content["schema"]).get("properties", {})
    }

    ids = {f for f in fields if f.endswith(("_id", "token", "_key")) or f in ("job", "account", "key")}
    assert ids == {"session_id", "job", "account", "refresh_token", "token", "api_key", "model_id"}


def test_anothers_live_session_cannot_be_ended_nor_their_key_replayed(
    api: ApiProcess, mine: Person, theirs: Tenant, sign_up: SignUp
) -> None:
    other = sign_up()
    session = api.call("POST", "/api/stt/live/start", other.key).json()["session_id"]
    sent = {"transcript": "hello", "session_id": session}
    head = {"Idempotency-Key": "the same"}
    hello = {"text": WORDS, "voice": "ryan"}

    stolen = api.call("POST", "/api/stt/live/complete", mine.key, json=sent)
    first = api.call("POST", "/v1/tts", other.key, json=hello, headers=head)
    second = api.call("POST", "/v1/tts", mine.key, json=hello, headers=head)

    assert stolen.status_code == 404
    assert first.json()["job_id"] != second.json()["job_id"]
    assert "idempotent-replayed" not in second.headers


@pytest.mark.parametrize("path", ["grants", "expiries", "refunds"])
def test_nobody_moves_anothers_credits(api: ApiProcess, mine: Person, theirs: Tenant, path: str) -> None:
    sent = {"account": theirs.person.id, "job": theirs.spoken, "amount": 1, "reason": "mine now"}

    answer = api.call("POST", f"/api/admin/{path}", mine.key, json=sent)

    assert (answer.status_code, answer.json()["detail"]["error"]) == (403, "missing_scope")


def test_a_key_in_a_header_identifies_the_caller_whatever_the_body_contains(
    api: ApiProcess, mine: Person, theirs: Tenant
) -> None:
    sent = {"text": "hello", "voice": "ryan", "api_key": theirs.person.key}

    job = api.call("POST", "/v1/tts", mine.key, json=sent).json()["job_id"]

    assert api.call("GET", f"/v1/jobs/{job}", mine.key).status_code == 200
    assert api.call("GET", f"/v1/jobs/{job}", theirs.person.key).status_code == 404
