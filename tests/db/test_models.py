"""The models describe the tables that the revisions create."""

from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, make_url
from sqlalchemy.dialects.postgresql.base import ischema_names

from db.postgres.models import Base
from db.postgres.models.base import SCHEMA, Xid8

_OF_MIGRATIONS = ("alembic_version", "routines")


def test_models_and_database_do_not_differ(
    database: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ischema_names, "xid8", Xid8)
    assert differences(database[0], Base.metadata) == []


def test_a_missing_column_is_a_difference(database: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ischema_names, "xid8", Xid8)
    other = type(Base.metadata)()
    for table in Base.metadata.sorted_tables:
        table.to_metadata(other)
    wallet = other.tables[f"{SCHEMA}.wallet"]
    wallet._columns.remove(wallet.c.head)  # pyright: ignore[reportPrivateUsage]
    assert "head" in str(differences(database[0], other))


def differences(owner_url: str, metadata: Any) -> list[Any]:
    engine = create_engine(make_url(owner_url).set(drivername="postgresql+psycopg"))
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "include_schemas": True,
                "include_name": lambda name, kind, parents: _is_ours(name, kind),
                "compare_server_default": True,
            },
        )
        found = list(compare_metadata(context, metadata))
    engine.dispose()
    return found


def _is_ours(name: str | None, kind: str) -> bool:
    return name == SCHEMA if kind == "schema" else not (kind == "table" and name in _OF_MIGRATIONS)
