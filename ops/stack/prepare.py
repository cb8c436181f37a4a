"""Prepares a new stack's database: the schema, and the demo account."""

from ops.stack.home import Secrets
from ops.stack.running import Stack

APP_ROLE = "codevoice_app"  # of the built-in Postgres
DEMO_EMAIL = "demo@codevoice.local"


class UpError(Exception):
    """The stack cannot start; the message names the cause and the remedy."""


def migrate(stack: Stack) -> None:
    """Migrate the stack's database to this version; raises UpError if that is impossible."""
    import psycopg

    from db.postgres.migrate import upgrade
    from db.postgres.migrations.errors import SchemaError

    try:
        upgrade(stack.database_owner_url, stack.database_url)
    except SchemaError as error:
        raise UpError(str(error)) from error
    except psycopg.OperationalError as error:
        raise UpError(f"the database cannot be migrated: {error}") from error


def demo_account(database_url: str, secrets: Secrets) -> str:
    """The demo account's API key; created if it is missing."""
    from app.domain.accounts import demo

    return demo.demo_account(
        database_url=database_url,
        secrets={"key_pepper": secrets.key_pepper, "key_encryption_key": secrets.key_encryption_key},
        email=DEMO_EMAIL,
        password=secrets.demo_password,
    )
