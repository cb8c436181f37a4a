"""A message for the page after a redirect: for one account and one page, shown once, valid for minutes."""

import uuid

import pytest
from litestar.datastructures import Cookie

from app.dashboard import flash as module
from app.dashboard.flash import Flash, Flashes, ShownKey

ANN, BOB = uuid.uuid4(), uuid.uuid4()
MESSAGE = Flash(text="Done.", key=ShownKey(name="mine", text="cv_live_secret", personal=False))


@pytest.fixture
def flashes() -> Flashes:
    return Flashes(b"3" * 32, is_secure=True)


def sent(*cookies: Cookie) -> list[tuple[bytes, bytes]]:
    return [(b"cookie", "; ".join(f"{cookie.key}={cookie.value}" for cookie in cookies).encode())]


def test_a_message_is_read_once_by_its_own_page(flashes: Flashes) -> None:
    cookie = flashes.seal(MESSAGE, "/credits", ANN)

    found, spent = Flashes(b"3" * 32, is_secure=True).take(sent(cookie), "/credits", ANN)

    assert found == MESSAGE
    assert spent is not None
    assert (spent.key, spent.value, spent.max_age) == (cookie.key, "", 0)
    header = cookie.to_header()
    assert {"HttpOnly", "Secure", "Path=/", "SameSite=lax"} <= set(header.split("; "))
    assert "cv_live" not in header
    assert cookie.key.startswith("__Host-")


@pytest.mark.parametrize(("page", "account"), [("/history", ANN), ("/credits", BOB), ("/credits", None)])
def test_a_message_is_hidden_from_other_pages_and_accounts(
    flashes: Flashes, page: str, account: uuid.UUID | None
) -> None:
    assert flashes.take(sent(flashes.seal(MESSAGE, "/credits", ANN)), page, account) == (None, None)


def test_an_expired_message_is_not_shown(flashes: Flashes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LIFE_S", -1)

    found, spent = flashes.take(sent(flashes.seal(MESSAGE, "/credits", ANN)), "/credits", ANN)

    assert found is None
    assert spent is not None


@pytest.mark.parametrize("value", ["", "A", "AAAA", "%%%", "A" * 2000])
def test_a_value_not_sealed_here_is_no_message(flashes: Flashes, value: str) -> None:
    cookie = flashes.seal(MESSAGE, "/credits", ANN)
    cookie.value = value

    assert flashes.take(sent(cookie), "/credits", ANN) == (None, None)
