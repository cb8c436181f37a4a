"""The storm's own test: `python -m tests.e2e.faults.storm_mutants` rages over broken SQL, and finds each.

One JSON object on stdout: mutant → kinds of violations. Names as arguments: those alone. Exit status 1 where
one survived.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec import Struct

SQL = Path(__file__).parents[3] / "db" / "postgres" / "migrations" / "sql"
_FENCE = "WHERE x.id = p_ids[n] AND x.attempt = p_attempts[n] AND x.worker = p_worker"
_MAIN = """
import sys
from pathlib import Path
from db.postgres.migrations import scripts
from ops.cli import main
scripts.SQL = Path(sys.argv.pop(1))
main()
"""


class Mutant(Struct, frozen=True):
    """Edits of `file`.sql (file, was, becomes), and the faults that bring them out."""

    edits: Sequence[tuple[str, str, str]]
    faults: str
    seconds: int = 10


MUTANTS = {
    "commits do not wait for the disk": Mutant(
        [
            (
                "0010_jobs",
                "BEGIN\n  -- In the order of owners",
                "BEGIN\n  PERFORM set_config('synchronous_commit', 'off', true);-- In the order of owners",
            ),
        ],
        "kill_postgres",
        25,
    ),
    "no wallet lock": Mutant(
        [
            ("0010_ledger", "WHERE owner = p_owner FOR NO KEY UPDATE;", "WHERE owner = p_owner;"),
            (
                "0010_jobs",
                "ANY(p_owners) ORDER BY x.owner FOR NO KEY UPDATE;",
                "ANY(p_owners) ORDER BY x.owner;",
            ),
        ],
        "kill_api",
    ),
    "no fence, and a step may be taken twice": Mutant(
        [
            ("0010_jobs", _FENCE, "WHERE x.id = p_ids[n]"),
            (
                "0010_jobs",
                " AND x.amount > 0 AND x.attempt = p_attempts[n] AND x.worker = p_worker\n",
                " AND x.amount > 0\n",
            ),
            ("0001_tables", "  UNIQUE (owner, ref, slot),\n", ""),
        ],
        "freeze_worker,kill_worker",
        30,
    ),
    "no look at the key": Mutant(
        [
            (
                "0010_jobs",
                "      ELSIF FOUND THEN\n        code := CASE WHEN k.id",
                "      ELSIF false THEN\n        code := CASE WHEN k.id",
            )
        ],
        "kill_api",
    ),
    "the answer tells what was there before": Mutant(
        [
            (
                "0010_jobs",
                "CASE bucket WHEN 'free' THEN w.free - p_holds[n]",
                "CASE bucket WHEN 'free' THEN w.free",
            ),
            (
                "0010_jobs",
                "'queued', y.ref, y.src, y.remaining",
                "'queued', y.ref, y.src, y.remaining + y.amount",
            ),
        ],
        "kill_api",
    ),
    "a failed job is charged": Mutant(
        [
            (
                "0010_jobs",
                "coalesce(p_codes[n], 'failed'), 0, p_worker)",
                "coalesce(p_codes[n], 'failed'), 1000000, p_worker)",
            )
        ],
        "kill_worker",
    ),
    "paid credits before free ones": Mutant(
        [
            (
                "0010_ledger",
                "ELSE least(w.free, p_amount) END;",
                "ELSE least(w.free, greatest(p_amount - w.paid, 0)) END;",
            ),
            ("0010_jobs", "WHEN x.free >= p_holds[n] THEN 'free'", "WHEN x.paid = 0 THEN 'free'"),
            ("0010_jobs", "WHEN x.free = 0 AND x.paid >=", "WHEN x.paid >="),
        ],
        "kill_api",
    ),
    "old free credits stay at month end": Mutant(
        [
            (
                "0010_ledger",
                "    IF w.free > 0 THEN\n      w := cv.append_transfer(w, month_ref",
                "    IF false THEN\n      w := cv.append_transfer(w, month_ref",
            )
        ],
        "month_end",
    ),
    "a free hold comes back after its month": Mutant(
        [("0010_ledger", "WHEN w.closed OR (h.bucket = 'free' AND h.period < w.period)", "WHEN w.closed")],
        "month_end",
    ),
    "a refund may come twice": Mutant(
        [
            (
                "0010_ledger",
                "slot BETWEEN 40 AND 42) THEN",
                "slot BETWEEN 40 AND 42 AND false) THEN",
            )
        ],
        "kill_redis",
    ),
    "what is over can be cancelled": Mutant(
        [
            (
                "0010_jobs",
                "IF j.state NOT IN ('queued', 'processing') THEN RETURN 'too_late'; END IF;",
                "",
            )
        ],
        "kill_redis",
    ),
    "a job put back is as new": Mutant(
        [
            (
                "0003_money_of_what_was_given",
                "lease = NULL, worker = NULL, tries = tries - p_tries_back,",
                "lease = NULL, worker = NULL, tries = tries - p_tries_back, attempt = 0,",
            )
        ],
        "freeze_worker,kill_worker",
        30,
    ),
    "credits may run below nothing": Mutant(
        [
            (
                "0010_jobs",
                "w.free + w.paid < p_holds[n] THEN 'insufficient_credits'",
                "false THEN 'insufficient_credits'",
            )
        ],
        "kill_redis",
    ),
    "some jobs are made without a hold": Mutant(
        [
            (
                "0010_jobs",
                "    w := cv.hold(w, p_ids[n], p_holds[n]);",
                "    IF random() > 0.1 THEN w := cv.hold(w, p_ids[n], p_holds[n]); END IF;",
            ),
            ("0010_jobs", "'hold', y.at, y.hash FROM y", "'hold', y.at, y.hash FROM y WHERE random() > 0.1"),
        ],
        "kill_redis",
    ),
}


def found(name: str) -> list[str]:
    """The kinds of violations a storm over this mutant ends with; none: it survived."""
    mutant = MUTANTS[name]
    with TemporaryDirectory(prefix="storm-mutant-") as folder:
        Path(folder).chmod(0o755)
        sql = Path(folder) / "sql"
        sql.mkdir()
        texts = {path.name: path.read_text(encoding="utf-8") for path in SQL.glob("*.sql")}
        for file, was, becomes in mutant.edits:
            assert was in texts[f"{file}.sql"], "the SQL has changed: so must the mutant"
            texts[f"{file}.sql"] = texts[f"{file}.sql"].replace(was, becomes)
        for file, text in texts.items():
            (sql / file).write_text(text, encoding="utf-8")
        command = [sys.executable, "-c", _MAIN, str(sql), "storm", "--json", "--seconds", str(mutant.seconds)]
        command += ["--calm", "15", "--faults", mutant.faults, "--resume", f"{folder}/storm"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=400)
    assert done.stdout.startswith("{"), done.stderr
    return list(dict.fromkeys(one["what"] for one in json.loads(done.stdout)["violations"]))


def main() -> int:
    """Rage over all, or those named."""
    seen = {}
    for name in sys.argv[1:] or MUTANTS:
        seen[name] = found(name)
        print(f"{name}: {', '.join(seen[name]) or 'SURVIVED'}", file=sys.stderr, flush=True)
    survived = [name for name, kinds in seen.items() if not kinds]
    print(json.dumps({"mutants": len(seen), "survived": len(survived), "violations": seen}, indent=1))
    return bool(survived)


if __name__ == "__main__":
    sys.exit(main())
