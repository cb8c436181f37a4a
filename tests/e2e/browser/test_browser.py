"""A person in a browser: signs up, plays speech, runs the snippets, runs out of credits, transcribes."""

import re
import subprocess
import sys
import wave
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Page, Route, expect

from tests.e2e.browser.pages import PASSWORD, sign_up, until
from tests.e2e.conftest import Login, Stack, Watch

AUDIO = "document.querySelector('audio')"


def speak(page: Page, text: str) -> None:
    page.fill("#text", text)
    page.click("#go")


def credits_left(page: Page) -> str:
    return page.locator("[data-left]").inner_text()


@pytest.mark.timeout(90)
def test_a_new_user_signs_up_speaks_and_runs_the_snippets(watch: Watch, stack: Stack, tmp_path: Path) -> None:
    watched = watch()
    page = sign_up(watched, "first@example.org")

    page.select_option("#format", "wav")
    page.click("#go")
    expect(page.locator("#take")).to_be_visible()
    until(page, f"{AUDIO}.currentTime > 0.5")
    expect(page.locator("[data-left]")).to_have_text("59")
    credits_s = float(page.locator("#facts").inner_text().partition(" s")[0])
    assert abs(page.evaluate(f"{AUDIO}.duration") - credits_s) < 0.2
    until(page, "document.querySelector('.wave .played').getAttribute('d').length > 100")

    with page.expect_download() as download:
        page.click("#download")
    with wave.open(str(download.value.path())) as file:
        assert abs(file.getnframes() / file.getframerate() - credits_s) < 0.1

    page.fill("#text", 'It\'s "mine" now: $5 & ümläut')
    curl = copied(page, "curl")
    python, javascript = copied(page, "Python"), copied(page, "JavaScript")
    run(["bash", "-euc", curl], tmp_path / "curl", starts_with="RIFF")
    run([sys.executable, "-c", python], tmp_path / "python", starts_with="RIFF")
    run(["node", "--input-type=module", "-e", javascript], tmp_path / "javascript", starts_with="RIFF")
    page.reload()
    assert credits_left(page) == "56"

    page.click("text=History")
    expect(page.locator("tbody tr")).to_have_count(4)
    page.locator("a[data-play]").first.click()
    until(page, f"{AUDIO}.currentTime > 0.1")
    page.click("text=API & Credits")
    page.click("text=Show the key")
    expect(page.locator("#personal-key")).to_contain_text("cv_live_")


def copied(page: Page, language: str) -> str:
    """The text the page's button copies; the displayed text is the same."""
    page.locator(".tabs label", has_text=language).click()
    page.click("[data-copy-panel]")
    expect(page.locator("[data-copy-panel]")).to_have_text("Copied")
    expect(page.locator("[data-copy-panel]")).to_have_text("Copy")
    text = page.evaluate("navigator.clipboard.readText()")
    assert text.strip() == page.locator(".tabs .panel:visible").inner_text().strip()
    return str(text)


def run(command: list[str], folder: Path, *, starts_with: str) -> None:
    folder.mkdir()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, done.stderr
    (made,) = folder.iterdir()
    assert made.read_bytes().startswith(starts_with.encode())


@pytest.mark.timeout(90)
def test_a_user_without_credits_sees_a_notice_and_speaks_again_after_a_grant(
    watch: Watch, stack: Stack, admin: Login
) -> None:
    poor, rich = watch(), watch()
    spend_all(stack, "poor@example.org")
    page = poor.log_in("poor@example.org", PASSWORD)
    expect(page.locator(".told.warn")).to_contain_text("No credits are left")
    page.click("text=Speak something")
    speak(page, "Keep these words")
    expect(page.locator("#told")).to_contain_text("Not enough credits")
    poor.forgive("402")

    office = rich.log_in(*admin)
    office.click("text=Admin")
    office.fill("#account", "poor@example.org")
    office.click("text=Open")
    office.fill("#grant-amount", "3")
    office.fill("#grant-reason", "a good cause")
    office.click("form[action$='/grant'] button")
    expect(office.locator(".told")).to_contain_text("Granted 3 credits to poor@example.org")

    page.click("#again button")
    expect(page.locator("#take")).to_be_visible()
    assert page.input_value("#text") == "Keep these words"
    expect(page.locator("[data-left]")).to_have_text("2")


@pytest.mark.timeout(60)
def test_a_voice_can_be_played_before_it_is_chosen(watch: Watch) -> None:
    page = sign_up(watch(), "chooser@example.org")
    page.click("nav >> text=Voices")
    page.select_option("#gender", "male")
    page.wait_for_url("**gender=male*")
    row = page.locator("tbody tr").first
    name = row.locator("b").inner_text()

    row.locator("a[data-sample]").click()
    until(page, f"{AUDIO}.currentTime > 0.2")
    expect(page.locator("#heard")).to_have_text(f"Playing {name}")
    row.locator("a[data-sample]").click()
    until(page, f"{AUDIO}.paused")

    row.locator("text=Use").click()
    expect(page.locator("#voice option:checked")).to_contain_text(name)
    assert credits_left(page) == "60"


@pytest.mark.timeout(60)
def test_a_lost_connection_keeps_the_text_and_the_retry_is_free(watch: Watch, stack: Stack) -> None:
    watched = watch()
    page = sign_up(watched, "cut-off@example.org")
    lost: list[str] = []

    def lose_the_answer(route: Route) -> None:
        lost.append(route.fetch().text())
        route.abort()

    page.route("**/v1/tts", lose_the_answer, times=1)
    speak(page, "Keep these words")
    expect(page.locator("#told")).to_contain_text("could not be reached")
    watched.forgive("net::ERR_FAILED")
    page.click("#again button")
    expect(page.locator("#take")).to_be_visible()

    assert "job_id" in lost[0]
    assert page.input_value("#text") == "Keep these words"
    expect(page.locator("[data-left]")).to_have_text("59")


@pytest.mark.timeout(60)
def test_an_expired_session_keeps_the_text_and_continues_after_a_login_elsewhere(
    watch: Watch, stack: Stack
) -> None:
    watched = watch()
    page = sign_up(watched, "expired@example.org")
    watched.context.clear_cookies()
    speak(page, "Keep these words")
    expect(page.locator("#told")).to_contain_text("You were logged out")

    with page.expect_popup() as opened:
        page.click("#enter")
    log_in_at(opened.value, "expired@example.org")
    page.click("#again button")

    expect(page.locator("#take")).to_be_visible()
    assert page.input_value("#text") == "Keep these words"
    expect(page.locator("[data-left]")).to_have_text("59")
    for part in ("401", "403"):  # the browser writes them to its console
        watched.forgive(part)


@pytest.mark.timeout(60)
def test_a_page_is_not_charged_to_another_accounts_session(watch: Watch, stack: Stack) -> None:
    watched = watch()
    spend_all(stack, "someone-else@example.org", requests_=0)
    page = sign_up(watched, "first-here@example.org")
    watched.context.clear_cookies()
    other = watched.context.new_page()
    other.goto("/login")
    log_in_at(other, "someone-else@example.org")

    speak(page, "Keep these words")

    expect(page.locator("#told")).to_contain_text("Another account is logged in")
    assert page.input_value("#text") == "Keep these words"
    watched.forgive("403")


def log_in_at(page: Page, email: str) -> None:
    page.fill("#email", email)
    page.fill("#password", PASSWORD)
    page.click("main button")
    expect(page.locator("[data-left]")).to_be_visible()


@pytest.mark.timeout(60)
def test_a_cancellation_shows_the_charge_and_the_balance(watch: Watch, stack: Stack) -> None:
    watched = watch()
    page = sign_up(watched, "canceller@example.org")
    speak(page, "This takes a while to say, one word behind the other. " * 1500)
    expect(page.locator("#cancel")).to_be_visible()
    until(page, f"{AUDIO}.currentTime > 0")  # so some of it was given

    page.click("#cancel")

    expect(page.locator("#told")).to_have_text(
        "The job was cancelled. 1 credit was charged for the audio that was given to a listener."
    )
    expect(page.locator("#told")).not_to_have_class(re.compile("bad"))
    expect(page.locator("[data-left]")).to_have_text("59")
    watched.forgive("net::ERR_INCOMPLETE_CHUNKED_ENCODING")  # the stream that was cut


@pytest.mark.timeout(90)
def test_a_recording_becomes_text_and_subtitles(watch: Watch, talk: Path) -> None:
    page = sign_up(watch(), "listener@example.org")

    page.click("nav >> text=Transcribe")
    page.set_input_files("#file", talk)
    page.click("#send")
    expect(page.locator("#take")).to_be_visible()

    assert page.locator("#transcript").inner_text().strip()
    assert "59 left" in page.locator("#facts").inner_text()
    expect(page.locator("[data-left]")).to_have_text("59")
    with page.expect_download() as download:
        page.click("[data-save=srt]")
    subtitles = Path(download.value.path()).read_text()
    assert re.match(r"1\n00:00:0\d,\d{3} --> 00:00:0\d,\d{3}\n\S", subtitles)

    transcript = page.locator("#transcript").inner_text()
    page.click("nav >> text=History")
    page.click("text=Read")
    expect(page.locator("p.transcript")).to_have_text(transcript)
    with page.expect_download() as download:
        page.click("text=SRT")
    assert Path(download.value.path()).read_text().split() == subtitles.split()


@pytest.mark.timeout(90)
def test_the_microphone_is_transcribed_by_the_server(watch: Watch) -> None:
    page = sign_up(watch(), "talker@example.org")
    page.click("nav >> text=Transcribe")

    page.click("#record")
    expect(page.locator("#state")).to_have_text("Recording")
    page.wait_for_timeout(2500)  # the recording is played meanwhile
    page.click("#record")

    expect(page.locator("#take")).to_be_visible()
    assert page.locator("#transcript").inner_text().strip()


# A fake speech recogniser with an immediate result; the browser's own would contact its vendor.
RECOGNISER = """window.SpeechRecognition = class {
  start() {
    const result = Object.assign([{ transcript: "hello there" }], { isFinal: true });
    setTimeout(() => this.onresult({ results: [result] }), 50);
  }
  stop() { setTimeout(() => this.onend(), 10); }
};"""


@pytest.mark.timeout(60)
def test_a_talk_recognised_by_the_browser_costs_one_credit(watch: Watch) -> None:
    watched = watch()
    watched.context.add_init_script(RECOGNISER)
    page = sign_up(watched, "live@example.org")
    page.click("nav >> text=Transcribe")

    page.click("#live")
    expect(page.locator("#transcript")).to_have_text("hello there")
    page.click("#live")

    expect(page.locator("#facts")).to_contain_text("Free credit used. 59 remaining.")
    expect(page.locator("[data-left]")).to_have_text("59")


def spend_all(stack: Stack, email: str, *, requests_: int = 60) -> None:
    def post(path: str, key: str = "", **body: object) -> dict[str, Any]:
        answer = requests.post(f"{stack.url}{path}", json=body, headers={"X-API-Key": key}, timeout=10)
        assert answer.ok, answer.text
        return answer.json()

    key = post("/api/auth/register", email=email, password=PASSWORD)["api_key"]
    for n in range(requests_):
        post("/api/stt/live/complete", key, transcript=f"word {n}")
