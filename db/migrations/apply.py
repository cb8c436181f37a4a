"""Applies what is missing: roles, schema, tables by Alembic, then functions, views and rights."""

from pathlib import Path

from advanced_alchemy.alembic.commands import AlembicCommands
from advanced_alchemy.config.sync import AlembicSyncConfig, SQLAlchemySyncConfig
from sqlalchemy import Connection, create_engine, make_url, text

from db.queries import script

ROUTINES = ("ledger", "prices", "jobs", "alone", "audit", "rights")
_LOCK = 0x0C0DE_701CE  # any constant: two migrations wait for each other


def apply(owner_url: str, app_url: str, digest: str) -> None:
    """Upgrade in one transaction, so that a failure leaves the database as it was; `digest` marks it done."""
    engine = create_engine(make_url(owner_url).set(drivername="postgresql+psycopg"))
    try:
        with engine.begin() as connection:
            _wait_turn(connection)
            _roles(connection, make_url(app_url).username or "", make_url(app_url).password or "")
            connection.execute(text("SET LOCAL ROLE cv_owner"))
            _tables(connection)
            _routines(connection, digest)
    finally:
        engine.dispose()


def _wait_turn(connection: Connection) -> None:
    connection.execute(text("SET LOCAL lock_timeout = '10s'"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})


def _roles(connection: Connection, login: str, password: str) -> None:
    """`cv_owner` owns and cannot log in; `cv_app` is the application's rights; `login` is given them."""
    for role in ("cv_owner", "cv_app"):
        if not _role_exists(connection, role):
            connection.execute(text(f"CREATE ROLE {role} NOLOGIN"))
    if not _role_exists(connection, login):
        connection.exec_driver_sql(_quoted(connection, "CREATE ROLE %I LOGIN PASSWORD %L", login, password))
    connection.exec_driver_sql(_quoted(connection, "GRANT cv_app TO %I", login))
    connection.execute(text("GRANT cv_owner TO CURRENT_USER"))
    connection.execute(text("CREATE SCHEMA IF NOT EXISTS cv AUTHORIZATION cv_owner"))


def _role_exists(connection: Connection, role: str) -> bool:
    return bool(connection.scalar(text("SELECT count(*) FROM pg_roles WHERE rolname = :r"), {"r": role}))


def _quoted(connection: Connection, statement: str, *values: str) -> str:
    names = {f"v{n}": value for n, value in enumerate(values)}
    arguments = ", ".join(f"CAST(:{name} AS text)" for name in names)
    quoted = connection.scalar(text(f"SELECT format('{statement}', {arguments})"), names)
    return str(quoted).replace("%", "%%")


def _tables(connection: Connection) -> None:
    config = SQLAlchemySyncConfig(
        connection_string=connection.engine.url.render_as_string(hide_password=False),
        alembic_config=AlembicSyncConfig(script_location=str(Path(__file__).parent)),
    )
    commands = AlembicCommands(config)
    commands.config.attributes["connection"] = connection
    commands.upgrade()


def _routines(connection: Connection, digest: str) -> None:
    if connection.scalar(text("SELECT digest FROM cv.routines")) == digest:
        return
    connection.exec_driver_sql(_DROP_ROUTINES)
    for name in ROUTINES:
        connection.exec_driver_sql(script(name).replace("%", "%%"))
    connection.execute(text("DELETE FROM cv.routines"))
    connection.execute(text("INSERT INTO cv.routines (digest) VALUES (:digest)"), {"digest": digest})


# Views first, since they call functions; what triggers use stays, for a guard is never down.
_DROP_ROUTINES = """
DO $$
DECLARE statement text;
BEGIN
  FOR statement IN
    SELECT format('DROP VIEW cv.%I CASCADE', viewname) FROM pg_views WHERE schemaname = 'cv'
    UNION ALL
    SELECT format('DROP FUNCTION %s CASCADE', p.oid::regprocedure) FROM pg_proc p
    WHERE pronamespace = 'cv'::regnamespace AND prorettype <> 'trigger'::regtype
  LOOP EXECUTE statement; END LOOP;
END $$
""".replace("%", "%%")  # nosec B608 - nobody's input is in it
