"""Irreversible operations are confirmed first, also without scripts; operators cannot lock themselves out."""

import re

import pytest

from tests.app.api_process import ApiProcess
from tests.app.browser import Browser, words
from tests.app.conftest import Person


@pytest.mark.parametrize(
    ("name", "form", "question_text", "done"),
    [
        ("expire", {"amount": "1.5"}, "Remove 1.5 credits from {}?", "Removed 1.5 credits from {}."),
        ("limit", {"monthly": "70"}, "limit of {} to 70 credits?", "limit of {} to 70 credits."),
        ("unlimited", {}, "Make {} unlimited?", "Made {} unlimited. The account is unlimited."),
        ("plan", {"plan": "pro"}, "plan of {} to pro?", "Set the plan of {} to pro."),
        ("suspend", {}, "Suspend {}?", "Suspended {}."),
    ],
)
def test_an_irreversible_operation_is_confirmed_then_done_and_reported(
    admin: Browser,
    person: Person,
    api: ApiProcess,
    name: str,
    form: dict[str, str],
    question_text: str,
    done: str,
) -> None:
    path = f"/admin/users/{person.id}/{name}"
    admin.open(f"/admin/users/{person.id}")
    admin.send(f"/admin/users/{person.id}/grant", amount="2", reason="before", key=f"before-{name}")
    before = api.call("GET", "/api/auth/me", person.key).json()

    question = admin.client.get(path, params={"reason": "why not", "key": f"k-{name}", **form})
    meanwhile = api.call("GET", "/api/auth/me", person.key).json()
    answer = admin.send(path, **hidden(question.text))

    assert question_text.format(person.email) in words(question)
    assert meanwhile == before
    assert answer.url.path == f"/admin/users/{person.id}"
    assert done.format(person.email) in words(answer)
    assert "why not" in words(admin.open("/admin/acts"))


def test_a_key_is_revoked_after_a_confirmation(browser: Browser, person: Person, api: ApiProcess) -> None:
    api.call("POST", "/api/keys", person.key, json={"name": "build server", "scopes": []})
    link = re.findall(r'href="(/credits/keys/[0-9a-f-]{36}/revoke)"', browser.open("/credits").text)[-1]

    question = browser.open(link)
    answer = browser.send(link)

    assert "Revoke the key “build server”?" in words(question)
    assert "The key is revoked" in words(answer)
    keys = api.call("GET", "/api/keys", person.key).json()["keys"]
    assert [key["name"] for key in keys if key["revoked_at"]] == ["build server"]


@pytest.mark.parametrize("amount", ["1e3", "Infinity", "1_000", "0x10", "five"])
def test_an_invalid_amount_is_refused_before_the_confirmation(
    admin: Browser, person: Person, amount: str
) -> None:
    path = f"/admin/users/{person.id}"
    admin.open(path)

    question_text = admin.client.get(f"{path}/expire", params={"amount": amount, "reason": "r"})
    given = admin.send(f"{path}/grant", amount=amount, reason="r", key=f"odd-{amount}")

    assert [answer.status_code for answer in (question_text, given)] == [422, 422]
    assert "is not an amount" in words(given)


def test_administrators_cannot_suspend_themselves_or_close_their_own_account(
    admin: Browser, api: ApiProcess
) -> None:
    me = admin.client.get("/session/token").json()
    headers = {"X-CSRF-Token": me["form_token"]}
    admin.open(f"/admin/users/{me['account']}")

    page = admin.send(f"/admin/users/{me['account']}/suspend", reason="oops", key="self")
    closed = admin.client.post(
        f"/api/admin/accounts/{me['account']}/close", json={"reason": "oops"}, headers=headers
    )

    assert (page.status_code, "the account you are logged in with" in words(page)) == (409, True)
    assert (closed.status_code, closed.json()["detail"]["error"]) == (409, "own_account")
    assert admin.open("/admin").status_code == 200


def hidden(page: str) -> dict[str, str]:
    """The fields of the question's form that a person does not see, but the token."""
    found = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page))
    del found["form_token"]
    return found
