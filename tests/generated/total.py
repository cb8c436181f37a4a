"""`python -m tests.generated.total 0.json 1000.json`: the reports of runs one after the other, summed up."""

import json
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

_EXAMPLES = 12


def total(reports: list[dict[str, Any]]) -> dict[str, Any]:
    """One report of all, with a few of the failures. Raises ValueError where cases are twice in them."""
    runs = sorted((report["first"], report["first"] + report["cases"]) for report in reports)
    if any(end > start for (_, end), (start, _) in pairwise(runs)):
        raise ValueError("cases are in two reports")
    verdicts = _summed([report["verdicts"] for report in reports])
    failures = [failure for report in reports for failure in report["failures"]]
    return {
        "cases": sum(report["cases"] for report in reports),
        "whole_share": verdicts["whole"] / (verdicts.total() - verdicts["silent"]),
        "deaths": sum(report["deaths"] for report in reports),
        "verdicts": verdicts,
        "codes": _summed([report["codes"] for report in reports]),
        "by_shape": _merged([report["by_shape"] for report in reports]),
        "by_script": _merged([report["by_script"] for report in reports]),
        "runs": len(runs),
        "first": runs[0][0],
        "seconds": sum(report["seconds"] for report in reports),
        "failures": sorted(failures, key=lambda failure: failure["verdict"] in ("short", "long"))[:_EXAMPLES],
    }


def _summed(counts: list[dict[str, int]]) -> Counter[str]:
    return sum((Counter(each) for each in counts), Counter[str]())


def _merged(tables: list[dict[str, dict[str, int]]]) -> dict[str, Counter[str]]:
    names = sorted({name for table in tables for name in table})
    return {name: _summed([table.get(name, {}) for table in tables]) for name in names}


if __name__ == "__main__":
    print(
        json.dumps(total([json.loads(Path(name).read_text()) for name in sys.argv[1:]]), ensure_ascii=False)
    )
