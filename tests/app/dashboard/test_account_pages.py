"""The entry pages, and operators' reset links, verification and invitations."""

import re
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from db.settings import SettingsError
from tests.app.api_process import ApiProcess
from tests.app.browser import Browser, words
from tests.app.conftest import PASSWORD, NewBrowser, Person, Run, key_ring
from tests.app.mailbox import in_folder, mail_to

NO_MAIL = "This server cannot send mail; ask your operator."
NEW = "battery staple"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mails")


@pytest.fixture
def verifying(api_with: Run, folder: Path) -> ApiProcess:
    """An API server that requires e-mail verification; its mails are written to `folder`."""
    return api_with(CODEVOICE_EMAIL_VERIFICATION="required", CODEVOICE_MAIL_FOLDER=str(folder))


def link_in(text: str) -> str:
    found = re.search(r"/(?:reset/confirm|verify|signup)\?\w+=[\w.-]+|(?:cvr_|cvi_|eyJ)[\w.-]+", text)
    assert found, text
    return found[0]


def token_in(text: str) -> str:
    return link_in(text).rpartition("=")[2]


def test_without_a_mailer_the_reset_page_shows_a_notice_and_no_form(
    new_browser: NewBrowser, person: Person
) -> None:
    browser = new_browser()

    page = browser.open("/reset")
    sent = browser.send("/reset", email=person.email)

    assert NO_MAIL[:-1] in words(page)
    assert 'action="/reset"' not in page.text
    assert (sent.status_code, NO_MAIL[:-1] in words(sent), "is on its way" in words(sent)) == (
        409,
        True,
        False,
    )


def test_an_operators_link_sets_a_new_password_once(
    new_browser: NewBrowser, admin: Browser, person: Person
) -> None:
    admin.open(f"/admin/users/{person.id}")
    answer = admin.send(f"/admin/users/{person.id}/reset-link", reason="asked by phone", key=uuid4().hex)
    token = token_in(words(answer))
    browser = new_browser()
    browser.open(f"/reset/confirm?token={token}")

    done = browser.send("/reset/confirm", token=token, password=NEW)

    assert "shown this once" in words(answer)
    assert token not in admin.open(f"/admin/users/{person.id}").text
    assert (done.status_code, str(done.url.path)) == (200, "/")
    assert "Your older API keys are revoked" in words(done)
    again = new_browser()
    again.open("/reset/confirm")
    assert again.send("/reset/confirm", token=token, password=NEW).status_code == 403
    assert "reset link" in words(admin.open("/admin/acts"))


def test_a_reset_link_for_an_account_that_cannot_log_in_is_refused(
    api: ApiProcess, admin: Browser, person: Person, owner: psycopg.Connection[Any]
) -> None:
    owner.execute("UPDATE cv.account SET suspended = true WHERE id = %s", [person.id])
    admin.open(f"/admin/users/{person.id}")

    refused = admin.send(f"/admin/users/{person.id}/reset-link", reason="asked by phone", key=uuid4().hex)

    assert (refused.status_code, "suspended, or has no password" in words(refused)) == (422, True)


def test_the_api_makes_the_same_link_for_administrators(
    api_with: Run, person: Person, owner: psycopg.Connection[Any], sign_up: Any
) -> None:
    api = api_with(CODEVOICE_PUBLIC_URL="https://voice.example.org/")
    operator = sign_up()
    owner.execute("UPDATE cv.account SET admin = true WHERE id = %s", [operator.id])
    headers = {"Idempotency-Key": uuid4().hex}
    path = f"/api/admin/users/{person.email}/reset-link"

    first, again = (
        api.call("POST", path, operator.key, json={"reason": "ticket 4"}, headers=headers) for _ in range(2)
    )

    made, replayed = first.json(), again.json()
    assert first.status_code == 201
    assert made["url"] == f"https://voice.example.org/reset/confirm?token={made['token']}"
    assert (replayed["code"], replayed["token"], replayed["url"]) == ("replayed", None, None)
    body = {"token": made["token"], "password": NEW, "keep_keys": True}
    done = api.call("POST", "/api/auth/password/reset/confirm", json=body)
    assert (done.status_code, done.json()["api_key"]) == (200, None)


def test_the_reset_page_asks_whether_to_keep_keys(
    new_browser: NewBrowser, person: Person, owner: psycopg.Connection[Any]
) -> None:
    token = "cvr_" + uuid4().hex
    owner.execute(
        "INSERT INTO cv.password_reset VALUES (%s, %s, clock_timestamp() + interval '1 h', false)",
        [key_ring().digest(token), person.id],
    )
    browser = new_browser()
    page = browser.open(f"/reset/confirm?token={token}")

    done = browser.send("/reset/confirm", token=token, password=NEW, keep_keys="true")

    assert 'name="keep_keys"' in page.text
    assert "revoked" not in words(done)
    working = "SELECT count(*) FROM cv.api_key WHERE account = %s AND revoked_at IS NULL"
    assert owner.execute(working, [person.id]).fetchone() == (1,)


def test_credits_are_granted_when_the_address_is_verified(
    verifying: ApiProcess, folder: Path, new_browser: NewBrowser, owner: psycopg.Connection[Any]
) -> None:
    browser, email = new_browser(verifying), f"{uuid4().hex}@example.org"
    browser.open("/signup")
    browser.send("/signup", email=email, password=PASSWORD)
    before = browser.open("/")
    key = verifying.call("POST", "/api/auth/login", json={"email": email, "password": PASSWORD}).json()
    spoken = verifying.call("POST", "/v1/tts", key["api_key"], json={"text": "hello", "voice": "ryan"})
    token = token_in(str(mail_to(email, lambda: in_folder(folder)).get_payload(decode=True), "utf-8"))
    opened = browser.open(f"/verify?token={token}")
    unchanged = verifying.call("GET", "/api/auth/me", key["api_key"]).json()

    verified = browser.send("/verify", token=token)
    again = browser.send("/verify", token=token)

    assert f"Confirm your e-mail address by the link in the mail to {email}" in words(before)
    assert (spoken.status_code, key["user"]["email_verified"]) == (402, False)
    assert (opened.status_code, unchanged["credits"]["total_remaining"]) == (200, 0)
    assert "Your free credits are there" in words(verified)
    assert "Confirm your e-mail" not in words(again)
    after = verifying.call("GET", "/api/auth/me", key["api_key"]).json()
    assert (after["credits"]["total_remaining"], "email_verified" in after["user"]) == (60, False)
    acts = owner.execute(
        "SELECT count(*) FROM cv.admin_act WHERE owner = %s AND reason = 'email_verified'",
        [after["user"]["id"]],
    ).fetchone()
    assert acts == (1,)


def test_a_verification_mail_can_be_sent_again(
    verifying: ApiProcess, folder: Path, new_browser: NewBrowser
) -> None:
    browser, email = new_browser(verifying), f"{uuid4().hex}@example.org"
    browser.open("/signup")
    browser.send("/signup", email=email, password=PASSWORD)
    mail_to(email, lambda: in_folder(folder))

    sent = browser.send("/verify/resend")
    second = mail_to(email, lambda: in_folder(folder), number=2)

    assert "The mail is on its way" in words(sent)
    body = {"token": token_in(str(second.get_payload(decode=True), "utf-8"))}
    assert verifying.call("POST", "/api/auth/verify", json=body).json() == {"status": "verified"}
    refused = browser.send("/verify/resend")
    assert refused.status_code == 409


@pytest.mark.parametrize("token", ["", "nonsense", "a.b.c", "person"])
def test_only_a_verification_token_verifies(api: ApiProcess, person: Person, token: str) -> None:
    body = {"token": person.token if token == "person" else token}

    refused = api.call("POST", "/api/auth/verify", json=body)

    assert (refused.status_code, refused.json()["detail"]["error"]) == (403, "invalid_verification_token")


def test_without_verification_credits_are_granted_at_once_and_no_mail_is_sent(
    api_with: Run, tmp_path: Path
) -> None:
    api = api_with(CODEVOICE_MAIL_FOLDER=str(tmp_path))
    body = {"email": f"{uuid4().hex}@example.org", "password": PASSWORD}

    made = api.call("POST", "/api/auth/register", json=body).json()

    me = api.call("GET", "/api/auth/me", made["api_key"]).json()
    assert (me["credits"]["total_remaining"], "email_verified" in me["user"]) == (60, False)
    assert in_folder(tmp_path) == []


def test_a_limit_an_operator_set_is_not_lifted_by_a_reset(
    api_with: Run, folder: Path, person: Person, owner: psycopg.Connection[Any]
) -> None:
    api = api_with(CODEVOICE_MAIL_FOLDER=str(folder))
    owner.execute("SELECT cv.set_terms(%s, gen_random_uuid(), 1, 0, 'test', 'test')", [person.id])
    owner.execute("UPDATE cv.wallet SET monthly = 0, next_tier = NULL WHERE owner = %s", [person.id])
    api.call("POST", "/api/auth/password/reset", json={"email": person.email})
    token = token_in(str(mail_to(person.email, lambda: in_folder(folder)).get_payload(decode=True), "utf-8"))

    api.call("POST", "/api/auth/password/reset/confirm", json={"token": token, "password": NEW})

    monthly = "SELECT monthly FROM cv.wallet WHERE owner = %s"
    assert owner.execute(monthly, [person.id]).fetchone() == (0,)


def test_verification_without_a_mailer_is_refused_at_start() -> None:
    from app.components import Components
    from app.settings import read_settings
    from db.settings import DbSettings
    from tests.app.api_process import SECRETS

    settings = read_settings({**SECRETS, "CODEVOICE_EMAIL_VERIFICATION": "required"})
    with pytest.raises(SettingsError, match=r"CODEVOICE_EMAIL_VERIFICATION: required needs mail"):
        Components(
            settings, DbSettings(database_url="postgresql://x", redis_url="redis://x", objects="file:///tmp")
        )


def test_an_invitation_is_created_used_and_revoked_by_pages(
    api_with: Run, admin: Browser, new_browser: NewBrowser
) -> None:
    inviting = api_with(CODEVOICE_REGISTRATION="invite")
    admin.open("/admin/invites")
    made = admin.send("/admin/invites", plan="pro", uses="2", days="7", reason="beta", key=uuid4().hex)
    code = token_in(words(made))
    guest = new_browser(inviting)
    guest.open(f"/signup?invite={code}")

    signed_up = guest.send("/signup", email=f"{uuid4().hex}@example.org", password=PASSWORD, invite=code)
    listed = admin.open("/admin/invites")
    row, *_ = re.findall(r"/admin/invites/([0-9a-f-]{36})/revoke", listed.text)  # the newest; others' follow
    revoked = admin.send(f"/admin/invites/{row}/revoke", reason="beta is over")

    assert (signed_up.status_code, str(signed_up.url.path)) == (200, "/playground")
    assert "1 of 2" in words(listed)
    assert code not in listed.text
    assert "The invitation is revoked" in words(revoked)
    body = {"email": f"{uuid4().hex}@example.org", "password": PASSWORD, "invite": code}
    refused = inviting.call("POST", "/api/auth/register", json=body)
    assert (refused.status_code, refused.json()["detail"]["error"]) == (403, "invalid_invite")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"uses": "0"}, "1 to 100000 uses"),
        ({"uses": "many"}, "uses"),
        ({"plan": "gold"}, "no plan"),
        ({"reason": ""}, "A reason has"),
    ],
)
def test_an_invalid_invitation_is_refused_on_the_page(
    admin: Browser, fields: dict[str, str], said: str
) -> None:
    admin.open("/admin/invites")

    refused = admin.send("/admin/invites", **({"reason": "beta", "uses": "1"} | fields))

    assert (refused.status_code in (404, 422), said in words(refused)) == (True, True), words(refused)
