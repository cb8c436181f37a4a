"""Six seeded faults, of the kinds that once were real: each must be found.

SQL is edited in the running stack's database, Python where a process imports it. A text that is not there any
more is an error: then the fault must be written anew.
"""

import json
import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

import psycopg
from msgspec import Struct

from .cases import CELLS, Cell, Ending
from .checks import Violation
from .harness import Harness, open_harness

SEEDED = Path(__file__).parent / "seeded"
_DEFINITION = """SELECT pg_get_functiondef(p.oid) FROM pg_proc p
  WHERE p.pronamespace = 'cv'::regnamespace AND p.proname ~ ('^' || %s || '(_v[0-9]+)?$') ORDER BY p.oid"""


class SqlFault(Struct, frozen=True):
    """An edit of the function `cv.FUNCTION`, in all its versions. `endings`: the cells that find it."""

    function: str
    was: str
    becomes: str
    endings: Sequence[Ending]


class PythonFault(Struct, frozen=True):
    """An edit of a module, as its source is loaded."""

    module: str
    was: str
    becomes: str
    endings: Sequence[Ending]


def _priced(where: str, price: str, *endings: Ending) -> SqlFault:
    """Jobs that end so are closed at another price than the rule's."""
    seed = f"\nBEGIN IF {where} THEN p_price := {price}; END IF;\n"
    return SqlFault("close_job", "\nBEGIN\n", seed, endings)


_HOLD = "(SELECT x.hold FROM cv.job x WHERE x.id = p_job)"
FAULTS: dict[str, SqlFault | PythonFault] = {
    "a refused job is never charged": _priced("p_state = 'failed'", "0", "refused"),
    "a cancelled job is never charged": _priced("p_state = 'cancelled'", "0", "cancelled", "FIN"),
    "a cancelled job is always charged": _priced("p_state = 'cancelled'", _HOLD, "DELETE", "RST"),
    "audio that was given is not noted": SqlFault(
        "hear", "SET heard = true", "SET heard = heard", ("refused", "DELETE")
    ),
    "a stream that we broke off is charged": _priced("p_code = 'broken_off'", _HOLD, "failed"),
    "a client's disconnect is our fault": PythonFault(
        "app.http.disconnects",
        'sending.result() if sending.done() else "left"',
        'sending.result() if sending.done() else "broken"',
        ("FIN", "RST"),
    ),
}


def cells_of(fault: SqlFault | PythonFault) -> list[Cell]:
    """The cells that are to find it."""
    return [cell for cell in CELLS if cell.ending in fault.endings]


def found(name: str, folder: Path) -> Sequence[Violation]:
    """What one run over the fault's own cells finds, on a stack of its own."""
    fault = FAULTS[name]
    own = Path(mkdtemp(dir=folder))
    own.chmod(0o755)
    if isinstance(fault, PythonFault):
        with open_harness(own, **environment(fault)) as harness:
            return harness.run(1, cells_of(fault)).violations
    with open_harness(own) as harness, seeded(harness, fault):
        return harness.run(1, cells_of(fault)).violations


@contextmanager
def seeded(harness: Harness, fault: SqlFault) -> Generator[None]:
    """For the block, the stack's database has the fault."""
    with psycopg.connect(harness.owner_url, autocommit=True) as connection:
        was = [row[0] for row in connection.execute(_DEFINITION, [fault.function])]
        assert was, f"there is no cv.{fault.function}: the fault must be written anew"
        assert all(fault.was in text for text in was), f"cv.{fault.function} has changed: so must the fault"
        _define(connection, [text.replace(fault.was, fault.becomes) for text in was])
        try:
            yield
        finally:
            _define(connection, was)


def environment(fault: PythonFault) -> dict[str, str]:
    """What makes every Python process of a stack load the module with the fault."""
    edit = {"module": fault.module, "was": fault.was, "becomes": fault.becomes}
    path = os.pathsep.join(filter(None, [str(SEEDED), os.environ.get("PYTHONPATH")]))
    return {"PYTHONPATH": path, "SEEDED_FAULT": json.dumps(edit)}


def _define(connection: psycopg.Connection, definitions: Sequence[str]) -> None:
    for text in definitions:
        connection.execute(text.encode())
