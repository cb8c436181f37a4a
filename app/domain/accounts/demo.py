"""The demo account of a one-machine stack: created at the first start, found at later ones.

Only the former imports SQLAlchemy: it takes half a second, and 50 MB of the stack's supervisor.
"""

import asyncio
from collections.abc import Mapping

import asyncpg

from app.domain.errors import EmailTaken
from app.domain.identity.key_crypto import KeyRing
from db.postgres.queries import script


def demo_account(*, database_url: str, secrets: Mapping[str, str], email: str, password: str) -> str:
    """The personal key of the account of `email`, which is created with `password` if it does not exist.

    Blocking; quick where the account exists. `secrets`: key_pepper and key_encryption_key, in hexadecimal.
    Raises Unsealable where the latter is not the one the key was sealed with.
    """
    keys = KeyRing(
        pepper=bytes.fromhex(secrets["key_pepper"]),
        encryption_key=bytes.fromhex(secrets["key_encryption_key"]),
    )
    return asyncio.run(_key_of(database_url, keys, email, password))


async def _key_of(database_url: str, keys: KeyRing, email: str, password: str) -> str:
    found = await _find(database_url, email)
    if found is not None and found["sealed"] is not None:
        return keys.unseal(found["sealed"], found["key"])
    from app.domain.accounts import password_hashing, registration
    from db.postgres import pool

    opened = pool.open_engine(database_url)
    try:
        async with pool.session(opened) as session:
            if found is not None:
                return await registration.add_personal_key(session, keys, found["account"], keep_sealed=True)
            hashed = password_hashing.argon2id().hash(password)
            _, key = await registration.create_account(
                session, keys, email=email, password_hash=hashed, name=None, keep_sealed=True
            )
            return key
    except EmailTaken:  # another process has just created it
        return await _key_of(database_url, keys, email, password)
    finally:
        await opened.dispose()


async def _find(database_url: str, email: str) -> asyncpg.Record | None:
    connection = await asyncpg.connect(database_url)
    try:
        return await connection.fetchrow(script("personal_key"), email)
    finally:
        await connection.close()
