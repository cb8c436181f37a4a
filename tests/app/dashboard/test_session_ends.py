"""When a browser's session ends."""

import time
from collections.abc import Callable
from typing import Any

import psycopg

from tests.app.api_process import ApiProcess
from tests.app.browser import Browser
from tests.app.conftest import LogIn, Person
from tests.app.dashboard.test_pages import is_sent_to_log_in
from tests.clock import unhurried


def until(condition: Callable[[], bool]) -> float:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < 30
        time.sleep(0.02)
    return time.monotonic() - began


def test_logging_out_ends_this_browsers_session_and_no_other(log_in: LogIn, person: Person) -> None:
    here, there = log_in(person), log_in(person)
    cookies = dict(here.client.cookies)

    here.send("/logout")

    assert is_sent_to_log_in(here.open("/history"))
    here.client.cookies.update(cookies)  # kept by an attacker who copied it
    assert is_sent_to_log_in(here.open("/history"))
    assert there.open("/history").status_code == 200


def test_logging_out_everywhere_ends_every_browser_and_token_of_the_account(
    api: ApiProcess, log_in: LogIn, person: Person
) -> None:
    here, there = log_in(person), log_in(person)
    here.open("/password")

    answer = here.send("/logout/everywhere")

    assert "You are logged out everywhere" in answer.text
    assert is_sent_to_log_in(here.open("/history"))
    assert until(lambda: is_sent_to_log_in(there.open("/history"))) <= unhurried(1.0)
    bearer = {"Authorization": f"Bearer {person.token}"}
    assert api.call("GET", "/api/auth/me", headers=bearer).status_code == 401
    assert api.call("GET", "/api/auth/me", person.key).status_code == 200


def test_suspension_ends_a_session_within_a_second(
    browser: Browser, person: Person, owner: psycopg.Connection[Any]
) -> None:
    before = browser.open("/history").status_code

    owner.execute("UPDATE cv.account SET suspended = true WHERE id = %s", [person.id])

    assert before == 200
    assert until(lambda: is_sent_to_log_in(browser.open("/history"))) <= unhurried(1.0)
