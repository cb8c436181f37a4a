"""Brings a database to this version; quick where there is nothing to do."""

from hashlib import sha256
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from db.queries import script

_VERSIONS = Path(__file__).with_name("migrations") / "versions"
_SCRIPTS = ("schema", "ledger", "prices", "jobs", "alone", "audit", "rights")


def upgrade(owner_url: str, app_url: str) -> None:
    """Upgrade the database at `owner_url` (a role that may create roles); let the role of `app_url` use it.

    Idempotent. The latter is made, with its URL's password, where it does not exist.
    """
    digest = _digest()
    if _is_current(owner_url, app_url, digest):
        return
    from db.migrations.apply import apply  # SQLAlchemy and Alembic take a second to import

    apply(owner_url, app_url, digest)


def _digest() -> str:
    texts = [script(name) for name in _SCRIPTS]
    texts += [path.read_text(encoding="utf-8") for path in sorted(_VERSIONS.glob("*.py"))]
    return sha256("\0".join(texts).encode()).hexdigest()


def _is_current(owner_url: str, app_url: str, digest: str) -> bool:
    login = conninfo_to_dict(app_url).get("user")
    with psycopg.connect(owner_url) as connection:
        if connection.execute("SELECT to_regclass('cv.routines')").fetchone() == (None,):
            return False
        found = connection.execute(
            "SELECT (SELECT digest FROM cv.routines), EXISTS (SELECT FROM pg_auth_members m"
            " JOIN pg_roles r ON r.oid = m.roleid JOIN pg_roles u ON u.oid = m.member"
            " WHERE r.rolname = 'cv_app' AND u.rolname = %s)",
            (login,),
        ).fetchone()
        return found == (digest, True)
