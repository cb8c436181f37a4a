"""`python -m tests.endings --each 20 --json`: every cell `--each` times; status 1 if anything is wrong.

`--faults`: seed each of the six faults in turn and report what was found; status 1 if one was not.
"""

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from .faults import FAULTS, found
from .harness import open_harness


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.endings", description=__doc__)
    parser.add_argument("--each", type=int, default=20)
    parser.add_argument("--json", action="store_true", help="one object on stdout, on one line")
    parser.add_argument("--faults", action="store_true")
    given = parser.parse_args()
    with TemporaryDirectory(prefix="codevoice-endings-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # Postgres under root runs as another user
        is_right, result = _faults(folder) if given.faults else _endings(folder, given.each)
    text = msgspec.json.encode(result)
    print((text if given.json else msgspec.json.format(text, indent=1)).decode())
    return 0 if is_right else 1


def _endings(folder: Path, each: int) -> tuple[bool, object]:
    with open_harness(folder) as harness:
        report = harness.run(each)
    return report.ledger_is_clean and not report.violations, report


def _faults(folder: Path) -> tuple[bool, object]:
    seen = {name: found(name, folder) for name in FAULTS}
    return all(seen.values()), seen


if __name__ == "__main__":
    sys.exit(main())
