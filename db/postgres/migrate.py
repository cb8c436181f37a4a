"""Upgrades a database to this version's schema; fast if there is nothing to do."""

from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from db.postgres.migrations.errors import SchemaError

_VERSIONS = Path(__file__).with_name("migrations") / "versions"


def upgrade(owner_url: str, app_url: str) -> None:
    """Upgrade the database at `owner_url` (a role that may create roles); let the role of `app_url` use it.

    Idempotent. The latter role is created, with its URL's password, if it does not exist. Raises SchemaError
    for a database of a newer version, or of one before 0.1.0; nothing is changed then.
    """
    if _is_current(owner_url, app_url):
        return
    from db.postgres.migrations.apply import apply  # SQLAlchemy and Alembic take a second to import

    apply(owner_url, app_url)


def revisions() -> list[str]:
    """The names of all revisions, in order; their files' names begin with them."""
    return sorted(path.name.partition("_")[0] for path in _VERSIONS.glob("0*.py"))


def _is_current(owner_url: str, app_url: str) -> bool:
    login = conninfo_to_dict(app_url).get("user")
    with psycopg.connect(owner_url) as connection:
        if connection.execute("SELECT to_regclass('cv.alembic_version')").fetchone() == (None,):
            return False
        found = connection.execute(
            "SELECT (SELECT version_num FROM cv.alembic_version), EXISTS (SELECT FROM pg_auth_members m"
            " JOIN pg_roles r ON r.oid = m.roleid JOIN pg_roles u ON u.oid = m.member"
            " WHERE r.rolname = 'cv_app' AND u.rolname = %s)",
            (login,),
        ).fetchone()
    version, may_use = found or (None, False)
    known = revisions()
    if version is not None and version not in known:
        raise SchemaError(
            f"This data was written by a newer version (schema {version}; this one knows {known[-1]})."
            " Nothing was changed: run the newer version, or restore a backup from before its upgrade."
        )
    return version == known[-1] and may_use
