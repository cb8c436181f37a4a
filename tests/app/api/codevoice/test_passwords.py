"""`/api/auth/password`: passwords are changed, and reset by mail."""

import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest

from tests.app.api_process import ApiProcess
from tests.app.conftest import PASSWORD, AddKey, OpenAccount, Person, Run, SignUp, key_ring
from tests.app.mailbox import SmtpServer, in_folder, mail_to, token_in

NEW = "battery staple"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mails")


@pytest.fixture
def mailing(api_with: Run, folder: Path) -> ApiProcess:
    """An API server whose mails are written to `folder`."""
    return api_with(CODEVOICE_MAIL_FOLDER=str(folder))


@pytest.fixture
def smtp() -> Generator[SmtpServer]:
    server = SmtpServer()
    yield server
    server.close()


def change(api: ApiProcess, token: str, current: str = PASSWORD, new: str = NEW) -> httpx.Response:
    body = {"current_password": current, "new_password": new}
    headers = {"Authorization": f"Bearer {token}"}
    return api.call("POST", "/api/auth/password/change", json=body, headers=headers)


def login(api: ApiProcess, email: str, password: str) -> int:
    return api.call("POST", "/api/auth/login", json={"email": email, "password": password}).status_code


def ask(api: ApiProcess, email: object) -> httpx.Response:
    return api.call("POST", "/api/auth/password/reset", json={"email": email})


def confirm(api: ApiProcess, token: str, password: object = NEW) -> httpx.Response:
    body = {"token": token, "password": password}
    return api.call("POST", "/api/auth/password/reset/confirm", json=body)


def me(api: ApiProcess, credential: str) -> int:
    return api.call("GET", "/api/auth/me", headers={"Authorization": f"Bearer {credential}"}).status_code


def token_for(api: ApiProcess, folder: Path, email: str, *, number: int = 1) -> str:
    assert ask(api, email).status_code == 202
    return token_in(mail_to(email, lambda: in_folder(folder), number=number))


def test_one_of_several_concurrent_password_changes_succeeds(api: ApiProcess, person: Person) -> None:
    wanted = [f"{NEW} {number}" for number in range(4)]
    with ThreadPoolExecutor(len(wanted)) as threads:
        answers = list(threads.map(lambda new: change(api, person.token, new=new).status_code, wanted))

    logged_in = [login(api, person.email, new) for new in wanted]
    assert sorted(answers) == [200, 401, 401, 401]
    assert [status == 200 for status in answers] == [status == 200 for status in logged_in]


def test_changing_the_password_ends_every_token_but_the_fresh_ones(api: ApiProcess, person: Person) -> None:
    answer = change(api, person.token)

    found = answer.json()
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    assert (found["user"]["id"], found["api_key"]) == (person.id, None)
    assert [me(api, found["token"]), me(api, person.token), me(api, person.key)] == [200, 401, 200]
    refreshed = [
        api.call("POST", "/api/auth/refresh", json={"refresh_token": token}).status_code
        for token in (found["refresh_token"], person.refresh_token)
    ]
    assert refreshed == [200, 401]
    assert [login(api, person.email, NEW), login(api, person.email, PASSWORD)] == [200, 401]


@pytest.mark.parametrize(
    ("current", "new", "status", "error"),
    [
        ("wrong horse", NEW, 401, "invalid_credentials"),
        ("", NEW, 401, "invalid_credentials"),
        (PASSWORD, "seven77", 422, "validation_error"),
        (PASSWORD, "x" * 1025, 422, "validation_error"),
    ],
)
def test_a_refused_change_keeps_the_password(
    api: ApiProcess, person: Person, current: str, new: str, status: int, error: str
) -> None:
    answer = change(api, person.token, current, new)

    assert (answer.status_code, answer.json()["detail"]["error"]) == (status, error)
    assert answer.json()["detail"].get("field") == ("new_password" if status == 422 else None)
    assert (login(api, person.email, PASSWORD), me(api, person.token)) == (200, 200)


def test_an_account_without_a_password_cannot_change_it(api: ApiProcess, open_account: OpenAccount) -> None:
    assert change(api, open_account("api_only"), "").json()["detail"]["error"] == "invalid_credentials"


def test_a_forgotten_password_is_reset_by_mail(mailing: ApiProcess, folder: Path, person: Person) -> None:
    token = token_for(mailing, folder, person.email)

    answer = confirm(mailing, token)

    assert (answer.status_code, answer.json()["user"]["id"]) == (200, person.id)
    assert me(mailing, answer.json()["token"]) == 200
    assert [login(mailing, person.email, NEW), login(mailing, person.email, PASSWORD)] == [200, 401]
    assert confirm(mailing, token).json()["detail"]["error"] == "invalid_reset_token"


def test_a_reset_ends_the_tokens_of_log_ins_and_of_other_resets(
    mailing: ApiProcess, folder: Path, person: Person
) -> None:
    first = token_for(mailing, folder, person.email)
    second = token_for(mailing, folder, person.email, number=2)
    tokens = {first, second} | {token_in(mail) for mail in in_folder(folder) if mail["To"] == person.email}

    codes = sorted(confirm(mailing, token).status_code for token in tokens)

    assert codes == [200, 403]
    time.sleep(1)
    assert me(mailing, person.token) == 401


def test_a_token_works_once_however_many_use_it_at_once(
    mailing: ApiProcess, folder: Path, person: Person
) -> None:
    token = token_for(mailing, folder, person.email)

    with ThreadPoolExecutor(8) as threads:
        codes = sorted(threads.map(lambda n: confirm(mailing, token, f"{NEW} {n}").status_code, range(8)))

    assert codes == [200] + [403] * 7


def test_a_reset_token_expires_after_an_hour_and_is_stored_as_a_digest(
    mailing: ApiProcess, folder: Path, person: Person, owner: psycopg.Connection[Any]
) -> None:
    token = token_for(mailing, folder, person.email)
    row = owner.execute(
        "SELECT r::text, expires_at - clock_timestamp() > interval '59 minutes' FROM cv.password_reset r"
        " WHERE account = %s",
        [person.id],
    ).fetchone()
    owner.execute(
        "UPDATE cv.password_reset SET expires_at = expires_at - interval '1 hour' WHERE account = %s",
        [person.id],
    )

    answer = confirm(mailing, token)

    assert row
    assert (token.encode().hex() in row[0], row[1]) == (False, True)
    assert (answer.status_code, answer.json()["detail"]["error"]) == (403, "invalid_reset_token")
    assert token not in mailing.log.read_text()


@pytest.mark.parametrize("token", ["", "nothing", "cvr_" + "x" * 43, "cvr_é", "cvr_\0"])
def test_only_a_reset_token_resets(api: ApiProcess, token: str) -> None:
    answer = confirm(api, token)

    assert (answer.status_code, answer.json()["detail"]["error"]) == (403, "invalid_reset_token")


def test_an_invalid_password_leaves_the_reset_token_valid(
    mailing: ApiProcess, folder: Path, person: Person
) -> None:
    token = token_for(mailing, folder, person.email)

    refused = confirm(mailing, token, "short")

    assert (refused.status_code, refused.json()["detail"]["field"]) == (422, "password")
    assert confirm(mailing, token).status_code == 200


def test_everybody_gets_the_same_answer_and_only_people_a_mail(
    mailing: ApiProcess, folder: Path, person: Person, owner: psycopg.Connection[Any]
) -> None:
    owner.execute("INSERT INTO cv.account (kind, email) VALUES ('api_only', 'robot@example.org')")
    emails = ["nobody@example.org", "robot@example.org", person.email.upper()]

    answers = [ask(mailing, email) for email in emails]

    assert [answer.status_code for answer in answers] == [202] * 3
    assert len({answer.content for answer in answers}) == 1
    mail_to(person.email, lambda: in_folder(folder))
    assert not {"nobody@example.org", "robot@example.org"} & {str(mail["To"]) for mail in in_folder(folder)}


@pytest.mark.parametrize("email", ["", "nobody", 5])
def test_an_invalid_email_is_refused(api: ApiProcess, email: object) -> None:
    assert (ask(api, email).status_code, ask(api, email).json()["detail"]["field"]) == (422, "email")


def test_a_reset_is_refused_while_the_account_is_suspended(
    mailing: ApiProcess, folder: Path, person: Person, owner: psycopg.Connection[Any]
) -> None:
    token = token_for(mailing, folder, person.email)
    owner.execute("UPDATE cv.account SET suspended = true WHERE id = %s", [person.id])

    assert confirm(mailing, token).json()["detail"]["error"] == "account_suspended"

    owner.execute("UPDATE cv.account SET suspended = false WHERE id = %s", [person.id])
    assert confirm(mailing, token).status_code == 200


def test_the_reset_mail_is_sent_by_smtp(api_with: Run, smtp: SmtpServer, person: Person) -> None:
    api = api_with(CODEVOICE_SMTP_URL=smtp.url, CODEVOICE_MAIL_FROM="Voice <voice@example.org>")
    ask(api, person.email)

    mail = mail_to(person.email, lambda: smtp.mails)

    assert (mail["From"], mail["Subject"]) == ("Voice <voice@example.org>", "Your new CodeVoice password")
    assert confirm(api, token_in(mail)).status_code == 200


def test_without_a_mailer_a_reset_request_is_an_error_for_any_email(api: ApiProcess, person: Person) -> None:
    answers = [ask(api, email) for email in (person.email, "nobody@example.org")]

    assert [(answer.status_code, answer.json()["detail"]["error"]) for answer in answers] == [
        (409, "mail_not_set_up")
    ] * 2
    message = "This server cannot send mail; ask your operator."
    assert {answer.json()["detail"]["message"] for answer in answers} == {message}


def test_the_log_mailer_writes_mails_to_the_log(api_with: Run, person: Person) -> None:
    api = api_with(CODEVOICE_MAIL_TEXT_LOGGED="true")

    assert ask(api, person.email).status_code == 202
    deadline = time.monotonic() + 30
    while "cvr_" not in api.log.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def keys(person: Person, add_key: AddKey) -> dict[str, str]:
    """Keys created before and after a moment an hour ago; the personal key is new."""
    now = datetime.now(UTC)
    return {
        "old": add_key(person.id, created_at=now - timedelta(hours=2)),
        "young": add_key(person.id, created_at=now - timedelta(minutes=30)),
    }


@pytest.mark.parametrize(
    ("verified", "keep_keys", "working"),
    [
        (False, False, set()),
        (False, True, {"old", "young", "personal"}),
        (True, False, {"young", "personal"}),
        (True, True, {"old", "young", "personal"}),
    ],
)
def test_a_reset_revokes_keys_older_than_the_verification_unless_they_are_kept(
    mailing: ApiProcess, folder: Path, person: Person, keys: dict[str, str], owner: psycopg.Connection[Any],
    verified: bool, keep_keys: bool, working: set[str],
) -> None:  # fmt: skip
    if verified:
        owner.execute(
            "UPDATE cv.account SET verified_at = clock_timestamp() - interval '1 h' WHERE id = %s",
            [person.id],
        )
    body = {"token": token_for(mailing, folder, person.email), "password": NEW}

    answer = mailing.call(
        "POST", "/api/auth/password/reset/confirm", json=body | ({"keep_keys": True} if keep_keys else {})
    )

    rows = owner.execute(
        "SELECT digest FROM cv.api_key WHERE account = %s AND revoked_at IS NULL", [person.id]
    ).fetchall()
    digests = {bytes(row[0]) for row in rows}
    all_keys = keys | {"personal": person.key}
    assert {name for name, key in all_keys.items() if key_ring().digest(key) in digests} == working
    new = answer.json()["api_key"]
    assert (new is None) == ("personal" in working)
    if new is not None:
        assert me(mailing, new) == 200
        assert len(rows) == len(working) + 1


def test_a_reset_by_mail_verifies_the_address_and_one_by_an_operator_does_not(
    mailing: ApiProcess, folder: Path, sign_up: SignUp, owner: psycopg.Connection[Any]
) -> None:
    mailed, by_operator = sign_up(), sign_up()
    token = "cvr_" + uuid4().hex
    owner.execute(
        "INSERT INTO cv.password_reset VALUES (%s, %s, clock_timestamp() + interval '1 h', false)",
        [key_ring().digest(token), by_operator.id],
    )

    assert confirm(mailing, token_for(mailing, folder, mailed.email)).status_code == 200
    assert confirm(mailing, token).status_code == 200

    verified = "SELECT verified_at IS NOT NULL FROM cv.account WHERE id = %s"
    found = [owner.execute(verified, [person.id]).fetchone() for person in (mailed, by_operator)]
    assert found == [(True,), (False,)]


def test_an_unreachable_mail_server_does_not_change_the_response(api_with: Run, person: Person) -> None:
    api = api_with(CODEVOICE_SMTP_URL="smtp://127.0.0.1:9")

    assert ask(api, person.email).status_code == 202
    assert api.call("GET", "/health/live").status_code == 200
