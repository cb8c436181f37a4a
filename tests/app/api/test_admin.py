"""`/admin` over HTTP, as shops call it: for administrators only, once per idempotency key, and audited."""

import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import psycopg
import pytest

from tests.app.api_process import ApiProcess
from tests.app.conftest import PASSWORD, AddKey, End, Person, Say, SignUp

Owner = psycopg.Connection[Any]

ROUTES = [
    ("GET", "/users"),
    ("POST", "/users"),
    ("GET", "/users/x"),
    ("POST", "/users/x/suspend"),
    ("POST", "/users/x/plan"),
    ("POST", "/accounts"),
    ("POST", "/accounts/x/limit"),
    ("POST", "/accounts/x/unlimited"),
    ("POST", "/accounts/x/close"),
    ("GET", "/accounts/x/transfers"),
    ("GET", "/accounts/x/keys"),
    ("POST", "/accounts/x/keys"),
    ("POST", "/keys/x/rotate"),
    ("POST", "/keys/x/revoke"),
    ("POST", "/grants"),
    ("POST", "/expiries"),
    ("POST", "/refunds"),
    ("GET", "/plans"),
    ("GET", "/prices"),
    ("POST", "/prices"),
    ("GET", "/jobs"),
    ("GET", "/jobs/x"),
    ("POST", "/jobs/x/retry"),
    ("POST", "/jobs/x/cancel"),
    ("GET", "/audit"),
    ("GET", "/acts"),
]


class Operator:
    """An administrator who calls the API."""

    def __init__(self, api: ApiProcess, person: Person) -> None:
        self.api, self.id, self.key, self.token = api, person.id, person.key, person.token

    def ask(self, path: str, **options: object) -> httpx.Response:
        return self.api.call("GET", f"/api/admin{path}", self.key, **options)

    def act(self, path: str, idempotency: str | None = None, **body: object) -> httpx.Response:
        headers = {} if idempotency is None else {"Idempotency-Key": idempotency}
        sent = {"reason": "test", **body}
        return self.api.call("POST", f"/api/admin{path}", self.key, json=sent, headers=headers)

    def done(self, path: str, idempotency: str | None = None, **body: object) -> Any:
        answer = self.act(path, idempotency, **body).raise_for_status()
        assert answer.headers["Cache-Control"] == "no-store"
        return answer.json()


@pytest.fixture(scope="module")
def operator(api: ApiProcess, sign_up: SignUp, owner: Owner) -> Operator:
    person = sign_up()
    owner.execute("UPDATE cv.account SET admin = true WHERE id = %s", [person.id])
    return Operator(api, person)


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["detail"]["error"]


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_operators_routes_are_for_administrators(
    api: ApiProcess, person: Person, operator: Operator, add_key: AddKey, method: str, path: str
) -> None:
    path = f"/api/admin{path}"
    assert code(api.call(method, path)) == (401, "missing_api_key")
    assert code(api.call(method, path, person.key)) == (403, "missing_scope")
    bearer = {"Authorization": f"Bearer {person.token}"}
    assert code(api.call(method, path, headers=bearer)) == (403, "missing_scope")
    assert code(api.call(method, path, add_key(person.id, scopes=["admin"]))) == (403, "missing_scope")
    assert code(api.call(method, path, add_key(operator.id, scopes=["speech"]))) == (403, "missing_scope")
    good = api.call(method, path, operator.key, json={} if method == "POST" else None)
    assert good.status_code in (200, 404, 422)


def test_tokens_and_admin_keys_of_administrators_are_accepted(
    api: ApiProcess, operator: Operator, add_key: AddKey
) -> None:
    bearer = {"Authorization": f"Bearer {operator.token}"}
    assert api.call("GET", "/api/admin/plans", headers=bearer).status_code == 200
    assert api.call("GET", "/api/admin/plans", add_key(operator.id, scopes=["admin"])).status_code == 200


def test_a_grant_happens_once_per_order(operator: Operator, person: Person, owner: Owner) -> None:
    first = operator.act("/grants", "order-1", account=person.email, amount=5.5)
    again = operator.act("/grants", "order-1", account=person.email, amount=5.5)

    assert first.json() == {
        "code": "granted",
        "account": person.id,
        "amount": 5.5,
        "free": 60,
        "paid": 5.5,
        "held": 0,
        "total_remaining": 65.5,
    }
    assert (again.json()["code"], again.json()["paid"]) == ("replayed", 5.5)
    assert (again.headers["Idempotent-Replayed"], "Idempotent-Replayed" in first.headers) == ("true", False)
    acts = owner.execute(
        "SELECT act, actor, reason, details::text FROM cv.admin_act WHERE owner = %s", [person.id]
    )
    assert acts.fetchall() == [("grant", operator.id, "test", '{"amount": 5500000}')]


def test_an_orders_idempotency_key_is_refused_for_another_operation(
    operator: Operator, person: Person, sign_up: SignUp
) -> None:
    operator.done("/grants", "order-2", account=person.id, amount=5)
    others = [
        operator.act("/grants", "order-2", account=person.id, amount=6),
        operator.act("/grants", "order-2", account=sign_up().id, amount=5),
        operator.act("/expiries", "order-2", account=person.id, amount=5),
        operator.act("/grants", "order-2", account=person.id, amount=5, reason="other"),
    ]
    assert [code(other) for other in others] == [(422, "idempotency_key_reused")] * 4


def test_two_administrators_may_use_the_same_idempotency_keys(
    api: ApiProcess, operator: Operator, sign_up: SignUp, owner: Owner
) -> None:
    person, other = sign_up(), sign_up()
    owner.execute("UPDATE cv.account SET admin = true WHERE id = %s", [other.id])
    operator.done("/grants", "1", account=person.id, amount=1)
    answer = Operator(api, other).act("/grants", "1", account=person.id, amount=1)
    assert (answer.json()["code"], answer.json()["paid"]) == ("granted", 2)


def test_concurrent_grants_with_one_idempotency_key_grant_once(operator: Operator, person: Person) -> None:
    with ThreadPoolExecutor(8) as threads:
        answers = list(
            threads.map(lambda _: operator.done("/grants", "race", account=person.id, amount=5), range(16))
        )
    assert sorted(answer["code"] for answer in answers) == ["granted"] + ["replayed"] * 15
    assert {answer["paid"] for answer in answers} == {5}


def test_expired_credits_leave_the_wallet_and_are_listed(operator: Operator, person: Person) -> None:
    operator.done("/grants", account=person.id, amount=5)
    assert operator.done("/expiries", account=person.id, amount=2)["paid"] == 3
    assert code(operator.act("/expiries", account=person.id, amount=4)) == (409, "not_enough_credits")

    page = operator.ask(f"/accounts/{person.id}/transfers", params={"limit": 2}).json()
    rest = operator.ask(f"/accounts/{person.id}/transfers", params={"cursor": page["next_cursor"]}).json()
    moved = [(row["src"], row["dst"], row["amount"]) for row in page["items"] + rest["items"]]
    assert moved == [("paid", "expired", 2), ("issued", "paid", 5), ("issued", "free", 60)]


def test_a_job_is_refunded_once(operator: Operator, person: Person, say: Say, end: End) -> None:
    job = say(person.key)
    assert code(operator.act("/refunds", job=job)) == (409, "not_charged")
    end(job)
    codes = [operator.done("/refunds", str(n), job=job) for n in range(2)]
    assert [(done["code"], done["amount"], done["free"]) for done in codes] == [
        ("refunded", 1, 60),
        ("replayed", 1, 60),
    ]


def test_an_administrator_opens_accounts(api: ApiProcess, operator: Operator) -> None:
    email = f"{secrets.token_hex(6)}@example.org"
    made = operator.act("/users", "open-1", email=email, name="New", password=PASSWORD)
    again = operator.done("/users", "open-1", email=email, name="New", password=PASSWORD)

    assert (made.status_code, made.json()["code"], made.json()["admin"]) == (201, "created", False)
    assert "password" not in made.json()
    assert (again["code"], again["account"], again["api_key"]) == ("replayed", made.json()["account"], None)
    assert api.call("GET", "/api/auth/me", made.json()["api_key"]).json()["user"]["email"] == email
    login = api.call("POST", "/api/auth/login", json={"email": email, "password": PASSWORD})
    assert login.status_code == 200
    assert code(operator.act("/users", email=email)) == (409, "email_taken")
    other = operator.act("/users", "open-1", email="other@example.org", password=PASSWORD)
    assert code(other) == (422, "idempotency_key_reused")


def test_a_generated_password_is_shown_once(api: ApiProcess, operator: Operator) -> None:
    email = f"{secrets.token_hex(6)}@example.org"
    made = operator.done("/users", email=email, admin=True)
    login = api.call("POST", "/api/auth/login", json={"email": email, "password": made["password"]})
    assert (made["admin"], login.status_code) == (True, 200)
    bearer = {"Authorization": f"Bearer {login.json()['token']}"}
    assert api.call("GET", "/api/admin/plans", headers=bearer).status_code == 200


def test_an_api_only_account_is_held_to_its_limit(api: ApiProcess, operator: Operator) -> None:
    made = operator.done("/accounts", name="kiosk", monthly=1)
    codes = [api.call("POST", "/v1/tts", made["api_key"], json={"text": "a", "voice": "ryan"})]
    path = f"/accounts/{made['account']}"
    codes.append(api.call("POST", "/v1/tts", made["api_key"], json={"text": "a", "voice": "ryan"}))
    assert operator.done(f"{path}/limit", monthly=2)["code"] == "changed"
    codes.append(api.call("POST", "/v1/tts", made["api_key"], json={"text": "a", "voice": "ryan"}))
    assert operator.done(f"{path}/unlimited")["total_remaining"] is None
    codes.append(api.call("POST", "/v1/tts", made["api_key"], json={"text": "a", "voice": "ryan"}))
    assert [answer.status_code for answer in codes] == [200, 402, 200, 200]
    assert operator.done(f"{path}/unlimited", undo=True)["total_remaining"] == 0
    assert operator.done(f"{path}/limit", monthly=None)["monthly"] == 60
    assert operator.done(f"{path}/close")["closed"]
    assert code(operator.act(f"{path}/limit", monthly=9)) == (403, "account_closed")


def test_users_are_listed_shown_suspended_and_put_on_plans(operator: Operator, person: Person) -> None:
    user = operator.ask(f"/users/{person.email}").json()
    listed = operator.ask("/users", params={"limit": 1, "type": "registered"}).json()

    assert (user["account"], user["plan"], user["free"]) == (person.id, "free", 60)
    assert (listed["items"], listed["next_cursor"]) == ([user], person.id)
    assert operator.done(f"/users/{person.id}/plan", plan="pro")["free"] == 10_000
    assert operator.done(f"/users/{person.id}/plan", plan="free")["code"] == "next_month"
    assert operator.done(f"/users/{person.id}/suspend")["suspended"]
    assert not operator.done(f"/users/{person.id}/suspend", undo=True)["suspended"]
    assert [plan["name"] for plan in operator.ask("/plans").json()["items"]] == ["free", "pro"]


def test_a_price_is_set_once_per_idempotency_key_and_listed(operator: Operator) -> None:
    wanted = {"kind": "sample", "engine": "espeak", "unit": "1000_characters", "price": 0.25}
    made = operator.done("/prices", "spring", **wanted)
    again = operator.act("/prices", "spring", **wanted)
    last = operator.ask("/prices", params={"limit": 1}).json()["items"][0]

    assert (made["code"], again.json()) == ("set", {"code": "replayed", "version": made["version"]})
    assert again.headers["Idempotent-Replayed"] == "true"
    assert (
        last.items()
        >= (wanted | {"version": made["version"], "in_force": True, "actor": operator.id}).items()
    )
    assert code(operator.act("/prices", "spring", **wanted | {"price": 1})) == (422, "idempotency_key_reused")
    assert code(operator.act("/prices", **wanted | {"price": -1})) == (422, "validation_error")
    assert code(operator.act("/prices", **wanted | {"valid_from": "2020-01-01T00:00:00Z"}))[0] == 422


def test_an_accounts_keys_are_created_rotated_and_revoked(
    api: ApiProcess, operator: Operator, person: Person
) -> None:
    made = operator.done(f"/accounts/{person.id}/keys", "k", name="ci", scopes=["account"])
    again = operator.done(f"/accounts/{person.id}/keys", "k", name="ci", scopes=["account"])
    new = operator.done(f"/keys/{made['id']}/rotate", grace_s=60)
    ended = operator.done(f"/keys/{new['id']}/revoke")

    assert (again["code"], again["id"], again["key"]) == ("replayed", made["id"], None)
    assert api.call("GET", "/api/auth/me", made["key"]).status_code == 200  # within its grace period
    assert api.call("GET", "/api/auth/me", new["key"]).json()["detail"]["error"] == "revoked_api_key"
    assert ended["code"] == "revoked"
    names = [key["name"] for key in operator.ask(f"/accounts/{person.id}/keys").json()["items"]]
    assert names == ["ci", "ci", "personal"]
    assert code(operator.act(f"/keys/{new['id']}/rotate")) == (409, "too_late")


def test_a_failed_job_is_retried_and_another_cancelled(
    operator: Operator, person: Person, say: Say, end: End
) -> None:
    failed, queued = say(person.key), say(person.key)
    end(failed, "refuse", code="broken")
    again = operator.done(f"/jobs/{failed}/retry", "again")
    cancelled = operator.done(f"/jobs/{queued}/cancel")

    assert (again["code"], again["held"], cancelled["code"]) == ("queued", 1, "cancelled")
    assert operator.done(f"/jobs/{failed}/retry", "again")["new_job"] == again["new_job"]
    assert code(operator.act(f"/jobs/{again['new_job']}/retry")) == (409, "not_failed")
    assert code(operator.act(f"/jobs/{queued}/cancel")) == (409, "too_late")
    listed = operator.ask("/jobs", params={"account": person.id, "state": "failed"}).json()["items"]
    assert [(row["job"], row["code"], row["price"]) for row in listed] == [(failed, "broken", 0)]
    end(again["new_job"])
    done = operator.ask(f"/jobs/{again['new_job']}").json()
    assert (done["state"], done["price"], len(done["entries"])) == ("completed", 1, 4)
    assert "hello" not in str(done)


def test_a_retry_holds_the_price_again(operator: Operator, say: Say, end: End) -> None:
    made = operator.done("/accounts", name="kiosk", monthly=1)
    job = say(made["api_key"])
    end(job, "refuse")
    say(made["api_key"])
    assert code(operator.act(f"/jobs/{job}/retry")) == (402, "insufficient_credits")


def test_the_audit_is_clean_and_operations_are_listed(operator: Operator, person: Person) -> None:
    operator.done("/grants", account=person.id, amount=1)
    operator.done(f"/users/{person.id}/plan", plan="pro")

    assert operator.ask("/audit").json()["clean"]
    first = operator.ask("/acts", params={"account": person.id, "limit": 1}).json()
    rest = operator.ask("/acts", params={"account": person.id, "cursor": first["next_cursor"]}).json()
    acts = [(act["act"], act["actor"], act["details"]) for act in first["items"] + rest["items"]]
    assert acts == [
        ("terms", operator.id, {"tier": 2, "monthly": None}),
        ("grant", operator.id, {"amount": 1_000_000}),
    ]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/grants", {"account": "a@b.org", "amount": 0}, "amount"),
        ("/grants", {"account": "a@b.org", "amount": -1}, "amount"),
        ("/grants", {"account": "a@b.org", "amount": 0.0000001}, "amount"),
        ("/grants", {"account": "a@b.org", "amount": 1e300}, "amount"),
        ("/grants", {"account": "a@b.org", "amount": "5"}, "amount"),
        ("/grants", {"account": "a@b.org"}, "amount"),
        ("/grants", {"account": "a@b.org", "amount": 1, "reason": " "}, "reason"),
        ("/grants", {"account": "a@b.org", "amount": 1, "reason": "a\0"}, "reason"),
        ("/users", {"email": "nobody"}, "email"),
        ("/users", {"email": "a@b.org", "password": "short"}, "password"),
        ("/accounts", {"name": ""}, "name"),
        ("/accounts", {"name": "a", "monthly": -1}, "monthly"),
        ("/accounts/x/limit", {}, "monthly"),
        ("/accounts/x/keys", {"name": "a", "scopes": ["all"]}, "scopes"),
    ],
)
def test_an_invalid_operation_names_the_field(
    operator: Operator, person: Person, path: str, body: dict[str, object], field: str
) -> None:
    answer = operator.act(path.replace("/x/", f"/{person.id}/"), **body)
    assert (answer.status_code, answer.json()["detail"]["field"]) == (422, field)


@pytest.mark.parametrize(
    "path",
    [
        "/users/nobody@b.org",
        "/users/x",
        "/users/a%00@b.org",
        "/jobs/x",
        "/jobs/7b1c9a52-6f0d-4c3e-9a41-2d8e5f7a0b16",
    ],
)
def test_an_unknown_resource_is_404(operator: Operator, path: str) -> None:
    assert code(operator.ask(path)) == (404, "not_found")


@pytest.mark.parametrize(
    "query",
    ["users?limit=0", "users?limit=501", "users?cursor=x", "users?type=a%00", "jobs?state=x", "acts?limit=x"],
)
def test_an_invalid_list_query_is_422(operator: Operator, query: str) -> None:
    assert operator.ask(f"/{query}").status_code == 422
