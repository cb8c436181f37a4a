"""The base of the models, and the column types of the schema `cv`."""

from datetime import datetime
from typing import Any, ClassVar

from advanced_alchemy.base import AdvancedDeclarativeBase, BasicAttributes, create_registry
from sqlalchemy import BigInteger, DateTime, Integer, Text
from sqlalchemy.dialects.postgresql import DOMAIN, ENUM
from sqlalchemy.sql.operators import OperatorClass
from sqlalchemy.types import UserDefinedType

SCHEMA = "cv"


class Base(BasicAttributes, AdvancedDeclarativeBase):
    """Tables of the schema `cv`. Revisions create them, not these models; a test compares the two."""

    __abstract__ = True
    __table_args__: ClassVar[Any] = {"schema": SCHEMA}
    registry = create_registry({datetime: DateTime(timezone=True)})


Base.metadata.naming_convention = {  # Postgres's own
    "pk": "%(table_name)s_pkey",
    "fk": "%(table_name)s_%(column_0_name)s_fkey",
    "uq": "%(table_name)s_%(column_0_name)s_key",
}


class Xid8(UserDefinedType[int]):
    """Postgres's `xid8`: the number of a transaction."""

    cache_ok = True

    def get_col_spec(self, **_kw: object) -> str:
        """The type's name in SQL."""
        return "xid8"


class Domain(DOMAIN):
    """A domain, compared as its underlying type is."""

    operator_classes = OperatorClass.ANY


MICRO = Domain("micro", BigInteger(), schema=SCHEMA, create_type=False)  # micro-credits, not negative
MOVED = Domain("moved", BigInteger(), schema=SCHEMA, create_type=False)  # micro-credits, positive
COUNT = Domain("count", Integer(), schema=SCHEMA, create_type=False)
SAID = Domain("said", Text(), schema=SCHEMA, create_type=False)  # who and why, never empty
USER_TYPE = Domain("user_type", Text(), schema=SCHEMA, create_type=False)
JOB_STATE = Domain("job_state", Text(), schema=SCHEMA, create_type=False)
BUCKET = ENUM(
    "issued", "free", "paid", "held", "spent", "expired", name="bucket", schema=SCHEMA, create_type=False
)
