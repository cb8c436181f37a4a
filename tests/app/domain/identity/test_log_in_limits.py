"""Wrong passwords slow down their sender and lock no owner out."""

import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.app.api_process import ApiProcess
from tests.app.conftest import PASSWORD, NewBrowser, Person, Run
from tests.app.http.test_limits import BEHIND_PROXY, limited, log_in
from tests.app.proxy import Wire
from tests.clock import unhurried


def test_wrong_log_ins_are_counted_by_e_mail_and_network(api_with: Run, person: Person) -> None:
    api = api_with(CODEVOICE_ACCOUNT_LOGINS_PER_15MIN="2", **BEHIND_PROXY)
    here, beside, elsewhere = ({"X-Forwarded-For": at} for at in ("192.0.2.1", "192.0.2.200", "198.51.100.7"))
    wrong = [log_in(api, person.email, "wrong password", **at) for at in (here, beside)]
    refused = log_in(api, f" {person.email.upper()}", **here)

    assert [answer.status_code for answer in (*wrong, refused)] == [401, 401, 429]
    assert limited(wrong[0]) == [2, 1, 450]
    assert 440 <= int(refused.headers["Retry-After"]) <= 450
    assert log_in(api, person.email, **elsewhere).status_code == 200  # the owner, whatever others guess
    assert log_in(api, f"{secrets.token_hex(6)}@example.org", **here).status_code == 401


def test_right_log_ins_are_not_counted(api_with: Run, person: Person) -> None:
    limits = {"CODEVOICE_ACCOUNT_LOGINS_PER_15MIN": "2", "CODEVOICE_ADDRESS_LOGINS_PER_15MIN": "2"}
    api = api_with(CODEVOICE_EMAIL_LOGINS_PER_15MIN="2", CODEVOICE_LOGIN_SLOW_S="5", **limits, **BEHIND_PROXY)
    at = {"X-Forwarded-For": "203.0.113.9"}
    refresh = {"refresh_token": person.refresh_token}
    began = time.monotonic()

    log_ins = [log_in(api, person.email, **at).status_code for _ in range(5)]
    renewed = [api.call("POST", "/api/auth/refresh", json=refresh, headers=at).status_code for _ in range(5)]

    assert (log_ins, renewed) == ([200] * 5, [200] * 5)
    assert [log_in(api, person.email, "wrong", **at).status_code for _ in range(3)] == [401, 401, 429]
    assert time.monotonic() - began < unhurried(5)  # slower from the third wrong one on


def test_guesses_from_everywhere_slow_an_e_mail_down_and_never_refuse_its_owner(
    api_with: Run, person: Person
) -> None:
    api = api_with(CODEVOICE_EMAIL_LOGINS_PER_15MIN="3", CODEVOICE_LOGIN_SLOW_S="0.7", **BEHIND_PROXY)

    def guess(network: int, password: str = "wrong password") -> tuple[int, float]:
        began = time.monotonic()
        answer = log_in(api, person.email, password, **{"X-Forwarded-For": f"10.0.0.1, 198.18.{network}.1"})
        return answer.status_code, time.monotonic() - began

    guesses = [guess(network) for network in range(5)]
    right = [guess(9, PASSWORD) for _ in range(2)]

    assert [status for status, _ in guesses] == [401] * 5
    assert [status for status, _ in right] == [200, 200]
    assert min(took for _, took in (*guesses[3:], *right)) >= 0.7
    bearer = {"Authorization": f"Bearer {person.token}"}
    assert api.call("GET", "/api/auth/me", headers=bearer).status_code == 200  # sessions go on


def test_resets_have_a_bucket_of_their_own(api_with: Run, person: Person, tmp_path: Path) -> None:
    api = api_with(
        CODEVOICE_ACCOUNT_LOGINS_PER_15MIN="2", CODEVOICE_RESETS_PER_15MIN="2",
        CODEVOICE_MAIL_FOLDER=str(tmp_path), **BEHIND_PROXY,
    )  # fmt: skip
    at = {"X-Forwarded-For": "203.0.113.77"}
    guesses = [log_in(api, person.email, "wrong", **at).status_code for _ in range(3)]
    resets = [
        api.call("POST", "/api/auth/password/reset", json={"email": person.email}, headers=at).status_code
        for _ in range(3)
    ]

    assert (guesses, resets) == ([401, 401, 429], [202, 202, 429])


def test_a_page_counts_wrong_passwords_too(api_with: Run, new_browser: NewBrowser, person: Person) -> None:
    api = api_with(CODEVOICE_ACCOUNT_LOGINS_PER_15MIN="2")
    browser = new_browser(api)
    for _ in range(2):
        browser.open("/login")
        assert browser.send("/login", email=person.email, password="wrong").status_code == 401

    assert browser.send("/login", email=person.email, password=PASSWORD).status_code == 429
    inside = new_browser(api_with()).log_in(person.email)
    changed = inside.open("/password").status_code, inside.open("/").status_code
    assert changed == (200, 200)


def test_wrong_passwords_at_a_change_are_counted_apart_from_log_ins(api_with: Run, person: Person) -> None:
    api = api_with(CODEVOICE_ACCOUNT_LOGINS_PER_15MIN="2")
    bearer = {"Authorization": f"Bearer {person.token}"}
    body = {"current_password": "wrong", "new_password": "battery staple"}
    path = "/api/auth/password/change"

    changes = [api.call("POST", path, json=body, headers=bearer).status_code for _ in range(3)]

    assert changes == [401, 401, 429]
    assert log_in(api, person.email).status_code == 200


def test_an_e_mail_without_an_account_is_counted_alike(api_with: Run) -> None:
    api, nobody = api_with(CODEVOICE_ACCOUNT_LOGINS_PER_15MIN="2"), f"{secrets.token_hex(6)}@x.org"

    assert [log_in(api, nobody).status_code for _ in range(3)] == [401, 401, 429]


@pytest.mark.parametrize("email", ["", "nobody", "ü@example.org", "x" * 10_000])
def test_an_invalid_e_mail_is_counted_alike(api_with: Run, email: str) -> None:
    api = api_with(CODEVOICE_ACCOUNT_LOGINS_PER_15MIN="2")

    assert [log_in(api, email).status_code for _ in range(3)] == [401, 401, 429]


def test_concurrent_guesses_get_no_further_than_sequential_ones(api_with: Run, person: Person) -> None:
    api = api_with(CODEVOICE_ACCOUNT_LOGINS_PER_15MIN="2")

    with ThreadPoolExecutor(8) as threads:
        statuses = list(threads.map(lambda _: log_in(api, person.email, "wrong").status_code, range(8)))

    assert sorted(statuses) == [401, 401] + [429] * 6


def test_a_rate_limited_login_hashes_nothing_and_queries_nothing(
    wired: Callable[..., ApiProcess], wire: Wire, person: Person
) -> None:
    api = wired(CODEVOICE_ACCOUNT_LOGINS_PER_15MIN="2")
    for _ in range(2):
        log_in(api, person.email, "wrong")
    before = wire.round_trips
    statuses = {log_in(api, person.email, "wrong").status_code for _ in range(20)}

    assert statuses == {429}
    assert wire.round_trips - before <= 5


def test_wrong_log_ins_and_the_like_are_counted_by_address(
    api_with: Run, person: Person, address: str
) -> None:
    api = api_with(CODEVOICE_ADDRESS_LOGINS_PER_15MIN="4", **BEHIND_PROXY)
    at = {"X-Forwarded-For": address}
    answers = [
        log_in(api, person.email, "wrong", **at),
        api.call("POST", "/api/auth/refresh", json={"refresh_token": "nonsense"}, headers=at),
        api.call("POST", "/api/auth/refresh", content=b"{", headers=at),
        log_in(api, f"{secrets.token_hex(6)}@example.org", **at),
        log_in(api, person.email, **at),
    ]

    assert [answer.status_code for answer in answers] == [401, 401, 400, 401, 429]
    assert limited(answers[3])[:2] == [4, 0]
