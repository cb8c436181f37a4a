"""A browser without scripts: cookies kept, forms sent with the token of the page they are on."""

import re
from html import unescape

import httpx

from tests.app.api_process import PASSWORD, ApiProcess

_TOKEN = re.compile(r'<meta name="form-token" content="([0-9a-f]{64})">')


class Browser:
    """One person's browser at one API server."""

    def __init__(self, api: ApiProcess) -> None:
        self.client = httpx.Client(base_url=api.url, timeout=30)
        self.token = ""

    def open(self, path: str) -> httpx.Response:
        """Load a page."""
        return self._seen(self.client.get(path))

    def send(self, path: str, **fields: object) -> httpx.Response:
        """Send a form of the page last loaded, and follow the redirect."""
        data = {"form_token": self.token, **fields}
        return self._seen(self.client.post(path, data=data, follow_redirects=True))  # type: ignore[arg-type]

    def log_in(self, email: str) -> "Browser":
        self.open("/login")
        answer = self.send("/login", email=email, password=PASSWORD)
        assert answer.status_code == 200, answer.text
        return self

    def _seen(self, answer: httpx.Response) -> httpx.Response:
        if found := _TOKEN.search(answer.text):
            self.token = found[1]
        return answer


def token_in(answer: httpx.Response) -> str:
    """The token of the page's forms."""
    found = _TOKEN.search(answer.text)
    assert found, answer.text
    return found[1]


def words(answer: httpx.Response) -> str:
    """What a person reads: no tags, one blank between words."""
    without_tags = re.sub(r"<(script|style)[^>]*>.*?</\1>|<[^>]*>", " ", answer.text, flags=re.DOTALL)
    return " ".join(unescape(without_tags).split())
