"""A real browser against a running stack, which records everything a page should not do."""

import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, expect, sync_playwright

WAIT_MS = 40_000
PASSWORD = "correct horse"
# Reported by the page itself, since a report has no other way out of it.
_WATCH = """addEventListener("securitypolicyviolation", (event) =>
  console.error(`CSP ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`));"""


@contextmanager
def chromium(program: str, *, voice: Path) -> Generator[Browser]:
    """Debian's Chromium; its microphone plays `voice` in a loop."""
    arguments = [
        "--autoplay-policy=no-user-gesture-required",
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={voice}",
    ]
    expect.set_options(timeout=WAIT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        yield browser
        browser.close()


class Watched:
    """A page and its violations: errors, refused code, requests to other servers."""

    def __init__(self, browser: Browser, url: str, *, theme: str = "light", width: int = 1280) -> None:
        self.url = url
        self.sins: list[str] = []
        self.context = browser.new_context(
            base_url=url,
            color_scheme=theme,  # type: ignore[arg-type]
            viewport={"width": width, "height": 900},
            permissions=["clipboard-read", "clipboard-write", "microphone"],
        )
        self.context.add_init_script(_WATCH)
        self.context.set_default_timeout(WAIT_MS)
        self.page: Page = self.context.new_page()
        self.page.on("console", lambda message: self._note(message.type, message.text))
        self.page.on("pageerror", lambda error: self.sins.append(f"error {error}"))
        self.page.on("request", lambda request: self._check(request.url))

    def open(self, path: str) -> Page:
        """The page at `path`, loaded."""
        answer = self.page.goto(path)
        assert answer is not None
        assert answer.ok, f"{path}: {answer.status}"
        return self.page

    def log_in(self, email: str, password: str) -> Page:
        page = self.open("/login")
        page.fill("#email", email)
        page.fill("#password", password)
        page.click("main button")
        page.wait_for_url(f"{self.url}/")
        return page

    def forgive(self, part: str) -> None:
        """Ignore an expected refusal of the server, which the browser also writes to its console."""
        self.sins = [sin for sin in self.sins if part not in sin]

    def _note(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.sins.append(f"{kind} {text}")

    def _check(self, url: str) -> None:
        if urlsplit(url).scheme != "blob" and not url.startswith(f"{self.url}/"):
            self.sins.append(f"request {url}")


def until(page: Page, expression: str) -> None:
    """Wait until a script's expression is true; Playwright's own way would need what our policy refuses."""
    deadline = time.monotonic() + WAIT_MS / 1000
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, expression
        page.wait_for_timeout(50)


def sign_up(watched: Watched, email: str) -> Page:
    page = watched.open("/")
    page.click("text=Create an account")
    page.fill("#email", email)
    page.fill("#password", PASSWORD)
    page.click("text=Create account")
    page.wait_for_url("**/playground*")
    return page
