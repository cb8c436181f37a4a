"""Applies what is missing: roles, the schema, then Alembic's revisions."""

import time
from pathlib import Path

from advanced_alchemy.alembic.commands import AlembicCommands
from advanced_alchemy.config.sync import AlembicSyncConfig, SQLAlchemySyncConfig
from psycopg.errors import LockNotAvailable
from sqlalchemy import Connection, Engine, create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from db.postgres.migrations.errors import SchemaError

_LOCK = 0x0C0DE_701CE  # any constant: two migrations wait for each other
_TRIES = 5  # for the tables' locks, which everybody else waits behind meanwhile
_PAUSE_S = 1.0
_LOCKED = (
    "the upgrade changed nothing: others kept the tables locked, a backup or an open transaction perhaps. Try"
    " again when they have ended."
)


def apply(owner_url: str, app_url: str) -> None:
    """Upgrade in one transaction, so that a failure leaves the database as it was. Raises SchemaError, also
    where others keep the tables locked: nobody waits long behind an upgrade that waits.
    """
    engine = create_engine(make_url(owner_url).set(drivername="postgresql+psycopg"))
    try:
        for tries_left in reversed(range(_TRIES)):
            try:
                return _apply(engine, app_url)
            except OperationalError as error:
                if not isinstance(error.orig, LockNotAvailable):
                    raise SchemaError(f"the upgrade failed, and changed nothing: {error.orig}") from error
                if not tries_left:
                    raise SchemaError(_LOCKED) from error
                time.sleep(_PAUSE_S)
    finally:
        engine.dispose()


def _apply(engine: Engine, app_url: str) -> None:
    with engine.begin() as connection:
        _wait_turn(connection)
        _roles(connection, make_url(app_url).username or "", make_url(app_url).password or "")
        connection.execute(text("CREATE SCHEMA IF NOT EXISTS cv AUTHORIZATION cv_owner"))
        connection.execute(text("SET LOCAL ROLE cv_owner"))
        _revisions(connection)


def _wait_turn(connection: Connection) -> None:
    connection.execute(text("SET LOCAL lock_timeout = '10s'"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    connection.execute(text("SET LOCAL lock_timeout = '2s'"))


def _roles(connection: Connection, login: str, password: str) -> None:
    """`cv_owner` owns and cannot log in; `cv_app` is the application's rights; `login` is given them."""
    for role in ("cv_owner", "cv_app"):
        if not _role_exists(connection, role):
            connection.execute(text(f"CREATE ROLE {role} NOLOGIN"))
    if not _role_exists(connection, login):
        connection.exec_driver_sql(_quoted(connection, "CREATE ROLE %I LOGIN PASSWORD %L", login, password))
    connection.exec_driver_sql(_quoted(connection, "GRANT cv_app TO %I", login))
    connection.execute(text("GRANT cv_owner TO CURRENT_USER"))


def _role_exists(connection: Connection, role: str) -> bool:
    return bool(connection.scalar(text("SELECT count(*) FROM pg_roles WHERE rolname = :r"), {"r": role}))


def _quoted(connection: Connection, statement: str, *values: str) -> str:
    names = {f"v{n}": value for n, value in enumerate(values)}
    arguments = ", ".join(f"CAST(:{name} AS text)" for name in names)
    quoted = connection.scalar(text(f"SELECT format('{statement}', {arguments})"), names)
    return str(quoted).replace("%", "%%")


def _revisions(connection: Connection) -> None:
    config = SQLAlchemySyncConfig(
        connection_string=connection.engine.url.render_as_string(hide_password=False),
        alembic_config=AlembicSyncConfig(script_location=str(Path(__file__).parent)),
    )
    commands = AlembicCommands(config)
    commands.config.attributes["connection"] = connection
    commands.upgrade()


def prepare_roles(owner_url: str, app_url: str) -> None:
    """Make the roles that own and use the schema, where they are missing, and nothing else."""
    engine = create_engine(make_url(owner_url).set(drivername="postgresql+psycopg"))
    try:
        with engine.begin() as connection:
            _wait_turn(connection)
            _roles(connection, make_url(app_url).username or "", make_url(app_url).password or "")
    finally:
        engine.dispose()
