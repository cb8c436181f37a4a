"""Rules that need no server: passwords, keys, words for credits, the demo account."""

import asyncio
import secrets
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from app.domain.accounts.demo import demo_account
from app.domain.accounts.password_hashing import PasswordHasher, argon2id
from app.domain.billing.credits import credits, in_words, refusal, used
from app.domain.errors import Internal, Unavailable
from app.domain.identity.key_crypto import KeyRing, Unsealable, is_well_formed
from tests.app.api_process import SECRETS, ApiProcess
from tests.app.conftest import PASSWORD

RING_SECRETS = {
    "key_pepper": SECRETS["CODEVOICE_KEY_PEPPER"],
    "key_encryption_key": SECRETS["CODEVOICE_KEY_ENCRYPTION_KEY"],
}


class CountingHasher:
    """Counts verifications."""

    def __init__(self) -> None:
        self._real = argon2id()
        self.verified: list[str] = []

    def hash(self, password: str, /) -> str:
        return self._real.hash(password)

    def verify(self, hash: str, password: str, /) -> bool:
        self.verified.append(hash)
        return self._real.verify(hash, password)

    def check_needs_rehash(self, hash: str, /) -> bool:
        return self._real.check_needs_rehash(hash)


async def test_verifying_a_password_costs_as_much_without_an_account() -> None:
    hasher = CountingHasher()
    passwords = PasswordHasher(hasher, threads=1, waiting_max=1)
    kept = await passwords.hash(PASSWORD)

    results = [await passwords.verify(kept, PASSWORD), await passwords.verify(None, PASSWORD)]
    passwords.close()

    assert results == [True, False]
    assert [hash.rpartition("$")[0][:30] for hash in hasher.verified] == [kept[:30]] * 2
    assert not passwords.is_outdated(hasher.verified[1])


async def test_too_many_concurrent_verifications_are_refused() -> None:
    passwords = PasswordHasher(argon2id(), threads=1, waiting_max=2)

    results = await asyncio.gather(*(passwords.hash(PASSWORD) for _ in range(8)), return_exceptions=True)
    again = await passwords.hash(PASSWORD)
    passwords.close()

    assert [isinstance(result, Unavailable) for result in results] == [False] * 3 + [True] * 5
    assert again.startswith("$argon2id$")


def ring(encryption_key: bytes = b"k" * 32) -> KeyRing:
    return KeyRing(pepper=b"p" * 32, encryption_key=encryption_key)


def test_a_key_is_well_formed_and_any_typing_error_is_detected() -> None:
    for _ in range(100):
        key = ring().make(uuid.uuid4()).text
        slip = secrets.randbelow(len(key))
        other = secrets.choice([letter for letter in "aB3" if letter != key[slip]])
        assert is_well_formed(key)
        assert not is_well_formed(key[:slip] + other + key[slip + 1 :])


def test_a_sealed_key_opens_with_its_row_and_key_only() -> None:
    row = uuid.uuid4()
    made = ring().make(row)

    assert ring().unseal(made.sealed, row) == made.text
    with pytest.raises(Unsealable):
        ring().unseal(made.sealed, uuid.uuid4())
    with pytest.raises(Unsealable):
        ring(b"x" * 32).unseal(made.sealed, row)


@pytest.mark.parametrize(
    ("micro", "words", "number"),
    [
        (0, "0", 0),
        (59_000_000, "59", 59),
        (59_500_000, "59.5", 59.5),
        (1, "0.000001", 0.000001),
        (10_000_000, "10", 10),
        (9_007_199_254_000_000, "9007199254", 9007199254),
    ],
)
def test_credits_are_formatted_for_people(micro: int, words: str, number: float) -> None:
    assert (in_words(micro), credits(micro)) == (words, number)


def test_a_price_of_nothing_is_described_as_free() -> None:
    assert used("registered", None, 0) == "No credit used."


def test_the_demo_account_is_opened_once_and_its_key_works(database_url: str, api: ApiProcess) -> None:
    def open_it(_: int) -> str:
        return demo_account(
            database_url=database_url, secrets=RING_SECRETS, email="demo@localhost", password=PASSWORD
        )

    with ThreadPoolExecutor(4) as threads:
        at_once = set(threads.map(open_it, range(4)))

    assert at_once == {open_it(0)}
    assert api.call("GET", "/api/auth/me", open_it(0)).json()["user"]["email"] == "demo@localhost"
    body = {"email": "demo@localhost", "password": PASSWORD}
    assert api.call("POST", "/api/auth/login", json=body).json()["api_key"] == open_it(0)


def test_a_demo_account_without_a_key_gets_one(database_url: str, owner: psycopg.Connection[object]) -> None:
    def open_it() -> str:
        return demo_account(
            database_url=database_url, secrets=RING_SECRETS, email="demo2@localhost", password=PASSWORD
        )

    first = open_it()
    owner.execute(
        "UPDATE cv.api_key SET revoked_at = clock_timestamp() WHERE account ="
        " (SELECT id FROM cv.account WHERE email = 'demo2@localhost')"
    )

    second = open_it()

    assert second != first
    assert second == open_it()


def test_the_demo_account_is_found_without_the_heavy_libraries() -> None:
    heavy = ("sqlalchemy", "litestar", "advanced_alchemy", "psycopg")
    code = f"import sys, app.domain.accounts.demo; print([m for m in {heavy} if m in sys.modules])"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("code", ["malformed", "no_wallet"])
def test_a_job_the_database_refuses_is_an_internal_error_and_not_a_lack_of_credits(code: str) -> None:
    assert isinstance(refusal(code, kind="registered", price=1, remaining=0), Internal)
