"""`codevoice users reset-link` and `codevoice invites …`."""

import pytest

from tests.ops.conftest import WHY, Owner, Run, RunJson

URL = "https://voice.example.org"


def test_a_reset_link_is_shown_once_and_kept_as_a_digest(
    run: Run, run_json: RunJson, ann: str, owner: Owner
) -> None:
    made = run_json("users", "reset-link", "ann@example.org", *WHY, CODEVOICE_PUBLIC_URL=f"{URL}/")
    in_words = run("users", "reset-link", ann, *WHY)

    assert made["url"] == f"{URL}/reset/confirm?token={made['token']}"
    assert "on the page /reset/confirm, token cvr_" in in_words.stdout
    rows = owner.execute(
        "SELECT by_mail, expires_at > clock_timestamp() + interval '23 h', r::text FROM cv.password_reset r"
    ).fetchall()
    assert [row[:2] for row in rows] == [(False, True)] * 2
    assert made["token"] not in str(rows)


def test_an_account_without_a_password_gets_no_reset_link(run: Run, run_json: RunJson) -> None:
    kiosk = run_json("accounts", "create-api-only", "kiosk", "--yes")["account"]

    assert run("users", "reset-link", kiosk, *WHY).returncode == 2
    assert run("users", "reset-link", "nobody@example.org", *WHY).returncode == 4


def test_an_invitation_is_made_listed_and_revoked(run_json: RunJson, run: Run) -> None:
    made = run_json(
        "invites", "create", "--plan", "pro", "--uses", "3", "--until", "2099-01-31", *WHY,
        CODEVOICE_PUBLIC_URL=URL,
    )  # fmt: skip
    [before] = run_json("invites", "list")["items"]
    revoke = ("invites", "revoke", made["invite"], *WHY, "--idempotency-key", "k")
    codes = [run_json(*revoke)["code"] for _ in range(2)]
    [after] = run_json("invites", "list")["items"]

    assert (made["code"], made["url"]) == ("created", f"{URL}/signup?invite={made['invitation']}")
    assert (before["id"], before["plan"], before["uses"], before["uses_left"], before["usable"]) == (
        made["invite"], "pro", 3, 3, True,
    )  # fmt: skip
    assert codes == ["revoked", "replayed"]
    assert (after["uses"], after["uses_left"], after["usable"]) == (3, 0, False)
    assert made["invitation"] not in run("invites", "list").stdout


def test_one_idempotency_key_makes_one_invitation_and_shows_it_once(run_json: RunJson, owner: Owner) -> None:
    keyed = ("invites", "create", *WHY, "--idempotency-key", "k")

    first, again = run_json(*keyed), run_json(*keyed)

    assert (again["code"], again["invite"], again["invitation"]) == ("replayed", first["invite"], None)
    assert owner.execute("SELECT count(*) FROM cv.invite").fetchone() == (1,)


@pytest.mark.parametrize(
    ("options", "status"),
    [(("--uses", "0"), 2), (("--plan", "gold"), 4), (("--until", "2020-01-01"), 2)],
)
def test_an_invalid_invitation_is_refused(
    run: Run, owner: Owner, options: tuple[str, str], status: int
) -> None:
    assert run("invites", "create", *options, *WHY).returncode == status
    assert owner.execute("SELECT count(*) FROM cv.invite").fetchone() == (0,)


def test_revoking_an_unknown_invitation_is_an_error(run: Run) -> None:
    assert run("invites", "revoke", "7b1c9a52-6f0d-4c3e-9a41-2d8e5f7a0b16", *WHY).returncode == 4
    assert run("invites", "revoke", "nonsense", *WHY).returncode == 4
