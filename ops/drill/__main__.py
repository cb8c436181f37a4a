"""`python -m ops.drill [--short]`: stages the fault behind every alert, in a stack of the drill's own.

Prints one JSON object per alert on stdout; the exit status is 1, with the reason on stderr, if an alert did
not fire, did not clear, or fired without its fault. Needs Debian's prometheus; as root it also fills a disk.
"""

import sys

import msgspec

from ops.bench import BenchError
from ops.drill.faults import faults, short
from ops.drill.prometheus import FACTOR, DrillError
from ops.drill.run import drill


def main() -> int:
    """Run one drill."""

    def report(line: str) -> None:
        print(f"drill: {line}", file=sys.stderr, flush=True)

    report(f"times in rules are divided by {FACTOR}")
    try:
        staged = drill(short if sys.argv[1:] == ["--short"] else faults, report)
    except (DrillError, BenchError) as error:
        report(str(error))
        return 1
    for each in staged:
        print(msgspec.json.encode(each).decode(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
