"""The ledger's and the queue's functions of release 0.1.0, in a schema of their own on the same tables.

Figures are divided by theirs, so that a ratio changes with the product and not with its yardstick. Their text
is in that release's revisions, which never change.
"""

import re

from db.postgres.migrations.scripts import SQL

_FUNCTIONS = (
    "now", "month", "link", "hold_slot", "enter", "save", "quota", "put_terms", "take", "hold", "settle",
    "submit", "submit_batch", "claim", "close_job", "requeue", "finish",
)  # fmt: skip
_ANY = "|".join(_FUNCTIONS)


def frozen_functions() -> str:
    """SQL that creates schema `frozen` with these functions, which call each other and none of today's."""
    text = "".join((SQL / f"0002_{part}.sql").read_text(encoding="utf-8") for part in ("ledger", "jobs"))
    found = re.findall(
        rf"^CREATE OR REPLACE FUNCTION cv\.(?:{_ANY})\(.*?\$\$;\n", text, re.DOTALL | re.MULTILINE
    )
    return "CREATE SCHEMA frozen;\n" + re.sub(rf"\bcv\.({_ANY})\(", r"frozen.\1(", "".join(found))
