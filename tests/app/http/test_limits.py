"""Rate limits over HTTP: what they count, the content of a refusal, and that it costs nothing."""

import secrets
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from litestar.types import Scope
from redis import Redis

from app.http.client_address import ClientAddresses, networks
from db.settings import SettingsError
from tests.app.api_process import ApiProcess
from tests.app.conftest import PASSWORD, AddKey, OpenAccount, Person, Run
from tests.app.proxy import Wire
from tests.routes import every_route

HELLO = {"text": "hello", "voice": "ryan"}
FEW_POSTS = {"CODEVOICE_POSTS_PER_MINUTE": "1", "CODEVOICE_POSTS_BURST": "3"}
BEHIND_PROXY = {"CODEVOICE_TRUSTED_PROXIES": "127.0.0.1, 10.0.0.0/8"}


def limited(answer: httpx.Response) -> list[int]:
    """RateLimit-Limit, -Remaining, -Reset."""
    return [int(answer.headers[f"RateLimit-{name}"]) for name in ("Limit", "Remaining", "Reset")]


def post(api: ApiProcess, key: str, **more: object) -> httpx.Response:
    return api.call("POST", "/v1/tts", key, json=HELLO, **more)


def register(api: ApiProcess, **headers: str) -> httpx.Response:
    body = {"email": f"{secrets.token_hex(6)}@example.org", "password": PASSWORD}
    return api.call("POST", "/api/auth/register", json=body, headers=headers)


def log_in(api: ApiProcess, email: str, password: str = PASSWORD, **headers: str) -> httpx.Response:
    body = {"email": email, "password": password}
    return api.call("POST", "/api/auth/login", json=body, headers=headers)


def test_every_response_of_a_limited_route_has_rate_limit_headers(api_with: Run, person: Person) -> None:
    api = api_with(**FEW_POSTS)
    good, bad = post(api, person.key), api.call("POST", "/v1/tts", person.key, content=b"{")

    assert (good.status_code, limited(good)) == (200, [3, 2, 60])
    assert (bad.status_code, limited(bad)) == (400, [3, 1, 120])


def test_a_response_over_the_limit_has_retry_after(api_with: Run, person: Person) -> None:
    api = api_with(**FEW_POSTS)
    answers = [post(api, person.key) for _ in range(4)]
    refused = answers[-1]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert refused.json() == {
        "detail": {
            "error": "rate_limited",
            "message": f"Too many requests. Send this one again in {refused.headers['Retry-After']} s.",
            "user_type": "registered",
        }
    }
    assert 58 <= int(refused.headers["Retry-After"]) <= 60
    assert limited(refused)[:2] == [3, 0]


def test_nothing_refused_is_charged(api_with: Run, api: ApiProcess, person: Person) -> None:
    for _ in range(6):
        post(api_with(**FEW_POSTS), person.key)

    credits = api.call("GET", "/api/auth/me", person.key).json()["credits"]
    assert (credits["held"], credits["total_remaining"]) == (3, 57)


def test_a_key_in_the_body_is_counted_too(api_with: Run, person: Person) -> None:
    api = api_with(**FEW_POSTS)
    answers = [api.call("POST", "/v1/tts", json={**HELLO, "api_key": person.key}) for _ in range(4)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert limited(answers[0]) == [3, 2, 60]


def test_each_key_is_counted_apart_and_a_token_as_its_account(
    api_with: Run, open_account: OpenAccount, person: Person
) -> None:
    api = api_with(**FEW_POSTS)
    other, bearer = open_account(monthly=10_000_000), {"Authorization": f"Bearer {person.token}"}
    statuses = [post(api, person.key).status_code for _ in range(4)]
    by_token = [api.call("POST", "/v1/tts", json=HELLO, headers=bearer).status_code for _ in range(4)]

    assert (statuses, by_token) == ([200] * 3 + [429], [200] * 3 + [429])
    assert post(api, other).status_code == 200


def test_an_account_is_counted_with_all_its_keys(api_with: Run, person: Person, add_key: AddKey) -> None:
    few = {"CODEVOICE_ACCOUNT_POSTS_PER_MINUTE": "1", "CODEVOICE_ACCOUNT_POSTS_BURST": "4"}
    api = api_with(CODEVOICE_POSTS_BURST="2", CODEVOICE_POSTS_PER_MINUTE="1", **few)
    keys = [person.key, add_key(person.id), add_key(person.id)]

    statuses = [post(api, key).status_code for key in keys for _ in range(2)]
    refused = post(api, add_key(person.id))

    assert statuses == [200] * 4 + [429] * 2
    assert limited(refused)[:2] == [4, 0]


def test_unauthenticated_requests_are_not_counted(api_with: Run) -> None:
    answer = post(api_with(**FEW_POSTS), "cv_live_nonsense")

    assert (answer.status_code, "RateLimit-Limit" in answer.headers) == (401, False)


def test_every_post_has_a_limit() -> None:
    posts = {route.path: route for route in every_route() if route.method == "POST"}
    guessed_at = ("/api/auth/", "/login", "/reset", "/password", "/verify")  # passwords and tokens
    wanted = {path: "login" if path.startswith(guessed_at) else "post" for path in posts}
    wanted |= {"/api/auth/register": "register", "/signup": "register"}
    wanted |= dict.fromkeys(("/api/auth/logout", "/api/auth/logout/everywhere"), "post")
    mailed = ("/api/auth/password/reset", "/reset", "/api/auth/verify/resend", "/verify/resend")
    wanted |= dict.fromkeys(mailed, "reset")

    assert {path: route.opt.get("limit") for path, route in posts.items()} == wanted


def test_four_api_processes_share_one_limit(api_with: Run, open_account: OpenAccount) -> None:
    fast = {"CODEVOICE_POSTS_PER_MINUTE": "1200", "CODEVOICE_POSTS_BURST": "40"}
    apis = [api_with(CODEVOICE_TOKEN_S=str(3600 + n), **fast) for n in range(4)]
    key, other, passed = open_account(unlimited=True), open_account(unlimited=True), list[int]()
    for api in apis:  # the process is warm from now on
        api.call("POST", "/v1/tts", other, json=HELLO)
    began = time.monotonic()
    ending = began + 3

    def hammer(api: ApiProcess) -> None:
        with httpx.Client(base_url=api.url) as client:
            while time.monotonic() < ending:
                answer = client.post("/v1/tts", json=HELLO, headers={"X-API-Key": key})
                assert answer.status_code in (200, 429)
                passed.append(answer.status_code == 200)

    threads = [threading.Thread(target=hammer, args=[api]) for api in apis]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lasted = time.monotonic() - began

    assert len(passed) > 120, "the machine is too slow to ask for more than the limit"
    assert 0.7 * (40 + 20 * 3) <= sum(passed) <= 40 + 20 * lasted


def test_a_refused_post_does_not_reach_postgres(
    wired: Callable[..., ApiProcess], wire: Wire, person: Person
) -> None:
    api = wired(**FEW_POSTS)
    for _ in range(3):
        post(api, person.key)
    before = wire.round_trips
    statuses = {post(api, person.key).status_code for _ in range(20)}

    assert statuses == {429}
    assert wire.round_trips - before <= 5  # periodic queries: no refusal causes one


def test_registrations_are_counted_by_address(api_with: Run, address: str) -> None:
    api = api_with(CODEVOICE_ADDRESS_REGISTRATIONS_PER_HOUR="2", **BEHIND_PROXY)
    forwarded = [address, address, address, f"{address}, 10.1.2.3", "198.51.100.7"]
    statuses = [register(api, **{"X-Forwarded-For": hops}).status_code for hops in forwarded]

    assert statuses == [201, 201, 429, 429, 201]


def test_status_polls_are_counted_by_address(api_with: Run, address: str) -> None:
    api = api_with(CODEVOICE_STATUS_POLLS_PER_S="2", **BEHIND_PROXY)
    path, at = "/tts/status/00000000-0000-4000-8000-000000000000", {"X-Forwarded-For": address}
    answers = [api.call("GET", path, headers=at) for _ in range(40)]
    refused = [answer for answer in answers if answer.status_code == 429]

    assert {answer.status_code for answer in answers} == {404, 429}
    assert limited(answers[0]) == [2, 1, 1]
    assert {answer.headers["Retry-After"] for answer in refused} == {"1"}


def test_forwarded_for_is_not_believed_of_everybody(api_with: Run) -> None:
    api = api_with(CODEVOICE_STATUS_POLLS_PER_S="2")
    path, statuses = "/tts/status/nothing", set[int]()
    for n in range(40):
        answer = api.call("GET", path, headers={"X-Forwarded-For": f"192.0.2.{n}"})
        statuses.add(answer.status_code)

    assert 429 in statuses


def test_in_redis_there_is_neither_e_mail_nor_key(api_with: Run, person: Person, redis_url: str) -> None:
    api = api_with(CODEVOICE_ACCOUNT_LOGINS_PER_15MIN="2")
    log_in(api, person.email, "wrong")
    post(api, person.key)
    with Redis.from_url(redis_url, decode_responses=True) as redis:
        names: list[Any] = redis.keys("codevoice:limit:*")
        lives = [redis.pttl(name) for name in names]

    assert any(name.startswith("codevoice:limit:account:") for name in names)
    assert not [name for name in names if "@" in name or person.key[10:] in name]
    assert all(0 < life_ms < 3_700_000 for life_ms in lives if life_ms != -2)


def test_without_redis_an_api_process_counts_alone(api_with: Run, person: Person) -> None:
    api = api_with(REDIS_URL="redis://127.0.0.1:1", **FEW_POSTS)

    assert [post(api, person.key).status_code for _ in range(4)] == [200, 200, 200, 429]


def test_without_redis_an_api_process_may_refuse(api_with: Run, person: Person) -> None:
    api = api_with(REDIS_URL="redis://127.0.0.1:1", CODEVOICE_LIMITS_WITHOUT_REDIS="closed")
    answer = post(api, person.key)

    assert (answer.status_code, answer.json()["detail"]["error"]) == (503, "service_unavailable")
    assert answer.headers["Retry-After"] == "1"
    assert api.call("GET", "/v1/voices").status_code == 200


def scope(peer: str | None, *forwarded: str) -> Scope:
    headers = [(b"x-forwarded-for", value.encode("latin-1")) for value in forwarded]
    return {"client": (peer, 1) if peer else None, "headers": headers}  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("peer", "forwarded", "counted"),
    [
        ("203.0.113.5", ["1.2.3.4"], "203.0.113.5"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["1.2.3.4"], "1.2.3.4"),
        ("10.0.0.1", ["6.6.6.6, 1.2.3.4"], "1.2.3.4"),
        ("10.0.0.1", ["6.6.6.6, 1.2.3.4, 10.9.9.9"], "1.2.3.4"),
        ("10.0.0.1", ["6.6.6.6", "1.2.3.4", "10.9.9.9 , "], "1.2.3.4"),
        ("10.0.0.1", ["10.2.2.2, 10.3.3.3"], "10.2.2.2"),
        ("10.0.0.1", ["1.2.3.4, unknown"], "10.0.0.1"),
        ("10.0.0.1", ["1.2.3.4, é, 10.9.9.9"], "10.9.9.9"),
        ("10.0.0.1", ["1.2.3.4:5678"], "1.2.3.4"),
        ("10.0.0.1", ["[2001:db8:1:2:3::4]:5678"], "2001:db8:1:2::/64"),
        ("10.0.0.1", ["2001:db8:1:2:3::4"], "2001:db8:1:2::/64"),
        ("10.0.0.1", [", ".join(["10.1.1.1"] * 1000)], "10.1.1.1"),
        ("2001:db8:1:2:ffff::", [], "2001:db8:1:2::/64"),
        ("fd00::7", ["1.2.3.4"], "1.2.3.4"),
        ("::ffff:10.0.0.1", ["::ffff:1.2.3.4"], "1.2.3.4"),
        (None, ["1.2.3.4"], "unknown"),
    ],
)
def test_the_client_address_is_found_behind_trusted_proxies(
    peer: str | None, forwarded: list[str], counted: str
) -> None:
    clients = ClientAddresses(networks("10.0.0.0/8, fd00::/8"))

    assert clients.counted_as(scope(peer, *forwarded)) == counted


@pytest.mark.parametrize("wrong", ["nonsense", "10.0.0.0/33", "10.0.0.1,,x"])
def test_an_invalid_trusted_proxy_is_refused_at_start(wrong: str) -> None:
    with pytest.raises(SettingsError, match=r"CODEVOICE_TRUSTED_PROXIES: '.*' is neither"):
        networks(wrong)
