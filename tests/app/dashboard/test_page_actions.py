"""What pages do: history, keys, the ledger, usage, administrators' operations, and code snippets that run."""

import ast
import json
import re
import shlex
from pathlib import Path

import pytest

from app.api.csv_cells import escape_formula
from app.dashboard.code_snippets import speech
from tests.app.api_process import ApiProcess
from tests.app.browser import Browser, words
from tests.app.conftest import PASSWORD, End, NewBrowser, Person, Run, Say
from tests.app.mailbox import in_folder, mail_to
from tests.routes import every_route


def test_history_lists_plays_and_cancels_jobs(browser: Browser, person: Person, say: Say, end: End) -> None:
    done, waiting = say(person.key, text="Read me"), say(person.key)
    end(done)

    listed = browser.open("/history")
    peaks = browser.client.get(f"/history/{done}/peaks")
    cancelled = browser.send(f"/history/{waiting}/cancel")

    assert "Read me" in words(listed)
    assert f"/tts/audio/{done}?expires=" in listed.text
    assert peaks.json() == {"peaks": []}  # these bytes are not decodable audio
    assert "cancelled" in words(cancelled)
    assert "Read me" not in words(browser.open("/history?state=cancelled"))


def test_speech_is_queued_without_scripts_too(browser: Browser, person: Person) -> None:
    browser.open("/playground")

    answer = browser.send("/playground", text="Hello", voice="en-US ryan", format="wav", speed="1")
    refused = browser.send("/playground", text="keep me", voice="en-US nobody")

    assert re.fullmatch(r"/history/[0-9a-f-]{36}", answer.url.path)
    assert "queued" in words(answer)
    assert refused.status_code == 422
    assert ">keep me</textarea>" in refused.text


def test_a_key_is_created_shown_once_rotated_and_revoked(browser: Browser, api: ApiProcess) -> None:
    def works(key: str) -> int:
        return api.call("GET", "/api/keys", key).status_code

    browser.open("/credits")
    made = browser.send("/credits/keys", name="my server", scopes=["speech", "keys"], days="30")
    (key,) = re.findall(r'<code id="made">(cv_live_\w+)</code>', made.text)
    ids = re.findall(r"/credits/keys/([0-9a-f-]{36})/rotate", made.text)
    rotated = browser.send(f"/credits/keys/{ids[-1]}/rotate")
    (new_key,) = re.findall(r'<code id="made">(cv_live_\w+)</code>', rotated.text)
    listed = browser.open("/credits")

    assert "speech, keys" in words(listed)
    assert key not in listed.text
    assert (works(key), works(new_key)) == (401, 200)
    new_id = next(i for i in re.findall(r"/credits/keys/([0-9a-f-]{36})/revoke", listed.text) if i not in ids)
    browser.send(f"/credits/keys/{new_id}/revoke")
    assert works(new_key) == 401


def test_reloading_the_page_creates_and_shows_no_key(
    browser: Browser, person: Person, api: ApiProcess
) -> None:
    browser.open("/credits")
    form = {"form_token": browser.token, "name": "once"}

    made = browser.client.post("/credits/keys", data=form)
    elsewhere = browser.open("/history")
    shown, again = browser.open("/credits"), browser.open("/credits")

    (key,) = re.findall(r'<code id="made">(cv_live_\w+)</code>', shown.text)
    assert (made.status_code, made.headers["location"]) == (303, "/credits")
    assert key not in made.text + str(made.headers) + elsewhere.text + again.text + api.log.read_text()
    assert words(again).count("once") == 1 + words(again).count("Rotate once") + words(again).count(
        "Revoke once"
    )
    assert len(api.call("GET", "/api/keys", person.key).json()["keys"]) == 2


def test_a_refused_key_has_its_reason(browser: Browser) -> None:
    browser.open("/credits")

    answer = browser.send("/credits/keys", name=" ", scopes=["everything"])

    assert answer.status_code == 422
    assert "1 to 100 characters" in words(answer)


def test_the_ledger_shows_the_balance_after_each_entry(
    browser: Browser, person: Person, say: Say, end: End
) -> None:
    first, second = say(person.key), say(person.key)
    end(first)
    end(second, "refuse", code="failed")

    rows = browser.open("/credits.csv").text.splitlines()

    assert rows[0] == "seq,at,what,credits,change,left_after,bucket,reason,ref"
    rows_shown = [tuple(row.split(",")[n] for n in (2, 3, 4, 5)) for row in reversed(rows[1:])]
    assert rows_shown == [
        ("Added", "60", "60", "60"),
        ("Held for a request", "1", "-1", "59"),
        ("Held for a request", "1", "-1", "58"),
        ("Charged", "1", "0", "58"),
        ("Given back", "1", "1", "59"),
    ]
    assert f'href="/history/{first}">Charged</a>' in browser.open("/credits").text
    newer = browser.open(f"/credits?cursor={rows[3].partition(',')[0]}")
    assert re.findall(r"Held for a request.*?>(\d+)</td><td>hold", newer.text, re.DOTALL) == ["59"]


def test_usage_is_shown_by_day_kind_and_key(browser: Browser, person: Person, say: Say, end: End) -> None:
    end(say(person.key))
    say(person.key)

    rows = browser.open("/usage.csv?days=7").text.splitlines()

    assert rows[0] == "day,kind,key,key_prefix,requests,succeeded,failed,credits"
    assert [row.split(",")[1] for row in rows[1:]] == ["speech"]
    assert [row.split(",")[4:] for row in rows[1:]] == [["2", "1", "0", "1"]]
    assert browser.open("/usage?days=0").status_code == 422


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        (" =1+1", "' =1+1"),
        ("\n@SUM(1)", "'\n'@SUM(1)"),
        ("＝1+1", "'＝1+1"),
        ("a;=1+1", "'a;'=1+1"),
        ("a\t +1", "'a\t '+1"),
        (-1, -1),
        ("a-b = c", "a-b = c"),
    ],
)
def test_what_a_spreadsheet_would_run_is_marked_as_words(cell: object, written: object) -> None:
    assert escape_formula(cell) == written


def test_resending_the_grant_form_grants_credits_once(
    admin: Browser, person: Person, api: ApiProcess
) -> None:
    page = admin.open(f"/admin?account={person.email}")
    page = admin.open(page.headers["location"])
    (key,) = re.findall(r'/grant">.*?name="key" value="(\w+)"', page.text)
    form = {"key": key, "amount": "2.5", "reason": "invoice 7"}

    first = admin.send(f"/admin/users/{person.id}/grant", **form)
    second = admin.send(f"/admin/users/{person.id}/grant", **form)
    without = admin.send(f"/admin/users/{person.id}/grant", key="x", amount="2")
    odd = admin.send(f"/admin/users/{person.id}/grant", key="x", amount="<b>", reason="r")

    assert (first.status_code, first.url.path) == (200, f"/admin/users/{person.id}")
    assert f"Granted 2.5 credits to {person.email}. Balance now: 62.5 credits." in words(first)
    assert "That was done already." in words(second)
    assert (without.status_code, odd.status_code) == (422, 422)
    found = api.call("GET", "/api/auth/me", person.key).json()["credits"]
    assert found["paid"]["remaining"] == 2.5


def test_an_administrator_cancels_a_job_and_retries_a_failed_one(
    admin: Browser, person: Person, say: Say, end: End, api: ApiProcess
) -> None:
    failed, waiting = say(person.key), say(person.key)
    end(failed, "refuse", code="failed")
    admin.open("/admin/jobs")

    admin.send(f"/admin/jobs/{waiting}/cancel", reason="asked by phone")
    again = admin.send(f"/admin/jobs/{failed}/retry", reason="engine mended")
    assert "The job is queued again." in words(again), words(again)

    states = words(admin.open(f"/admin/jobs?account={person.email}"))
    assert api.call("GET", f"/tts/status/{waiting}").json()["reason"] == "cancelled"
    assert [states.count(f"ryan {state}") for state in ("queued", "failed", "cancelled")] == [1, 1, 1]
    assert "asked by phone" in words(admin.open("/admin/acts"))
    assert "parrot" in words(admin.open("/admin/workers"))


def test_the_reference_has_every_call_of_the_api(new_browser: NewBrowser) -> None:
    page = words(new_browser().open("/docs/api"))
    calls = {
        (route.method, re.sub(r":\w+}", "}", route.path))
        for route in every_route()
        if route.is_documented and route.method != "HEAD"
    }

    assert {call for call in calls if f"{call[0]} {call[1]}" not in page} == set()


@pytest.mark.parametrize(
    "words_sent", ['it\'s "so"', "a\nb", "\\ $HOME `id` $(id)", "ü 漢 🎧", "__FORMAT__ __BODY__", "'; id; '"]
)
def test_snippets_quote_any_text(words_sent: str) -> None:
    body: dict[str, object] = {"text": words_sent, "voice": "ryan"}

    curl, python, _ = speech(url="http://127.0.0.1:1", key=None, body=body)

    (sent,) = re.findall(r"-d ('(?:[^']|'\\'')*') \|", curl.text)
    assert json.loads(shlex.split(sent)[0]) == body
    (literal,) = re.findall(r'ask\("/v1/tts", (.*)\)\)\["job_id"\]', python.text)
    assert ast.literal_eval(literal) == body


def test_prices_and_limits_are_shown_from_the_price_book_and_the_settings(
    new_browser: NewBrowser, person: Person, api_with: Run
) -> None:
    api = api_with(CODEVOICE_UPLOAD_BYTES_MAX="7500000", CODEVOICE_UPLOAD_AUDIO_S_MAX="90")
    browser = new_browser(api).log_in(person.email)

    page = words(browser.open("/transcribe"))

    assert "up to 7.5 MB and 1.5 minutes. A recording costs 1 credit." in page
    assert "A live talk costs 1 credit." in page
    assert "A request costs 1 credit" in words(browser.open("/playground"))


def test_a_password_is_changed_and_other_browsers_are_logged_out(
    browser: Browser, new_browser: NewBrowser, person: Person
) -> None:
    other = new_browser().log_in(person.email)
    browser.open("/password")
    wrong = browser.send("/password", current_password="not it", new_password="battery staple")
    short = browser.send("/password", current_password=PASSWORD, new_password="short")
    done = browser.send("/password", current_password=PASSWORD, new_password="battery staple")

    assert (wrong.status_code, short.status_code, done.status_code) == (401, 422, 200)
    assert "Your password is changed." in words(done)
    assert "battery staple" not in wrong.text + short.text + done.text
    assert other.open("/history").status_code == 303
    assert browser.open("/history").status_code == 200


def test_the_reset_mail_links_to_the_page_that_sets_a_new_password(
    new_browser: NewBrowser, person: Person, api_with: Run, tmp_path: Path
) -> None:
    api = api_with(CODEVOICE_MAIL_FOLDER=str(tmp_path), CODEVOICE_PUBLIC_URL="http://voice.example")
    browser = new_browser(api)
    browser.open("/reset")
    browser.send("/reset", email=person.email)
    mail = mail_to(person.email, lambda: in_folder(tmp_path))
    text = bytes(mail.get_payload(decode=True)).decode()  # type: ignore[arg-type]
    (path,) = re.findall(r"^http://voice\.example(/reset/confirm\?token=cvr_\S+)$", text, re.MULTILINE)

    page = browser.open(path)
    (token,) = re.findall(r'name="token"[^>]* value="(cvr_[\w-]+)"', page.text)
    answer = browser.send("/reset/confirm", token=token, password="battery staple")

    assert path.endswith(token)
    assert answer.status_code == 200
    assert person.email in words(answer)


def test_the_reference_describes_the_fields_of_an_upload(browser: Browser) -> None:
    document = browser.client.get("/openapi.json").json()
    (content,) = document["paths"]["/transcribe"]["post"]["requestBody"]["content"].items()

    assert content[0] == "multipart/form-data"
    assert content[1]["schema"]["properties"]["file"] == {"type": "string", "format": "binary"}
    assert content[1]["schema"]["required"] == ["file"]
    page = browser.open("/docs/api").text
    section = re.findall(r'<section class="card" id="post-transcribe".*?</section>', page, re.DOTALL)[0]
    assert "<td>form</td><td>file</td><td>yes</td>" in section
    assert "-F file=@recording.wav" in section
