"""Credentials that end while their owner's request is under way, in processes that still believe them."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Callable, Coroutine
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from app.domain.accounts.api_keys import ApiKeys, NewKey
from app.domain.accounts.email_verification import EmailVerification
from app.domain.accounts.mail import Mail
from app.domain.accounts.mail_queue import MailQueue
from app.domain.accounts.password_hashing import PasswordHasher
from app.domain.accounts.password_reset import PasswordReset
from app.domain.accounts.service import Accounts
from app.domain.admin.operations import find_replay, operation_by
from app.domain.database import Database
from app.domain.errors import InvalidKey, InvalidToken, Suspended, WrongLogin
from app.domain.identity.principal_cache import KeyUsageLog, PrincipalCache
from app.domain.identity.principals import Principal, Principals
from app.domain.identity.tokens import Tokens
from tests.app.conftest import PASSWORD, Person, Run, SignUp, key_ring
from tests.app.front import Front
from tests.app.mailbox import in_folder, mail_to, token_in

NEW = "battery staple"


class Silent:
    """Sends no mail, and says so to nobody."""

    can_send = True

    async def send(self, mail: Mail) -> None:
        await asyncio.Event().wait()


class Hasher:
    """Hashes nothing; every hash is outdated. `meanwhile` happens while it hashes."""

    meanwhile: Callable[[], object] = staticmethod(lambda: None)

    def hash(self, password: str, /) -> str:
        self.meanwhile()
        return f"hash of {password}"

    def verify(self, hash: str, password: str, /) -> bool:
        return hash == f"hash of {password}"

    def check_needs_rehash(self, hash: str, /) -> bool:
        return True


class Door:
    """The parts of a process that deal with credentials, with nobody to tell it that they ended."""

    def __init__(self, database_url: str) -> None:
        self.record = Database(
            database_url,
            connections_max=4,
            statement_timeout_ms=30_000,
            wait_s=30,
            waiting_max=100,
            silent_s=30,
        )
        self.hasher, ring = Hasher(), key_ring()
        passwords = PasswordHasher(self.hasher, threads=2, waiting_max=100)
        tokens = Tokens(bytes(32), token_s=600, refresh_token_s=600, session_s=600)
        principals = Principals(
            self.record, ring, tokens, remembered=PrincipalCache[Principal](600), uses=KeyUsageLog()
        )
        self.outbox = MailQueue(Silent())
        verification = EmailVerification(
            self.record, tokens, self.outbox, mode="required", public_url="http://localhost"
        )
        self.accounts = Accounts(
            self.record,
            ring,
            passwords,
            tokens,
            principals,
            verification,
            registration="open",
            reveal="always",
        )
        self.keys = ApiKeys(self.record, ring, principals, keys_max=10, reveal="always")
        self.resets = PasswordReset(
            self.record,
            ring,
            passwords,
            principals,
            self.accounts,
            self.outbox,
            public_url="http://localhost",
            keep_sealed=True,
        )


@pytest.fixture
async def door(database_url: str) -> AsyncGenerator[Door]:
    door = Door(database_url)
    await door.record.open(within_s=30)
    yield door
    await door.outbox.close()
    await door.record.close()


Rows = psycopg.Connection[Any]


def remembered(owner: Rows, person: Person, *, key: UUID | None = None) -> Principal:
    """The person, as a process that asked just now remembers."""
    row = owner.execute("SELECT token_epoch FROM cv.account WHERE id = %s", [person.id]).fetchone()
    assert row
    return Principal(
        account=UUID(person.id),
        user_type="registered",
        tier=1,
        admin=False,
        suspended=False,
        epoch=row[0],
        key=key,
        session=uuid4(),
    )


def personal_key(owner: Rows, person: Person) -> UUID:
    statement = "SELECT id FROM cv.api_key WHERE account = %s AND revoked_at IS NULL"
    row = owner.execute(statement, [person.id]).fetchone()
    assert row
    return UUID(str(row[0]))


def keys_of(owner: Rows, person: Person) -> list[tuple[Any, ...]]:
    statement = "SELECT id, revoked_at FROM cv.api_key WHERE account = %s ORDER BY id"
    return owner.execute(statement, [person.id]).fetchall()


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.getbasetemp() / "race-mails"


@pytest.fixture
def mailing(front_with: Run, folder: Path) -> Front:
    return front_with(CODEVOICE_MAIL_FOLDER=str(folder), CODEVOICE_PRINCIPAL_CACHE_S="600")


def token_for(front: Front, folder: Path, person: Person) -> str:
    assert front.call("POST", "/api/auth/password/reset", json={"email": person.email}).status_code == 202
    return token_in(mail_to(person.email, lambda: in_folder(folder)))


def confirm(front: Front, token: str) -> int:
    body = {"token": token, "password": NEW}
    return front.call("POST", "/api/auth/password/reset/confirm", json=body).status_code


def acts(door: Door, who: Principal, key: UUID) -> list[Coroutine[Any, Any, object]]:
    return [
        door.keys.create(who, NewKey(name="mine", scopes=[])),
        door.keys.rotate(who, str(key), grace_s=600),
        door.keys.revoke(who, str(key)),
        door.keys.one(who, str(key), reveal=True),
        door.keys.personal(who),
        door.accounts.logout_everywhere(who),
    ]


async def test_who_is_still_remembered_after_a_reset_makes_ends_and_sees_no_key(
    door: Door, mailing: Front, folder: Path, person: Person, owner: Rows
) -> None:
    key = personal_key(owner, person)
    by_token, by_key = remembered(owner, person), remembered(owner, person, key=key)
    assert confirm(mailing, token_for(mailing, folder, person)) == 200
    fresh, before = personal_key(owner, person), keys_of(owner, person)

    for who, refusal in ((by_token, InvalidToken), (by_key, InvalidKey)):
        for act in acts(door, who, fresh):
            with pytest.raises(refusal):
                await act

    assert keys_of(owner, person) == before


async def test_who_is_suspended_or_logged_out_meanwhile_makes_no_key(
    door: Door, person: Person, owner: Rows
) -> None:
    who = remembered(owner, person)
    owner.execute("SELECT cv.end_session(%s, %s, '1 hour', 10)", [person.id, who.session])

    with pytest.raises(InvalidToken):
        await door.keys.create(who, NewKey(name="mine", scopes=[]))
    owner.execute("UPDATE cv.account SET suspended = true WHERE id = %s", [person.id])
    with pytest.raises(Suspended):
        await door.keys.create(who, NewKey(name="mine", scopes=[]))


def test_a_reset_ends_tokens_at_once_where_it_was_confirmed(
    mailing: Front, folder: Path, person: Person
) -> None:
    def me() -> int:
        bearer = {"Authorization": f"Bearer {person.token}"}
        return mailing.call("GET", "/api/auth/me", headers=bearer).status_code

    token = token_for(mailing, folder, person)
    before = me()

    assert (before, confirm(mailing, token), me()) == (200, 200, 401)


async def test_signing_up_succeeds_where_too_many_mails_are_on_their_way(door: Door, owner: Rows) -> None:
    async def write() -> Mail:
        return Mail(to="a@example.org", subject="x", text="x")

    for _ in range(100):
        door.outbox.send(write)

    made = await door.accounts.register(f"{secrets.token_hex(6)}@example.org", PASSWORD, None)

    assert (made.user.verification_due, made.api_key is not None) == (True, True)
    assert owner.execute("SELECT 1 FROM cv.account WHERE id = %s", [made.user.id]).fetchone()


async def test_a_log_in_that_renews_the_hash_leaves_a_password_changed_meanwhile(
    door: Door, person: Person, owner: Rows
) -> None:
    def set_hash(password: str) -> None:
        statement = "UPDATE cv.account SET password_hash = %s WHERE id = %s"
        owner.execute(statement, [f"hash of {password}", person.id])

    set_hash(PASSWORD)
    door.hasher.meanwhile = lambda: set_hash(NEW)

    await door.accounts.login(person.email, PASSWORD)

    row = owner.execute("SELECT password_hash FROM cv.account WHERE id = %s", [person.id]).fetchone()
    assert row == (f"hash of {NEW}",)


async def test_a_log_in_during_a_reset_is_shown_no_key(door: Door, person: Person, owner: Rows) -> None:
    def reset() -> None:
        statement = "UPDATE cv.account SET password_hash = %s, token_epoch = token_epoch + 1 WHERE id = %s"
        owner.execute(statement, [f"hash of {NEW}", person.id])

    owner.execute(
        "UPDATE cv.account SET password_hash = %s WHERE id = %s", [f"hash of {PASSWORD}", person.id]
    )
    door.hasher.meanwhile = reset

    with pytest.raises(WrongLogin):
        await door.accounts.login(person.email, PASSWORD)


_WAITING = """SELECT count(*) FROM pg_stat_activity
  WHERE datname = current_database() AND wait_event_type = 'Lock' AND %s = ANY(pg_blocking_pids(pid))"""
_FREE = """SELECT
  (SELECT count(*) FROM (SELECT FROM cv.api_key WHERE account = %(id)s FOR UPDATE SKIP LOCKED) k),
  (SELECT count(*) FROM (SELECT FROM cv.password_reset WHERE account = %(id)s FOR UPDATE SKIP LOCKED) r)"""
_ACCOUNT_LOCKED = "SELECT FROM cv.account WHERE id = %s FOR NO KEY UPDATE"


@pytest.mark.parametrize("act", ["rotate", "revoke", "reset", "erase"])
async def test_the_account_is_locked_before_its_keys_and_resets(
    door: Door, person: Person, owner: Rows, owner_url: str, act: str
) -> None:
    key, token = personal_key(owner, person), "cvr_" + secrets.token_hex(16)
    who = remembered(owner, person, key=key)
    owner.execute(
        "INSERT INTO cv.password_reset (digest, account, expires_at) VALUES (%s, %s, 'infinity')",
        [key_ring().digest(token), person.id],
    )

    def erase() -> None:
        owner.execute("SELECT cv.erase_account(%s)", [person.id])

    if act == "erase":
        owner.execute("SELECT cv.close_wallet(%s, gen_random_uuid(), 'test', 'test')", [person.id])
    with psycopg.connect(owner_url) as holder, psycopg.connect(owner_url, autocommit=True) as looker:
        holder.execute(_ACCOUNT_LOCKED, [person.id])
        acting = asyncio.create_task(
            {
                "rotate": lambda: door.keys.rotate(who, str(key), grace_s=0),
                "revoke": lambda: door.keys.revoke(who, str(key)),
                "reset": lambda: door.resets.confirm(token, NEW),
                "erase": lambda: asyncio.to_thread(erase),
            }[act]()
        )
        await _one_waits(looker, holder.info.backend_pid)
        free = looker.execute(_FREE, {"id": person.id}).fetchone()
    await acting

    assert free == (1, 1)


async def _one_waits(looker: Rows, holder: int) -> None:
    async with asyncio.timeout(60):
        while looker.execute(_WAITING, [holder]).fetchone() == (0,):
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("ended_by", ["reset", "suspension", "demotion", "log-out"])
async def test_an_administrator_who_is_one_no_more_acts_no_more(
    door: Door, person: Person, sign_up: SignUp, owner: Rows, ended_by: str
) -> None:
    operator = sign_up()
    owner.execute("UPDATE cv.account SET admin = true WHERE id = %s", [operator.id])
    who = remembered(owner, operator)
    act = operation_by(who, reason="test", key=None)
    async with door.record.connection() as connection, connection.transaction():
        assert await find_replay(connection, act, "reset_link", UUID(person.id), {}) is None
    owner.execute(
        {
            "reset": "UPDATE cv.account SET token_epoch = token_epoch + 1 WHERE id = %(id)s",
            "suspension": "UPDATE cv.account SET suspended = true WHERE id = %(id)s",
            "demotion": "UPDATE cv.account SET admin = false WHERE id = %(id)s",
            "log-out": "SELECT cv.end_session(%(id)s, %(session)s, '1 hour', 10)",
        }[ended_by].encode(),
        {"id": operator.id, "session": who.session},
    )

    async with door.record.connection() as connection, connection.transaction():
        with pytest.raises(InvalidToken):
            await find_replay(connection, act, "reset_link", UUID(person.id), {})
