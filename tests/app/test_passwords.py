"""Passwords changed, and reset by mail: of row 10."""

import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from app.domain.mail import FolderMailer, LogMailer, Mail, Mailer, MailError, SmtpMailer, open_mailer
from db.settings import SettingsError

from .conftest import PASSWORD, OpenAccount, Person, Run
from .front import Front
from .mailbox import SmtpServer, in_folder, mail_to, token_in

NEW = "battery staple"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mails")


@pytest.fixture
def mailing(front_with: Run, folder: Path) -> Front:
    """A front door whose mails lie in `folder`."""
    return front_with(CODEVOICE_MAIL_FOLDER=str(folder))


@pytest.fixture
def smtp() -> Generator[SmtpServer]:
    server = SmtpServer()
    yield server
    server.close()


def change(front: Front, token: str, current: str = PASSWORD, new: str = NEW) -> httpx.Response:
    body = {"current_password": current, "new_password": new}
    headers = {"Authorization": f"Bearer {token}"}
    return front.call("POST", "/api/auth/password/change", json=body, headers=headers)


def login(front: Front, email: str, password: str) -> int:
    return front.call("POST", "/api/auth/login", json={"email": email, "password": password}).status_code


def ask(front: Front, email: object) -> httpx.Response:
    return front.call("POST", "/api/auth/password/reset", json={"email": email})


def confirm(front: Front, token: str, password: object = NEW) -> httpx.Response:
    body = {"token": token, "password": password}
    return front.call("POST", "/api/auth/password/reset/confirm", json=body)


def me(front: Front, credential: str) -> int:
    return front.call("GET", "/api/auth/me", headers={"Authorization": f"Bearer {credential}"}).status_code


def token_for(front: Front, folder: Path, email: str, *, number: int = 1) -> str:
    assert ask(front, email).status_code == 202
    return token_in(mail_to(email, lambda: in_folder(folder), number=number))


def test_changing_the_password_ends_every_token_but_the_fresh_ones(front: Front, person: Person) -> None:
    answer = change(front, person.token)

    found = answer.json()
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    assert (found["user"]["id"], found["api_key"]) == (person.id, None)
    assert [me(front, found["token"]), me(front, person.token), me(front, person.key)] == [200, 401, 200]
    refreshed = [
        front.call("POST", "/api/auth/refresh", json={"refresh_token": token}).status_code
        for token in (found["refresh_token"], person.refresh_token)
    ]
    assert refreshed == [200, 401]
    assert [login(front, person.email, NEW), login(front, person.email, PASSWORD)] == [200, 401]


@pytest.mark.parametrize(
    ("current", "new", "status", "error"),
    [
        ("wrong horse", NEW, 401, "invalid_credentials"),
        ("", NEW, 401, "invalid_credentials"),
        (PASSWORD, "seven77", 422, "validation_error"),
        (PASSWORD, "x" * 1025, 422, "validation_error"),
    ],
)
def test_a_password_not_changed_stays(
    front: Front, person: Person, current: str, new: str, status: int, error: str
) -> None:
    answer = change(front, person.token, current, new)

    assert (answer.status_code, answer.json()["detail"]["error"]) == (status, error)
    assert answer.json()["detail"].get("field") == ("new_password" if status == 422 else None)
    assert (login(front, person.email, PASSWORD), me(front, person.token)) == (200, 200)


def test_an_account_without_a_password_cannot_change_it(front: Front, open_account: OpenAccount) -> None:
    assert change(front, open_account("api_only"), "").json()["detail"]["error"] == "invalid_credentials"


def test_a_forgotten_password_is_reset_by_mail(mailing: Front, folder: Path, person: Person) -> None:
    token = token_for(mailing, folder, person.email)

    answer = confirm(mailing, token)

    assert (answer.status_code, answer.json()["user"]["id"]) == (200, person.id)
    assert me(mailing, answer.json()["token"]) == 200
    assert [login(mailing, person.email, NEW), login(mailing, person.email, PASSWORD)] == [200, 401]
    assert me(mailing, person.key) == 200
    assert confirm(mailing, token).json()["detail"]["error"] == "invalid_reset_token"


def test_a_reset_ends_the_tokens_of_log_ins_and_of_other_resets(
    mailing: Front, folder: Path, person: Person
) -> None:
    first = token_for(mailing, folder, person.email)
    second = token_for(mailing, folder, person.email, number=2)
    tokens = {first, second} | {token_in(mail) for mail in in_folder(folder) if mail["To"] == person.email}

    codes = sorted(confirm(mailing, token).status_code for token in tokens)

    assert codes == [200, 403]
    time.sleep(1)
    assert me(mailing, person.token) == 401


def test_a_token_works_once_however_many_use_it_at_once(mailing: Front, folder: Path, person: Person) -> None:
    token = token_for(mailing, folder, person.email)

    with ThreadPoolExecutor(8) as threads:
        codes = sorted(threads.map(lambda n: confirm(mailing, token, f"{NEW} {n}").status_code, range(8)))

    assert codes == [200] + [403] * 7


def test_a_token_ends_after_an_hour_and_is_kept_as_a_digest(
    mailing: Front, folder: Path, person: Person, owner: psycopg.Connection[Any]
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
def test_nothing_else_resets(front: Front, token: str) -> None:
    answer = confirm(front, token)

    assert (answer.status_code, answer.json()["detail"]["error"]) == (403, "invalid_reset_token")


def test_a_password_that_cannot_be_one_leaves_the_token(mailing: Front, folder: Path, person: Person) -> None:
    token = token_for(mailing, folder, person.email)

    refused = confirm(mailing, token, "short")

    assert (refused.status_code, refused.json()["detail"]["field"]) == (422, "password")
    assert confirm(mailing, token).status_code == 200


def test_everybody_gets_the_same_answer_and_only_people_a_mail(
    mailing: Front, folder: Path, person: Person, owner: psycopg.Connection[Any]
) -> None:
    owner.execute("INSERT INTO cv.account (kind, email) VALUES ('api_only', 'robot@example.org')")
    emails = ["nobody@example.org", "robot@example.org", person.email.upper()]

    answers = [ask(mailing, email) for email in emails]

    assert [answer.status_code for answer in answers] == [202] * 3
    assert len({answer.content for answer in answers}) == 1
    mail_to(person.email, lambda: in_folder(folder))
    assert not {"nobody@example.org", "robot@example.org"} & {str(mail["To"]) for mail in in_folder(folder)}


@pytest.mark.parametrize("email", ["", "nobody", 5])
def test_what_is_no_email_is_said_so(front: Front, email: object) -> None:
    assert (ask(front, email).status_code, ask(front, email).json()["detail"]["field"]) == (422, "email")


def test_a_suspended_persons_password_stays(
    mailing: Front, folder: Path, person: Person, owner: psycopg.Connection[Any]
) -> None:
    token = token_for(mailing, folder, person.email)
    owner.execute("UPDATE cv.account SET suspended = true WHERE id = %s", [person.id])

    assert confirm(mailing, token).json()["detail"]["error"] == "account_suspended"

    owner.execute("UPDATE cv.account SET suspended = false WHERE id = %s", [person.id])
    assert confirm(mailing, token).status_code == 200


def test_the_mail_goes_out_by_smtp(front_with: Run, smtp: SmtpServer, person: Person) -> None:
    front = front_with(CODEVOICE_SMTP_URL=smtp.url, CODEVOICE_MAIL_FROM="Voice <voice@example.org>")
    ask(front, person.email)

    mail = mail_to(person.email, lambda: smtp.mails)

    assert (mail["From"], mail["Subject"]) == ("Voice <voice@example.org>", "Your new CodeVoice password")
    assert confirm(front, token_in(mail)).status_code == 200


def test_without_a_way_to_send_the_log_says_so_and_not_what(front: Front, person: Person) -> None:
    ask(front, person.email)

    deadline = time.monotonic() + 30
    while "mail_not_sent_but_logged" not in (log := front.log.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert "cvr_" not in log
    assert person.email not in log


def test_a_mail_server_out_of_reach_changes_no_answer(front_with: Run, person: Person) -> None:
    front = front_with(CODEVOICE_SMTP_URL="smtp://127.0.0.1:9")

    assert ask(front, person.email).status_code == 202
    assert front.call("GET", "/health/live").status_code == 200


@pytest.mark.parametrize("kind", ["folder", "smtp", "log"])
async def test_every_mailer_takes_a_mail(kind: str, tmp_path: Path, smtp: SmtpServer) -> None:
    sender = "Zoë <voice@example.org>"
    mailers: dict[str, Mailer] = {
        "folder": FolderMailer(tmp_path / "new", sender),
        "smtp": SmtpMailer(smtp.url, sender),
        "log": LogMailer(is_text_logged=True),
    }
    mail = Mail(to="a@example.org", subject="Grüße", text="Zwei\n.\nZeilen: …\n")

    await mailers[kind].send(mail)

    sent = {"folder": in_folder(tmp_path / "new"), "smtp": smtp.mails, "log": []}[kind]
    assert [
        (found["To"], found["From"], found["Subject"], str(found.get_payload(decode=True), "utf-8").split())
        for found in sent
    ] == [("a@example.org", sender, "Grüße", ["Zwei", ".", "Zeilen:", "…"])] * (kind != "log")


@pytest.mark.parametrize(
    "mailer", [SmtpMailer("smtp://127.0.0.1:9", "a@b"), FolderMailer(Path("/dev/null/x"), "a@b")]
)
async def test_a_mail_nobody_takes_is_said_so(mailer: Mailer) -> None:
    with pytest.raises(MailError):
        await mailer.send(Mail(to="a@example.org", subject="x", text="secret"))


@pytest.mark.parametrize("url", ["http://u:secret@mail", "smtp://u:secret@", "smtp://u:secret@m:99999"])
def test_a_url_that_makes_no_sense_is_named_and_not_shown(url: str) -> None:
    with pytest.raises(SettingsError, match="CODEVOICE_SMTP_URL") as refused:
        open_mailer(smtp_url=url, folder="", sender="a@b", is_text_logged=False)

    assert "secret" not in str(refused.value)
