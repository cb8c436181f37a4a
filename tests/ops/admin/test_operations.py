"""Operators' commands, noun by noun: each is done, reported and audited."""

import json
import os
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from db.redis import worker_wakeup
from tests.ops.conftest import WHY, Job, Owner, Run, RunJson


def acts_of(owner: Owner, name: str) -> list[tuple[Any, ...]]:
    return owner.execute(
        "SELECT actor, reason, owner::text FROM cv.admin_act WHERE act = %s", [name]
    ).fetchall()


def test_the_first_administrator_is_made_at_the_terminal(run_json: RunJson, owner: Owner) -> None:
    made = run_json("users", "create", "Boss@Example.org", "--admin", "--name", "Boss", "--yes")

    assert (made["code"], made["email"], made["admin"]) == ("created", "boss@example.org", True)
    assert len(made["password"]) >= 12
    assert made["api_key"].startswith("cv_live_")
    assert acts_of(owner, "create_user") == [(f"cli:{os.getuid()}", "opened by an operator", made["account"])]
    kept = owner.execute("SELECT details::text FROM cv.admin_act").fetchone()
    assert kept == ('{"admin": true}',)  # nothing that erasing a person would have to remove


def test_a_password_may_be_given_on_stdin(run: Run) -> None:
    done = run("users", "create", "a@b.org", "--password-stdin", "--yes", "--json", stdin="correct horse\n")
    assert (done.returncode, json.loads(done.stdout).get("password")) == (0, None)
    assert run("users", "create", "c@b.org", "--password-stdin", "--yes", stdin="short\n").returncode == 2


def test_users_are_listed_page_by_page(run_json: RunJson) -> None:
    for n in range(3):
        run_json("users", "create", f"u{n}@example.org", "--yes")
    run_json("accounts", "create-api-only", "kiosk", "--yes")

    first = run_json("users", "list", "--limit", "2", "--type", "registered")
    rest = run_json("users", "list", "--type", "registered", "--cursor", first["next_cursor"])

    emails = [user["email"] for user in first["items"] + rest["items"]]
    assert emails == ["u2@example.org", "u1@example.org", "u0@example.org"]
    assert rest["next_cursor"] is None


def test_a_user_is_shown_by_email_and_by_id(run_json: RunJson, run: Run, ann: str) -> None:
    output = run_json("users", "show", "Ann@example.org")
    assert output == run_json("users", "show", ann)
    assert (output["account"], output["plan"], output["free"]) == (ann, "free", 60)
    assert f"account {ann}" in run("users", "show", ann).stdout.splitlines()


def test_suspending_is_undone_by_undo(run_json: RunJson, ann: str, owner: Owner) -> None:
    away = run_json("users", "suspend", ann, *WHY)
    back = run_json("users", "suspend", ann, "--undo", *WHY)

    assert [(user["code"], user["suspended"]) for user in (away, back)] == [
        ("suspended", True),
        ("restored", False),
    ]
    assert len(acts_of(owner, "suspend")) == len(acts_of(owner, "unsuspend")) == 1


def test_of_the_last_two_administrators_suspended_at_once_one_is_left(run_json: RunJson, run: Run) -> None:
    """And that one can be neither suspended nor closed."""
    names = ("ann@example.org", "bob@example.org")
    for name in names:
        run_json("users", "create", name, "--admin", "--yes")
    with ThreadPoolExecutor(2) as threads:
        done = list(threads.map(lambda name: run("users", "suspend", name, *WHY, "--yes"), names))

    assert sorted(one.returncode == 0 for one in done) == [False, True], done
    left = names[0] if done[0].returncode else names[1]
    closed = run("accounts", "close", left, *WHY, "--yes")
    assert closed.returncode != 0
    assert "only administrator" in closed.stderr
    assert not run_json("users", "show", left)["suspended"]


def test_a_grant_prints_the_fields_scripts_rely_on(run_json: RunJson, ann: str) -> None:
    granted = run_json("credits", "grant", "ann@example.org", "5.5", *WHY)
    assert granted == {
        "code": "granted",
        "account": ann,
        "amount": 5.5,
        "free": 60,
        "paid": 5.5,
        "held": 0,
        "total_remaining": 65.5,
    }


def test_no_more_credits_expire_than_the_wallet_has(run_json: RunJson, run: Run, ann: str) -> None:
    run_json("credits", "grant", ann, "5", *WHY)
    taken = run_json("credits", "expire", ann, "2", *WHY)
    too_much = run("credits", "expire", ann, "4", *WHY)

    assert (taken["code"], taken["paid"]) == ("expired", 3)
    assert (too_much.returncode, too_much.stdout) == (5, "")


def test_a_refund_gives_back_what_a_job_cost_once(run_json: RunJson, run: Run, ann: str, job: Job) -> None:
    done = job("done")
    codes = [run_json("credits", "refund", done, *WHY) for _ in range(2)]

    assert [(code["code"], code["job"], code["amount"], code["free"]) for code in codes] == [
        ("refunded", done, 1, 60),
        ("replayed", done, 1, 60),
    ]
    assert run("credits", "refund", job("refuse"), *WHY).returncode == 5
    assert run("credits", "refund", str(uuid.uuid4()), *WHY).returncode == 4


def test_history_lists_what_was_moved(run_json: RunJson, ann: str) -> None:
    run_json("credits", "grant", ann, "5", *WHY)
    last = run_json("credits", "history", ann, "--limit", "1")
    first = run_json("credits", "history", ann, "--cursor", last["next_cursor"])

    assert [
        (row["src"], row["dst"], row["amount"], row["reason"]) for row in last["items"] + first["items"]
    ] == [
        ("issued", "paid", 5, "test"),
        ("issued", "free", 60, "monthly_credits"),
    ]


def test_an_api_only_account_is_created_within_limits(run_json: RunJson, owner: Owner) -> None:
    made = run_json("accounts", "create-api-only", "kiosk", "--limit", "2", "--extra", "1", *WHY)
    more = run_json("accounts", "limit", made["account"], "5", *WHY)
    less = run_json("accounts", "limit", made["account"], "3", *WHY)
    free = run_json("accounts", "unlimited", made["account"], *WHY)
    bound = run_json("accounts", "unlimited", made["account"], "--undo", *WHY)

    assert made["api_key"].startswith("cv_live_")
    answers = [
        (now["code"], now["monthly"], now["total_remaining"]) for now in (made, more, less, free, bound)
    ]
    assert answers == [
        ("created", 2, 3),
        ("changed", 5, 6),
        ("next_month", 5, 6),
        ("changed", 5, None),
        ("changed", 5, 6),
    ]
    assert len(acts_of(owner, "terms")) == len(acts_of(owner, "unlimited")) == 2


def test_a_closed_account_refuses_further_operations(run_json: RunJson, run: Run, ann: str) -> None:
    closed = run_json("accounts", "close", ann, *WHY)
    refused = [
        run("credits", "grant", ann, "1", *WHY),
        run("accounts", "limit", ann, "1", *WHY),
        run("accounts", "unlimited", ann, *WHY),
    ]
    assert (closed["code"], closed["closed"], closed["total_remaining"]) == ("closed", True, 0)
    assert [done.returncode for done in refused] == [5, 5, 5]


def test_plans_are_listed_and_set(run_json: RunJson, run: Run, ann: str) -> None:
    assert run_json("plans", "list")["items"] == [
        {"tier": 1, "name": "free", "monthly": 60},
        {"tier": 2, "name": "pro", "monthly": 10000},
    ]
    up, down = run_json("plans", "set", ann, "pro", *WHY), run_json("plans", "set", ann, "1", *WHY)
    assert [(now["code"], now["plan"], now["free"]) for now in (up, down)] == [
        ("changed", "pro", 10000),
        ("next_month", "pro", 10000),
    ]
    assert run("plans", "set", ann, "gold", *WHY).returncode == 4


def test_a_checkpoint_is_written_and_audited_from(run_json: RunJson, run: Run, ann: str) -> None:
    assert run_json("ledger", "checkpoint") == {"wallets": 1}
    run_json("credits", "grant", ann, "1", *WHY)
    assert run_json("ledger", "audit", "--since-checkpoint")["clean"]
    assert run_json("ledger", "checkpoint") == {"wallets": 1}
    assert run_json("ledger", "checkpoint") == {"wallets": 0}


def test_prices_are_set_listed_and_tried_by_a_dry_run(run_json: RunJson, run: Run, owner: Owner) -> None:
    tried = run_json("prices", "set", "cloning", "request", "5", "--dry-run", *WHY)
    made = run_json("prices", "set", "cloning", "request", "5", "--from", "2099-01-01", *WHY)
    [last, *_] = run_json("prices", "list")["items"]
    assert (tried["code"], tried["entries"]) == ("set", [])
    assert (last["version"], last["price"], last["in_force"]) == (made["version"], 5, False)
    assert len(acts_of(owner, "price")) == 1
    assert run("prices", "set", "cloning", "hour", "5", *WHY).returncode == 2
    assert run("prices", "set", "cloning", "request", "5", "--from", "2020-01-01", *WHY).returncode == 2


def test_the_key_limit_of_an_account_holds_for_operators_too(run_json: RunJson, run: Run, ann: str) -> None:
    run_json("keys", "create", ann, "second", *WHY)
    refused = run("keys", "create", ann, "third", *WHY, CODEVOICE_KEYS_MAX="2")
    assert (refused.returncode, "at most 2 keys" in refused.stderr) == (5, True)


def test_keys_are_created_rotated_and_revoked(run_json: RunJson, run: Run, ann: str, owner: Owner) -> None:
    made = run_json("keys", "create", ann, "ci", "--scope", "speech", *WHY)
    new = run_json("keys", "rotate", made["id"], *WHY)
    ended = run_json("keys", "revoke", new["id"], *WHY)

    assert (made["code"], new["code"], ended["code"]) == ("created", "rotated", "revoked")
    assert made["scopes"] == new["scopes"] == ["speech"]
    assert made["key"] != new["key"]
    listed = run_json("keys", "list", ann)["items"]
    assert [(key["name"], key["revoked_at"] is None) for key in listed] == [
        ("ci", False),
        ("ci", False),
        ("personal", True),
    ]
    assert run("keys", "rotate", new["id"], *WHY).returncode == 5
    assert run("keys", "revoke", str(uuid.uuid4()), *WHY).returncode == 4
    kept = owner.execute("SELECT string_agg(details::text, '') FROM cv.admin_act").fetchone()
    assert kept
    assert new["key"] not in kept[0]


def test_a_failed_job_is_retried_with_a_new_hold(
    run_json: RunJson, run: Run, ann: str, job: Job, owner: Owner
) -> None:
    failed = job("refuse")
    again = run_json("jobs", "retry", failed, "--idempotency-key", "r", *WHY)
    replay = run_json("jobs", "retry", failed, "--idempotency-key", "r", *WHY)

    assert (again["code"], again["job"], again["held"]) == ("queued", failed, 1)
    assert (replay["code"], replay["new_job"]) == ("replayed", again["new_job"])
    assert run_json("users", "show", ann)["held"] == 1
    kept = "params - '{request_id,cost_us}'::text[]"
    same = f"SELECT {kept}, hold, characters, kind, engine, lane FROM cv.job WHERE id = %s"
    rows = [owner.execute(same, [one]).fetchone() for one in (failed, again["new_job"])]
    assert rows[0] == rows[1]
    assert "held anew" in run("jobs", "retry", failed, *WHY).stdout
    assert run("jobs", "retry", again["new_job"], *WHY).returncode == 5


def test_a_retried_job_wakes_a_worker(run_json: RunJson, job: Job, redis_url: str) -> None:
    queue = worker_wakeup.producer(redis_url)
    key = f"dramatiq:{worker_wakeup.queue_name('espeak')}"
    before = queue.client.llen(key)
    run_json("jobs", "retry", job("refuse"), *WHY, REDIS_URL=redis_url)
    assert queue.client.llen(key) == before + 1
    queue.client.close()


def test_a_job_is_retried_although_no_worker_can_be_woken(run: Run, job: Job) -> None:
    done = run("jobs", "retry", job("refuse"), *WHY, REDIS_URL="redis://127.0.0.1:9/0")
    assert (done.returncode, "one will find the job by itself" in done.stderr) == (0, True)


def test_a_job_is_cancelled_for_its_owner(
    run_json: RunJson, run: Run, ann: str, job: Job, owner: Owner
) -> None:
    queued = job(None)
    assert run_json("jobs", "cancel", queued, *WHY)["code"] == "cancelled"
    assert run_json("users", "show", ann)["free"] == 60
    assert run("jobs", "cancel", queued, *WHY).returncode == 5
    assert acts_of(owner, "cancel_job") == [(f"cli:{os.getuid()}", "test", ann)]


def test_jobs_are_listed_and_shown_without_their_text(
    run_json: RunJson, run: Run, ann: str, job: Job
) -> None:
    failed, done = job("refuse"), job("done")

    assert [row["job"] for row in run_json("jobs", "list", "--account", ann)["items"]] == [done, failed]
    assert [row["job"] for row in run_json("jobs", "list", "--state", "failed")["items"]] == [failed]
    output = run_json("jobs", "show", done)
    assert (output["state"], output["price"], output["voice"]) == ("completed", 1, "ryan")
    assert [(leg["bucket"], leg["amount"]) for leg in output["entries"]] == [
        ("free", -1),
        ("held", 1),
        ("held", -1),
        ("spent", 1),
    ]
    assert "secret" not in json.dumps(output) + run("jobs", "show", done).stdout
