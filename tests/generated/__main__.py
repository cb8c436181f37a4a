"""`python -m tests.generated N`: N generated texts through the real engine, and how they were spoken.

A case is known by its number, so a run is resumed by `--first`, and one case inspected by `--first X 1`.
"""

import argparse
import json
import os
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import structlog

from workers.engines.espeak.engine import EspeakEngine

from .cases import case
from .speaking import Outcome, Speaker, outcomes

SPOKEN_MIN = 0.99
DEATHS_MAX = 1 / 100_000
_EXAMPLES = 200
_PROGRESS = 1000


def main(arguments: list[str]) -> int:
    """Exit status 0 if at least 99 % of the texts with words were spoken whole and no process died."""
    options = _options().parse_args(arguments)
    began = time.monotonic()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    with closing(EspeakEngine()) as engine:
        numbers = _until(range(options.first, options.first + options.cases), began + 60 * options.minutes)
        speaker = Speaker(engine)
        cases = (case(number, speaker.languages) for number in numbers)
        report = _report(outcomes(speaker, cases, options.threads))
    report |= {"first": options.first, "seconds": round(time.monotonic() - began)}
    print(json.dumps(report, ensure_ascii=False) if options.json else _plain(report))
    return int(report["whole_share"] < SPOKEN_MIN or report["deaths"] > max(1, report["cases"] * DEATHS_MAX))


def _options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="python -m tests.generated")
    options.add_argument("cases", type=int, nargs="?", default=100_000)
    options.add_argument("--first", type=int, default=0, help="the number of the first case")
    options.add_argument("--minutes", type=float, default=600, help="begin no case after so many")
    options.add_argument("--threads", type=int, default=2 * (os.cpu_count() or 1))
    options.add_argument("--json", action="store_true")
    return options


def _until(numbers: range, end: float) -> Iterator[int]:
    for number in numbers:
        if time.monotonic() > end:
            return
        if number % _PROGRESS == 0:
            print(f"case {number}", file=sys.stderr, flush=True)
        yield number


def _report(all_outcomes: Iterator[Outcome]) -> dict[str, Any]:
    verdicts, codes = Counter[str](), Counter[str]()
    by_shape, by_script = defaultdict[str, Counter[str]](Counter), defaultdict[str, Counter[str]](Counter)
    failures = list[dict[str, Any]]()
    for outcome in all_outcomes:
        for counter in (verdicts, by_shape[outcome.case.shape], by_script[outcome.case.script]):
            counter[outcome.verdict] += 1
        if outcome.code:
            codes[outcome.code] += 1
        if outcome.verdict not in ("whole", "silent") and len(failures) < _EXAMPLES:
            failures.append(_failure(outcome))
    cases = verdicts.total()
    speaking = cases - verdicts["silent"]
    return {
        "cases": cases,
        "whole_share": verdicts["whole"] / speaking if speaking else 1.0,
        "deaths": verdicts["died"] + codes["unspeakable_text"],
        "verdicts": verdicts,
        "codes": codes,
        "by_shape": by_shape,
        "by_script": by_script,
        "failures": failures,
    }


def _failure(outcome: Outcome) -> dict[str, Any]:
    case = outcome.case
    return {
        "number": case.number,
        "verdict": outcome.verdict,
        "ratio": outcome.ratio and round(outcome.ratio, 2),
        "code": outcome.code,
        "shape": case.shape,
        "script": case.script,
        "language": case.language,
        "speed": case.speed,
        "characters": len(case.text),
        "begins": case.text[:40],
    }


def _plain(report: dict[str, Any]) -> str:
    lines = [f"{name}: {value}" for name, value in report.items() if not isinstance(value, dict | list)]
    lines += [f"verdicts: {dict(report['verdicts'])}, codes: {dict(report['codes'])}"]
    lines += [f"{shape}: {dict(verdicts)}" for shape, verdicts in sorted(report["by_shape"].items())]
    lines += [f"{script}: {dict(verdicts)}" for script, verdicts in sorted(report["by_script"].items())]
    return "\n".join([*lines, *(json.dumps(failure, ensure_ascii=False) for failure in report["failures"])])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
