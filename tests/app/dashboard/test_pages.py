"""Every page: access, browser policy, isolation between accounts, and hostile text."""

import re
import uuid
from typing import Any

import httpx
import psycopg
import pytest

from tests.app.api_process import ApiProcess
from tests.app.browser import Browser, token_in
from tests.app.conftest import PASSWORD, End, LogIn, NewBrowser, Person, Say, SignUp
from tests.routes import every_route

ANYBODY, PERSON, ADMIN = "anybody", "person", "admin"
PAGES = {
    (route.method, re.sub(r":\w+}", "}", route.path)): str(route.opt["page"])
    for route in every_route()
    if "page" in route.opt
}
WAYS_BACK = {  # for a user who presses Enter in the address bar after a form
    re.sub(r":\w+}", "}", route.path): str(route.opt["back"])
    for route in every_route()
    if "back" in route.opt and route.method == "GET"
}
GETS = {path: who for (method, path), who in PAGES.items() if method == "GET" and path not in WAYS_BACK}
POSTS = {path: who for (method, path), who in PAGES.items() if method == "POST"}
TO_THEIR_OWN = {
    (method, path)
    for (method, path), who in PAGES.items()
    if who == PERSON and "{" in path and (method, path) not in {("GET", back) for back in WAYS_BACK}
}


def place(path: str, **ids: object) -> str:
    return path.format(
        **{name: uuid.uuid4() for name in ("job_id", "key_id", "job", "key", "account", "invite")} | ids
    )


def is_sent_to_log_in(answer: httpx.Response) -> bool:
    return answer.status_code == 303 and answer.headers["location"].startswith("/login")


def test_pages_are_for_whom_they_should_be() -> None:
    open_to_all = {path for path, who in GETS.items() if who == ANYBODY}
    for_admins = {path for (_, path), who in PAGES.items() if path.startswith("/admin")}

    entries = {"/signup", "/login", "/reset", "/reset/confirm", "/verify", "/session/token"}
    assert open_to_all <= {"/", "/docs", "/docs/api", *entries}
    assert {PAGES[method, path] for method, path in PAGES if path in for_admins} <= {ADMIN}
    assert {path for path, who in POSTS.items() if who == ANYBODY} == {
        "/signup",
        "/login",
        "/reset",
        "/reset/confirm",
        "/verify",
    }


@pytest.mark.parametrize("path", [path for path, who in GETS.items() if who != ANYBODY])
def test_anonymous_visitors_are_sent_to_log_in(new_browser: NewBrowser, path: str) -> None:
    answer = new_browser().open(place(path))

    assert is_sent_to_log_in(answer)


@pytest.mark.parametrize("path", [path for path, who in GETS.items() if who == ADMIN])
def test_administrator_pages_are_hidden_from_other_accounts(browser: Browser, path: str) -> None:
    answer = browser.open(place(path))

    assert (answer.status_code, "lacks the scope" in answer.text) == (403, True)


@pytest.mark.parametrize("path", [path for path in GETS if "{" not in path])
def test_every_page_is_confined(admin: Browser, path: str) -> None:
    answer = admin.open(path)

    assert answer.status_code == 200, answer.text
    if "text/html" not in answer.headers["content-type"]:
        return
    policy = answer.headers["content-security-policy"]
    nonce = re.search(r"script-src 'nonce-([\w-]{22})'", policy)
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert nonce is not None
    assert re.findall(r"<script[^>]*>", answer.text) == re.findall(
        rf'<script type="module" nonce="{nonce[1]}" src="/static/[^"]+">', answer.text
    )
    assert re.search(r"\son\w+=|style=|javascript:", answer.text) is None
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-frame-options"] == "DENY"


def test_every_response_has_its_own_nonce(browser: Browser) -> None:
    assert len({browser.open("/").headers["content-security-policy"] for _ in range(3)}) == 3


@pytest.mark.parametrize(("path", "page"), WAYS_BACK.items())
def test_opening_the_url_of_a_form_leads_to_its_page(admin: Browser, path: str, page: str) -> None:
    ids = {name: uuid.uuid4() for name in ("job_id", "key_id", "job", "key", "account", "invite")}

    answer = admin.open(path.format(**ids))

    assert (answer.status_code, answer.headers["location"]) == (303, page.format(**ids))


def test_every_url_that_forms_are_sent_to_can_be_opened() -> None:
    assert set(POSTS) - set(GETS) == set(WAYS_BACK)


@pytest.mark.parametrize("path", ["/nope", "/robots.txt", "/historyy", "/admin/nothing", "/"])
@pytest.mark.parametrize("accept", ["text/html,application/xhtml+xml,*/*;q=0.8", "*/*"])
def test_an_unknown_path_is_a_page_for_browsers_and_json_for_programs(
    browser: Browser, path: str, accept: str
) -> None:
    method = "DELETE" if path == "/" else "GET"  # an address that takes no such request

    answer = browser.client.request(method, path, headers={"Accept": accept})

    kind = "text/html" if "html" in accept else "application/json"
    assert (answer.status_code, answer.headers["content-type"].startswith(kind)) == (
        405 if path == "/" else 404,
        True,
    )
    if kind == "text/html":
        assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_no_call_of_the_api_answers_with_a_page(browser: Browser) -> None:
    paths = ("/v1/nope", "/api/nope", "/api/v1/nope", "/v2/nope", "/tts/nope", "/v1/tts")
    answers = [browser.client.get(path, headers={"Accept": "text/html"}) for path in paths]

    assert {answer.headers["content-type"] for answer in answers} == {"application/json"}


def test_return_links_lead_to_our_own_pages_only(admin: Browser) -> None:
    answer = admin.open("/history/%0d%0aX-Evil:%201/cancel")

    assert answer.headers["location"] == "/history/%0D%0AX-Evil%3A%201"


@pytest.mark.parametrize("path", POSTS)
def test_a_form_from_elsewhere_is_refused(admin: Browser, sign_up: SignUp, log_in: LogIn, path: str) -> None:
    other = log_in(sign_up())
    answers = []
    for token in ("", "0" * 64, other.token, "é"):
        admin.token = token
        answers.append(admin.send(place(path)))

    assert [(a.status_code, "stale_form" in a.text) for a in answers] == [(403, True)] * 4


def test_the_session_cookie_is_http_only_and_reveals_nothing(new_browser: NewBrowser, person: Person) -> None:
    browser = new_browser()
    browser.open("/login")

    answer = browser.client.post(
        "/login", data={"form_token": browser.token, "email": person.email, "password": PASSWORD}
    )

    cookie = answer.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))
    assert person.email not in cookie


def test_a_cookie_alone_does_nothing_at_the_api(browser: Browser) -> None:
    def ask(**headers: str) -> tuple[int, str]:
        answer = browser.client.get("/api/auth/me", headers=headers)
        return answer.status_code, answer.json().get("detail", {}).get("error", "")

    assert ask() == (401, "missing_api_key")
    assert ask(**{"X-CSRF-Token": "0" * 64}) == (403, "stale_form")
    assert ask(**{"X-CSRF-Token": browser.token}) == (200, "")


def test_a_cookie_is_not_accepted_as_a_token_nor_a_token_as_a_cookie(
    api: ApiProcess, browser: Browser, person: Person
) -> None:
    (name, cookie) = next((n, v) for n, v in browser.client.cookies.items() if "visit" not in n)

    as_token = api.call("GET", "/api/auth/me", headers={"Authorization": f"Bearer {cookie}"})
    as_cookie = httpx.get(f"{api.url}/history", cookies={name: person.token})

    assert as_token.json()["detail"]["error"] == "invalid_token"
    assert is_sent_to_log_in(as_cookie)


STRANGERS_COOKIES = (
    *('prefs={"theme":"dark","n":[1,2]}', "prefs=a b", 'prefs="', "prefs", "=value", "prefs=\u00e4"),
    *("a[b]=1", "a@b=1", "a/b=1", "expires=1", "Path=1", "; ;", "big=" + "x" * 5000),
)


@pytest.mark.parametrize("before", STRANGERS_COOKIES)
def test_another_programs_cookie_locks_nobody_out(api: ApiProcess, person: Person, before: str) -> None:
    ours: dict[str, str] = {}

    def ask(method: str, path: str, **more: Any) -> httpx.Response:
        header = "; ".join([before, *(f"{name}={value}" for name, value in ours.items())])
        answer = httpx.request(method, api.url + path, headers={"Cookie": header.encode()}, **more)
        ours.update(answer.cookies)
        return answer

    form = {"form_token": token_in(ask("GET", "/login")), "email": person.email, "password": PASSWORD}
    entered = ask("POST", "/login", data=form)

    assert entered.status_code == 303, entered.text
    assert ask("GET", "/history").status_code == 200


def test_the_valid_one_of_two_cookies_with_one_name_counts(api: ApiProcess, browser: Browser) -> None:
    ours = "; ".join(f"{name}={value}" for name, value in browser.client.cookies.items())
    spoilt = "; ".join(f"{name}=spoilt" for name in browser.client.cookies)

    answers = [
        httpx.get(f"{api.url}/history", headers={"Cookie": header})
        for header in (f"{spoilt}; {ours}", f"{ours}; {spoilt}")
    ]

    assert [answer.status_code for answer in answers] == [200, 200]


@pytest.mark.parametrize(
    ("wanted", "led_to"),
    [
        ("/history?state=failed", "/history?state=failed"),
        ("https://evil.example/", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("/\r\nSet-Cookie: a=b", "/"),
        ("javascript:alert(1)", "/"),
    ],
)
def test_log_in_leads_to_our_own_pages_only(
    new_browser: NewBrowser, person: Person, wanted: str, led_to: str
) -> None:
    browser = new_browser()
    browser.open("/login")
    form = {"form_token": browser.token, "email": person.email, "password": PASSWORD, "next": wanted}

    assert browser.client.post("/login", data=form).headers["location"] == led_to


def test_a_refused_form_keeps_what_was_typed_but_no_password(new_browser: NewBrowser) -> None:
    browser = new_browser()
    browser.open("/signup")

    answer = browser.send("/signup", email='a"b<i>@x', password="secret-secret", name="<b>Ann</b>")

    assert answer.status_code == 422
    assert 'value="a&#34;b&lt;i&gt;@x"' in answer.text
    assert "&lt;b&gt;Ann&lt;/b&gt;" in answer.text
    assert "secret-secret" not in answer.text


def test_another_accounts_resources_are_not_found_on_any_page(
    log_in: LogIn, sign_up: SignUp, person: Person, say: Say, end: End, api: ApiProcess
) -> None:
    theirs = sign_up()
    job = say(theirs.key, text="their private words")
    end(job)
    waiting = say(theirs.key)
    key = api.call("GET", "/api/keys", theirs.key).json()["keys"][0]["id"]
    mine = log_in(person)

    found = {
        (method, path): (
            mine.open(place(path, job_id=job, key_id=key))
            if method == "GET"
            else mine.send(place(path, job_id=waiting, key_id=key))
        ).status_code
        for method, path in TO_THEIR_OWN
    }

    assert set(found.values()) == {404}, found
    assert api.call("GET", f"/tts/status/{waiting}").json()["status"] == "queued"
    for path in [path for path, who in GETS.items() if who == PERSON and "{" not in path]:
        page = mine.open(path).text
        assert "private words" not in page
        assert theirs.email not in page
        assert job not in page


HOSTILE = "</textarea></script><script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{7*7}}__BODY__"


def test_hostile_words_stay_words_on_every_page(
    api: ApiProcess, new_browser: NewBrowser, say: Say, owner: psycopg.Connection[Any]
) -> None:
    email = f"{uuid.uuid4().hex[:8]}@example.org"
    sent = {"email": email, "password": PASSWORD, "name": HOSTILE}
    found = api.call("POST", "/api/auth/register", json=sent).json()
    owner.execute("UPDATE cv.account SET admin = true WHERE id = %s", [found["user"]["id"]])
    job = say(found["api_key"], text=HOSTILE)
    api.call("POST", "/api/keys", found["api_key"], json={"name": HOSTILE, "scopes": []})
    browser = new_browser().log_in(email)

    pages = [
        browser.open(place(path, job_id=job, job=job, account=found["user"]["id"]))
        for path in GETS
        if not path.endswith((".csv", "/peaks"))
    ]
    pages.append(browser.open("/playground?voice=" + HOSTILE))
    pages.append(browser.send("/playground", text=HOSTILE, voice=HOSTILE))

    for page in pages:
        assert "<script>alert" not in page.text, page.url
        assert "<img src=x" not in page.text, page.url
        assert "&lt;" not in page.headers.get("location", "")
    assert any("&lt;/script&gt;" in page.text for page in pages)


def test_static_files_are_cached_for_ever_under_a_versioned_path(api: ApiProcess, browser: Browser) -> None:
    (path,) = set(re.findall(r'href="(/static/[^"]+\.css)"', browser.open("/").text))

    plain = api.client.get(path, headers={"Accept-Encoding": "identity"})
    old = api.client.get("/static/0000000000000000/look.css")

    assert plain.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert plain.headers["content-type"].startswith("text/css")
    assert old.text == plain.text
    assert old.headers["cache-control"] == "no-cache"
    assert api.client.get("/static/0/pages.py").status_code == 404
    assert api.client.get("/static/0/..%2Fpages.py").status_code == 404
