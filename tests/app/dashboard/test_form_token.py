"""A page loaded before its user logged in again gets a token of the new session; no other site does."""

from tests.app.api_process import ApiProcess
from tests.app.browser import Browser
from tests.app.conftest import LogIn, NewBrowser, Person


def test_a_page_gets_the_token_of_the_session_that_its_browser_has(log_in: LogIn, person: Person) -> None:
    browser = log_in(person)

    found = browser.client.get("/session/token").json()
    answer = browser.client.get("/api/auth/me", headers={"X-CSRF-Token": found["form_token"]})

    assert found == {"form_token": browser.token, "account": person.id}
    assert answer.json()["user"]["email"] == person.email


def test_an_anonymous_visitor_gets_a_token_without_an_account(new_browser: NewBrowser) -> None:
    browser = new_browser()

    found, again = browser.client.get("/session/token").json(), browser.client.get("/session/token").json()

    assert found["account"] is None
    assert found == again  # bound to the visit that the first one began


def test_no_other_site_gets_a_token(browser: Browser, api: ApiProcess) -> None:
    for site in ("cross-site", "same-site", "none"):
        answer = browser.client.get("/session/token", headers={"Sec-Fetch-Site": site})
        assert answer.status_code == 404

    answer = browser.client.get("/session/token", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-credentials" not in answer.headers


def test_a_form_sent_after_the_session_ended_leads_back_to_its_page(browser: Browser) -> None:
    browser.open("/credits")
    browser.client.cookies.clear()

    answer = browser.client.post("/credits/keys", data={"form_token": browser.token, "name": "x"})

    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/credits")
