"""Credentials that end during their owner's request, in processes that still have them cached."""

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
from app.domain.database import Database, DatabaseLimits
from app.domain.errors import InvalidKey, InvalidToken, Suspended, WrongLogin
from app.domain.identity.principal_cache import KeyUsageLog, PrincipalCache
from app.domain.identity.principals import Principal, Principals
from app.domain.identity.tokens import Tokens
from tests.app.api_process import ApiProcess
from tests.app.conftest import PASSWORD, Person, Run, SignUp, key_ring
from tests.app.mailbox import in_folder, mail_to, token_in

NEW = "battery staple"


class HangingMailer:
    """Never finishes sending a mail, and reports nothing."""

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


class StaleProcess:
    """The credential services of a process that receives no cache invalidations."""

    def __init__(self, database_url: str) -> None:
        self.app_database = Database(
            database_url,
            DatabaseLimits(database_wait_s=30, database_silent_s=30),
            connections_max=4,
            statement_timeout_ms=30_000,
        )
        self.hasher, ring = Hasher(), key_ring()
        passwords = PasswordHasher(self.hasher, threads=2, waiting_max=100)
        tokens = Tokens(bytes(32), token_s=600, refresh_token_s=600, session_s=600)
        principals = Principals(
            self.app_database,
            ring,
            tokens,
            principal_cache=PrincipalCache[Principal](600),
            uses=KeyUsageLog(),
        )
        self.outbox = MailQueue(HangingMailer())
        verification = EmailVerification(
            self.app_database, tokens, self.outbox, mode="required", public_url="http://localhost"
        )
        self.accounts = Accounts(
            self.app_database,
            ring,
            passwords,
            tokens,
            principals,
            verification,
            registration="open",
            reveal="always",
        )
        self.keys = ApiKeys(self.app_database, ring, principals, keys_max=10, reveal="always")
        self.resets = PasswordReset(
            self.app_database,
            ring,
            passwords,
            principals,
            self.accounts,
            self.outbox,
            public_url="http://localhost",
            keep_sealed=True,
        )


@pytest.fixture
async def stale_process(database_url: str) -> AsyncGenerator[StaleProcess]:
    stale_process = StaleProcess(database_url)
    await stale_process.app_database.open(within_s=30)
    yield stale_process
    await stale_process.outbox.close()
    await stale_process.app_database.close()


Rows = psycopg.Connection[Any]


def principal_cache(owner: Rows, person: Person, *, key: UUID | None = None) -> Principal:
    """The person's principal, as a process that just looked it up has it cached."""
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
def mailing(api_with: Run, folder: Path) -> ApiProcess:
    return api_with(CODEVOICE_MAIL_FOLDER=str(folder), CODEVOICE_PRINCIPAL_CACHE_S="600")


def token_for(api: ApiProcess, folder: Path, person: Person) -> str:
    assert api.call("POST", "/api/auth/password/reset", json={"email": person.email}).status_code == 202
    return token_in(mail_to(person.email, lambda: in_folder(folder)))


def confirm(api: ApiProcess, token: str) -> int:
    body = {"token": token, "password": NEW}
    return api.call("POST", "/api/auth/password/reset/confirm", json=body).status_code


def acts(stale_process: StaleProcess, who: Principal, key: UUID) -> list[Coroutine[Any, Any, object]]:
    return [
        stale_process.keys.create(who, NewKey(name="mine", scopes=[])),
        stale_process.keys.rotate(who, str(key), grace_s=600),
        stale_process.keys.revoke(who, str(key)),
        stale_process.keys.one(who, str(key), reveal=True),
        stale_process.keys.personal(who),
        stale_process.accounts.logout_everywhere(who),
    ]


async def test_who_is_still_remembered_after_a_reset_makes_ends_and_sees_no_key(
    stale_process: StaleProcess, mailing: ApiProcess, folder: Path, person: Person, owner: Rows
) -> None:
    key = personal_key(owner, person)
    by_token, by_key = principal_cache(owner, person), principal_cache(owner, person, key=key)
    assert confirm(mailing, token_for(mailing, folder, person)) == 200
    fresh, before = personal_key(owner, person), keys_of(owner, person)

    for who, refusal in ((by_token, InvalidToken), (by_key, InvalidKey)):
        for act in acts(stale_process, who, fresh):
            with pytest.raises(refusal):
                await act

    assert keys_of(owner, person) == before


async def test_a_caller_suspended_or_logged_out_meanwhile_creates_no_key(
    stale_process: StaleProcess, person: Person, owner: Rows
) -> None:
    who = principal_cache(owner, person)
    owner.execute("SELECT cv.end_session(%s, %s, '1 hour', 10)", [person.id, who.session])

    with pytest.raises(InvalidToken):
        await stale_process.keys.create(who, NewKey(name="mine", scopes=[]))
    owner.execute("UPDATE cv.account SET suspended = true WHERE id = %s", [person.id])
    with pytest.raises(Suspended):
        await stale_process.keys.create(who, NewKey(name="mine", scopes=[]))


def test_a_reset_ends_tokens_at_once_in_the_process_that_confirmed_it(
    mailing: ApiProcess, folder: Path, person: Person
) -> None:
    def me() -> int:
        bearer = {"Authorization": f"Bearer {person.token}"}
        return mailing.call("GET", "/api/auth/me", headers=bearer).status_code

    token = token_for(mailing, folder, person)
    before = me()

    assert (before, confirm(mailing, token), me()) == (200, 200, 401)


async def test_signing_up_succeeds_while_the_mail_queue_is_full(
    stale_process: StaleProcess, owner: Rows
) -> None:
    async def write() -> Mail:
        return Mail(to="a@example.org", subject="x", text="x")

    for _ in range(100):
        stale_process.outbox.send(write)

    made = await stale_process.accounts.register(f"{secrets.token_hex(6)}@example.org", PASSWORD, None)

    assert (made.user.verification_due, made.api_key is not None) == (True, True)
    assert owner.execute("SELECT 1 FROM cv.account WHERE id = %s", [made.user.id]).fetchone()


async def test_a_login_that_renews_the_hash_keeps_a_password_changed_meanwhile(
    stale_process: StaleProcess, person: Person, owner: Rows
) -> None:
    def set_hash(password: str) -> None:
        statement = "UPDATE cv.account SET password_hash = %s WHERE id = %s"
        owner.execute(statement, [f"hash of {password}", person.id])

    set_hash(PASSWORD)
    stale_process.hasher.meanwhile = lambda: set_hash(NEW)

    await stale_process.accounts.login(person.email, PASSWORD)

    row = owner.execute("SELECT password_hash FROM cv.account WHERE id = %s", [person.id]).fetchone()
    assert row == (f"hash of {NEW}",)


async def test_a_login_during_a_reset_is_refused(
    stale_process: StaleProcess, person: Person, owner: Rows
) -> None:
    def reset() -> None:
        statement = "UPDATE cv.account SET password_hash = %s, token_epoch = token_epoch + 1 WHERE id = %s"
        owner.execute(statement, [f"hash of {NEW}", person.id])

    owner.execute(
        "UPDATE cv.account SET password_hash = %s WHERE id = %s", [f"hash of {PASSWORD}", person.id]
    )
    stale_process.hasher.meanwhile = reset

    with pytest.raises(WrongLogin):
        await stale_process.accounts.login(person.email, PASSWORD)


_WAITING = """SELECT count(*) FROM pg_stat_activity
  WHERE datname = current_database() AND wait_event_type = 'Lock' AND %s = ANY(pg_blocking_pids(pid))"""
_FREE = """SELECT
  (SELECT count(*) FROM (SELECT FROM cv.api_key WHERE account = %(id)s FOR UPDATE SKIP LOCKED) k),
  (SELECT count(*) FROM (SELECT FROM cv.password_reset WHERE account = %(id)s FOR UPDATE SKIP LOCKED) r)"""
_ACCOUNT_LOCKED = "SELECT FROM cv.account WHERE id = %s FOR NO KEY UPDATE"


@pytest.mark.parametrize("act", ["rotate", "revoke", "reset", "erase"])
async def test_the_account_is_locked_before_its_keys_and_resets(
    stale_process: StaleProcess, person: Person, owner: Rows, owner_url: str, act: str
) -> None:
    key, token = personal_key(owner, person), "cvr_" + secrets.token_hex(16)
    who = principal_cache(owner, person, key=key)
    owner.execute(
        "INSERT INTO cv.password_reset (digest, account, expires_at) VALUES (%s, %s, 'infinity')",
        [key_ring().digest(token), person.id],
    )

    def erase() -> None:
        owner.execute("SELECT cv.erase_account(%s)", [person.id])

    if act == "erase":
        owner.execute("SELECT cv.close_wallet(%s, gen_random_uuid(), 'test', 'test')", [person.id])
    with psycopg.connect(owner_url) as holder, psycopg.connect(owner_url, autocommit=True) as observer:
        holder.execute(_ACCOUNT_LOCKED, [person.id])
        acting = asyncio.create_task(
            {
                "rotate": lambda: stale_process.keys.rotate(who, str(key), grace_s=0),
                "revoke": lambda: stale_process.keys.revoke(who, str(key)),
                "reset": lambda: stale_process.resets.confirm(token, NEW),
                "erase": lambda: asyncio.to_thread(erase),
            }[act]()
        )
        await _one_waits(observer, holder.info.backend_pid)
        free = observer.execute(_FREE, {"id": person.id}).fetchone()
    await acting

    assert free == (1, 1)


async def _one_waits(observer: Rows, holder: int) -> None:
    async with asyncio.timeout(60):
        while observer.execute(_WAITING, [holder]).fetchone() == (0,):
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("ended_by", ["reset", "suspension", "demotion", "log-out"])
async def test_an_administrator_who_is_one_no_more_acts_no_more(
    stale_process: StaleProcess, person: Person, sign_up: SignUp, owner: Rows, ended_by: str
) -> None:
    operator = sign_up()
    owner.execute("UPDATE cv.account SET admin = true WHERE id = %s", [operator.id])
    who = principal_cache(owner, operator)
    act = operation_by(who, reason="test", key=None)
    async with stale_process.app_database.session() as session:
        assert await find_replay(session, act, "reset_link", UUID(person.id), {}) is None
    owner.execute(
        {
            "reset": "UPDATE cv.account SET token_epoch = token_epoch + 1 WHERE id = %(id)s",
            "suspension": "UPDATE cv.account SET suspended = true WHERE id = %(id)s",
            "demotion": "UPDATE cv.account SET admin = false WHERE id = %(id)s",
            "log-out": "SELECT cv.end_session(%(id)s, %(session)s, '1 hour', 10)",
        }[ended_by].encode(),
        {"id": operator.id, "session": who.session},
    )

    async with stale_process.app_database.session() as session:
        with pytest.raises(InvalidToken):
            await find_replay(session, act, "reset_link", UUID(person.id), {})
