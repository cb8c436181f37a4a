"""Mailers: every kind sends a mail, and says when it cannot."""

from collections.abc import Generator
from pathlib import Path

import pytest

from app.domain.accounts.mail import (
    FolderMailer,
    LogMailer,
    Mail,
    Mailer,
    MailError,
    MailSettings,
    SmtpMailer,
    open_mailer,
)
from db.settings import SettingsError
from tests.app.mailbox import SmtpServer, in_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mails")


@pytest.fixture
def smtp() -> Generator[SmtpServer]:
    server = SmtpServer()
    yield server
    server.close()


@pytest.mark.parametrize("kind", ["folder", "smtp", "log"])
async def test_every_mailer_sends_a_mail(kind: str, tmp_path: Path, smtp: SmtpServer) -> None:
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
async def test_a_mail_that_cannot_be_delivered_raises_mail_error(mailer: Mailer) -> None:
    with pytest.raises(MailError):
        await mailer.send(Mail(to="a@example.org", subject="x", text="secret"))


@pytest.mark.parametrize("url", ["http://u:secret@mail", "smtp://u:secret@", "smtp://u:secret@m:99999"])
def test_an_invalid_mail_url_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(SettingsError, match="CODEVOICE_SMTP_URL") as refused:
        open_mailer(MailSettings(smtp_url=url))

    assert "secret" not in str(refused.value)
