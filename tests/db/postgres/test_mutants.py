"""The tests' own test: each mutant of the SQL must fail the test named beside it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec import Struct

HOME = Path(__file__).parents[3]


class Mutant(Struct, frozen=True):
    """`file`.sql with `was` replaced by `becomes`; `test` (in tests/db/postgres) must fail on it."""

    name: str
    file: str
    was: str
    becomes: str
    test: str


MUTANTS = [
    Mutant(
        "no share of running work",
        "0006_fair_shares",
        "ORDER BY x.fair_at LOOP\n    IF cardinality(array_positions(busy, r.owner)) < p_most THEN",
        "ORDER BY x.fair_at LOOP\n    IF true THEN",
        "test_fair_shares.py::test_an_account_has_half_of_the_slots_while_another_one_waits",
    ),
    Mutant(
        "an account that runs something is claimed beyond the slots",
        "0006_fair_shares",
        "WHERE w.owner <> ALL(busy) AND (",
        "WHERE (",
        "test_fair_shares.py::test_beyond_the_slots_each_account_that_runs_nothing_has_one_job",
    ),
    Mutant(
        "no wallet lock",
        "0010_ledger",
        "WHERE owner = p_owner FOR NO KEY UPDATE;",
        "WHERE owner = p_owner;",
        "test_ledger.py::test_a_grant_happens_once_a_reference",
    ),
    Mutant(
        "no lock of a batch's wallets",
        "0010_jobs",
        "ANY(p_owners) ORDER BY x.owner FOR NO KEY UPDATE;",
        "ANY(p_owners) ORDER BY x.owner;",
        "test_ledger.py::test_nobody_spends_what_is_not_there",
    ),
    Mutant(
        "no fencing by attempt",
        "0010_jobs",
        "AND x.attempt = p_attempts[n] AND x.worker = p_worker",
        "AND x.worker = p_worker",
        "test_guards.py::test_a_workers_own_earlier_attempt_is_fenced_too",
    ),
    Mutant(
        "no fencing by worker",
        "0010_jobs",
        "AND x.attempt = p_attempts[n] AND x.worker = p_worker",
        "AND x.attempt = p_attempts[n]",
        "test_guards.py::test_a_job_can_be_renewed_and_finished_only_by_its_worker",
    ),
    Mutant(
        "a step of a hold may be written twice",
        "0001_tables",
        "  UNIQUE (owner, ref, slot),\n",
        "",
        "test_guards.py::test_no_transfer_of_a_hold_is_written_twice",
    ),
    Mutant(
        "wallets locked in another order",
        "0010_jobs",
        "ANY(owners) ORDER BY x.owner FOR NO KEY UPDATE;",
        "ANY(owners) ORDER BY x.owner DESC FOR NO KEY UPDATE;",
        "test_guards.py::test_finish_locks_wallets_by_owner_and_jobs_after_them",
    ),
    Mutant(
        "no check of the key",
        "0010_jobs",
        "      ELSIF FOUND THEN\n        code := CASE WHEN k.id",
        "      ELSIF false THEN\n        code := CASE WHEN k.id",
        "test_jobs.py::test_a_key_used_twice_in_one_batch_gives_one_job",
    ),
    Mutant(
        "old free credits stay at month end",
        "0010_ledger",
        "    IF w.free > 0 THEN\n      w := cv.append_transfer(w, month_ref",
        "    IF false THEN\n      w := cv.append_transfer(w, month_ref",
        "test_ledger.py::test_a_new_month_brings_new_free_credits_and_ends_the_old",
    ),
    Mutant(
        "a free hold comes back after its month",
        "0010_ledger",
        "WHEN w.closed OR (h.bucket = 'free' AND h.period < w.period)",
        "WHEN w.closed",
        "test_ledger.py::test_a_new_month_brings_new_free_credits_and_ends_the_old",
    ),
    Mutant(
        "the roll-over is kept by the caller alone",
        "0010_ledger",
        "    w := cv.store_wallet(w);  -- here, since a caller that refuses saves nothing\n",
        "",
        "test_ledger.py::test_a_refusal_in_a_new_month_leaves_the_wallet_whole",
    ),
    Mutant(
        "a hold from two buckets is recorded as one",
        "0010_jobs",
        "bucket = 'paid' AND w.free > 0, coalesce(",
        "false, coalesce(",
        "test_ledger.py::test_a_hold_from_two_buckets_is_spent_from_each",
    ),
    Mutant(
        "handing back costs a try",
        "0010_jobs",
        "PERFORM cv.requeue(j.id, 1, interval '0');",
        "PERFORM cv.requeue(j.id, 0, interval '0');",
        "test_jobs.py::test_a_job_handed_back_loses_no_try",
    ),
    Mutant(
        "a text refused late is free",
        "0010_jobs",
        "cv.price_of_given(j), p_worker);\n      result := 'failed';",
        "0, p_worker);\n      result := 'failed';",
        "test_listening.py::test_what_was_given_is_paid_however_a_job_ends_unless_we_failed",
    ),
    Mutant(
        "whoever cancels pays nothing",
        "0010_jobs",
        "'cancelled', 'cancelled', cv.price_of_given(j), p_actor",
        "'cancelled', 'cancelled', 0, p_actor",
        "test_listening.py::test_what_was_given_is_paid_however_a_job_ends_unless_we_failed",
    ),
    Mutant(
        "our failure is charged",
        "0010_jobs",
        "coalesce(p_codes[n], 'failed'), 0, p_worker);",
        "coalesce(p_codes[n], 'failed'), cv.price_of_given(j), p_worker);",
        "test_listening.py::test_what_was_given_is_paid_however_a_job_ends_unless_we_failed",
    ),
    Mutant(
        "what is given is not recorded",
        "0003_money_of_what_was_given",
        "UPDATE cv.job x SET heard = true, given_ms = greatest(x.given_ms, p_given_ms)",
        "UPDATE cv.job x SET heard = x.heard",
        "test_listening.py::test_what_was_given_is_paid_however_a_job_ends_unless_we_failed",
    ),
    Mutant(
        "a lost attempt's audio is charged",
        "0003_money_of_what_was_given",
        "tries = tries - p_tries_back, heard = false,\n    given_ms = 0,",
        "tries = tries - p_tries_back,",
        "test_listening.py::test_what_a_lost_attempt_gave_counts_for_nothing",
    ),
    Mutant(
        "a grant is not once a reference",
        "0010_ledger",
        "ref = p_ref AND slot = 0) THEN\n    RETURN 'replayed';",
        "ref = p_ref AND slot = 0 AND false) THEN\n    RETURN 'replayed';",
        "test_ledger.py::test_a_grant_happens_once_a_reference",
    ),
    Mutant(
        "the chain forgets what came before",
        "0010_ledger",
        "SELECT sha256(prev || convert_to(",
        "SELECT sha256(convert_to(",
        "test_guards.py::test_an_entry_rewritten_with_a_fitting_hash_breaks_the_next_link",
    ),
    Mutant(
        "replica mode silences the guards",
        "0001_tables",
        "ALTER TABLE cv.transfer ENABLE ALWAYS TRIGGER append_only_rows;",
        "",
        "test_ledger.py::test_not_even_the_superuser_changes_an_entry",
    ),
    Mutant(
        "a refund may come twice",
        "0010_ledger",
        "slot BETWEEN 40 AND 42) THEN",
        "slot BETWEEN 40 AND 42 AND false) THEN",
        "test_plans.py::test_a_refund_gives_back_once",
    ),
]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "-"))
def test_a_mutant_is_killed(mutant: Mutant, servers: tuple[str, str], tmp_path: Path) -> None:
    shutil.copytree(HOME / "db" / "postgres" / "migrations" / "sql", tmp_path / "sql")
    script = tmp_path / "sql" / f"{mutant.file}.sql"
    text = script.read_text()
    assert mutant.was in text, "the SQL has changed: so must the mutant"
    script.write_text(text.replace(mutant.was, mutant.becomes))
    lenient = ("-W", "default")  # resources a failed test leaves open do not matter here
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            *lenient,
            f"tests/db/postgres/{mutant.test}",
        ],
        cwd=HOME,
        env={
            **os.environ,
            "CODEVOICE_TEST_SQL": str(tmp_path / "sql"),
            "CODEVOICE_TEST_DATABASE_OWNER_URL": servers[0],
            "CODEVOICE_TEST_REDIS_URL": servers[1],
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )
    assert re.search(r"^FAILED", done.stdout, re.MULTILINE), done.stdout[-2000:]  # not an error before it
